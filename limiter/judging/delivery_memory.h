// Deliveries of the last day: by whom, where, and to which domains.
//
// The owner encodes each of these as a name. A name's time is renewed at most once an hour, so that
// a busy server stores little. Bounded: the oldest names are forgotten first. Not thread-safe: part
// of Incidents, guarded by the limiter's lock. Time is that of the log.

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

  // Returns true if the name's entry has changed. Names evicted to make room are added to `gone`.
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
