#include "tests/limiter/limiter_fixture.h"

#include "policy/policy_file.h"

namespace deferd {

RecordingObserver::RecordingObserver() = default;
RecordingObserver::~RecordingObserver() = default;

void RecordingObserver::OnAttempt(const Attempt& /*attempt*/, const ChargedSubjects& charged,
                                  LeftOut left_out, const Classification* /*answer*/) {
  left_out_.push_back(left_out);
  charged_.push_back(charged);
}

void RecordingObserver::OnCase(CaseChange change, const Case& record) {
  cases_.push_back({change, record});
}

LimiterFixture::LimiterFixture(const std::string& policy_toml, absl::Time clock, bool ledger)
    : ledger_(ledger),
      clock_(clock),
      settings_{ParsedPolicy(policy_toml), std::make_shared<ChargeLists>()},
      store_(std::make_unique<FaultyStore>(NewMemoryStore("0badcafe", {}))) {
  Start();
}

LimiterFixture::~LimiterFixture() = default;

void LimiterFixture::Start() {
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

std::shared_ptr<const Policy> LimiterFixture::ParsedPolicy(const std::string& toml) {
  absl::StatusOr<Policy> policy = ParsePolicy(toml, "test.toml");
  EXPECT_TRUE(policy.ok()) << policy.status();
  return std::make_shared<Policy>(*std::move(policy));
}

Attempt LimiterFixture::MakeAttempt(const std::string& domain, absl::Time time, Outcome outcome,
                                    const std::string& message, const std::string& recipient) {
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

void LimiterFixture::Feed(const Attempt& attempt) {
  EventBatch batch;
  *batch.Add() = {LogEvent::Kind::kAttempt, attempt};
  committer_->Record(batch);
}

void LimiterFixture::Feed(const std::string& domain, absl::Duration at, Outcome outcome,
                          const std::string& message, const std::string& recipient) {
  Feed(MakeAttempt(domain, At(at), outcome, message, recipient));
}

void LimiterFixture::FeedMany(int n, const std::string& domain, absl::Duration at,
                              Outcome outcome) {
  for (int i = 0; i < n; ++i) Feed(domain, at, outcome);
}

void LimiterFixture::Complete(const std::string& message) {
  EventBatch batch;
  LogEvent* event = batch.Add();
  event->kind = LogEvent::Kind::kCompleted;
  event->attempt.message = {message, kMorning};
  committer_->Record(batch);
}

Counts LimiterFixture::CountsNow(const std::string& domain) const {
  return limiter_->Report({SubjectKind::kDomain, domain}).counts;
}

std::optional<Case> LimiterFixture::OpenCase(const std::string& domain, bool shadow) const {
  return cases_->FindOpen({SubjectKind::kDomain, domain}, shadow);
}

std::vector<LedgerRow> LimiterFixture::Rows(Outcome outcome) {
  LedgerQuery query;
  query.outcomes = {outcome};
  absl::StatusOr<LedgerPage> page = store_->NewReader()->Search(query);
  EXPECT_TRUE(page.ok()) << page.status();
  return page.ok() ? page->rows : std::vector<LedgerRow>();
}

}  // namespace deferd
