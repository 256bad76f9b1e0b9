// The limiter on a clock moved by hand, fed in the language of the tests: who, when, what became of
// it.

#ifndef DEFERD_TESTS_LIMITER_LIMITER_FIXTURE_H_
#define DEFERD_TESTS_LIMITER_LIMITER_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/limiter.h"
#include "policy/policy_file.h"

namespace deferd {

// A morning; all test times are minutes or seconds from here.
inline const absl::Time kMorning = absl::FromUnixSeconds(1'795'334'400);  // 2026-11-22 08:00:00 UTC

inline absl::Time At(absl::Duration since_morning) { return kMorning + since_morning; }

struct SeenCase {
  CaseChange change;
  Case record;
};

class RecordingObserver : public Observer {
 public:
  void OnAttempt(const Attempt&, const ChargedSubjects& charged, LeftOut left_out) override {
    left_out_.push_back(left_out);
    charged_.push_back(charged);
  }
  void OnCase(CaseChange change, const Case& record) override {
    cases_.push_back({change, record});
  }

  std::vector<LeftOut> left_out_;
  std::vector<ChargedSubjects> charged_;
  std::vector<SeenCase> cases_;
};

class LimiterFixture {
 public:
  explicit LimiterFixture(const std::string& policy_toml,
                          absl::Time clock = kMorning + absl::Hours(2))
      : clock_(clock),
        limiter_({.node = "0badcafe"}, {ParsedPolicy(policy_toml), std::make_shared<ChargeLists>()},
                 &clock_, &cases_, &observer_) {}

  static std::shared_ptr<const Policy> ParsedPolicy(const std::string& toml) {
    absl::StatusOr<Policy> policy = ParsePolicy(toml, "test.toml");
    EXPECT_TRUE(policy.ok()) << policy.status();
    return std::make_shared<Policy>(*std::move(policy));
  }

  // An attempt of a message that bob@`domain` sent to `recipient`, at `time`.
  static Attempt MakeAttempt(const std::string& domain, absl::Time time, Outcome outcome,
                             const std::string& message = "",
                             const std::string& recipient = "r@x") {
    static int fresh = 0;
    Attempt attempt;
    attempt.time = time;
    attempt.message = {message.empty() ? absl::StrCat("fresh-", ++fresh) : message, kMorning};
    attempt.identity.login = absl::StrCat("bob@", domain);
    attempt.identity.sender = attempt.identity.login;
    attempt.recipient = recipient;
    attempt.outcome = outcome;
    attempt.remote = true;
    return attempt;
  }

  void Feed(const Attempt& attempt) {
    EventBatch batch;
    *batch.Add() = {LogEvent::Kind::kAttempt, attempt};
    limiter_.Record(batch);
  }
  void Feed(const std::string& domain, absl::Duration at, Outcome outcome,
            const std::string& message = "", const std::string& recipient = "r@x") {
    Feed(MakeAttempt(domain, At(at), outcome, message, recipient));
  }
  void FeedMany(int n, const std::string& domain, absl::Duration at, Outcome outcome) {
    for (int i = 0; i < n; ++i) Feed(domain, at, outcome);
  }
  void Complete(const std::string& message) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kCompleted;
    event->attempt.message = {message, kMorning};
    limiter_.Record(batch);
  }

  Counts CountsNow(const std::string& domain) const {
    return limiter_.Report({SubjectKind::kDomain, domain}).counts;
  }
  std::optional<Case> OpenCase(const std::string& domain, bool shadow = false) const {
    return cases_.FindOpen({SubjectKind::kDomain, domain}, shadow);
  }

  ManualClock clock_;
  CaseTable cases_;
  RecordingObserver observer_;
  Limiter limiter_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_LIMITER_FIXTURE_H_
