// Side windows of a subject, beside its window of the same length: replies by class, and the
// recipients of bad deliveries. Most subjects have none.
//
// Not thread-safe, like Window: the owner's lock guards them (the limiter's, for Counter and
// RowExchange).

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
#include "policy/measure.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// A window for each reply class that occurs.
class ClassWindows {
 public:
  // Finds or adds the window of a class. Valid until the next call.
  Window* Of(ReplyClass reply_class);
  // Null: there is none.
  const Window* Find(ReplyClass reply_class) const;
  Window* Find(ReplyClass reply_class) {
    return const_cast<Window*>(std::as_const(*this).Find(reply_class));
  }

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
// The same with the class of the answer in it, for the windows of rules of some classes.
uint64_t RecipientNumber(absl::string_view recipient, ReplyClass reply_class);

// The recipients of the bad deliveries of one window. Exact up to kMost entries, one entry being
// one recipient in one step; beyond that the oldest entries are dropped.
class RecipientWindow {
 public:
  static constexpr size_t kMost = 10'000;

  struct Entry {
    int64_t step = 0;
    uint64_t recipient = 0;
    int64_t count = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  // Bad deliveries by recipient. Those of parts with a case of their own are subtracted, so that a
  // recipient counts while its number is above 0.
  using Tally = absl::flat_hash_map<uint64_t, int64_t>;
  static int64_t Distinct(const Tally& tally);

  void Add(int64_t step, uint64_t recipient, int64_t now_step);
  bool Remove(int64_t step, uint64_t recipient);
  // Adds those live at `now_step` and later than `after_step`, each `sign` times.
  // `classes`, unless empty: those of these classes, by the recipient alone.
  void AddTo(Tally* tally, int64_t now_step, int64_t after_step, int64_t sign,
             ClassSet classes) const;

  // Drops those whose class is none of these.
  void KeepOnly(ClassSet classes);
  void Expire(int64_t now_step);
  bool DropAfter(int64_t step);
  bool empty() const { return entries_.empty(); }
  const std::vector<Entry>& entries() const { return entries_; }  // by step
  // Restores an entry; entries must be restored in the order of their steps.
  void Restore(const Entry& entry);

 private:
  std::vector<Entry> entries_;
};

struct SideWindows {
  ClassWindows left_out;                // shown and not counted; only for the first length
  ClassWindows counted;                 // bad deliveries by the reply classes that a rule counts
  RecipientWindow recipients;           // of bad deliveries, if a rule counts distinct recipients
  RecipientWindow recipients_by_class;  // the same, if a rule of some reply classes does

  // Those that a rule of these classes asks for.
  const RecipientWindow& RecipientsFor(ClassSet classes) const {
    return classes.empty() ? recipients : recipients_by_class;
  }
  bool empty() const {
    return left_out.empty() && counted.empty() && recipients.empty() && recipients_by_class.empty();
  }
  void Expire(int64_t now_step) {
    left_out.Expire(now_step);
    counted.Expire(now_step);
    recipients.Expire(now_step);
    recipients_by_class.Expire(now_step);
  }
  bool DropAfter(int64_t step) {
    const bool dropped = left_out.DropAfter(step);
    const bool counts = counted.DropAfter(step);
    const bool known = recipients.DropAfter(step);
    return recipients_by_class.DropAfter(step) || dropped || counts || known;
  }
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_SIDE_WINDOWS_H_
