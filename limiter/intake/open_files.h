// The files of one log that are open: the one at the path, and those that were there and are read
// on for a while. Finds out what rotation did to them, and what it put aside unseen.
//
// A look is not atomic: files are renamed while their names are being opened. So what was opened is
// kept only if nothing happened to the names meanwhile, by inotify; and a name stands for a file
// only until the next event about it. Not thread-safe.

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

  // Once, before the first Look. `resume` may be null. Returns the gaps found.
  int Begin(const LogPosition* resume, bool read_rotated_first);

  // Finds out which file is at the path, and what became of those that were. Returns the gaps
  // found: files that are gone and were never open.
  int Look();

  // In the order in which they had the path's name. Look, TakeUpCopy and Close change it.
  const std::vector<std::unique_ptr<TailedFile>>& files() const { return files_; }
  const TailedFile* current() const { return current_; }  // the one at the path; null: none
  // Why there is no current one.
  const absl::Status& problem() const { return problem_; }
  // Where reading ended is known, and what was read cannot be seen now: no file is opened until
  // that can be told.
  bool undecided() const { return undecided_.has_value(); }
  // A rotated file that cannot be opened, and may be one that was not read to its end; empty: none.
  const std::string& unreadable() const { return unreadable_; }

  // The file number `at` was cut: looks for a copy made before. If there is one, it stands at `at`
  // now, to be read on, and the file behind it.
  bool TakeUpCopy(size_t at);

  void Close(size_t at);

  // How far each is read.
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
  int CountGone();

  const std::string path_;
  const Clock* const clock_;
  DirectoryWatch watch_;
  std::vector<std::unique_ptr<TailedFile>> files_;
  TailedFile* current_ = nullptr;
  absl::Status problem_;
  bool read_rotated_first_ = false;
  std::optional<LogPosition> undecided_;  // where to go on
  std::vector<FilePosition> unfound_;     // the same of single files; see Resumed
  std::string unreadable_;
  absl::Time looked_for_unfound_ = absl::InfinitePast();
  int spare_gone_ = 0;  // open files that are seen to be deleted, before the event has told so
  std::optional<FilePosition> last_read_;  // of the last closed file of which a line was read
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_OPEN_FILES_H_
