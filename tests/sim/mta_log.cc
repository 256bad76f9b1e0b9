#include "tests/sim/mta_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace deferd::sim {

namespace fs = std::filesystem;

std::string DomainName(int domain) { return absl::StrCat("d", domain, ".example"); }

namespace {

std::string Login(int domain) { return absl::StrCat("bob@", DomainName(domain)); }
// Every message goes to other servers, so that no incident excuses anybody.
std::string Far(int message) { return absl::StrCat("m", message, ".test"); }
std::string Address(int message) {
  return absl::StrCat("203.", message / 256 % 256, ".", message % 256, ".9");
}
std::string Recipient(int message, int recipient) {
  return absl::StrCat("r", recipient, "@", Far(message));
}

}  // namespace

MtaLog::MtaLog(std::string folder, int number, bool postfix, const Clock* clock)
    : folder_(std::move(folder)), number_(number), postfix_(postfix), clock_(clock) {
  fs::create_directories(folder_);
  Write("");
}

std::string MtaLog::IdOf(int message) const {
  if (postfix_) return absl::StrFormat("4%X%05X", number_, message);
  return absl::StrFormat("1aB%d%02d-0%05d-Zz", number_, message / 100'000, message % 100'000);
}

std::string MtaLog::Stamp(absl::Time stamp) const {
  const absl::TimeZone utc = absl::UTCTimeZone();
  if (postfix_) return absl::FormatTime("%Y-%m-%dT%H:%M:%S+00:00", stamp, utc);
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", stamp, utc);
}

void MtaLog::Write(const std::string& text) {
  std::ofstream(folder_ + "/" + open_name_, std::ios::binary | std::ios::app) << text;
  SetModified(open_name_);
}

void MtaLog::FinishLine() {
  if (rest_.empty()) return;
  Write(std::exchange(rest_, ""));
  truth_.push_back(rest_truth_);
}

void MtaLog::Line(const std::string& text, const Truth& truth) {
  FinishLine();
  const std::string line = text + "\n";
  if (std::exchange(split_next_, false)) {
    Write(line.substr(0, line.size() / 2));
    rest_ = line.substr(line.size() / 2);
    rest_truth_ = truth;
    return;
  }
  Write(line);
  truth_.push_back(truth);
}

int MtaLog::NewMessage(int domain, int recipients, absl::Time stamp) {
  const int message = static_cast<int>(messages_.size());
  messages_.push_back({domain, recipients});
  const std::string id = IdOf(message);
  const Truth other = {.time = stamp};
  if (postfix_) {
    const std::string host = Stamp(stamp) + " mx postfix/";
    Line(absl::StrCat(host, "submission/smtpd[1]: ", id,
                      ": client=pc[192.0.2.7], sasl_method=PLAIN, sasl_username=", Login(domain)),
         other);
    Line(absl::StrCat(host, "qmgr[2]: ", id, ": from=<", Login(domain),
                      ">, size=1200, nrcpt=", recipients, " (queue active)"),
         other);
  } else {
    Line(absl::StrCat(Stamp(stamp), " ", id, " <= ", Login(domain),
                      " H=(pc) [192.0.2.7] P=esmtpsa A=plain:", Login(domain), " S=1200 for ",
                      Recipient(message, 0)),
         other);
  }
  return message;
}

void MtaLog::Attempt(int message, int recipient, int outcome, absl::Time stamp) {
  const std::string id = IdOf(message);
  const std::string to = Recipient(message, recipient);
  const std::string host = absl::StrCat("mx.", Far(message));
  const Truth truth = {Truth::Kind::kAttempt,
                       messages_[static_cast<size_t>(message)].domain,
                       message,
                       recipient,
                       outcome,
                       stamp};
  constexpr const char* kReplies[] = {"250 2.0.0 ok", "450 4.7.1 Try again later",
                                      "550 5.7.1 Message refused"};
  // No two lines are alike: a log that begins like another is taken for its copy.
  const std::string reply = absl::StrCat(kReplies[outcome], " #", truth_.size());
  if (postfix_) {
    constexpr const char* kStatus[] = {"sent", "deferred", "bounced"};
    const std::string said =
        outcome == 0 ? absl::StrCat("(", reply, ")")
                     : absl::StrCat("(host ", host, "[", Address(message), "] said: ", reply,
                                    " (in reply to end of DATA command))");
    Line(absl::StrCat(Stamp(stamp), " mx postfix/smtp[3]: ", id, ": to=<", to, ">, relay=", host,
                      "[", Address(message), "]:25, delay=1, delays=0/0/0/1, dsn=",
                      reply.substr(4, 5), ", status=", kStatus[outcome], " ", said),
         truth);
  } else {
    constexpr const char* kMarks[] = {"=>", "==", "**"};
    const std::string where = absl::StrCat("H=", host, " [", Address(message), "]");
    const std::string said = outcome == 0   ? absl::StrCat(where, " C=\"", reply, "\"")
                             : outcome == 1 ? absl::StrCat("defer (-46) ", where, ": ", reply)
                                            : absl::StrCat(where, ": ", reply);
    Line(absl::StrCat(Stamp(stamp), " ", id, " ", kMarks[outcome], " ", to,
                      " R=dnslookup T=remote_smtp ", said),
         truth);
  }
  Message& whole = messages_[static_cast<size_t>(message)];
  if (outcome == 1 || --whole.waiting > 0) return;
  Line(postfix_ ? absl::StrCat(Stamp(stamp), " mx postfix/qmgr[2]: ", id, ": removed")
                : absl::StrCat(Stamp(stamp), " ", id, " Completed"),
       {.kind = Truth::Kind::kCompleted, .message = message, .time = stamp});
}

int MtaLog::Send(int domain, const std::vector<int>& outcomes, absl::Time stamp) {
  const int message = NewMessage(domain, static_cast<int>(outcomes.size()), stamp);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    if (outcomes[i] == 1) deferred_.push_back({message, static_cast<int>(i)});
    Attempt(message, static_cast<int>(i), outcomes[i], stamp);
  }
  return message;
}

int MtaLog::Arrive(int domain, absl::Time stamp) { return NewMessage(domain, 1, stamp); }

void MtaLog::SendHeld(int message, int outcome, absl::Time stamp) {
  if (outcome == 1) deferred_.push_back({message, 0});
  Attempt(message, 0, outcome, stamp);
}

bool MtaLog::Retry(int which, int outcome, absl::Time stamp) {
  if (deferred_.empty()) return false;
  const size_t at = static_cast<size_t>(which) % deferred_.size();
  const Deferred one = deferred_[at];
  if (outcome != 1) deferred_.erase(deferred_.begin() + static_cast<std::ptrdiff_t>(at));
  Attempt(one.message, one.recipient, outcome, stamp);
  return true;
}

// Followers order rotated files by this, so it has to be of the story's clock.
void MtaLog::SetModified(const std::string& name) {
  timespec times[2] = {absl::ToTimespec(clock_->Now()), absl::ToTimespec(clock_->Now())};
  for (timespec& time : times) time.tv_nsec = ++writes_;
  utimensat(AT_FDCWD, (folder_ + "/" + name).c_str(), times, 0);
}

void MtaLog::Rotate(RotateWay way) {
  FinishLine();
  if (open_name_ != "mainlog") Reopen();
  std::string to = "mainlog.1";
  if (way == kDated) {
    to = absl::StrCat("mainlog-",
                      absl::FormatTime("%Y%m%d%H%M%S", clock_->Now(), absl::UTCTimeZone()));
    if (fs::exists(folder_ + "/" + to) || fs::exists(folder_ + "/" + to + ".gz")) return;
  } else {
    for (int n = 40; n >= 1; --n) {
      for (const char* end : {"", ".gz"}) {
        const std::string from = absl::StrCat(folder_, "/mainlog.", n, end);
        if (fs::exists(from)) fs::rename(from, absl::StrCat(folder_, "/mainlog.", n + 1, end));
      }
    }
  }
  if (way == kCopyTruncate) {
    fs::copy_file(path(), folder_ + "/" + to);
    SetModified(to);
    fs::resize_file(path(), 0);
    file_begins_ = truth_.size();
    return;
  }
  SetModified("mainlog");
  fs::rename(path(), folder_ + "/" + to);
  open_name_ = to;
  rotated_at_ = clock_->Elapsed();
  if (way != kRenameKeepWriting) Reopen();
}

void MtaLog::Reopen() {
  FinishLine();
  if (std::exchange(open_name_, "mainlog") == "mainlog") return;
  file_begins_ = truth_.size();
  Write("");
}

void MtaLog::Compress() {
  const std::string name = folder_ + "/mainlog.1";
  if (open_name_ != "mainlog" || !fs::exists(name)) return;
  std::ifstream in(name, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  const gzFile out = gzopen((name + ".gz").c_str(), "wb1");
  if (!text.empty()) gzwrite(out, text.data(), static_cast<unsigned>(text.size()));
  gzclose(out);
  struct stat info = {};
  stat(name.c_str(), &info);
  const timespec times[2] = {info.st_mtim, info.st_mtim};
  utimensat(AT_FDCWD, (name + ".gz").c_str(), times, 0);
  fs::remove(name);
}

}  // namespace deferd::sim
