// The disk of all simulated nodes: a layer over SQLite's way to files that can fail, die and lose
// what was not synced.
//
// The databases themselves are real files, by preference in memory (/dev/shm). Of each, the layer
// remembers what a power failure would leave: the bytes as of the last sync, and the writes since.
// Not simulated: the loss of a file's name (its directory not synced), reordering within one write
// beyond a torn end, and failures of reading.
//
// One at a time; from one thread. A fault concerns the files whose path begins with a prefix.

#ifndef DEFERD_TESTS_SIM_SIM_DISK_H_
#define DEFERD_TESTS_SIM_SIM_DISK_H_

#include <cstdint>
#include <string>

#include "tests/limiter/store/vfs_layer.h"

namespace deferd::sim {

class SimDisk {
 public:
  SimDisk();

  enum class Fault : uint8_t {
    kFull,        // SQLITE_FULL, half of a write done, until Heal
    kFullOnce,    // the same, once
    kBroken,      // SQLITE_IOERR, until Heal
    kBrokenOnce,  // the same, once
  };
  // The `n`th write, truncation or sync from now on fails, from 1.
  void FailAt(const std::string& prefix, int n, Fault fault);
  void Heal(const std::string& prefix);

  // The process is gone: nothing that its destructors write reaches the files.
  void Die(const std::string& prefix);
  // After all files were closed: another process may write.
  void Revive(const std::string& prefix);
  // Between the two: of the writes that no sync followed, some are lost, as `choice` says.
  void LosePower(const std::string& prefix, uint64_t choice);

  // Forgets what is known of files that were deleted.
  void Forget(const std::string& prefix);

 private:
  VfsLayer layer_;
};

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_SIM_DISK_H_
