#include "tests/sim/sim_disk.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace deferd::sim {

namespace {

constexpr size_t kSector = 512;

struct Change {
  int64_t at = 0;
  std::string bytes;
  bool truncate = false;  // to `at`
};

void Apply(const Change& change, std::string* image) {
  const auto at = static_cast<size_t>(change.at);
  if (change.truncate) {
    image->resize(std::min(image->size(), at));
    return;
  }
  if (image->size() < at + change.bytes.size()) image->resize(at + change.bytes.size());
  image->replace(at, change.bytes.size(), change.bytes);
}

// What would be left of one file.
struct Durable {
  std::string image;
  std::vector<Change> since;
};

struct Trouble {
  int until_fault = 0;  // 0: none planned
  SimDisk::Fault fault = SimDisk::Fault::kFull;
  bool failing = false;
  bool dead = false;
};

// SQLite calls plain functions, so what they need is global.
std::map<std::string, Trouble> troubles;  // by prefix
std::map<std::string, Durable> files;     // by path

struct File {
  LayeredFile layered;
  Trouble* trouble;  // null: none
  Durable* durable;  // null: not one that matters
};

File* Mine(sqlite3_file* file) { return reinterpret_cast<File*>(file); }

Trouble* TroubleOf(absl::string_view path) {
  for (auto& [prefix, trouble] : troubles) {
    if (absl::StartsWith(path, prefix)) return &trouble;
  }
  return nullptr;
}

int NextFault(Trouble* trouble, int io_error) {
  if (trouble == nullptr) return SQLITE_OK;
  if (trouble->dead) return io_error;
  if (trouble->until_fault > 0 && --trouble->until_fault == 0) trouble->failing = true;
  if (!trouble->failing) return SQLITE_OK;
  using Fault = SimDisk::Fault;
  if (trouble->fault == Fault::kFullOnce || trouble->fault == Fault::kBrokenOnce) {
    trouble->failing = false;
  }
  const bool broken = trouble->fault == Fault::kBroken || trouble->fault == Fault::kBrokenOnce;
  return broken ? io_error : SQLITE_FULL;
}

int Write(sqlite3_file* file, const void* from, int size, sqlite3_int64 at) {
  File* mine = Mine(file);
  const int fault = NextFault(mine->trouble, SQLITE_IOERR_WRITE);
  if (fault != SQLITE_OK) {
    if (mine->trouble->dead) return fault;
    size /= 2;
  }
  const int code = Real(file)->pMethods->xWrite(Real(file), from, size, at);
  if (mine->durable != nullptr) {
    mine->durable->since.push_back(
        {at, std::string(static_cast<const char*>(from), static_cast<size_t>(size)), false});
  }
  return fault != SQLITE_OK ? fault : code;
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  File* mine = Mine(file);
  const int fault = NextFault(mine->trouble, SQLITE_IOERR_TRUNCATE);
  if (fault != SQLITE_OK) return fault;
  if (mine->durable != nullptr) mine->durable->since.push_back({size, "", true});
  return Real(file)->pMethods->xTruncate(Real(file), size);
}
int Sync(sqlite3_file* file, int) {
  File* mine = Mine(file);
  const int fault = NextFault(mine->trouble, SQLITE_IOERR_FSYNC);
  if (fault != SQLITE_OK) return fault;
  if (mine->durable != nullptr) {
    for (const Change& change : mine->durable->since) Apply(change, &mine->durable->image);
    mine->durable->since.clear();
  }
  return SQLITE_OK;
}
int SectorSize(sqlite3_file*) { return static_cast<int>(kSector); }
int DeviceCharacteristics(sqlite3_file*) { return 0; }

const sqlite3_io_methods kMethods = [] {
  sqlite3_io_methods methods = ForwardingMethods();
  methods.xWrite = Write;
  methods.xTruncate = Truncate;
  methods.xSync = Sync;
  methods.xSectorSize = SectorSize;
  methods.xDeviceCharacteristics = DeviceCharacteristics;
  return methods;
}();

std::string Content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  File* mine = Mine(file);
  mine->trouble = name == nullptr ? nullptr : TroubleOf(name);
  mine->durable = nullptr;
  const int code = OpenReal(name, file, flags, out_flags, &kMethods);
  if (code != SQLITE_OK) return code;
  if (name != nullptr && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0 &&
      !absl::EndsWith(name, ".new")) {
    auto [it, fresh] = files.try_emplace(name);
    if (fresh) it->second.image = Content(name);
    mine->durable = &it->second;
  }
  return SQLITE_OK;
}

int Delete(sqlite3_vfs*, const char* name, int sync) {
  const Trouble* trouble = TroubleOf(name);
  if (trouble != nullptr && trouble->dead) return SQLITE_IOERR_DELETE;
  const int code = DeleteReal(name, sync);
  if (auto found = files.find(name); found != files.end()) found->second = {};
  return code;
}

}  // namespace

SimDisk::SimDisk() : layer_("sim", sizeof(File), Open, Delete) {
  troubles.clear();
  files.clear();
}

void SimDisk::FailAt(const std::string& prefix, int n, Fault fault) {
  Trouble& trouble = troubles[prefix];
  trouble.until_fault = n;
  trouble.fault = fault;
  trouble.failing = false;
}

void SimDisk::Heal(const std::string& prefix) {
  Trouble& trouble = troubles[prefix];
  trouble.until_fault = 0;
  trouble.failing = false;
}

void SimDisk::Die(const std::string& prefix) { troubles[prefix].dead = true; }
void SimDisk::Revive(const std::string& prefix) { troubles[prefix] = {}; }

void SimDisk::LosePower(const std::string& prefix, uint64_t choice) {
  std::mt19937_64 random(choice);
  for (auto& [path, durable] : files) {
    if (!absl::StartsWith(path, prefix)) continue;
    // A third each: nothing of it, all of it up to some write, any of it.
    const uint64_t way = random() % 3;
    const size_t until = durable.since.empty() ? 0 : random() % (durable.since.size() + 1);
    for (size_t i = 0; i < durable.since.size(); ++i) {
      const bool kept = way == 1 ? i < until : way == 2 && random() % 2 == 0;
      if (kept) {
        Apply(durable.since[i], &durable.image);
      } else if (way == 1 && i == until && !durable.since[i].truncate) {
        Change torn = durable.since[i];
        const size_t sectors = torn.bytes.size() / kSector;
        torn.bytes.resize(sectors == 0 ? torn.bytes.size() / 2 : kSector * (random() % sectors));
        Apply(torn, &durable.image);
      }
    }
    durable.since.clear();
    std::ofstream(path, std::ios::binary | std::ios::trunc) << durable.image;
  }
}

void SimDisk::Forget(const std::string& prefix) {
  std::erase_if(files, [&](const auto& file) { return absl::StartsWith(file.first, prefix); });
  troubles.erase(prefix);
}

}  // namespace deferd::sim
