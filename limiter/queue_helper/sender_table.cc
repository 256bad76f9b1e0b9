#include "limiter/queue_helper/sender_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/port/log.h"
#include "policy/domain_name.h"
#include "policy/refusal_text.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxUser = 64;

bool IsDomainKey(absl::string_view domain) {
  const absl::StatusOr<DomainName> name = DomainName::Parse(domain);
  return name.ok() && name->text() == domain;
}

absl::Status CheckLine(absl::string_view key, const std::string& text) {
  const size_t at = key.find('@');
  const bool known = at == absl::string_view::npos ? IsUserKey(key)
                                                   : (at == 0 || IsUserKey(key.substr(0, at))) &&
                                                         IsDomainKey(key.substr(at + 1));
  if (!known) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(key), " is not a valid key (expected @DOMAIN, USER or USER@DOMAIN)"));
  }
  if (text.empty() || text != PrintableAscii(text, kMaxRefusalText)) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": the text must be one line of printable ASCII"));
  }
  return absl::OkStatus();
}

absl::Status FileError(const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

// A directory, and a file's path in it. All that follows works on the directory that was checked,
// whatever its name points to later.
class Folder {
 public:
  Folder(Folder&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  Folder& operator=(Folder&&) = delete;
  ~Folder() {
    if (fd_ >= 0) close(fd_);
  }

  // FailedPrecondition if anybody else could put or replace files there.
  static absl::StatusOr<Folder> Of(const std::string& path) {
    const size_t slash = path.rfind('/');
    std::string name =
        slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
    const int fd = open(name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return FileError(name);
    Folder folder(fd, std::move(name));
    struct stat info;
    if (fstat(fd, &info) != 0) return FileError(folder.path_);
    if ((info.st_uid != geteuid() && info.st_uid != 0) ||
        (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat(folder.path_,
                       ": others can write to this directory, so Postfix could be given their "
                       "table; deferd-queue needs one that root alone can write to"));
    }
    return folder;
  }

  // A new file; one of that name is replaced. Synced to disk, readable for Postfix's own user.
  absl::Status Write(const std::string& path, absl::string_view text) const {
    const char* const name = NameOf(path);
    if (unlinkat(fd_, name, 0) != 0 && errno != ENOENT) return FileError(path);
    const int fd = openat(fd_, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return FileError(path);
    absl::Cleanup close_fd = [fd] { close(fd); };
    while (!text.empty()) {
      const ssize_t n = write(fd, text.data(), text.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return FileError(path);
      text.remove_prefix(static_cast<size_t>(n));
    }
    return fchmod(fd, 0644) == 0 && fsync(fd) == 0 ? absl::OkStatus() : FileError(path);
  }

  // Syncs a file that another program wrote, and makes it readable for Postfix's own user.
  absl::Status Finish(const std::string& path) const {
    const int fd = openat(fd_, NameOf(path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return FileError(path);
    absl::Cleanup close_fd = [fd] { close(fd); };
    return fchmod(fd, 0644) == 0 && fsync(fd) == 0 ? absl::OkStatus() : FileError(path);
  }

  absl::Status Remove(const std::string& path) const {
    return unlinkat(fd_, NameOf(path), 0) == 0 || errno == ENOENT ? absl::OkStatus()
                                                                  : FileError(path);
  }
  absl::Status Rename(const std::string& from, const std::string& to) const {
    return renameat(fd_, NameOf(from), fd_, NameOf(to)) == 0 ? absl::OkStatus() : FileError(to);
  }
  absl::Status Sync() const { return fsync(fd_) == 0 ? absl::OkStatus() : FileError(path_); }

 private:
  Folder(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  static const char* NameOf(const std::string& path) {
    return path.c_str() + path.rfind('/') + 1;  // npos + 1 is 0
  }

  int fd_;
  std::string path_;
};

}  // namespace

bool IsUserKey(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxUser &&
         std::all_of(name.begin(), name.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return absl::ascii_islower(byte) || absl::ascii_isdigit(byte) || c == '.' || c == '_' ||
                  c == '-';
         });
}

std::optional<SenderTable::Stamp> SenderTable::StampOfTable() const {
  struct stat info;
  const bool found = lstat(absl::StrCat(path_, ".db").c_str(), &info) == 0;
  if (!found || !S_ISREG(info.st_mode)) return std::nullopt;
  return Stamp(info.st_dev, info.st_ino, info.st_size,
               absl::ToUnixNanos(absl::TimeFromTimespec(info.st_mtim)));
}

bool SenderTable::IsThere() const {
  const std::optional<Stamp> found = StampOfTable();
  if (!found.has_value() || std::get<2>(*found) == 0) return false;
  return !written_.has_value() || found == written_;
}

void SenderTable::SetRefreshed() {
  refreshed_ = clock_->Elapsed();
  const std::string path = absl::StrCat(path_, ".said");
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
  if (fd < 0) return;
  const timespec stamp = absl::ToTimespec(clock_->Now());
  const timespec both[2] = {stamp, stamp};
  futimens(fd, both);
  close(fd);
}

absl::Status SenderTable::Open() {
  MutexLock lock(&mutex_);
  if (!IsThere()) {
    SetRefreshed();
    return Write({});
  }
  struct stat info;
  const bool known = lstat(absl::StrCat(path_, ".said").c_str(), &info) == 0;
  const absl::Duration silent =
      known ? clock_->Now() - absl::TimeFromTimespec(info.st_mtim) : absl::ZeroDuration();
  refreshed_ = clock_->Elapsed() - std::max(silent, absl::ZeroDuration());
  return absl::OkStatus();
}

absl::Status SenderTable::Set(const std::map<std::string, std::string>& senders) {
  for (const auto& [key, text] : senders) {
    absl::Status status = CheckLine(key, text);
    if (!status.ok()) return status;
  }
  MutexLock lock(&mutex_);
  SetRefreshed();
  if (senders_ == senders && IsThere()) return absl::OkStatus();
  if (!failed_.ok() && clock_->Elapsed() - failed_at_ < kAgain) return failed_;
  failed_ = Write(senders);
  failed_at_ = clock_->Elapsed();
  return failed_;
}

absl::Status SenderTable::Tick() {
  MutexLock lock(&mutex_);
  const absl::Duration now = clock_->Elapsed();
  const bool empty = senders_.has_value() && senders_->empty();
  if (now - refreshed_ >= kTrusted && !empty) {
    spdlog::warn(
        "no request from deferd for {}: emptied the sender table, Postfix no longer defers mail",
        absl::FormatDuration(absl::Trunc(now - refreshed_, absl::Seconds(1))));
    refreshed_ = now;  // so that an error is not logged at every tick
    return Write({});
  }
  if (IsThere()) return absl::OkStatus();
  spdlog::warn("{}.db is missing or was changed by another program: writing it again", path_);
  return Write(senders_.value_or(std::map<std::string, std::string>()));
}

// Writes both files of `fresh` and reads them back.
absl::Status SenderTable::Make(const std::string& fresh,
                               const std::map<std::string, std::string>& senders) {
  std::string text = "# Written by deferd-queue; see deploy/postfix/held.cf.\n";
  for (const auto& [key, why] : senders) {
    absl::StrAppend(&text, key, " ", kTransport, ":", why, "\n");
  }
  const absl::StatusOr<Folder> folder = Folder::Of(path_);
  if (!folder.ok()) return folder.status();
  const std::string table = absl::StrCat(fresh, ".db");
  absl::Status status = folder->Write(fresh, text);
  status.Update(folder->Remove(table));  // of a crash
  if (!status.ok()) return status;
  std::vector<std::string> argv = postmap_;
  argv.push_back(absl::StrCat("hash:", fresh));
  status = commands_.Run(argv, "", kLimit).status();
  if (!status.ok()) return status;
  status = folder->Finish(table);
  if (!status.ok()) return status;
  argv.insert(argv.end() - 1, "-s");
  const absl::StatusOr<std::string> read_back = commands_.Run(argv, "", kLimit);
  if (!read_back.ok()) return read_back.status();
  const auto lines = static_cast<size_t>(std::count(read_back->begin(), read_back->end(), '\n'));
  if (lines == senders.size()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(table, ": ", lines, " of ", senders.size(), " entries could be read back"));
}

absl::Status SenderTable::Write(const std::map<std::string, std::string>& senders) {
  const std::string fresh = absl::StrCat(path_, ".new");
  absl::Status status = Make(fresh, senders);
  if (!status.ok()) return status;
  const absl::StatusOr<Folder> folder = Folder::Of(path_);
  if (!folder.ok()) return folder.status();
  for (const char* suffix : {".db", ""}) {
    status = folder->Rename(absl::StrCat(fresh, suffix), absl::StrCat(path_, suffix));
    if (!status.ok()) return status;
  }
  senders_ = senders;
  written_ = StampOfTable();
  spdlog::info("sender table: Postfix defers the mail of {} senders (domains, users)",
               senders.size());
  return folder->Sync();
}

}  // namespace deferd
