#include "policy/rules_for.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

bool InShadow(const Policy& policy, const Rule& rule) {
  return rule.shadow || policy.mode == Mode::kShadow;
}

bool StandsIn(const Policy& policy, const Rule& rule, const Rule& other) {
  return !rule.off() && (!InShadow(policy, rule) || InShadow(policy, other));
}

bool Selects(const Rule& rule, const Subject& subject, bool alone, absl::string_view within) {
  return rule.AppliesTo(subject, alone, within);
}

// The rule that stands in for `rule`; null: none.
const Rule* Substitute(const Policy& policy, const Rule& rule, const Subject& subject, bool alone,
                       absl::string_view within) {
  for (const Rule& other : policy.rules) {
    if (absl::c_linear_search(other.instead_of, rule.name) && StandsIn(policy, other, rule) &&
        Selects(other, subject, alone, within)) {
      return &other;
    }
  }
  return nullptr;
}

std::string WhyNotSelected(const Rule& rule, const Subject& subject, bool alone,
                           absl::string_view within) {
  if (rule.kind != subject.kind) {
    return absl::StrCat("it judges kind ", SubjectKindName(rule.kind));
  }
  if (rule.unhosted && !alone) return "a domain that is hosted here answers for it (unhosted)";
  if (rule.who.except.Matches(subject, within)) return "its except lists it";
  return "its domains, logins and tags do not list it";
}

}  // namespace

RuleIndex::RuleIndex(const std::vector<Rule>& rules) : briefs_(rules.size()) {
  absl::flat_hash_map<absl::string_view, uint32_t> numbers;
  for (uint32_t i = 0; i < rules.size(); ++i) numbers[rules[i].name] = i;
  for (uint32_t i = 0; i < rules.size(); ++i) {
    const Rule& rule = rules[i];
    const bool exact = by_kind_[static_cast<int>(rule.kind)].Add(i, rule.who);
    briefs_[i].off = rule.off();
    briefs_[i].shadow = rule.shadow;
    briefs_[i].plain = !rule.unhosted && rule.who.except.empty() &&
                       (exact ? rule.who.tags.empty() : rule.who.everybody());
    (rules[i].shadow ? has_shadow_ : has_others_) = true;
    has_rejected_ = has_rejected_ || rules[i].measure.rejected();
    has_sent_ = has_sent_ || rules[i].measure.sent();
    has_sent_recipients_ =
        has_sent_recipients_ || rules[i].measure.what == Measure::What::kSentRecipients;
    for (const std::string& name : rules[i].instead_of) {
      auto found = numbers.find(name);
      if (found != numbers.end()) briefs_[i].replaces.push_back(found->second);
    }
  }
}

RuleList RulesFor(const Policy& policy, const Subject& subject, bool alone,
                  absl::string_view within) {
  RuleList judging;
  // Policies that no file gave have few rules, and no index.
  if (policy.index == nullptr || policy.index->rules() != policy.rules.size()) {
    for (const Rule& rule : policy.rules) {
      if (Selects(rule, subject, alone, within) &&
          Substitute(policy, rule, subject, alone, within) == nullptr) {
        judging.push_back(&rule);
      }
    }
    return judging;
  }
  NameIndex::Numbers selected = policy.index->Candidates(subject, within);
  selected.erase(std::remove_if(selected.begin(), selected.end(),
                                [&](uint32_t i) {
                                  return !policy.index->Of(i).plain &&
                                         !Selects(policy.rules[i], subject, alone, within);
                                }),
                 selected.end());
  const bool all_in_shadow = policy.mode == Mode::kShadow;
  for (const uint32_t i : selected) {
    const bool in_shadow = all_in_shadow || policy.index->Of(i).shadow;
    const bool replaced = absl::c_any_of(selected, [&](uint32_t other) {
      const RuleIndex::Brief& brief = policy.index->Of(other);
      return absl::c_linear_search(brief.replaces, i) && !brief.off &&
             (in_shadow || !(all_in_shadow || brief.shadow));
    });
    if (!replaced) judging.push_back(&policy.rules[i]);
  }
  return judging;
}

std::vector<RuleReason> RuleReasons(const Policy& policy, const Subject& subject, bool alone,
                                    absl::string_view within) {
  std::vector<RuleReason> reasons;
  for (const Rule& rule : policy.rules) {
    RuleReason& reason = reasons.emplace_back();
    reason.rule = &rule;
    if (!Selects(rule, subject, alone, within)) {
      reason.why = WhyNotSelected(rule, subject, alone, within);
    } else if (const Rule* other = Substitute(policy, rule, subject, alone, within)) {
      reason.why = absl::StrCat("rule ", other->name, " judges it instead (instead_of)");
    } else if (rule.off()) {
      reason.why = "it is off: it gives no percent";
    } else {
      reason.judges = true;
      reason.why = InShadow(policy, rule) ? "in shadow: shown, never enforced" : "enforced";
    }
  }
  return reasons;
}

}  // namespace deferd
