#include "policy/forecast.h"

#include "policy/evaluate.h"

namespace deferd {

std::optional<absl::Time> WhenReached(const Rule& rule, const Counts& counts, const Counts& recent,
                                      absl::Duration over, absl::Time now) {
  if (Judged(rule, recent).bad() == 0) return std::nullopt;
  const double minutes = absl::ToDoubleMinutes(over);
  const int64_t last = absl::ToInt64Minutes(rule.window);
  for (int64_t minute = 1; minute <= last; ++minute) {
    const auto grown = [&](int64_t have, int64_t lately) {
      return have + static_cast<int64_t>(static_cast<double>(lately * minute) / minutes);
    };
    const Counts then = {.delivered = grown(counts.delivered, recent.delivered),
                         .deferred = grown(counts.deferred, recent.deferred),
                         .failed = grown(counts.failed, recent.failed),
                         .rejected = grown(counts.rejected, recent.rejected),
                         .sent = grown(counts.sent, recent.sent),
                         .sent_recipients = grown(counts.sent_recipients, recent.sent_recipients),
                         .classed = grown(counts.classed, recent.classed),
                         .recipients = grown(counts.recipients, recent.recipients)};
    if (Evaluate(rule, then).tripped) return now + absl::Minutes(minute);
  }
  return std::nullopt;
}

}  // namespace deferd
