// What a node remembers at home: how far its logs are read, the messages that are open, windows,
// cases, and the ledger.
//
// One commit takes everything that a number of log batches changed, whole or not at all, so that
// positions and counts always belong together: after any crash the daemon loads and reads on where
// the positions say. The store knows no rule, no clock and no socket; it speaks values, and those
// that only the limiter understands are text to it.
//
// Commit and Load are called by one thread at a time. Searches go through readers, each with a
// connection of its own: they see whole commits only and never make a commit wait. Errors:
// Unavailable = the disk is full or cannot be written, try again; FailedPrecondition = it may not
// be written; DataLoss = stored bytes are damaged.

#ifndef DEFERD_LIMITER_STORE_LOCAL_STORE_H_
#define DEFERD_LIMITER_STORE_LOCAL_STORE_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/store/forget_filter.h"
#include "limiter/store/ledger.h"
#include "policy/log_position.h"
#include "policy/open_message.h"
#include "policy/subject.h"

namespace deferd {

// The window of one subject, of one length.
struct StoredWindow {
  Subject subject;
  absl::Duration length;
  std::string row;  // window_row.h, or the limiter's own form of what is left out; empty: forget it
  bool left_out = false;  // not what counts, but what is left out
};

// An open message of one source; without `message`: forget it.
struct StoredOpenMessage {
  std::string source;
  std::string id;
  std::optional<OpenMessage> message;
};

// A value under a name; empty: forget it.
struct StoredText {
  std::string name;
  std::string text;
};

// One line of the record of cases, kept for people.
struct StoredCaseEvent {
  absl::Time time;
  std::string text;
};

// Later elements win over earlier ones of the same name.
struct StoreBatch {
  std::vector<SourcePosition> positions;
  std::vector<StoredOpenMessage> open_messages;
  std::vector<StoredWindow> windows;
  std::vector<StoredText> contributions;  // by message key: what it has contributed so far
  std::vector<StoredText> clearings;      // by subject: from when on its attempts count
  std::vector<StoredText> places;         // by name: servers that fail now, and incidents there
  std::vector<StoredText> cases;          // by case id; forgetting one forgets its receipt too
  std::vector<StoredText> receipts;       // by case id
  std::vector<StoredCaseEvent> events;
  std::vector<StoredText> notices;  // by id: what people must hear, and who has heard it
  std::vector<StoredText> facts;    // few: the greatest stamp, the next case number ...
  std::vector<LedgerRow> ledger;    // in the order read
  absl::Time now;                   // the clock's: segments older than the retention are dropped
  // The caller wants it on the disk before it goes on, as for a person's decision. Otherwise a
  // power failure (not a crash of deferd) may undo the last commits, positions and all.
  bool durable = false;
  // What this replaces or removes is overwritten on the disk too.
  bool overwrite = false;
};

// Takes what is stored, at the start. Texts are those of StoreBatch.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  virtual absl::Status OnPosition(SourcePosition position) = 0;
  virtual absl::Status OnOpenMessage(std::string source, OpenMessage message) = 0;  // by arrival
  virtual absl::Status OnWindow(StoredWindow window) = 0;
  virtual absl::Status OnContribution(StoredText contribution) = 0;
  virtual absl::Status OnClearing(StoredText clearing) = 0;
  virtual absl::Status OnPlace(StoredText place) = 0;
  virtual absl::Status OnCase(StoredText record) = 0;
  virtual absl::Status OnEvent(StoredCaseEvent event) = 0;  // in the order they were stored
  virtual absl::Status OnNotice(StoredText notice) = 0;
  virtual absl::Status OnFact(StoredText fact) = 0;
};

struct LedgerOptions {
  bool enabled = true;
  absl::Duration keep = absl::Hours(7 * 24);
  int64_t max_bytes = int64_t{8} << 30;  // of the whole database; the oldest segment goes first
  int64_t segment_rows = 1'000'000;      // or fewer: it ends at an eighth of keep or max_bytes too
  bool hash_recipients = false;          // store a keyed hash in place of a recipient's local part
  absl::Duration search_deadline = absl::Seconds(5);  // of one call of a reader
};

// What is looked up. Safe from any thread; calls wait for each other.
class LedgerReader {
 public:
  virtual ~LedgerReader() = default;

  // DeadlineExceeded if it took too long, with a hint to narrow it; FailedPrecondition if no ledger
  // is kept.
  virtual absl::StatusOr<LedgerPage> Search(const LedgerQuery& query) = 0;

  // What is older was dropped with its segment: the time of the oldest row there is, or
  // InfinitePast if nothing ever was.
  virtual absl::StatusOr<absl::Time> OldestTime() = 0;

  // The time of the newest row that ForgetRows has ever removed, or InfinitePast.
  virtual absl::StatusOr<absl::Time> ForgottenUntil() = 0;

  // NotFound if the case has none.
  virtual absl::StatusOr<std::string> Receipt(absl::string_view case_id) = 0;

  // The open messages with one of these ids, of whatever source. Also without a ledger.
  virtual absl::StatusOr<std::vector<OpenMessage>> OpenMessages(
      const absl::flat_hash_set<std::string>& ids) = 0;
};

// How far a search for rows to forget has come.
struct ForgetPlace {
  int64_t segment = 0;                                // 0: the beginning
  int64_t row = std::numeric_limits<int64_t>::min();  // the next one to look at
};

struct ForgetStep {
  int64_t matched = 0;
  bool done = false;
  ForgetPlace next;
  double progress = 0;  // of the whole ledger, 0 to 1
};

class LocalStore {
 public:
  // Events of cases kept; the oldest go first.
  static constexpr int64_t kMaxEvents = 10'000;

  virtual ~LocalStore() = default;

  // Facts first, then positions, then the rest. Stops at the visitor's first error.
  virtual absl::Status Load(StateVisitor* visitor) = 0;
  virtual absl::Status Commit(const StoreBatch& batch) = 0;

  // The filter for `what` (forget_filter.h) that also knows how this ledger hides it.
  virtual absl::StatusOr<ForgetFilter> MakeForgetFilter(absl::string_view what) = 0;
  // Looks at up to `most` rows of the ledger, from `from` on, and, unless `only_count`, removes
  // those that match for good. As Commit, it is whole or not at all.
  virtual absl::StatusOr<ForgetStep> ForgetRows(const ForgetFilter& filter, const ForgetPlace& from,
                                                int64_t most, bool only_count) = 0;

  // Must not outlive the store.
  virtual std::unique_ptr<LedgerReader> NewReader() = 0;

  struct Stats {
    int64_t ledger_rows = 0;
    int64_t segments = 0;
    int64_t dropped_segments = 0;  // since the start
    int64_t bytes = 0;             // of the files
  };
  virtual Stats stats() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_LOCAL_STORE_H_
