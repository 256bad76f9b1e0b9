#include "policy/left_out.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
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
    return WhyLeftOut(lists_, policy_, attempt_, {.charged = charged_, .previous = previous});
  }
  bool Own() const { return IsOwnRefusal(lists_, policy_, attempt_); }
  // No other host is named.
  void Here(absl::string_view reply) {
    attempt_.remote = false;
    attempt_.host = attempt_.host_ip = "";
    attempt_.reply = std::string(reply);
  }

  ChargeLists lists_;
  Policy policy_;
  ChargedSubjects charged_ = {{Subject::Parse("example.com").value(), true}};
  Attempt attempt_ = RemoteFailure();
};

TEST_F(LeftOutTest, RemoteAttemptsCount) {
  EXPECT_EQ(Why(), LeftOut::kCounts);
  EXPECT_EQ(Why(LeftOut::kOwnRefusal), LeftOut::kCounts);
}

TEST_F(LeftOutTest, OwnRefusalComesFirst) {
  Here(kRefusal);
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
  Here("retry timeout exceeded");
  EXPECT_EQ(Why(LeftOut::kCounts), LeftOut::kCounts);
  EXPECT_EQ(Why(LeftOut::kOwnRefusal), LeftOut::kOwnRefusal);
  EXPECT_EQ(Why(LeftOut::kNoRemoteHost), LeftOut::kNoRemoteHost);
}

TEST_F(LeftOutTest, DeliveriesOnThisHostCountIfConfiguredOrInProfileCpanel) {
  Here("Saved");
  attempt_.outcome = Outcome::kDelivered;
  EXPECT_EQ(Why(), LeftOut::kNoRemoteHost);
  lists_.local = true;
  EXPECT_EQ(Why(), LeftOut::kCounts);
  lists_.local = false;
  policy_.profile = Profile::kCpanel;
  EXPECT_EQ(Why(), LeftOut::kCounts);
}

TEST_F(LeftOutTest, OwnRefusalsNeverCountInProfileCpanelEither) {
  policy_.profile = Profile::kCpanel;
  lists_.local = true;
  Here(kRefusal);
  EXPECT_EQ(Why(), LeftOut::kOwnRefusal);
}

TEST(LeftOut, ReasonsHaveDistinctNames) {
  for (int i = 0; i < kLeftOutReasons; ++i) {
    EXPECT_NE(LeftOutName(static_cast<LeftOut>(i)), "unknown");
    for (int j = 0; j < i; ++j) {
      EXPECT_NE(LeftOutName(static_cast<LeftOut>(i)), LeftOutName(static_cast<LeftOut>(j)));
    }
  }
}

TEST_F(LeftOutTest, OurSentenceIsOursWhereNoOtherHostIsNamed) {
  for (const std::string& reply :
       {std::string(kRefusal), absl::StrCat("\"", kRefusal, "\""),
        absl::StrCat("delivery temporarily suspended: ", kRefusal),
        std::string("Mail of example.com was stopped by the administrator. Message held.")}) {
    Here(reply);
    EXPECT_TRUE(Own()) << reply;
  }
}

TEST_F(LeftOutTest, OrAtAHostOfOurs) {
  for (const std::string& reply :
       {absl::StrCat("SMTP error from remote mail server after RCPT TO:<r@dest.example>: 550 ",
                     kRefusal),
        absl::StrCat("host mx.dest.example[198.51.100.1] said: 550 5.7.1 <DATA>: Data command "
                     "rejected: ",
                     kRefusal, " (in reply to DATA command)"),
        std::string(
            "SMTP error from remote mail server after MAIL FROM:<a@bad.example>: 550-Domain "
            "bad.example has exceeded the max defers and failures per hour (5/5\\n550 "
            "(14%)) allowed. Message discarded.")}) {
    attempt_.reply = reply;
    ASSERT_TRUE(attempt_.remote);
    EXPECT_FALSE(Own()) << reply;
    lists_.internal_hosts = HostList();
    ASSERT_THAT(lists_.internal_hosts.Add("mx.dest.example"), IsOk());
    EXPECT_TRUE(Own()) << reply;
    lists_.internal_hosts = HostList();
  }
}

TEST_F(LeftOutTest, WhatPostfixHoldsForUsIsOurs) {
  Here("temporary failure");
  attempt_.transport = "pipe";
  attempt_.host = "deferd-held";
  EXPECT_TRUE(Own());
  attempt_.host = "dovecot";
  EXPECT_FALSE(Own());
}

// Each was once believed.
TEST_F(LeftOutTest, ForgedRefusalsAreNotOurs) {
  const std::string sentence(kRefusal);
  for (const std::string& reply :
       {"SMTP error from remote mail server after RCPT TO:<r@d.example>: 550 " + sentence,
        "host mx.dest.example[198.51.100.1] said: 550 5.7.1 " + sentence +
            " (in reply to RCPT TO command)",
        "host mx.dest.example[198.51.100.1] refused to talk to me: 554 " + sentence,
        "SMTP error from remote mail server after MAIL FROM:<\"" + sentence +
            "\"@evil.example> SIZE=1: 550 5.7.1 spam",
        "SMTP error from remote mail server after RCPT TO:<\": 550 " + sentence +
            "\"@d.example>: 550 no such user",
        "host mx.dest.example[198.51.100.1] said: 550 5.1.1 <\"" + sentence +
            "\"@d.example>: Recipient address rejected (in reply to RCPT TO command)",
        "550 5.7.1 rejected: subject \"" + sentence + "\" is spam", sentence}) {
    attempt_ = RemoteFailure();
    attempt_.reply = reply;
    EXPECT_FALSE(Own()) << reply;
    EXPECT_EQ(Why(), LeftOut::kCounts) << reply;
  }
  // Nor where the MTA only quotes it.
  for (const std::string& reply :
       {"Unrouteable address: " + sentence, "unknown user: \"" + sentence + "\"",
        "Command died with status 1: \"/bin/x\". Command output: " + sentence}) {
    Here(reply);
    EXPECT_FALSE(Own()) << reply;
  }
}

TEST_F(LeftOutTest, ADeliveryIsNoRefusal) {
  Here(kRefusal);
  attempt_.outcome = Outcome::kDelivered;
  EXPECT_FALSE(Own());
}

}  // namespace
}  // namespace deferd
