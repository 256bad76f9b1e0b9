#include "policy/refusal_text.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "policy/text.h"

namespace deferd {

namespace {

// As long as the longest domain, so that a monster of a login cannot push the ending out.
constexpr size_t kMaxSubject = 253;

constexpr absl::string_view kPlaceholders[] = {"kind",    "subject", "bad",   "min_bad",
                                               "percent", "until",   "ending"};

std::string UntilText(absl::Time until) {
  return absl::FormatTime("%H:%M UTC", until, absl::UTCTimeZone());
}

std::string Ending(const Policy& policy, const Refusal& refusal, Verdict verdict) {
  if (policy.profile == Profile::kCpanel || verdict == Verdict::kDiscard) {
    return "Message discarded.";
  }
  if (verdict == Verdict::kHold) return "Message held until it recovers.";
  return absl::StrCat("Message rejected, try again after ", UntilText(refusal.until), ".");
}

}  // namespace

absl::string_view RefusalKindWord(SubjectKind kind) {
  switch (kind) {
    case SubjectKind::kDomain:
      return "Domain";
    case SubjectKind::kLogin:
      return "Login";
    case SubjectKind::kAccount:
      return "Account";
    case SubjectKind::kScript:
      return "Script";
    case SubjectKind::kLocal:
      return "Local user";
    case SubjectKind::kForward:
      return "Forward of";
    case SubjectKind::kHost:
      return "Host";
  }
  return "Domain";
}

std::string RefusalText(const Policy& policy, const Refusal& refusal, Verdict verdict) {
  if (verdict == Verdict::kPass) return "";
  const absl::string_view id = absl::string_view(refusal.subject.id).substr(0, kMaxSubject);
  const absl::string_view kind = RefusalKindWord(refusal.subject.kind);
  const std::string ending = Ending(policy, refusal, verdict);
  std::string text;
  if (refusal.by_person) {
    text = absl::StrCat(kStoppedMail, id, kWasStopped, " ", ending);
  } else if (policy.text.empty()) {
    text = absl::StrCat(kind, " ", id, kExceeded, refusal.bad, "/", refusal.min_bad, " (",
                        refusal.percent, kAllowed, " ", ending);
  } else {
    text = absl::StrReplaceAll(policy.text, {{"{kind}", kind},
                                             {"{subject}", id},
                                             {"{bad}", absl::StrCat(refusal.bad)},
                                             {"{min_bad}", absl::StrCat(refusal.min_bad)},
                                             {"{percent}", absl::StrCat(refusal.percent)},
                                             {"{until}", UntilText(refusal.until)},
                                             {"{ending}", ending}});
  }
  return PrintableAscii(text, kMaxRefusalText);
}

absl::Status CheckRefusalTemplate(absl::string_view text) {
  if (text.empty()) {
    return absl::InvalidArgumentError("text is empty; leave it out to get the usual sentence");
  }
  if (text.size() > kMaxRefusalText) {
    return absl::InvalidArgumentError(
        absl::StrCat("text is longer than ", kMaxRefusalText, " bytes; shorten it"));
  }
  for (char c : text) {
    if (c < 0x20 || c > 0x7E) {
      return absl::InvalidArgumentError(
          "text has a line break or another byte that SMTP cannot show; write one line of "
          "printable ASCII");
    }
  }
  for (size_t open = text.find_first_of("{}"); open != absl::string_view::npos;
       open = text.find_first_of("{}", open + 1)) {
    const absl::string_view rest = text.substr(open);
    const size_t close = rest.find('}');
    bool known = false;
    for (absl::string_view name : kPlaceholders) {
      known = known || rest.substr(1, close == 0 ? 0 : close - 1) == name;
    }
    if (!known || close == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          "text has ", Quoted(rest.substr(0, close == absl::string_view::npos ? 1 : close + 1)),
          "; the placeholders are {", absl::StrJoin(kPlaceholders, "} {"), "}"));
    }
    open += close;
  }
  return absl::OkStatus();
}

}  // namespace deferd
