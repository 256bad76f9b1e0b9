// Decides what deferd does not know, from the state of its sources, and says so in the log.
//
// Causes, each of which makes every pass `unchecked`: a log that cannot be read; one that is read
// with a lag of more than kLagLimit; lines that were lost within the longest window; a state that
// cannot be saved; what sharing says (`shared_causes`); and, at the start, logs that are not read
// and counted to their end yet. Confined to the recorder's tick.

#ifndef DEFERD_LIMITER_APP_FRESHNESS_WATCH_H_
#define DEFERD_LIMITER_APP_FRESHNESS_WATCH_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/cases/freshness.h"
#include "limiter/intake/follower.h"

namespace deferd {

class FreshnessWatch {
 public:
  static constexpr absl::Duration kLagLimit = absl::Seconds(60);

  // `freshness` must outlive it.
  explicit FreshnessWatch(Freshness* freshness) : freshness_(freshness) {}

  // `all_counted`: nothing that was read waits to be recorded. `save_problem`: why the last commit
  // failed, empty if it did not. True: all that is in the logs is counted.
  bool Look(const std::vector<FollowerStatus>& sources, bool all_counted,
            const std::string& save_problem, absl::Duration longest_window, absl::Time now,
            std::vector<std::string> shared_causes = {});

 private:
  // What was told of a source, by its path.
  struct Told {
    int64_t gaps = 0;
    std::string problem;
  };

  void TellProblems(const std::vector<FollowerStatus>& sources);

  Freshness* const freshness_;
  std::map<std::string, Told> told_;
  std::string told_save_problem_;
  bool caught_up_once_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_FRESHNESS_WATCH_H_
