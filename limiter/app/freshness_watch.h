// Decides what deferd does not know, from the state of its sources, and says so in the log.
//
// Causes, each of which makes every pass `unchecked`: a log that cannot be read; one that is read
// with a lag of more than kLagLimit; lines that were lost within the longest window; and, at the
// start, logs that are not read and counted to their end yet. Confined to the recorder's tick.

#ifndef DEFERD_LIMITER_APP_FRESHNESS_WATCH_H_
#define DEFERD_LIMITER_APP_FRESHNESS_WATCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/freshness.h"
#include "limiter/intake/follower.h"

namespace deferd {

class FreshnessWatch {
 public:
  static constexpr absl::Duration kLagLimit = absl::Seconds(60);

  // `freshness` must outlive it. `sources` is how many logs are followed.
  FreshnessWatch(Freshness* freshness, size_t sources)
      : freshness_(freshness), seen_gaps_(sources), told_problems_(sources) {}

  // `all_counted`: nothing that was read waits to be recorded. Sources come in the same order each
  // time. True: all that is in the logs is counted.
  bool Look(const std::vector<FollowerStatus>& sources, bool all_counted,
            absl::Duration longest_window, absl::Time now);

 private:
  struct Gaps {
    int64_t count = 0;
    absl::Time last = absl::InfinitePast();
  };

  void TellProblems(const std::vector<FollowerStatus>& sources);

  Freshness* const freshness_;
  std::vector<Gaps> seen_gaps_;
  std::vector<std::string> told_problems_;
  bool caught_up_once_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_FRESHNESS_WATCH_H_
