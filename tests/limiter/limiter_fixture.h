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
#include "limiter/committer.h"
#include "limiter/limiter.h"
#include "policy/policy_file.h"
#include "tests/limiter/store/faulty_store.h"
#include "tests/limiter/store/memory_store.h"

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
  void OnAttempt(const Attempt&, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* /*answer*/) override {
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
                          absl::Time clock = kMorning + absl::Hours(2), bool ledger = true)
      : ledger_(ledger),
        clock_(clock),
        settings_{ParsedPolicy(policy_toml), std::make_shared<ChargeLists>()},
        store_(std::make_unique<FaultyStore>(NewMemoryStore("0badcafe", {}))) {
    Start();
  }

  // Another limiter, with what the store has: what a crash or a restart leaves.
  void Start() {
    cases_ = std::make_unique<CaseTable>();
    limiter_ = std::make_unique<Limiter>(
        LimiterOptions{.node = "0badcafe", .max_subjects = max_subjects_, .keep = true}, settings_,
        &clock_, cases_.get());
    committer_ =
        std::make_unique<Committer>(CommitterOptions{.ledger = ledger_, .observers = {&observer_}},
                                    limiter_.get(), store_.get(), &clock_);
    const absl::Status loaded = committer_->Load();
    EXPECT_TRUE(loaded.ok()) << loaded;
  }

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
    committer_->Record(batch);
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
    committer_->Record(batch);
  }

  Counts CountsNow(const std::string& domain) const {
    return limiter_->Report({SubjectKind::kDomain, domain}).counts;
  }
  std::optional<Case> OpenCase(const std::string& domain, bool shadow = false) const {
    return cases_->FindOpen({SubjectKind::kDomain, domain}, shadow);
  }
  // Of the ledger, as committed; the newest first.
  std::vector<LedgerRow> Rows(Outcome outcome) {
    LedgerQuery query;
    query.outcomes = {outcome};
    absl::StatusOr<LedgerPage> page = store_->NewReader()->Search(query);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? page->rows : std::vector<LedgerRow>();
  }

  const bool ledger_;
  size_t max_subjects_ = 500'000;  // from the next Start on
  ManualClock clock_;
  Settings settings_;
  std::unique_ptr<FaultyStore> store_;
  RecordingObserver observer_;
  std::unique_ptr<CaseTable> cases_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Committer> committer_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_LIMITER_FIXTURE_H_
