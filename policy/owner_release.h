// Whether the owner of a blocked subject may end the block (the owner's page).
//
// Pure.

#ifndef DEFERD_POLICY_OWNER_RELEASE_H_
#define DEFERD_POLICY_OWNER_RELEASE_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "policy/measure.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// Bad deliveries whose answers are of one class.
struct AnswersToRelease {
  ReplyClass reply_class = ReplyClass::kUnclassified;
  bool permanent = false;  // failed, not deferred
  int64_t counted = 0;
  int64_t left_out = 0;  // by the policy, or since a server is in trouble
};

// Why the answers behind a block forbid it, as a clause for the owner; empty: they do not. Spam and
// reputation forbid it with a single answer, addresses that do not exist with a tenth of all.
// Answers that are not known forbid it, and so do those of which half give no reason: neither says
// that it was not spam. Shares are those of the counted answers, and of all together: what the
// policy leaves out makes neither smaller.
absl::string_view WhyOwnerMayNotRelease(const std::vector<AnswersToRelease>& answers);

// Whether answers of any of these classes would allow it; `classes` empty: of all. A rule that
// counts no others can give no owner the release.
bool OwnerMayReleaseOf(const ClassSet& classes);

}  // namespace deferd

#endif  // DEFERD_POLICY_OWNER_RELEASE_H_
