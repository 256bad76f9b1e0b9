// Counts shared with other nodes: which of this node's rows wait to be put, and the other nodes'
// rows.
//
// A node that reads a domain's row must find the same attempts in the rows of the domain's parts.
// So a domain's parts are put before it, and read once more (by putting the same row again) after
// it. No rows are queued: only the names of subjects wait. Counts of a subject that exists on this
// host only (loopback) are never shared.
//
// All fields are guarded by the limiter's lock. It judges nothing and knows no store. Rows of Take
// must come back through Put or TakeBack.

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

// Rows and cases of other nodes that were ignored: of a later version, damaged, or with impossible
// values. `last` describes the last one, for pages and logs.
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
  void AddRecipients(const Subject& subject, absl::Duration window, ClassSet classes,
                     int64_t now_step, int64_t after_step, int64_t sign,
                     RecipientWindow::Tally* tally) const override;
  void ForEachOther(absl::FunctionRef<void(const Subject&)> tell) const;
  // The keys of all rows of a subject, and those of one window.
  std::vector<RowKey> KeysOf(const Subject& subject) const;
  std::vector<RowKey> KeysOf(const Subject& subject, size_t window) const;

  // Makes the subject's rows wait to be put, and the other nodes' rows to be read, together with
  // those of `domain`, which the subject is or is part of.
  void Wait(const Subject& subject, const Subject& domain);
  // The subject has a bad contribution that was not put yet: judge it when the others' rows come
  // back.
  void SetBad(const Subject& subject) { waiting_[subject].bad = true; }
  // A part of the domain is counted here.
  void SetPart(const Subject& domain, const Subject& part) { parts_[domain].insert(part); }
  // The parts of the domain that are counted here; null: none.
  const absl::flat_hash_set<Subject>* PartsOf(const Subject& domain) const;

  // Rows of at most `most` waiting subjects, as they are now. `apart`: the parts whose attempts are
  // subtracted from a domain's counts.
  std::vector<RowPut> Take(
      size_t most, const Policy& policy,
      absl::FunctionRef<const std::vector<Subject>*(const Subject& domain)> apart);
  // The rows were not put, and wait again. `domain_of` as for Wait.
  void TakeBack(absl::Span<const RowPut> puts,
                absl::FunctionRef<Subject(const Subject&)> domain_of);
  // The rows were put. Returns the subjects to be judged again: parts first, otherwise in the order
  // put.
  std::vector<Subject> Put(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers,
                           absl::Time now);
  void Read(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers, absl::Time now);

  // The rows known of other nodes would block the domain. It is judged when its rows, and those of
  // its parts, come back next.
  void AwaitConfirmation(const Subject& domain) { unconfirmed_.insert(domain); }
  bool AwaitsConfirmation(const Subject& domain) const { return unconfirmed_.contains(domain); }
  void Confirm(const Subject& domain) { confirming_.insert(domain); }
  // Returns true if the rows that came back are that confirmation; either way the domain no longer
  // awaits one.
  bool TakeConfirming(const Subject& domain);
  // The store is unreachable: the rows known must do. Returns the domains that awaited
  // confirmation.
  std::vector<Subject> OnStoreUnreachable();
  bool alone() const { return alone_; }

  // Subjects to be put again with the next heartbeat: their rows were refused, or were written by
  // another run under this node's name.
  std::vector<Subject> TakeToRetry() { return std::exchange(to_retry_, {}); }
  // Keys with more rows than there can be nodes, to be cleaned.
  std::vector<RowKey> TakeCrowded();
  // The list of nodes at a heartbeat, and the store's time then. A row of a node that is there, but
  // is missing from the store, was lost there, and its node will put it again: what is known of it
  // stays. What nobody will put again is gone.
  void SetNodes(absl::Span<const NodeRecord> nodes, absl::Time at);
  bool Waits(const Subject& subject) const {
    return waiting_.contains(subject) || being_put_.contains(subject);
  }

  // Sets the store's clock minus this one, if it differs by over a second from the value known, and
  // is exact or the first. True if that changes the shift of any window's steps: then everything is
  // to be put and read again.
  bool SetOffset(absl::Duration offset, bool exact);
  bool measured() const { return measured_.has_value(); }
  absl::Duration measured_offset() const { return measured_.value_or(absl::ZeroDuration()); }
  // The offset for times of cases, in whole seconds; zero when the clocks agree to a second.
  absl::Duration CaseOffset() const { return absl::Trunc(offset_, absl::Seconds(1)); }

  // Forgets what is no longer live at `now`.
  void Expire(absl::Time now);
  // While the store is unreachable, every changed subject waits. This forgets those that are no
  // longer counted and have no open case (`kept`): the row that other nodes have expires by itself.
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
    RecipientWindow recipients;  // where RowKey::IsOfRecipients, in place of `window`

    bool empty() const { return window.empty() && recipients.empty(); }
  };
  struct OfLength {
    absl::Duration length;
    std::string counter;  // RowKey::counter
    std::vector<NodeWindow> nodes;
  };
  struct News {
    bool worse = false;  // the rows have a bad delivery that was not known before
    // There is a row under this node's name that this run did not write: it is damaged, or newer
    // than any of this run, since the state directory was lost (the next version is greater still).
    bool put_again = false;
  };

  std::vector<Subject> TakeGroup(
      absl::FunctionRef<const std::vector<Subject>*(const Subject& domain)> apart);
  // Takes over all rows of a key from the store. Rows of an unknown or damaged format are ignored
  // and counted. `judged`: what becomes worse is judged.
  News SetRows(const RowKey& key, const RowAnswer& answer, absl::Time now, bool judged);
  News SetRows(const RowKey& key, const StepClock& steps, int64_t now_step,
               const std::vector<SharedRow>& rows, bool judged);
  bool ShouldHaveRow(const RowKey& key) const;
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
  std::optional<absl::Duration> measured_;  // to the last microsecond
  absl::Duration offset_;                   // the one that is in use
  absl::flat_hash_map<Subject, std::vector<OfLength>> others_;
  absl::flat_hash_map<std::string, absl::Time> there_;  // the nodes that are, and when last seen
  absl::Time listed_ = absl::InfinitePast();            // the last list of nodes

  absl::flat_hash_map<Subject, Waiting> waiting_;
  absl::flat_hash_map<Subject, Waiting> being_put_;
  // The waiting subjects with changes, by the domain that they are or are part of: put together.
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
