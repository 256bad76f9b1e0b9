// The policy: what is too much, for whom, and what happens then.
//
// An immutable value that is loaded whole and swapped whole. policy_file.h reads it from TOML;
// evaluate.h judges by it.

#ifndef DEFERD_POLICY_POLICY_H_
#define DEFERD_POLICY_POLICY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/domain_name.h"
#include "policy/measure.h"
#include "policy/names.h"
#include "policy/reply/classify.h"
#include "policy/reply/reply_class.h"
#include "policy/reply/reply_rules.h"
#include "policy/subject.h"

namespace deferd {

// The answer to an MTA, from mild to strict.
enum class Verdict : uint8_t { kPass, kHold, kReject, kDiscard };
inline constexpr int kVerdicts = 4;
absl::string_view VerdictName(Verdict verdict);
absl::StatusOr<Verdict> ParseVerdict(absl::string_view text);

// Where the mail that an MTA asks about comes from.
enum class Source : uint8_t { kSubmission, kLocal, kQueued, kRelay };
inline constexpr int kSources = 4;
absl::string_view SourceName(Source source);
absl::StatusOr<Source> ParseSource(absl::string_view text);

// A verdict for each source, indexed by Source.
struct Action {
  std::array<Verdict, kSources> by_source = {Verdict::kReject, Verdict::kHold, Verdict::kHold,
                                             Verdict::kHold};

  Verdict For(Source source) const { return by_source[static_cast<int>(source)]; }
  Verdict Strictest() const;
  // "reject" when all are the same, else "submission=reject local=hold ...".
  std::string ToString() const;
  friend bool operator==(const Action&, const Action&) = default;
};

struct Rule {
  std::string name;
  // What it counts; min_bad is how many of these, percent their share of all that were tried. Of
  // what was sent, min_bad is the most (max_sent in the file), and percent is none.
  Measure measure;
  int64_t min_bad = 0;
  int64_t min_recipients = 0;  // least number of distinct recipients among the bad
  // Of what was sent: mail is held until that percentage of min_bad; only then the action is taken.
  // 0: at once.
  int cutoff = 0;
  int percent = 0;         // 0: the rule gives none and is off, unless ...
  bool any_share = false;  // ... so many bad ones are too many, whatever is delivered besides
  absl::Duration window = absl::Hours(1);  // a multiple of 60 s
  absl::Duration block_for = absl::Hours(1);
  Action action;
  bool shadow = false;  // a rule of kind local always is: unmapped users are only warned about
  SubjectKind kind = SubjectKind::kDomain;  // the kind of subject that it judges
  // Only logins and accounts that no domain hosted here answers for: of a name alone, or of a
  // domain that lives elsewhere (StandsAlone in charge.h).
  bool unhosted = false;
  // The owner may end such a block on the owner's page (exporter/console/owner_page.h).
  bool owner_release = false;
  // Warns once the counts are at that share of both limits; 0: never.
  double warn_at = 0;
  Selection who;                        // which subjects of its kind
  std::vector<std::string> instead_of;  // the rules that do not judge whom this one judges
  int line = 0;                         // where it stands in the file

  bool off() const { return percent == 0 && !any_share; }
  // Whether kind and names select the subject. `alone`: it is such a login or account; `within`:
  // the domain that it is charged inside of, where its id may not say. See also RulesFor.
  bool AppliesTo(const Subject& subject, bool alone = false, absl::string_view within = "") const;

  friend bool operator==(const Rule&, const Rule&) = default;
};

// Whether both judge alike, wherever they stand in their files.
bool SameRule(Rule a, const Rule& b);

// [exempt.NAME]: who is counted and shown, but blocked by no rule.
struct Exemption {
  std::string name;
  Selection who;
  std::string reason;
  std::string by;
  absl::Time until = absl::InfiniteFuture();
  int line = 0;
};

class RuleIndex;

enum class Mode : uint8_t { kEnforce, kShadow };
absl::string_view ModeName(Mode mode);  // "enforce", "shadow"

enum class Profile : uint8_t { kFair, kCpanel };
enum class CountMode : uint8_t { kOnce, kAttempts };

// Whether attempts with answers of one class count, where the operator says so.
struct ClassChoice {
  std::optional<bool> deferral;
  std::optional<bool> failure;
};

struct Policy {
  Mode mode = Mode::kEnforce;
  Profile profile = Profile::kFair;
  CountMode count = CountMode::kOnce;
  std::vector<Rule> rules;            // in the file's order
  DomainSet exempt;                   // [exempt] domains
  std::vector<Exemption> exemptions;  // and those with a reason
  std::vector<std::shared_ptr<const Tag>> tags;
  std::vector<std::string> list_files;  // lists of domains and logins that it names
  // Of rules and exemptions, as ParsePolicy made them: whoever changes them takes it away.
  std::shared_ptr<const RuleIndex> index;
  std::array<ClassChoice, kReplyClasses> classes;  // by ReplyClass
  std::vector<ReplyRule> reply_rules;              // the operator's own, ahead of the built-in ones
  std::string replies_file;                        // with more of them (AddReplies); may be empty
  std::shared_ptr<const ReplyClassifier> classifier;  // with those; none: the built-in one
  // What is held: how long until it is given back to its sender, how many messages of one subject
  // before more are rejected, and how many are let go of without a person.
  absl::Duration hold_max = absl::Hours(6);
  int64_t hold_limit = 1000;
  int64_t release_auto_max = 100;

  std::string text;  // the sentence's template, empty: the default (refusal_text.h)

  std::string path;  // where it was read, "built-in" if nowhere
  std::string hash;  // of its text: 16 hex digits

  // What tells the classes of answers.
  const ReplyClassifier& replies() const;
  // Whether a deferral or failure with such an answer counts: as the operator says, else in profile
  // cpanel all but `local`, else as is fair (CountsByDefault).
  bool Counts(ReplyClass reply_class, ReplyScope scope, bool failure) const;
  // The same of an answer whose class may be in doubt: it counts when it probably does.
  bool CountsAnswer(const Classification& answer, bool failure) const;
  // It counts with so much certainty that mail may be discarded or given back for it. `of`, unless
  // empty: and is of these classes.
  bool SurelyCounts(const Classification& answer, bool failure, ClassSet of = {}) const;

  // nullptr: it has no rule of that name.
  const Rule* FindRule(absl::string_view name) const;
  // At `now`. `within`: see Rule::AppliesTo.
  bool Exempts(const Subject& subject, absl::Time now, absl::string_view within = "") const;
  // Whether it has rules that are enforced, or in shadow; and any that judge rejected recipients,
  // or what was sent.
  bool HasRules(bool in_shadow) const;
  bool JudgesRejected() const;
  bool JudgesSent() const;
  bool JudgesSentRecipients() const;
  // What a person's block of the subject does: as the strictest rule that judges it says, in the
  // file's order; without one, as the rules for its domain, then as any rule. Rules in shadow speak
  // only where no other does.
  Action ActionOfBlock(const Subject& subject) const;
  // The distinct windows of all rules, the first rule's first. Never empty: an hour without rules.
  std::vector<absl::Duration> Windows() const;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_POLICY_H_
