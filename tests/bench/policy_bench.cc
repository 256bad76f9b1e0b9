// A policy with a section for each of 100,000 domains: how long it takes to load, and to find the
// rules of one subject; and what a question costs beside a policy of one rule. Floors: toml++ alone
// for the first, one look-up in a hash map for the second, the small policy for the third.

#include <toml++/toml.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/committer.h"
#include "limiter/limiter.h"
#include "limiter/store/local_store.h"
#include "policy/policy_file.h"
#include "policy/rules_for.h"
#include "policy/text.h"
#include "tests/bench/short.h"

namespace deferd {
namespace {

const int kDomains = ShortRun() ? 1'000 : 100'000;
const int kLookUps = ShortRun() ? 10'000 : 2'000'000;

std::string DomainAt(int i) { return absl::StrCat("customer", i, ".example"); }

// Of this process, whatever else the machine does.
double Seconds(std::clock_t since) {
  return static_cast<double>(std::clock() - since) / CLOCKS_PER_SEC;
}

struct Answered {
  double median = 0, p99 = 0;
};

// Questions about everybody's mail while a thousandth of the domains is blocked by its rule.
class Questions {
 public:
  explicit Questions(const std::string& policy)
      : settings_{std::make_shared<Policy>(*ParsePolicy(policy, "bench")),
                  std::make_shared<ChargeLists>()} {
    EventBatch batch;
    for (int i = 0; i < kDomains; i += 1'000) {
      for (int n = 0; n < 200; ++n) {
        LogEvent* event = batch.Add();
        event->kind = LogEvent::Kind::kAttempt;
        Attempt& attempt = event->attempt;
        attempt.time = clock_.Now();
        attempt.message = {absl::StrCat("m", i, "-", n), clock_.Now()};
        attempt.identity.login = attempt.identity.sender = absl::StrCat("bob@", DomainAt(i));
        attempt.recipient = absl::StrCat("r", n, "@far.example");
        attempt.outcome = Outcome::kFailed;
        attempt.reply = "550 5.1.1 User unknown";
        attempt.remote = true;
      }
    }
    (void)limiter_.Record(batch);
    fresh_.Set({}, clock_.Now());
  }

  size_t blocked() const { return cases_.CountOpen(/*shadow=*/false); }

  Answered Ask() {
    const Gate gate(&cases_, &fresh_, &clock_, settings_);
    std::vector<double> nanos;
    nanos.reserve(kQuestions);
    for (int i = 0; i < kQuestions; ++i) {
      Identity identity;
      identity.login = identity.sender =
          absl::StrCat("bob@", DomainAt(static_cast<int>(7919LL * i % kDomains)));
      const auto before = std::chrono::steady_clock::now();
      (void)gate.Check(identity, Source::kSubmission);
      nanos.push_back(
          std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - before)
              .count());
    }
    std::sort(nanos.begin(), nanos.end());
    return {nanos[kQuestions / 2], nanos[kQuestions / 100 * 99]};
  }

 private:
  static constexpr int kQuestions = 500'000;

  ManualClock clock_{absl::FromUnixSeconds(1'795'334'400)};
  Settings settings_;
  CaseTable cases_;
  Freshness fresh_{clock_.Now()};
  Limiter limiter_{{.node = "bench"}, settings_, &clock_, &cases_};
};

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

  const std::string small = "[rule.ratio]\nmin_bad = 100\npercent = 50\n";
  Questions few(small), many(text);
  // In turns: the first of them warms up.
  Answered one, all;
  for (int turn = 0; turn < 3; ++turn) {
    one = few.Ask();
    all = many.Ask();
  }
  std::printf("a question with 1 rule, %zu blocked: median %.0f ns, p99 %.0f ns\n", few.blocked(),
              one.median, one.p99);
  std::printf("a question with %zu rules, %zu blocked: median %.0f ns, p99 %.0f ns\n",
              policy->rules.size(), many.blocked(), all.median, all.p99);
  return found == 2 * static_cast<size_t>(kLookUps) ? 0 : 1;
}

}  // namespace
}  // namespace deferd

int main() { return deferd::Main(); }
