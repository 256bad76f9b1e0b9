// A daemon whose log, people and peers have brought one hostile string wherever they could.

#ifndef DEFERD_TESTS_LIMITER_HOSTILE_FIXTURE_H_
#define DEFERD_TESTS_LIMITER_HOSTILE_FIXTURE_H_

#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "exporter/metrics.h"
#include "gmock/gmock.h"
#include "limiter/admin/admin_api.h"
#include "limiter/app/journal.h"
#include "limiter/ctl/page_text.h"
#include "limiter/port/log.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/hostile_strings.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {

inline constexpr char kHostilePolicy[] = R"(
[rule.domains]
min_bad = 3
percent = 50
block_for = "2h"
[rule.logins]
kind = "login"
min_bad = 3
percent = 50
block_for = "2h"
)";

class HostileTest : public testing::TestWithParam<HostileString> {
 protected:
  HostileTest()
      : logger_(spdlog::default_logger()),
        cases_(std::make_unique<CaseTable>()),
        settings_{LimiterFixture::ParsedPolicy(kHostilePolicy), std::make_shared<ChargeLists>()},
        limiter_({.node = "0badcafe", .keep = true}, settings_, &clock_, cases_.get()),
        store_(NewMemoryStore("0badcafe", {})),
        reader_(store_->NewReader()),
        committer_({.mail_subjects = true, .observers = {&metrics_, &journal_}}, &limiter_,
                   store_.get(), &clock_),
        gate_(cases_.get(), &freshness_, &clock_, settings_),
        api_({.limiter = &limiter_,
              .committer = &committer_,
              .cases = cases_.get(),
              .gate = &gate_,
              .freshness = &freshness_,
              .clock = &clock_,
              .status = [this] { return Status(); },
              .policy =
                  [this] {
                    return Json{{"path", hostile_}, {"toml", hostile_}, {"hash", hostile_}};
                  },
              .try_policy = [](const std::string& toml) -> absl::StatusOr<Json> {
                return absl::InvalidArgumentError(absl::StrCat("mistake: ", toml));
              },
              .reload =
                  [this](bool) {
                    return absl::FailedPreconditionError(absl::StrCat("mistake: ", hostile_));
                  },
              .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
              .save = [this] { return committer_.Commit(/*durable=*/true); },
              .receipt = [this](const Case& record) { return committer_.ReceiptOf(record); },
              .ledger = reader_.get()}) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_));
    logger->set_pattern("%v");
    spdlog::set_default_logger(std::move(logger));
    freshness_.Set({absl::StrCat("cannot read ", hostile_)}, clock_.Now());
    EXPECT_THAT(committer_.Load(), IsOk());
    Live();
  }
  ~HostileTest() override {
    spdlog::set_default_logger(logger_);
    ShowPagesAs({});
  }

  // What a daemon meets: bad attempts with the string wherever a log may have it, an arrival, a
  // refused recipient, and people who give it as their reason.
  void Live() {
    EventBatch batch;
    for (int i = 0; i < 4; ++i) {
      LogEvent* event = batch.Add();
      Attempt attempt = Hostile(i);
      if (i == 0) {
        *event = {LogEvent::Kind::kArrived, attempt};
        continue;
      }
      *event = {LogEvent::Kind::kAttempt, attempt};
    }
    LogEvent* shown = batch.Add();
    *shown = {LogEvent::Kind::kShown, Hostile(0)};
    shown->attempt.outcome = Outcome::kRejected;
    committer_.Record(batch);
    committer_.Block({SubjectKind::kDomain, "person.example"}, absl::Hours(1), hostile_, hostile_);
    committer_.Block({SubjectKind::kLogin, hostile_}, absl::Hours(1), "root", hostile_);
    committer_.Exempt({SubjectKind::kDomain, "free.example"}, absl::Hours(1), hostile_, hostile_);
    committer_.Block({SubjectKind::kDomain, "over.example"}, absl::Hours(1), hostile_, hostile_);
    EXPECT_THAT(
        committer_.Unblock({SubjectKind::kDomain, "over.example"}, hostile_, hostile_).status(),
        IsOk());
    EXPECT_THAT(committer_.Commit(), IsOk());
  }

  Attempt Hostile(int number) const {
    Attempt attempt;
    attempt.time = At(absl::Minutes(number));
    attempt.message = {absl::StrCat("1tXXXX-0000000000", number, "-aaaa"), kMorning};
    attempt.identity.login = attempt.identity.sender = absl::StrCat(hostile_, "@a.example");
    attempt.identity.host = "192.0.2.7";
    attempt.recipient = absl::StrCat(hostile_, "@far.example");
    attempt.original = attempt.router = attempt.transport = attempt.host = hostile_;
    attempt.mail_subject = hostile_;
    attempt.outcome = Outcome::kFailed;
    attempt.reply = absl::StrCat("550 5.1.1 ", hostile_);
    attempt.remote = true;
    return attempt;
  }

  Json Status() const {
    return {{"version", hostile_},
            {"node", hostile_},
            {"mode", hostile_},
            {"unchecked", true},
            {"causes", {hostile_}},
            {"policy", {{"path", hostile_}, {"hash", hostile_}, {"loaded", hostile_}}},
            {"sources", {{{"path", hostile_}, {"lag_seconds", 1}, {"gaps", 0}}}},
            {"shared",
             {{"redis", hostile_},
              {"trouble", hostile_},
              {"problem", hostile_},
              {"refused_last", hostile_},
              {"nodes", {{{"node", hostile_}, {"host", hostile_}, {"live", true}}}}}}};
  }

  // A verb's answer as deferctl reads it; its bytes are looked at on the way.
  Json Answer(const std::string& verb, const Json& args) {
    const absl::StatusOr<Json> answer = api_.Handle(verb, args, {.uid = 0});
    const Json sent =
        answer.ok() ? *answer : Json{{"error", std::string(answer.status().message())}};
    for (const std::string& text : {Dump(sent), DumpPretty(sent)}) {
      EXPECT_EQ(WhyUnsafe(text), "") << verb << " as JSON";
    }
    EXPECT_EQ(absl::StrSplit(Dump(sent), '\n').begin()->size(), Dump(sent).size())
        << verb << ": the protocol has one answer a line";
    Json read = Json::parse(Dump(sent), nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(read.is_discarded()) << verb;
    EXPECT_FALSE(read.contains(kForged)) << verb;
    return read;
  }

  const std::string& hostile_ = GetParam().bytes;
  std::ostringstream log_;
  const std::shared_ptr<spdlog::logger> logger_;
  ManualClock clock_{At(absl::Minutes(5))};
  std::unique_ptr<CaseTable> cases_;
  const Settings settings_;
  Limiter limiter_;
  std::unique_ptr<LocalStore> store_;
  std::unique_ptr<LedgerReader> reader_;
  Metrics metrics_;
  Journal journal_;
  Committer committer_;
  Freshness freshness_{kMorning};
  Gate gate_;
  AdminApi api_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_HOSTILE_FIXTURE_H_
