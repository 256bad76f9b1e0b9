// What `deferctl setup` needs of this machine: running the mail server's programs, changing files
// and taking the changes back.
//
// A plan is a list of files as they are and as they are to be, made without touching anything.
// Write first writes all of them beside the files (durably, with the owner, mode and extended
// attributes of the files), and then renames each: a full disk or a read-only file system changes
// nothing, and a file is never half written. Not thread-safe.

#ifndef DEFERD_LIMITER_CTL_SETUP_MACHINE_H_
#define DEFERD_LIMITER_CTL_SETUP_MACHINE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/port/command.h"

namespace deferd {

// One file; nullopt: it is not there.
struct FileEdit {
  std::string path;
  std::optional<std::string> before;
  std::optional<std::string> after;

  bool changes() const { return before != after; }
};

struct SetupPlan {
  std::vector<FileEdit> edits;
  std::vector<std::string> notes;  // what a person should know or do

  bool changes() const;
  // The edit of this file, made where there is none yet.
  FileEdit* Edit(const std::string& path);
};

// nullopt if it is not there or cannot be read.
std::optional<std::string> FileText(const std::string& path);

// "/etc" of "/etc/exim.conf".
std::string FolderOfPath(const std::string& path);

// Files that match a pattern (glob(7)), sorted.
std::vector<std::string> FilesLike(const std::string& pattern);

class SetupMachine {
 public:
  // What a program prints, whatever its status; "" if it cannot be run.
  std::string Output(const std::vector<std::string>& argv, absl::string_view input = "");
  // Ok if it ends with 0; else what it said.
  absl::Status Run(const std::vector<std::string>& argv, absl::string_view input = "");

  // As diff -u of all files that change.
  std::string Diff(const SetupPlan& plan);

  // Writes every file of the plan; on an error those written before are as they were. Aborted: a
  // file is not what it was when the plan was made.
  absl::Status Write(const SetupPlan& plan);
  // Writes them as they were, and removes what a killed Write left beside them. A file that
  // somebody has edited since stays and is added to *edited. Every failure is named.
  absl::Status WriteBack(const SetupPlan& plan, std::vector<std::string>* edited);

 private:
  Commands commands_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_MACHINE_H_
