// The daemon's state directory: holds this node's identity and makes sure that only one daemon uses
// it.
//
//   lock         locked with flock(2) while the daemon runs, holds its pid
//   node         8 random hex digits, created once (not used if the configuration names the node)
//   incarnation  a number, increased at each start
//   policy.toml  the last valid policy, for a start with an invalid policy file
//   state.db     counts and cases (limiter/store), with state.db-wal and state.db-shm beside it

#ifndef DEFERD_LIMITER_APP_STATE_DIR_H_
#define DEFERD_LIMITER_APP_STATE_DIR_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace deferd {

class StateDir {
 public:
  // Creates the directory if its parent exists. AlreadyExists names the pid of the daemon that uses
  // it; other errors say what could not be read or written. `name`: the node's name instead of a
  // random one, so that the node stays the same if the directory is lost.
  static absl::StatusOr<StateDir> Open(const std::string& path, const std::string& name = "");

  StateDir(StateDir&& other) noexcept;
  StateDir& operator=(StateDir&&) = delete;
  ~StateDir();

  const std::string& node() const { return node_; }
  int64_t incarnation() const { return incarnation_; }

 private:
  StateDir() = default;
  int lock_fd_ = -1;
  std::string node_;
  int64_t incarnation_ = 0;
};

std::string KeptPolicyPath(const std::string& state_dir);
// Atomic: the whole file or nothing is written.
absl::Status KeepPolicy(const std::string& state_dir, const std::string& toml);

std::string StatePath(const std::string& state_dir);

// Renames state.db and the files that belong to it; the new names carry the time.
absl::Status SetAside(const std::string& state_dir, absl::Time now);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_STATE_DIR_H_
