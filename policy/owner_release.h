// Whether the owner of a blocked subject may end the block on the owner's page
// (exporter/console/owner_page.h). Pure.

#ifndef DEFERD_POLICY_OWNER_RELEASE_H_
#define DEFERD_POLICY_OWNER_RELEASE_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "policy/fault.h"

namespace deferd {

// Why the answers behind a block forbid it, as a clause for the owner; empty: they do not. Spam and
// reputation forbid it with a single answer, addresses that do not exist with a tenth of all.
// Answers that are not known forbid it, and so do those of which half give no reason: neither says
// that it was not spam.
absl::string_view WhyOwnerMayNotRelease(const std::vector<AnsweredClass>& answers);

}  // namespace deferd

#endif  // DEFERD_POLICY_OWNER_RELEASE_H_
