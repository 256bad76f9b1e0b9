// Counts of one subject in one window, and the share that is compared with a rule's percent.

#ifndef DEFERD_POLICY_COUNTS_H_
#define DEFERD_POLICY_COUNTS_H_

#include <cstdint>

namespace deferd {

struct Counts {
  int64_t delivered = 0;
  int64_t deferred = 0;
  int64_t failed = 0;

  int64_t bad() const { return deferred + failed; }
  int64_t total() const { return delivered + bad(); }

  // bad of total, rounded half up to a whole percent; 0 of nothing is 0.
  int percent() const {
    return total() == 0 ? 0 : static_cast<int>((200 * bad() + total()) / (2 * total()));
  }

  friend bool operator==(const Counts&, const Counts&) = default;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_COUNTS_H_
