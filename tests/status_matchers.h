// GoogleTest matchers for absl::Status and absl::StatusOr: EXPECT_THAT(status, IsOk()),
// EXPECT_THAT(result, StatusIs(absl::StatusCode::kNotFound, HasSubstr("x"))).

#ifndef DEFERD_TESTS_STATUS_MATCHERS_H_
#define DEFERD_TESTS_STATUS_MATCHERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"

namespace deferd {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << "is " << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

MATCHER_P2(StatusIs, code, message, "") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << "is " << status.ToString();
  return status.code() == code &&
         testing::ExplainMatchResult(message, std::string(status.message()), result_listener);
}

}  // namespace deferd

#endif  // DEFERD_TESTS_STATUS_MATCHERS_H_
