// Figures since the start, for `status` and `doctor`; who was charged and what was left out, since
// [charge] changed last. The metrics have most of them by label.
//
// Safe from any thread.

#ifndef DEFERD_LIMITER_APP_TOTALS_H_
#define DEFERD_LIMITER_APP_TOTALS_H_

#include <array>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "limiter/app/blind_watch.h"
#include "limiter/events.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/mutex.h"
#include "policy/left_out.h"
#include "policy/subject.h"

namespace deferd {

class Totals : public Observer {
 public:
  void OnLines(const LineCounts& counts) override;
  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override;
  // [charge] has changed: what an earlier one charged says nothing of it.
  void BeginCharging();
  void OnQuestion(Mta mta, Source source, absl::Time now);

  Json LinesJson() const;  // {lines, attempts, not_mine, rejected, rejected_recipients, malformed}
  Json ChargedJson() const;    // attempts by who was charged: {login, account, ..., nobody}
  Json LeftOutJson() const;    // attempts by the reason why they do not count
  Json QuestionsJson() const;  // {answered, last}
  std::array<std::array<int64_t, kSources>, kMtas> asked() const;  // questions by MTA and Source

 private:
  mutable Mutex mutex_;
  LineCounts lines_ ABSL_GUARDED_BY(mutex_);
  std::array<int64_t, kSubjectKinds> charged_ ABSL_GUARDED_BY(mutex_) = {};  // the narrowest
  int64_t rejected_recipients_ ABSL_GUARDED_BY(mutex_) = 0;                  // of own senders
  int64_t nobody_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<int64_t, kLeftOutReasons> left_out_ ABSL_GUARDED_BY(mutex_) = {};
  std::array<std::array<int64_t, kSources>, kMtas> asked_ ABSL_GUARDED_BY(mutex_) = {};
  int64_t questions_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_question_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_TOTALS_H_
