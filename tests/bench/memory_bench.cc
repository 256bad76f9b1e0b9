// What a live domain costs in memory, beside its floor in the same run.
//
// Feeds the limiter one million domains with one login and a given number of attempts each within
// the hour (so two subjects live for each domain), and prints how much the process grew. The floor
// is a hash table from name to sixty 16-bit numbers, without outcomes: what a plain ring of minutes
// would take. `memory_bench [DOMAINS]`.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "limiter/limiter.h"
#include "policy/policy_file.h"
#include "tests/bench/resident.h"

namespace deferd {
namespace {

std::string Domain(int i) { return absl::StrCat("customer-", i, ".example"); }

double FloorMegabytes(int domains) {
  const double before = ResidentMegabytes();
  absl::flat_hash_map<std::string, std::array<uint16_t, 60>> table;
  for (int i = 0; i < domains; ++i) table[Domain(i)][i % 60] = 1;
  return ResidentMegabytes() - before;
}

double LimiterMegabytes(int domains, int attempts) {
  const double before = ResidentMegabytes();
  const absl::Time now = absl::FromUnixSeconds(1'795'334'400);
  const ManualClock clock(now + absl::Hours(1));
  CaseTable cases;
  Limiter limiter({.max_subjects = 2 * static_cast<size_t>(domains)},
                  {std::make_shared<Policy>(BuiltInPolicy()), std::make_shared<ChargeLists>()},
                  &clock, &cases);
  EventBatch batch;
  for (int a = 0; a < attempts; ++a) {
    for (int i = 0; i < domains; ++i) {
      LogEvent* event = batch.Add();
      event->kind = LogEvent::Kind::kAttempt;
      event->attempt.time = now + absl::Minutes(55) * a / attempts;
      event->attempt.message = {absl::StrCat(a, "-", i), now};
      event->attempt.identity.login = absl::StrCat("bob@", Domain(i));
      event->attempt.recipient = "r@far.example";
      event->attempt.outcome = a % 10 == 0 ? Outcome::kDeferred : Outcome::kDelivered;
      event->attempt.remote = true;
      LogEvent* completed = batch.Add();
      completed->kind = LogEvent::Kind::kCompleted;
      completed->attempt.message = event->attempt.message;
      if (batch.size() >= 1'000) {
        (void)limiter.Record(batch);
        batch.Clear();
      }
    }
  }
  (void)limiter.Record(batch);
  const double grown = ResidentMegabytes() - before;
  // The built-in policy judges logins too.
  if (limiter.stats().subjects != 2 * static_cast<size_t>(domains)) {
    std::printf("WRONG: %zu subjects\n", limiter.stats().subjects);
    std::exit(1);
  }
  return grown;
}

int Main(int argc, char** argv) {
  const int domains = argc > 1 ? std::atoi(argv[1]) : 1'000'000;
  const double floor = FloorMegabytes(domains);
  std::printf("%d live domains\n", domains);
  std::printf("floor: name to 60 minutes      %6.0f MB\n", floor);
  for (int attempts : {1, 2, 5, 20}) {
    const double grown = LimiterMegabytes(domains, attempts);
    std::printf(
        "limiter, %2d attempts each      %6.0f MB  %4.0f bytes a domain, %.2f of the floor\n",
        attempts, grown, grown * 1e6 / domains, grown / floor);
  }
  return 0;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
