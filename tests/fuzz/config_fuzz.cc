// Any bytes as deferd.toml and as the maps and lists that it names: read, or all mistakes named,
// each with the file's name.

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "limiter/config/config.h"
#include "policy/charge.h"
#include "tests/fuzz/fuzzing.h"

namespace {

void ReadAsConfig(absl::string_view bytes) {
  const int fd = memfd_create("config_fuzz", MFD_CLOEXEC);
  deferd::Require(fd >= 0 &&
                  write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  const std::string path = absl::StrCat("/proc/self/fd/", fd);
  const absl::StatusOr<deferd::Config> config = deferd::LoadConfig(path);
  if (config.ok()) {
    deferd::Require(config->text == bytes);
    deferd::Require(deferd::NeedRestart(*config, *config).empty());
  } else {
    for (absl::string_view mistake : absl::StrSplit(config.status().message(), '\n')) {
      deferd::Require(!mistake.empty());
    }
  }
  close(fd);
}

void ReadAsLists(absl::string_view bytes) {
  for (bool swap : {false, true}) {
    absl::flat_hash_map<std::string, std::string> map;
    absl::flat_hash_set<std::string> several;
    const absl::Status read = deferd::ReadMap(bytes, "users", swap, &map, &several);
    if (read.ok()) continue;
    for (absl::string_view mistake : absl::StrSplit(read.message(), '\n')) {
      deferd::Require(absl::StartsWith(mistake, "users:"));
    }
  }
  deferd::HostList hosts;
  for (absl::string_view line : absl::StrSplit(bytes, '\n')) hosts.Add(line).IgnoreError();
  hosts.ContainsAddress(bytes);
  hosts.ContainsName(bytes);
  deferd::ParseChargeOrder(bytes).IgnoreError();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  ReadAsConfig(bytes);
  ReadAsLists(bytes);
  return 0;
}
