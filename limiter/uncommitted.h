// What waits for the next commit, besides what the limiter remembers: the ledger's rows, which
// messages of a source are open, and the receipts that are due.
//
// The committer notifies it as the first observer, in order. Every field is guarded by the
// committer's mutex_, which the caller must hold. Each value waits once, so memory stays bounded
// while the disk is full: at most kMaxRows ledger rows wait, later ones are dropped and counted.
// Each Collect must be followed by Committed before the next Collect.

#ifndef DEFERD_LIMITER_UNCOMMITTED_H_
#define DEFERD_LIMITER_UNCOMMITTED_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "limiter/cases/case.h"
#include "limiter/events.h"
#include "limiter/store/local_store.h"
#include "policy/attempt.h"
#include "policy/open_message.h"

namespace deferd {

// A case whose receipt is to be gathered, and the ledger's row of the attempt that made it trip.
struct DueReceipt {
  Case record;
  int64_t row = 0;
  int tries = 0;
};

class Uncommitted : public Observer {
 public:
  static constexpr size_t kMaxRows = 200'000;

  struct Options {
    bool ledger = true;
    bool mail_subjects = false;  // keep the messages' Subject: lines
  };
  explicit Uncommitted(const Options& options) : options_(options) {}

  // The notifications until EndBatch belong to this source's log (null: to no log).
  void BeginBatch(const std::string* source) {
    source_ = source;
    in_batch_ = true;
  }
  void EndBatch() {
    source_ = nullptr;
    in_batch_ = false;
  }

  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override;
  void OnMessage(const LogEvent& event, const ChargedSubjects& charged,
                 const Classification* answer) override;
  void OnCase(CaseChange change, const Case& record) override;
  void OnJudgedAgain(const Case& record) override;

  // A fact to be stored, or, if `text` is empty, forgotten.
  void AddFact(std::string name, std::string text) {
    facts_.push_back({std::move(name), std::move(text)});
  }
  void AddReceipt(const std::string& case_id, std::string text) {
    receipts_.push_back({case_id, std::move(text)});
  }

  // Receipts that are due, oldest first.
  std::optional<DueReceipt> TakeDue();
  void PutOff(DueReceipt due) { due_.push_back(std::move(due)); }
  void ReceiptDone(const std::string& case_id);
  size_t due() const { return due_.size(); }

  // Adds all to `batch`. True if there was anything.
  bool Collect(StoreBatch* batch);
  // Reports whether the batch was stored; if not, its values wait for the next commit. `batch` is
  // the one that Collect filled.
  void Committed(bool stored, StoreBatch* batch);

  size_t waiting_rows() const { return rows_.size(); }
  int64_t lost_rows() const { return lost_rows_; }

  // Restore stored values, before the first notification.
  void RestoreRowsWritten(int64_t rows) { rows_written_ = rows; }
  void RestoreDue(Case record, int64_t row) { due_.push_back({std::move(record), row, 0}); }

  // The names of facts that are its own.
  static constexpr absl::string_view kRowsFact = "ledger_rows_written";
  static constexpr absl::string_view kDueFact = "receipt_due:";  // and the case's id

 private:
  void AddRow(const Attempt& attempt, const ChargedSubjects& charged, Outcome outcome,
              LeftOut left_out, const Classification* answer);
  void AddDue(const Case& record, absl::Time tripped);
  void KeepOpen(const LogEvent& event);
  void KeepClosed(const std::string& id);

  const Options options_;
  const std::string* source_ = nullptr;
  bool in_batch_ = false;
  int64_t rows_written_ = 0;  // ever, the waiting ones too
  int64_t lost_rows_ = 0;
  std::vector<LedgerRow> rows_;
  // By source and id; a message that came and went between two commits is not in it.
  struct OpenChange {
    std::optional<OpenMessage> message;
    bool is_new = false;  // the store does not have it
  };
  absl::flat_hash_map<std::pair<std::string, std::string>, OpenChange> open_changes_;
  std::deque<DueReceipt> due_;
  absl::flat_hash_set<std::string> adopted_;  // cases of other nodes
  std::vector<StoredText> receipts_;
  std::vector<StoredText> facts_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_UNCOMMITTED_H_
