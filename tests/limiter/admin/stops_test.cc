#include "limiter/admin/stops.h"
#include "limiter/ctl/why_page.h"

#include <random>

#include "gmock/gmock.h"
#include "limiter/admin/admin_api.h"
#include "limiter/ctl/admin_pages.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Minutes;
using testing::HasSubstr;
using testing::Not;

const std::vector<std::string> kSubjects = {
    "a.example",    "b.example",     "login:bob@a.example", "login:ann@b.example", "login:pam@vm",
    "account:shop", "local:web1@vm", "forward:a.example",   "host:192.0.2.10",     "login:map@vm"};

// A daemon's verbs over a state of the test's own.
class World : public LimiterFixture {
 public:
  explicit World(const std::string& policy) : LimiterFixture(policy, At(Minutes(60))) {
    freshness_.Set({}, clock_.Now());
    gate_ = std::make_unique<Gate>(cases_.get(), &freshness_, &clock_, limiter_->settings());
    api_ = std::make_unique<AdminApi>(AdminApi::Parts{
        .limiter = limiter_.get(),
        .cases = cases_.get(),
        .gate = gate_.get(),
        .freshness = &freshness_,
        .clock = &clock_,
        .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
        .receipt = [this](const Case& record) { return committer_->ReceiptOf(record); },
        .ledger = reader_.get(),
        .held = {.seen = [this] {
          return Json{{"held", held_}};
        }}});
  }

  void Use(const ChargeLists& lists) {
    settings_.lists = std::make_shared<ChargeLists>(lists);
    committer_->SetSettings(settings_);
    gate_->SetSettings(settings_);
  }
  Case Put(const std::string& subject, absl::Duration until, bool manual, bool shadow) {
    static int number = 0;
    Case record;
    record.id = absl::StrCat("0badcafe-9-", ++number);
    record.subject = *Subject::Parse(subject);
    record.manual = manual;
    record.shadow = shadow && !manual;
    record.rule = manual ? "" : "r";
    record.by = manual ? "root" : "rule";
    record.reason = manual ? "by hand" : "";
    record.since = At(Minutes(30));
    record.judged_at = record.since;
    record.until = At(until);
    record.window = absl::Hours(1);
    record.counts = {.delivered = 1, .failed = 9};
    record.min_bad = 4;
    cases_->Put(manual ? CaseChange::kBlockedByPerson : CaseChange::kOpened, record.since, record);
    return record;
  }
  Json Ask(const char* verb, const std::string& subject, const std::string& source = "") {
    EXPECT_THAT(committer_->Commit(), IsOk());
    absl::StatusOr<Json> answer =
        api_->Handle(verb, {{"subject", subject}, {"source", source}}, {.uid = 0});
    EXPECT_THAT(answer, IsOk()) << verb << " " << subject;
    return answer.value_or(Json::object());
  }

  const std::unique_ptr<LedgerReader> reader_ = store_->NewReader();
  Freshness freshness_{kMorning};
  Json held_ = Json::array();
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<AdminApi> api_;
};

// Whatever the state, `why` says of a subject what `check` says, and names what stops it.
TEST(Stops, CheckAndWhyNeverDisagree) {
  for (unsigned seed = 0; seed < 150; ++seed) {
    std::mt19937 random(seed);
    const auto one_in = [&](unsigned n) { return random() % n == 0; };
    const auto any = [&] { return kSubjects[random() % kSubjects.size()]; };
    World world(absl::StrCat(
        one_in(5) ? "mode = \"shadow\"\n" : "", "[rule.r]\nmin_bad = 4\npercent = 50\n",
        one_in(3) ? "[rule.l]\nkind = \"login\"\nmin_bad = 2\npercent = 50\n" : "",
        one_in(4) ? "[exempt]\ndomains = [\"a.example\"]\n" : ""));
    ChargeLists lists;
    lists.host = "vm";
    if (one_in(2)) lists.hosted.push_back(*DomainPattern::Parse("b.example"));
    if (one_in(2)) lists.users["shop"] = "a.example";
    if (one_in(2)) lists.logins["map"] = "b.example";
    world.Use(lists);
    for (unsigned i = random() % 12; i > 0; --i) {
      world.Feed(one_in(2) ? "a.example" : "b.example", Minutes(1 + random() % 59),
                 one_in(4) ? Outcome::kDelivered : Outcome::kFailed);
    }
    for (unsigned i = random() % 5; i > 0; --i) {
      // Some are over by the clock, and not yet closed.
      world.Put(any(), Minutes(one_in(3) ? 50 : 90), one_in(3), one_in(3));
    }
    if (one_in(4)) world.freshness_.Set({"log away"}, world.clock_.Now());
    for (const std::string& subject : kSubjects) {
      SCOPED_TRACE(absl::StrCat("seed ", seed, ", ", subject));
      const Json why = world.Ask("why", subject);
      const std::string page = WhyPage(why, /*all=*/true);
      bool stopped = false;
      for (const char* source : {"submission", "local", "queued", "relay"}) {
        const Json check = world.Ask("check", subject, source);
        EXPECT_EQ(check["verdict"], why["answers"][source]) << source;
        if (check["verdict"] == "pass") continue;
        stopped = true;
        const std::string by = check["case"]["subject"];
        EXPECT_THAT(page, HasSubstr("deferctl unblock " + by));
        const auto named = [&](const Json& one) { return one["id"] == check["case"]["id"]; };
        EXPECT_TRUE(std::any_of(why["stopped_by"].begin(), why["stopped_by"].end(), named));
      }
      EXPECT_EQ(why["state"] != "ok", stopped);
      EXPECT_EQ(page.find("deferctl unblock") != std::string::npos, stopped) << page;
      EXPECT_THAT(page, Not(HasSubstr("\n\n\n")));
    }
  }
}

constexpr char kStopsPolicy[] = "[rule.r]\nmin_bad = 4\npercent = 50\n";

TEST(Stops, ADomainsPageNamesItsLoginsThatAreBlocked) {
  World world(kStopsPolicy);
  world.Feed("a.example", Minutes(50), Outcome::kDelivered);
  world.Put("login:bob@a.example", Minutes(90), false, false);
  world.Put("login:eve@a.example", Minutes(90), false, true);
  world.Put("login:ann@b.example", Minutes(90), false, false);
  const Json why = world.Ask("why", "a.example");
  EXPECT_EQ(why["state"], "ok");
  EXPECT_EQ(why["parts"].size(), 2u);
  const std::string page = WhyPage(why, /*all=*/true);
  EXPECT_THAT(page, HasSubstr("BLOCKED:   login:bob@a.example until 2026-11-22 09:30:00 UTC"));
  EXPECT_THAT(page, HasSubstr("IN SHADOW: login:eve@a.example would be blocked"));
  EXPECT_THAT(page, Not(HasSubstr("b.example")));
  EXPECT_EQ(world.Ask("check", "a.example")["parts"], Json::array({"login:bob@a.example"}));
}

// What a blocked login did is no more the domain's, in each number of the page.
TEST(Stops, WhatABlockedLoginDidIsLeftOutOfItsDomainsNumbers) {
  World world(absl::StrCat("[rule.r]\nmin_bad = 20\npercent = 50\n",
                           "[rule.l]\nkind = \"login\"\nmin_bad = 3\npercent = 50\n"));
  for (int i = 0; i < 5; ++i) world.Feed("a.example", Minutes(10 + i), Outcome::kFailed);  // bob
  Attempt other = World::MakeAttempt("a.example", At(Minutes(20)), Outcome::kFailed);
  other.identity.login = other.identity.sender = "ann@a.example";
  world.Feed(other);
  const auto expect = [&](int64_t failed, int64_t apart) {
    const Json why = world.Ask("why", "a.example");
    EXPECT_EQ(why["window"]["failed"], failed);
    int64_t caused = 0, left_out = 0;
    for (const Json& one : why["causes"]["senders"]) caused += one["bad"].get<int64_t>();
    for (const Json& one : why["left_out"]["reasons"]) {
      if (one["reason"] == "counted apart") left_out += one["failed"].get<int64_t>();
    }
    EXPECT_EQ(caused, failed);
    EXPECT_EQ(left_out, apart);
  };
  expect(1, 5);
  ASSERT_THAT(
      world.committer_->Unblock({SubjectKind::kLogin, "bob@a.example"}, "root", "").status(),
      IsOk());
  world.Feed("a.example", Minutes(62), Outcome::kFailed);
  world.clock_.Advance(Minutes(3));
  expect(2, 5);
}

TEST(Stops, ALoginsPageNamesItsDomainsBlock) {
  World world(kStopsPolicy);
  world.Put("a.example", Minutes(90), true, false);
  const std::string page = WhyPage(world.Ask("why", "login:bob@a.example"), /*all=*/true);
  EXPECT_THAT(page, HasSubstr("login:bob@a.example CANNOT SEND"));
  EXPECT_THAT(page, HasSubstr("Stopped by the block of a.example"));
  EXPECT_THAT(page, HasSubstr("never seen itself"));
}

TEST(Stops, HeldMailAndWhomItWaitsFor) {
  World world(kStopsPolicy);
  world.held_ = {{{"subject", "login:bob@a.example"},
                  {"messages", 12},
                  {"overdue", 0},
                  {"blocked", false},
                  {"waits_for", "spam was among the answers"}},
                 {{"subject", "b.example"}, {"messages", 3}, {"blocked", true}}};
  const std::string page = WhyPage(world.Ask("why", "a.example"), /*all=*/true);
  EXPECT_THAT(page, HasSubstr("12 messages of login:bob@a.example, WAITS FOR A PERSON: spam"));
  EXPECT_THAT(page, Not(HasSubstr("b.example")));
  EXPECT_THAT(WhyPage(world.Ask("why", "b.example"), /*all=*/true),
              HasSubstr("3 messages of b.example"));
}

TEST(Stops, WhatKeepsADomainFromBeingBlockedIsSaidAndNothingIsForecast) {
  World world(absl::StrCat(kStopsPolicy, "[exempt]\ndomains = [\"a.example\"]\n"));
  ChargeLists lists;
  lists.hosted.push_back(*DomainPattern::Parse("a.example"));
  world.Use(lists);
  for (const char* domain : {"a.example", "b.example"}) {
    for (int i = 0; i < 3; ++i) world.Feed(domain, Minutes(55), Outcome::kFailed);
  }
  EXPECT_THAT(WhyPage(world.Ask("why", "a.example"), /*all=*/true), HasSubstr("EXEMPT:"));
  EXPECT_THAT(WhyPage(world.Ask("why", "b.example"), /*all=*/true), HasSubstr("NOT HOSTED:"));
  for (const char* domain : {"a.example", "b.example"}) {
    EXPECT_TRUE(world.Ask("why", domain)["rules"][0]["at_this_pace"].is_null()) << domain;
  }
}

}  // namespace
}  // namespace deferd
