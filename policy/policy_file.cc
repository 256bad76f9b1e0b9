#include "policy/policy_file.h"

#include <openssl/evp.h>

#include <cstdint>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "policy/duration.h"
#include "policy/owner_release.h"
#include "policy/refusal_text.h"
#include "policy/reply/reply_patterns.h"
#include "policy/rules_for.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

constexpr absl::Duration kMinWindow = absl::Minutes(1);
constexpr absl::Duration kMaxWindow = absl::Hours(7 * 24);
constexpr absl::Duration kMaxBlock = absl::Hours(30 * 24);
constexpr absl::Duration kMinHold = absl::Minutes(1);
constexpr absl::Duration kMaxHold = absl::Hours(5 * 24);  // as long as MTAs try at most
constexpr int64_t kMaxHeld = 1'000'000;
constexpr size_t kMaxRuleName = 40;
constexpr int64_t kMaxRecipients = 1'000;  // what nodes share of a window
constexpr int64_t kMaxCutoff = 10'000;

std::string HashOf(absl::string_view text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1) return "";
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), 8});
}

bool IsRuleName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxRuleName &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") ==
             absl::string_view::npos;
}

// Reads one file into one Policy; mistakes go to the reader.
class PolicyReader {
 public:
  PolicyReader(TomlReader* reader, Policy* policy, ReadListFile read_file)
      : reader_(reader), policy_(policy), names_(reader, std::move(read_file)) {}

  void Read() {
    TomlTable* root = reader_->root();
    ReadWord(root, "mode", {{"enforce", Mode::kEnforce}, {"shadow", Mode::kShadow}},
             &policy_->mode);
    ReadWord(root, "profile", {{"fair", Profile::kFair}, {"cpanel", Profile::kCpanel}},
             &policy_->profile);
    if (policy_->profile == Profile::kCpanel) policy_->count = CountMode::kAttempts;
    ReadWord(root, "count", {{"once", CountMode::kOnce}, {"attempts", CountMode::kAttempts}},
             &policy_->count);
    if (auto longest = root->Duration("hold_max")) {
      policy_->hold_max = *longest;
      if (*longest < kMinHold || *longest > kMaxHold) {
        reader_->Error(root->PlaceOf("hold_max"),
                       absl::StrCat("hold_max is ", deferd::FormatDuration(*longest),
                                    "; give \"1m\" to \"5d\""));
      }
    }
    if (auto most = root->Integer("hold_limit", 0, kMaxHeld)) policy_->hold_limit = *most;
    if (auto most = root->Integer("release_auto_max", 0, kMaxHeld)) {
      policy_->release_auto_max = *most;
    }
    if (auto text = root->String("text")) {
      NoteUnlessOk(text->place, CheckRefusalTemplate(text->text));
      policy_->text = text->text;
    }
    for (auto& [name, table] : root->Tables("tag")) {
      CheckName("tag", name, table);
      names_.ReadTag(name, table);
    }
    std::vector<TomlTable*> tables;
    for (auto& [name, table] : root->Tables("rule")) {
      policy_->rules.push_back(ReadRule(name, table));
      tables.push_back(table);
    }
    ReadSubstitutes(tables);
    if (TomlTable* exempt = root->Table("exempt")) ReadExempt(exempt);
    if (TomlTable* classes = root->Table("classes")) ReadClasses(classes);
    CheckRuleClasses();
    if (TomlTable* replies = root->Table("replies")) {
      if (auto file = replies->String("file")) {
        policy_->replies_file = file->text;
        if (file->text.empty() || file->text[0] != '/') {
          reader_->Error(file->place, absl::StrCat("file is ", Quoted(file->text),
                                                   "; give a path from the root, such as "
                                                   "\"/etc/deferd/replies.toml\""));
        }
      }
    }
    ReadReplies();
    policy_->tags = names_.TakeTags();
    policy_->list_files = names_.TakeFiles();
    if (!names_.file_text().empty()) {
      policy_->hash = HashOf(absl::StrCat(policy_->hash, names_.file_text()));
    }
  }

  void ReadReplies() {
    for (auto& [name, table] : reader_->root()->Tables("reply")) ReadReplyRule(name, table);
  }

 private:
  template <typename T>
  using Words = std::vector<std::pair<absl::string_view, T>>;

  void NoteUnlessOk(TomlPlace place, const absl::Status& status) {
    if (!status.ok()) reader_->Error(place, status.message());
  }

  template <typename T>
  void ReadWord(TomlTable* table, absl::string_view key, const Words<T>& words, T* value) {
    std::optional<TomlText> text = table->String(key);
    if (!text.has_value()) return;
    std::string choices;
    for (const auto& [word, meaning] : words) {
      if (word == text->text) {
        *value = meaning;
        return;
      }
      absl::StrAppend(&choices, choices.empty() ? "" : " or ", "\"", word, "\"");
    }
    reader_->Error(text->place, absl::StrCat(key, " is ", Quoted(text->text), "; give ", choices));
  }

  Rule ReadRule(const std::string& name, TomlTable* table) {
    Rule rule;
    rule.name = name;
    rule.line = table->place().line;
    CheckName("rule", name, table);
    ReadLimits(table, &rule);
    ReadWarning(table, &rule);
    ReadTimes(table, &rule);
    ReadAction(table, &rule.action);
    ReadSource(table, &rule.action);
    if (auto shadow = table->Bool("shadow")) rule.shadow = *shadow;
    if (auto kind = table->String("kind")) {
      absl::StatusOr<SubjectKind> parsed = ParseSubjectKind(kind->text);
      NoteUnlessOk(kind->place, parsed.status());
      if (parsed.ok()) rule.kind = *parsed;
    }
    if (rule.kind == SubjectKind::kLocal) {
      if (table->Has("shadow") && !rule.shadow) {
        reader_->Error(table->PlaceOf("shadow"),
                       "a local user that is mapped to no domain is only warned about, never "
                       "refused; take this line out");
      }
      rule.shadow = true;
    }
    if (auto unhosted = table->Bool("unhosted")) rule.unhosted = *unhosted;
    if (auto release = table->Bool("owner_release")) rule.owner_release = *release;
    if (rule.owner_release) CheckOwnerRelease(rule, table->PlaceOf("owner_release"));
    if (rule.unhosted && rule.kind != SubjectKind::kLogin && rule.kind != SubjectKind::kAccount) {
      reader_->Error(table->PlaceOf("unhosted"),
                     "unhosted is for rules of kind \"login\" or \"account\"; take this line out");
    }
    rule.who = names_.Read(table);
    if (table->Has("logins") && IsWhole(rule.kind)) {
      reader_->Error(table->PlaceOf("logins"),
                     absl::StrCat("logins is for rules of another kind than \"",
                                  SubjectKindName(rule.kind), "\"; write kind = \"login\""));
    }
    return rule;
  }

  // Who relies on a release that no owner ever gets has not read the rest.
  void CheckOwnerRelease(const Rule& rule, TomlPlace place) {
    if (rule.measure.what != Measure::What::kBad) {
      reader_->Error(place,
                     "owner_release is for rules that count bad deliveries; take this line out");
    } else if (rule.kind != SubjectKind::kDomain && rule.kind != SubjectKind::kLogin &&
               rule.kind != SubjectKind::kForward) {
      reader_->Error(
          place,
          absl::StrCat("owner_release is for rules of kind \"domain\", \"login\" ",
                       "or \"forward\", which have an owner's page; take this ", "line out"));
    } else if (!OwnerMayReleaseOf(rule.measure.classes)) {
      reader_->Error(place,
                     "answers of these classes never allow an owner's release; take this line out, "
                     "or count others too");
    }
  }

  // A day ends at its end.
  static bool ParseUntil(const std::string& text, absl::Time* until) {
    std::string error;
    if (absl::ParseTime("%Y-%m-%d", text, until, &error)) {
      *until += absl::Hours(24);
      return true;
    }
    return absl::ParseTime(absl::RFC3339_full, text, until, &error);
  }

  static bool IsWhole(SubjectKind kind) {
    return kind == SubjectKind::kDomain || kind == SubjectKind::kForward;
  }

  void CheckName(absl::string_view what, const std::string& name, TomlTable* table) {
    if (IsRuleName(name)) return;
    reader_->Error(table->place(), absl::StrCat(what, " name ", Quoted(name),
                                                "; use 1 to 40 of a-z, 0-9, '_' and '-'"));
  }

  // instead_of of all rules, `tables`, once their names are known.
  void ReadSubstitutes(const std::vector<TomlTable*>& tables) {
    absl::flat_hash_map<absl::string_view, size_t> numbers;
    for (size_t i = 0; i < tables.size(); ++i) numbers[policy_->rules[i].name] = i;
    for (size_t i = 0; i < tables.size(); ++i) {
      Rule& rule = policy_->rules[i];
      for (const TomlText& name : tables[i]->Strings("instead_of")) {
        auto found = numbers.find(name.text);
        if (found == numbers.end()) {
          reader_->Error(name.place, absl::StrCat("there is no rule ", Quoted(name.text),
                                                  "; write the name of another [rule.NAME]"));
          continue;
        }
        const Rule& other = policy_->rules[found->second];
        if (&other == &rule) {
          reader_->Error(name.place, "a rule cannot stand in for itself; name another one");
        } else if (other.kind != rule.kind) {
          reader_->Error(name.place,
                         absl::StrCat("rule ", Quoted(other.name), " judges kind ",
                                      SubjectKindName(other.kind), ", this one kind ",
                                      SubjectKindName(rule.kind), "; name a rule of its kind"));
        } else if (StandsInFor(numbers, other, rule.name)) {
          reader_->Error(name.place, absl::StrCat("rule ", Quoted(other.name),
                                                  " stands in for this one, so nobody would be "
                                                  "judged by either; take one of the two out"));
        } else {
          rule.instead_of.push_back(name.text);
        }
      }
    }
  }

  // Itself, or the rules that it stands in for.
  bool StandsInFor(const absl::flat_hash_map<absl::string_view, size_t>& numbers, const Rule& rule,
                   const std::string& name) const {
    return absl::c_any_of(rule.instead_of, [&](const std::string& next) {
      return next == name || StandsInFor(numbers, policy_->rules[numbers.at(next)], name);
    });
  }

  void ReadExempt(TomlTable* table) {
    policy_->exempt = names_.ReadDomains(table);
    for (auto& [name, one] : table->NamedTables({"domains"})) {
      CheckName("exemption", name, one);
      Exemption& exemption = policy_->exemptions.emplace_back();
      exemption.name = name;
      exemption.line = one->place().line;
      exemption.who = names_.Read(one);
      if (exemption.who.everybody()) {
        reader_->Error(one->place(), absl::StrCat("exemption ", Quoted(name),
                                                  " names nobody; give domains, logins or tags"));
      }
      if (auto reason = one->String("reason")) exemption.reason = reason->text;
      if (exemption.reason.empty()) {
        reader_->Error(one->PlaceOf("reason"), absl::StrCat("exemption ", Quoted(name),
                                                            " has no reason; say why, for whoever "
                                                            "reads it next year"));
      }
      if (auto by = one->String("by")) exemption.by = by->text;
      if (auto until = one->String("until")) {
        if (!ParseUntil(until->text, &exemption.until)) {
          reader_->Error(until->place,
                         absl::StrCat("until is ", Quoted(until->text),
                                      "; give a day or a time in UTC, such as \"2027-01-31\" or "
                                      "\"2027-01-31T08:00:00Z\""));
        }
      }
    }
  }

  void ReadLimits(TomlTable* table, Rule* rule) {
    constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    if (auto min_bad = table->Integer("min_bad", 1, kMost)) rule->min_bad = *min_bad;
    if (auto least = table->Integer("min_rejected_recipients", 1, kMost)) {
      rule->min_bad = *least;
      rule->measure.what = Measure::What::kRejected;
    }
    ReadSent(table, rule);
    ReadRuleClasses(table, rule);
    if (auto least = table->Integer("min_recipients", 1, kMaxRecipients)) {
      rule->min_recipients = *least;
      if (!table->Has("min_bad")) rule->min_bad = *least;  // so many are at least as many bad ones
    }
    const bool has_least = table->Has("min_bad") || table->Has("min_rejected_recipients") ||
                           table->Has("min_recipients");
    constexpr absl::string_view kMeasures[] = {"min_bad", "min_rejected_recipients", "max_sent"};
    for (size_t i = 1; i < std::size(kMeasures); ++i) {
      for (size_t other = 0; other < i; ++other) {
        if (!table->Has(kMeasures[i]) || !table->Has(kMeasures[other])) continue;
        reader_->Error(table->PlaceOf(kMeasures[i]),
                       absl::StrCat("a rule counts one thing: bad deliveries, rejected recipients "
                                    "or what is sent; take out ",
                                    kMeasures[other], ", or write a second rule"));
      }
    }
    if (rule->measure.what != Measure::What::kBad) {
      for (absl::string_view key : {"classes", "min_recipients"}) {
        if (!table->Has(key)) continue;
        reader_->Error(table->PlaceOf(key),
                       absl::StrCat(key, " is for rules on bad deliveries; take this line out"));
      }
    }
    if (auto percent = table->Integer("percent", kLeast, kMost)) {
      if (*percent >= 1 && *percent <= 100) {
        rule->percent = static_cast<int>(*percent);
      } else {
        reader_->Error(table->PlaceOf("percent"),
                       absl::StrCat("percent is ", *percent,
                                    "; give a whole number from 1 to 100, or leave it out to "
                                    "switch the rule off"));
      }
    }
    // A rule on few answers, or on what is sent, needs no share.
    rule->any_share =
        !table->Has("percent") && (!rule->measure.classes.empty() || rule->measure.sent());
    if (auto any_share = table->Bool("any_share")) rule->any_share = *any_share;
    if (rule->any_share && table->Has("percent")) {
      reader_->Error(table->PlaceOf("any_share"),
                     "any_share is for a rule without percent; take one of them out");
    }
    // Without a least count, one bad delivery of one would be 100 percent.
    if ((table->Has("percent") || rule->any_share) && !has_least && !rule->measure.sent()) {
      reader_->Error(table->place(), absl::StrCat("rule ", Quoted(rule->name),
                                                  " has no min_bad; give a whole number of at "
                                                  "least 1"));
    }
  }

  // Limits on what is sent: max_sent, of what, and how far mail is held before the action is taken.
  void ReadSent(TomlTable* table, Rule* rule) {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    if (auto most = table->Integer("max_sent", 1, kMost)) rule->min_bad = *most;
    if (table->Has("max_sent")) rule->measure.what = Measure::What::kSentMessages;
    bool recipients = false;
    ReadWord<bool>(table, "sent", {{"messages", false}, {"recipients", true}}, &recipients);
    if (recipients) rule->measure.what = Measure::What::kSentRecipients;
    if (auto cutoff = table->Integer("cutoff", 101, kMaxCutoff)) {
      rule->cutoff = static_cast<int>(*cutoff);
    }
    for (absl::string_view key : {"sent", "cutoff"}) {
      if (!table->Has(key) || table->Has("max_sent")) continue;
      reader_->Error(table->PlaceOf(key),
                     absl::StrCat(key, " is for rules with max_sent; take this line out"));
    }
    if (table->Has("max_sent") && table->Has("percent")) {
      reader_->Error(table->PlaceOf("percent"),
                     "a rule with max_sent has no percent; take this line out");
    }
  }

  // The classes of answers that alone are bad for the rule.
  void ReadRuleClasses(TomlTable* table, Rule* rule) {
    const std::vector<TomlText> names = table->Strings("classes");
    if (names.empty() && table->Has("classes")) {
      reader_->Error(table->PlaceOf("classes"),
                     "classes names none; give at least one, or take this line out");
    }
    for (const TomlText& name : names) {
      const std::optional<ReplyClass> known = ParseReplyClass(name.text);
      if (!known.has_value()) {
        reader_->Error(name.place, absl::StrCat("classes has ", Quoted(name.text),
                                                "; give some of ", ClassNames()));
        continue;
      }
      rule->measure.classes.Add(*known);
      rule_classes_.push_back({name.place, *known});
    }
  }

  // A rule on answers that never count would never do anything.
  void CheckRuleClasses() {
    for (const auto& [place, one] : rule_classes_) {
      bool counts = false;
      for (int scope = 0; scope < kReplyScopes; ++scope) {
        for (const bool failure : {false, true}) {
          counts = counts || policy_->Counts(one, static_cast<ReplyScope>(scope), failure);
        }
      }
      if (counts) continue;
      reader_->Error(place, absl::StrCat("answers of class ", ReplyClassName(one),
                                         " never count by this policy, so the rule would never "
                                         "see one; write ",
                                         ReplyClassName(one), " = \"counts\" under [classes]"));
    }
  }

  void ReadWarning(TomlTable* table, Rule* rule) {
    std::optional<double> share = table->Number("warn_at");
    if (!share.has_value()) return;
    rule->warn_at = *share;
    if (!(*share > 0 && *share < 1)) {
      reader_->Error(table->PlaceOf("warn_at"),
                     absl::StrCat("warn_at is ", *share,
                                  "; give a share of the limits between 0 and 1, such as 0.7"));
    }
  }

  void ReadTimes(TomlTable* table, Rule* rule) {
    if (auto window = table->Duration("window")) {
      rule->window = *window;
      if (*window < kMinWindow || *window > kMaxWindow ||
          absl::Trunc(*window, absl::Minutes(1)) != *window) {
        reader_->Error(table->PlaceOf("window"),
                       absl::StrCat("window is ", deferd::FormatDuration(*window),
                                    "; give whole minutes from \"1m\" to \"7d\""));
      }
    }
    if (auto block_for = table->Duration("block_for")) {
      rule->block_for = *block_for;
      if (*block_for > kMaxBlock) {
        reader_->Error(table->PlaceOf("block_for"),
                       absl::StrCat("block_for is ", deferd::FormatDuration(*block_for),
                                    "; give at most \"30d\""));
      }
    }
  }

  // One verdict for all, or a table of them by source, where a source that is not named passes.
  void ReadAction(TomlTable* table, Action* action) {
    if (!table->IsTable("action")) {
      if (auto text = table->String("action")) action->by_source.fill(VerdictOf(*text));
      return;
    }
    TomlTable* by_source = table->Table("action");
    action->by_source.fill(Verdict::kPass);
    for (int i = 0; i < kSources; ++i) {
      std::optional<TomlText> text = by_source->String(SourceName(static_cast<Source>(i)));
      if (text.has_value()) action->by_source[i] = VerdictOf(*text);
    }
  }

  // The sources that the rule is for: mail of any other passes.
  void ReadSource(TomlTable* table, Action* action) {
    const std::vector<TomlText> words = table->Strings("source");
    if (words.empty()) return;
    bool listed[kSources] = {};
    for (const TomlText& word : words) {
      absl::StatusOr<Source> source = ParseSource(word.text);
      NoteUnlessOk(word.place, source.status());
      if (source.ok()) listed[static_cast<int>(*source)] = true;
    }
    for (int i = 0; i < kSources; ++i) {
      if (!listed[i]) action->by_source[i] = Verdict::kPass;
    }
  }

  Verdict VerdictOf(const TomlText& text) {
    absl::StatusOr<Verdict> verdict = ParseVerdict(text.text);
    NoteUnlessOk(text.place, verdict.status());
    return verdict.value_or(Verdict::kPass);
  }

  // A class is counted or left out, as a whole or deferrals and failures apart.
  void ReadClasses(TomlTable* table) {
    for (const ReplyClassInfo& info : ReplyClassTable()) {
      ClassChoice& choice = policy_->classes[static_cast<size_t>(info.id)];
      if (!table->IsTable(info.name)) {
        choice.deferral = choice.failure = ReadCounting(table, info.name);
        continue;
      }
      TomlTable* apart = table->Table(info.name);
      choice.deferral = ReadCounting(apart, "deferred");
      choice.failure = ReadCounting(apart, "failed");
    }
  }

  std::optional<bool> ReadCounting(TomlTable* table, absl::string_view key) {
    std::optional<bool> counts;
    ReadWord<std::optional<bool>>(table, key, {{"counts", true}, {"left_out", false}}, &counts);
    return counts;
  }

  // [reply.NAME]: an answer with `pattern` in it is of `class`.
  void ReadReplyRule(const std::string& name, TomlTable* table) {
    if (!IsRuleName(name)) {
      reader_->Error(table->place(), absl::StrCat("reply name ", Quoted(name),
                                                  "; use 1 to 40 of a-z, 0-9, '_' and '-'"));
    }
    ReplyRule rule;
    rule.id = absl::StrCat("own.", name);
    std::optional<TomlText> reply_class = table->String("class");
    if (!reply_class.has_value()) {
      if (!table->Has("class")) {
        reader_->Error(table->place(), absl::StrCat("reply ", Quoted(name),
                                                    " has no class; give one of ", ClassNames()));
      }
    } else if (std::optional<ReplyClass> known = ParseReplyClass(reply_class->text)) {
      rule.reply_class = *known;
    } else {
      reader_->Error(reply_class->place, absl::StrCat("class is ", Quoted(reply_class->text),
                                                      "; give one of ", ClassNames()));
    }
    rule.scope = InfoOf(rule.reply_class).scope;
    rule.permanence = InfoOf(rule.reply_class).permanence;
    Words<ReplyScope> scopes;
    for (int i = 0; i < kReplyScopes; ++i) {
      const auto scope = static_cast<ReplyScope>(i);
      scopes.emplace_back(ReplyScopeName(scope), scope);
    }
    ReadWord(table, "scope", scopes, &rule.scope);
    const std::vector<TomlText> patterns = table->Strings("pattern");
    if (patterns.empty() && !table->Has("pattern")) {
      reader_->Error(table->place(),
                     absl::StrCat("reply ", Quoted(name),
                                  " has no pattern; give what its answers have in common"));
    }
    for (const TomlText& pattern : patterns) {
      // Rules are matched in a form of the answer that has small letters alone.
      rule.patterns = {absl::StrCat("(?i)", pattern.text)};
      const absl::Status alone = ReplyPatterns().Compile({.rules = {rule}, .providers = {}});
      if (!alone.ok()) {
        reader_->Error(pattern.place, absl::StrCat("pattern ", Quoted(pattern.text),
                                                   " is not a regular expression in RE2's syntax (",
                                                   alone.message(), ")"));
      }
    }
    rule.patterns.clear();
    for (const TomlText& pattern : patterns) {
      rule.patterns.push_back(absl::StrCat("(?i)", pattern.text));
    }
    if (!rule.patterns.empty()) policy_->reply_rules.push_back(std::move(rule));
  }

  static std::string ClassNames() {
    return absl::StrJoin(ReplyClassTable(), ", ", [](std::string* out, const ReplyClassInfo& info) {
      absl::StrAppend(out, info.name);
    });
  }

  TomlReader* const reader_;
  Policy* const policy_;
  NamesReader names_;
  std::vector<std::pair<TomlPlace, ReplyClass>> rule_classes_;  // that rules ask for
};

absl::Status MakeClassifier(absl::string_view name, Policy* policy) {
  if (policy->reply_rules.empty()) return absl::OkStatus();
  absl::StatusOr<std::unique_ptr<ReplyClassifier>> classifier =
      ReplyClassifier::Create(policy->reply_rules);
  if (!classifier.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": ", classifier.status().message()));
  }
  policy->classifier = *std::move(classifier);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Policy> ParsePolicy(absl::string_view text, absl::string_view name,
                                   ReadListFile read_file) {
  absl::StatusOr<std::unique_ptr<TomlReader>> reader = TomlReader::Parse(text, name);
  if (!reader.ok()) return reader.status();
  Policy policy;
  policy.path = std::string(name);
  policy.hash = HashOf(text);
  PolicyReader(reader->get(), &policy, std::move(read_file)).Read();
  absl::Status finished = (*reader)->Finish();
  if (!finished.ok()) return finished;
  if (absl::Status status = MakeClassifier(name, &policy); !status.ok()) return status;
  policy.index = std::make_shared<RuleIndex>(policy.rules);
  return policy;
}

absl::Status AddReplies(absl::string_view text, absl::string_view name, Policy* policy) {
  absl::StatusOr<std::unique_ptr<TomlReader>> reader = TomlReader::Parse(text, name);
  if (!reader.ok()) return reader.status();
  Policy added;
  PolicyReader(reader->get(), &added, {}).ReadReplies();
  if (absl::Status finished = (*reader)->Finish(); !finished.ok()) return finished;
  for (const ReplyRule& rule : policy->reply_rules) {
    for (const ReplyRule& other : added.reply_rules) {
      if (rule.id != other.id) continue;
      return absl::InvalidArgumentError(absl::StrCat(name, ": [reply.",
                                                     absl::StripPrefix(rule.id, "own."), "] is in ",
                                                     policy->path, " as well; rename one of them"));
    }
  }
  added.reply_rules.insert(added.reply_rules.end(), policy->reply_rules.begin(),
                           policy->reply_rules.end());
  if (absl::Status status = MakeClassifier(name, &added); !status.ok()) return status;
  policy->reply_rules = std::move(added.reply_rules);
  policy->classifier = std::move(added.classifier);
  policy->hash = HashOf(absl::StrCat(policy->hash, text));
  return absl::OkStatus();
}

}  // namespace deferd
