// Copies of the state database: made while deferd runs, and put back while it does not.
//
// A backup is one SQLite file: all tables of state.db as of one commit, the table deferd_backup,
// which says whose state it is, and the table deferd_backup_file with the other files of state_dir
// that a service cannot do without (kBackupFiles), so it holds secrets. Log positions and counts
// are of the same commit, so a restored deferd reads the logs from there, and counts every line
// once.
//
// The source is opened for reading only. Nothing but the daemon's store may open state.db for
// writing: SQLite 3.40 can damage a write-ahead log that two connections write.
//
// Plain functions. Errors name the file and say what to do.

#ifndef DEFERD_LIMITER_STORE_BACKUP_H_
#define DEFERD_LIMITER_STORE_BACKUP_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace deferd {

// The tokens of the HTTP API, hashed, and the key of the owners' links. Restored where there is
// none: what is there may know of a revocation that the backup does not.
inline constexpr const char* kBackupFiles[] = {"tokens.json", "owner-links.key"};

using BackupProgress = std::function<void(double)>;  // of the whole, 0 to 1; may be empty

struct BackupInfo {
  std::string node;  // empty: a plain copy of state.db, which does not say
  int64_t incarnation = 0;
  std::string version;                     // the program that made it
  absl::Time made = absl::InfinitePast();  // not known of a plain copy
  int64_t format = 0;
  int64_t bytes = 0;
  int64_t attempts = 0;            // rows of the ledger
  std::vector<std::string> files;  // of kBackupFiles
};

// Copies the state in `state_dir` to `file`, which must not exist, with mode 0600, and checks the
// copy. On failure no file is left. `node_name` is the configured name, `version` the program's.
absl::StatusOr<BackupInfo> WriteBackup(const std::string& state_dir, const std::string& node_name,
                                       const std::string& file, const std::string& version,
                                       absl::Time now, const BackupProgress& progress);

struct RestoredBackup {
  BackupInfo info;
  std::string kept;                   // where the former state.db is; empty: there was none
  std::vector<std::string> put_back;  // of info.files: there was none; the others stay as they are
};

// Replaces the state in `state_dir` by `file`, after a check of all of it. The former state.db
// stays beside it under another name. AlreadyExists: a daemon runs. FailedPrecondition: of a newer
// format, or of another node. DataLoss: damaged. On failure the former state stays in force.
absl::StatusOr<RestoredBackup> RestoreBackup(const std::string& file, const std::string& state_dir,
                                             const std::string& node_name, absl::Time now,
                                             const BackupProgress& progress);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_BACKUP_H_
