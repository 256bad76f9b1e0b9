// A subject's counts as rules judge them and people are shown them.
//
// All that the subject is charged with, on all nodes, later than its newest clearing; of a domain,
// less all of its parts that have an open enforced case, and less what a part caused until a case
// of its own was cleared. So what one login did falls on its domain neither while the login is
// blocked nor when that ends.
//
// A view of the limiter's parts, under its lock; it keeps nothing.

#ifndef DEFERD_LIMITER_JUDGING_LIVE_COUNTS_H_
#define DEFERD_LIMITER_JUDGING_LIVE_COUNTS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "limiter/counting/clearings.h"
#include "limiter/counting/counter.h"
#include "limiter/counting/other_nodes.h"
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

  // In a window of `length` as of `now`, of steps after `after`; for rules in shadow or enforced
  // ones. Never below 0. None of a length that no rule has.
  Counts Of(const Subject& subject, absl::Duration length, absl::Time now, absl::Time after,
            bool shadow, Whose whose = Whose::kAllNodes) const;

  // Whose part is what of `sum`, this node's (`node`) too, by name; where nodes share.
  std::vector<std::pair<std::string, Counts>> ByNode(const std::string& node,
                                                     const Subject& subject, bool shadow,
                                                     absl::Duration length, const Counts& sum,
                                                     absl::Time now) const;

 private:
  Counts Of(const Subject& subject, absl::Duration length, ClassSet classes, absl::Time now,
            absl::Time after, bool shadow, Whose whose) const;
  int64_t RecipientsOf(const Subject& subject, size_t window, absl::Time now, absl::Time after,
                       bool shadow, Whose whose) const;
  // All that a subject is charged with: nothing taken apart.
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
