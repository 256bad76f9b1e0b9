#include "limiter/store/sqlite.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

absl::Status ErrorOf(absl::string_view path, sqlite3* db, int code) {
  const std::string said =
      absl::StrCat(db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db), ", code ", code);
  switch (code & 0xFF) {
    case SQLITE_OK:
      return absl::OkStatus();
    case SQLITE_FULL:
      return absl::UnavailableError(
          absl::StrCat(path, ": the disk is full (", said, "); make room on it"));
    case SQLITE_IOERR: {
      const int error = db == nullptr ? 0 : sqlite3_system_errno(db);
      return absl::UnavailableError(
          absl::StrCat(path, ": the disk cannot be read or written (", said,
                       error == 0 ? "" : absl::StrCat(", ", std::strerror(error)),
                       "); look whether it is full or failing"));
    }
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return absl::UnavailableError(absl::StrCat(path, ": another process has it locked (", said,
                                                 "); let that one finish, or stop it"));
    case SQLITE_NOMEM:
      return absl::UnavailableError(absl::StrCat(path, ": no memory (", said, ")"));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": may not be written (", said,
                       "); it and its folder must be writable for deferd's user, on a disk mounted "
                       "for writing"));
    case SQLITE_CANTOPEN:
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": cannot be opened (", said,
                       "); it must be a file in a folder that deferd's user may write"));
    case SQLITE_INTERRUPT:
      return absl::DeadlineExceededError(absl::StrCat(path, ": took too long"));
    case SQLITE_ERROR:  // our texts are right, so the tables are not
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
      return absl::DataLossError(
          absl::StrCat(path, ": is damaged, or no database (", said,
                       "); move it aside and start again: the counts are read from the logs anew"));
    default:
      return absl::InternalError(absl::StrCat(path, ": ", said));
  }
}

constexpr int kProgressSteps = 1'000;

}  // namespace

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  sqlite3* db = sqlite3_db_handle(statement_.get());
  return ErrorOf(sqlite3_db_filename(db, "main"), db, code);
}

absl::Status Statement::Finish() {
  while (true) {
    absl::StatusOr<bool> row = Step();
    if (row.ok() && *row) continue;
    Reset();
    return row.status();
  }
}

absl::string_view Statement::Text(int column) const {
  // The blob form gives text too, byte for byte; it must come before the size.
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const int size = sqlite3_column_bytes(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes), static_cast<size_t>(size)};
}

void Statement::BindBytes(int index, absl::string_view bytes, bool blob) {
  const char* data = bytes.data() == nullptr ? "" : bytes.data();  // a null pointer would be NULL
  if (blob) {
    sqlite3_bind_blob64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC);
  } else {
    sqlite3_bind_text64(statement_.get(), index, data, bytes.size(), SQLITE_STATIC, SQLITE_UTF8);
  }
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, int flags) {
  // Nobody reads SQLite's figures of its memory, whose lock each allocation would take.
  [[maybe_unused]] static const int configured = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
  std::unique_ptr<Database> database(new Database(path));
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  database->db_.reset(db);
  if (code != SQLITE_OK) return ErrorOf(path, db, code);
  sqlite3_extended_result_codes(db, 1);
  return database;
}

absl::StatusOr<Statement> Database::Prepare(absl::string_view sql) {
  Statement statement;
  sqlite3_stmt* prepared = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  statement.statement_.reset(prepared);
  if (code != SQLITE_OK) return ErrorOf(path_, db_.get(), code);
  return statement;
}

absl::Status Database::Execute(const std::string& sql) {
  return ErrorOf(path_, db_.get(), sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr));
}

absl::StatusOr<int64_t> Database::Number(const std::string& sql) {
  absl::StatusOr<Statement> statement = Prepare(sql);
  if (!statement.ok()) return statement.status();
  absl::StatusOr<bool> row = statement->Step();
  if (!row.ok()) return row.status();
  return *row ? statement->Int(0) : 0;
}

void Database::Rollback() {
  if (sqlite3_get_autocommit(db_.get()) == 0) {
    sqlite3_exec(db_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

absl::Status Database::DefineFunction(const char* name,
                                      void (*function)(sqlite3_context* context, int count,
                                                       sqlite3_value** values)) {
  constexpr int kAnyCount = -1;
  return ErrorOf(path_, db_.get(),
                 sqlite3_create_function_v2(db_.get(), name, kAnyCount,
                                            SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY,
                                            nullptr, function, nullptr, nullptr, nullptr));
}

void Database::SetDeadline(std::chrono::steady_clock::time_point deadline) {
  deadline_ = deadline;
  sqlite3_progress_handler(db_.get(), kProgressSteps, Progress, this);
}

void Database::OnProgress(std::function<void()> progress) {
  progress_ = std::move(progress);
  sqlite3_progress_handler(db_.get(), kProgressSteps, Progress, this);
}

int Database::Progress(void* database) {
  const auto* self = static_cast<const Database*>(database);
  if (self->progress_) self->progress_();
  return self->DeadlinePassed() ? 1 : 0;
}

absl::Status Database::DeadlineError() const { return ErrorOf(path_, db_.get(), SQLITE_INTERRUPT); }

}  // namespace deferd
