// The limiter on a clock moved by hand, fed in the language of the tests: who, when, what became of
// it.

#ifndef DEFERD_TESTS_LIMITER_LIMITER_FIXTURE_H_
#define DEFERD_TESTS_LIMITER_LIMITER_FIXTURE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/committer.h"
#include "limiter/limiter.h"
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
  RecordingObserver();
  ~RecordingObserver() override;

  void OnAttempt(const Attempt&, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override;
  void OnCase(CaseChange change, const Case& record) override;

  std::vector<LeftOut> left_out_;
  std::vector<ChargedSubjects> charged_;
  std::vector<SeenCase> cases_;
};

// Defined in limiter_fixture.cc, since forty tests include it.
class LimiterFixture {
 public:
  explicit LimiterFixture(const std::string& policy_toml,
                          absl::Time clock = kMorning + absl::Hours(2), bool ledger = true);
  ~LimiterFixture();

  // Another limiter, with what the store has: what a crash or a restart leaves.
  void Start();

  static std::shared_ptr<const Policy> ParsedPolicy(const std::string& toml);

  // An attempt of a message that bob@`domain` sent to `recipient`, at `time`.
  static Attempt MakeAttempt(const std::string& domain, absl::Time time, Outcome outcome,
                             const std::string& message = "", const std::string& recipient = "r@x");

  void Feed(const Attempt& attempt);
  void Feed(const std::string& domain, absl::Duration at, Outcome outcome,
            const std::string& message = "", const std::string& recipient = "r@x");
  void FeedMany(int n, const std::string& domain, absl::Duration at, Outcome outcome);
  void Complete(const std::string& message);

  Counts CountsNow(const std::string& domain) const;
  std::optional<Case> OpenCase(const std::string& domain, bool shadow = false) const;
  // Of the ledger, as committed; the newest first.
  std::vector<LedgerRow> Rows(Outcome outcome);

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
