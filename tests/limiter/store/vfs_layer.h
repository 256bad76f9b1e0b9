// What layers over SQLite's default way to files share: the registration, and calls that go on to
// the real file. See sqlite.org/vfs.html; a layer overrides the methods that it changes.
//
// One layer at a time; from one thread.

#ifndef DEFERD_TESTS_LIMITER_STORE_VFS_LAYER_H_
#define DEFERD_TESTS_LIMITER_STORE_VFS_LAYER_H_

#include "sqlite3.h"

namespace deferd {

// The beginning of a layer's own file, which may have more members behind it.
struct LayeredFile {
  sqlite3_file base;
  sqlite3_file* real;
};

// The file below.
sqlite3_file* Real(sqlite3_file* file);

// Each goes on to the real file.
sqlite3_io_methods ForwardingMethods();

// All databases that are opened while it lives go through the layer.
class VfsLayer {
 public:
  using Open = int (*)(sqlite3_vfs*, const char*, sqlite3_file*, int, int*);
  using Delete = int (*)(sqlite3_vfs*, const char*, int);

  // `name` must outlive the layer. `file_size`: bytes of its own file. `remove`: null for the real
  // one.
  VfsLayer(const char* name, int file_size, Open open, Delete remove = nullptr);
  ~VfsLayer();
  VfsLayer(const VfsLayer&) = delete;
  VfsLayer& operator=(const VfsLayer&) = delete;
};

// For a layer's Open and Delete: the real ones. `methods` become those of the layer's file.
int OpenReal(const char* name, sqlite3_file* file, int flags, int* out_flags,
             const sqlite3_io_methods* methods);
int DeleteReal(const char* name, int sync);

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_VFS_LAYER_H_
