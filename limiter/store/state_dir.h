// The daemon's state directory: holds this node's identity and makes sure that only one daemon uses
// it.
//
//   lock         locked with flock(2) while the daemon runs, holds its pid
//   node         8 random hex digits, created once (not used if the configuration names the node)
//   incarnation  a number, increased at each start
//   policy.toml  the last valid policy, for a start with an invalid policy file
//   state.db     counts and cases (limiter/store), with state.db-wal and state.db-shm beside it

#ifndef DEFERD_LIMITER_STORE_STATE_DIR_H_
#define DEFERD_LIMITER_STORE_STATE_DIR_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace deferd {

// Held while a daemon runs, or while its files are replaced.
class StateDirLock {
 public:
  // AlreadyExists names the pid of the process that holds it.
  static absl::StatusOr<StateDirLock> Take(const std::string& path);

  StateDirLock(StateDirLock&& other) noexcept;
  StateDirLock& operator=(StateDirLock&&) = delete;
  ~StateDirLock();

 private:
  StateDirLock() = default;
  int fd_ = -1;
};

// What the directory says of its node; "" and 0 if it says nothing. `name` is the configured name.
struct NodeIdentity {
  std::string node;
  int64_t incarnation = 0;
};
absl::StatusOr<NodeIdentity> ReadIdentity(const std::string& path, const std::string& name);
// Atomic for each of the two files.
absl::Status WriteIdentity(const std::string& path, const NodeIdentity& identity);

class StateDir {
 public:
  // Creates the directory if its parent exists. AlreadyExists names the pid of the daemon that uses
  // it; other errors say what could not be read or written. `name`: the node's name instead of a
  // random one, so that the node stays the same if the directory is lost.
  static absl::StatusOr<StateDir> Open(const std::string& path, const std::string& name = "");

  const std::string& node() const { return identity_.node; }
  int64_t incarnation() const { return identity_.incarnation; }

 private:
  explicit StateDir(StateDirLock lock) : lock_(std::move(lock)) {}
  StateDirLock lock_;
  NodeIdentity identity_;
};

// For a deferd that runs as root: whose state_dir it is, or would be (`usual_user`, if there is
// such a user), and what to do; empty if it is root's own.
std::string TroubleAsRoot(const std::string& state_dir, const std::string& usual_user = "deferd");

std::string KeptPolicyPath(const std::string& state_dir);
// Atomic: the whole file or nothing is written.
absl::Status KeepPolicy(const std::string& state_dir, const std::string& toml);

std::string StatePath(const std::string& state_dir);

// Renames state.db and the files that belong to it; the new names carry the time.
absl::Status SetAside(const std::string& state_dir, absl::Time now);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_STATE_DIR_H_
