#include "limiter/app/state_dir.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/config/config.h"

namespace deferd {

namespace {

absl::Status Trouble(const std::string& path, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": cannot ", what, ": ", std::strerror(errno),
                   "; state_dir must be a directory that deferd's user may write"));
}

// Atomic: writes a temporary file, syncs it and renames it.
absl::Status WriteFile(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return Trouble(temporary, "write");
  absl::Cleanup close_fd = [fd] { close(fd); };
  if (write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || fsync(fd) != 0) {
    return Trouble(temporary, "write");
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return Trouble(path, "rename");
  return absl::OkStatus();
}

// The text of a small file without surrounding blanks; "" if there is no file.
absl::StatusOr<std::string> ReadSmall(const std::string& path) {
  absl::StatusOr<std::string> text = ReadTextFile(path);
  if (absl::IsNotFound(text.status())) return std::string();
  if (!text.ok()) return text.status();
  absl::StripAsciiWhitespace(&*text);
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

absl::StatusOr<StateDir> StateDir::Open(const std::string& path, const std::string& name) {
  if (mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) return Trouble(path, "create it");
  StateDir dir;
  const std::string lock = path + "/lock";
  dir.lock_fd_ = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (dir.lock_fd_ < 0) return Trouble(lock, "open");
  if (flock(dir.lock_fd_, LOCK_EX | LOCK_NB) != 0) {
    absl::StatusOr<std::string> pid = ReadSmall(lock);
    return absl::AlreadyExistsError(absl::StrCat(path, ": another deferd uses this state_dir (pid ",
                                                 pid.value_or("unknown"),
                                                 "); stop it first, or use another state_dir"));
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(dir.lock_fd_, 0) != 0 ||
      pwrite(dir.lock_fd_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return Trouble(lock, "write");
  }

  const std::string node_path = path + "/node";
  absl::StatusOr<std::string> node = ReadSmall(node_path);
  if (!node.ok()) return node.status();
  if (!name.empty()) {
    *node = NodeNamed(name);
  } else if (node->empty()) {
    uint32_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return Trouble(node_path, "name");
    *node = absl::StrFormat("%08x", random);
    absl::Status written = WriteFile(node_path, *node + "\n");
    if (!written.ok()) return written;
  } else if (!IsNodeName(*node)) {
    return absl::DataLossError(absl::StrCat(
        node_path,
        ": does not contain a node name (8 hex digits); remove the file to get a new one"));
  }
  dir.node_ = *std::move(node);

  const std::string incarnation_path = path + "/incarnation";
  absl::StatusOr<std::string> last = ReadSmall(incarnation_path);
  if (!last.ok()) return last.status();
  if (!last->empty() && (!absl::SimpleAtoi(*last, &dir.incarnation_) || dir.incarnation_ < 0)) {
    return absl::DataLossError(absl::StrCat(
        incarnation_path,
        ": does not contain a number; write one higher than all earlier ones, or remove the file"));
  }
  ++dir.incarnation_;
  absl::Status written = WriteFile(incarnation_path, absl::StrCat(dir.incarnation_, "\n"));
  if (!written.ok()) return written;
  return dir;
}

StateDir::StateDir(StateDir&& other) noexcept
    : lock_fd_(std::exchange(other.lock_fd_, -1)),
      node_(std::move(other.node_)),
      incarnation_(other.incarnation_) {}

StateDir::~StateDir() {
  if (lock_fd_ >= 0) close(lock_fd_);
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
