#include "limiter/admin/admin_api.h"

#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

constexpr char kPolicy[] = "[rule.r]\nmin_bad = 3\npercent = 50\n";

class AdminApiTest : public testing::Test, public LimiterFixture {
 protected:
  AdminApiTest()
      : LimiterFixture(kPolicy, At(absl::Minutes(2))),
        gate_(cases_.get(), &freshness_, &clock_, limiter_->settings()),
        api_({.limiter = limiter_.get(),
              .committer = committer_.get(),
              .cases = cases_.get(),
              .gate = &gate_,
              .freshness = &freshness_,
              .clock = &clock_,
              .status =
                  [] {
                    return Json{{"version", "1"}};
                  },
              .policy =
                  [] {
                    return Json{{"toml", "x"}};
                  },
              .reload = [this](bool force) { return force ? absl::OkStatus() : reload_; },
              .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
              .save =
                  [this] {
                    absl::Status saved = committer_->Commit(/*durable=*/true);
                    return save_.ok() ? saved : save_;
                  },
              .receipt = [this](const Case& record) { return committer_->ReceiptOf(record); },
              .ledger = reader_.get(),
              .record =
                  [this](const EventBatch& batch) {
                    committer_->Record(batch);
                    return committer_->Commit(/*durable=*/true);
                  },
              .cases_known = [this] { return cases_known_; }}) {
    freshness_.Set({}, clock_.Now());
  }

  absl::StatusOr<Json> Ask(const std::string& verb, const Json& args = Json::object()) {
    return api_.Handle(verb, args, {.uid = 0});
  }
  void BlockByRule() { FeedMany(3, "a.example", absl::Minutes(1), Outcome::kFailed); }

  const std::unique_ptr<LedgerReader> reader_ = store_->NewReader();
  Freshness freshness_{kMorning};
  Gate gate_;
  absl::Status reload_;
  absl::Status save_;
  bool cases_known_ = true;
  AdminApi api_;
};

TEST_F(AdminApiTest, TheReadersSocketShowsAndChangesNothing) {
  BlockByRule();
  int changing = 0;
  for (const AdminApi::VerbInfo& verb : AdminApi::Verbs()) {
    Json args = {{"subject", "a.example"}, {"for", "1h"}, {"reason", "x"}, {"records", {}}};
    if (!verb.action.empty()) args["do"] = std::string(verb.action);
    const absl::Status status =
        api_.Handle(std::string(verb.name), args, {.uid = 7}, AdminAccess::kReaders).status();
    const bool changes = verb.role == VerbRole::kChanges;
    changing += changes ? 1 : 0;
    EXPECT_EQ(absl::IsPermissionDenied(status), changes) << verb.name << " " << verb.action;
    EXPECT_EQ(absl::StrContains(status.message(), "[admin] readers) only shows"), changes);
  }
  EXPECT_GE(changing, 5) << "block, unblock, reload, record, queue";
  EXPECT_TRUE(cases_->FindOpen(*Subject::Parse("a.example"), /*shadow=*/false).has_value());
  // Whatever else is said to a verb that has both kinds of calls changes something.
  for (const Json& action : {Json("release"), Json("LIST"), Json("list "), Json(7), Json(nullptr),
                             Json::array({"list"}), Json("")}) {
    EXPECT_THAT(api_.Handle("queue", {{"do", action}}, {.uid = 7}, AdminAccess::kReaders),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("queue:")))
        << action;
  }
  EXPECT_THAT(api_.Handle("format", Json::object(), {.uid = 7}, AdminAccess::kReaders),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not known")));
}

TEST_F(AdminApiTest, EveryCallHasOneRole) {
  std::map<std::pair<std::string, std::string>, int> rows;
  std::map<std::string, int> whole;
  for (const AdminApi::VerbInfo& verb : AdminApi::Verbs()) {
    EXPECT_EQ((++rows[{std::string(verb.name), std::string(verb.action)}]), 1) << verb.name;
    EXPECT_EQ(whole[std::string(verb.name)], 0) << verb.name << ": a row behind the one for any";
    whole[std::string(verb.name)] += verb.action.empty() ? 1 : 0;
  }
  for (const auto& [name, any] : whole) EXPECT_EQ(any, 1) << name << " has calls without a role";
}

TEST_F(AdminApiTest, CheckReturnsTheAnswerThatAnMtaWouldGet) {
  BlockByRule();
  absl::StatusOr<Json> check = Ask("check", {{"subject", "A.Example."}});
  ASSERT_THAT(check, IsOk());
  EXPECT_EQ((*check)["subject"], "a.example");
  EXPECT_EQ((*check)["verdict"], "reject");
  EXPECT_THAT((*check)["text"].get<std::string>(), HasSubstr("try again after 09:01 UTC."));
  EXPECT_EQ((*check)["unchecked"], false);
  EXPECT_EQ((*check)["age_seconds"], 0);
  check = Ask("check", {{"subject", "a.example"}, {"source", "queued"}});
  EXPECT_EQ((*check)["verdict"], "hold");
}

TEST_F(AdminApiTest, ABlockOfANameThatNobodySendsAsIsRefused) {
  for (const char* name : {"com", "co.uk", "web1"}) {
    EXPECT_FALSE(Ask("block", {{"subject", name}, {"for", "1h"}, {"reason", "x"}}).ok()) << name;
  }
  EXPECT_THAT(Ask("block", {{"subject", "net"}, {"for", "1h"}, {"reason", "x"}}).status().message(),
              HasSubstr("public suffix"));
  EXPECT_THAT(
      Ask("block", {{"subject", "b.example"}, {"for", "1h"}, {"reason", " "}}).status().message(),
      HasSubstr("--reason"));
  // What was seen may be blocked, whatever its name.
  FeedMany(1, "localhost", absl::Minutes(1), Outcome::kFailed);
  EXPECT_THAT(Ask("block", {{"subject", "localhost"}, {"for", "1h"}, {"reason", "x"}}), IsOk());
}

TEST_F(AdminApiTest, AnExemptionIsSaidWithReasonAuthorAndEnd) {
  BlockByRule();
  absl::StatusOr<Json> added =
      Ask("exempt",
          {{"do", "add"}, {"subject", "A.example"}, {"for", "30d"}, {"reason", "paying customer"}});
  ASSERT_THAT(added, IsOk());
  EXPECT_EQ((*added)["by"], "root");
  EXPECT_EQ((*added)["until"], "2026-12-22T08:02:00Z");
  EXPECT_TRUE((*added)["not_saved"].is_null());
  const Json check = *Ask("check", {{"subject", "a.example"}});
  EXPECT_EQ(check["verdict"], "pass");
  EXPECT_EQ(check["exemption"]["reason"], "paying customer");
  const Json why = *Ask("why", {{"subject", "login:bob@a.example"}});
  EXPECT_EQ(why["exempt"], true);
  EXPECT_EQ(why["exemption"]["subject"], "a.example");
  EXPECT_EQ(why["state"], "ok");
  EXPECT_EQ((*Ask("why", {{"subject", "a.example"}}))["events"][0]["change"], "exempted");
  EXPECT_EQ((*Ask("blocks"))[0]["state"], "exempt");
  EXPECT_EQ((*Ask("exempt", {{"do", "list"}}))[0]["subject"], "a.example");
  EXPECT_THAT(Ask("exempt", {{"do", "remove"}, {"subject", "a.example"}}), IsOk());
  EXPECT_EQ(*Ask("exempt", {{"do", "list"}}), Json::array());
  EXPECT_FALSE(Ask("exempt", {{"do", "remove"}, {"subject", "a.example"}}).ok());
}

TEST_F(AdminApiTest, WhatCannotBeExemptedIsSaid) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"<>", "envelope sender"},        {"<postmaster@a.example>", "envelope sender"},
      {"*.com", "public suffix"},       {"login:*@a.example", "*.example.com"},
      {"tag:news", "has no [tag.news"}, {"", ""}};
  for (const auto& [who, why] : kWrong) {
    EXPECT_THAT(
        Ask("exempt", {{"do", "add"}, {"subject", who}, {"reason", "x"}}).status().message(),
        HasSubstr(why))
        << who;
  }
  EXPECT_FALSE(Ask("exempt", {{"do", "add"}, {"subject", "a.example"}}).ok()) << "no reason";
  EXPECT_FALSE(Ask("exempt", {{"do", "add"},
                              {"subject", "a.example"},
                              {"reason", "x"},
                              {"until", "2020-01-01T00:00:00Z"}})
                   .ok());
}

TEST_F(AdminApiTest, TheShadowReportSaysWhoWhenWhyAndWhatTheySentAndKeepsVerdicts) {
  Settings settings = settings_;
  settings.policy = ParsedPolicy("mode = \"shadow\"\n" + std::string(kPolicy));
  committer_->SetSettings(settings);
  BlockByRule();
  FeedMany(3, "b.example", absl::Minutes(1), Outcome::kFailed);
  ASSERT_THAT(committer_->Commit(), IsOk());
  ASSERT_THAT(committer_->Commit(), IsOk());
  Json report = *Ask("shadow", {{"do", "report"}, {"since", "7d"}});
  ASSERT_EQ(report["cases"].size(), 2u);
  const Json& one = report["cases"][0];
  EXPECT_EQ(one["rule"], "r");
  EXPECT_EQ(one["since"], "2026-11-22T08:01:00Z");
  EXPECT_EQ(one["sent"]["attempts"], 3);
  EXPECT_EQ(one["sent"]["sample"][0]["recipient"], "r@x");
  EXPECT_TRUE(one["verdict"].is_null());
  EXPECT_TRUE(report["rules"][0]["right_percent"].is_null());
  EXPECT_THAT(Ask("shadow", {{"do", "right"}, {"case", "a.example"}}), IsOk());
  EXPECT_THAT(Ask("shadow", {{"do", "wrong"}, {"case", "b.example"}}), IsOk());
  EXPECT_FALSE(Ask("shadow", {{"do", "wrong"}, {"case", "c.example"}}).ok());
  report = *Ask("shadow", {{"do", "report"}, {"since", "7d"}});
  EXPECT_EQ(report["rules"][0]["right"], 1);
  EXPECT_EQ(report["rules"][0]["wrong"], 1);
  EXPECT_EQ(report["rules"][0]["right_percent"], 50);
  // After a restart they are there again; a later word takes the place of an earlier one.
  Start();
  api_.RestoreMarks(committer_->remembered());
  EXPECT_EQ(committer_->remembered().size(), 2u);
  clock_.Advance(absl::Hours(24 * 8));
  EXPECT_EQ(ShadowReportJson(
                *cases_, [](const Case&) { return std::nullopt; }, {}, clock_.Now())["cases"]
                .size(),
            2u)
      << "what is still open";
}

TEST(ShadowMarks, AreANumber) {
  for (const bool right : {true, false}) {
    const ShadowMark mark = MarkOf(NumberOf({right, kMorning}));
    EXPECT_EQ(mark.right, right);
    EXPECT_EQ(mark.at, kMorning);
  }
}

TEST_F(AdminApiTest, ABlockMayHaveNoEndAndMeanAllNamesBelowADomain) {
  const absl::StatusOr<Json> block =
      Ask("block", {{"subject", "*.A.example"}, {"for", "ever"}, {"reason", "abuse"}});
  ASSERT_THAT(block, IsOk());
  EXPECT_EQ((*block)["permanent"], true);
  const Json check = *Ask("check", {{"subject", "x.a.example"}});
  EXPECT_EQ(check["verdict"], "reject");
  EXPECT_EQ(check["text"],
            "Mail of *.a.example was stopped by the administrator. Message rejected.");
  EXPECT_EQ((*Ask("check", {{"subject", "a.example"}}))["verdict"], "pass");
  EXPECT_FALSE(Ask("block", {{"subject", "*.co.uk"}, {"for", "1h"}, {"reason", "x"}}).ok());
  EXPECT_FALSE(
      Ask("block", {{"subject", "login:*@a.example"}, {"for", "1h"}, {"reason", "x"}}).ok());
}

TEST_F(AdminApiTest, WhySaysThatASubjectWasNeverSeenAndWhatIsNear) {
  FeedMany(1, "a.example", absl::Minutes(1), Outcome::kFailed);
  absl::StatusOr<Json> why = Ask("why", {{"subject", "a.exampel"}});
  ASSERT_THAT(why, IsOk());
  EXPECT_EQ((*why)["seen"], false);
  EXPECT_EQ((*why)["near"], Json::array({"a.example"}));
  EXPECT_EQ((*Ask("why", {{"subject", "a.example"}}))["seen"], true);
  EXPECT_EQ((*Ask("why", {{"subject", "elsewhere.example"}}))["near"], Json::array());
  // An address is a login's name.
  EXPECT_EQ((*Ask("why", {{"subject", "bob@b.example"}}))["subject"], "login:bob@b.example");
}

TEST_F(AdminApiTest, AnUncheckedPassTellsCauseAndAge) {
  freshness_.Set({"log away"}, clock_.Now());
  clock_.Advance(absl::Seconds(90));
  absl::StatusOr<Json> check = Ask("check", {{"subject", "a.example"}});
  EXPECT_EQ((*check)["unchecked"], true);
  EXPECT_EQ((*check)["causes"], Json::array({"log away"}));
  EXPECT_EQ((*check)["age_seconds"], 90);
}

TEST_F(AdminApiTest, AnUnblockCanBeOfOneCaseAlone) {
  BlockByRule();
  const std::string id = (*Ask("why", {{"subject", "a.example"}}))["case"]["id"];
  ASSERT_THAT(Ask("block", {{"subject", "a.example"}, {"for", "1h"}, {"reason", "unpaid"}}),
              IsOk());
  EXPECT_THAT(Ask("unblock", {{"subject", "a.example"}, {"case", id}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("does not block it any more")));
  const std::optional<Case> open = OpenCase("a.example");
  ASSERT_TRUE(open.has_value()) << "what a person did meanwhile stays";
  EXPECT_THAT(Ask("unblock", {{"subject", "a.example"}, {"case", open->id}}), IsOk());
  EXPECT_FALSE(OpenCase("a.example").has_value());
}

TEST_F(AdminApiTest, WhereASubjectMayBeGivenTheIdOfItsCaseMayBe) {
  BlockByRule();
  ASSERT_THAT(committer_->Commit(true), IsOk());
  const std::string id = OpenCase("a.example")->id;
  for (const char* verb : {"check", "why", "stats", "history", "track"}) {
    absl::StatusOr<Json> by_id = Ask(verb, {{"subject", absl::StrCat(id, ".")}});
    absl::StatusOr<Json> by_name = Ask(verb, {{"subject", "a.example"}});
    ASSERT_THAT(by_id, IsOk()) << verb;
    if (verb == std::string("why")) by_name->at("named_case") = by_name->at("case");
    EXPECT_EQ(*by_id, *by_name) << verb;
  }
  for (const char* key : {"what", "domain"}) {
    EXPECT_EQ(Ask("track", {{key, id}})->size(), 3u) << key;
  }
  EXPECT_EQ((*Ask("case", {{"id", id}}))["subject"], "a.example");
  // It ends the case that is named, and no later one.
  ASSERT_THAT(Ask("unblock", {{"subject", id}}), IsOk());
  ASSERT_THAT(Ask("block", {{"subject", id}, {"for", "1h"}, {"reason", "unpaid"}}), IsOk());
  const std::string newer = OpenCase("a.example")->id;
  EXPECT_THAT(Ask("unblock", {{"subject", id}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("now case " + newer + " does")));
  EXPECT_THAT(Ask("unblock", {{"subject", newer}}), IsOk());
}

TEST_F(AdminApiTest, ATrialEndsByTheIdOfItsCase) {
  Settings settings = settings_;
  settings.policy = ParsedPolicy("mode = \"shadow\"\n" + std::string(kPolicy));
  committer_->SetSettings(settings);
  BlockByRule();
  const std::optional<Case> trial = OpenCase("a.example", /*shadow=*/true);
  ASSERT_TRUE(trial.has_value());
  EXPECT_THAT(Ask("unblock", {{"subject", trial->id}}), IsOk());
}

TEST_F(AdminApiTest, AnIdThatIsNoCasesIsNoSubject) {
  for (const char* verb : {"why", "check", "block", "unblock", "track", "stats", "history"}) {
    EXPECT_THAT(Ask(verb, {{"subject", "0badcafe-1-99"}, {"for", "1h"}, {"reason", "x"}}),
                StatusIs(absl::StatusCode::kNotFound,
                         testing::StartsWith("no such case: 0badcafe-1-99; compare the id")))
        << verb;
  }
  EXPECT_THAT(Ask("exempt", {{"do", "add"}, {"subject", "0badcafe-1-99"}, {"reason", "x"}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no such case")));
}

TEST_F(AdminApiTest, WhyHasCountsRulesCaseAndRecord) {
  BlockByRule();
  absl::StatusOr<Json> why = Ask("why", {{"subject", "a.example"}});
  ASSERT_THAT(why, IsOk());
  EXPECT_EQ((*why)["state"], "blocked");
  EXPECT_EQ((*why)["window"]["bad"], 3);
  EXPECT_EQ((*why)["window"]["percent"], 100);
  EXPECT_TRUE((*why)["window"]["left_out"].is_object());
  EXPECT_EQ((*why)["rules"][0]["name"], "r");
  EXPECT_EQ((*why)["rules"][0]["tripped"], true);
  EXPECT_EQ((*why)["case"]["receipt"]["window_end"], "2026-11-22T08:01:00Z");
  EXPECT_EQ((*why)["events"][0]["change"], "opened");
  const std::string id = (*why)["case"]["id"];
  why = Ask("why", {{"subject", id}});
  ASSERT_THAT(why, IsOk());
  EXPECT_EQ((*why)["subject"], "a.example") << "a refusal may name its case alone";
  why = Ask("why", {{"subject", "b.example"}});
  EXPECT_EQ((*why)["state"], "ok");
  EXPECT_TRUE((*why)["case"].is_null());
}

TEST_F(AdminApiTest, BlockAndUnblockRecordWhoAndWhy) {
  absl::StatusOr<Json> block =
      Ask("block", {{"subject", "login:bob@b.example"}, {"for", "2h"}, {"reason", "abuse"}});
  ASSERT_THAT(block, IsOk());
  EXPECT_EQ((*block)["by"], "root");
  EXPECT_EQ((*block)["until"], "2026-11-22T10:02:00Z");
  EXPECT_TRUE((*block)["rule"].is_null());
  ASSERT_THAT(Ask("unblock", {{"subject", "login:bob@b.example"}, {"reason", "settled"}}), IsOk());
  absl::StatusOr<Json> why = Ask("why", {{"subject", "login:bob@b.example"}});
  EXPECT_EQ((*why)["events"][0]["by"], "root");
  EXPECT_EQ((*why)["events"][0]["reason"], "settled");
  EXPECT_EQ(Ask("blocks")->size(), 0u);
  EXPECT_EQ(Ask("blocks", {{"all", true}})->size(), 1u);
}

TEST_F(AdminApiTest, BadArgumentsAreSaid) {
  const struct {
    const char* verb;
    Json args;
    const char* error;
  } kCases[] = {
      {"check", Json::object(), ""},
      {"check", {{"subject", 7}}, "subject: expected a string"},
      {"check", {{"subject", "no domain"}}, ""},
      {"check", {{"subject", "a.example"}, {"source", "moon"}}, ""},
      {"block", {{"subject", "a.example"}, {"for", "soon"}}, ""},
      {"block", {{"subject", "a.example"}, {"for", "9000d"}}, "at most 365 days"},
      {"block",
       {{"subject", "a.example"}, {"for", "1h"}, {"reason", std::string(501, 'x')}},
       "reason"},
      {"unblock", {{"subject", "a.example"}}, "a.example: no block to end"},
      {"top", {{"limit", -1}}, "limit"},
      {"top", {{"limit", "all"}}, "limit"},
      {"dance", Json::object(), "verb 'dance' is not known"},
  };
  for (const auto& c : kCases) {
    absl::StatusOr<Json> result = Ask(c.verb, c.args);
    EXPECT_FALSE(result.ok()) << c.verb << " " << Dump(c.args);
    EXPECT_THAT(std::string(result.status().message()), HasSubstr(c.error));
  }
}

// A script that gives an order until it is done takes this for "done".
TEST_F(AdminApiTest, NothingToEndIsSaidOnlyIfNothingCanBringItBack) {
  const struct {
    const char* verb;
    Json args;
    const char* error;
  } kOrders[] = {
      {"unblock", {{"subject", "c.example"}}, "c.example: no block to end"},
      {"exempt", {{"do", "remove"}, {"subject", "c.example"}}, "no person's exemption"},
  };
  for (const auto& order : kOrders) {
    save_ = absl::UnavailableError("the disk is full");
    EXPECT_THAT(Ask(order.verb, order.args),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("a restart may bring back")));
    save_ = absl::OkStatus();
    cases_known_ = false;
    EXPECT_THAT(Ask(order.verb, order.args),
                StatusIs(absl::StatusCode::kUnavailable, HasSubstr("other nodes have decided")));
    cases_known_ = true;
    EXPECT_THAT(Ask(order.verb, order.args),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(order.error)));
  }
}

TEST_F(AdminApiTest, AFailedReloadIsAnError) {
  EXPECT_THAT(Ask("reload"), IsOk());
  reload_ = absl::InvalidArgumentError("policy.toml:3:1: no");
  EXPECT_THAT(Ask("reload"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("policy.toml:3")));
}

TEST_F(AdminApiTest, RecordsAllOrNone) {
  const Json good = {
      {"id", "1"}, {"login", "bob@b.example"}, {"recipient", "x@y"}, {"outcome", "failed"}};
  EXPECT_EQ(Ask("record", {{"records", {good, good}}})->at("recorded"), 2);
  EXPECT_EQ(CountsNow("b.example").failed, 1);
  Json bad = good;
  bad["outcome"] = "lost";
  bad["id"] = "2";
  EXPECT_THAT(Ask("record", {{"records", {good, bad}}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("record 1: outcome")));
  EXPECT_EQ(CountsNow("b.example").failed, 1);
}

TEST_F(AdminApiTest, TopIsLimited) {
  FeedMany(1, "b.example", absl::Minutes(1), Outcome::kFailed);
  FeedMany(2, "c.example", absl::Minutes(1), Outcome::kFailed);
  EXPECT_EQ(Ask("top", {{"limit", 1}})->size(), 1u);
  EXPECT_EQ((*Ask("top", {{"limit", 0}}))[0]["subject"], "c.example");
}

TEST_F(AdminApiTest, ForgetRemovesMessagesAndKeepsCounts) {
  BlockByRule();
  ASSERT_THAT(committer_->Commit(), IsOk());
  const Json before = *Ask("why", {{"subject", "a.example"}});
  ASSERT_EQ(before["case"]["receipt"]["attempts"].size(), 3u);

  absl::StatusOr<Json> forgotten = Ask("forget", {{"what", "A.example"}, {"dry_run", true}});
  ASSERT_THAT(forgotten, IsOk());
  EXPECT_EQ((*forgotten)["attempts"], 3);
  EXPECT_EQ((*forgotten)["receipts"], 1);
  EXPECT_EQ(Ask("track", {{"what", "a.example"}})->size(), 3u) << "only counted";

  forgotten = Ask("forget", {{"what", "A.example"}});
  ASSERT_THAT(forgotten, IsOk());
  EXPECT_EQ((*forgotten)["what"], "a.example");
  EXPECT_EQ((*forgotten)["done"], true);
  EXPECT_EQ((*forgotten)["attempts"], 3);
  EXPECT_EQ((*forgotten)["receipt_attempts"], 3);
  EXPECT_EQ((*forgotten)["kept_cases"], 1);
  EXPECT_EQ(Ask("track", {{"what", "a.example"}})->size(), 0u);
  const Json after = *Ask("why", {{"subject", "a.example"}});
  EXPECT_EQ(after["case"]["receipt"]["attempts"].size(), 0u);
  EXPECT_EQ(after["case"]["receipt"]["counts"], before["case"]["receipt"]["counts"]);
  EXPECT_EQ(after["window"], before["window"]);
  EXPECT_EQ((*Ask("check", {{"subject", "a.example"}}))["verdict"], "reject");
  // What was removed on request is no sign of a forged ledger.
  EXPECT_EQ((*Ask("why", {{"subject", "a.example"}, {"verify", true}}))["finding"], "incomplete");
}

TEST_F(AdminApiTest, ForgetTakesASubjectOrAnAddress) {
  for (const Json& what : {Json(""), Json("not a subject"), Json(5), Json("login:")}) {
    EXPECT_THAT(Ask("forget", {{"what", what}}),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << what;
  }
  EXPECT_THAT(Ask("forget"), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_EQ((*Ask("forget", {{"what", " Bob@Nowhere.example "}}))["what"], "bob@nowhere.example");
}

}  // namespace
}  // namespace deferd
