// The open files of one log: the file at the path, and rotated files that are still read for a
// while. Finds out how files were rotated, and finds rotated files that were never open.
//
// A look is not atomic: files may be renamed while they are being opened. An opened file is
// therefore kept only if inotify reported no change of names meanwhile, and a name identifies a
// file only until the next event about that name. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_OPEN_FILES_H_
#define DEFERD_LIMITER_INTAKE_OPEN_FILES_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "limiter/intake/directory_watch.h"
#include "limiter/intake/resume.h"
#include "limiter/intake/tailed_file.h"
#include "limiter/port/clock.h"
#include "policy/log_position.h"

namespace deferd {

class OpenFiles {
 public:
  OpenFiles(const std::string& path, const Clock* clock);

  int fd() const { return watch_.fd(); }  // readable when a look may show something new

  // Call once before the first Look. `resume` may be null. Returns the number of gaps.
  int Begin(const LogPosition* resume, bool read_rotated_first);

  // Finds the file at the path and the new names of rotated files. Returns the number of gaps:
  // files that were deleted and never opened.
  int Look();

  // In the order in which they were at the path. Changed by Look, TakeUpCopy and Close.
  const std::vector<std::unique_ptr<TailedFile>>& files() const { return files_; }
  const TailedFile* current() const { return current_; }  // the file at the path; null: none
  // Why there is no current file.
  const absl::Status& problem() const { return problem_; }
  // The stored position is known, but its files cannot be found now; no file is opened until that
  // is resolved.
  bool undecided() const { return undecided_.has_value(); }
  // A rotated file that cannot be opened and may contain unread lines; empty: none.
  const std::string& unreadable() const { return unreadable_; }

  // File number `at` was truncated: looks for a copy made before. If found, the copy takes the
  // place `at` and the file follows it.
  bool TakeUpCopy(size_t at);

  void Close(size_t at);

  // Read position of each file.
  std::vector<FilePosition> Positions() const;

 private:
  struct Seen;

  std::string PathOf(const std::string& name) const { return watch_.folder() + "/" + name; }
  std::optional<FileId> IdAtPath() const;
  Resumed FindAllAgain(const LogPosition& position);
  void ForgetEvents();
  int DecideAgain();
  int LookForUnfound();
  TailedFile* Hold(std::unique_ptr<TailedFile> file);
  TailedFile* Held(FileId id) const;
  int Adopt(Resumed resumed);
  void Rotate(TailedFile* file);
  int TakeFormer(Seen* seen);
  std::optional<int> HoldUnseen();
  int CountRemoved();

  const std::string path_;
  const Clock* const clock_;
  DirectoryWatch watch_;
  std::vector<std::unique_ptr<TailedFile>> files_;
  TailedFile* current_ = nullptr;
  absl::Status problem_;
  bool read_rotated_first_ = false;
  std::optional<LogPosition> undecided_;  // the position to continue from
  std::vector<FilePosition> unfound_;     // the same for single files; see Resumed
  std::string unreadable_;
  absl::Duration looked_for_unfound_ = -absl::InfiniteDuration();  // Clock::Elapsed()
  int spare_removed_ = 0;                  // open files already seen as deleted, before their event
  std::optional<FilePosition> last_read_;  // the last closed file from which a line was read
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_OPEN_FILES_H_
