// Troubles of servers are told from those of senders.

#include "limiter/judging/incidents.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Hours;
using absl::Minutes;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// Counts as a failure of the sender, if nothing else is known.
constexpr char kClosed[] = "554 5.7.1 Access denied, see your postmaster";
constexpr char kUnknown[] = "550 5.1.1 No such user here";
constexpr char kIpListed[] =
    "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org";

class IncidentsTest : public testing::Test {
 protected:
  IncidentsTest() { Start(); }

  void Start(const std::string& head = "", const std::string& more = "") {
    f_ = std::make_unique<LimiterFixture>(head + "[rule.r]\nmin_bad = 3\npercent = 50\n" + more,
                                          At(Hours(1)));
    for (const char* domain : {"a.example", "b.example"}) Befriend(domain);
    for (int i = 0; i < 10; ++i) Befriend(absl::StrCat("d", i, ".example"));
  }

  void Feed(const std::string& domain, absl::Duration at, Outcome outcome, const std::string& reply,
            const std::string& host = "mx1.far.example", const std::string& message = "") {
    Attempt attempt = LimiterFixture::MakeAttempt(domain, At(at), outcome, message);
    attempt.reply = reply;
    attempt.host = host;
    f_->Feed(attempt);
  }
  // Domains that had mail delivered at that place some time before, and none in the window.
  void Befriend(const std::string& domain, const std::string& host = "mx1.far.example") {
    Feed(domain, -Hours(3), Outcome::kDelivered, "250 ok", host);
  }
  // So many domains fail there, each once; they were delivered to before.
  void FailMany(int n, absl::Duration at, const std::string& reply = kClosed) {
    FailMany(0, n, at, reply);
  }
  void FailMany(int from, int n, absl::Duration at, const std::string& reply = kClosed) {
    for (int i = from; i < from + n; ++i) {
      Feed(absl::StrCat("d", i, ".example"), at, Outcome::kFailed, reply,
           absl::StrCat("mx", i, ".far.example"));
    }
  }
  std::vector<Incident> Shown() { return f_->limiter_->ShownIncidents(); }

  std::unique_ptr<LimiterFixture> f_;
};

TEST_F(IncidentsTest, TheTestsAnswerCountsByItself) {
  Feed("a.example", Minutes(1), Outcome::kFailed, kClosed);
  EXPECT_EQ(f_->CountsNow("a.example"), (Counts{.failed = 1}));
}

TEST_F(IncidentsTest, ManyAtOnceIsAnIncidentAndIsTakenOut) {
  FailMany(4, Minutes(10));
  EXPECT_EQ(f_->CountsNow("d0.example"), (Counts{.failed = 1}));
  EXPECT_THAT(Shown(), IsEmpty());
  Feed("d4.example", Minutes(11), Outcome::kFailed, kClosed);
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(Shown()[0].where, "far.example");
  EXPECT_EQ(Shown()[0].scope, ReplyScope::kSenderDomain);
  EXPECT_THAT(Shown()[0].witnesses, Contains("d0.example by login bob@d0.example"));
  EXPECT_EQ(Shown()[0].since, At(Minutes(10)));
  EXPECT_EQ(Shown()[0].attempts, 5);
  EXPECT_THAT(Shown()[0].subjects, SizeIs(5));
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(f_->CountsNow(absl::StrCat("d", i, ".example")), Counts{}) << i;
  }
  Feed("d9.example", Minutes(12), Outcome::kFailed, kClosed);
  EXPECT_EQ(f_->CountsNow("d9.example"), Counts{}) << "left out from then on";
  EXPECT_EQ(f_->observer_.left_out_.back(), LeftOut::kIncident);
}

TEST_F(IncidentsTest, ADestinationThatDeliversIsNoIncident) {
  for (int round = 0; round < 5; ++round) {
    FailMany(4, Minutes(10));
    Feed("z.example", Minutes(10), Outcome::kDelivered, "250 ok");
  }
  EXPECT_THAT(Shown(), IsEmpty());
  EXPECT_EQ(f_->CountsNow("d0.example").failed, 5);
}

TEST_F(IncidentsTest, OneLoudSubjectIsNoIncident) {
  for (int i = 0; i < 50; ++i) Feed("a.example", Minutes(10), Outcome::kFailed, kClosed);
  EXPECT_THAT(Shown(), IsEmpty());
  EXPECT_TRUE(f_->OpenCase("a.example").has_value());
}

TEST_F(IncidentsTest, UnknownRecipientsAreNoIncidentHoweverMany) {
  FailMany(20, Minutes(10), kUnknown);
  EXPECT_THAT(Shown(), IsEmpty());
  EXPECT_EQ(f_->CountsNow("d19.example").failed, 1);
}

TEST_F(IncidentsTest, FailuresHoursApartAreNotAtOnce) {
  f_->clock_.Set(At(Hours(9)));
  for (int i = 0; i < 8; ++i) {
    Feed(absl::StrCat("d", i, ".example"), Minutes(61) * i, Outcome::kFailed, kClosed);
  }
  EXPECT_THAT(Shown(), IsEmpty());
}

TEST_F(IncidentsTest, UnknownRecipientsStillCountDuringOne) {
  FailMany(5, Minutes(10));
  Feed("a.example", Minutes(11), Outcome::kFailed, kUnknown);
  EXPECT_EQ(f_->CountsNow("a.example").failed, 1);
}

TEST_F(IncidentsTest, OnlyWhatIsThereIsTakenOut) {
  Feed("d0.example", Minutes(9), Outcome::kFailed, kUnknown, "mx.other.example");
  Feed("d0.example", Minutes(9), Outcome::kFailed, kClosed, "mx.other.example");
  FailMany(5, Minutes(10));
  EXPECT_EQ(f_->CountsNow("d0.example").failed, 2);
}

TEST_F(IncidentsTest, ACaseThatRestedOnItCloses) {
  for (int i = 0; i < 3; ++i) Feed("a.example", Minutes(10), Outcome::kFailed, kClosed);
  for (int i = 0; i < 3; ++i) Feed("b.example", Minutes(10), Outcome::kFailed, kUnknown);
  Feed("b.example", Minutes(10), Outcome::kFailed, kClosed);
  ASSERT_TRUE(f_->OpenCase("a.example").has_value());
  FailMany(4, Minutes(11));
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_FALSE(f_->OpenCase("a.example").has_value());
  EXPECT_TRUE(f_->OpenCase("b.example").has_value()) << "it rests on unknown recipients";
  const std::vector<Case> closed = f_->cases_->Closed(1);
  ASSERT_THAT(closed, SizeIs(1));
  EXPECT_EQ(CloserOf(closed[0]), "incident");
  EXPECT_THAT(closed[0].closed_reason, HasSubstr("d2.example by login bob@d2.example"));
}

TEST_F(IncidentsTest, ACaseThatCountedNoneOfItStays) {
  Start("", "block_for = \"10m\"\n");
  Feed("a.example", Minutes(1), Outcome::kFailed, kClosed);
  Feed("a.example", Minutes(1), Outcome::kFailed, kClosed);
  Feed("a.example", Minutes(1), Outcome::kFailed, kUnknown, "mx.other.example");
  ASSERT_TRUE(f_->OpenCase("a.example").has_value());
  Feed("z.example", Minutes(12), Outcome::kDelivered, "250 ok", "mx.other.example");
  ASSERT_FALSE(f_->OpenCase("a.example").has_value()) << "its time is over, and it counts anew";
  for (int i = 0; i < 3; ++i) {
    Feed("a.example", Minutes(20), Outcome::kFailed, kUnknown, "mx.other.example");
  }
  ASSERT_TRUE(f_->OpenCase("a.example").has_value());
  FailMany(4, Minutes(21));
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_TRUE(f_->OpenCase("a.example").has_value());
}

TEST_F(IncidentsTest, ADeferralThatWasTakenOutMayBeDelivered) {
  Feed("a.example", Minutes(10), Outcome::kDeferred,
       "450 4.7.1 message rejected for policy reasons", "mx.far.example", "m");
  const Counts before = f_->CountsNow("a.example");
  ASSERT_EQ(before, (Counts{.deferred = 1}));
  FailMany(4, Minutes(11));
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("a.example"), Counts{});
  Feed("a.example", Minutes(20), Outcome::kDelivered, "250 ok", "mx.far.example", "m");
  EXPECT_EQ(f_->CountsNow("a.example"), (Counts{.delivered = 1}));
}

TEST_F(IncidentsTest, WhatWasDeliveredSinceIsNotTakenOutOfOthers) {
  Feed("a.example", Minutes(10), Outcome::kDeferred,
       "450 4.7.1 message rejected for policy reasons", "mx.far.example", "m");
  // Delivered elsewhere, so the place is still a failing one; then another deferral of the same
  // step counts, elsewhere.
  Feed("a.example", Minutes(10), Outcome::kDelivered, "250 ok", "mx.other.example", "m");
  Feed("a.example", Minutes(10), Outcome::kDeferred, "450 4.1.1 user unknown", "mx.other.example");
  FailMany(5, Minutes(11));
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("a.example"), (Counts{.delivered = 1, .deferred = 1}));
}

TEST_F(IncidentsTest, DeliveriesInARowEndIt) {
  FailMany(5, Minutes(10));
  Feed("a.example", Minutes(11), Outcome::kDelivered, "250 ok");
  Feed("a.example", Minutes(11), Outcome::kDelivered, "250 ok");
  Feed("a.example", Minutes(11), Outcome::kFailed, kClosed);
  Feed("a.example", Minutes(12), Outcome::kDelivered, "250 ok");
  Feed("a.example", Minutes(12), Outcome::kDelivered, "250 ok");
  EXPECT_TRUE(Shown()[0].open());
  Feed("a.example", Minutes(13), Outcome::kDelivered, "250 ok");
  EXPECT_FALSE(Shown()[0].open());
  EXPECT_EQ(Shown()[0].ended, At(Minutes(13)));
  Feed("a.example", Minutes(14), Outcome::kFailed, kClosed);
  EXPECT_EQ(f_->CountsNow("a.example").failed, 1);
}

TEST_F(IncidentsTest, SilenceEndsIt) {
  FailMany(5, Minutes(10));
  f_->clock_.Set(At(Hours(3)));
  Feed("a.example", Minutes(71), Outcome::kFailed, kUnknown, "mx.other.example");
  EXPECT_FALSE(Shown()[0].open());
}

TEST_F(IncidentsTest, SilenceEndsItWhileTheLogIsQuietToo) {
  FailMany(5, Minutes(10));
  f_->clock_.Set(At(Hours(3)));
  f_->committer_->Tick();
  EXPECT_FALSE(Shown()[0].open());
}

TEST_F(IncidentsTest, OneAnswerAboutOurIpIsOne) {
  Feed("a.example", Minutes(10), Outcome::kFailed, kIpListed);
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(Shown()[0].scope, ReplyScope::kIp);
  EXPECT_EQ(Shown()[0].where, "far.example");
  Feed("a.example", Minutes(11), Outcome::kFailed, kClosed);
  EXPECT_EQ(f_->CountsNow("a.example").failed, 1) << "other answers of the same place count";
}

TEST_F(IncidentsTest, ProfileCpanelShowsThemAndCountsOn) {
  Start("profile = \"cpanel\"\n");
  FailMany(6, Minutes(10));
  EXPECT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("d0.example").failed, 1);
  EXPECT_EQ(f_->CountsNow("d5.example").failed, 1);
}

TEST_F(IncidentsTest, ARestartForgetsNothing) {
  for (int i = 0; i < 3; ++i) Feed("a.example", Minutes(10), Outcome::kFailed, kClosed);
  FailMany(3, Minutes(10));
  ASSERT_THAT(f_->committer_->Commit(), IsOk());
  f_->Start();
  EXPECT_TRUE(f_->OpenCase("a.example").has_value());
  Feed("d3.example", Minutes(11), Outcome::kFailed, kClosed);
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("a.example"), Counts{});
  EXPECT_FALSE(f_->OpenCase("a.example").has_value());
  ASSERT_THAT(f_->committer_->Commit(), IsOk());
  f_->Start();
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(Shown()[0].attempts, 7) << "each answer that is left out, not each witness";
  Feed("d9.example", Minutes(12), Outcome::kFailed, kClosed);
  EXPECT_EQ(f_->CountsNow("d9.example"), Counts{});
}

// A sender that is refused for what it sends, and tries to have it called the destination's fault.
class FreeingTest : public IncidentsTest {
 protected:
  FreeingTest() {
    for (int i = 0; i < 3; ++i) Feed("evil.example", Minutes(10), Outcome::kFailed, kClosed);
    EXPECT_TRUE(f_->OpenCase("evil.example").has_value());
  }
  // Refused as well: `sender`, by the login or from the host.
  void Fail(const std::string& sender, const std::string& login, const std::string& host,
            const std::string& reply = kClosed) {
    Attempt attempt = LimiterFixture::MakeAttempt("x", At(Minutes(12)), Outcome::kFailed);
    attempt.identity = {.sender = sender, .login = login, .host = host};
    attempt.reply = reply;
    attempt.host = "mx1.far.example";
    f_->Feed(attempt);
  }
  void StillBlocked() {
    EXPECT_THAT(Shown(), IsEmpty());
    EXPECT_TRUE(f_->OpenCase("evil.example").has_value());
    const int64_t before = f_->CountsNow("evil.example").failed;
    Feed("evil.example", Minutes(13), Outcome::kFailed, kClosed);
    EXPECT_EQ(f_->CountsNow("evil.example").failed, before + 1);
  }
};

TEST_F(FreeingTest, InventedSendersBehindARelayHostAreNoWitnesses) {
  auto lists = std::make_shared<ChargeLists>();
  EXPECT_THAT(lists->relay_hosts.Add("192.0.2.7"), IsOk());
  f_->settings_.lists = lists;
  f_->committer_->SetSettings(f_->settings_);
  for (const char* reply :
       {kClosed,
        "550 5.7.26 Unauthenticated email is not accepted due to its domain's DMARC policy",
        "554 Transaction failed"}) {
    for (int i = 0; i < 30; ++i) {
      Fail(absl::StrCat("a@new", i, ".example"), "", "192.0.2.7", reply);
    }
  }
  StillBlocked();
}

TEST_F(FreeingTest, KnownSendersBehindOneRelayHostAreOneWitness) {
  auto lists = std::make_shared<ChargeLists>();
  EXPECT_THAT(lists->relay_hosts.Add("192.0.2.7"), IsOk());
  f_->settings_.lists = lists;
  f_->committer_->SetSettings(f_->settings_);
  for (int i = 0; i < 9; ++i) Fail(absl::StrCat("a@d", i, ".example"), "", "192.0.2.7");
  StillBlocked();
}

TEST_F(FreeingTest, LoginsOfOneDomainAreOneWitness) {
  for (int i = 0; i < 9; ++i) Fail("a@d1.example", absl::StrCat("u", i, "@d1.example"), "");
  StillBlocked();
}

TEST_F(FreeingTest, SendersThatWereNeverDeliveredAreNoWitnesses) {
  for (int i = 0; i < 9; ++i) Fail("", absl::StrCat("a@fresh", i, ".example"), "");
  StillBlocked();
}

TEST_F(FreeingTest, DomainsThatAreNotHostedAreNoWitnesses) {
  auto lists = std::make_shared<ChargeLists>();
  lists->hosted.push_back(DomainPattern::Parse("evil.example").value());
  f_->settings_.lists = lists;
  f_->committer_->SetSettings(f_->settings_);
  FailMany(9, Minutes(12));
  StillBlocked();
}

// Everybody is refused there who was not before; but evil.example never was delivered to there.
TEST_F(FreeingTest, WhoWasNeverDeliveredToThereIsNotFreed) {
  FailMany(5, Minutes(12));
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("d0.example"), Counts{});
  EXPECT_TRUE(f_->OpenCase("evil.example").has_value());
  Feed("evil.example", Minutes(13), Outcome::kFailed, kClosed);
  EXPECT_EQ(f_->CountsNow("evil.example").failed, 4);
  EXPECT_FALSE(Shown()[0].subjects.contains("evil.example"));
}

// Other nodes read the reason of a case's end, within limits.
TEST_F(IncidentsTest, LongNamesOfWitnessesAreCut) {
  for (int i = 0; i < 3; ++i) Feed("a.example", Minutes(10), Outcome::kFailed, kClosed);
  for (int i = 0; i < 5; ++i) {
    Attempt attempt = LimiterFixture::MakeAttempt("x", At(Minutes(11)), Outcome::kFailed);
    attempt.identity = {.login = absl::StrCat(std::string(2'000, 'x'), i, "@d", i, ".example")};
    attempt.reply = kClosed;
    attempt.host = "mx1.far.example";
    f_->Feed(attempt);
  }
  const std::vector<Case> closed = f_->cases_->Closed(1);
  ASSERT_THAT(closed, SizeIs(1));
  EXPECT_LT(closed[0].closed_reason.size(), 2'000u);
}

TEST_F(IncidentsTest, ATroubleOfThePlaceDoesNotUndoRefusals) {
  for (int i = 0; i < 3; ++i) Feed("a.example", Minutes(10), Outcome::kFailed, kClosed);
  for (int i = 0; i < 6; ++i) {
    Feed(absl::StrCat("d", i, ".example"), Minutes(11), Outcome::kFailed,
         "554 5.3.2 System not accepting network messages");
  }
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(Shown()[0].scope, ReplyScope::kDestination);
  EXPECT_TRUE(f_->OpenCase("a.example").has_value());
}

TEST_F(IncidentsTest, ACaseStaysForWhatCameAfterIt) {
  for (int i = 0; i < 3; ++i) Feed("a.example", Minutes(10), Outcome::kFailed, kClosed);
  for (int i = 0; i < 3; ++i) {
    Feed("a.example", Minutes(11), Outcome::kFailed, kUnknown, "mx.other.example");
  }
  FailMany(5, Minutes(12));
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_TRUE(f_->OpenCase("a.example").has_value());
}

// Look-ups, which name no host.
class ResolverTest : public IncidentsTest {
 protected:
  ResolverTest() { Start("", "[classes]\ndns_routing = \"counts\"\n"); }

  void LookUp(const std::string& domain, const std::string& recipient, Outcome outcome,
              const std::string& reply, absl::Duration at = Minutes(10)) {
    Attempt attempt = LimiterFixture::MakeAttempt(domain, At(at), outcome, "", recipient);
    attempt.reply = reply;
    f_->Feed(attempt);
  }
};
constexpr char kNoAnswer[] = "host lookup did not complete";
constexpr char kNoDomain[] =
    "Host or domain name not found. Name service error for name=x type=A: Host not found";

TEST_F(ResolverTest, NoAnswersForManyAreAnIncident) {
  for (int i = 0; i < 6; ++i) {
    LookUp(absl::StrCat("d", i, ".example"), absl::StrCat("r@far", i, ".example"),
           Outcome::kDeferred, kNoAnswer);
  }
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(Shown()[0].where, Incident::kResolver);
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(f_->CountsNow(absl::StrCat("d", i, ".example")), Counts{}) << i;
  }
  for (int i = 0; i < 3; ++i) {
    Feed("a.example", Minutes(20), Outcome::kDelivered, "250 ok", "mx.any.example");
  }
  EXPECT_FALSE(Shown()[0].open());
}

TEST_F(ResolverTest, InventedDomainsAreNone) {
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 6; ++i) {
      LookUp(absl::StrCat("d", i, ".example"), absl::StrCat("r@none", round, i, ".example"),
             Outcome::kFailed, kNoDomain);
    }
  }
  EXPECT_THAT(Shown(), IsEmpty());
  EXPECT_EQ(f_->CountsNow("d0.example").failed, 4);
  EXPECT_TRUE(f_->OpenCase("d0.example").has_value());
}

TEST_F(ResolverTest, ADomainThatHadMailTodayIsNotGone) {
  Attempt delivered = LimiterFixture::MakeAttempt("z.example", At(-Hours(2)), Outcome::kDelivered,
                                                  "", "x@Partner.example");
  f_->Feed(delivered);
  for (int i = 0; i < 6; ++i) {
    LookUp(absl::StrCat("d", i, ".example"), "r@partner.example", Outcome::kFailed, kNoDomain);
  }
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("d0.example"), Counts{});
  // What nobody ever reached is still the sender's.
  LookUp("d0.example", "r@invented.example", Outcome::kFailed, kNoDomain);
  EXPECT_EQ(f_->CountsNow("d0.example").failed, 1);
}

TEST_F(ResolverTest, WhatWasDeliveredIsRememberedOverARestart) {
  f_->Feed(LimiterFixture::MakeAttempt("z.example", At(-Hours(2)), Outcome::kDelivered, "",
                                       "x@partner.example"));
  ASSERT_THAT(f_->committer_->Commit(), IsOk());
  f_->Start();
  for (int i = 0; i < 6; ++i) {
    LookUp(absl::StrCat("d", i, ".example"), "r@partner.example", Outcome::kFailed, kNoDomain);
  }
  EXPECT_THAT(Shown(), SizeIs(1));
}

TEST(DeliveryMemory, KnowsADayAndIsBounded) {
  DeliveryMemory memory;
  std::vector<std::string> gone;
  EXPECT_TRUE(memory.See("a", At(Minutes(0)), &gone));
  EXPECT_FALSE(memory.See("a", At(Minutes(59)), &gone)) << "once an hour is enough";
  EXPECT_TRUE(memory.See("a", At(Minutes(60)), &gone));
  EXPECT_TRUE(memory.Knows("a", At(Hours(25))));
  EXPECT_FALSE(memory.Knows("a", At(Hours(25) + Minutes(1))));
  for (size_t i = 0; i < DeliveryMemory::kMaxNames; ++i) {
    memory.See(absl::StrCat("a", i), At(Hours(2) + absl::Milliseconds(i)), &gone);
  }
  EXPECT_THAT(gone, Contains("a"));
  EXPECT_FALSE(memory.Find("a").has_value());
  EXPECT_TRUE(memory.Find(absl::StrCat("a", DeliveryMemory::kMaxNames - 1)).has_value());
}

TEST(DeliveryMemory, NamesOfOneSortDoNotDriveOutOthers) {
  DeliveryMemory memory;
  std::vector<std::string> gone;
  memory.See("a", At(Minutes(0)), &gone);
  for (size_t i = 0; i < DeliveryMemory::kMaxNames + 1'000; ++i) {
    memory.See(absl::StrCat("n", i), At(Minutes(1)), &gone);
  }
  EXPECT_TRUE(memory.Find("a").has_value());
  EXPECT_FALSE(gone.empty());
}

TEST_F(IncidentsTest, PlacesAreBounded) {
  Incidents incidents(/*track_changes=*/false);
  Classification answer;
  answer.scope = ReplyScope::kDestination;
  for (int i = 0; i < 12'000; ++i) {
    incidents.SeeFailure({ReplyScope::kDestination, absl::StrCat("p", i, ".example")}, answer, "no",
                         {SubjectKind::kDomain, "a.example"}, std::nullopt, At(absl::Seconds(i)),
                         Hours(24));
  }
  EXPECT_FALSE(incidents.Expire(At(Hours(48)), Hours(24)).size() > Incidents::kMaxPlaces);
  EXPECT_TRUE(incidents.empty());
}

}  // namespace
}  // namespace deferd
