// What a subject has besides its window of one length: answers by class, and the recipients of what
// was bad.
//
// Confined to its owner's thread, like Window. Most subjects have none.

#ifndef DEFERD_LIMITER_COUNTING_SIDE_WINDOWS_H_
#define DEFERD_LIMITER_COUNTING_SIDE_WINDOWS_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "limiter/counting/window.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// A window for each class of answers that occurs.
class ClassWindows {
 public:
  // The window of one class, made if it is new. Valid until the next call.
  Window* Of(ReplyClass reply_class);
  // Null: there is none.
  const Window* Find(ReplyClass reply_class) const;

  // How many of each class are live and later than `after_step`, the most first.
  std::vector<std::pair<ReplyClass, int64_t>> Sum(int64_t now_step, int64_t after_step) const;

  void Expire(int64_t now_step);
  bool DropAfter(int64_t step);  // as Window's
  bool empty() const { return windows_.empty(); }
  void ForEach(absl::FunctionRef<void(ReplyClass, const Window&)> tell) const;

 private:
  std::vector<std::pair<ReplyClass, Window>> windows_;
};

// A recipient's name in RecipientWindow: the same on every node.
uint64_t RecipientNumber(absl::string_view recipient);

// Which recipients the bad ones of one window had. Exact up to kMost entries, an entry being one
// recipient in one step; beyond that the oldest go first.
class RecipientWindow {
 public:
  static constexpr size_t kMost = 10'000;

  struct Entry {
    int64_t step = 0;
    uint64_t recipient = 0;
    int64_t count = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  // How many bad ones each recipient has. What is taken apart is subtracted, so that a recipient is
  // there while its number is above 0.
  using Tally = absl::flat_hash_map<uint64_t, int64_t>;
  static int64_t Distinct(const Tally& tally);

  void Add(int64_t step, uint64_t recipient, int64_t now_step);
  bool Remove(int64_t step, uint64_t recipient);
  // Adds those live at `now_step` and later than `after_step`, each `sign` times.
  void AddTo(Tally* tally, int64_t now_step, int64_t after_step, int64_t sign) const;

  void Expire(int64_t now_step);
  bool DropAfter(int64_t step);
  bool empty() const { return entries_.empty(); }
  const std::vector<Entry>& entries() const { return entries_; }  // by step
  // Puts back an entry, not before those put back already.
  void Restore(const Entry& entry);

 private:
  std::vector<Entry> entries_;
};

struct SideWindows {
  ClassWindows left_out;       // shown, and does not count; of the first length alone
  ClassWindows counted;        // the bad ones of classes that a rule asks for
  RecipientWindow recipients;  // of the bad ones, where a rule asks for them

  bool empty() const { return left_out.empty() && counted.empty() && recipients.empty(); }
  void Expire(int64_t now_step) {
    left_out.Expire(now_step);
    counted.Expire(now_step);
    recipients.Expire(now_step);
  }
  bool DropAfter(int64_t step) {
    const bool dropped = left_out.DropAfter(step);
    const bool more = counted.DropAfter(step);
    return recipients.DropAfter(step) || dropped || more;
  }
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_SIDE_WINDOWS_H_
