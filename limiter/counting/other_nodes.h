// The counts of other nodes, as far as they are known here. A single machine has none.
//
// Called with the limiter's lock held; must not block.

#ifndef DEFERD_LIMITER_COUNTING_OTHER_NODES_H_
#define DEFERD_LIMITER_COUNTING_OTHER_NODES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "limiter/counting/side_windows.h"
#include "policy/counts.h"
#include "policy/measure.h"
#include "policy/subject.h"

namespace deferd {

class OtherNodes {
 public:
  virtual ~OtherNodes() = default;

  // Live cells at `now_step` later than `after_step`, of all other nodes added, and of each that
  // has any.
  virtual Counts Others(const Subject& subject, absl::Duration window, int64_t now_step,
                        int64_t after_step) const = 0;
  virtual std::vector<std::pair<std::string, Counts>> OthersByNode(const Subject& subject,
                                                                   absl::Duration window,
                                                                   int64_t now_step,
                                                                   int64_t after_step) const = 0;
  // The bad ones with answers of these classes, likewise added.
  virtual int64_t OthersOf(const Subject& subject, absl::Duration window, ClassSet classes,
                           int64_t now_step, int64_t after_step) const = 0;
  // As RecipientWindow::AddTo.
  virtual void AddRecipients(const Subject& subject, absl::Duration window, ClassSet classes,
                             int64_t now_step, int64_t after_step, int64_t sign,
                             RecipientWindow::Tally* tally) const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_OTHER_NODES_H_
