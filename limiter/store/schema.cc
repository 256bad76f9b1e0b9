#include "limiter/store/schema.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/store/checksums.h"

namespace deferd {

namespace {

constexpr off_t kHeaderBytes = 100;  // of each SQLite file; a shorter one it takes for a new one
constexpr int64_t kApplicationId = 0x64667264;  // "dfrd"

// Comments stay in the file: `.schema` shows them.
constexpr char kCreateTables[] = R"sql(
CREATE TABLE log (  -- how far each log is read
  source TEXT PRIMARY KEY,
  reader TEXT NOT NULL,
  gaps INTEGER NOT NULL,
  last_gap INTEGER
) WITHOUT ROWID;
CREATE TABLE log_file (  -- the files of a log, in the order in which they had its name
  source TEXT NOT NULL,
  number INTEGER NOT NULL,
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  head_length INTEGER NOT NULL,
  head_hash INTEGER NOT NULL,
  tail_length INTEGER NOT NULL,
  tail_hash INTEGER NOT NULL,
  rotated INTEGER NOT NULL,
  PRIMARY KEY (source, number)
) WITHOUT ROWID;
CREATE TABLE open_message (  -- messages in the queue
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  message_id TEXT NOT NULL,
  arrival INTEGER,
  sender TEXT NOT NULL,
  login TEXT NOT NULL,
  user TEXT NOT NULL,
  host TEXT NOT NULL,
  identified_domain TEXT NOT NULL,
  made_by_mta INTEGER NOT NULL,
  sender_vouched INTEGER NOT NULL,
  PRIMARY KEY (source, id)
) WITHOUT ROWID;
CREATE TABLE window (
  kind INTEGER NOT NULL,  -- 0 domain, 1 login, 2 account, 3 script, 4 local, 5 forward
  id TEXT NOT NULL,
  seconds INTEGER NOT NULL,
  row BLOB NOT NULL,
  PRIMARY KEY (kind, id, seconds)
) WITHOUT ROWID;
CREATE TABLE contribution (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE clearing (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE block_case (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE receipt (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;  -- by case
CREATE TABLE fact (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE case_event (
  number INTEGER PRIMARY KEY,
  time INTEGER,
  text TEXT NOT NULL
);
CREATE TABLE ledger (  -- of all segments together
  name TEXT PRIMARY KEY,  -- recipient_key: of the recipients' hashes
  value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE ledger_segment (  -- each has the tables ledger_NUMBER and ledger_index_NUMBER
  number INTEGER PRIMARY KEY,
  node TEXT NOT NULL,
  started INTEGER,
  newest INTEGER,  -- the latest time of its rows, or the clock's where that was earlier
  rows INTEGER NOT NULL,
  bytes INTEGER NOT NULL,  -- of its rows and index, without the pages' own
  first_row INTEGER NOT NULL,
  last_row INTEGER NOT NULL
);
CREATE TABLE ledger_run (  -- the parts of each segment's index
  segment INTEGER NOT NULL,
  number INTEGER NOT NULL,
  level INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  buckets INTEGER NOT NULL,
  first_row INTEGER NOT NULL,
  last_row INTEGER NOT NULL,
  PRIMARY KEY (segment, number)
) WITHOUT ROWID;
)sql";

// What format 2 has beyond format 1.
constexpr char kTablesOfFormat2[] = R"sql(
CREATE TABLE left_out (  -- answers that are shown and do not count, by class
  kind INTEGER NOT NULL,
  id TEXT NOT NULL,
  seconds INTEGER NOT NULL,
  row BLOB NOT NULL,
  PRIMARY KEY (kind, id, seconds)
) WITHOUT ROWID;
ALTER TABLE open_message ADD COLUMN deferred TEXT NOT NULL DEFAULT '';  -- a recipient a line
CREATE TABLE place (name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;  -- that fails now
)sql";

// What format 3 has beyond format 2.
constexpr char kTablesOfFormat3[] = R"sql(
ALTER TABLE log ADD COLUMN cursor TEXT NOT NULL DEFAULT '';  -- of the journal's last entry read
)sql";

// Format 4 has checksums. Format 5 has a message's contributions in several rows, which an older
// deferd would take for as many messages.

// An older deferd ignores this table, so it needs no format of its own.
constexpr char kCreateNotices[] =
    "CREATE TABLE IF NOT EXISTS notice "
    "(name TEXT PRIMARY KEY, text TEXT NOT NULL, crc INTEGER) WITHOUT ROWID;";

// Overwriting freed pages (Debian's default) would write each dropped segment once more. FAST
// overwrites what is deleted or moved inside pages that are written anyway, so that no copy of a
// row outlives it there (forget_filter.h). Checking cells costs little, and damage is then an error
// where it would else be a wild read.
constexpr char kPragmas[] =
    "PRAGMA secure_delete = FAST; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF;"
    "PRAGMA temp_store = MEMORY;";

absl::Status CheckFormat(Database* db) {
  absl::StatusOr<int64_t> format = db->Number("PRAGMA user_version");
  if (!format.ok()) return format.status();
  absl::StatusOr<int64_t> application = db->Number("PRAGMA application_id");
  if (!application.ok()) return application.status();
  absl::StatusOr<int64_t> tables = db->Number("SELECT count(*) FROM sqlite_master");
  if (!tables.ok()) return tables.status();
  if (*application != kApplicationId && (*tables > 0 || *format != 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat(db->path(),
                     ": is a database of another program, or damaged; give deferd a state_dir "
                     "of its own"));
  }
  if (*format > kStoreFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        db->path(), ": is of a newer deferd (format ", *format, ", this one knows ", kStoreFormat,
        "), or damaged; install that version, or give this one another state_dir"));
  }
  return absl::OkStatus();
}

// Two that start at once: the second waits for the first, and finds the tables.
absl::Status MakeTables(Database* db) {
  absl::Status status = db->Execute("BEGIN IMMEDIATE");
  if (!status.ok()) return status;
  absl::StatusOr<int64_t> format = db->Number("PRAGMA user_version");
  status = format.status();
  if (status.ok() && *format < kStoreFormat) {
    status = db->Execute(absl::StrCat(
        *format < 1 ? kCreateTables : "", *format < 2 ? kTablesOfFormat2 : "",
        *format < 3 ? kTablesOfFormat3 : "", *format < 4 ? AddChecksums() : "",
        "PRAGMA application_id = ", kApplicationId, "; PRAGMA user_version = ", kStoreFormat));
  }
  if (status.ok()) status = db->Execute(kCreateNotices);
  if (status.ok()) status = db->Execute("COMMIT");
  if (!status.ok()) db->Rollback();
  return status;
}

// Makes the file where there is none. It has its name from when its tables are in it: whatever
// stops this, an empty file under the name is a damaged one.
absl::Status MakeFile(const std::string& path) {
  const std::string unnamed = path + ".new";
  for (const char* suffix : {"", "-journal"}) unlink((unnamed + suffix).c_str());
  // SQLite would make it readable by everyone.
  const int fd = open(unnamed.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  if (fd >= 0) close(fd);
  {
    absl::StatusOr<std::unique_ptr<Database>> db =
        Database::Open(unnamed, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    if (!db.ok()) return db.status();
    absl::Status status = DefineChecksum(db->get());
    if (status.ok()) status = (*db)->Execute("PRAGMA auto_vacuum = NONE");
    if (status.ok()) status = MakeTables(db->get());
    if (!status.ok()) return status;
  }
  // Never over another's that came meanwhile.
  const bool named = link(unnamed.c_str(), path.c_str()) == 0 || errno == EEXIST;
  const int error = errno;
  unlink(unnamed.c_str());
  if (named) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(path, ": cannot be made: ", std::strerror(error)));
}

absl::Status MakeOrMeasure(const std::string& path) {
  struct stat file = {};
  if (stat(path.c_str(), &file) != 0) return errno == ENOENT ? MakeFile(path) : absl::OkStatus();
  if (!S_ISREG(file.st_mode) || file.st_size >= kHeaderBytes) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": is damaged: it is cut off (", file.st_size,
                                          file.st_size == 1 ? " byte)" : " bytes)"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenForWriting(const std::string& path) {
  absl::Status whole = MakeOrMeasure(path);
  if (!whole.ok()) return whole;
  absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(path, SQLITE_OPEN_READWRITE);
  if (!db.ok()) return db.status();
  absl::Status status =
      (*db)->Execute(absl::StrCat("PRAGMA busy_timeout = ", kBusyMillis, ";", kPragmas));
  if (!status.ok()) return status;
  if ((*db)->read_only()) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": may not be written; it and its folder must be writable for deferd's user"));
  }
  status = DefineChecksum(db->get());
  if (status.ok()) status = CheckFormat(db->get());
  if (!status.ok()) return status;
  // 16 MiB hold what one commit touches of windows; the ledger is written at its ends alone. The
  // log of changes shrinks again after a search has held it up.
  status = (*db)->Execute(
      "PRAGMA auto_vacuum = NONE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
      "PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 67108864;");
  if (!status.ok()) return status;
  absl::StatusOr<Statement> mode = (*db)->Prepare("PRAGMA journal_mode");
  if (!mode.ok()) return mode.status();
  absl::StatusOr<bool> row = mode->Step();
  if (!row.ok()) return row.status();
  if (!*row || mode->Text(0) != "wal") {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": cannot keep a write-ahead log; state_dir must be on a local disk"));
  }
  mode->Reset();
  // The folder is writable, so this is what a damaged header says.
  if ((*db)->read_only()) {
    return absl::DataLossError(
        absl::StrCat(path, ": is damaged: its header says that it may not be written"));
  }
  status = MakeTables(db->get());
  if (!status.ok()) return status;
  return db;
}

absl::StatusOr<std::unique_ptr<Database>> OpenForReading(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(path, SQLITE_OPEN_READONLY);
  if (!db.ok()) return db.status();
  absl::Status status = (*db)->Execute(
      absl::StrCat("PRAGMA busy_timeout = 1000; PRAGMA cache_size = -16384;", kPragmas));
  if (!status.ok()) return status;
  return db;
}

std::optional<int64_t> ToColumn(absl::Time time) {
  if (time == absl::InfinitePast()) return std::nullopt;
  return absl::ToUnixMicros(time);
}

absl::Time TimeColumn(const Statement& row, int column) {
  if (row.IsNull(column)) return absl::InfinitePast();
  const int64_t micros = row.Int(column);
  if (micros == std::numeric_limits<int64_t>::max()) return absl::InfiniteFuture();
  return absl::FromUnixMicros(micros);
}

}  // namespace deferd
