#include "policy/refusal_text.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

// As long as the longest domain, so that a monster of a login cannot push the ending out.
constexpr size_t kMaxSubject = 253;

// A template that tells less could be any text.
constexpr int kMinSpecificity = 10;

constexpr absl::string_view kPlaceholders[] = {"kind",    "subject", "bad",    "min_bad",
                                               "percent", "until",   "ending", "case"};

std::string UntilText(absl::Time until) {
  return absl::FormatTime("%H:%M UTC", until, absl::UTCTimeZone());
}

std::string Ending(const Policy& policy, const Refusal& refusal, Verdict verdict) {
  // A person's block has nothing to recover from, and may last for days.
  const bool no_end = refusal.until == absl::InfiniteFuture();
  if (refusal.deferred && verdict == Verdict::kHold) {
    if (policy.profile == Profile::kCpanel) return "Message will be reattempted later.";
    if (no_end) return "Message deferred, try again later.";
    const absl::string_view day = refusal.by_person ? "%Y-%m-%d " : "";
    return absl::StrCat("Message deferred, try again after ",
                        absl::FormatTime(day, refusal.until, absl::UTCTimeZone()),
                        UntilText(refusal.until), ".");
  }
  if (refusal.by_person && verdict == Verdict::kHold) {
    if (no_end) return "Message held until the administrator releases it.";
    return absl::FormatTime("Message held until %Y-%m-%d %H:%M UTC.", refusal.until,
                            absl::UTCTimeZone());
  }
  // cPanel's words for the first stage of a limit on what is sent.
  if (verdict == Verdict::kHold && refusal.soft) return "Message will be reattempted later.";
  if (policy.profile == Profile::kCpanel || verdict == Verdict::kDiscard) {
    return "Message discarded.";
  }
  if (verdict == Verdict::kHold) return "Message held until it recovers.";
  if (no_end) return "Message rejected.";
  return absl::StrCat("Message rejected, try again after ", UntilText(refusal.until), ".");
}

bool ConsumeKind(absl::string_view* text) {
  for (int kind = 0; kind < kSubjectKinds; ++kind) {
    if (absl::ConsumePrefix(text, RefusalKindWord(static_cast<SubjectKind>(kind)))) return true;
  }
  return false;
}

// Takes everything up to `end`, and that, as far as a sentence can reach.
bool ConsumeThrough(absl::string_view end, absl::string_view* text) {
  const size_t at = text->substr(0, kMaxRefusalText).find(end);
  if (at == absl::string_view::npos) return false;
  text->remove_prefix(at + end.size());
  return true;
}

// "A/B (C%)) allowed.", without the bracket before it.
bool AreCounts(absl::string_view text) {
  return ConsumeDigits(&text) && absl::ConsumePrefix(&text, "/") && ConsumeDigits(&text) &&
         absl::ConsumePrefix(&text, " (") && ConsumeDigits(&text) &&
         absl::StartsWith(text, kAllowed);
}

// The subject may be missing: where it looks like a reply's code, unwrapping took it out. It may
// hold any words, the sentence's own too, so each place where they stand is tried.
bool IsCountsSentence(absl::string_view text) {
  text = text.substr(0, kMaxRefusalText);
  if (!ConsumeKind(&text) || !absl::StartsWith(text, " ")) return false;
  for (absl::string_view exceeded : {kExceeded, kExceededRejected, kExceededSent, kExceededSentDay,
                                     kExceededTo, kExceededToDay}) {
    absl::string_view rest = text;
    while (ConsumeThrough(exceeded, &rest)) {
      if (AreCounts(rest)) return true;
    }
  }
  absl::string_view rest = text;
  while (ConsumeThrough(kExceededClasses, &rest)) {
    absl::string_view classes = rest;
    classes.remove_prefix(
        std::min(classes.find_first_not_of("abcdefghijklmnopqrstuvwxyz_, "), classes.size()));
    absl::string_view before = rest.substr(0, rest.size() - classes.size());
    if (absl::EndsWith(before, absl::StripSuffix(kPerHour, "(")) &&
        absl::ConsumePrefix(&classes, "(") && AreCounts(classes)) {
      return true;
    }
  }
  return false;
}

bool IsStoppedSentence(absl::string_view text) {
  return absl::ConsumePrefix(&text, absl::StripSuffix(kStoppedMail, " ")) &&
         ConsumeThrough(kWasStopped, &text);
}

// Takes "{name}" off a template; empty, and nothing taken, if it does not begin with one.
absl::string_view TakePlaceholder(absl::string_view* own) {
  const size_t close = own->find('}');
  if (!absl::StartsWith(*own, "{") || close == own->npos || close == 1) return "";
  const absl::string_view name = own->substr(1, close - 1);
  own->remove_prefix(close + 1);
  return name;
}

// How much of a text a template tells: its letters, and what its placeholders demand.
int Specificity(absl::string_view own) {
  int sum = 0;
  while (!own.empty()) {
    const absl::string_view name = TakePlaceholder(&own);
    if (name == "kind") {
      sum += 5;
    } else if (name == "bad" || name == "min_bad" || name == "percent") {
      sum += 3;
    } else if (name.empty()) {
      sum += absl::ascii_isalpha(static_cast<unsigned char>(own.front())) ? 1 : 0;
      own.remove_prefix(1);
    }
  }
  return sum;
}

// Each placeholder takes the shortest text that lets the template go on.
bool FollowsTemplate(absl::string_view text, absl::string_view own) {
  bool anything = false;  // a placeholder of any length is open
  while (!own.empty()) {
    const absl::string_view name = TakePlaceholder(&own);
    if (name == "kind") {
      if (!ConsumeKind(&text)) return false;
    } else if (name == "bad" || name == "min_bad" || name == "percent") {
      if (anything) text.remove_prefix(std::min(text.find_first_of("0123456789"), text.size()));
      if (!ConsumeDigits(&text)) return false;
      anything = false;
    } else if (!name.empty()) {
      anything = true;
    } else {
      const absl::string_view literal = own.substr(0, own.find('{', 1));  // a lone brace is text
      own.remove_prefix(literal.size());
      if (anything ? !ConsumeThrough(literal, &text) : !absl::ConsumePrefix(&text, literal)) {
        return false;
      }
      anything = false;
    }
  }
  return true;
}

std::string Exceeded(const Refusal& refusal) {
  const bool day = refusal.window >= absl::Hours(24);
  switch (refusal.measure.what) {
    case Measure::What::kRejected:
      return std::string(kExceededRejected);
    case Measure::What::kSentMessages:
      return std::string(day ? kExceededSentDay : kExceededSent);
    case Measure::What::kSentRecipients:
      return std::string(day ? kExceededToDay : kExceededTo);
    case Measure::What::kBad:
      break;
  }
  if (refusal.measure.classes.empty()) return std::string(kExceeded);
  constexpr size_t kNamed = 3;  // so that there is room for the rest
  std::vector<std::string> names = refusal.measure.classes.Names();
  if (names.size() > kNamed) {
    names.resize(kNamed);
    names.emplace_back("others");
  }
  return absl::StrCat(kExceededClasses, absl::StrJoin(names, " or "), kPerHour);
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
    text = absl::StrCat(kind, " ", id, Exceeded(refusal), refusal.bad, "/", refusal.min_bad, " (",
                        refusal.percent, kAllowed, " ", ending);
  } else {
    text = absl::StrReplaceAll(policy.text, {{"{kind}", kind},
                                             {"{subject}", id},
                                             {"{bad}", absl::StrCat(refusal.bad)},
                                             {"{min_bad}", absl::StrCat(refusal.min_bad)},
                                             {"{percent}", absl::StrCat(refusal.percent)},
                                             {"{until}", UntilText(refusal.until)},
                                             {"{ending}", ending},
                                             {"{case}", refusal.case_id}});
  }
  return PrintableAscii(text, kMaxRefusalText);
}

bool IsRefusalText(absl::string_view text, absl::string_view own) {
  return IsCountsSentence(text) || IsStoppedSentence(text) ||
         (Specificity(own) >= kMinSpecificity && FollowsTemplate(text, own));
}

std::optional<SaidRefusal> FindRefusal(absl::string_view reply) {
  reply = reply.substr(0, 4096);
  SaidRefusal said;
  // The words before `end`, of which the last is the subject, unless it is the kind itself.
  const auto take_subject = [&](absl::string_view before) {
    const size_t blank = before.find_last_of(" :\n");
    const absl::string_view word =
        blank == absl::string_view::npos ? before : before.substr(blank + 1);
    for (SubjectKind kind :
         {SubjectKind::kDomain, SubjectKind::kLogin, SubjectKind::kAccount, SubjectKind::kScript,
          SubjectKind::kLocal, SubjectKind::kForward, SubjectKind::kHost}) {
      const absl::string_view name = RefusalKindWord(kind);
      if (absl::EqualsIgnoreCase(word, name)) {
        said.kind = std::string(name);
        return;
      }
      absl::string_view rest = before.substr(0, before.size() - word.size());
      if (absl::ConsumeSuffix(&rest, " ") && absl::EndsWithIgnoreCase(rest, name)) {
        said.kind = std::string(name);
      }
    }
    said.subject = PrintableAscii(word, kMaxSubject);
  };
  const size_t exceeded = reply.find(" has exceeded the max");
  if (exceeded != absl::string_view::npos) {
    take_subject(reply.substr(0, exceeded));
    absl::string_view numbers = reply.substr(exceeded);
    absl::string_view what = absl::StripPrefix(numbers, " has exceeded the max ");
    what = what.substr(0, what.find(" per "));
    if (what.size() < kMaxRefusalText) said.what = PrintableAscii(what, kMaxRefusalText);
    const size_t open = numbers.find('(');
    if (open != absl::string_view::npos) {
      numbers.remove_prefix(open + 1);
      const auto take = [&numbers] {
        int64_t value = 0;
        while (!numbers.empty() && absl::ascii_isdigit(static_cast<unsigned char>(numbers[0])) &&
               value < 1'000'000'000) {
          value = value * 10 + (numbers[0] - '0');
          numbers.remove_prefix(1);
        }
        return value;
      };
      said.bad = take();
      if (absl::ConsumePrefix(&numbers, "/")) said.min_bad = take();
      if (absl::ConsumePrefix(&numbers, " (")) said.percent = static_cast<int>(take());
    }
    return said;
  }
  const size_t stopped = reply.find(kWasStopped);
  const size_t mail = reply.find(kStoppedMail);
  if (stopped == absl::string_view::npos || mail == absl::string_view::npos || mail > stopped) {
    return std::nullopt;
  }
  take_subject(reply.substr(0, stopped));
  said.by_person = true;
  return said;
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

std::string RefusalTextWarning(absl::string_view own) {
  if (own.empty() || Specificity(own) >= kMinSpecificity) return "";
  return absl::StrCat(
      "text has hardly any words of its own, so deferd cannot recognise its own "
      "refusal when another of your hosts sends it back; keep at least ",
      kMinSpecificity, " letters around the placeholders");
}

}  // namespace deferd
