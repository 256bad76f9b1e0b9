#include "limiter/ctl/setup_machine.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kCommandPatience = absl::Minutes(1);

absl::Status WriteTrouble(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": cannot be written: ", std::strerror(errno),
                   errno == EACCES || errno == EPERM ? "; run this as root" : ""));
}

std::string Beside(const std::string& target) { return target + ".deferd-new"; }

// Where the bytes are: through symbolic links, so that a link stays one.
std::string Target(const std::string& path) {
  char* const real = realpath(path.c_str(), nullptr);
  const std::string target = real == nullptr ? path : real;
  std::free(real);
  return target;
}

// Access control lists and security labels. What the file system does not take is left out.
void CopyAttributes(const std::string& from, int to) {
  std::string names(4096, '\0');
  const ssize_t size = listxattr(from.c_str(), names.data(), names.size());
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(std::strlen(&names[at])) + 1) {
    char value[4096];
    const ssize_t length = getxattr(from.c_str(), &names[at], value, sizeof(value));
    if (length >= 0) fsetxattr(to, &names[at], value, static_cast<size_t>(length), 0);
  }
}

// The new text beside the file, durable and with the file's owner, mode and attributes.
absl::Status Stage(const std::string& target, absl::string_view text) {
  struct stat old = {};
  const bool there = stat(target.c_str(), &old) == 0;
  const std::string beside = Beside(target);
  // The folder may be another user's, who may have put a link there.
  unlink(beside.c_str());
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return WriteTrouble(target);
  absl::Cleanup done = [&] { close(fd); };
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return WriteTrouble(target);
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (there && fchown(fd, old.st_uid, old.st_gid) != 0) return WriteTrouble(target);
  if (fchmod(fd, there ? old.st_mode & 07777 : 0644) != 0) return WriteTrouble(target);
  if (there) CopyAttributes(target, fd);
  return fsync(fd) == 0 ? absl::OkStatus() : WriteTrouble(target);
}

// What is staged becomes the file, or (no text) the file goes; durably.
absl::Status Commit(const std::string& target, bool text) {
  if (text ? rename(Beside(target).c_str(), target.c_str()) != 0
           : unlink(target.c_str()) != 0 && errno != ENOENT) {
    return WriteTrouble(target);
  }
  const std::string folder = FolderOfPath(target);
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::OkStatus();  // a folder that cannot be read can be written all the same
  absl::Cleanup done = [&] { close(fd); };
  return fsync(fd) == 0 ? absl::OkStatus() : WriteTrouble(target);
}

}  // namespace

bool SetupPlan::changes() const {
  return std::any_of(edits.begin(), edits.end(), [](const FileEdit& e) { return e.changes(); });
}

FileEdit* SetupPlan::Edit(const std::string& path) {
  for (FileEdit& edit : edits) {
    if (edit.path == path) return &edit;
  }
  std::optional<std::string> text = FileText(path);
  edits.push_back({.path = path, .before = text, .after = text});
  return &edits.back();
}

std::optional<std::string> FileText(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

std::string FolderOfPath(const std::string& path) {
  return path.substr(0, std::max<size_t>(path.rfind('/'), 1));
}

std::vector<std::string> FilesLike(const std::string& pattern) {
  std::vector<std::string> files;
  glob_t found = {};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return files;
}

std::string SetupMachine::Output(const std::vector<std::string>& argv, absl::string_view input) {
  absl::StatusOr<Commands::Ended> ended = commands_.RunAnyhow(argv, input, kCommandPatience);
  return ended.ok() ? ended->output : "";
}

absl::Status SetupMachine::Run(const std::vector<std::string>& argv, absl::string_view input) {
  absl::StatusOr<Commands::Ended> ended = commands_.RunAnyhow(argv, input, kCommandPatience);
  if (!ended.ok()) return ended.status();
  if (ended->ok()) return absl::OkStatus();
  std::string said = absl::StrCat(ended->error, ended->output);
  absl::StripAsciiWhitespace(&said);
  return absl::UnavailableError(
      absl::StrCat(argv[0], ": ended with status ", ended->status, ": ",
                   PrintableUtf8(said.substr(0, std::min<size_t>(said.size(), 600)))));
}

std::string SetupMachine::Diff(const SetupPlan& plan) {
  std::string all;
  for (const FileEdit& edit : plan.edits) {
    if (!edit.changes()) continue;
    // diff(1) reads one of the two from its standard input.
    const char* const none = "/dev/null";
    if (!edit.after.has_value()) {
      all +=
          Output({"/usr/bin/diff", "-u", "--label", edit.path, "--label", none, edit.path, none});
      continue;
    }
    const bool there = edit.before.has_value();
    all += Output({"/usr/bin/diff", "-u", "--label", there ? edit.path : none, "--label", edit.path,
                   there ? edit.path : none, "-"},
                  *edit.after);
  }
  return all;
}

absl::Status SetupMachine::Write(const SetupPlan& plan) {
  absl::Status status;
  for (const FileEdit& edit : plan.edits) {
    if (!edit.changes()) continue;
    if (edit.after.has_value()) status = Stage(Target(edit.path), *edit.after);
    if (status.ok() && FileText(edit.path) != edit.before) {
      status = absl::AbortedError(
          absl::StrCat(edit.path, ": was changed by somebody else just now; run this again"));
    }
    if (!status.ok()) break;
  }
  for (const FileEdit& edit : plan.edits) {
    if (status.ok() && edit.changes()) {
      status = Commit(Target(edit.path), edit.after.has_value());
    }
  }
  if (status.ok()) return status;
  std::vector<std::string> edited;
  const absl::Status back = WriteBack(plan, &edited);
  return back.ok() ? status
                   : absl::Status(status.code(),
                                  absl::StrCat(status.message(), "; and ", back.message()));
}

absl::Status SetupMachine::WriteBack(const SetupPlan& plan, std::vector<std::string>* edited) {
  std::string failed;
  for (const FileEdit& edit : plan.edits) {
    if (!edit.changes()) continue;
    const std::string target = Target(edit.path);
    const std::optional<std::string> now = FileText(edit.path);
    absl::Status status;
    if (now == edit.after) {
      if (edit.before.has_value()) status = Stage(target, *edit.before);
      if (status.ok()) status = Commit(target, edit.before.has_value());
    } else if (now != edit.before) {
      edited->push_back(edit.path);
    }
    unlink(Beside(target).c_str());
    if (!status.ok()) absl::StrAppend(&failed, failed.empty() ? "" : "; ", status.message());
  }
  return failed.empty() ? absl::OkStatus() : absl::UnavailableError(failed);
}

}  // namespace deferd
