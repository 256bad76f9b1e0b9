// Any bytes as a copy of cPanel's files, which a NUL parts: refused with the file's name, or turned
// into a policy that deferd reads.

#include <stdlib.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "limiter/ctl/cpanel_import.h"
#include "policy/policy_file.h"
#include "tests/fuzz/fuzzing.h"

namespace {

// One for all inputs: each writes the same three files anew.
const std::string& Folder() {
  static const auto* const kFolder = [] {
    auto* folder = new std::string("/tmp/cpanel_fuzz.XXXXXX");
    deferd::Require(mkdtemp(folder->data()) != nullptr);
    std::filesystem::create_directory(absl::StrCat(*folder, "/users"));
    std::atexit([] { std::filesystem::remove_all(Folder()); });
    return folder;
  }();
  return *kFolder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> files = absl::StrSplit(bytes, absl::MaxSplits('\0', 2));
  files.resize(3);
  const char* const kNames[] = {"cpanel.config", "userdomains", "users/alice"};
  for (int i = 0; i < 3; ++i) {
    std::ofstream(absl::StrCat(Folder(), "/", kNames[i]), std::ios::binary) << files[i];
  }
  const absl::StatusOr<deferd::CpanelImport> import = deferd::ImportCpanel(Folder());
  if (!import.ok()) {
    deferd::Require(!import.status().message().empty());
    return 0;
  }
  deferd::Require(deferd::ParsePolicy(import->policy, "imported").ok());
  return 0;
}
