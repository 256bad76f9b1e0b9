#include "tests/limiter/store/faulty_disk.h"

#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "sqlite3.h"

namespace deferd {

namespace {

// SQLite calls plain functions, so what they ask is global.
struct Plan {
  int64_t until_fault = 0;  // 0: none planned
  FaultyDisk::Fault fault = FaultyDisk::Fault::kFull;
  bool failing = false;
  bool failed = false;
  bool read_only = false;
};
Plan plan;
sqlite3_vfs* real_vfs = nullptr;
sqlite3_vfs layer;

struct File {
  sqlite3_file base;
  sqlite3_file* real;
};

sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real; }

// SQLITE_OK, or what the call has to fail with.
int NextFault(int io_error) {
  if (plan.until_fault > 0 && --plan.until_fault == 0) plan.failing = plan.failed = true;
  if (!plan.failing) return SQLITE_OK;
  using Fault = FaultyDisk::Fault;
  if (plan.fault == Fault::kFullOnce || plan.fault == Fault::kBrokenOnce) plan.failing = false;
  return plan.fault == Fault::kBroken || plan.fault == Fault::kBrokenOnce ? io_error : SQLITE_FULL;
}

void DieIfPlanned() {
  if (plan.fault == FaultyDisk::Fault::kKilled) kill(getpid(), SIGKILL);
}

int Close(sqlite3_file* file) {
  const int code = Real(file)->pMethods->xClose(Real(file));
  sqlite3_free(Real(file));
  return code;
}
int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
  return Real(file)->pMethods->xRead(Real(file), to, size, at);
}
int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  const int fault = NextFault(SQLITE_IOERR_WRITE);
  if (fault != SQLITE_OK) {
    Real(file)->pMethods->xWrite(Real(file), from, size / 2, at);
    DieIfPlanned();
    return fault;
  }
  return Real(file)->pMethods->xWrite(Real(file), from, size, at);
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int fault = NextFault(SQLITE_IOERR_TRUNCATE);
  if (fault != SQLITE_OK) DieIfPlanned();
  return fault != SQLITE_OK ? fault : Real(file)->pMethods->xTruncate(Real(file), size);
}
int Sync(sqlite3_file*, int) {
  const int fault = NextFault(SQLITE_IOERR_FSYNC);
  if (fault != SQLITE_OK) DieIfPlanned();
  return fault;  // no test of ours cuts the power, so nothing need reach the disk
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return Real(file)->pMethods->xFileSize(Real(file), size);
}
int Lock(sqlite3_file* file, int level) { return Real(file)->pMethods->xLock(Real(file), level); }
int Unlock(sqlite3_file* file, int level) {
  return Real(file)->pMethods->xUnlock(Real(file), level);
}
int CheckReservedLock(sqlite3_file* file, int* held) {
  return Real(file)->pMethods->xCheckReservedLock(Real(file), held);
}
int FileControl(sqlite3_file* file, int what, void* arg) {
  return Real(file)->pMethods->xFileControl(Real(file), what, arg);
}
int SectorSize(sqlite3_file* file) { return Real(file)->pMethods->xSectorSize(Real(file)); }
int DeviceCharacteristics(sqlite3_file* file) {
  return Real(file)->pMethods->xDeviceCharacteristics(Real(file));
}
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** to) {
  return Real(file)->pMethods->xShmMap(Real(file), page, size, extend, to);
}
int ShmLock(sqlite3_file* file, int offset, int n, int flags) {
  return Real(file)->pMethods->xShmLock(Real(file), offset, n, flags);
}
void ShmBarrier(sqlite3_file* file) { Real(file)->pMethods->xShmBarrier(Real(file)); }
int ShmUnmap(sqlite3_file* file, int remove) {
  return Real(file)->pMethods->xShmUnmap(Real(file), remove);
}

const sqlite3_io_methods kMethods = {2,
                                     Close,
                                     Read,
                                     Write,
                                     Truncate,
                                     Sync,
                                     FileSize,
                                     Lock,
                                     Unlock,
                                     CheckReservedLock,
                                     FileControl,
                                     SectorSize,
                                     DeviceCharacteristics,
                                     ShmMap,
                                     ShmLock,
                                     ShmBarrier,
                                     ShmUnmap,
                                     nullptr,
                                     nullptr};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  if (plan.read_only && (flags & SQLITE_OPEN_READWRITE) != 0) {
    flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
  }
  auto* opened = reinterpret_cast<File*>(file);
  opened->base.pMethods = nullptr;
  opened->real = static_cast<sqlite3_file*>(sqlite3_malloc(real_vfs->szOsFile));
  if (opened->real == nullptr) return SQLITE_NOMEM;
  std::memset(opened->real, 0, static_cast<size_t>(real_vfs->szOsFile));
  const int code = real_vfs->xOpen(real_vfs, name, opened->real, flags, out_flags);
  if (code == SQLITE_OK) {
    opened->base.pMethods = &kMethods;
  } else {
    sqlite3_free(opened->real);
  }
  return code;
}

}  // namespace

FaultyDisk::FaultyDisk() {
  plan = {};
  real_vfs = sqlite3_vfs_find(nullptr);
  layer = *real_vfs;
  layer.szOsFile = sizeof(File);
  layer.zName = "faulty";
  layer.pNext = nullptr;
  layer.xOpen = Open;
  sqlite3_vfs_register(&layer, 1);
}

FaultyDisk::~FaultyDisk() {
  sqlite3_vfs_unregister(&layer);
  sqlite3_vfs_register(real_vfs, 1);
}

void FaultyDisk::FailAt(int64_t n, Fault fault) { plan = {.until_fault = n, .fault = fault}; }
void FaultyDisk::Heal() { plan = {.failed = plan.failed}; }
bool FaultyDisk::failed() const { return plan.failed; }
void FaultyDisk::MountReadOnly() { plan.read_only = true; }

}  // namespace deferd
