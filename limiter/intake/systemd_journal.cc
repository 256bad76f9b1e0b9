#include "limiter/intake/systemd_journal.h"

#include <dirent.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-messages.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "limiter/intake/line_splitter.h"

namespace deferd {
namespace {

constexpr char kMail[] = "SYSLOG_FACILITY=2";
constexpr char kSuppressed[] = "MESSAGE_ID=" SD_MESSAGE_JOURNAL_DROPPED_STR;
constexpr char kJournald[] = "_TRANSPORT=driver";  // which no other program can have

// Where journald keeps it: systemd-journald.service(8).
constexpr const char* kFolders[] = {"/run/log/journal", "/var/log/journal"};

absl::Status Error(int error, absl::string_view doing) {
  return absl::UnavailableError(absl::StrCat(doing, ": ", std::strerror(-error)));
}

struct JournalFiles {
  int readable = 0;
  std::string denied;  // one that we may not read
};

// Of the journal files in `directory`, those whose names begin with `begin`. Of this machine's
// journal only the system's count: a user's own may always be read by that user.
void LookForFiles(const std::string& directory, absl::string_view begin, JournalFiles* files) {
  DIR* open = opendir(directory.c_str());
  if (open == nullptr) {
    if (errno == EACCES) files->denied = directory;
    return;
  }
  absl::Cleanup close = [open] { closedir(open); };
  while (const dirent* one = readdir(open)) {
    const absl::string_view name = one->d_name;
    if (!absl::StartsWith(name, begin)) continue;
    if (!absl::EndsWith(name, ".journal") && !absl::EndsWith(name, ".journal~")) continue;
    const std::string path = absl::StrCat(directory, "/", name);
    if (access(path.c_str(), R_OK) == 0) {
      ++files->readable;
    } else if (errno == EACCES) {
      files->denied = path;
    }
  }
}

}  // namespace

// sd_journal_open(3) gives an empty journal both where there is none and where it may not be read.
absl::Status SystemdJournal::Check(const std::string& directory) {
  JournalFiles files;
  sd_id128_t machine;
  char id[SD_ID128_STRING_MAX];
  if (!directory.empty()) {
    LookForFiles(directory, "", &files);
  } else if (sd_id128_get_machine(&machine) >= 0) {
    for (const char* one : kFolders) {
      LookForFiles(absl::StrCat(one, "/", sd_id128_to_string(machine, id)), "system", &files);
    }
  }
  if (!files.denied.empty()) {
    return absl::PermissionDeniedError(
        absl::StrCat("no permission to read the journal (", files.denied,
                     "): add deferd's user to the group systemd-journal"));
  }
  if (files.readable > 0) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat(
      "no journal found", directory.empty() ? "" : " in ", directory,
      ": is systemd-journald running, and does it store a journal (Storage= in journald.conf)?"));
}

absl::StatusOr<std::unique_ptr<SystemdJournal>> SystemdJournal::Open(const std::string& directory) {
  absl::Status there = Check(directory);
  if (!there.ok()) return there;
  sd_journal* opened = nullptr;
  int error = directory.empty()
                  ? sd_journal_open(&opened, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM)
                  : sd_journal_open_directory(&opened, directory.c_str(), 0);
  if (error < 0) return Error(error, "the journal cannot be opened");
  std::unique_ptr<SystemdJournal> journal(new SystemdJournal(opened));
  error = sd_journal_add_match(opened, kMail, 0);
  if (error >= 0) error = sd_journal_add_disjunction(opened);
  for (const char* both : {kSuppressed, kJournald}) {
    if (error >= 0) error = sd_journal_add_match(opened, both, 0);
  }
  // One more than is taken: so a message that is cut can be told.
  if (error >= 0) {
    error =
        sd_journal_set_data_threshold(opened, std::strlen("MESSAGE=") + LineSplitter::kMaxLine + 1);
  }
  // Watches from now on: what comes between reading and waiting is noticed.
  if (error >= 0) error = journal->fd_ = sd_journal_get_fd(opened);
  if (error < 0) return Error(error, "the journal cannot be followed");
  return journal;
}

absl::Status SystemdJournal::SeekHead() {
  on_entry_ = false;
  const int error = sd_journal_seek_head(journal_.get());
  return error < 0 ? Error(error, "cannot seek in the journal") : absl::OkStatus();
}

absl::Status SystemdJournal::SeekTime(absl::Time time) {
  const int error = sd_journal_seek_realtime_usec(journal_.get(),
                                                  static_cast<uint64_t>(absl::ToUnixMicros(time)));
  return error < 0 ? Error(error, "cannot seek in the journal") : StepBack();
}

absl::Status SystemdJournal::StepBack() {
  const int found = sd_journal_previous(journal_.get());
  if (found < 0) return Error(found, "cannot seek in the journal");
  if (found == 0) return SeekHead();
  on_entry_ = true;
  return absl::OkStatus();
}

absl::StatusOr<bool> SystemdJournal::SeekCursor(const std::string& cursor) {
  on_entry_ = false;
  int found = sd_journal_seek_cursor(journal_.get(), cursor.c_str());
  if (found == -EINVAL) return absl::InvalidArgumentError("not a cursor of the journal");
  if (found >= 0) found = sd_journal_next(journal_.get());
  if (found > 0) {
    found = sd_journal_test_cursor(journal_.get(), cursor.c_str());
    on_entry_ = found > 0;
  }
  if (on_entry_) return true;
  if (found >= 0) found = sd_journal_seek_cursor(journal_.get(), cursor.c_str());
  if (found < 0) return Error(found, "cannot seek in the journal");
  absl::Status stepped = StepBack();
  if (!stepped.ok()) return stepped;
  return false;
}

absl::StatusOr<bool> SystemdJournal::Next() {
  const int found = sd_journal_next(journal_.get());
  if (found < 0) return Error(found, "the journal cannot be read");
  on_entry_ = on_entry_ || found > 0;
  return found > 0;
}

absl::StatusOr<std::optional<absl::string_view>> SystemdJournal::Field(const char* name) {
  const void* data = nullptr;
  size_t size = 0;
  const int error = sd_journal_get_data(journal_.get(), name, &data, &size);
  if (error == -ENOENT) return std::optional<absl::string_view>();
  const size_t head = std::strlen(name) + 1;  // "NAME="
  if (error < 0 || size < head) {
    return absl::DataLossError(absl::StrCat("an entry of the journal cannot be read: ",
                                            std::strerror(error < 0 ? -error : EBADMSG)));
  }
  return absl::string_view(static_cast<const char*>(data) + head, size - head);
}

absl::Status SystemdJournal::Read(JournalEntry* entry) {
  entry->time = Received();
  entry->uid.reset();
  auto sent = Field("_SOURCE_REALTIME_TIMESTAMP");
  if (!sent.ok()) return sent.status();
  int64_t micros = 0;
  if (sent->has_value() && absl::SimpleAtoi(**sent, &micros)) {
    entry->time = absl::FromUnixMicros(micros);
  }
  auto uid = Field("_UID");
  if (!uid.ok()) return uid.status();
  uid_t number = 0;
  if (uid->has_value() && absl::SimpleAtoi(**uid, &number)) entry->uid = number;
  auto id = Field("MESSAGE_ID");
  if (!id.ok()) return id.status();
  entry->suppressed = id->value_or("") == SD_MESSAGE_JOURNAL_DROPPED_STR;
  if (entry->suppressed) {
    auto transport = Field("_TRANSPORT");
    if (!transport.ok()) return transport.status();
    entry->suppressed = transport->value_or("") == "driver";
  }
  auto identifier = Field("SYSLOG_IDENTIFIER");
  if (!identifier.ok()) return identifier.status();
  const absl::string_view name = identifier->value_or("");
  entry->identifier.assign(name.data(), name.size());
  entry->pid.clear();
  for (const char* field : {"SYSLOG_PID", "_PID"}) {
    auto pid = Field(field);
    if (!pid.ok()) return pid.status();
    if (!pid->has_value()) continue;
    entry->pid.assign((*pid)->data(), (*pid)->size());
    break;
  }
  auto message = Field("MESSAGE");
  if (!message.ok()) return message.status();
  absl::string_view text = message->value_or("");
  entry->too_long = text.size() > LineSplitter::kMaxLine;
  text = text.substr(0, LineSplitter::kMaxLine);
  entry->message.assign(text.data(), text.size());
  return absl::OkStatus();
}

std::string SystemdJournal::Cursor() {
  char* text = nullptr;
  if (!on_entry_ || sd_journal_get_cursor(journal_.get(), &text) < 0) return "";
  absl::Cleanup release = [text] { std::free(text); };
  return text;
}

absl::Time SystemdJournal::Received() {
  uint64_t micros = 0;
  if (!on_entry_ || sd_journal_get_realtime_usec(journal_.get(), &micros) < 0) {
    return absl::InfinitePast();
  }
  return absl::FromUnixMicros(static_cast<int64_t>(micros));
}

std::optional<absl::Time> SystemdJournal::Oldest() {
  uint64_t from = 0;
  if (sd_journal_get_cutoff_realtime_usec(journal_.get(), &from, nullptr) <= 0) return std::nullopt;
  return absl::FromUnixMicros(static_cast<int64_t>(from));
}

absl::StatusOr<bool> SystemdJournal::Process() {
  const int change = sd_journal_process(journal_.get());
  if (change < 0) return Error(change, "the journal cannot be followed");
  return change == SD_JOURNAL_INVALIDATE;
}

}  // namespace deferd
