// Finds reasons why deferd's answers may be wrong, from the state of its sources, and logs them.
//
// Each of these causes makes every pass `unchecked`: a log cannot be read; a log is read with a lag
// of more than kLagLimit; lines were lost within the longest window; the state cannot be saved;
// sharing reports a cause (`shared_causes`); after the start, the logs are not yet read and counted
// to their end. Confined to the recorder's tick.

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

  // `all_counted`: no line that was read waits to be recorded. `save_problem`: why the last commit
  // failed, or empty. Returns true if all lines of the logs are counted.
  bool Look(const std::vector<FollowerStatus>& sources, bool all_counted,
            const std::string& save_problem, absl::Duration longest_window, absl::Time now,
            std::vector<std::string> shared_causes = {});

 private:
  // Problems of a source that were logged, by its path.
  struct Reported {
    int64_t gaps = 0;
    std::string problem;
  };

  void LogProblems(const std::vector<FollowerStatus>& sources);

  Freshness* const freshness_;
  std::map<std::string, Reported> reported_;
  std::string reported_save_problem_;
  bool caught_up_once_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_FRESHNESS_WATCH_H_
