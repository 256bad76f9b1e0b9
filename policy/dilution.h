// Limits how much the deliveries of one message may lower the percentage of bad ones.
//
// One message to thousands of accomplices would hide any number of refusals. Of the deliveries of
// one message, at most kMost to one recipient domain and at most kMost by one server (its /24 or
// /48 network; its name if the log has no address) are therefore in the denominator of the
// percentage. The rest is counted, shown and shared as delivered, and added to Counts::surplus.
//
// A plain value, one per message. Names are kept as 64-bit hashes; two colliding names share a
// limit.

#ifndef DEFERD_POLICY_DILUTION_H_
#define DEFERD_POLICY_DILUTION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace deferd {

class Dilution {
 public:
  static constexpr int32_t kMost = 50;

  // Adds a delivery charged to `subject` (a forwarded message has several subjects). Returns
  // whether it is in the denominator. `counted` is called with the number of each name whose count
  // changed.
  bool Admit(absl::string_view subject, absl::string_view recipient, absl::string_view host,
             absl::string_view host_ip, absl::FunctionRef<void(size_t number)> counted);
  bool Admit(absl::string_view subject, absl::string_view recipient, absl::string_view host,
             absl::string_view host_ip) {
    return Admit(subject, recipient, host, host_ip, [](size_t) {});
  }

  // For the store: names are numbered from 0 in order of arrival. Returns numbers `begin` .. `end`
  // - 1.
  void ForEach(size_t begin, size_t end,
               absl::FunctionRef<void(uint64_t name, int32_t count)> tell) const;
  void Restore(size_t number, uint64_t name, int32_t count);

 private:
  struct Admitted {
    int32_t count = 0;
    uint32_t number = 0;
  };

  void Set(size_t number, uint64_t name, int32_t count);
  void UseMap();
  bool IsFull(uint64_t name) const;
  size_t CountOne(uint64_t name);

  // Names of the first delivery, numbers 0 and 1; 0: none. Most messages have only one and need no
  // map.
  uint64_t first_to_ = 0;
  uint64_t first_by_ = 0;
  absl::flat_hash_map<uint64_t, Admitted> admitted_;
  std::vector<uint64_t> names_;  // by number
};

}  // namespace deferd

#endif  // DEFERD_POLICY_DILUTION_H_
