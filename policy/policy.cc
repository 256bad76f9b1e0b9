#include "policy/policy.h"

#include <algorithm>
#include <cstdlib>
#include <functional>

#include "absl/strings/str_cat.h"
#include "policy/rules_for.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr std::array<Verdict, kVerdicts> kAllVerdicts = {Verdict::kPass, Verdict::kHold,
                                                         Verdict::kReject, Verdict::kDiscard};
constexpr std::array<Source, kSources> kAllSources = {Source::kSubmission, Source::kLocal,
                                                      Source::kQueued, Source::kRelay};

// `classes`, unless empty: only as one of these.
double ProbabilityToCount(const Policy& policy, const Classification& answer, bool failure,
                          ClassSet classes = {}) {
  return CountsProbability(answer, [&](ReplyClass reply_class, ReplyScope scope) {
    return (classes.empty() || classes.Has(reply_class)) &&
           policy.Counts(reply_class, scope, failure);
  });
}

}  // namespace

absl::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass:
      return "pass";
    case Verdict::kHold:
      return "hold";
    case Verdict::kReject:
      return "reject";
    case Verdict::kDiscard:
      return "discard";
  }
  return "unknown";
}

absl::StatusOr<Verdict> ParseVerdict(absl::string_view text) {
  for (Verdict verdict : kAllVerdicts) {
    if (VerdictName(verdict) == text) return verdict;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " is not a verdict; use pass, hold, reject or discard"));
}

absl::string_view SourceName(Source source) {
  switch (source) {
    case Source::kSubmission:
      return "submission";
    case Source::kLocal:
      return "local";
    case Source::kQueued:
      return "queued";
    case Source::kRelay:
      return "relay";
  }
  return "unknown";
}

absl::StatusOr<Source> ParseSource(absl::string_view text) {
  for (Source source : kAllSources) {
    if (SourceName(source) == text) return source;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " is not a source; use submission, local, queued or relay"));
}

Verdict Action::Strictest() const { return *std::max_element(by_source.begin(), by_source.end()); }

std::string Action::ToString() const {
  if (std::equal(by_source.begin() + 1, by_source.end(), by_source.begin())) {
    return std::string(VerdictName(by_source.front()));
  }
  std::string text;
  for (Source source : kAllSources) {
    absl::StrAppend(&text, text.empty() ? "" : " ", SourceName(source), "=",
                    VerdictName(For(source)));
  }
  return text;
}

bool Rule::AppliesTo(const Subject& subject, bool alone, absl::string_view within) const {
  if (subject.kind != kind || (unhosted && !alone)) return false;
  return who.Matches(subject, within);
}

bool SameRule(Rule a, const Rule& b) {
  a.line = b.line;
  return a == b;
}

absl::string_view ModeName(Mode mode) { return mode == Mode::kShadow ? "shadow" : "enforce"; }

const Rule* Policy::FindRule(absl::string_view name) const {
  const auto found =
      std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) { return rule.name == name; });
  return found == rules.end() ? nullptr : &*found;
}

const ReplyClassifier& Policy::replies() const {
  if (classifier != nullptr) return *classifier;
  static const ReplyClassifier& built_in = *[] {
    absl::StatusOr<std::unique_ptr<ReplyClassifier>> created = ReplyClassifier::Create();
    if (!created.ok()) std::abort();  // the tests read the built-in table
    return created->release();
  }();
  return built_in;
}

bool Policy::Counts(ReplyClass reply_class, ReplyScope scope, bool failure) const {
  const ClassChoice& choice = classes[static_cast<size_t>(reply_class)];
  const std::optional<bool>& chosen = failure ? choice.failure : choice.deferral;
  if (chosen.has_value()) return *chosen;
  if (profile == Profile::kCpanel) return reply_class != ReplyClass::kLocal;
  return CountsByDefault(reply_class, scope, failure);
}

bool Policy::CountsAnswer(const Classification& answer, bool failure) const {
  return ProbabilityToCount(*this, answer, failure) >= 0.5;
}

bool Policy::SurelyCounts(const Classification& answer, bool failure, ClassSet of) const {
  return answer.reply_class != ReplyClass::kUnclassified &&
         ProbabilityToCount(*this, answer, failure, of) >= kSureReply;
}

bool Policy::Exempts(const Subject& subject, absl::Time now, absl::string_view within) const {
  const absl::string_view domain = subject.DomainPart();
  if (exempt.Matches(domain) || (!within.empty() && exempt.Matches(within))) return true;
  return std::any_of(exemptions.begin(), exemptions.end(), [&](const Exemption& one) {
    return now < one.until && one.who.Matches(subject, within);
  });
}

bool Policy::HasRules(bool in_shadow) const {
  const bool all_in_shadow = mode == Mode::kShadow;
  if (index != nullptr && index->rules() == rules.size()) {
    if (all_in_shadow) return in_shadow && !rules.empty();
    return in_shadow ? index->has_shadow() : index->has_others();
  }
  return std::any_of(rules.begin(), rules.end(),
                     [&](const Rule& rule) { return (rule.shadow || all_in_shadow) == in_shadow; });
}

bool Policy::JudgesRejected() const {
  if (index != nullptr && index->rules() == rules.size()) return index->has_rejected();
  return std::any_of(rules.begin(), rules.end(),
                     [](const Rule& rule) { return rule.measure.rejected(); });
}

bool Policy::JudgesSent() const {
  if (index != nullptr && index->rules() == rules.size()) return index->has_sent();
  return std::any_of(rules.begin(), rules.end(),
                     [](const Rule& rule) { return rule.measure.sent(); });
}

bool Policy::JudgesSentRecipients() const {
  if (index != nullptr && index->rules() == rules.size()) return index->has_sent_recipients();
  return std::any_of(rules.begin(), rules.end(), [](const Rule& rule) {
    return rule.measure.what == Measure::What::kSentRecipients;
  });
}

Action Policy::ActionOfBlock(const Subject& subject) const {
  const Subject domain = {SubjectKind::kDomain, std::string(subject.DomainPart())};
  using Judges = std::function<bool(const Rule&)>;
  const Judges kJudges[] = {[&](const Rule& rule) { return rule.AppliesTo(subject); },
                            [&](const Rule& rule) { return rule.AppliesTo(domain); },
                            [](const Rule&) { return true; }};
  for (const Judges& judges : kJudges) {
    for (const bool shadow : {false, true}) {
      const Rule* strictest = nullptr;
      for (const Rule& rule : rules) {
        if (rule.off() || rule.shadow != shadow || !judges(rule)) continue;
        if (rule.action.Strictest() == Verdict::kPass) continue;  // such a block would be none
        if (strictest == nullptr || rule.action.Strictest() > strictest->action.Strictest()) {
          strictest = &rule;
        }
      }
      if (strictest != nullptr) return strictest->action;
    }
  }
  return Action();
}

std::vector<absl::Duration> Policy::Windows() const {
  std::vector<absl::Duration> windows;
  for (const Rule& rule : rules) {
    if (std::find(windows.begin(), windows.end(), rule.window) == windows.end()) {
      windows.push_back(rule.window);
    }
  }
  if (windows.empty()) windows.push_back(absl::Hours(1));
  return windows;
}

}  // namespace deferd
