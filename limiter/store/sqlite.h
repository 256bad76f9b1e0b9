// SQLite's C interface with owners and statuses; no more of it than the store uses.
//
// Confined to one thread at a time. Errors begin with the database's path and say what to do:
// Unavailable = the disk is full or failing, or another process holds the file, try again;
// FailedPrecondition = it may not be written or opened; DataLoss = it is damaged, or no database;
// DeadlineExceeded = the time given to SetDeadline has passed.

#ifndef DEFERD_LIMITER_STORE_SQLITE_H_
#define DEFERD_LIMITER_STORE_SQLITE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "sqlite3.h"

namespace deferd {

// A parameter that is stored as bytes; a plain string_view is stored as text. Both may hold any
// byte, NUL too.
struct Blob {
  absl::string_view bytes;
};

// A prepared statement: Bind and Step, or Run, again and again. Must not outlive its Database.
class Statement {
 public:
  // Starts over with these parameters, which must live until the last Step.
  template <typename... Args>
  void Bind(Args&&... args) {
    static_assert((!std::is_same_v<Args, std::string> && ...), "a text ends before it is read");
    Reset();
    int index = 0;
    (BindOne(++index, args), ...);
  }
  absl::StatusOr<bool> Step();  // true: there is a row, whose columns are read below
  void Reset() { sqlite3_reset(statement_.get()); }

  // Binds, runs to the end, and starts over.
  template <typename... Args>
  absl::Status Run(const Args&... args) {
    Bind(args...);
    return Finish();
  }

  // Columns of the present row, from 0. Text lives until the next Step.
  bool IsNull(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  int64_t Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  absl::string_view Text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };

  template <typename T>
  void BindOne(int index, const T& value) {
    if constexpr (std::is_integral_v<T>) {
      sqlite3_bind_int64(statement_.get(), index, static_cast<sqlite3_int64>(value));
    } else if constexpr (std::is_same_v<T, std::optional<int64_t>>) {
      if (value.has_value()) sqlite3_bind_int64(statement_.get(), index, *value);
      if (!value.has_value()) sqlite3_bind_null(statement_.get(), index);
    } else if constexpr (std::is_same_v<T, Blob>) {
      BindBytes(index, value.bytes, true);
    } else {
      BindBytes(index, value, false);
    }
  }
  void BindBytes(int index, absl::string_view bytes, bool blob);
  absl::Status Finish();

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// One connection.
class Database {
 public:
  // `path` as SQLite takes it; `flags` are sqlite3_open_v2's.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path, int flags);

  const std::string& path() const { return path_; }
  bool read_only() const { return sqlite3_db_readonly(db_.get(), "main") == 1; }

  // DataLoss also if `sql` names what is not there.
  absl::StatusOr<Statement> Prepare(absl::string_view sql);
  absl::Status Execute(const std::string& sql);            // one statement or several
  absl::StatusOr<int64_t> Number(const std::string& sql);  // the first column of the first row
  int64_t changes() const { return sqlite3_changes64(db_.get()); }  // rows, of the last statement
  // Ends a transaction if one is open. Never fails: SQLite has then rolled back by itself.
  void Rollback();
  // An SQL function of any number of values, for this connection's statements alone; it depends on
  // nothing but them.
  absl::Status DefineFunction(const char* name,
                              void (*function)(sqlite3_context* context, int count,
                                               sqlite3_value** values));

  // Statements that run longer than until `deadline` end with DeadlineExceeded.
  void SetDeadline(std::chrono::steady_clock::time_point deadline);
  bool DeadlinePassed() const { return std::chrono::steady_clock::now() >= deadline_; }
  absl::Status DeadlineError() const;
  // Called now and then while a statement runs.
  void OnProgress(std::function<void()> progress);

 private:
  friend class Statement;
  static int Progress(void* database);
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  explicit Database(std::string path) : path_(std::move(path)) {}

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
  std::function<void()> progress_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_SQLITE_H_
