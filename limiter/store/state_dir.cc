#include "limiter/store/state_dir.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/port/replace_file.h"

namespace deferd {

namespace {

std::string UserNamed(uid_t uid) {
  const passwd* const entry = getpwuid(uid);
  return entry == nullptr ? absl::StrCat(uid) : entry->pw_name;
}

absl::Status Trouble(const std::string& path, absl::string_view what) {
  std::string text = absl::StrCat(path, ": cannot ", what, ": ", std::strerror(errno),
                                  "; state_dir must be a directory that deferd's user may write");
  struct stat info;
  if (errno == EACCES && stat(path.c_str(), &info) == 0 && info.st_uid != geteuid()) {
    const std::string folder = path.substr(0, path.rfind('/'));
    absl::StrAppend(&text, ". The file belongs to ", UserNamed(info.st_uid), ": chown -R ",
                    UserNamed(geteuid()), ": ", folder);
  }
  return absl::FailedPreconditionError(text);
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  const std::optional<ReplaceFailure> failure = ReplaceFile(path, text, 0640);
  return failure.has_value() ? Trouble(failure->path, failure->what) : absl::OkStatus();
}

// The text of a small file without surrounding blanks; "" if there is no file.
absl::StatusOr<std::string> ReadSmall(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return std::string();
  if (fd < 0) return Trouble(path, "read");
  absl::Cleanup close_fd = [fd] { close(fd); };
  char buffer[256];
  const ssize_t size = read(fd, buffer, sizeof(buffer));
  if (size < 0) return Trouble(path, "read");
  std::string text(buffer, static_cast<size_t>(size));
  absl::StripAsciiWhitespace(&text);
  return text;
}

bool IsNodeName(absl::string_view text) {
  return text.size() == 8 && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

// Hash of the configured node name.
std::string NodeNamed(const std::string& name) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(name.data(), name.size(), digest, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), 4});
}

}  // namespace

absl::StatusOr<StateDirLock> StateDirLock::Take(const std::string& path) {
  StateDirLock taken;
  const std::string lock = path + "/lock";
  taken.fd_ = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (taken.fd_ < 0) return Trouble(lock, "open");
  if (flock(taken.fd_, LOCK_EX | LOCK_NB) != 0) {
    absl::StatusOr<std::string> pid = ReadSmall(lock);
    return absl::AlreadyExistsError(absl::StrCat(path, ": another deferd uses this state_dir (pid ",
                                                 pid.value_or("unknown"),
                                                 "); stop it first, or use another state_dir"));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(taken.fd_, 0) != 0 ||
      pwrite(taken.fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return Trouble(lock, "write");
  }
  return taken;
}

StateDirLock::StateDirLock(StateDirLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

StateDirLock::~StateDirLock() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<NodeIdentity> ReadIdentity(const std::string& path, const std::string& name) {
  NodeIdentity identity;
  const std::string node_path = path + "/node";
  absl::StatusOr<std::string> node = ReadSmall(node_path);
  if (!node.ok()) return node.status();
  if (!name.empty()) {
    *node = NodeNamed(name);
  } else if (!node->empty() && !IsNodeName(*node)) {
    return absl::DataLossError(absl::StrCat(
        node_path,
        ": does not contain a node name (8 hex digits); remove the file to get a new one"));
  }
  identity.node = *std::move(node);

  const std::string incarnation_path = path + "/incarnation";
  absl::StatusOr<std::string> last = ReadSmall(incarnation_path);
  if (!last.ok()) return last.status();
  if (!last->empty() &&
      (!absl::SimpleAtoi(*last, &identity.incarnation) || identity.incarnation < 0)) {
    return absl::DataLossError(absl::StrCat(
        incarnation_path,
        ": does not contain a number; write one higher than all earlier ones, or remove the file"));
  }
  return identity;
}

absl::Status WriteIdentity(const std::string& path, const NodeIdentity& identity) {
  absl::Status written = WriteFile(path + "/node", identity.node + "\n");
  if (!written.ok()) return written;
  return WriteFile(path + "/incarnation", absl::StrCat(identity.incarnation, "\n"));
}

std::string TroubleAsRoot(const std::string& state_dir, const std::string& usual_user) {
  struct stat info;
  const passwd* const usual = getpwnam(usual_user.c_str());
  std::string owner;
  if (stat(state_dir.c_str(), &info) == 0 && info.st_uid != 0) {
    owner = UserNamed(info.st_uid);
  } else if (usual != nullptr && usual->pw_uid != 0) {
    owner = usual_user;
  } else {
    return "";
  }
  return absl::StrCat("deferd runs as root: what it writes in ", state_dir,
                      " will belong to root, ", "and a deferd that runs as ", owner,
                      " cannot open it. Stop this one, run ", "'chown -R ", owner, ": ", state_dir,
                      "', and start deferd as ", owner, " (systemctl start deferd, or runuser -u ",
                      owner, " -- deferd)");
}

absl::StatusOr<StateDir> StateDir::Open(const std::string& path, const std::string& name) {
  if (mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return Trouble(path, "create it");
  absl::StatusOr<StateDirLock> lock = StateDirLock::Take(path);
  if (!lock.ok()) return lock.status();
  StateDir dir(*std::move(lock));
  absl::StatusOr<NodeIdentity> identity = ReadIdentity(path, name);
  if (!identity.ok()) return identity.status();
  dir.identity_ = *std::move(identity);
  if (dir.identity_.node.empty()) {
    const std::string node_path = path + "/node";
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return Trouble(node_path, "name");
    dir.identity_.node = absl::StrFormat("%08x", random);
    absl::Status written = WriteFile(node_path, dir.identity_.node + "\n");
    if (!written.ok()) return written;
  }
  ++dir.identity_.incarnation;
  absl::Status written =
      WriteFile(path + "/incarnation", absl::StrCat(dir.identity_.incarnation, "\n"));
  if (!written.ok()) return written;
  return dir;
}

std::string KeptPolicyPath(const std::string& state_dir) { return state_dir + "/policy.toml"; }

absl::Status KeepPolicy(const std::string& state_dir, const std::string& toml) {
  return WriteFile(KeptPolicyPath(state_dir), toml);
}

std::string StatePath(const std::string& state_dir) { return state_dir + "/state.db"; }

absl::Status SetAside(const std::string& state_dir, absl::Time now) {
  const std::string stamp = absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone());
  for (const char* suffix : {"", "-wal", "-shm"}) {
    const std::string from = StatePath(state_dir) + suffix;
    const std::string to = absl::StrCat(StatePath(state_dir), ".damaged-", stamp, suffix);
    if (rename(from.c_str(), to.c_str()) != 0 && errno != ENOENT) return Trouble(from, "rename");
  }
  return absl::OkStatus();
}

}  // namespace deferd
