// A policy with a section for each of 100,000 domains: how long it takes to load, and to find the
// rules of one subject. Floors: toml++ alone for the first, one look-up in a hash map for the
// second.

#include <toml++/toml.h>

#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "policy/policy_file.h"
#include "policy/rules_for.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr int kDomains = 100'000;
constexpr int kLookUps = 2'000'000;

std::string DomainAt(int i) { return absl::StrCat("customer", i, ".example"); }

// Of this process, whatever else the machine does.
double Seconds(std::clock_t since) {
  return static_cast<double>(std::clock() - since) / CLOCKS_PER_SEC;
}

int Main() {
  std::string text = "[rule.ratio]\nmin_bad = 10\npercent = 50\n";
  for (int i = 0; i < kDomains; ++i) {
    absl::StrAppend(&text, "[rule.d", i, "]\ndomains = [\"", DomainAt(i),
                    "\"]\ninstead_of = \"ratio\"\nmin_bad = ", 10 + i % 90,
                    "\npercent = ", 10 + i % 60, "\n");
  }
  std::clock_t begin = std::clock();
  {
    const toml::table parsed = toml::parse(ToStd(text));
    std::printf("toml++ alone: %.2f s for %zu bytes\n", Seconds(begin), text.size());
  }
  begin = std::clock();
  const absl::StatusOr<Policy> policy = ParsePolicy(text, "bench");
  if (!policy.ok()) return 1;
  std::printf("loaded %zu rules in %.2f s\n", policy->rules.size(), Seconds(begin));

  std::vector<Subject> subjects;
  absl::flat_hash_map<std::string, int> map;
  for (int i = 0; i < kDomains; ++i) {
    subjects.push_back({SubjectKind::kDomain, DomainAt(static_cast<int>(7919LL * i % kDomains))});
    map[DomainAt(i)] = i;
  }
  size_t found = 0;
  begin = std::clock();
  for (int i = 0; i < kLookUps; ++i) found += map.contains(subjects[i % kDomains].id) ? 1 : 0;
  std::printf("a hash map's look-up: %.0f ns\n", Seconds(begin) * 1e9 / kLookUps);
  begin = std::clock();
  for (int i = 0; i < kLookUps; ++i) found += RulesFor(*policy, subjects[i % kDomains]).size();
  std::printf("the rules of a subject: %.0f ns\n", Seconds(begin) * 1e9 / kLookUps);
  return found == 2 * static_cast<size_t>(kLookUps) ? 0 : 1;
}

}  // namespace
}  // namespace deferd

int main() { return deferd::Main(); }
