#include "policy/attempt.h"

namespace deferd {

absl::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDelivered:
      return "delivered";
    case Outcome::kDeferred:
      return "deferred";
    case Outcome::kFailed:
      return "failed";
    case Outcome::kExpired:
      return "expired";
    case Outcome::kQueued:
      return "queued";
    case Outcome::kHeld:
      return "held";
    case Outcome::kRejected:
      return "rejected";
    case Outcome::kDiscarded:
      return "discarded";
    case Outcome::kFiltered:
      return "filtered";
    case Outcome::kArchived:
      return "archived";
    case Outcome::kRejectedRecipient:
      return "rejected_recipient";
  }
  return "unknown";
}

CountedOutcome CountedAs(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDelivered:
      return CountedOutcome::kDelivered;
    case Outcome::kDeferred:
      return CountedOutcome::kDeferred;
    case Outcome::kRejectedRecipient:
      return CountedOutcome::kRejected;
    default:
      return CountedOutcome::kFailed;
  }
}

LineCounts& LineCounts::operator+=(const LineCounts& other) {
  lines += other.lines;
  attempts += other.attempts;
  not_mine += other.not_mine;
  rejected += other.rejected;
  malformed += other.malformed;
  return *this;
}

}  // namespace deferd
