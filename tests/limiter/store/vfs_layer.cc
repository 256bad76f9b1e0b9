#include "tests/limiter/store/vfs_layer.h"

#include <cstring>

namespace deferd {

namespace {

// SQLite calls plain functions, so what they need is global.
sqlite3_vfs* real_vfs = nullptr;
sqlite3_vfs layer;

int Close(sqlite3_file* file) {
  const int code = Real(file)->pMethods->xClose(Real(file));
  sqlite3_free(Real(file));
  return code;
}
int Read(sqlite3_file* file, void* to, int size, sqlite3_int64 at) {
  return Real(file)->pMethods->xRead(Real(file), to, size, at);
}
int WriteReal(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  return Real(file)->pMethods->xWrite(Real(file), from, size, at);
}
int TruncateReal(sqlite3_file* file, sqlite3_int64 size) {
  return Real(file)->pMethods->xTruncate(Real(file), size);
}
int SyncReal(sqlite3_file* file, int flags) {
  return Real(file)->pMethods->xSync(Real(file), flags);
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

}  // namespace

sqlite3_file* Real(sqlite3_file* file) { return reinterpret_cast<LayeredFile*>(file)->real; }

sqlite3_io_methods ForwardingMethods() {
  return {2,
          Close,
          Read,
          WriteReal,
          TruncateReal,
          SyncReal,
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
}

VfsLayer::VfsLayer(const char* name, int file_size, Open open, Delete remove) {
  real_vfs = sqlite3_vfs_find(nullptr);
  layer = *real_vfs;
  layer.szOsFile = file_size;
  layer.zName = name;
  layer.pNext = nullptr;
  layer.xOpen = open;
  if (remove != nullptr) layer.xDelete = remove;
  sqlite3_vfs_register(&layer, 1);
}

VfsLayer::~VfsLayer() {
  sqlite3_vfs_unregister(&layer);
  sqlite3_vfs_register(real_vfs, 1);
}

int OpenReal(const char* name, sqlite3_file* file, int flags, int* out_flags,
             const sqlite3_io_methods* methods) {
  auto* opened = reinterpret_cast<LayeredFile*>(file);
  opened->base.pMethods = nullptr;
  opened->real = static_cast<sqlite3_file*>(sqlite3_malloc(real_vfs->szOsFile));
  if (opened->real == nullptr) return SQLITE_NOMEM;
  std::memset(opened->real, 0, static_cast<size_t>(real_vfs->szOsFile));
  const int code = real_vfs->xOpen(real_vfs, name, opened->real, flags, out_flags);
  if (code == SQLITE_OK) {
    opened->base.pMethods = methods;
  } else {
    sqlite3_free(opened->real);
  }
  return code;
}

int DeleteReal(const char* name, int sync) { return real_vfs->xDelete(real_vfs, name, sync); }

}  // namespace deferd
