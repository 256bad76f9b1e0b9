// Whether the shared store still has this node's rows. A store that evicts keys says nothing of it,
// nor does a person's DEL. So all rows that have something are looked for in turn, some with each
// heartbeat; those that are gone are put again.
//
// Guarded by the limiter's lock, as RowExchange is.

#ifndef DEFERD_LIMITER_SHARING_ROW_CHECK_H_
#define DEFERD_LIMITER_SHARING_ROW_CHECK_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/counting/counter.h"
#include "limiter/sharing/row_exchange.h"
#include "limiter/store/shared_store.h"
#include "policy/subject.h"

namespace deferd {

class RowCheck {
 public:
  // Subjects of one heartbeat, and the heartbeats in which all had their turn, if that is not more.
  static constexpr size_t kFewest = 20;
  static constexpr size_t kMost = 200;
  static constexpr size_t kBeats = 30;

  // `counter` and `rows` must outlive it.
  RowCheck(std::string node, const Counter* counter, const RowExchange* rows)
      : node_(std::move(node)), counter_(counter), rows_(rows) {}

  // The next keys to be read. `shares`: whose rows are put at all.
  std::vector<RowKey> Take(absl::Time now, absl::FunctionRef<bool(const Subject&)> shares);
  // The subjects whose rows are gone, to be put again. They were missed twice: a row that is missed
  // once may not have been put yet, since what it has is not stored here.
  std::vector<Subject> Answered(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers);

  int64_t lost() const { return lost_; }  // subjects, each time

 private:
  void AddKeys(const Subject& subject, absl::Time now, std::vector<RowKey>* keys) const;

  const std::string node_;
  const Counter* const counter_;
  const RowExchange* const rows_;
  std::vector<Subject> turn_;  // those that are still to be looked for in this turn
  size_t at_once_ = 0;
  absl::flat_hash_set<Subject> missed_;  // in the answers before
  int64_t lost_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_ROW_CHECK_H_
