#include "limiter/store/sqlite_store.h"

#include <sys/stat.h>

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "limiter/port/mutex.h"
#include "limiter/store/checksums.h"
#include "limiter/store/ledger_search.h"
#include "limiter/store/ledger_segments.h"
#include "limiter/store/recipient_hash.h"
#include "limiter/store/schema.h"
#include "limiter/store/sqlite.h"
#include "limiter/store/state_tables.h"

namespace deferd {

namespace {

class SqliteStore : public LocalStore {
 public:
  SqliteStore(std::unique_ptr<Database> db, StateTables tables, absl::string_view node,
              LedgerOptions options)
      : db_(std::move(db)), tables_(std::move(tables)), node_(node), options_(std::move(options)) {}

  absl::Status ReadStats() {
    absl::StatusOr<std::vector<LedgerSegment>> segments = ReadLedgerSegments(db_.get());
    if (!segments.ok()) return segments.status();
    Stats stats;
    stats.segments = static_cast<int64_t>(segments->size());
    for (const LedgerSegment& segment : *segments) stats.ledger_rows += segment.rows;
    MutexLock lock(&mutex_);
    stats_ = stats;
    return absl::OkStatus();
  }

  absl::Status Load(StateVisitor* visitor) override {
    absl::Status status = db_->Execute("BEGIN");
    if (status.ok()) status = tables_.Load(visitor);
    db_->Rollback();
    return status;
  }

  absl::Status Commit(const StoreBatch& batch) override {
    if (!batch.overwrite) return CommitWhole(batch);
    absl::Status status = db_->Execute("PRAGMA secure_delete = ON");
    if (status.ok()) status = CommitWhole(batch);
    db_->Execute("PRAGMA secure_delete = FAST").IgnoreError();
    return status;
  }

  absl::StatusOr<ForgetFilter> MakeForgetFilter(absl::string_view what) override {
    absl::StatusOr<std::string> key = ReadRecipientKey(db_.get());
    if (!key.ok()) return key.status();
    const bool hidden = !key->empty() && IsBareAddress(what);
    return ForgetFilter(what, hidden ? RecipientHash(*key).Hashed(what) : "");
  }

  absl::StatusOr<ForgetStep> ForgetRows(const ForgetFilter& filter, const ForgetPlace& from,
                                        int64_t most, bool only_count) override {
    absl::Status status = db_->Execute("PRAGMA secure_delete = ON");
    if (!status.ok()) return status;
    Stats stats = counted();
    absl::StatusOr<ForgetStep> step =
        ForgetLedgerRows(db_.get(), filter, from, most, only_count, &stats);
    db_->Execute("PRAGMA secure_delete = FAST").IgnoreError();
    if (!step.ok()) return step;
    MutexLock lock(&mutex_);
    stats_ = stats;
    return step;
  }

  std::unique_ptr<LedgerReader> NewReader() override {
    return NewSqliteReader(db_->path(), options_);
  }

  Stats stats() const override {
    Stats stats = counted();
    for (const char* suffix : {"", "-wal", "-shm"}) {
      struct stat file = {};
      if (stat(absl::StrCat(db_->path(), suffix).c_str(), &file) == 0) stats.bytes += file.st_size;
    }
    return stats;
  }

 private:
  absl::Status CommitWhole(const StoreBatch& batch) {
    // SQLite ignores a change of this within a transaction.
    absl::Status status =
        db_->Execute(batch.durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    if (status.ok()) status = db_->Execute("BEGIN IMMEDIATE");
    if (!status.ok()) return status;
    Stats stats = counted();
    status = tables_.Write(batch);
    if (status.ok()) {
      status = WriteLedger(db_.get(), node_, options_, batch.ledger, batch.now, &stats);
    }
    if (status.ok()) status = db_->Execute("COMMIT");
    if (!status.ok()) {
      db_->Rollback();
      return status;
    }
    write_back_ = write_back_ || batch.durable;
    if (write_back_) write_back_ = !WriteBack(/*wait=*/batch.durable);
    MutexLock lock(&mutex_);
    stats_ = stats;
    return absl::OkStatus();
  }

  // Moves all of the log of changes into the file and empties it. What is damaged there later, or
  // cut off, undoes what came later and nothing before: positions say so, and the logs are read
  // again, but a person's decision stands in no log. False while a search needs the log of changes;
  // what is committed is committed in any case.
  bool WriteBack(bool wait) {
    db_->Execute(wait ? "PRAGMA busy_timeout = 250" : "PRAGMA busy_timeout = 0").IgnoreError();
    const absl::StatusOr<int64_t> busy = db_->Number("PRAGMA wal_checkpoint(TRUNCATE)");
    db_->Execute(absl::StrCat("PRAGMA busy_timeout = ", kBusyMillis)).IgnoreError();
    return busy.ok() && *busy == 0;
  }

  Stats counted() const {
    MutexLock lock(&mutex_);
    return stats_;
  }

  const std::unique_ptr<Database> db_;
  StateTables tables_;
  const std::string node_;
  const LedgerOptions options_;
  bool write_back_ = false;  // the log of changes has what must not be lost with it

  mutable Mutex mutex_;
  Stats stats_ ABSL_GUARDED_BY(mutex_);  // without the files' bytes
};

}  // namespace

absl::StatusOr<std::unique_ptr<LocalStore>> OpenSqliteStore(const std::string& path,
                                                            absl::string_view node,
                                                            const LedgerOptions& options) {
  absl::StatusOr<std::unique_ptr<Database>> db = OpenForWriting(path);
  if (!db.ok()) return db.status();
  absl::Status sound = CheckStateTables(db->get());
  if (!sound.ok()) return sound;
  absl::StatusOr<StateTables> tables = StateTables::Open(db->get());
  if (!tables.ok()) return tables.status();
  auto store = std::make_unique<SqliteStore>(*std::move(db), *std::move(tables), node, options);
  absl::Status status = store->ReadStats();
  if (!status.ok()) return status;
  return store;
}

absl::Status CheckSqliteStore(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(path, SQLITE_OPEN_READONLY);
  if (!db.ok()) return db.status();
  absl::StatusOr<Statement> check = (*db)->Prepare("PRAGMA quick_check(1)");
  if (!check.ok()) return check.status();
  absl::StatusOr<bool> row = check->Step();
  if (!row.ok()) return row.status();
  const std::string found = *row ? std::string(check->Text(0)) : "nothing";
  if (found == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": is damaged: ", found));
}

}  // namespace deferd
