#include "limiter/ctl/setup_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace deferd {

namespace {

// First line of the file. A text is "N\n", its N bytes, "\n"; a file that is not there is "-\n".
constexpr absl::string_view kHead = "deferctl setup journal 1\n";
constexpr absl::string_view kListEnd = "end\n";

std::string Stored(absl::string_view text) { return absl::StrCat(text.size(), "\n", text, "\n"); }

std::string Stored(const std::optional<std::string>& text) {
  return text.has_value() ? Stored(absl::string_view(*text)) : "-\n";
}

// Takes one text from the front of `rest`. False: there is none.
bool Take(absl::string_view* rest, std::optional<std::string>* text) {
  if (absl::ConsumePrefix(rest, "-\n")) {
    text->reset();
    return true;
  }
  const size_t line_end = rest->find('\n');
  size_t size = 0;
  if (line_end == absl::string_view::npos || !absl::SimpleAtoi(rest->substr(0, line_end), &size) ||
      size > rest->size() || rest->size() - size < line_end + 2) {
    return false;
  }
  *text = std::string(rest->substr(line_end + 1, size));
  rest->remove_prefix(line_end + 1 + size);
  return absl::ConsumePrefix(rest, "\n");
}

}  // namespace

SetupJournal::~SetupJournal() {
  if (lock_ >= 0) close(lock_);
}

absl::Status SetupJournal::Lock() {
  if (mkdir(folder_.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::FailedPreconditionError(absl::StrCat(folder_,
                                                      ": cannot be made: ", std::strerror(errno),
                                                      geteuid() != 0 ? "; run this as root" : ""));
  }
  lock_ = open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct stat info = {};
  if (lock_ < 0 || fstat(lock_, &info) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(folder_,
                                                      ": cannot be opened: ", std::strerror(errno),
                                                      geteuid() != 0 ? "; run this as root" : ""));
  }
  if (info.st_uid != geteuid() || (info.st_mode & 077) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder_, ": must belong to the user that runs this, and to nobody else (mode 0700)"));
  }
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return absl::UnavailableError(
        "another deferctl setup runs on this machine; run this again when it has ended");
  }
  return absl::OkStatus();
}

absl::Status SetupJournal::Begin(const Begun& begun) {
  std::string text = absl::StrCat(kHead, Stored(absl::string_view(begun.mta)),
                                  Stored(absl::string_view(begun.mta_config)));
  for (const FileEdit& edit : begun.plan.edits) {
    if (!edit.changes()) continue;
    // The next run may be started elsewhere.
    const std::string path = std::filesystem::absolute(edit.path).string();
    absl::StrAppend(&text, Stored(absl::string_view(path)), Stored(edit.before),
                    Stored(edit.after));
  }
  absl::StrAppend(&text, kListEnd);
  SetupPlan own;
  own.edits.push_back({.path = Path(), .before = FileText(Path()), .after = std::move(text)});
  return SetupMachine().Write(own);
}

absl::Status SetupJournal::End() {
  if (unlink(Path().c_str()) != 0 && errno != ENOENT) {
    return absl::UnavailableError(
        absl::StrCat(Path(), ": cannot be removed: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<SetupJournal::Begun>> SetupJournal::Interrupted() const {
  const std::optional<std::string> text = FileText(Path());
  if (!text.has_value()) return std::nullopt;
  const absl::Status damaged = absl::DataLossError(absl::StrCat(
      Path(), ": what an earlier deferctl setup was about to change cannot be read; look at the ",
      "mail server's configuration, then remove this file"));
  absl::string_view rest = *text;
  Begun begun;
  std::optional<std::string> mta, mta_config;
  if (!absl::ConsumePrefix(&rest, kHead) || !Take(&rest, &mta) || !Take(&rest, &mta_config) ||
      !mta.has_value() || !mta_config.has_value()) {
    return damaged;
  }
  begun.mta = *mta;
  begun.mta_config = *mta_config;
  while (rest != kListEnd) {
    std::optional<std::string> path;
    FileEdit edit;
    if (!Take(&rest, &path) || !path.has_value() || !absl::StartsWith(*path, "/") ||
        !Take(&rest, &edit.before) || !Take(&rest, &edit.after)) {
      return damaged;
    }
    edit.path = *path;
    begun.plan.edits.push_back(std::move(edit));
  }
  return begun;
}

}  // namespace deferd
