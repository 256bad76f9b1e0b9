#include "tests/limiter/store/faulty_disk.h"

#include <signal.h>
#include <unistd.h>

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

const sqlite3_io_methods kMethods = [] {
  sqlite3_io_methods methods = ForwardingMethods();
  methods.xWrite = Write;
  methods.xTruncate = Truncate;
  methods.xSync = Sync;
  return methods;
}();

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  if (plan.read_only && (flags & SQLITE_OPEN_READWRITE) != 0) {
    flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) | SQLITE_OPEN_READONLY;
  }
  return OpenReal(name, file, flags, out_flags, &kMethods);
}

}  // namespace

FaultyDisk::FaultyDisk() : layer_("faulty", sizeof(LayeredFile), Open) { plan = {}; }

void FaultyDisk::FailAt(int64_t n, Fault fault) { plan = {.until_fault = n, .fault = fault}; }
void FaultyDisk::Heal() { plan = {.failed = plan.failed}; }
bool FaultyDisk::failed() const { return plan.failed; }
void FaultyDisk::MountReadOnly() { plan.read_only = true; }

}  // namespace deferd
