#include "limiter/store/backup.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "limiter/port/replace_file.h"
#include "limiter/store/checksums.h"
#include "limiter/store/schema.h"
#include "limiter/store/sqlite.h"
#include "limiter/store/sqlite_store.h"
#include "limiter/store/state_dir.h"

namespace deferd {

namespace {

constexpr int kMostOfASecond = 100;  // restores

constexpr char kInfoTable[] =
    "CREATE TABLE deferd_backup (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID";
constexpr char kFileTable[] =
    "CREATE TABLE deferd_backup_file (name TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID";
constexpr size_t kMostOfAFile = 16 << 20;
// A node whose identity was lost with its disk may have started again since the backup, and other
// nodes believe the newest start.
constexpr int64_t kStartsSince = 1'000;
// The rest of the work is to check the copy.
constexpr double kCopyShare = 0.7;

absl::Status FileTrouble(const std::string& path, absl::string_view what) {
  const std::string said = std::strerror(errno);
  return absl::FailedPreconditionError(absl::StrCat(path, ": cannot ", what, ": ", said));
}

absl::Status SyncPath(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileTrouble(path, "open");
  absl::Cleanup close_fd = [fd] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : FileTrouble(path, "sync");
}

std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

void RemoveDatabase(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink((path + suffix).c_str());
}

// Errors about the working copy are about the file that the person named.
absl::Status Naming(const absl::Status& status, const std::string& copy, const std::string& file) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrReplaceAll(status.message(), {{copy, file}}));
}

// What is to be done about a damaged state.db is nothing to do about a damaged backup.
absl::Status AboutBackup(const absl::Status& status) {
  const absl::string_view message = status.message();
  const size_t advice = message.find("; move it aside");
  if (advice == absl::string_view::npos) return status;
  return absl::Status(status.code(),
                      absl::StrCat(message.substr(0, advice),
                                   "; nothing was changed: restore another backup, or none: deferd "
                                   "then reads the counts from the logs"));
}

int64_t SizeOf(const std::string& path) {
  struct stat file = {};
  return stat(path.c_str(), &file) == 0 ? file.st_size : 0;
}

absl::Status WriteInfo(Database* db, const BackupInfo& info) {
  absl::Status status = db->Execute(kInfoTable);
  if (!status.ok()) return status;
  absl::StatusOr<Statement> insert = db->Prepare("INSERT INTO deferd_backup VALUES (?, ?)");
  if (!insert.ok()) return insert.status();
  const std::pair<const char*, std::string> kValues[] = {
      {"node", info.node},
      {"incarnation", absl::StrCat(info.incarnation)},
      {"version", info.version},
      {"made", absl::StrCat(absl::ToUnixMicros(info.made))}};
  for (const auto& [name, value] : kValues) {
    status = insert->Run(name, value);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

struct StateFile {
  std::string name;
  std::string bytes;
};

// nullopt: there is none.
absl::StatusOr<std::optional<std::string>> ReadWhole(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT) return std::optional<std::string>();
  if (fd < 0) return FileTrouble(path, "read");
  absl::Cleanup close_fd = [fd] { close(fd); };
  std::string bytes;
  std::string buffer(64 << 10, '\0');
  while (true) {
    const ssize_t size = read(fd, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return FileTrouble(path, "read");
    if (size == 0) return std::optional<std::string>(std::move(bytes));
    bytes.append(buffer, 0, static_cast<size_t>(size));
    if (bytes.size() > kMostOfAFile) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": is too large for what it is"));
    }
  }
}

absl::Status WriteFiles(Database* db, const std::string& state_dir) {
  absl::Status status = db->Execute(kFileTable);
  if (!status.ok()) return status;
  absl::StatusOr<Statement> insert = db->Prepare("INSERT INTO deferd_backup_file VALUES (?, ?)");
  if (!insert.ok()) return insert.status();
  for (const char* name : kBackupFiles) {
    absl::StatusOr<std::optional<std::string>> bytes =
        ReadWhole(absl::StrCat(state_dir, "/", name));
    if (!bytes.ok()) return bytes.status();
    if (!bytes->has_value()) continue;
    status = insert->Run(std::string(name), Blob{**bytes});
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// None in a plain copy of state.db, or in a backup of an older deferctl.
absl::StatusOr<std::vector<StateFile>> ReadFiles(Database* db) {
  std::vector<StateFile> files;
  absl::StatusOr<int64_t> any =
      db->Number("SELECT count(*) FROM sqlite_master WHERE name = 'deferd_backup_file'");
  if (!any.ok()) return any.status();
  if (*any == 0) return files;
  absl::StatusOr<Statement> read =
      db->Prepare("SELECT bytes FROM deferd_backup_file WHERE name = ?");
  if (!read.ok()) return read.status();
  for (const char* name : kBackupFiles) {
    const std::string key = name;
    read->Bind(key);
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (*row) files.push_back({name, std::string(read->Text(0))});
    read->Reset();
  }
  return files;
}

// Returns the names of those that were missing.
absl::StatusOr<std::vector<std::string>> PutBack(const std::vector<StateFile>& files,
                                                 const std::string& state_dir) {
  std::vector<std::string> put_back;
  for (const StateFile& file : files) {
    const std::string path = absl::StrCat(state_dir, "/", file.name);
    if (access(path.c_str(), F_OK) == 0) continue;
    if (errno != ENOENT) return FileTrouble(path, "look for");
    if (const std::optional<ReplaceFailure> failure = ReplaceFile(path, file.bytes, 0600)) {
      return FileTrouble(failure->path, failure->what);
    }
    put_back.push_back(file.name);
  }
  return put_back;
}

absl::StatusOr<BackupInfo> ReadInfo(Database* db) {
  BackupInfo info;
  absl::StatusOr<int64_t> format = db->Number("PRAGMA user_version");
  if (!format.ok()) return format.status();
  info.format = *format;
  absl::StatusOr<int64_t> attempts = db->Number("SELECT total(rows) FROM ledger_segment");
  if (!attempts.ok()) return attempts.status();
  info.attempts = *attempts;
  absl::StatusOr<int64_t> any =
      db->Number("SELECT count(*) FROM sqlite_master WHERE name = 'deferd_backup'");
  if (!any.ok()) return any.status();
  if (*any == 0) return info;
  absl::StatusOr<Statement> read = db->Prepare("SELECT name, value FROM deferd_backup");
  if (!read.ok()) return read.status();
  while (true) {
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return info;
    const absl::string_view name = read->Text(0);
    const absl::string_view value = read->Text(1);
    int64_t number = 0;
    const bool is_number = absl::SimpleAtoi(value, &number);
    if (name == "node") info.node = std::string(value);
    if (name == "version") info.version = std::string(value);
    if (name == "incarnation" && is_number) info.incarnation = number;
    if (name == "made" && is_number) info.made = absl::FromUnixMicros(number);
  }
}

// An open file, or standard input ("-").
class Input {
 public:
  static absl::StatusOr<Input> Open(const std::string& path) {
    Input input;
    input.path_ = path;
    if (path == "-") return input;
    input.fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (input.fd_ >= 0) return input;
    const bool missing = errno == ENOENT;
    const absl::Status trouble = FileTrouble(path, "read");
    return missing ? absl::NotFoundError(trouble.message()) : trouble;
  }
  Input(Input&& other) noexcept
      : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, STDIN_FILENO)) {}
  Input& operator=(Input&&) = delete;
  ~Input() {
    if (fd_ > STDIN_FILENO) close(fd_);
  }

  absl::Status CopyTo(const std::string& to, const BackupProgress& progress) const {
    struct stat file = {};
    const int64_t total = fstat(fd_, &file) == 0 ? file.st_size : 0;
    const int out = open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (out < 0) return FileTrouble(to, "write");
    absl::Cleanup close_out = [out] { close(out); };
    std::string buffer(1 << 20, '\0');
    int64_t done = 0;
    while (true) {
      const ssize_t size = read(fd_, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) return FileTrouble(path_, "read");
      if (size == 0) break;
      for (ssize_t at = 0; at < size;) {
        const ssize_t written = write(out, buffer.data() + at, static_cast<size_t>(size - at));
        if (written < 0 && errno != EINTR) return FileTrouble(to, "write");
        if (written > 0) at += written;
      }
      done += size;
      if (progress && total > 0) {
        progress(kCopyShare *
                 std::min(1.0, static_cast<double>(done) / static_cast<double>(total)));
      }
    }
    return fsync(out) == 0 ? absl::OkStatus() : FileTrouble(to, "write");
  }

 private:
  Input() = default;
  std::string path_;
  int fd_ = STDIN_FILENO;
};

// All of the copy: SQLite's structure, the checksums, and that this deferd can read it. `bring_up`:
// makes it a state.db, and takes its other files out of it.
absl::StatusOr<BackupInfo> CheckCopy(const std::string& copy, std::vector<StateFile>* bring_up) {
  absl::Status sound = CheckSqliteStore(copy);
  if (!sound.ok()) return sound;
  absl::StatusOr<std::unique_ptr<Database>> db =
      bring_up != nullptr ? OpenForWriting(copy) : OpenForReading(copy);
  if (!db.ok()) return db.status();
  sound = DefineChecksum(db->get());
  if (!sound.ok()) return sound;
  absl::StatusOr<BackupInfo> info = ReadInfo(db->get());
  if (!info.ok()) return info;
  if (info->format == kStoreFormat) {
    sound = CheckStateTables(db->get());
    if (!sound.ok()) return sound;
  }
  info->bytes = SizeOf(copy);
  absl::StatusOr<std::vector<StateFile>> files = ReadFiles(db->get());
  if (!files.ok()) return files.status();
  for (const StateFile& file : *files) info->files.push_back(file.name);
  if (bring_up == nullptr) return info;
  *bring_up = *std::move(files);
  sound = (*db)->Execute(
      "PRAGMA secure_delete = ON; DROP TABLE IF EXISTS deferd_backup_file; "
      "DROP TABLE IF EXISTS deferd_backup; PRAGMA wal_checkpoint(TRUNCATE); "
      "PRAGMA journal_mode = DELETE");
  if (!sound.ok()) return sound;
  return info;
}

absl::Status Link(const std::string& from, const std::string& to) {
  if (link(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  if (errno == EEXIST) {
    return absl::AlreadyExistsError(absl::StrCat(to, ": is there already; name another file"));
  }
  return FileTrouble(to, "write");
}

// While it lives, root works as the owner of the directory: that user, whom the internet's bytes
// reach, could otherwise lead root's writing elsewhere, and could not open what root has made.
class AsOwnerOf {
 public:
  static absl::StatusOr<AsOwnerOf> Begin(const std::string& state_dir) {
    AsOwnerOf owner;
    struct stat dir = {};
    if (stat(state_dir.c_str(), &dir) != 0) return FileTrouble(state_dir, "read");
    if (geteuid() != 0 || dir.st_uid == 0) return owner;
    owner.group_ = getegid();
    if (setegid(dir.st_gid) != 0) return FileTrouble(state_dir, "become its group");
    owner.changed_ = true;
    if (seteuid(dir.st_uid) != 0) return FileTrouble(state_dir, "become its owner");
    return owner;
  }
  AsOwnerOf(AsOwnerOf&& other) noexcept
      : changed_(std::exchange(other.changed_, false)), group_(other.group_) {}
  AsOwnerOf& operator=(AsOwnerOf&&) = delete;
  ~AsOwnerOf() {
    if (changed_ && (seteuid(0) != 0 || setegid(group_) != 0)) std::abort();
  }

 private:
  AsOwnerOf() = default;
  bool changed_ = false;
  gid_t group_ = 0;
};

// The identity that the restored daemon has.
absl::StatusOr<NodeIdentity> IdentityAfter(const BackupInfo& info, const std::string& file,
                                           const std::string& state_dir,
                                           const std::string& node_name) {
  absl::StatusOr<NodeIdentity> ours = ReadIdentity(state_dir, node_name);
  if (!ours.ok()) return ours;
  if (info.node.empty()) return ours;
  if (!ours->node.empty() && ours->node != info.node) {
    return absl::FailedPreconditionError(absl::StrCat(
        file, ": is of node ", info.node, ", and ", state_dir, " is of node ", ours->node,
        "; two daemons must not have one name. If that machine is gone and this one takes its "
        "place, ",
        node_name.empty() ? absl::StrCat("remove ", state_dir, "/node")
                          : std::string("give this one its [shared] node"),
        " and restore again"));
  }
  if (ours->incarnation == 0) ours->incarnation = info.incarnation + kStartsSince;
  ours->node = info.node;
  ours->incarnation = std::max(ours->incarnation, info.incarnation);
  return ours;
}

// The former state.db keeps a name throughout, and state.db is one or the other at every moment.
absl::StatusOr<std::string> Replace(const std::string& copy, const std::string& state_dir,
                                    absl::Time now) {
  const std::string state = StatePath(state_dir);
  const std::string name = absl::StrCat(
      state, ".before-restore-", absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone()));
  std::string kept = name;
  // Another restore of this second has a name of its own.
  for (int n = 2; link(state.c_str(), kept.c_str()) != 0; ++n) {
    if (errno == EEXIST && n < kMostOfASecond) {
      kept = absl::StrCat(name, "-", n);
      continue;
    }
    if (errno != ENOENT) return FileTrouble(kept, "write");
    kept.clear();
    break;
  }
  for (const char* suffix : {"-wal", "-shm"}) {
    const std::string from = state + suffix;
    const int moved =
        kept.empty() ? unlink(from.c_str()) : rename(from.c_str(), (kept + suffix).c_str());
    if (moved != 0 && errno != ENOENT) return FileTrouble(from, "move aside");
  }
  if (rename(copy.c_str(), state.c_str()) != 0) return FileTrouble(state, "replace");
  absl::Status synced = SyncPath(state_dir);
  if (!synced.ok()) return synced;
  return kept;
}

}  // namespace

absl::StatusOr<BackupInfo> WriteBackup(const std::string& state_dir, const std::string& node_name,
                                       const std::string& file, const std::string& version,
                                       absl::Time now, const BackupProgress& progress) {
  const std::string state = StatePath(state_dir);
  if (access(file.c_str(), F_OK) == 0) {
    return absl::AlreadyExistsError(absl::StrCat(file, ": is there already; name another file"));
  }
  if (access(state.c_str(), R_OK) != 0) return FileTrouble(state, "read");
  absl::StatusOr<NodeIdentity> identity = ReadIdentity(state_dir, node_name);
  if (!identity.ok()) return identity.status();
  const std::string part = absl::StrCat(file, ".part-", getpid());
  RemoveDatabase(part);
  absl::Cleanup remove = [&part] { RemoveDatabase(part); };
  // Addresses are in it: for nobody else, whatever the mask.
  const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return FileTrouble(part, "write");
  close(fd);
  {
    absl::StatusOr<std::unique_ptr<Database>> db = OpenForReading(state);
    if (!db.ok()) return db.status();
    absl::StatusOr<int64_t> format = (*db)->Number("PRAGMA user_version");
    if (!format.ok()) return format.status();
    if (*format > kStoreFormat) {
      return absl::FailedPreconditionError(
          absl::StrCat(state, ": is of a newer deferd (format ", *format, ", this deferctl knows ",
                       kStoreFormat, "); use the deferctl of that version"));
    }
    absl::StatusOr<int64_t> total = (*db)->Number(
        "SELECT (page_count - freelist_count) * page_size "
        "FROM pragma_page_count, pragma_freelist_count, pragma_page_size");
    if (!total.ok()) return total.status();
    if (progress) {
      (*db)->OnProgress([&] {
        const double done = static_cast<double>(SizeOf(part)) / static_cast<double>(*total + 1);
        progress(kCopyShare * std::min(done, 1.0));
      });
    }
    absl::StatusOr<Statement> copy = (*db)->Prepare("VACUUM INTO ?");
    if (!copy.ok()) return copy.status();
    absl::Status copied = copy->Run(part);
    if (!copied.ok()) return Naming(copied, state, absl::StrCat(state, " into ", file));
  }
  BackupInfo info{.node = identity->node,
                  .incarnation = identity->incarnation,
                  .version = version,
                  .made = now};
  {
    absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(part, SQLITE_OPEN_READWRITE);
    if (!db.ok()) return Naming(db.status(), part, file);
    absl::Status written = WriteInfo(db->get(), info);
    if (written.ok()) written = WriteFiles(db->get(), state_dir);
    if (!written.ok()) return Naming(written, part, file);
  }
  absl::StatusOr<BackupInfo> checked = CheckCopy(part, /*bring_up=*/nullptr);
  if (!checked.ok()) return Naming(checked.status(), part, file);
  if (progress) progress(1);
  absl::Status kept = SyncPath(part);
  if (kept.ok()) kept = Link(part, file);
  if (kept.ok()) kept = SyncPath(FolderOf(file));
  if (!kept.ok()) return kept;
  return checked;
}

absl::StatusOr<RestoredBackup> RestoreBackup(const std::string& file, const std::string& state_dir,
                                             const std::string& node_name, absl::Time now,
                                             const BackupProgress& progress) {
  absl::StatusOr<Input> input = Input::Open(file);
  if (!input.ok()) return input.status();
  // A plain copy of state.db may have its log of changes beside it.
  absl::StatusOr<Input> changes = Input::Open(file + "-wal");
  if (!changes.ok() && !absl::IsNotFound(changes.status())) return changes.status();
  absl::StatusOr<AsOwnerOf> owner = AsOwnerOf::Begin(state_dir);
  if (!owner.ok()) return owner.status();
  absl::StatusOr<StateDirLock> lock = StateDirLock::Take(state_dir);
  if (absl::IsAlreadyExists(lock.status())) {
    return absl::AlreadyExistsError(
        absl::StrCat(lock.status().message(),
                     ": systemctl stop deferd.service deferd-exim.socket deferd-postfix.socket"));
  }
  if (!lock.ok()) return lock.status();
  const std::string copy = StatePath(state_dir) + ".restoring";
  RemoveDatabase(copy);
  absl::Cleanup remove = [&copy] { RemoveDatabase(copy); };
  absl::Status copied = input->CopyTo(copy, progress);
  if (copied.ok() && changes.ok() && file != "-") copied = changes->CopyTo(copy + "-wal", {});
  if (!copied.ok()) return copied;
  std::vector<StateFile> files;
  absl::StatusOr<BackupInfo> info = CheckCopy(copy, &files);
  if (!info.ok()) return AboutBackup(Naming(info.status(), copy, file));
  if (progress) progress(1);
  absl::StatusOr<NodeIdentity> identity = IdentityAfter(*info, file, state_dir, node_name);
  if (!identity.ok()) return identity.status();
  absl::Status synced = SyncPath(copy);
  if (!synced.ok()) return synced;
  // Before the state: a start in between has the identity that goes with either.
  if (!identity->node.empty()) {
    absl::Status named = WriteIdentity(state_dir, *identity);
    if (!named.ok()) return named;
  }
  absl::StatusOr<std::vector<std::string>> put_back = PutBack(files, state_dir);
  if (!put_back.ok()) return put_back.status();
  absl::StatusOr<std::string> kept = Replace(copy, state_dir, now);
  if (!kept.ok()) return kept.status();
  return RestoredBackup{*std::move(info), *std::move(kept), *std::move(put_back)};
}

}  // namespace deferd
