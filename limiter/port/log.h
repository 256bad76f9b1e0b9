// The daemon's log: spdlog, to standard error, with absl::string_view and absl::Status printable.

#ifndef DEFERD_LIMITER_PORT_LOG_H_
#define DEFERD_LIMITER_PORT_LOG_H_

#include <string_view>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "policy/text.h"
#include "spdlog/spdlog.h"

#if !defined(ABSL_USES_STD_STRING_VIEW)
template <>
struct fmt::formatter<absl::string_view> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(absl::string_view text, Context& context) const {
    return fmt::formatter<std::string_view>::format(deferd::ToStd(text), context);
  }
};
#endif

template <>
struct fmt::formatter<absl::Status> : fmt::formatter<std::string_view> {
  template <typename Context>
  auto format(const absl::Status& status, Context& context) const {
    return fmt::formatter<std::string_view>::format(deferd::ToStd(status.message()), context);
  }
};

#endif  // DEFERD_LIMITER_PORT_LOG_H_
