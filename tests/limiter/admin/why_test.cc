#include "limiter/admin/why.h"
#include "limiter/ctl/stats_page.h"
#include "limiter/ctl/track_page.h"
#include "limiter/ctl/why_page.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "limiter/admin/history.h"
#include "limiter/admin/stats.h"
#include "limiter/admin/track.h"
#include "limiter/ctl/page_text.h"
#include "policy/forecast.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Minutes;
using testing::HasSubstr;
using testing::Not;

constexpr char kWhyPolicy[] = "[rule.r]\nmin_bad = 4\npercent = 50\n";

class WhyTest : public testing::Test, public LimiterFixture {
 protected:
  WhyTest() : LimiterFixture(kWhyPolicy, At(Minutes(30))) {}

  void Send(absl::Duration at, Outcome outcome, const std::string& reply,
            const std::string& login = "shop@a.example", const std::string& message = "",
            const std::string& recipient = "ann@far.example") {
    Attempt attempt = MakeAttempt("a.example", At(at), outcome, message, recipient);
    attempt.identity.login = login;
    attempt.identity.sender = login;
    attempt.reply = reply;
    attempt.host = "mx.far.example";
    Feed(attempt);
  }
  void Queue(absl::Duration at, const std::string& message) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kArrived;
    event->attempt = MakeAttempt("a.example", At(at), Outcome::kQueued, message, "");
    committer_->Record(batch);
  }
  void Show(absl::Duration at, Outcome outcome, const std::string& words,
            const std::string& message) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kShown;
    event->attempt = MakeAttempt("a.example", At(at), outcome, message, "");
    event->attempt.reply = words;
    committer_->Record(batch);
  }
  WhyParts Parts() {
    return {.limiter = limiter_.get(),
            .cases = cases_.get(),
            .search = Search(),
            .receipt = [this](const Case& record) { return committer_->ReceiptOf(record); },
            .gate = &gate_};
  }
  // Counts the rows that are fetched.
  WhyParts CountingParts(size_t* fetched) {
    WhyParts parts = Parts();
    parts.search = [this, fetched](const LedgerQuery& query) {
      absl::StatusOr<LedgerPage> page = ledger_reader_->Search(query);
      if (page.ok()) *fetched += page->rows.size();
      return page;
    };
    return parts;
  }
  LedgerSearch Search() {
    return [this](const LedgerQuery& query) { return ledger_reader_->Search(query); };
  }
  Json Why() {
    EXPECT_THAT(committer_->Commit(), IsOk());
    return WhyJson(Parts(), {SubjectKind::kDomain, "a.example"}, clock_.Now());
  }
  Json Tracked(const Json& args) {
    EXPECT_THAT(committer_->Commit(), IsOk());
    absl::StatusOr<Json> rows = Track(Search(), args, clock_.Now());
    EXPECT_THAT(rows, IsOk());
    return rows.value_or(Json::array());
  }

  const std::unique_ptr<LedgerReader> ledger_reader_ = store_->NewReader();
  const Freshness freshness_{kMorning};
  const Gate gate_{cases_.get(), &freshness_, &clock_, settings_};
};

void ExpectFitsATerminal(const std::string& page) {
  for (absl::string_view line : absl::StrSplit(page, '\n')) EXPECT_LE(Columns(line), 80u) << line;
}

constexpr char kUnknown[] = "550 5.1.1 <ann@far.example>: No such user here";
constexpr char kGrey[] = "451 4.7.1 Greylisted, please try again in 300 seconds";

// A login that no rule judges has no window; its numbers are the ledger's all the same.
TEST_F(WhyTest, ALoginThatNoRuleJudgesHasNumbers) {
  Send(Minutes(1), Outcome::kDelivered, "250 ok");
  Send(Minutes(2), Outcome::kFailed, kUnknown);
  Send(Minutes(3), Outcome::kDeferred, kGrey);
  Send(Minutes(4), Outcome::kFailed, kUnknown, "web@a.example");
  EXPECT_THAT(committer_->Commit(), IsOk());
  const Json why = WhyJson(Parts(), {SubjectKind::kLogin, "shop@a.example"}, clock_.Now());
  EXPECT_EQ(why["rules"].size(), 0u);
  EXPECT_EQ(why["window"]["delivered"], 1);
  EXPECT_EQ(why["window"]["deferred"], 0) << "greylisting is left out";
  EXPECT_EQ(why["window"]["failed"], 1);
  EXPECT_EQ(why["window"]["percent"], 50);
}

TEST_F(WhyTest, NamesCauseMeaningAndRemedy) {
  Send(Minutes(1), Outcome::kDelivered, "250 ok");
  for (int i = 2; i < 5; ++i) Send(Minutes(i), Outcome::kFailed, kUnknown);
  Send(Minutes(5), Outcome::kDeferred, kGrey);
  Send(Minutes(6), Outcome::kFailed, kUnknown, "web@a.example");
  const Json why = Why();
  EXPECT_EQ(why["state"], "blocked");
  EXPECT_EQ(why["causes"]["senders"][0]["name"], "shop@a.example");
  EXPECT_EQ(why["causes"]["senders"][0]["bad"], 3);
  EXPECT_EQ(why["causes"]["logins"][1]["name"], "web@a.example");
  EXPECT_EQ(why["causes"]["answers"][0]["class"], "invalid_recipient");
  EXPECT_EQ(why["causes"]["answers"][0]["count"], 4);
  EXPECT_EQ(why["causes"]["answers"][1]["class"], "greylisting");
  EXPECT_EQ(why["causes"]["answers"][1]["left_out"], 1);
  EXPECT_EQ(why["window"]["left_out"]["greylisting"], 1);
  const Json& receipt = why["case"]["receipt"];
  EXPECT_EQ(receipt["rule"]["min_bad"], 4);
  EXPECT_EQ(receipt["share"], "4 bad of 5 (80%)");
  EXPECT_EQ(receipt["window_begin"], "2026-11-22T07:07:00Z");
  EXPECT_EQ(receipt["attempts"].size(), 4u);

  ShowTimesIn(absl::UTCTimeZone(), At(Minutes(30)));
  WhyParts with_queue = Parts();
  with_queue.queue = [] { return Json{{"held", Json::array()}, {"problem", nullptr}}; };
  const Json seen = WhyJson(with_queue, Subject::Parse("a.example").value(), At(Minutes(30)));
  EXPECT_THAT(WhyPage(seen, /*all=*/false),
              HasSubstr("WAITS  nothing is held: new mail is rejected, and its sender sees why\n"));
  const std::string page = WhyPage(why, /*all=*/true);
  EXPECT_EQ(page,
            "✖ a.example CANNOT SEND   since 08:06, until 09:06 (36 min)\n"
            "WHO    shop@a.example: 3 of 4 failed | web@a.example: 1 of 1 failed\n"
            "WHAT   ann@far.example does not exist (4 times) · +1 more\n"
            "FAULT  one or two mistyped or old addresses, nothing worse\n"
            "DO     1 correct the address, or stop mailing it   2 deferctl unblock a.example\n"
            "WAITS  new mail is rejected; held mail is not known: no deferd-queue\n"
            "\n"
            "Blocked 2026-11-22 08:06:00 until 2026-11-22 09:06:00 UTC\n"
            "  rule r: 4 bad, 80% (limits 4, 50%)\n"
            "  counted then: 1 delivered, 0 deferred, 4 failed; 4 of 5 is 80%\n"
            "  counted from 2026-11-22 07:07:00 to 2026-11-22 08:06:00 UTC\n"
            "  an MTA gets: submission=reject local=hold queued=hold relay=hold\n"
            "  it ends by itself then, if what came since is better\n"
            "  to end it now: deferctl unblock a.example\n"
            "\n"
            "Now: 1 delivered, 0 deferred, 4 failed; 4 bad, 80%\n"
            "left out: 1 deferred, answers of a class that the policy leaves out: greylisting\n"
            "          1\n"
            "          deferctl stats counts these too, and the whole day\n"
            "  rule r  4 of 4 bad  80% of 50%  in 1h  REACHED\n"
            "\n"
            "Who caused how many of the bad ones\n"
            "  senders shop@a.example 3, web@a.example 1\n"
            "  logins  shop@a.example 3, web@a.example 1\n"
            "\n"
            "What the servers answered\n"
            "  4 invalid recipient: The address does not exist at the destination, or no\n"
            "  longer does.\n"
            "    who acts: the sender (a typo, or an old address in a list)\n"
            "    do:       Check the spelling. Remove the address from lists, forms and\n"
            "              forwarders. Do not send the message again unchanged.\n"
            "    such as:  550 5.1.1 <ann@far.example>: No such user here\n"
            "  1 greylisting: The server asks an unknown sender to try again shortly; nothing\n"
            "  is wrong. Left out.\n"
            "    who acts: nobody\n"
            "    do:       Wait: the queue tries again by itself, usually within 1 to 60\n"
            "              minutes. Do not send it again by hand. The recipient can permit\n"
            "              the sender.\n"
            "    such as:  451 4.7.1 Greylisted, please try again in 300 seconds\n"
            "\n"
            "The attempts that caused it (newest first)\n"
            "  2026-11-22 08:06:00  failed  ann@far.example\n"
            "      550 5.1.1 <ann@far.example>: No such user here\n"
            "  2026-11-22 08:04:00  failed  ann@far.example\n"
            "      550 5.1.1 <ann@far.example>: No such user here\n"
            "  2026-11-22 08:03:00  failed  ann@far.example\n"
            "      550 5.1.1 <ann@far.example>: No such user here\n"
            "  2026-11-22 08:02:00  failed  ann@far.example\n"
            "      550 5.1.1 <ann@far.example>: No such user here\n"
            "\n"
            "Record (UTC)\n"
            "  2026-11-22 08:06:00  opened  by rule r\n");
  ExpectFitsATerminal(page);
}

TEST_F(WhyTest, NotBlockedItSaysHowFarAndWhen) {
  for (int i = 26; i < 28; ++i) Send(Minutes(i), Outcome::kFailed, kUnknown);
  const Json why = Why();
  EXPECT_EQ(why["state"], "ok");
  EXPECT_EQ(why["rules"][0]["bad_missing"], 2);
  EXPECT_EQ(why["rules"][0]["at_this_pace"], "2026-11-22T08:45:00Z");
  EXPECT_EQ(why["causes"]["attempts"].size(), 2u);
  const std::string page = WhyPage(why, /*all=*/true);
  EXPECT_THAT(page, HasSubstr("rule r is reached at about 2026-11-22 08:45"));
  EXPECT_THAT(page, HasSubstr("The bad attempts that count (newest first)"));
}

TEST_F(WhyTest, AQuietSubjectReachesNothing) {
  Send(Minutes(29), Outcome::kDelivered, "250 ok");
  EXPECT_TRUE(Why()["rules"][0]["at_this_pace"].is_null());
}

TEST(WhenReached, ShareAndCountBothHaveToBe) {
  Rule rule;
  rule.min_bad = 10;
  rule.percent = 50;
  const absl::Duration quarter = Minutes(15);
  EXPECT_EQ(WhenReached(rule, {.failed = 5}, {.failed = 5}, quarter, kMorning),
            kMorning + Minutes(15));
  EXPECT_FALSE(WhenReached(rule, {.delivered = 90, .failed = 5}, {.delivered = 90, .failed = 5},
                           quarter, kMorning));
  EXPECT_FALSE(WhenReached(rule, {.failed = 9}, {}, quarter, kMorning));
}

TEST_F(WhyTest, ACaseThatEndedIsShownByItsId) {
  for (int i = 1; i < 6; ++i) Send(Minutes(i), Outcome::kFailed, "550 5.1.1 no such user");
  ASSERT_THAT(committer_->Commit(), IsOk());
  const std::optional<Case> opened = OpenCase("a.example");
  ASSERT_TRUE(opened.has_value());
  clock_.Advance(Minutes(10));
  ASSERT_THAT(committer_->Unblock({SubjectKind::kDomain, "a.example"}, "owner of a.example",
                                  "password changed"),
              IsOk());
  clock_.Advance(Minutes(1));
  const auto page = [&](bool all = false) {
    const std::optional<Case> named = cases_->FindById(opened->id);
    return WhyPage(WhyJson(Parts(), named->subject, clock_.Now(), named), all);
  };
  EXPECT_THAT(page(), HasSubstr("a.example CAN SEND"));
  EXPECT_THAT(page(), HasSubstr(absl::StrCat("CASE   ", opened->id,
                                             ": blocked from 08:04 to 08:40, ended\n"
                                             "ENDED  by owner of a.example: password changed\n"
                                             "CAUSE  rule r: 4 bad, 100% (limits 4, 50%)\n"
                                             "WHO    shop@a.example: 4 of 4 failed\n"
                                             "WHAT   ann@far.example does not exist (4 times)\n")));
  EXPECT_THAT(page(), HasSubstr(absl::StrCat("deferctl why ", opened->id, " --all")));
  EXPECT_THAT(page(/*all=*/true), HasSubstr("The attempts that caused it"));
  EXPECT_THAT(page(), Not(HasSubstr("NEWER")));

  const Case newer = committer_->Block({SubjectKind::kDomain, "a.example"}, absl::Hours(1), "root",
                                       "it began again");
  EXPECT_THAT(page(), HasSubstr("a.example CANNOT SEND"));
  EXPECT_THAT(page(), HasSubstr("ENDED  by owner of a.example: password changed\n"));
  EXPECT_THAT(page(), HasSubstr(absl::StrCat("NEWER  ", newer.id, " of 08:41 is open: ",
                                             "deferctl why ", newer.id, "\n")));
  EXPECT_THAT(page(), Not(HasSubstr("WHO    root"))) << "who caused the case that was asked for";
}

TEST_F(WhyTest, VerifyTakesTheCaseThatWasNamed) {
  for (int i = 1; i < 6; ++i) Send(Minutes(i), Outcome::kFailed, "550 5.1.1 no such user");
  ASSERT_THAT(committer_->Commit(), IsOk());
  const std::string first = OpenCase("a.example")->id;
  const Subject subject = {SubjectKind::kDomain, "a.example"};
  ASSERT_THAT(committer_->Unblock(subject, "root", ""), IsOk());
  committer_->Block(subject, absl::Hours(1), "root", "by hand");
  const std::optional<Case> by_hand = OpenCase("a.example");
  absl::StatusOr<Json> verified =
      VerifyJson(Parts(), ledger_reader_.get(), subject, cases_->FindById(first));
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ((*verified)["case"], first);
  EXPECT_THAT(VerifyJson(Parts(), ledger_reader_.get(), subject, by_hand),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing to verify")));
}

TEST_F(WhyTest, WithoutALedgerThePageSaysLess) {
  Send(Minutes(1), Outcome::kFailed, kUnknown);
  WhyParts parts = Parts();
  parts.search = [](const LedgerQuery&) -> absl::StatusOr<LedgerPage> {
    return absl::FailedPreconditionError("no ledger of attempts is kept");
  };
  const std::string page =
      WhyPage(WhyJson(parts, {SubjectKind::kDomain, "a.example"}, clock_.Now()), /*all=*/true);
  EXPECT_THAT(page, HasSubstr("no ledger of attempts is kept"));
  EXPECT_THAT(page, HasSubstr("Now: 0 delivered, 0 deferred, 1 failed"));
}

TEST_F(WhyTest, VerifyConfirmsAndFinds) {
  for (int i = 1; i < 6; ++i) Send(Minutes(i), Outcome::kFailed, kUnknown);
  ASSERT_THAT(committer_->Commit(), IsOk());
  const Subject subject = {SubjectKind::kDomain, "a.example"};
  absl::StatusOr<Json> verified = VerifyJson(Parts(), ledger_reader_.get(), subject);
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ((*verified)["finding"], "confirmed");
  EXPECT_THAT(VerifyPage(*verified), HasSubstr("the ledger: 0 delivered, 0 deferred, 4 failed"));
  WhyParts parts = Parts();
  parts.receipt = [this](const Case& record) {
    std::optional<Receipt> receipt = committer_->ReceiptOf(record);
    receipt->rows[1].reply = "250 fine";
    return receipt;
  };
  verified = VerifyJson(parts, ledger_reader_.get(), subject);
  EXPECT_EQ((*verified)["finding"], "contradicted");
  EXPECT_THAT(VerifyPage(*verified), HasSubstr("was changed in the ledger"));
  // A block that is over can be verified still; who was never blocked cannot.
  ASSERT_THAT(committer_->Unblock(subject, "root", ""), IsOk());
  EXPECT_THAT(VerifyJson(Parts(), ledger_reader_.get(), subject), IsOk());
  EXPECT_THAT(VerifyJson(Parts(), ledger_reader_.get(), {SubjectKind::kDomain, "b.example"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nothing to verify")));
}

TEST_F(WhyTest, OneMessagesLifeMarksTheDecisiveLine) {
  Queue(Minutes(1), "m");
  Send(Minutes(2), Outcome::kDeferred, kGrey, "shop@a.example", "m", "ann@far.example");
  Send(Minutes(2), Outcome::kDelivered, "250 ok", "shop@a.example", "m", "bob@far.example");
  const Json waiting = Tracked({{"id", "m"}});
  ASSERT_EQ(waiting.size(), 3u);
  EXPECT_EQ(waiting[1]["decisive"], true) << "nothing came after it";
  EXPECT_EQ(waiting[2]["decisive"], true) << "of another recipient";
  Send(Minutes(9), Outcome::kFailed, kUnknown, "shop@a.example", "m", "ann@far.example");
  const Json life = Tracked({{"id", "m"}});
  EXPECT_FALSE(life[1].contains("decisive"));
  EXPECT_EQ(life[3]["decisive"], true);
  EXPECT_THAT(life[3]["advice"].get<std::string>(), HasSubstr("Check the spelling"));
  const std::string page = LifePage(life);
  EXPECT_EQ(page,
            "message m\n"
            "   2026-11-22 08:01:00  … in progress  bob@a.example\n"
            "       login bob@a.example, of a.example\n"
            "   2026-11-22 08:02:00  ↻ deferred  shop@a.example -> ann@far.example\n"
            "       mx.far.example: 451 4.7.1 Greylisted, please try again in 300 seconds\n"
            "       greylisting, login shop@a.example, of a.example, not counted: reply class\n"
            "=> 2026-11-22 08:02:00  ✔ delivered  shop@a.example -> bob@far.example\n"
            "       mx.far.example: 250 ok\n"
            "       login shop@a.example, of a.example\n"
            "=> 2026-11-22 08:09:00  ✖ failed  shop@a.example -> ann@far.example\n"
            "       mx.far.example: 550 5.1.1 <ann@far.example>: No such user here\n"
            "       what it means: The address does not exist at the destination, or no\n"
            "                      longer does.\n"
            "       who acts:      the sender (a typo, or an old address in a list)\n"
            "       what to do:    Check the spelling. Remove the address from lists, forms\n"
            "                      and forwarders. Do not send the message again unchanged.\n"
            "       invalid recipient, login shop@a.example, of a.example\n");
  ExpectFitsATerminal(page);
}

TEST_F(WhyTest, EachRecipientIsListedWithWhatItIsNow) {
  Queue(Minutes(1), "m");
  Send(Minutes(2), Outcome::kDeferred, kGrey, "shop@a.example", "m", "ann@far.example");
  Send(Minutes(2), Outcome::kDeferred, kGrey, "shop@a.example", "m", "bob@far.example");
  Send(Minutes(9), Outcome::kDelivered, "250 ok", "shop@a.example", "m", "ann@far.example");
  Queue(Minutes(10), "n");
  const auto states = [&](const Json& args) {
    std::vector<std::string> found;
    for (const Json& row : Tracked(args)) {
      found.push_back(absl::StrCat(Field(row, "id"), " ", Field(row, "recipient"), " ",
                                   Field(row, "state"), " ", Number(row, "tries")));
    }
    return found;
  };
  EXPECT_THAT(states({{"domain", "a.example"}, {"recipients", true}}),
              testing::ElementsAre("n  in progress 0", "m ann@far.example delivered 2",
                                   "m bob@far.example deferred 1"));
  EXPECT_THAT(states({{"outcome", "deferred"}, {"recipients", true}}),
              testing::ElementsAre("m bob@far.example deferred 1", "m ann@far.example delivered 2"))
      << "found by an attempt, shown as it is now";
  EXPECT_EQ(states({{"domain", "a.example"}}).size(), 5u) << "without it, every attempt";
  Show(Minutes(11), Outcome::kHeld, "held by deferd: its sender is blocked", "m");
  EXPECT_THAT(states({{"recipient", "bob@far.example"}, {"recipients", true}}),
              testing::ElementsAre("m bob@far.example held 1"))
      << "what is held waits for all whom it was not delivered to";
  const Json rows = Tracked({{"domain", "a.example"}, {"recipients", true}});
  const std::string page = TrackPage(rows);
  EXPECT_THAT(page, HasSubstr("✔  delivered"));
  EXPECT_THAT(page, HasSubstr("after 2 tries"));
  EXPECT_THAT(page, HasSubstr("‖  held"));
  EXPECT_THAT(page, HasSubstr("sender blocked"));
  ExpectFitsATerminal(page);
}

TEST_F(WhyTest, WhatEximFreezesIsNotHeldByUs) {
  Queue(Minutes(1), "m");
  for (const char* words :
       {"Frozen (delivery error message)", "Message is frozen", "frozen by system filter: x"}) {
    Show(Minutes(2), Outcome::kHeld, words, "m");
    const Json rows = Tracked({{"domain", "a.example"}, {"recipients", true}});
    ASSERT_FALSE(rows.empty());
    EXPECT_EQ(Field(rows[0], "state"), "frozen") << words;
    EXPECT_THAT(TrackPage(rows), testing::AllOf(HasSubstr("‖  frozen"), HasSubstr("by Exim")));
  }
}

TEST_F(WhyTest, AHeldMessageIsShownAsHeldUntilItIsReleased) {
  Queue(Minutes(1), "m");
  Show(Minutes(2), Outcome::kHeld, "held by deferd: its sender is blocked", "m");
  Json life = Tracked({{"id", "m"}});
  ASSERT_EQ(life.size(), 2u);
  EXPECT_EQ(life[1]["decisive"], true);
  EXPECT_EQ(life[1]["class"], "");
  EXPECT_FALSE(life[1].contains("advice")) << "no server has said anything";
  Send(Minutes(3), Outcome::kDelivered, "250 ok", "shop@a.example", "m");
  Show(Minutes(3), Outcome::kQueued, "released by deferd", "m");
  life = Tracked({{"id", "m"}});
  EXPECT_FALSE(life[1].contains("decisive"));
  EXPECT_EQ(life[2]["decisive"], true);
  EXPECT_EQ(Tracked({{"what", "a.example"}, {"outcome", "in-progress"}}).size(), 0u)
      << "it is delivered, though its release was recorded later";
  Show(Minutes(4), Outcome::kQueued, "let go by bob", "m");  // as earlier versions wrote it
  EXPECT_EQ(Tracked({{"what", "a.example"}, {"outcome", "in-progress"}}).size(), 0u);
}

TEST_F(WhyTest, OfAMessageThatWasDeliveredInTheEndTheDeliveryDecides) {
  Send(Minutes(2), Outcome::kDeferred, kGrey, "shop@a.example", "m");
  Send(Minutes(9), Outcome::kDelivered, "250 ok", "shop@a.example", "m");
  const Json life = Tracked({{"id", "m"}});
  EXPECT_FALSE(life[0].contains("decisive"));
  EXPECT_EQ(life[1]["decisive"], true);
  EXPECT_FALSE(life[1].contains("advice"));
}

// A busy domain has thousands of them, each on a page of its own.
TEST_F(WhyTest, EachAttemptIsFetchedOnce) {
  for (int i = 0; i < 5; ++i) {
    Queue(Minutes(i), absl::StrCat("m", i));
    Send(Minutes(i), Outcome::kDelivered, "250 ok", "shop@a.example", absl::StrCat("m", i));
  }
  EXPECT_THAT(committer_->Commit(), IsOk());
  size_t fetched = 0;
  const WhyParts parts = CountingParts(&fetched);
  const Json why = WhyJson(parts, {SubjectKind::kDomain, "a.example"}, clock_.Now());
  EXPECT_EQ(why["causes"]["who"][0]["delivered"], 5);
  EXPECT_EQ(why["left_out"]["counted"]["delivered"], 5);
  EXPECT_EQ(fetched, 5u);
}

TEST_F(WhyTest, TheLastDayComesWithItOnRequestFromTheSameRows) {
  Send(Minutes(1), Outcome::kDelivered, "250 ok");
  Send(Minutes(2), Outcome::kFailed, kUnknown);
  EXPECT_FALSE(Why().contains("history"));
  size_t fetched = 0;
  const WhyParts parts = CountingParts(&fetched);
  const Json why = WhyJson(parts, {SubjectKind::kDomain, "a.example"}, clock_.Now(), std::nullopt,
                           /*history=*/true);
  EXPECT_EQ(fetched, 2u);
  EXPECT_EQ(why["history"], History(Search(), {{"subject", "a.example"}}, clock_.Now()).value());
  EXPECT_EQ(why["history"]["failed"].back(), 1);
}

// An id can come again; what became of a message is looked for from its arrival on.
TEST_F(WhyTest, TheLifeOfARecentMessageNeedsNoOldRows) {
  Queue(Minutes(2), "m");
  Send(Minutes(3), Outcome::kDeferred, kGrey, "shop@a.example", "m");
  EXPECT_THAT(committer_->Commit(), IsOk());
  std::vector<absl::Time> since;
  const LedgerSearch search = [&](const LedgerQuery& query) {
    if (!query.message_id.empty()) since.push_back(query.since);
    return ledger_reader_->Search(query);
  };
  const absl::StatusOr<Json> rows =
      Track(search, {{"subject", "a.example"}, {"recipients", true}}, clock_.Now());
  ASSERT_THAT(rows, IsOk());
  EXPECT_EQ((*rows)[0]["tries"], 1);
  ASSERT_FALSE(since.empty());
  for (const absl::Time one : since) EXPECT_EQ(one, At(Minutes(0))) << "its arrival";
}

TEST_F(WhyTest, EverythingLeftOutHasItsReason) {
  Send(Minutes(2), Outcome::kDelivered, "250 ok");
  Attempt local = MakeAttempt("a.example", At(Minutes(3)), Outcome::kDelivered);
  local.remote = false;
  Feed(local);
  Send(Minutes(4), Outcome::kDeferred, kGrey);
  Send(Minutes(5), Outcome::kFailed, "552 5.2.2 Mailbox full");
  Attempt stranger = MakeAttempt("a.example", At(Minutes(6)), Outcome::kFailed);
  stranger.identity = {.sender = "ann@a.example", .host = "198.51.100.7"};
  Feed(stranger);
  const Json why = Why();
  std::map<std::string, Json> reasons;
  for (const Json& one : why["left_out"]["reasons"]) reasons[one["reason"]] = one;
  EXPECT_EQ(reasons["no remote host"]["delivered"], 1);
  EXPECT_EQ(reasons["nobody charged"]["failed"], 1);
  EXPECT_EQ(reasons["reply class"]["deferred"], 1);
  const std::string page = WhyPage(why, /*all=*/true);
  EXPECT_THAT(page, HasSubstr("left out: 1 delivered, on this host"));
  EXPECT_THAT(page, HasSubstr("left out: 1 failed, bear the domain as sender"));
  ExpectFitsATerminal(page);
}

TEST_F(WhyTest, AllClassesThatCountAreListed) {
  const char* replies[] = {"550 5.1.1 No such user",
                           "554 5.7.1 Message rejected as spam",
                           "550 5.4.4 Host not found",
                           "552 5.3.4 Message too big",
                           "535 5.7.8 Authentication failed",
                           "550 5.7.26 This message does not have authentication (SPF, DKIM)",
                           "550 5.7.1 Relaying denied",
                           "421 4.7.0 Too many messages, rate limited"};
  for (int i = 0; i < 9; ++i) Send(Minutes(1), Outcome::kDelivered, "250 ok");  // no block
  for (int i = 0; i < 8; ++i) Send(Minutes(2 + i), Outcome::kFailed, replies[i]);
  const Json why = Why();
  int64_t counted = 0;
  for (const Json& one : why["causes"]["answers"]) counted += one["count"].get<int64_t>();
  EXPECT_EQ(counted, why["window"]["bad"]);
  EXPECT_GT(why["causes"]["answers"].size(), 5u) << DumpPretty(why["causes"]["answers"]);
}

// An incident takes out what had counted; every number of the page says so.
TEST_F(WhyTest, AfterAnIncidentTheNumbersAgree) {
  const char* kClosed = "554 5.7.1 Access denied, see your postmaster";
  const auto fail = [&](const std::string& domain, absl::Duration at) {
    Attempt attempt = MakeAttempt(domain, At(at), Outcome::kFailed, "", "ann@far.example");
    attempt.host = "mx.far.example";
    attempt.host_ip = "192.0.2.77";
    attempt.reply = kClosed;
    Feed(attempt);
  };
  for (const char* domain : {"a.example", "b.example", "c.example", "d.example", "e.example"}) {
    Attempt ok = MakeAttempt(domain, At(Minutes(1)), Outcome::kDelivered, "", "x@other.example");
    ok.host = "mx.far.example";
    Feed(ok);
  }
  for (int i = 0; i < 3; ++i) fail("a.example", Minutes(2 + i));
  const Json before = Why();
  EXPECT_EQ(before["window"]["failed"], 3);
  EXPECT_EQ(before["causes"]["answers"][0]["count"], 3);
  int minute = 6;
  for (const char* domain : {"b.example", "c.example", "d.example", "e.example"}) {
    fail(domain, Minutes(minute++));
  }
  fail("a.example", Minutes(minute));
  const Json why = Why();
  ASSERT_EQ(why["incidents"].size(), 1u);
  EXPECT_EQ(why["window"]["failed"], 0);
  ASSERT_EQ(why["causes"]["answers"].size(), 1u);
  EXPECT_EQ(why["causes"]["answers"][0]["count"], 0);
  EXPECT_EQ(why["causes"]["answers"][0]["left_out"], 4);
  EXPECT_TRUE(why["causes"]["attempts"].empty());
  EXPECT_TRUE(why["causes"]["senders"].empty());
  ASSERT_EQ(why["left_out"]["reasons"].size(), 1u);
  EXPECT_EQ(why["left_out"]["reasons"][0]["reason"], "incident");
  EXPECT_EQ(why["left_out"]["reasons"][0]["failed"], 4);
  int64_t shown = 0;
  for (const auto& [name, count] : why["window"]["left_out"].items()) shown += count.get<int64_t>();
  EXPECT_EQ(shown, 4);
  EXPECT_EQ(why["incidents"][0]["attempts"], 8);
}

TEST_F(WhyTest, PagesShowTimesInTheRequestedZoneAndJsonUtc) {
  for (int i = 2; i < 6; ++i) Send(Minutes(i), Outcome::kFailed, kUnknown);
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  ShowTimesIn(berlin, kMorning);
  const Json why = Why();
  const std::string page = WhyPage(why, /*all=*/true);
  const std::string meant = MeantTime("2026-11-22 09:05");
  ShowTimesIn(absl::UTCTimeZone(), kMorning);
  EXPECT_EQ(why["case"]["until"], "2026-11-22T09:05:00Z");
  EXPECT_THAT(page, HasSubstr("until 2026-11-22 10:05:00 CET"));
  EXPECT_THAT(page, HasSubstr("Record (CET)"));
  EXPECT_THAT(page, Not(HasSubstr("UTC")));
  EXPECT_EQ(meant, "2026-11-22T08:05:00Z") << "a person means the time that is shown";
  EXPECT_EQ(MeantTime("2h"), "2h");
}

TEST_F(WhyTest, TrackFiltersInProgressAndBlocked) {
  Queue(Minutes(1), "waiting");
  Queue(Minutes(1), "tried");
  Send(Minutes(2), Outcome::kDeferred, kGrey, "shop@a.example", "tried");
  Send(Minutes(3), Outcome::kFailed, kUnknown, "shop@a.example", "bad");
  // A router of ours refused it: no host is named.
  Attempt refused = MakeAttempt("a.example", At(Minutes(4)), Outcome::kFailed, "refused");
  refused.remote = false;
  refused.reply =
      "Domain a.example has exceeded the max defers and failures per hour (5/5 (14%)) allowed. "
      "Message rejected, try again after 10:00 UTC.";
  Feed(refused);
  const auto ids = [&](const char* outcome) {
    std::vector<std::string> found;
    for (const Json& row : Tracked({{"outcome", outcome}})) found.push_back(row["id"]);
    return found;
  };
  EXPECT_THAT(ids("in-progress"), testing::ElementsAre("waiting"));
  EXPECT_THAT(ids("blocked"), testing::ElementsAre("refused"));
  EXPECT_THAT(ids("failures"), testing::ElementsAre("refused", "bad"));
  EXPECT_THAT(ids("defer"), testing::ElementsAre("tried"));
  EXPECT_THAT(ids("success"), testing::IsEmpty());
  EXPECT_THAT(ids("in-progress,defer"), testing::UnorderedElementsAre("waiting", "tried"));
}

TEST_F(WhyTest, TrackHasTheNamesThatScriptsKnow) {
  Send(Minutes(3), Outcome::kFailed, kUnknown, "shop@a.example", "bad");
  const Json row = Tracked({{"what", "a.example"}})[0];
  EXPECT_EQ(row["type"], "failure");
  EXPECT_EQ(row["msgid"], "bad");
  EXPECT_EQ(row["message"], kUnknown);
  EXPECT_EQ(row["actionunixtime"], absl::ToUnixSeconds(At(Minutes(3))));
  EXPECT_EQ(row["senderauth"], "shop@a.example");
  EXPECT_EQ(row["domain"], "a.example");
  EXPECT_EQ(row["deliverydomain"], "far.example");
  EXPECT_EQ(row["transport_is_remote"], 1);
  EXPECT_EQ(row["class"], "invalid_recipient");
}

TEST_F(WhyTest, StatsKeepMessagesRecipientsAndAttemptsApart) {
  Queue(Minutes(1), "m");
  for (int i = 2; i < 5; ++i) {
    Send(Minutes(i), Outcome::kDeferred, kGrey, "shop@a.example", "m", "ann@far.example");
  }
  Send(Minutes(5), Outcome::kDelivered, "250 ok", "shop@a.example", "m", "ann@far.example");
  Send(Minutes(5), Outcome::kFailed, kUnknown, "shop@a.example", "m", "bob@far.example");
  Send(Minutes(6), Outcome::kDelivered, "250 ok", "web@a.example", "n");
  ASSERT_THAT(committer_->Commit(), IsOk());
  absl::StatusOr<Json> stats = Stats(Search(), *cases_, {{"since", "1h"}}, clock_.Now());
  ASSERT_THAT(stats, IsOk());
  ASSERT_EQ((*stats)["rows"].size(), 1u);
  const Json domain = (*stats)["rows"][0];
  EXPECT_EQ(domain["subject"], "a.example");
  EXPECT_EQ(domain["messages"], 2);
  EXPECT_EQ(domain["recipients"], (Json{{"delivered", 2}, {"deferred", 0}, {"failed", 1}}));
  EXPECT_EQ(domain["attempts"], (Json{{"delivered", 2}, {"deferred", 3}, {"failed", 1}}));
  EXPECT_EQ(domain["blocked"], false);
  stats = Stats(Search(), *cases_, {{"subject", "a.example"}}, clock_.Now());
  ASSERT_THAT(stats, IsOk());
  ASSERT_EQ((*stats)["rows"].size(), 3u) << "by sender; the queued line's is bob@a.example";
  const std::string page = StatsPage(*stats);
  EXPECT_THAT(page, HasSubstr("MESSAGES  DELIVERED"));
  EXPECT_THAT(page, HasSubstr("web@a.example"));
  ExpectFitsATerminal(page);
  EXPECT_THAT(Stats(Search(), *cases_, {{"by", "moon"}}, clock_.Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("subject or sender")));
  EXPECT_THAT(Stats(Search(), *cases_, {{"since", "soon"}}, clock_.Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a valid time")));
}

}  // namespace
}  // namespace deferd
