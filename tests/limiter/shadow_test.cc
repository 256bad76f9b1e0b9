// Rules in shadow never alter what enforced ones do.

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

constexpr char kEnforced[] = R"(
[rule.domains]
min_bad = 6
percent = 40
warn_at = 0.7
[rule.logins]
kind = "login"
min_bad = 4
percent = 50
block_for = "20m"
)";

// One of each kind of thing that a rule can do to others.
constexpr char kShadows[] = R"(
[rule.strict]
min_bad = 2
percent = 10
shadow = true
[rule.in_place]
min_bad = 3
percent = 20
shadow = true
instead_of = ["domains"]
[rule.narrow]
kind = "login"
min_bad = 2
percent = 10
shadow = true
warn_at = 0.5
instead_of = ["logins"]
[rule.long]
min_bad = 3
percent = 5
window = "4h"
block_for = "3h"
shadow = true
)";

class Told : public Observer {
 public:
  void OnCase(CaseChange change, const Case& record) override {
    if (record.shadow) {
      ++shadows_;
      return;
    }
    said_.push_back(absl::StrCat(CaseChangeName(change), " ", record.subject.ToString(), " ",
                                 record.rule, " ", absl::FormatTime(record.since), " ",
                                 absl::FormatTime(record.until), " ", record.counts.delivered, "/",
                                 record.counts.bad(), " ", CloserOf(record)));
  }
  void OnWarning(const Warning& warning) override {
    if (warning.shadow) return;
    said_.push_back(absl::StrCat("near ", warning.subject.ToString(), " ", warning.rule, " ",
                                 warning.bad(), " ", absl::FormatTime(warning.at)));
  }
  std::vector<std::string> said_;
  int shadows_ = 0;
};

// The same stream of attempts, unblocks and ticks by a policy.
Told Judged(const std::string& policy, int seed) {
  LimiterFixture daemon(policy, kMorning);
  Told told;
  std::mt19937 random(seed);
  const auto draw = [&](uint32_t n) { return static_cast<int>(random() % n); };
  for (int step = 0; step < 400; ++step) {
    const absl::Duration at = absl::Seconds(40) * step;
    daemon.clock_.Set(At(at));
    const std::string domain = absl::StrCat("d", draw(3), ".example");
    Events events;
    if (draw(60) == 0) {
      daemon.limiter_
          ->Unblock({SubjectKind::kDomain, domain}, "root", "", HeldOrder::kNone, &events)
          .status()
          .IgnoreError();
    } else if (draw(10) == 0) {
      events = daemon.limiter_->Tick();
    }
    events.Notify(&told);
    Attempt attempt =
        LimiterFixture::MakeAttempt(domain, At(at), static_cast<Outcome>(draw(3)),
                                    absl::StrCat("m", draw(300)), absl::StrCat("r", draw(3), "@x"));
    attempt.identity.login = attempt.identity.sender = absl::StrCat("u", draw(4), "@", domain);
    EventBatch batch;
    *batch.Add() = {LogEvent::Kind::kAttempt, attempt};
    daemon.limiter_->Record(batch).Notify(&told);
  }
  return told;
}

TEST(Shadow, NeverAltersAnEnforcedResult) {
  int shadows = 0, enforced = 0;
  for (int seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE(seed);
    const Told without = Judged(kEnforced, seed);
    const Told with = Judged(absl::StrCat(kEnforced, kShadows), seed);
    const Told before = Judged(absl::StrCat(kShadows, kEnforced), seed);
    EXPECT_EQ(without.said_, with.said_);
    EXPECT_EQ(without.said_, before.said_);
    shadows += with.shadows_;
    enforced += static_cast<int>(without.said_.size());
  }
  EXPECT_GT(shadows, 100);
  EXPECT_GT(enforced, 100);
}

}  // namespace
}  // namespace deferd
