// The stored form of what a message has contributed: a part of its recipients each.

#ifndef DEFERD_LIMITER_STORE_CONTRIBUTION_CODEC_H_
#define DEFERD_LIMITER_STORE_CONTRIBUTION_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/counting/contributions.h"
#include "policy/attempt.h"

namespace deferd {

// The name under which a store keeps it.
std::string NameOf(const MessageKey& key, size_t part);

std::string ContributionText(const MessageKey& key, const MessageRecord& record, size_t part);
absl::StatusOr<MessagePart> ParseContribution(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_CONTRIBUTION_CODEC_H_
