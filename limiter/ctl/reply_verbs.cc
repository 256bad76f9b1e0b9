#include "limiter/ctl/reply_verbs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/config.h"
#include "policy/policy_file.h"
#include "policy/reply/reply_correction.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxWordings = 100'000;

absl::Status ReplyFileTrouble(const std::string& path, absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(path, ": cannot ", what, ": ", std::strerror(errno)));
}

// Local parts, domains and their labels: what of a row could stand in a reply.
std::vector<std::string> NamesOf(const Json& row) {
  std::vector<std::string> names;
  for (const char* field : {"sender", "recipient", "subject"}) {
    for (absl::string_view part : absl::StrSplit(Field(row, field), absl::ByAnyChar("@/:"))) {
      if (part.size() < 2) continue;
      names.emplace_back(part);
      for (absl::string_view label : absl::StrSplit(part, absl::ByAnyChar(".+"))) {
        // The last label is "com" or "example": no name, and often a word.
        if (label.size() > 3) names.emplace_back(label);
      }
    }
  }
  return names;
}

}  // namespace

absl::StatusOr<Correction> CorrectionOf(const Policy& policy, absl::string_view reply_class,
                                        absl::string_view reply) {
  const std::optional<ReplyClass> known = ParseReplyClass(reply_class);
  if (!known.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no class ", Quoted(reply_class), "; give one of ",
        absl::StrJoin(ReplyClassTable(), ", ", [](std::string* out, const ReplyClassInfo& info) {
          absl::StrAppend(out, info.name);
        })));
  }
  if (policy.replies_file.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(policy.path, ": names no file of corrections; add\n\n[replies]\nfile = ",
                     "\"/etc/deferd/replies.toml\"\n"));
  }
  absl::StatusOr<std::string> pattern = ReplyPatternOf(reply);
  if (!pattern.ok()) return pattern.status();
  const std::string as_read = absl::StrCat("(?i)", *pattern);
  for (const ReplyRule& rule : policy.reply_rules) {
    for (const std::string& other : rule.patterns) {
      if (other != as_read) continue;
      return absl::AlreadyExistsError(absl::StrCat(
          "this wording is ", ReplyClassName(rule.reply_class), " already, by [reply.",
          absl::StripPrefix(rule.id, "own."), "]; change it in ", policy.replies_file));
    }
  }
  return Correction{.path = policy.replies_file, .table = ReplyTable(*known, *pattern)};
}

absl::Status AddCorrection(const Correction& correction) {
  std::string text;
  mode_t mode = 0644;  // deferd reads it as a user of its own
  struct stat info;
  if (stat(correction.path.c_str(), &info) == 0) {
    mode = info.st_mode & 07777;
    absl::StatusOr<std::string> old = ReadTextFile(correction.path);
    if (!old.ok()) return old.status();
    text = *std::move(old);
  } else if (errno != ENOENT) {
    return ReplyFileTrouble(correction.path, "be read");
  }
  if (!text.empty()) absl::StrAppend(&text, text.back() == '\n' ? "\n" : "\n\n");
  text += correction.table;
  Policy alone;
  if (absl::Status good = AddReplies(text, correction.path, &alone); !good.ok()) return good;

  const std::string temporary = correction.path + ".new";
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return ReplyFileTrouble(temporary, "be written");
  absl::Cleanup close_fd = [fd] { close(fd); };
  if (fchmod(fd, mode) != 0 ||
      write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size()) || fsync(fd) != 0) {
    return ReplyFileTrouble(temporary, "be written");
  }
  if (rename(temporary.c_str(), correction.path.c_str()) != 0) {
    return ReplyFileTrouble(correction.path, "be replaced");
  }
  return absl::OkStatus();
}

void ReplyExport::Add(const Json& row) {
  const std::string reply = Field(row, "reply");
  if (reply.empty()) return;
  const Classification answer = classifier_->Classify(reply, {.host = Field(row, "host")});
  if (answer.confidence >= kUnsureReply && answer.reply_class != ReplyClass::kUnclassified) return;
  const std::string wording = AnonymousReply(reply, NamesOf(row));
  if (wordings_.size() >= kMaxWordings && !wordings_.contains(wording)) return;
  Wording& known = wordings_[wording];
  ++known.count;
  known.reply_class = std::string(ReplyClassName(answer.reply_class));
  known.confidence = std::round(answer.confidence * 100) / 100;
}

std::vector<std::pair<std::string, ReplyExport::Wording>> ReplyExport::Ranked() const {
  std::vector<std::pair<std::string, Wording>> ranked(wordings_.begin(), wordings_.end());
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
  return ranked;
}

std::string ReplyExport::Text() const {
  std::string out = "#count\tclass\tconfidence\treply\n";
  for (const auto& [text, wording] : Ranked()) {
    absl::StrAppendFormat(&out, "%d\t%s\t%.2f\t%s\n", wording.count, wording.reply_class,
                          wording.confidence, PrintableUtf8(text));
  }
  return out;
}

Json ReplyExport::ToJson() const {
  Json list = Json::array();
  for (const auto& [text, wording] : Ranked()) {
    list.push_back({{"count", wording.count},
                    {"class", wording.reply_class},
                    {"confidence", wording.confidence},
                    {"reply", PrintableUtf8(text)}});
  }
  return list;
}

}  // namespace deferd
