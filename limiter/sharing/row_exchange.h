// Counts shared with other nodes: which of this node's rows wait to be put, and what the others'
// rows say.
//
// Whoever reads a domain's row must find what is in it in the rows of its parts too. So a domain's
// parts are put before it, and read once more (which is putting the same row again) after it.
// Nothing is queued: what waits are the names of subjects. What a subject of this host alone
// (loopback) has is never shared.
//
// Owned by the limiter and under its lock. It judges nothing and knows no store.

#ifndef DEFERD_LIMITER_SHARING_ROW_EXCHANGE_H_
#define DEFERD_LIMITER_SHARING_ROW_EXCHANGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/counting/counter.h"
#include "limiter/counting/other_nodes.h"
#include "limiter/counting/side_windows.h"
#include "limiter/counting/window.h"
#include "limiter/store/shared_store.h"
#include "policy/counts.h"
#include "policy/measure.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

// Rows and cases of other nodes that were left out: of a later version, damaged, or such as nobody
// can have meant. `last` says what the last one was, for people.
struct Refused {
  int64_t rows = 0;
  int64_t cases = 0;
  std::string last;
};

class RowExchange : public OtherNodes {
 public:
  // What is put belongs to `counter`; it and `refused` must outlive this.
  RowExchange(std::string node, int64_t incarnation, const Counter* counter, Refused* refused)
      : node_(std::move(node)),
        version_(static_cast<double>(incarnation) * 4294967296.0),
        counter_(counter),
        refused_(refused) {}

  Counts Others(const Subject& subject, absl::Duration window, int64_t now_step,
                int64_t after_step) const override;
  std::vector<std::pair<std::string, Counts>> OthersByNode(const Subject& subject,
                                                           absl::Duration window, int64_t now_step,
                                                           int64_t after_step) const override;
  int64_t OthersOf(const Subject& subject, absl::Duration window, ClassSet classes,
                   int64_t now_step, int64_t after_step) const override;
  void AddRecipients(const Subject& subject, absl::Duration window, int64_t now_step,
                     int64_t after_step, int64_t sign,
                     RecipientWindow::Tally* tally) const override;
  void ForEachOther(absl::FunctionRef<void(const Subject&)> tell) const;
  // The keys of all rows of a subject.
  std::vector<RowKey> KeysOf(const Subject& subject) const;

  // Its rows wait to be put, and the others' to be read, with those of `domain`, which it is or is
  // part of.
  void Wait(const Subject& subject, const Subject& domain);
  // It has a bad contribution that no put has had: to be judged when the others' rows come back.
  void SetBad(const Subject& subject) { waiting_[subject].bad = true; }
  // A part of the domain is counted here.
  void SetPart(const Subject& domain, const Subject& part) { parts_[domain].insert(part); }
  // Those; null: none.
  const absl::flat_hash_set<Subject>* PartsOf(const Subject& domain) const;

  // Rows of at most `most` subjects that wait, as they are now. `apart`: the parts that a domain's
  // counts are taken of without. Each must come back, by TakeBack or Put.
  std::vector<RowPut> Take(
      size_t most, const Policy& policy,
      absl::FunctionRef<const std::vector<Subject>*(const Subject& domain)> apart);
  // They were not put. `domain_of` as for Wait.
  void TakeBack(absl::Span<const RowPut> puts,
                absl::FunctionRef<Subject(const Subject&)> domain_of);
  // They were; the subjects to be judged again, parts first, else in the order put.
  std::vector<Subject> Put(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers,
                           absl::Time now);
  void Read(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers, absl::Time now);

  // A domain would be blocked by what is known of the other nodes: that is judged when its rows and
  // those of its parts come back next.
  void AwaitConfirmation(const Subject& domain) { unconfirmed_.insert(domain); }
  bool AwaitsConfirmation(const Subject& domain) const { return unconfirmed_.contains(domain); }
  void Confirm(const Subject& domain) { confirming_.insert(domain); }
  // True if what comes is the answer to that. Either way nothing is asked again for now.
  bool TakeConfirming(const Subject& domain);
  // The store is away: what is known has to do. The domains that were asked about.
  std::vector<Subject> OnStoreUnreachable();
  bool alone() const { return alone_; }

  // To be put again with the next beat: those whose rows were refused, or are another's.
  std::vector<Subject> TakeToRetry() { return std::exchange(to_retry_, {}); }
  // Keys with more rows than there can be nodes, to be cleaned.
  std::vector<RowKey> TakeCrowded();

  // The store's clock minus this one, if it is another by over a second. True if that shifts the
  // steps of any window otherwise: then everything is to be put and read again.
  bool SetOffset(absl::Duration offset);
  // What times of cases are moved by: whole seconds, none when the clocks agree to a second.
  absl::Duration CaseOffset() const { return absl::Trunc(offset_, absl::Seconds(1)); }

  // Forgets what is no longer live at `now`.
  void Expire(absl::Time now);
  // While the store is away everything that changed waits. Of subjects that are no longer counted,
  // and have no open case (`kept`), nothing need be told: a row that other nodes have ends by its
  // time.
  void ForgetWaiting(absl::FunctionRef<bool(const Subject&)> kept);

  size_t waiting() const { return waiting_.size() + being_put_.size(); }

 private:
  struct Waiting {
    bool changed = false;  // and stored
    bool bad = false;
  };
  struct NodeWindow {
    std::string node;
    Window window;
    RecipientWindow recipients;  // of RowKey::kRecipients, in place of `window`

    bool empty() const { return window.empty() && recipients.empty(); }
  };
  struct OfLength {
    absl::Duration length;
    std::string counter;  // RowKey::counter
    std::vector<NodeWindow> nodes;
  };
  struct News {
    bool worse = false;  // a bad delivery is in them that was not known before
    // Of this node's name there is a row that this run did not make: newer than any of its own,
    // since its state directory was lost (the next version is greater still), or damaged.
    bool put_again = false;
  };

  std::vector<Subject> TakeGroup(
      absl::FunctionRef<const std::vector<Subject>*(const Subject& domain)> apart);
  // All rows of a key as the store has them. Rows of an unknown or damaged format are left out and
  // counted.
  News SetRows(const RowKey& key, const RowAnswer& answer, absl::Time now);
  News SetRows(const RowKey& key, const StepClock& steps, int64_t now_step,
               const std::vector<SharedRow>& rows);
  bool OwnRowIsForeign(const RowKey& key, absl::string_view bytes);
  void Refuse(const RowKey& key, absl::string_view node, absl::string_view why);
  const std::vector<NodeWindow>* Find(const Subject& subject, absl::Duration window,
                                      absl::string_view counter = "") const;
  // This node's row of a key.
  RowPut PutOf(RowKey key, size_t window, uint32_t policy_hash);
  // By how many steps rows are shifted to be in the store's time.
  int64_t ShiftOf(const StepClock& steps) const;

  const std::string node_;
  double version_;  // the newest of this node's rows: incarnation * 2^32 and their number
  const Counter* const counter_;
  Refused* const refused_;
  absl::Duration offset_;
  absl::flat_hash_map<Subject, std::vector<OfLength>> others_;

  absl::flat_hash_map<Subject, Waiting> waiting_;
  absl::flat_hash_map<Subject, Waiting> being_put_;
  // Those waiting that are changed, by the domain that they are or are part of: put together.
  absl::flat_hash_map<Subject, std::vector<Subject>> groups_;
  absl::flat_hash_map<Subject, absl::flat_hash_set<Subject>> parts_;
  absl::flat_hash_set<Subject> unconfirmed_;
  absl::flat_hash_set<Subject> confirming_;
  bool alone_ = true;
  std::vector<Subject> to_retry_;
  absl::flat_hash_set<Subject> crowded_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_SHARING_ROW_EXCHANGE_H_
