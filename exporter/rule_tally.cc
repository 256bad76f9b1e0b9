#include "exporter/rule_tally.h"

#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kLongestName = 64;  // of a label; another node may have written anything

}  // namespace

void RuleTally::Count(absl::string_view rule, bool shadow) {
  const std::string name =
      rule.empty() ? std::string(kPerson) : PrintableUtf8(rule.substr(0, kLongestName));
  MutexLock lock(&mutex_);
  auto found = by_rule_.find(name);
  if (found == by_rule_.end()) {
    const bool named = by_rule_.size() < kMostRules || rule.empty();
    found = by_rule_.try_emplace(named ? name : kOther).first;
  }
  ++(shadow ? found->second.shadow : found->second.enforced);
}

std::map<std::string, RuleTally::Verdicts> RuleTally::all() const {
  MutexLock lock(&mutex_);
  return by_rule_;
}

}  // namespace deferd
