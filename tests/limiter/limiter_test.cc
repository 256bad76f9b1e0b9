#include "limiter/limiter.h"

#include "gmock/gmock.h"
#include "policy/policy_file.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Hours;
using absl::Minutes;
using absl::Seconds;
using testing::HasSubstr;

constexpr char kThreeBadHalf[] = "[rule.r]\nmin_bad = 3\npercent = 50\n";

Subject Domain(const std::string& name) { return {SubjectKind::kDomain, name}; }

TEST(Limiter, RetriesOfOneStuckMessageAreOne) {
  LimiterFixture f(kThreeBadHalf);
  for (int i = 0; i < 20; ++i) f.Feed("a.example", Minutes(i), Outcome::kDeferred, "stuck");
  f.clock_.Set(At(Minutes(20)));
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.deferred = 1}));
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
}

// Charging's lists, with one hosted domain.
Settings HostedAlone(const Settings& settings, const std::string& domain) {
  ChargeLists lists;
  lists.hosted.push_back(DomainPattern::Parse(domain).value());
  lists.host = "web1";
  return {settings.policy, std::make_shared<ChargeLists>(lists)};
}

TEST(Limiter, ADomainThatIsNotHostedIsCountedAndNeverBlocked) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(1)));
  f.settings_ = HostedAlone(f.settings_, "here.example");
  f.committer_->SetSettings(f.settings_);
  f.FeedMany(9, "a.example", Minutes(1), Outcome::kFailed);
  f.FeedMany(9, "here.example", Minutes(1), Outcome::kFailed);
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.failed = 9}));
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  EXPECT_TRUE(f.OpenCase("here.example").has_value());
}

TEST(Limiter, ABlockEndsWhenItsDomainIsNoLongerHosted) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(1)));
  f.FeedMany(9, "a.example", Minutes(1), Outcome::kFailed);
  ASSERT_TRUE(f.OpenCase("a.example").has_value());
  f.committer_->SetSettings(HostedAlone(f.settings_, "here.example"));
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  f.committer_->SetSettings(HostedAlone(f.settings_, "a.example"));
  f.FeedMany(9, "a.example", Minutes(2), Outcome::kFailed);
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
}

TEST(Limiter, ALoginWithoutADomainBelongsToTheDomainOfItsMap) {
  const std::string rule = "[rule.l]\nmin_bad = 3\npercent = 50\nkind = \"login\"\n";
  LimiterFixture f(rule, At(Minutes(1)));
  ChargeLists lists;
  lists.hosted.push_back(DomainPattern::Parse("here.example").value());
  lists.logins = {{"ours", "here.example"}, {"theirs", "a.example"}};
  f.settings_.lists = std::make_shared<ChargeLists>(lists);
  f.committer_->SetSettings(f.settings_);
  for (const char* login : {"ours", "theirs"}) {
    for (int i = 0; i < 9; ++i) {
      Attempt attempt = LimiterFixture::MakeAttempt("x", At(Minutes(1)), Outcome::kFailed);
      attempt.identity.login = login;
      f.Feed(attempt);
    }
  }
  EXPECT_TRUE(f.cases_->FindOpen({SubjectKind::kLogin, "ours"}, false).has_value());
  EXPECT_TRUE(f.cases_->FindOpen({SubjectKind::kLogin, "theirs"}, false).has_value())
      << "a proven login is judged wherever its domain lives";
  f.committer_->SetSettings(f.settings_);  // a reload changes nothing
  EXPECT_TRUE(f.cases_->FindOpen({SubjectKind::kLogin, "ours"}, false).has_value());
}

TEST(Limiter, ALocalUserWithoutADomainIsOnlyWarnedAbout) {
  const std::string rule =
      "[rule.l]\nmin_bad = 3\npercent = 50\nkind = \"local\"\naction = \"reject\"\n";
  LimiterFixture f(std::string(kThreeBadHalf) + rule, At(Minutes(1)));
  f.committer_->SetSettings(HostedAlone(f.settings_, "here.example"));
  for (int i = 0; i < 9; ++i) {
    Attempt attempt = LimiterFixture::MakeAttempt("x", At(Minutes(1)), Outcome::kFailed);
    attempt.identity = {.sender = "a@here.example", .user = "www-data"};
    f.Feed(attempt);
  }
  const Subject user = {SubjectKind::kLocal, "www-data@web1"};
  EXPECT_FALSE(f.cases_->FindOpen(user, /*shadow=*/false).has_value());
  EXPECT_TRUE(f.cases_->FindOpen(user, /*shadow=*/true).has_value());
}

TEST(Limiter, CountingAttemptsCountsEachRetry) {
  LimiterFixture f(std::string("count = \"attempts\"\n") + kThreeBadHalf);
  for (int i = 0; i < 3; ++i) f.Feed("a.example", Minutes(i), Outcome::kDeferred, "stuck");
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
}

TEST(Limiter, DeferredThenDeliveredIsOneDelivered) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(9)));
  f.Feed("a.example", Minutes(1), Outcome::kDeferred, "m");
  f.Feed("a.example", Minutes(9), Outcome::kDelivered, "m");
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.delivered = 1}));
}

TEST(Limiter, EachRecipientCountsByItself) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(2)));
  f.Feed("a.example", Minutes(1), Outcome::kFailed, "m", "x@d");
  f.Feed("a.example", Minutes(1), Outcome::kDelivered, "m", "y@d");
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.delivered = 1, .failed = 1}));
}

TEST(Limiter, AStuckMessageDoesNotRenewItself) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(70)));
  for (int i = 0; i <= 70; i += 5) f.Feed("a.example", Minutes(i), Outcome::kDeferred, "stuck");
  EXPECT_EQ(f.CountsNow("a.example"), Counts{})
      << "its contribution is dated at its first deferral";
}

TEST(Limiter, ContributionsOutsideTheWindowStayWhereTheyWereCounted) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(90)));
  f.Feed("a.example", Minutes(0), Outcome::kDeferred, "m");
  f.Feed("a.example", Minutes(90), Outcome::kDelivered, "m");
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.delivered = 1}));
}

TEST(Limiter, AnEarlierDatedAttemptChangesNothing) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(9)));
  f.Feed("a.example", Minutes(9), Outcome::kDelivered, "m");
  f.Feed("a.example", Minutes(5), Outcome::kDeferred, "m");
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.delivered = 1}));
}

TEST(Limiter, AfterCompletionTheIdIsANewMessage) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(9)));
  f.Feed("a.example", Minutes(1), Outcome::kFailed, "m");
  f.Complete("m");
  f.Feed("a.example", Minutes(2), Outcome::kFailed, "m");
  EXPECT_EQ(f.CountsNow("a.example").failed, 2);
}

TEST(Limiter, NullSenderBouncesOfTheMtaAreFree) {
  LimiterFixture f(kThreeBadHalf);
  Attempt bounce = LimiterFixture::MakeAttempt("a.example", At(Minutes(1)), Outcome::kFailed);
  bounce.identity = {.made_by_mta = true};
  f.Feed(bounce);
  EXPECT_THAT(f.observer_.left_out_, testing::ElementsAre(LeftOut::kMadeByMta));
}

TEST(Limiter, OpensAtTheTrippingAttemptsOwnTime) {
  LimiterFixture f(kThreeBadHalf);
  f.FeedMany(2, "a.example", Minutes(1), Outcome::kFailed);
  f.FeedMany(3, "a.example", Minutes(2), Outcome::kDelivered);
  f.Feed("a.example", Minutes(3) + Seconds(7), Outcome::kDeferred);
  std::optional<Case> open = f.OpenCase("a.example");
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->since, At(Minutes(3) + Seconds(7)));
  EXPECT_EQ(open->until, open->since + Hours(1));
  EXPECT_EQ(open->counts, (Counts{.delivered = 3, .deferred = 1, .failed = 2}));
  EXPECT_EQ(open->percent, 50);
  EXPECT_EQ(open->rule, "r");
  EXPECT_EQ(open->id, "0badcafe-1-1");
}

TEST(Limiter, NeitherCountNorShareAloneBlocks) {
  LimiterFixture f(kThreeBadHalf);
  f.FeedMany(2, "few.example", Minutes(1), Outcome::kFailed);
  f.FeedMany(10, "many.example", Minutes(1), Outcome::kDelivered);
  f.FeedMany(9, "many.example", Minutes(2), Outcome::kFailed);
  EXPECT_FALSE(f.OpenCase("few.example").has_value());
  EXPECT_FALSE(f.OpenCase("many.example").has_value());
}

TEST(Limiter, AShareThatRisesBySlidingDoesNotBlock) {
  LimiterFixture f(kThreeBadHalf);
  f.FeedMany(10, "a.example", Minutes(0), Outcome::kDelivered);
  f.FeedMany(3, "a.example", Minutes(30), Outcome::kFailed);
  f.Feed("a.example", Minutes(75), Outcome::kDelivered);  // the ten have slid out: 3 of 4 are bad
  EXPECT_FALSE(f.OpenCase("a.example").has_value()) << "a case opens only on a bad contribution";
  f.Feed("a.example", Minutes(75), Outcome::kFailed);
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
}

TEST(Limiter, AnOpenCaseIsNotOpenedAgain) {
  LimiterFixture f(kThreeBadHalf);
  f.FeedMany(30, "a.example", Minutes(1), Outcome::kFailed);
  EXPECT_EQ(f.observer_.cases_.size(), 1u);
}

TEST(Limiter, ABacklogBlocksNobodyToday) {
  LimiterFixture f(kThreeBadHalf, At(Hours(30)));
  f.FeedMany(5, "a.example", Minutes(1), Outcome::kFailed);
  std::optional<Case> open = f.OpenCase("a.example");
  ASSERT_TRUE(open.has_value());
  EXPECT_TRUE(open->history);
  EXPECT_FALSE(open->Enforced(f.clock_.Now()));
  EXPECT_FALSE(f.cases_->FindEnforced(Domain("a.example"), f.clock_.Now()).has_value());
}

TEST(Limiter, LateAndFutureAttemptsDoNotCount) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(120)));
  f.Feed("a.example", Minutes(120), Outcome::kDelivered);
  f.Feed("a.example", Minutes(60), Outcome::kFailed);   // the 61st step back
  f.Feed("a.example", Minutes(61), Outcome::kFailed);   // the 60th: live
  f.Feed("a.example", Minutes(125), Outcome::kFailed);  // five minutes ahead: at its own stamp
  f.Feed("a.example", Minutes(125) + Seconds(1), Outcome::kFailed);
  EXPECT_THAT(f.observer_.left_out_,
              testing::ElementsAre(LeftOut::kCounts, LeftOut::kLate, LeftOut::kCounts,
                                   LeftOut::kCounts, LeftOut::kFuture));
}

TEST(Limiter, StampsOf1970And2099DoNoHarm) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(10)));
  f.Feed("a.example", Minutes(1), Outcome::kFailed);
  Attempt old = LimiterFixture::MakeAttempt("a.example", absl::UnixEpoch(), Outcome::kFailed);
  Attempt far = LimiterFixture::MakeAttempt("a.example", absl::FromUnixSeconds(4'070'908'800),
                                            Outcome::kFailed);
  f.Feed(old);
  f.Feed(far);
  f.Feed("a.example", Minutes(2), Outcome::kFailed);
  EXPECT_EQ(f.CountsNow("a.example").failed, 2);
}

TEST(Limiter, AtUntilACalmedSubjectIsFreeAndStartsAnew) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(1)));
  f.FeedMany(3, "a.example", Minutes(0), Outcome::kFailed);
  f.FeedMany(9, "a.example", Minutes(1), Outcome::kFailed);  // the block's own consequences
  ASSERT_TRUE(f.OpenCase("a.example").has_value());
  f.clock_.Set(At(Minutes(60)));
  f.committer_->Tick();
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  EXPECT_EQ(f.observer_.cases_.back().change, CaseChange::kEnded);
  // Two more are below the limit: those of before no longer count.
  f.FeedMany(2, "a.example", Minutes(60), Outcome::kFailed);
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  f.Feed("a.example", Minutes(60), Outcome::kFailed);
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
}

TEST(Limiter, AtUntilAStillBadSubjectKeepsItsCase) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(1)));
  f.FeedMany(3, "a.example", Minutes(0), Outcome::kFailed);
  f.clock_.Set(At(Minutes(30)));
  f.FeedMany(3, "a.example", Minutes(30), Outcome::kFailed);
  f.clock_.Set(At(Minutes(60)));
  f.committer_->Tick();
  std::optional<Case> open = f.OpenCase("a.example");
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->since, At(Minutes(0)));
  EXPECT_EQ(open->until, At(Minutes(120)));
  EXPECT_EQ(open->extended, 1);
}

TEST(Limiter, TheLogsOwnTimeEndsCasesInABacklog) {
  LimiterFixture f(kThreeBadHalf, At(Hours(30)));
  f.FeedMany(3, "a.example", Minutes(0), Outcome::kFailed);
  f.Feed("b.example", Minutes(60), Outcome::kDelivered);
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  f.FeedMany(3, "a.example", Minutes(200), Outcome::kFailed);
  EXPECT_TRUE(f.OpenCase("a.example").has_value()) << "the second burst is a case of its own";
}

TEST(Limiter, UnblockCountsOnlyLaterSteps) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(5) + Seconds(30)));
  f.FeedMany(5, "a.example", Minutes(5), Outcome::kFailed);
  absl::StatusOr<Case> ended = f.committer_->Unblock(Domain("a.example"), "root", "fixed the form");
  ASSERT_THAT(ended, IsOk());
  EXPECT_EQ(ended->state, CaseState::kClosed);
  EXPECT_EQ(CloserOf(*ended), "root");
  EXPECT_EQ(ended->closed_reason, "fixed the form");
  EXPECT_EQ(f.CountsNow("a.example"), Counts{});
  f.Feed("a.example", Minutes(5) + Seconds(45), Outcome::kFailed);
  EXPECT_EQ(f.CountsNow("a.example"), Counts{}) << "the step of the unblock itself is amnestied";
  f.Feed("a.example", Minutes(6), Outcome::kFailed);
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.failed = 1}));
}

TEST(Limiter, UnblockClearsAttemptsThatAreStampedAheadOfTheClock) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(5)));
  f.FeedMany(3, "a.example", Minutes(9), Outcome::kFailed);
  ASSERT_TRUE(f.OpenCase("a.example").has_value());
  ASSERT_THAT(f.committer_->Unblock(Domain("a.example"), "root", "fixed"), IsOk());
  EXPECT_EQ(f.CountsNow("a.example"), Counts{});
  f.Feed("a.example", Minutes(9) + Seconds(30), Outcome::kFailed);
  EXPECT_FALSE(f.OpenCase("a.example").has_value()) << "the unblock wins";
  f.clock_.Set(At(Minutes(10)));
  f.FeedMany(3, "a.example", Minutes(10), Outcome::kFailed);
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
}

TEST(Limiter, UnblockingWhoIsNotBlockedSaysSo) {
  LimiterFixture f(kThreeBadHalf);
  EXPECT_THAT(f.committer_->Unblock(Domain("a.example"), "root", ""),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("a.example: no block to end")));
}

TEST(Limiter, APersonsBlockEndsByTheClockAndIsNotJudged) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(0)));
  f.committer_->Block(Domain("a.example"), Minutes(30), "root", "complaint");
  f.FeedMany(9, "a.example", Minutes(20), Outcome::kFailed);
  f.clock_.Set(At(Minutes(30)));
  f.committer_->Tick();
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  EXPECT_EQ(f.observer_.cases_.front().change, CaseChange::kBlockedByPerson);
}

TEST(Limiter, ShadowRulesNeverChangeEnforcedOnes) {
  LimiterFixture f(
      "[rule.strict]\nmin_bad = 2\npercent = 10\nshadow = true\naction = \"discard\"\n"
      "[rule.real]\nmin_bad = 4\npercent = 10\n");
  f.FeedMany(2, "a.example", Minutes(1), Outcome::kFailed);
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  ASSERT_TRUE(f.OpenCase("a.example", /*shadow=*/true).has_value());
  f.FeedMany(2, "a.example", Minutes(1), Outcome::kFailed);
  ASSERT_TRUE(f.OpenCase("a.example").has_value());
  EXPECT_EQ(f.OpenCase("a.example")->rule, "real");
}

// A trial is over when what it tries is enforced, by a rule or a person, and none begins meanwhile.
TEST(Limiter, AShadowCaseEndsWhenAnEnforcedOneOfTheSubjectOpens) {
  const char kBoth[] =
      "[rule.strict]\nmin_bad = 2\npercent = 10\nshadow = true\n"
      "[rule.real]\nmin_bad = 4\npercent = 10\n";
  for (const bool by_person : {false, true}) {
    LimiterFixture f(kBoth, At(Minutes(2)));
    f.FeedMany(2, "a.example", Minutes(1), Outcome::kFailed);
    f.FeedMany(2, "b.example", Minutes(1), Outcome::kFailed);
    ASSERT_TRUE(f.OpenCase("a.example", /*shadow=*/true).has_value());
    if (by_person) {
      f.committer_->Block({SubjectKind::kDomain, "a.example"}, Hours(1), "root", "");
    } else {
      f.FeedMany(2, "a.example", Minutes(1), Outcome::kFailed);
    }
    ASSERT_TRUE(f.OpenCase("a.example").has_value());
    EXPECT_FALSE(f.OpenCase("a.example", /*shadow=*/true).has_value());
    f.FeedMany(5, "a.example", Minutes(1), Outcome::kFailed);
    EXPECT_FALSE(f.OpenCase("a.example", /*shadow=*/true).has_value())
        << "not while it is enforced";
    EXPECT_TRUE(f.OpenCase("b.example", /*shadow=*/true).has_value());
    const std::vector<Case> closed = f.cases_->Closed(10);
    ASSERT_EQ(closed.size(), 1u);
    EXPECT_EQ(CloserOf(closed[0]), "rule");
    EXPECT_EQ(closed[0].closed_reason, f.OpenCase("a.example")->id + " is enforced");
  }
}

TEST(Limiter, APersonsBlockDoesWhatThePolicySays) {
  LimiterFixture f(
      "[rule.r]\nmin_bad = 3\npercent = 50\n"
      "action = { submission = \"hold\", local = \"reject\", queued = \"pass\", relay = "
      "\"discard\" }\n");
  const Case record =
      f.committer_->Block({SubjectKind::kLogin, "bob@a.example"}, Hours(1), "root", "");
  EXPECT_EQ(record.action.ToString(), "submission=hold local=reject queued=pass relay=discard");
}

TEST(Limiter, WhatAPersonSaysOfHeldMailStaysWithTheCase) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(2)));
  const Subject a = {SubjectKind::kDomain, "a.example"};
  f.committer_->Block(a, Hours(1), "root", "");
  EXPECT_EQ(f.committer_->Unblock(a, "root", "", HeldOrder::kKeep)->held_order, HeldOrder::kKeep);
  ASSERT_TRUE(f.committer_->Commit(/*durable=*/true).ok());
  f.Start();
  ASSERT_EQ(f.cases_->Closed(1).size(), 1u);
  EXPECT_EQ(f.cases_->Closed(1)[0].held_order, HeldOrder::kKeep);
}

TEST(Limiter, TheStrictestActionNamesTheCase) {
  LimiterFixture f(
      "[rule.mild]\nmin_bad = 2\npercent = 10\naction = \"hold\"\n"
      "[rule.harsh]\nmin_bad = 2\npercent = 10\naction = \"reject\"\n");
  f.FeedMany(2, "a.example", Minutes(1), Outcome::kFailed);
  EXPECT_EQ(f.OpenCase("a.example")->rule, "harsh");
}

TEST(Limiter, ExemptDomainsAreCountedNotBlocked) {
  LimiterFixture f(std::string(kThreeBadHalf) + "[exempt]\ndomains = [\"a.example\"]\n",
                   At(Minutes(2)));
  f.FeedMany(9, "a.example", Minutes(1), Outcome::kFailed);
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  EXPECT_EQ(f.CountsNow("a.example").failed, 9);
}

TEST(Limiter, ADomainIsNotBlockedByItsBlockedLogin) {
  LimiterFixture f(
      "[rule.login]\nkind = \"login\"\nmin_bad = 3\npercent = 50\n"
      "[rule.domain]\nmin_bad = 5\npercent = 50\n");
  f.FeedMany(8, "a.example", Minutes(1), Outcome::kFailed);  // all by login bob@a.example
  EXPECT_TRUE(f.cases_->FindOpen({SubjectKind::kLogin, "bob@a.example"}, false).has_value());
  EXPECT_FALSE(f.OpenCase("a.example").has_value());
  for (int i = 0; i < 5; ++i) {
    Attempt attempt = LimiterFixture::MakeAttempt("a.example", At(Minutes(2)), Outcome::kFailed);
    attempt.identity.login = absl::StrCat("user", i, "@a.example");
    f.Feed(attempt);
  }
  EXPECT_TRUE(f.OpenCase("a.example").has_value()) << "five of others do";
}

TEST(Limiter, AReloadKeepsTheCountsOfWindowsThatStay) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(2)));
  f.FeedMany(2, "a.example", Minutes(1), Outcome::kFailed);
  f.committer_->SetSettings(
      {LimiterFixture::ParsedPolicy("[rule.short]\nmin_bad = 1\npercent = 1\nwindow = \"10m\"\n"
                                    "[rule.r]\nmin_bad = 3\npercent = 50\n"),
       std::make_shared<ChargeLists>()});
  f.Feed("a.example", Minutes(2), Outcome::kDelivered);
  f.Feed("a.example", Minutes(2), Outcome::kFailed);
  SubjectReport report = f.limiter_->Report(Domain("a.example"));
  ASSERT_EQ(report.rules.size(), 2u);
  EXPECT_EQ(report.rules[0].counts.failed, 1) << "a new window begins at the reload";
  EXPECT_EQ(report.rules[1].counts.failed, 3);
}

TEST(Limiter, ShadowShowsTheSameCasesThatEnforceWouldOpen) {
  const std::string rule = "[rule.r]\nmin_bad = 3\npercent = 50\nblock_for = \"10m\"\n";
  std::vector<size_t> opened;
  for (const char* mode : {"mode = \"enforce\"\n", "mode = \"shadow\"\n"}) {
    LimiterFixture f(mode + rule, At(Hours(30)));
    f.FeedMany(3, "a.example", Minutes(0), Outcome::kFailed);
    f.Feed("a.example", Minutes(11), Outcome::kFailed);
    f.Feed("a.example", Minutes(23), Outcome::kFailed);
    opened.push_back(f.observer_.cases_.size());
  }
  EXPECT_EQ(opened[0], opened[1]);
}

TEST(Limiter, ABareLoginIsCountedThoughNoRuleAsks) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(2)));
  Attempt attempt = LimiterFixture::MakeAttempt("a.example", At(Minutes(1)), Outcome::kFailed);
  attempt.identity.login = "bob";
  for (int i = 0; i < 5; ++i) {
    attempt.message.id = absl::StrCat("m", i);
    f.Feed(attempt);
  }
  const Subject bob = {SubjectKind::kLogin, "bob@localhost"};
  EXPECT_EQ(f.limiter_->Report(bob).counts.failed, 5);
  EXPECT_FALSE(f.cases_->FindOpen(bob, false).has_value()) << "no rule judges logins";
}

TEST(Limiter, APersonsBlockTakesTheRulesPlaceAndEndsNoEarlier) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(0)));
  f.FeedMany(3, "a.example", Minutes(0), Outcome::kFailed);
  const Case block = f.committer_->Block(Domain("a.example"), Minutes(1), "root", "sure is sure");
  EXPECT_EQ(block.until, At(Minutes(60)));
  ASSERT_EQ(f.cases_->Open().size(), 1u);
  EXPECT_TRUE(f.cases_->Open()[0].manual);
  ASSERT_EQ(f.cases_->Closed(9).size(), 1u);
  EXPECT_EQ(f.cases_->Closed(9)[0].rule, "r");
  EXPECT_THAT(f.cases_->Closed(9)[0].closed_reason, HasSubstr("replaced by"));
}

TEST(Limiter, AReloadEndsWhatItDoesNotEnforce) {
  for (const char* policy :
       {"mode = \"shadow\"\n[rule.r]\nmin_bad = 3\npercent = 50\n",
        "[rule.r]\nmin_bad = 3\npercent = 50\nshadow = true\n",
        "[rule.other]\nmin_bad = 3\npercent = 50\n",
        "[rule.r]\nmin_bad = 3\npercent = 50\n[exempt]\ndomains = [\"a.example\"]\n"}) {
    LimiterFixture f(kThreeBadHalf, At(Minutes(0)));
    f.FeedMany(3, "a.example", Minutes(0), Outcome::kFailed);
    f.committer_->Block(Domain("b.example"), Hours(1), "root", "abuse");
    f.committer_->SetSettings(
        {LimiterFixture::ParsedPolicy(policy), std::make_shared<ChargeLists>()});
    EXPECT_FALSE(f.OpenCase("a.example").has_value()) << policy;
    EXPECT_TRUE(f.OpenCase("b.example").has_value()) << "a person's block stays";
  }
}

TEST(Limiter, ABurstOverThousandsOfDomainsEndsInOrder) {
  LimiterFixture f("[rule.r]\nmin_bad = 1\npercent = 1\n", At(Hours(30)));
  for (int i = 0; i < 5'000; ++i) {
    f.Feed(absl::StrCat("d", i, ".example"), Seconds(i % 600), Outcome::kFailed);
  }
  f.Feed("last.example", Hours(5), Outcome::kDelivered);
  EXPECT_TRUE(f.cases_->Open().empty());
  absl::Time last = absl::InfinitePast();
  for (const SeenCase& seen : f.observer_.cases_) {
    if (seen.change != CaseChange::kEnded) continue;
    EXPECT_LE(last, seen.record.until);
    last = seen.record.until;
  }
}

TEST(Limiter, TopIsWorstFirst) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(2)));
  f.FeedMany(2, "b.example", Minutes(1), Outcome::kFailed);
  f.FeedMany(5, "c.example", Minutes(1), Outcome::kDelivered);
  f.FeedMany(2, "a.example", Minutes(1), Outcome::kDeferred);
  f.FeedMany(1, "a.example", Minutes(1), Outcome::kDelivered);
  std::vector<SubjectCounts> top = f.limiter_->Top(0);
  ASSERT_EQ(top.size(), 3u);
  EXPECT_EQ(top[0].subject.id, "b.example");
  EXPECT_EQ(top[1].subject.id, "a.example");
  EXPECT_EQ(f.limiter_->Top(1).size(), 1u);
}

TEST(Limiter, SubjectsWithoutLiveCellsAreForgotten) {
  LimiterFixture f(kThreeBadHalf, At(Hours(30)));
  f.Feed("a.example", Minutes(0), Outcome::kFailed);
  f.Feed("b.example", Hours(3), Outcome::kFailed);
  EXPECT_EQ(f.limiter_->stats().subjects, 1u);
}

TEST(Limiter, ABareExpiryAfterOurOwnRefusalDoesNotCount) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(9)));
  Attempt refused =
      LimiterFixture::MakeAttempt("a.example", At(Minutes(1)), Outcome::kDeferred, "m");
  refused.remote = false;
  refused.reply =
      "Domain a.example has exceeded the max defers and failures per hour (5/5 (14%)) allowed. "
      "Message held until it recovers.";
  f.Feed(refused);
  Attempt expired =
      LimiterFixture::MakeAttempt("a.example", At(Minutes(2)), Outcome::kExpired, "m");
  expired.remote = false;
  expired.bare_expiry = true;
  f.Feed(expired);
  EXPECT_THAT(f.observer_.left_out_,
              testing::ElementsAre(LeftOut::kOwnRefusal, LeftOut::kOwnRefusal));
  EXPECT_EQ(f.CountsNow("a.example"), Counts{});
}

TEST(Limiter, ABareExpiryAfterRemoteDeferralsIsAFailure) {
  LimiterFixture f(kThreeBadHalf, At(Minutes(9)));
  f.Feed("a.example", Minutes(1), Outcome::kDeferred, "m");
  Attempt expired =
      LimiterFixture::MakeAttempt("a.example", At(Minutes(2)), Outcome::kExpired, "m");
  expired.remote = false;
  expired.bare_expiry = true;
  f.Feed(expired);
  EXPECT_EQ(f.CountsNow("a.example"), (Counts{.failed = 1}));
}

TEST(Limiter, BatchesDoNotChangeTheResult) {
  std::vector<Attempt> attempts;
  for (int i = 0; i < 500; ++i) {
    attempts.push_back(LimiterFixture::MakeAttempt(
        i % 3 == 0 ? "a.example" : "b.example", At(Seconds(i * 20)),
        i % 5 == 0 ? Outcome::kDelivered : Outcome::kFailed, absl::StrCat("m", i % 100)));
  }
  std::vector<std::string> results;
  for (size_t batch_size : {1u, 2u, 7u, 1000u}) {
    LimiterFixture f(kThreeBadHalf, At(Hours(30)));
    for (size_t begin = 0; begin < attempts.size(); begin += batch_size) {
      EventBatch batch;
      for (size_t i = begin; i < std::min(begin + batch_size, attempts.size()); ++i) {
        *batch.Add() = {LogEvent::Kind::kAttempt, attempts[i]};
      }
      f.committer_->Record(batch);
    }
    std::string result;
    for (const SeenCase& seen : f.observer_.cases_) {
      absl::StrAppend(&result, CaseChangeName(seen.change), " ", seen.record.subject.ToString(),
                      " ", absl::FormatTime(seen.record.since), " ", seen.record.counts.bad(),
                      "\n");
    }
    results.push_back(result);
  }
  EXPECT_THAT(results[0], HasSubstr("opened a.example"));
  for (const std::string& result : results) EXPECT_EQ(result, results[0]);
}

// A relay host's message of its own sender: to a server that refuses it, or delivered.
class HostTest : public testing::Test {
 protected:
  explicit HostTest(const std::string& policy = std::string(BuiltInPolicyText())) : f_(policy) {
    auto lists = std::make_shared<ChargeLists>();
    EXPECT_THAT(lists->relay_hosts.Add("192.0.2.0/24"), IsOk());
    f_.settings_.lists = lists;
    f_.committer_->SetSettings(f_.settings_);
  }

  void Send(const std::string& host, const std::string& sender, Outcome outcome) {
    Attempt attempt = LimiterFixture::MakeAttempt("x", At(Seconds(seconds_++)), outcome);
    attempt.identity = {.sender = sender, .host = host};
    attempt.reply = outcome == Outcome::kDelivered ? "250 OK" : "550 5.1.1 no such user";
    attempt.host = "mx.far.example";
    f_.Feed(attempt);
  }
  std::optional<Case> HostCase(const std::string& host) {
    return f_.cases_->FindOpen(*HostSubject(host), /*shadow=*/false);
  }

  int seconds_ = 6600;  // ten minutes before the clock
  LimiterFixture f_;
};

TEST_F(HostTest, EverNewSendersFromARelayHostHaveOneCase) {
  for (int i = 0; i < 150; ++i) {
    Send("192.0.2.7", absl::StrCat("a@new", i, ".example"), Outcome::kFailed);
  }
  ASSERT_TRUE(HostCase("192.0.2.7").has_value());
  EXPECT_EQ(HostCase("192.0.2.7")->rule, "host");
  EXPECT_EQ(HostCase("192.0.2.7")->action.ToString(), "hold");
  EXPECT_FALSE(HostCase("192.0.2.8").has_value());
}

TEST_F(HostTest, EverNewSendersFromThisHostHaveOneCase) {
  for (int i = 0; i < 150; ++i) {
    Send(i % 2 == 0 ? "127.0.0.1" : "::1", i % 3 == 0 ? "" : absl::StrCat("a@new", i, ".example"),
         Outcome::kFailed);
  }
  EXPECT_TRUE(HostCase("127.0.0.1").has_value());
}

TEST_F(HostTest, OneBadSenderIsNotItsHost) {
  for (int i = 0; i < 300; ++i) Send("192.0.2.7", "a@bad.example", Outcome::kFailed);
  for (int i = 0; i < 20; ++i) {
    Send("192.0.2.7", absl::StrCat("a@good", i, ".example"), Outcome::kDelivered);
  }
  EXPECT_TRUE(f_.OpenCase("bad.example").has_value());
  EXPECT_FALSE(HostCase("192.0.2.7").has_value());
  EXPECT_EQ(f_.limiter_->Report(*HostSubject("192.0.2.7")).counts.bad(), 10);
}

TEST_F(HostTest, AHostThatIsNoRelayAnyMoreIsLetGo) {
  for (int i = 0; i < 150; ++i) {
    Send("192.0.2.7", absl::StrCat("a@new", i, ".example"), Outcome::kFailed);
  }
  f_.settings_.lists = std::make_shared<ChargeLists>();
  f_.committer_->SetSettings(f_.settings_);
  EXPECT_FALSE(HostCase("192.0.2.7").has_value());
}

}  // namespace
}  // namespace deferd
