// The stored form of a subject's clearing.

#ifndef DEFERD_LIMITER_STORE_CLEARING_CODEC_H_
#define DEFERD_LIMITER_STORE_CLEARING_CODEC_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/counting/clearings.h"
#include "policy/subject.h"

namespace deferd {

// The name under which a store keeps what belongs to a subject.
std::string NameOf(const Subject& subject);

std::string ClearingText(const Subject& subject, const Cleared& cleared);
absl::StatusOr<std::pair<Subject, Cleared>> ParseClearing(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_CLEARING_CODEC_H_
