// Troubles of servers are told from those of senders.

#include "limiter/incidents.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Hours;
using absl::Minutes;
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

  void Start(const std::string& head = "") {
    f_ = std::make_unique<LimiterFixture>(head + "[rule.r]\nmin_bad = 3\npercent = 50\n",
                                          At(Hours(1)));
  }

  void Feed(const std::string& domain, absl::Duration at, Outcome outcome, const std::string& reply,
            const std::string& host = "mx1.far.example", const std::string& message = "") {
    Attempt attempt = LimiterFixture::MakeAttempt(domain, At(at), outcome, message);
    attempt.reply = reply;
    attempt.host = host;
    f_->Feed(attempt);
  }
  // So many domains fail there, each once.
  void FailMany(int n, absl::Duration at, const std::string& reply = kClosed) {
    for (int i = 0; i < n; ++i) {
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
  EXPECT_EQ(Shown()[0].scope, ReplyScope::kDestination);
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
  EXPECT_EQ(closed[0].closed_by, "incident");
}

TEST_F(IncidentsTest, ACaseThatCountedNoneOfItStays) {
  f_ = std::make_unique<LimiterFixture>(
      "[rule.r]\nmin_bad = 3\npercent = 50\nblock_for = \"10m\"\n", At(Hours(1)));
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
  Feed("a.example", Minutes(10), Outcome::kDeferred, "450 4.7.1 access denied, see your postmaster",
       "mx.far.example", "m");
  const Counts before = f_->CountsNow("a.example");
  ASSERT_EQ(before, (Counts{.deferred = 1}));
  FailMany(4, Minutes(11));
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("a.example"), Counts{});
  Feed("a.example", Minutes(20), Outcome::kDelivered, "250 ok", "mx.far.example", "m");
  EXPECT_EQ(f_->CountsNow("a.example"), (Counts{.delivered = 1}));
}

TEST_F(IncidentsTest, WhatWasDeliveredSinceIsNotTakenOutOfOthers) {
  Feed("a.example", Minutes(10), Outcome::kDeferred, "450 4.7.1 access denied, see your postmaster",
       "mx.far.example", "m");
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
  f_->limiter_->Tick();
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
  ASSERT_THAT(f_->keeper_->Commit(), IsOk());
  f_->Start();
  EXPECT_TRUE(f_->OpenCase("a.example").has_value());
  Feed("d3.example", Minutes(11), Outcome::kFailed, kClosed);
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(f_->CountsNow("a.example"), Counts{});
  EXPECT_FALSE(f_->OpenCase("a.example").has_value());
  ASSERT_THAT(f_->keeper_->Commit(), IsOk());
  f_->Start();
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(Shown()[0].attempts, 5);
  Feed("d9.example", Minutes(12), Outcome::kFailed, kClosed);
  EXPECT_EQ(f_->CountsNow("d9.example"), Counts{});
}

TEST_F(IncidentsTest, PlacesAreBounded) {
  Incidents incidents(/*tell_changes=*/false);
  Classification answer;
  answer.scope = ReplyScope::kDestination;
  for (int i = 0; i < 12'000; ++i) {
    incidents.SeeFailure({ReplyScope::kDestination, absl::StrCat("p", i, ".example")}, answer, "no",
                         {SubjectKind::kDomain, "a.example"}, At(absl::Seconds(i)), Hours(24));
  }
  EXPECT_FALSE(incidents.Expire(At(Hours(48)), Hours(24)).size() > Incidents::kMaxPlaces);
  EXPECT_TRUE(incidents.empty());
}

}  // namespace
}  // namespace deferd
