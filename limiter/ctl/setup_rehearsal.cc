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

constexpr uintmax_t kLargest = 1 << 20;  // of a file that is copied; larger ones are maps
constexpr int kDeepestLayout = 16;       // folders; a link may lead to a folder above it

absl::Status CopyTrouble(const fs::path& path, const std::error_code& error) {
  return absl::UnavailableError(
      absl::StrCat(path.string(), ": cannot be copied: ", error.message()));
}

// Copies what links lead to, not the links: what the plan changes below a linked folder must not
// be changed there. A large file becomes a link. Sockets and pipes are left out.
absl::Status CopyTree(const fs::path& from, const fs::path& to, int depth) {
  std::error_code error;
  fs::create_directories(to, error);
  if (error) return CopyTrouble(to, error);
  fs::permissions(to, fs::perms::owner_all, fs::perm_options::add, error);
  fs::directory_iterator entries(from, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    const fs::path path = entries->path();
    const fs::path copy = to / path.filename();
    std::error_code unknown;  // a link that leads nowhere is no file
    const fs::file_status status = fs::status(path, unknown);
    if (fs::is_directory(status)) {
      if (depth >= kDeepestLayout) continue;
      if (absl::Status done = CopyTree(path, copy, depth + 1); !done.ok()) return done;
    } else if (fs::is_regular_file(status)) {
      if (fs::file_size(path, unknown) > kLargest) {
        fs::create_symlink(fs::canonical(path, error), copy, error);
      } else {
        fs::copy_file(path, copy, error);
      }
      if (error) return CopyTrouble(path, error);
    }
  }
  return error ? CopyTrouble(from, error) : absl::OkStatus();
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
  if (error) return CopyTrouble(copy.folder(), error);
  if (!folder.empty()) {
    if (absl::Status done = CopyTree(folder, copy.folder(), 0); !done.ok()) return done;
  }
  if (absl::Status done = copy.Change(plan); !done.ok()) return done;
  return copy;
}

absl::Status SetupRehearsal::Change(const SetupPlan& plan) const {
  std::error_code error;
  for (const FileEdit& edit : plan.edits) {
    const std::string path = Path(edit.path);
    // A large file is a link to the original.
    fs::remove(path, error);
    if (!edit.after.has_value()) continue;
    fs::create_directories(fs::path(path).parent_path(), error);
    std::ofstream file(path, std::ios::binary);
    file << *edit.after;
    if (!file.flush()) return absl::UnavailableError(absl::StrCat(path, ": cannot be written"));
  }
  return absl::OkStatus();
}

SetupRehearsal::SetupRehearsal(SetupRehearsal&& other) noexcept
    : root_(std::exchange(other.root_, "")), original_(std::move(other.original_)) {}

SetupRehearsal::~SetupRehearsal() {
  std::error_code ignored;
  if (!root_.empty()) fs::remove_all(root_, ignored);
}

}  // namespace deferd
