#include "limiter/ctl/setup_machine.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kPatience = absl::Minutes(1);

absl::Status Trouble(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat(path, ": cannot be written: ", std::strerror(errno),
                   errno == EACCES || errno == EPERM ? "; run this as root" : ""));
}

absl::Status WriteWhole(const std::string& path, const std::optional<std::string>& text) {
  if (!text.has_value()) {
    return unlink(path.c_str()) == 0 || errno == ENOENT ? absl::OkStatus() : Trouble(path);
  }
  struct stat old = {};
  const bool there = stat(path.c_str(), &old) == 0;
  // Through a symbolic link, so that the link stays one.
  char* const real = there ? realpath(path.c_str(), nullptr) : nullptr;
  const std::string target = real == nullptr ? path : real;
  std::free(real);
  const std::string beside = target + ".deferd-new";
  const int fd = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Trouble(beside);
  absl::Cleanup done = [&] {
    close(fd);
    unlink(beside.c_str());
  };
  absl::string_view left = *text;
  while (!left.empty()) {
    const ssize_t n = write(fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Trouble(beside);
    left.remove_prefix(static_cast<size_t>(n));
  }
  if (there && fchown(fd, old.st_uid, old.st_gid) != 0) return Trouble(beside);
  if (fchmod(fd, there ? old.st_mode & 07777 : 0644) != 0 || fsync(fd) != 0 ||
      rename(beside.c_str(), target.c_str()) != 0) {
    return Trouble(target);
  }
  return absl::OkStatus();
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
  absl::StatusOr<Commands::Ended> ended = commands_.RunAnyhow(argv, input, kPatience);
  return ended.ok() ? ended->output : "";
}

absl::Status SetupMachine::Run(const std::vector<std::string>& argv, absl::string_view input) {
  absl::StatusOr<Commands::Ended> ended = commands_.RunAnyhow(argv, input, kPatience);
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
  SetupPlan written;
  for (const FileEdit& edit : plan.edits) {
    if (!edit.changes()) continue;
    written.edits.push_back(edit);
    absl::Status status = WriteWhole(edit.path, edit.after);
    if (status.ok()) continue;
    absl::Status back = WriteBack(written);
    return back.ok() ? status : back;
  }
  return absl::OkStatus();
}

absl::Status SetupMachine::WriteBack(const SetupPlan& plan) {
  std::string failed;
  for (const FileEdit& edit : plan.edits) {
    if (!edit.changes()) continue;
    absl::Status status = WriteWhole(edit.path, edit.before);
    if (!status.ok()) absl::StrAppend(&failed, failed.empty() ? "" : "; ", status.message());
  }
  return failed.empty() ? absl::OkStatus() : absl::UnavailableError(failed);
}

}  // namespace deferd
