#include "policy/left_out.h"

#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/refusal_text.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

constexpr absl::string_view kRefusal =
    "Domain example.com has exceeded the max defers and failures per hour (5/5 (14%)) allowed. "
    "Message rejected, try again after 14:05 UTC.";

Attempt RemoteFailure() {
  Attempt attempt;
  attempt.outcome = Outcome::kFailed;
  attempt.host = "mx.dest.example";
  attempt.host_ip = "198.51.100.1";
  attempt.remote = true;
  attempt.reply = "550 no such user";
  return attempt;
}

class LeftOutTest : public testing::Test {
 protected:
  LeftOut Why(LeftOut previous = LeftOut::kCounts) const {
    return WhyLeftOut(lists_, attempt_, previous);
  }
  ChargeLists lists_;
  Attempt attempt_ = RemoteFailure();
};

TEST_F(LeftOutTest, RemoteAttemptsCount) {
  EXPECT_EQ(Why(), LeftOut::kCounts);
  EXPECT_EQ(Why(LeftOut::kOwnRefusal), LeftOut::kCounts);
}

TEST_F(LeftOutTest, OwnRefusalComesFirst) {
  attempt_.reply = std::string(kRefusal);
  attempt_.identity.made_by_mta = true;
  attempt_.bare_expiry = true;
  EXPECT_EQ(Why(), LeftOut::kOwnRefusal);
}

TEST_F(LeftOutTest, BouncesOfTheMtaDoNotCount) {
  attempt_.identity.made_by_mta = true;
  EXPECT_EQ(Why(), LeftOut::kMadeByMta);
}

TEST_F(LeftOutTest, InternalHostsByAddressOrName) {
  ASSERT_THAT(lists_.internal_hosts.Add("198.51.100.0/24"), IsOk());
  EXPECT_EQ(Why(), LeftOut::kInternalHost);
  attempt_.host_ip = "203.0.113.1";
  EXPECT_EQ(Why(), LeftOut::kCounts);
  ASSERT_THAT(lists_.internal_hosts.Add("MX.dest.example"), IsOk());
  EXPECT_EQ(Why(), LeftOut::kInternalHost);
}

TEST_F(LeftOutTest, BareExpiryTakesAfterTheLastAttempt) {
  attempt_.bare_expiry = true;
  attempt_.remote = false;
  attempt_.host = attempt_.host_ip = "";
  attempt_.reply = "retry timeout exceeded";
  EXPECT_EQ(Why(LeftOut::kCounts), LeftOut::kCounts);
  EXPECT_EQ(Why(LeftOut::kOwnRefusal), LeftOut::kOwnRefusal);
  EXPECT_EQ(Why(LeftOut::kNoRemoteHost), LeftOut::kNoRemoteHost);
}

TEST_F(LeftOutTest, LocalDeliveriesCountOnlyIfAsked) {
  attempt_.remote = false;
  EXPECT_EQ(Why(), LeftOut::kNoRemoteHost);
  lists_.local = true;
  EXPECT_EQ(Why(), LeftOut::kCounts);
}

TEST(LeftOut, ReasonsHaveDistinctNames) {
  for (int i = 0; i < kLeftOutReasons; ++i) {
    EXPECT_NE(LeftOutName(static_cast<LeftOut>(i)), "unknown");
    for (int j = 0; j < i; ++j) {
      EXPECT_NE(LeftOutName(static_cast<LeftOut>(i)), LeftOutName(static_cast<LeftOut>(j)));
    }
  }
}

TEST(OwnRefusal, EverySentenceOfOursIsKnown) {
  for (Profile profile : {Profile::kFair, Profile::kCpanel}) {
    Policy policy;
    policy.profile = profile;
    for (Verdict verdict : {Verdict::kHold, Verdict::kReject, Verdict::kDiscard}) {
      for (const char* subject :
           {"example.com", "login:bob@example.com", "login:450", "login:bob smith", "account:acct1",
            "script:/srv/a/form.php", "local:www-data@web1", "forward:example.com"}) {
        for (bool by_person : {false, true}) {
          const Refusal refusal = {Subject::Parse(subject).value(), 123,      100, 7,
                                   absl::FromUnixSeconds(0),        by_person};
          const std::string text = RefusalText(policy, refusal, verdict);
          EXPECT_TRUE(IsOwnRefusal(text)) << text;
          EXPECT_TRUE(IsOwnRefusal("550 5.7.1 " + text)) << text;
          // Wrapped between any two words, as Exim and Postfix write it.
          for (const char* gap :
               {"\\n550-", "\\n550 ", "\\n550-5.7.1 ", " 550 5.7.1 ", "\r\n550 "}) {
            const std::string wrapped = "550-5.7.1 " + absl::StrReplaceAll(text, {{" ", gap}});
            EXPECT_TRUE(IsOwnRefusal(wrapped)) << wrapped;
          }
        }
      }
    }
  }
}

struct ReplyCase {
  std::string name;
  std::string reply;
  bool own;
};
void PrintTo(const ReplyCase& c, std::ostream* out) { *out << c.name; }

class OwnRefusalTest : public testing::TestWithParam<ReplyCase> {};

TEST_P(OwnRefusalTest, IsToldByTheWholeSentence) {
  EXPECT_EQ(IsOwnRefusal(GetParam().reply), GetParam().own) << GetParam().reply;
}

INSTANTIATE_TEST_SUITE_P(
    Replies, OwnRefusalTest,
    testing::Values(
        ReplyCase{"Plain", std::string(kRefusal), true},
        ReplyCase{
            "Exim",
            absl::StrCat("SMTP error from remote mail server after RCPT TO:<r@dest.example>: 550 ",
                         kRefusal),
            true},
        ReplyCase{"PostfixAtData",
                  absl::StrCat("host mx.dest.example[192.0.2.1] said: 550 5.7.1 <DATA>: Data "
                               "command rejected: ",
                               kRefusal, " (in reply to DATA command)"),
                  true},
        ReplyCase{"EximWrapped",
                  "SMTP error from remote mail server after MAIL FROM:<a@bad.example>: 550-Domain "
                  "bad.example has exceeded the max defers and failures per hour (5/5\\n550 (14%)) "
                  "allowed. Message discarded.",
                  true},
        ReplyCase{
            "Postfix",
            "host gw.example[192.0.2.1] said: 550-5.7.1 Domain bad.example has exceeded the max "
            "defers and failures per hour (5/5 550 5.7.1 (14%)) allowed. Message discarded. (in "
            "reply to RCPT TO command)",
            true},
        ReplyCase{"WithoutDomain",
                  "Domain has exceeded the max defers and failures per hour (5/5 (14%)) allowed.",
                  true},
        ReplyCase{
            "Stopped",
            "451 4.7.1 Mail of example.com was stopped by the administrator. Message held until "
            "it recovers.",
            true},
        ReplyCase{"SecondOfTwo",
                  absl::StrCat("has exceeded the max defers and failures per hour (x) ", kRefusal),
                  true},
        ReplyCase{"Empty", "", false}, ReplyCase{"Ok", "250 2.0.0 OK queued as 4ABC", false},
        ReplyCase{
            "VolumeLimit",
            "Domain example.com has exceeded the max emails per hour (500/500 (100%)) allowed. "
            "Message discarded.",
            false},
        ReplyCase{"NoKind",
                  "You has exceeded the max defers and failures per hour (5/5 (14%)) allowed.",
                  false},
        ReplyCase{
            "KindInsideAWord",
            "SubDomain x has exceeded the max defers and failures per hour (5/5 (14%)) allowed.",
            false},
        ReplyCase{"KindFarAway",
                  absl::StrCat("Domain ", std::string(500, 'x'),
                               " has exceeded the max defers and failures per hour (5/5 (14%)) "
                               "allowed."),
                  false},
        ReplyCase{"NoCounts", "Domain x has exceeded the max defers and failures per hour (100%)",
                  false},
        ReplyCase{
            "NoPercent",
            "Domain x has exceeded the max defers and failures per hour (5/5 (14)) allowed. 5%",
            false},
        ReplyCase{"CutOff", "Domain x has exceeded the max defers and failures per hour (5/5 (14%",
                  false},
        ReplyCase{"StoppedWithoutMail", "It was stopped by the administrator. Mail", false},
        ReplyCase{"StoppedEmail", "eMail of x was stopped by the administrator.", false}),
    [](const auto& test) { return test.param.name; });

// Quadratic time would take minutes here.
TEST(OwnRefusal, LongRepliesAreReadInLinearTime) {
  std::string reply = "%M administrator ";
  for (int i = 0; i < 20000; ++i) {
    reply += " has exceeded the max defers and failures per hour (1/1 (";
    reply += "Mail Domain Login\\n\\n550-";
  }
  EXPECT_FALSE(IsOwnRefusal(reply));
}

}  // namespace
}  // namespace deferd
