#include "limiter/intake/open_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace deferd {
namespace {

// Rotation is a burst of renames. A longer one is seen in parts.
constexpr int kMaxRounds = 1000;

// Each search opens all rotated files.
constexpr absl::Duration kSearchEvery = absl::Seconds(5);

// How often a name from an event may be missing: the next event is on its way.
constexpr int kMaxMisses = 100;

}  // namespace

// Files opened in one round of a look.
struct OpenFiles::Seen {
  std::optional<FileId> at_path;
  absl::StatusOr<std::unique_ptr<TailedFile>> path_file = nullptr;  // if it is not current_
  std::vector<absl::StatusOr<std::unique_ptr<TailedFile>>> former;  // nullptr: known already
};

OpenFiles::OpenFiles(const std::string& path, const Clock* clock)
    : path_(path), clock_(clock), watch_(path) {}

int OpenFiles::Begin(const LogPosition* resume, bool read_rotated_first) {
  watch_.Arm();
  read_rotated_first_ = read_rotated_first;
  if (resume != nullptr) {
    Resumed resumed = FindAllAgain(*resume);
    if (resumed.undecided) undecided_ = LogPosition{.files = std::move(resumed.keep)};
    return Adopt(std::move(resumed));
  }
  if (!read_rotated_first) return 0;
  Resumed resumed;
  for (int round = 0; round < kMaxRounds; ++round) {
    watch_.Take();
    resumed = BeginWithRotated(path_);
    if (!watch_.Take()) break;
  }
  ForgetEvents();
  return Adopt(std::move(resumed));
}

Resumed OpenFiles::FindAllAgain(const LogPosition& position) {
  Resumed resumed;
  for (int round = 0; round < kMaxRounds; ++round) {
    watch_.Take();
    resumed = FindAgain(path_, position, read_rotated_first_);
    if (!watch_.Take()) break;
  }
  ForgetEvents();
  return resumed;
}

// Changes of names so far are included in the result.
void OpenFiles::ForgetEvents() {
  watch_.TakeRemoved();
  watch_.TakeOverflow();
  watch_.former().clear();
}

int OpenFiles::DecideAgain() {
  problem_ = TailedFile::Open(path_).status();
  Resumed resumed = FindAllAgain(*undecided_);
  if (resumed.undecided) {
    undecided_->files = std::move(resumed.keep);
    return 0;
  }
  undecided_.reset();
  return Adopt(std::move(resumed));
}

int OpenFiles::LookForUnfound() {
  const absl::Duration now = clock_->Elapsed();
  if (unfound_.empty() || now - looked_for_unfound_ < kSearchEvery) return 0;
  looked_for_unfound_ = now;
  int gaps = 0;
  for (const FilePosition& position : std::exchange(unfound_, {})) {
    Resumed resumed = FindAmongRotated(path_, position);
    gaps += resumed.gaps;
    for (auto& file : resumed.files) {
      if (Held(file->id()) != nullptr) continue;
      // Older than all open files.
      Rotate(Hold(std::move(file)));
      std::rotate(files_.begin(), files_.end() - 1, files_.end());
    }
    unfound_.insert(unfound_.end(), resumed.unfound.begin(), resumed.unfound.end());
    unreadable_ = resumed.unreadable;
  }
  if (unfound_.empty()) unreadable_.clear();
  return gaps;
}

int OpenFiles::Adopt(Resumed resumed) {
  unfound_ = std::move(resumed.unfound);
  unreadable_ = unfound_.empty() ? std::string() : std::move(resumed.unreadable);
  for (auto& file : resumed.files) Hold(std::move(file))->rotated_at = clock_->Elapsed();
  if (resumed.has_current) {
    current_ = files_.back().get();
    current_->rotated_at = absl::InfiniteDuration();
    watch_.KnowCurrent(current_->id());
  }
  return resumed.gaps;
}

int OpenFiles::Look() {
  watch_.Arm();
  int found_gaps = 0;
  if (undecided_) {
    found_gaps = DecideAgain();
    if (undecided_) return 0;
  }
  found_gaps += LookForUnfound();
  Seen seen;
  for (int round = 0; round < kMaxRounds; ++round) {
    watch_.Take();
    seen = {};
    seen.at_path = IdAtPath();
    if (current_ == nullptr || seen.at_path != current_->id()) {
      seen.path_file = TailedFile::Open(path_);
    }
    for (const DirectoryWatch::Former& former : watch_.former()) {
      seen.former.push_back(nullptr);
      if (former.moved) seen.former.back() = TailedFile::Open(PathOf(former.name));
    }
    if (!watch_.Take()) break;
  }
  if (seen.path_file.ok() && *seen.path_file != nullptr) seen.at_path = (*seen.path_file)->id();

  bool left = false;
  if (current_ != nullptr && seen.at_path != current_->id()) {
    left = true;
    // An editor writes the log to another file and renames it over the path.
    TailedFile* anew = seen.path_file.ok() ? seen.path_file->get() : nullptr;
    if (anew != nullptr && !anew->packed() && !anew->TakeOver(*current_)) anew->Restart();
    Rotate(current_);
  }
  int gaps = found_gaps + TakeFormer(&seen);
  gaps += CountRemoved();
  // Only rotated files show what was between the file that left and the present one.
  if (watch_.TakeOverflow() || (left && !watch_.armed())) {
    if (!HoldUnseen() && left) ++gaps;
  }
  if (current_ == nullptr) {
    problem_ = seen.path_file.status();
    if (seen.path_file.ok() && *seen.path_file != nullptr) {
      TailedFile* held = Held(*seen.at_path);
      current_ = held != nullptr ? held : Hold(*std::move(seen.path_file));
      current_->rotated_at = absl::InfiniteDuration();
    }
  }
  if (current_ != nullptr) watch_.KnowCurrent(current_->id());
  return gaps;
}

// Opens the files that had the name since the last look, each once.
int OpenFiles::TakeFormer(Seen* seen) {
  int gaps = 0;
  std::vector<DirectoryWatch::Former>& formers = watch_.former();
  // Later events belong to the next look.
  const size_t n = std::min(seen->former.size(), formers.size());
  std::vector<size_t> done;
  for (size_t i = 0; i < n; ++i) {
    DirectoryWatch::Former& former = formers[i];
    if (!former.moved) continue;
    auto& file = seen->former[i];
    if (file.ok() && *file != nullptr) {
      former.id = (*file)->id();
      former.moved = false;
      if (Held(*former.id) == nullptr) Rotate(Hold(*std::move(file)));
      continue;
    }
    if (absl::IsNotFound(file.status()) && ++former.looks < kMaxMisses) continue;
    if (!former.id) ++gaps;
    done.push_back(i);
  }
  for (auto it = done.rbegin(); it != done.rend(); ++it) {
    formers.erase(formers.begin() + static_cast<std::ptrdiff_t>(*it));
  }
  return gaps;
}

// Counts deleted files that had the name, except open and compressed ones.
int OpenFiles::CountRemoved() {
  const DirectoryWatch::Removed removed = watch_.TakeRemoved();
  int deleted = 0;
  for (const auto& file : files_) {
    struct stat info;
    if (file->seen_deleted || fstat(file->fd(), &info) != 0 || info.st_nlink > 0) continue;
    file->seen_deleted = true;
    ++deleted;
  }
  spare_removed_ = std::max(0, spare_removed_ + deleted - removed.known);
  const int spared = std::min(removed.unknown, spare_removed_);
  spare_removed_ -= spared;
  const int lost = removed.unknown - spared;
  if (lost == 0) return 0;
  return std::max(0, lost - HoldUnseen().value_or(0));
}

// Opens rotated files younger than all open ones. nullopt if the order is unknown.
std::optional<int> OpenFiles::HoldUnseen() {
  if (files_.empty()) return std::nullopt;
  const TailedFile* newest = files_.back().get();
  if (newest == current_) return 0;
  std::vector<const TailedFile*> read;
  for (const auto& file : files_) read.push_back(file.get());
  bool unreadable = false;
  auto unseen = UnseenRotated(path_, SiblingsOf(path_), newest, read, &unreadable);
  if (!unseen) return std::nullopt;
  const int found = static_cast<int>(unseen->size());
  for (auto& file : *unseen) Rotate(Hold(std::move(file)));
  return found;
}

std::optional<FileId> OpenFiles::IdAtPath() const {
  struct stat info;
  if (stat(path_.c_str(), &info) != 0) return std::nullopt;
  return FileId{.device = info.st_dev, .inode = info.st_ino};
}

TailedFile* OpenFiles::Hold(std::unique_ptr<TailedFile> file) {
  if (!file->packed()) file->watch = watch_.WatchFile(file->fd());
  files_.push_back(std::move(file));
  return files_.back().get();
}

TailedFile* OpenFiles::Held(FileId id) const {
  for (const auto& file : files_) {
    if (file->id() == id) return file.get();
  }
  return nullptr;
}

void OpenFiles::Rotate(TailedFile* file) {
  file->rotated_at = clock_->Elapsed();
  if (file == current_) current_ = nullptr;
}

bool OpenFiles::TakeUpCopy(size_t at) {
  for (int round = 0; round < kMaxRounds; ++round) {
    watch_.Take();
    std::vector<Sibling> siblings = SiblingsOf(path_);
    for (auto it = siblings.rbegin(); it != siblings.rend(); ++it) {  // the youngest first
      auto copy = TailedFile::Open(it->path);
      if (!copy.ok() || Held((*copy)->id()) != nullptr) continue;
      if (!(*copy)->TakeOver(*files_[at])) continue;
      (*copy)->is_copy = true;
      Rotate(Hold(*std::move(copy)));
      std::rotate(files_.begin() + static_cast<std::ptrdiff_t>(at), files_.end() - 1, files_.end());
      return true;
    }
    if (!watch_.Take()) break;
  }
  return false;
}

void OpenFiles::Close(size_t at) {
  const auto it = files_.begin() + static_cast<std::ptrdiff_t>(at);
  const FilePosition position = (*it)->position();
  if (position.offset > 0) last_read_ = position;
  watch_.ForgetFile((*it)->watch);
  watch_.Forget((*it)->id());
  if (it->get() == current_) current_ = nullptr;
  files_.erase(it);
}

// While nothing was read from the open files, the last file before them shows where to look for
// files that appeared unseen.
std::vector<FilePosition> OpenFiles::Positions() const {
  if (undecided_) return undecided_->files;
  std::vector<FilePosition> positions = unfound_;
  for (const auto& file : files_) positions.push_back(file->position());
  if (last_read_ && std::none_of(positions.begin(), positions.end(),
                                 [](const FilePosition& p) { return p.offset > 0; })) {
    positions.insert(positions.begin(), *last_read_);
  }
  return positions;
}

}  // namespace deferd
