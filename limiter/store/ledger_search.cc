#include "limiter/store/ledger_search.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "limiter/port/mutex.h"
#include "limiter/store/ledger_filter.h"
#include "limiter/store/ledger_index.h"
#include "limiter/store/ledger_segments.h"
#include "limiter/store/recipient_hash.h"
#include "limiter/store/schema.h"
#include "limiter/store/state_tables.h"

namespace deferd {

namespace {

constexpr int kRowsBetweenClocks = 64;

// A stream of row keys that may match, greatest first.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual absl::StatusOr<std::optional<int64_t>> Next() = 0;
  // The row itself as the last Next left it, if that read it; or null.
  virtual const Statement* Row() const { return nullptr; }
};

// The rows of a run that the index gives.
class RunSource : public RowSource {
 public:
  RunSource(const LedgerFilter* filter, LedgerIndexReader* index, const LedgerRun& run)
      : filter_(filter), index_(index), run_(run) {}

  absl::StatusOr<std::optional<int64_t>> Next() override {
    if (!found_) {
      absl::StatusOr<std::vector<int64_t>> rows = index_->Find(run_, filter_->keys());
      if (!rows.ok()) return rows.status();
      rows_ = *std::move(rows);
      rows_.erase(std::lower_bound(rows_.begin(), rows_.end(), filter_->end_row()), rows_.end());
      found_ = true;
    }
    if (rows_.empty() || rows_.back() < filter_->first_row()) return std::nullopt;
    const int64_t row = rows_.back();
    rows_.pop_back();
    return row;
  }

 private:
  const LedgerFilter* const filter_;
  LedgerIndexReader* const index_;
  const LedgerRun run_;
  bool found_ = false;
  std::vector<int64_t> rows_;  // what is left, least first
};

// The columns of a row in `segment`, where they are to be read. Of rows with other outcomes no
// column is: half of them are, of arrivals. A damaged outcome passes, to be reported.
std::string SelectRow(const LedgerFilter& filter, int64_t segment, absl::string_view where) {
  int64_t others = 0;
  for (int outcome = 0; outcome < kOutcomes; ++outcome) {
    if (!filter.MatchesOutcome(static_cast<Outcome>(outcome))) others |= int64_t{1} << outcome;
  }
  return absl::StrCat("SELECT row, ", LedgerColumns(), " FROM ledger_", segment, " WHERE (", others,
                      " >> outcome) & 1 = 0 AND ", where);
}

// All rows of a segment.
class SegmentSource : public RowSource {
 public:
  SegmentSource(Database* db, const LedgerFilter* filter, int64_t segment)
      : db_(db), filter_(filter), segment_(segment) {}

  absl::StatusOr<std::optional<int64_t>> Next() override {
    if (!walk_.has_value()) {
      absl::StatusOr<Statement> walk =
          db_->Prepare(SelectRow(*filter_, segment_, "row >= ? AND row < ? ORDER BY row DESC"));
      if (!walk.ok()) return walk.status();
      walk_ = *std::move(walk);
      walk_->Bind(filter_->first_row(), filter_->end_row());
    }
    absl::StatusOr<bool> row = walk_->Step();
    if (!row.ok()) return row.status();
    if (!*row) return std::nullopt;
    return walk_->Int(0);
  }
  const Statement* Row() const override { return &*walk_; }

 private:
  Database* const db_;
  const LedgerFilter* const filter_;
  const int64_t segment_;
  std::optional<Statement> walk_;
};

class Search {
 public:
  Search(Database* db, LedgerFilter filter) : db_(db), filter_(std::move(filter)) {}

  absl::StatusOr<LedgerPage> Run(size_t limit) {
    absl::Status status = AddSources();
    if (!status.ok()) return status;
    LedgerPage page;
    for (int looked = 0; !heads_.empty() && limit > 0; ++looked) {
      if (looked % kRowsBetweenClocks == 0 && db_->DeadlinePassed()) return db_->DeadlineError();
      const Head head = heads_.top();
      heads_.pop();
      Source& source = sources_[head.source];
      if (head.is_row) {
        absl::StatusOr<std::optional<LedgerRow>> row = Fetch(head.row, &source);
        if (!row.ok()) return row.status();
        if (row->has_value() && filter_.Matches(**row)) {
          if (page.rows.size() == limit) {
            page.next = page.rows.back().row;
            return page;
          }
          page.rows.push_back(**std::move(row));
        }
      }
      absl::StatusOr<std::optional<int64_t>> next = source.rows->Next();
      if (!next.ok()) return next.status();
      if (next->has_value()) heads_.push({**next, true, head.source});
    }
    return page;
  }

 private:
  struct Segment {
    LedgerSegment segment;
    std::optional<LedgerIndexReader> index;
    std::optional<Statement> fetch;
  };
  struct Source {
    Segment* segment;
    std::unique_ptr<RowSource> rows;
  };
  // The next row of a source, or a bound for all of its rows while it has not been asked.
  struct Head {
    int64_t row;
    bool is_row;
    size_t source;
    friend bool operator<(const Head& a, const Head& b) {
      return a.row != b.row ? a.row < b.row : a.is_row && !b.is_row;
    }
  };

  void Add(Segment* segment, int64_t last_row, std::unique_ptr<RowSource> rows) {
    heads_.push({last_row, false, sources_.size()});
    sources_.push_back({segment, std::move(rows)});
  }

  bool Overlaps(int64_t first_row, int64_t last_row) const {
    return last_row >= filter_.first_row() && first_row < filter_.end_row();
  }

  absl::Status AddSources() {
    absl::StatusOr<std::vector<LedgerSegment>> segments = ReadLedgerSegments(db_);
    if (!segments.ok()) return segments.status();
    for (LedgerSegment& one : *segments) {
      if (!Overlaps(one.first_row, one.last_row)) continue;
      Segment& segment = segments_[one.number];
      segment.segment = std::move(one);
      absl::Status added = AddSourcesOf(&segment);
      if (!added.ok()) return added;
    }
    return absl::OkStatus();
  }

  absl::Status AddSourcesOf(Segment* segment) {
    const int64_t number = segment->segment.number;
    if (filter_.keys().empty()) {
      Add(segment, segment->segment.last_row,
          std::make_unique<SegmentSource>(db_, &filter_, number));
      return absl::OkStatus();
    }
    absl::StatusOr<std::vector<LedgerRun>> runs = ReadLedgerRuns(db_, number);
    if (!runs.ok()) return runs.status();
    absl::StatusOr<LedgerIndexReader> index = LedgerIndexReader::Open(db_, number);
    if (!index.ok()) return index.status();
    segment->index = *std::move(index);
    for (const LedgerRun& run : *runs) {
      if (!Overlaps(run.first_row, run.last_row)) continue;
      Add(segment, run.last_row, std::make_unique<RunSource>(&filter_, &*segment->index, run));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::optional<LedgerRow>> Fetch(int64_t key, Source* source) {
    Segment& segment = *source->segment;
    if (const Statement* row = source->rows->Row()) return ReadLedgerRow(*row, segment.segment);
    if (!segment.fetch.has_value()) {
      absl::StatusOr<Statement> fetch =
          db_->Prepare(SelectRow(filter_, segment.segment.number, "row = ?"));
      if (!fetch.ok()) return fetch.status();
      segment.fetch = *std::move(fetch);
    }
    segment.fetch->Bind(key);
    absl::StatusOr<bool> found = segment.fetch->Step();
    if (!found.ok()) return found.status();
    if (!*found) return std::nullopt;
    absl::StatusOr<LedgerRow> row = ReadLedgerRow(*segment.fetch, segment.segment);
    if (!row.ok()) return row.status();
    return *std::move(row);
  }

  Database* const db_;
  const LedgerFilter filter_;
  std::map<int64_t, Segment> segments_;
  std::vector<Source> sources_;
  std::priority_queue<Head> heads_;
};

class SqliteReader : public LedgerReader {
 public:
  SqliteReader(std::string path, LedgerOptions options)
      : path_(std::move(path)), options_(std::move(options)) {}

  absl::StatusOr<LedgerPage> Search(const LedgerQuery& query) override {
    if (!options_.enabled) return LedgerIsOff();
    MutexLock lock(&mutex_);
    absl::Status status = Begin();
    if (!status.ok()) return status;
    absl::StatusOr<LedgerPage> page = SearchLedger(db_.get(), query);
    End(page.status());
    if (!absl::IsDeadlineExceeded(page.status())) return page;
    return absl::DeadlineExceededError(absl::StrCat(
        "the search took longer than ", absl::FormatDuration(options_.search_deadline),
        "; narrow it by a time (since, until), a domain, a sender, a recipient or a message id"));
  }

  absl::StatusOr<absl::Time> OldestTime() override {
    if (!options_.enabled) return LedgerIsOff();
    MutexLock lock(&mutex_);
    absl::Status status = Begin();
    if (!status.ok()) return status;
    absl::StatusOr<std::vector<LedgerSegment>> segments = ReadLedgerSegments(db_.get());
    End(segments.status());
    if (!segments.ok()) return segments.status();
    return OldestOf(*segments);
  }

  absl::StatusOr<absl::Time> ForgottenUntil() override {
    MutexLock lock(&mutex_);
    absl::Status status = Begin();
    if (!status.ok()) return status;
    absl::StatusOr<absl::Time> until = ReadForgottenUntil(db_.get());
    End(until.status());
    return until;
  }

  absl::StatusOr<std::string> Receipt(absl::string_view case_id) override {
    MutexLock lock(&mutex_);
    absl::Status status = Begin();
    if (!status.ok()) return status;
    absl::StatusOr<std::string> text = ReadReceipt(case_id);
    End(absl::IsNotFound(text.status()) ? absl::OkStatus() : text.status());
    return text;
  }

  absl::StatusOr<std::vector<OpenMessage>> OpenMessages(
      const absl::flat_hash_set<std::string>& ids) override {
    MutexLock lock(&mutex_);
    absl::Status status = Begin();
    if (!status.ok()) return status;
    std::vector<OpenMessage> found;
    status = ForEachOpenMessage(db_.get(), [&](const std::string&, OpenMessage message) {
      if (ids.contains(message.key.id)) found.push_back(std::move(message));
      return absl::OkStatus();
    });
    End(status);
    if (!status.ok()) return status;
    return found;
  }

 private:
  absl::Status Begin() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (db_ == nullptr) {
      absl::StatusOr<std::unique_ptr<Database>> db = OpenForReading(path_);
      if (!db.ok()) return db.status();
      db_ = *std::move(db);
    }
    db_->SetDeadline(std::chrono::steady_clock::now() +
                     absl::ToChronoNanoseconds(options_.search_deadline));
    absl::Status status = db_->Execute("BEGIN");
    if (!status.ok()) db_.reset();
    return status;
  }

  void End(const absl::Status& result) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    db_->Rollback();
    if (!result.ok() && !absl::IsDeadlineExceeded(result)) db_.reset();
  }

  absl::StatusOr<std::string> ReadReceipt(absl::string_view case_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    absl::StatusOr<Statement> read = db_->Prepare("SELECT text FROM receipt WHERE name = ?");
    if (!read.ok()) return read.status();
    read->Bind(case_id);
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return NoReceipt(case_id);
    return std::string(read->Text(0));
  }

  const std::string path_;
  const LedgerOptions options_;
  Mutex mutex_;
  std::unique_ptr<Database> db_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<LedgerPage> SearchLedger(Database* db, const LedgerQuery& query) {
  std::string hashed;
  if (!query.recipient.empty()) {
    absl::StatusOr<std::string> key = ReadRecipientKey(db);
    if (!key.ok()) return key.status();
    if (!key->empty()) hashed = RecipientHash(*key).Hashed(query.recipient);
  }
  return Search(db, LedgerFilter(query, hashed)).Run(query.limit);
}

std::unique_ptr<LedgerReader> NewSqliteReader(const std::string& path,
                                              const LedgerOptions& options) {
  return std::make_unique<SqliteReader>(path, options);
}

}  // namespace deferd
