#include "limiter/store/ledger_segments.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/ledger_filter.h"
#include "limiter/store/ledger_index.h"
#include "limiter/store/recipient_hash.h"
#include "limiter/store/schema.h"

namespace deferd {

namespace {

constexpr int64_t kKeptParts = 8;  // of the retention, and of the most bytes

std::string RowsTable(int64_t segment) {
  return absl::StrCat("CREATE TABLE ledger_", segment, R"sql( (
  row INTEGER PRIMARY KEY,  -- Unix milliseconds << 21 | low bits of the attempt's number
  message_id TEXT NOT NULL,
  arrival INTEGER,  -- Unix milliseconds
  subject TEXT NOT NULL,
  narrower TEXT NOT NULL,
  sender TEXT NOT NULL,
  login TEXT NOT NULL,
  user TEXT NOT NULL,
  mail_subject TEXT NOT NULL,
  recipient TEXT NOT NULL,  -- behind a line feed the address before aliases, if it is another
  router TEXT NOT NULL,
  transport TEXT NOT NULL,
  host TEXT NOT NULL,
  host_ip TEXT NOT NULL,
  outcome INTEGER NOT NULL,  -- 0 delivered, 1 deferred, 2 failed, 3 expired, 4 queued, 5 held,
                             -- 6 rejected, 7 discarded, 8 filtered, 9 archived
  left_out INTEGER NOT NULL,  -- why it does not count: 0 it does, 1 nobody charged, 2 made by MTA,
                              -- 3 no remote host, 4 internal host, 5 own refusal, 6 late, 7 future
  reply_class TEXT NOT NULL,
  reply TEXT NOT NULL
);)sql");
}

// One column for both, so that older segments and older versions of deferd read each other's. Log
// lines hold no line feed.
std::string RecipientColumn(const LedgerRow& row) {
  if (row.original.empty() && row.recipient.find('\n') == std::string::npos) return row.recipient;
  return absl::StrCat(row.recipient, "\n", row.original);
}

void SplitRecipient(LedgerRow* row) {
  const size_t feed = row->recipient.rfind('\n');
  if (feed == std::string::npos) return;
  row->original = row->recipient.substr(feed + 1);
  row->recipient.resize(feed);
}

std::optional<int64_t> MillisecondColumn(absl::Time time) {
  if (time == absl::InfinitePast()) return std::nullopt;
  return absl::ToUnixMillis(time);
}

absl::StatusOr<std::string> RecipientKeyForWriting(Database* db) {
  absl::StatusOr<std::string> key = ReadRecipientKey(db);
  if (!key.ok() || !key->empty()) return key;
  key = RecipientHash::NewKey();
  if (!key.ok()) return key;
  absl::StatusOr<Statement> insert = db->Prepare("INSERT INTO ledger VALUES ('recipient_key', ?)");
  if (!insert.ok()) return insert.status();
  absl::Status status = insert->Run(Blob{*key});
  if (!status.ok()) return status;
  return key;
}

absl::Status StoreSegment(Database* db, const LedgerSegment& segment) {
  absl::StatusOr<Statement> insert =
      db->Prepare("INSERT OR REPLACE INTO ledger_segment VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  if (!insert.ok()) return insert.status();
  return insert->Run(segment.number, segment.node, ToColumn(segment.started),
                     ToColumn(segment.newest), segment.rows, segment.bytes, segment.first_row,
                     segment.last_row);
}

absl::Status DropSegment(Database* db, int64_t number) {
  return db->Execute(absl::StrCat("DROP TABLE ledger_", number, "; DROP TABLE ledger_index_",
                                  number, "; DELETE FROM ledger_run WHERE segment = ", number,
                                  "; DELETE FROM ledger_segment WHERE number = ", number));
}

// Pages in use: freed ones are used again before the file grows.
absl::StatusOr<int64_t> UsedBytes(Database* db) {
  return db->Number(
      "SELECT (page_count - freelist_count) * page_size "
      "FROM pragma_page_count, pragma_freelist_count, pragma_page_size");
}

// Appends the rows of one commit.
class Appender {
 public:
  Appender(Database* db, absl::string_view node, const LedgerOptions& options, absl::Time now,
           std::vector<LedgerSegment>* segments)
      : db_(db), node_(node), options_(options), now_(now), segments_(segments) {}

  absl::Status Append(const LedgerRow& row) {
    absl::Status status = absl::OkStatus();
    if (!open_ || IsFull(segments_->back(), now_, options_)) status = OpenSegment();
    if (!status.ok()) return status;
    absl::StatusOr<int64_t> key = Insert(row);
    if (!key.ok()) return key.status();
    KeysOf(row, &keys_);
    for (const uint32_t one : keys_) postings_.push_back({one, *key});
    if (new_rows_ == 0 || *key < first_row_) first_row_ = *key;
    if (new_rows_ == 0 || *key > last_row_) last_row_ = *key;
    ++new_rows_;
    CountRow(*key, LedgerBytes(row, keys_.size()), now_, &segments_->back());
    return absl::OkStatus();
  }

  absl::Status Finish() { return CloseRun(); }

 private:
  // The newest segment if there is room in it, or a new one.
  absl::Status OpenSegment() {
    absl::Status status = CloseRun();
    if (!status.ok()) return status;
    if (segments_->empty() || segments_->back().node != node_ ||
        IsFull(segments_->back(), now_, options_)) {
      LedgerSegment segment;
      segment.number = segments_->empty() ? 1 : segments_->back().number + 1;
      segment.node = node_;
      segment.started = now_;
      status = db_->Execute(RowsTable(segment.number) + LedgerIndexTable(segment.number));
      if (!status.ok()) return status;
      segments_->push_back(std::move(segment));
    }
    const int64_t number = segments_->back().number;
    absl::StatusOr<Statement> insert = db_->Prepare(absl::StrCat(
        "INSERT INTO ledger_", number, " (row, ", LedgerColumns(),
        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"));
    if (!insert.ok()) return insert.status();
    insert_ = *std::move(insert);
    open_ = true;
    return absl::OkStatus();
  }

  // Postings of the rows since the last one, into the segment's index.
  absl::Status CloseRun() {
    if (new_rows_ == 0) return absl::OkStatus();
    absl::Status status =
        AddLedgerRun(db_, segments_->back().number, new_rows_, first_row_, last_row_, &postings_);
    if (!status.ok()) return status;
    postings_.clear();
    new_rows_ = 0;
    return StoreSegment(db_, segments_->back());
  }

  // Gives the key under which the row stands: its own, or the next that no row has, also of other
  // segments. 0 is none.
  absl::StatusOr<int64_t> Insert(const LedgerRow& row) {
    for (int64_t key = row.row;; ++key) {
      absl::StatusOr<bool> taken = TakenElsewhere(key);
      if (!taken.ok()) return taken.status();
      if (*taken || key == 0) continue;
      absl::Status status = insert_.Run(
          key, row.message_id, MillisecondColumn(row.arrival), row.subject, row.narrower,
          row.sender, row.login, row.user, row.mail_subject, RecipientColumn(row), row.router,
          row.transport, row.host, row.host_ip, static_cast<int>(row.outcome),
          static_cast<int>(row.left_out), row.reply_class, row.reply);
      if (!status.ok()) return status;
      if (db_->changes() == 1) return key;
    }
  }

  // Rarely more than a comparison: segments overlap where one ends, and by late rows.
  absl::StatusOr<bool> TakenElsewhere(int64_t key) {
    for (size_t i = 0; i + 1 < segments_->size(); ++i) {
      const LedgerSegment& segment = (*segments_)[i];
      if (key < segment.first_row || key > segment.last_row) continue;
      auto [it, first] = present_.try_emplace(segment.number);
      if (first) {
        absl::StatusOr<Statement> look =
            db_->Prepare(absl::StrCat("SELECT 1 FROM ledger_", segment.number, " WHERE row = ?"));
        if (!look.ok()) return look.status();
        it->second = *std::move(look);
      }
      it->second.Bind(key);
      absl::StatusOr<bool> row = it->second.Step();
      it->second.Reset();
      if (!row.ok() || *row) return row;
    }
    return false;
  }

  Database* const db_;
  const std::string node_;
  const LedgerOptions& options_;
  const absl::Time now_;
  std::vector<LedgerSegment>* const segments_;

  bool open_ = false;  // the last segment is ours and has been opened
  Statement insert_;
  std::map<int64_t, Statement> present_;  // by segment
  LedgerKeys keys_;
  std::vector<Posting> postings_;
  int64_t new_rows_ = 0;
  int64_t first_row_ = 0;
  int64_t last_row_ = 0;
};

absl::Status DropDue(Database* db, const LedgerOptions& options, absl::Time now,
                     std::vector<LedgerSegment>* segments, int64_t* dropped) {
  while (!segments->empty()) {
    const auto expired = std::find_if(
        segments->begin(), segments->end(),
        [&](const LedgerSegment& segment) { return IsExpired(segment, now, options); });
    auto due = expired;
    if (expired == segments->end()) {
      if (segments->size() == 1) break;
      absl::StatusOr<int64_t> used = UsedBytes(db);
      if (!used.ok()) return used.status();
      if (*used <= options.max_bytes) break;
      due = segments->begin();
    }
    absl::Status status = DropSegment(db, due->number);
    if (!status.ok()) return status;
    segments->erase(due);
    ++*dropped;
  }
  return absl::OkStatus();
}

}  // namespace

bool IsFull(const LedgerSegment& segment, absl::Time now, const LedgerOptions& options) {
  return segment.rows > 0 &&
         (segment.rows >= options.segment_rows || segment.bytes >= options.max_bytes / kKeptParts ||
          now - segment.started >= options.keep / kKeptParts);
}

bool IsExpired(const LedgerSegment& segment, absl::Time now, const LedgerOptions& options) {
  return segment.newest < now - options.keep;
}

absl::Time OldestOf(const std::vector<LedgerSegment>& segments) {
  if (segments.empty() || segments.front().number <= 1) return absl::InfinitePast();
  return TimeOfRowKey(segments.front().first_row);
}

int64_t LedgerBytes(const LedgerRow& row, size_t keys) {
  const size_t texts = row.message_id.size() + row.subject.size() + row.narrower.size() +
                       row.sender.size() + row.login.size() + row.user.size() +
                       row.mail_subject.size() + row.recipient.size() + row.original.size() +
                       row.router.size() + row.transport.size() + row.host.size() +
                       row.host_ip.size() + row.reply_class.size() + row.reply.size();
  return static_cast<int64_t>(texts + 40 + keys * 16);
}

void CountRow(int64_t row_key, int64_t bytes, absl::Time now, LedgerSegment* segment) {
  segment->first_row = segment->rows == 0 ? row_key : std::min(segment->first_row, row_key);
  segment->last_row = segment->rows == 0 ? row_key : std::max(segment->last_row, row_key);
  segment->newest = std::max(segment->newest, std::min(TimeOfRowKey(row_key), now));
  ++segment->rows;
  segment->bytes += bytes;
}

absl::StatusOr<std::vector<LedgerSegment>> ReadLedgerSegments(Database* db) {
  absl::StatusOr<Statement> read = db->Prepare(
      "SELECT number, node, started, newest, rows, bytes, first_row, last_row "
      "FROM ledger_segment ORDER BY number");
  if (!read.ok()) return read.status();
  std::vector<LedgerSegment> segments;
  while (true) {
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return segments;
    segments.push_back({.number = read->Int(0),
                        .node = std::string(read->Text(1)),
                        .started = TimeColumn(*read, 2),
                        .newest = TimeColumn(*read, 3),
                        .rows = read->Int(4),
                        .bytes = read->Int(5),
                        .first_row = read->Int(6),
                        .last_row = read->Int(7)});
  }
}

absl::string_view LedgerColumns() {
  return "message_id, arrival, subject, narrower, sender, login, user, mail_subject, recipient, "
         "router, transport, host, host_ip, outcome, left_out, reply_class, reply";
}

absl::StatusOr<LedgerRow> ReadLedgerRow(const Statement& statement, const LedgerSegment& segment) {
  LedgerRow row;
  row.row = statement.Int(0);
  row.time = TimeOfRowKey(row.row);
  row.node = segment.node;
  row.arrival = statement.IsNull(2) ? absl::InfinitePast() : absl::FromUnixMillis(statement.Int(2));
  int column = 1;
  for (std::string* text :
       {&row.message_id, static_cast<std::string*>(nullptr), &row.subject, &row.narrower,
        &row.sender, &row.login, &row.user, &row.mail_subject, &row.recipient, &row.router,
        &row.transport, &row.host, &row.host_ip, static_cast<std::string*>(nullptr),
        static_cast<std::string*>(nullptr), &row.reply_class, &row.reply}) {
    if (text != nullptr) *text = std::string(statement.Text(column));
    ++column;
  }
  SplitRecipient(&row);
  const int64_t outcome = statement.Int(14);
  const int64_t left_out = statement.Int(15);
  if (outcome < 0 || outcome > kOutcomes - 1 || left_out < 0 || left_out >= kLeftOutReasons) {
    return absl::DataLossError(absl::StrCat("ledger row ", row.row, ": damaged"));
  }
  row.outcome = static_cast<Outcome>(outcome);
  row.left_out = static_cast<LeftOut>(left_out);
  return row;
}

absl::StatusOr<std::string> ReadRecipientKey(Database* db) {
  absl::StatusOr<Statement> read =
      db->Prepare("SELECT value FROM ledger WHERE name = 'recipient_key'");
  if (!read.ok()) return read.status();
  absl::StatusOr<bool> row = read->Step();
  if (!row.ok()) return row.status();
  return *row ? std::string(read->Text(0)) : std::string();
}

absl::StatusOr<absl::Time> ReadForgottenUntil(Database* db) {
  absl::StatusOr<Statement> read =
      db->Prepare("SELECT value FROM ledger WHERE name = 'forgotten_until'");
  if (!read.ok()) return read.status();
  absl::StatusOr<bool> row = read->Step();
  if (!row.ok()) return row.status();
  int64_t key = 0;
  if (!*row || !absl::SimpleAtoi(read->Text(0), &key)) return absl::InfinitePast();
  return TimeOfRowKey(key);
}

namespace {

absl::Status KeepForgottenUntil(Database* db, int64_t row_key) {
  absl::StatusOr<absl::Time> known = ReadForgottenUntil(db);
  if (!known.ok()) return known.status();
  if (*known >= TimeOfRowKey(row_key)) return absl::OkStatus();
  absl::StatusOr<Statement> put =
      db->Prepare("INSERT OR REPLACE INTO ledger VALUES ('forgotten_until', ?)");
  if (!put.ok()) return put.status();
  return put->Run(absl::StrCat(row_key));
}

// Rows of one segment that match, among at most `most`; `next` is where to go on.
absl::Status FindRows(Database* db, const ForgetFilter& filter, const LedgerSegment& segment,
                      int64_t most, ForgetPlace* next, int64_t* looked,
                      std::vector<LedgerRow>* found) {
  absl::StatusOr<Statement> walk =
      db->Prepare(absl::StrCat("SELECT row, ", LedgerColumns(), " FROM ledger_", segment.number,
                               " WHERE row >= ? ORDER BY row LIMIT ?"));
  if (!walk.ok()) return walk.status();
  walk->Bind(next->row, most - *looked);
  while (true) {
    absl::StatusOr<bool> any = walk->Step();
    if (!any.ok()) return any.status();
    if (!*any) break;
    absl::StatusOr<LedgerRow> row = ReadLedgerRow(*walk, segment);
    if (!row.ok()) return row.status();
    ++*looked;
    next->row = row->row + 1;
    if (filter.Matches(*row)) found->push_back(*std::move(row));
  }
  if (*looked < most) *next = {.segment = segment.number + 1};
  return absl::OkStatus();
}

absl::Status RemoveRows(Database* db, const std::vector<LedgerRow>& rows, LedgerSegment* segment) {
  absl::StatusOr<Statement> remove =
      db->Prepare(absl::StrCat("DELETE FROM ledger_", segment->number, " WHERE row = ?"));
  if (!remove.ok()) return remove.status();
  LedgerKeys keys;
  for (const LedgerRow& row : rows) {
    absl::Status removed = remove->Run(row.row);
    if (!removed.ok()) return removed;
    KeysOf(row, &keys);
    --segment->rows;
    segment->bytes -= LedgerBytes(row, keys.size());
  }
  absl::Status kept = KeepForgottenUntil(db, rows.back().row);
  return kept.ok() ? StoreSegment(db, *segment) : kept;
}

absl::StatusOr<ForgetStep> ForgetSome(Database* db, const ForgetFilter& filter,
                                      const ForgetPlace& from, int64_t most, bool only_count,
                                      LocalStore::Stats* stats) {
  absl::StatusOr<std::vector<LedgerSegment>> segments = ReadLedgerSegments(db);
  if (!segments.ok()) return segments.status();
  ForgetStep step;
  step.next = from;
  int64_t looked = 0;
  double passed = 0;  // segments
  for (LedgerSegment& segment : *segments) {
    if (segment.number < step.next.segment) ++passed;
    if (segment.number < step.next.segment || looked >= most) continue;
    if (segment.number > step.next.segment) step.next = {.segment = segment.number};
    std::vector<LedgerRow> found;
    absl::Status status = FindRows(db, filter, segment, most, &step.next, &looked, &found);
    if (status.ok() && !found.empty() && !only_count) status = RemoveRows(db, found, &segment);
    if (!status.ok()) return status;
    step.matched += static_cast<int64_t>(found.size());
    const auto span =
        static_cast<double>(segment.last_row) - static_cast<double>(segment.first_row);
    const double reached =
        (static_cast<double>(step.next.row) - static_cast<double>(segment.first_row)) / (span + 1);
    passed += step.next.segment > segment.number ? 1 : std::clamp(reached, 0.0, 1.0);
  }
  step.done = segments->empty() || step.next.segment > segments->back().number;
  step.progress = step.done ? 1 : passed / static_cast<double>(segments->size());
  stats->ledger_rows = 0;
  for (const LedgerSegment& segment : *segments) stats->ledger_rows += segment.rows;
  return step;
}

}  // namespace

absl::StatusOr<ForgetStep> ForgetLedgerRows(Database* db, const ForgetFilter& filter,
                                            const ForgetPlace& from, int64_t most, bool only_count,
                                            LocalStore::Stats* stats) {
  absl::Status begun = db->Execute("BEGIN IMMEDIATE");
  if (!begun.ok()) return begun;
  absl::StatusOr<ForgetStep> step = ForgetSome(db, filter, from, most, only_count, stats);
  if (step.ok()) {
    absl::Status committed = db->Execute("COMMIT");
    if (!committed.ok()) step = committed;
  }
  if (!step.ok()) db->Rollback();
  return step;
}

absl::Status WriteLedger(Database* db, absl::string_view node, const LedgerOptions& options,
                         const std::vector<LedgerRow>& rows, absl::Time now,
                         LocalStore::Stats* stats) {
  absl::StatusOr<std::vector<LedgerSegment>> segments = ReadLedgerSegments(db);
  if (!segments.ok()) return segments.status();
  absl::Status status = absl::OkStatus();
  if (options.enabled && !rows.empty()) {
    Appender appender(db, node, options, now, &*segments);
    if (options.hash_recipients) {
      absl::StatusOr<std::string> key = RecipientKeyForWriting(db);
      if (!key.ok()) return key.status();
      const RecipientHash hash(*key);
      LedgerRow hidden;
      for (size_t i = 0; status.ok() && i < rows.size(); ++i) {
        hidden = rows[i];
        hash.HideIn(&hidden);
        status = appender.Append(hidden);
      }
    } else {
      for (size_t i = 0; status.ok() && i < rows.size(); ++i) status = appender.Append(rows[i]);
    }
    if (status.ok()) status = appender.Finish();
    if (!status.ok()) return status;
  }
  status = DropDue(db, options, now, &*segments, &stats->dropped_segments);
  stats->segments = static_cast<int64_t>(segments->size());
  stats->ledger_rows = 0;
  for (const LedgerSegment& segment : *segments) stats->ledger_rows += segment.rows;
  return status;
}

}  // namespace deferd
