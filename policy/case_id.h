// The form of a case's id, as refusals, pages and logs name it: NODE-INCARNATION-NUMBER, with a
// NODE of 8 hex digits. No subject has this form: it would be a domain of one label. Pure.

#ifndef DEFERD_POLICY_CASE_ID_H_
#define DEFERD_POLICY_CASE_ID_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

// The id in lower case, from a text with or without the full stop of the sentence that it was
// copied from. nullopt: the text is not of that form.
std::optional<std::string> ParseCaseId(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_POLICY_CASE_ID_H_
