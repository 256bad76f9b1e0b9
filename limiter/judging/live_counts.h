// A subject's counts as rules judge them and people are shown them.
//
// The attempts charged to the subject on all nodes, later than its newest clearing. From a domain's
// counts, the attempts of a part are subtracted while the part has an open enforced case, and those
// before the end of such a case for ever. So the domain is not blocked for what one login did,
// neither while the login is blocked nor afterwards.
//
// A view of the limiter's parts; it has no state. The caller must hold the limiter's lock.

#ifndef DEFERD_LIMITER_JUDGING_LIVE_COUNTS_H_
#define DEFERD_LIMITER_JUDGING_LIVE_COUNTS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "limiter/counting/clearings.h"
#include "limiter/counting/counter.h"
#include "limiter/counting/other_nodes.h"
#include "limiter/counting/window.h"
#include "limiter/judging/culprit.h"
#include "policy/counts.h"
#include "policy/measure.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

class LiveCounts {
 public:
  // `others` is null on one machine alone. All must outlive it.
  LiveCounts(const Counter* counter, const Clearings* clearings, const Culprit* culprit,
             const OtherNodes* others)
      : counter_(counter), clearings_(clearings), culprit_(culprit), others_(others) {}

  enum class Whose { kAllNodes, kOwn };

  // What a rule judges: the counts in its window, of its classes, and its distinct recipients.
  Counts Of(const Subject& subject, const Rule& rule, absl::Time now, absl::Time after, bool shadow,
            Whose whose = Whose::kAllNodes) const;
  // The same of all nodes, but recipients, which are slow to count, only where the bad ones are
  // enough for the rule to trip or to warn.
  Counts ToJudge(const Subject& subject, const Rule& rule, absl::Time now, absl::Time after,
                 bool shadow) const;

  // In a window of `length` as of `now`, of steps after `after`; for rules in shadow or enforced
  // ones. Never below 0. None of a length that no rule has.
  Counts Of(const Subject& subject, absl::Duration length, absl::Time now, absl::Time after,
            bool shadow, Whose whose = Whose::kAllNodes) const;

  // Each node's part of `sum` by node name, including this `node`. Illegal on a single machine,
  // where `others` is null.
  std::vector<std::pair<std::string, Counts>> ByNode(const std::string& node,
                                                     const Subject& subject, bool shadow,
                                                     absl::Duration length, const Counts& sum,
                                                     absl::Time now) const;

 private:
  Counts Of(const Subject& subject, absl::Duration length, ClassSet classes, absl::Time now,
            absl::Time after, bool shadow, Whose whose) const;
  int64_t RecipientsOf(const Subject& subject, const Rule& rule, absl::Time now, absl::Time after,
                       bool shadow, Whose whose) const;
  // Calls `tell` with each part whose attempts are subtracted from the subject's, and the last step
  // of these attempts.
  void ForEachApart(const Subject& subject, const StepClock& steps, int64_t after_step,
                    absl::FunctionRef<void(const Subject& part, int64_t until_step)> tell) const;
  // All attempts charged to the subject, without subtracting those of its parts.
  Counts Whole(const Subject& subject, size_t window, ClassSet classes, int64_t now_step,
               int64_t after_step, Whose whose) const;

  const Counter* const counter_;
  const Clearings* const clearings_;
  const Culprit* const culprit_;
  const OtherNodes* const others_;
};

// The last step of `t`; infinite times are before and after all steps.
int64_t StepAt(const StepClock& steps, absl::Time t);

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_LIVE_COUNTS_H_
