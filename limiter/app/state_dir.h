// The daemon's own folder: who this node is, and that there is only one of it.
//
//   lock         flock(2)ed while the daemon lives, holds its pid
//   node         8 hex digits, random, made once (not where the configuration names the node)
//   incarnation  a number, one more at each start
//   policy.toml  the policy that was in force last, for a start whose policy file has a mistake
//   state.db     what is counted (limiter/store), with state.db-wal and state.db-shm beside it

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
  // Makes the folder if its parent exists. AlreadyExists names the pid of the daemon that holds it;
  // other errors say what could not be read or written.
  // `name`: the node is named after this instead of at random, so that it stays the same node when
  // the folder is lost.
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
// Whole or not at all.
absl::Status KeepPolicy(const std::string& state_dir, const std::string& toml);

std::string StatePath(const std::string& state_dir);

// Renames state.db and what belongs to it to names that say when.
absl::Status SetAside(const std::string& state_dir, absl::Time now);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_STATE_DIR_H_
