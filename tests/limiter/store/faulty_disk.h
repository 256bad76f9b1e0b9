// A disk that fails on cue: a layer over SQLite's way to files, which all databases opened while it
// lives go through. One at a time; from one thread.

#ifndef DEFERD_TESTS_LIMITER_STORE_FAULTY_DISK_H_
#define DEFERD_TESTS_LIMITER_STORE_FAULTY_DISK_H_

#include <cstdint>

#include "tests/limiter/store/vfs_layer.h"

namespace deferd {

class FaultyDisk {
 public:
  FaultyDisk();

  enum class Fault {
    kFull,        // SQLITE_FULL, half of a write done, until Heal
    kFullOnce,    // the same, once
    kBroken,      // SQLITE_IOERR, until Heal
    kBrokenOnce,  // the same, once
    kKilled,      // the process is gone, half of a write done
  };
  // The `n`th write, truncation or sync from now on fails, from 1.
  void FailAt(int64_t n, Fault fault);
  void Heal();
  bool failed() const;  // since FailAt
  // Databases that are opened from now on are on a disk mounted for reading.
  void MountReadOnly();

 private:
  VfsLayer layer_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_FAULTY_DISK_H_
