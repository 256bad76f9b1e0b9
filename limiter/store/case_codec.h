// The stored form of a case and of what happened to it, and the form that other nodes read.

#ifndef DEFERD_LIMITER_STORE_CASE_CODEC_H_
#define DEFERD_LIMITER_STORE_CASE_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "policy/subject.h"

namespace deferd {

std::string CaseText(const Case& record);
absl::StatusOr<Case> ParseCase(absl::string_view text);

// The same as one line of JSON, for other nodes to read. The subject and shadow are not in it: they
// are the record's name there. Bytes that are no UTF-8 are replaced.
std::string SharedCaseText(const Case& record);
absl::StatusOr<Case> ParseSharedCase(absl::string_view text, const Subject& subject, bool shadow);

std::string CaseEventText(const CaseEvent& event);
absl::StatusOr<CaseEvent> ParseCaseEvent(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_CASE_CODEC_H_
