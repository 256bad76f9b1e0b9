#include "limiter/ctl/setup_rehearsal.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace deferd {

namespace {

namespace fs = std::filesystem;

absl::Status Trouble(const std::string& path, const std::error_code& error) {
  return absl::UnavailableError(absl::StrCat(path, ": cannot be copied: ", error.message()));
}

}  // namespace

std::string SetupRehearsal::Path(const std::string& path) const {
  if (absl::StartsWith(path, original_ + "/")) {
    return absl::StrCat(folder(), path.substr(original_.size()));
  }
  return absl::StrCat(root_, "/elsewhere", absl::StrReplaceAll(path, {{"/", "_"}}));
}

absl::StatusOr<SetupRehearsal> SetupRehearsal::Make(const std::string& folder,
                                                    const SetupPlan& plan) {
  std::string root = "/tmp/deferd-setup.XXXXXX";
  if (mkdtemp(root.data()) == nullptr) {
    return absl::UnavailableError("/tmp: no folder can be made there");
  }
  SetupRehearsal copy(root, folder);
  std::error_code error;
  fs::create_directory(copy.folder(), error);
  constexpr auto kWhole = fs::copy_options::recursive | fs::copy_options::copy_symlinks;
  if (!folder.empty()) fs::copy(folder, copy.folder(), kWhole, error);
  if (error) return Trouble(folder, error);
  for (const FileEdit& edit : plan.edits) {
    const std::string path = copy.Path(edit.path);
    // A link of the copy must not lead to the original.
    fs::remove(path, error);
    if (!edit.after.has_value()) continue;
    fs::create_directories(fs::path(path).parent_path(), error);
    std::ofstream file(path, std::ios::binary);
    file << *edit.after;
    if (!file.flush()) return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
  }
  return copy;
}

SetupRehearsal::SetupRehearsal(SetupRehearsal&& other) noexcept
    : root_(std::exchange(other.root_, "")), original_(std::move(other.original_)) {}

SetupRehearsal::~SetupRehearsal() {
  std::error_code ignored;
  if (!root_.empty()) fs::remove_all(root_, ignored);
}

}  // namespace deferd
