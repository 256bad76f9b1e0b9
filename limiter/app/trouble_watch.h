// Turns the daemon's own troubles, as they stand at each look, into notices: one when a trouble has
// lasted for kLasts, one when it is over.
//
// Pure but for what it remembers; confined to the recorder's tick.

#ifndef DEFERD_LIMITER_APP_TROUBLE_WATCH_H_
#define DEFERD_LIMITER_APP_TROUBLE_WATCH_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/store/outbox.h"
#include "policy/notice_kind.h"

namespace deferd {

struct StandingTrouble {
  std::string key;  // the same at each look for as long as it lasts
  NoticeKind kind = NoticeKind::kLogProblem;
  std::string what;
  std::string remedy;
  std::string subject;  // of held mail that waits; else empty
};

class TroubleWatch {
 public:
  // What is over sooner, as at each start, is told to nobody.
  static constexpr absl::Duration kLasts = absl::Seconds(30);

  explicit TroubleWatch(std::string node) : node_(std::move(node)) {}

  std::vector<Notice> Look(const std::vector<StandingTrouble>& troubles, absl::Time now);

 private:
  struct Known {
    StandingTrouble trouble;
    absl::Time since;
    bool told = false;
  };

  const std::string node_;
  std::map<std::string, Known> known_;  // by key
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_TROUBLE_WATCH_H_
