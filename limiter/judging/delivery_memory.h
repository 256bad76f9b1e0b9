// What was delivered within the last day: by whom, where, and to which domains.
//
// Names are whatever its owner makes of that. A name's time is renewed once an hour at most, so
// that a busy server stores little. Bounded: the oldest go first. Confined to its owner's thread;
// time is that of the log.

#ifndef DEFERD_LIMITER_JUDGING_DELIVERY_MEMORY_H_
#define DEFERD_LIMITER_JUDGING_DELIVERY_MEMORY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace deferd {

class DeliveryMemory {
 public:
  static constexpr absl::Duration kLately = absl::Hours(24);
  static constexpr size_t kMaxNames = 200'000;

  // True if what is remembered of the name has changed. What had to go for it is added to `gone`.
  bool See(absl::string_view name, absl::Time time, std::vector<std::string>* gone);
  bool Knows(absl::string_view name, absl::Time now) const;

  // For a store.
  std::optional<absl::Time> Find(absl::string_view name) const;
  void Restore(absl::string_view name, absl::Time time) { seen_[name] = time; }

 private:
  void Forget(absl::Time now, std::vector<std::string>* gone);

  absl::flat_hash_map<std::string, absl::Time> seen_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_DELIVERY_MEMORY_H_
