#include "policy/on_this_host.h"

#include <string>

#include "gtest/gtest.h"
#include "policy/policy.h"
#include "policy/smart_host.h"

namespace deferd {
namespace {

class OnThisHostTest : public testing::Test {
 protected:
  static Attempt At(const std::string& host, const std::string& ip, Outcome outcome,
                    const std::string& recipient = "r@far.example") {
    Attempt attempt;
    attempt.host = host;
    attempt.host_ip = ip;
    attempt.remote = !ip.empty();
    attempt.outcome = outcome;
    attempt.recipient = recipient;
    attempt.reply = outcome == Outcome::kDelivered ? "250 OK" : "550 5.1.1 No such user";
    return attempt;
  }
  bool Here(const Attempt& attempt) const {
    const Classification answer = Policy().replies().Classify(attempt.reply);
    return OnThisHost(lists_, charged_, attempt,
                      attempt.outcome == Outcome::kDelivered ? nullptr : &answer);
  }
  bool FailsHere(const std::string& recipient, const std::string& reply = "No Such User Here") {
    Attempt attempt = At("", "", Outcome::kFailed, recipient);
    attempt.reply = reply;
    return Here(attempt);
  }

  ChargeLists lists_;
  ChargedSubjects charged_ = {{Subject::Parse("login:bob@sender.example").value(), true},
                              {Subject::Parse("sender.example").value(), true}};
};

TEST_F(OnThisHostTest, ADeliveryIsHereWithoutAnotherHost) {
  EXPECT_TRUE(Here(At("", "", Outcome::kDelivered)));
  EXPECT_TRUE(Here(At("local", "", Outcome::kDelivered)));
  EXPECT_TRUE(Here(At("dovecot", "", Outcome::kDelivered)));
  for (const char* ip : {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(Here(At("localhost", ip, Outcome::kDelivered))) << ip;
  }
  for (const char* ip : {"192.0.2.1", "2001:db8::1", "127.0.1.12", "10.0.0.1"}) {
    EXPECT_FALSE(Here(At("mx.far.example", ip, Outcome::kDelivered))) << ip;
  }
}

TEST_F(OnThisHostTest, AFailureIsHereOnlyIfTheDomainIsDeliveredHere) {
  lists_.local_domains.emplace().push_back(DomainPattern::Parse("here.example").value());
  lists_.local_domains->push_back(DomainPattern::Parse("*.shop.example").value());
  EXPECT_TRUE(FailsHere("x@here.example"));
  EXPECT_TRUE(FailsHere("\"a@b\"@HERE.example"));
  EXPECT_TRUE(FailsHere("x@a.shop.example"));
  EXPECT_TRUE(FailsHere("bob"));
  EXPECT_TRUE(FailsHere("|/usr/bin/vacation bob@far.example"));
  EXPECT_TRUE(FailsHere("/var/mail/bob"));
  EXPECT_FALSE(FailsHere("x@far.example"));
  EXPECT_FALSE(FailsHere("|bob@far.example"));
  EXPECT_FALSE(FailsHere("/c=de/s=bob/@far.example"));
  EXPECT_FALSE(FailsHere("x@sender.example")) << "the setting says all there is";
  EXPECT_FALSE(FailsHere("")) << "an expiry that names nobody";
  // A host that is named decides, unless it is this one.
  EXPECT_FALSE(Here(At("mx.here.example", "192.0.2.1", Outcome::kFailed, "x@here.example")));
  EXPECT_TRUE(Here(At("localhost", "127.0.0.1", Outcome::kFailed, "x@here.example")));
  EXPECT_FALSE(Here(At("localhost", "127.0.0.1", Outcome::kFailed, "x@far.example")));
}

TEST_F(OnThisHostTest, WithoutTheSettingTheHostedAndTheChargedDomains) {
  EXPECT_TRUE(FailsHere("x@sender.example"));
  EXPECT_FALSE(FailsHere("x@other.example"));
  lists_.hosted.push_back(DomainPattern::Parse("other.example").value());
  EXPECT_TRUE(FailsHere("x@other.example"));
  EXPECT_FALSE(FailsHere("x@far.example"));
  lists_.local_domains.emplace();  // nothing is
  EXPECT_FALSE(FailsHere("x@other.example"));
}

TEST_F(OnThisHostTest, WhatDnsDoesNotKnowIsNotDeliveredHere) {
  EXPECT_FALSE(
      FailsHere("x@sender.example", "all relevant MX records point to non-existent hosts"));
  EXPECT_FALSE(FailsHere("x@sender.example", "mail for sender.example loops back to myself"));
  // What Exim says of an unknown mailbox as well.
  EXPECT_TRUE(FailsHere("x@sender.example", "Unrouteable address"));
  EXPECT_FALSE(FailsHere("x@far.example", "Unrouteable address"));
}

TEST_F(OnThisHostTest, PostfixOwnAgentsDeliverHere) {
  Attempt attempt = At("local", "", Outcome::kFailed, "x@somewhere.example");
  attempt.transport = "local";
  attempt.reply = "unknown user: \"x\"";
  EXPECT_TRUE(Here(attempt));
  attempt.transport = "error";
  attempt.reply = "User unknown in virtual mailbox table";
  EXPECT_TRUE(Here(attempt));
  attempt.reply = "User unknown in relay recipient table";
  EXPECT_FALSE(Here(attempt));
}

TEST(SmartHost, IsRecognisedByItsPortOrName) {
  Attempt attempt;
  attempt.remote = true;
  EXPECT_FALSE(IsSmartHost(attempt));
  attempt.port = 25;
  EXPECT_FALSE(IsSmartHost(attempt));
  attempt.port = 587;
  EXPECT_TRUE(IsSmartHost(attempt));
  attempt.port = 0;
  attempt.router = "Smarthost_dkim";
  EXPECT_TRUE(IsSmartHost(attempt));
  attempt.router = "";
  attempt.transport = "remote_smtp_smarthost";
  EXPECT_TRUE(IsSmartHost(attempt));
  attempt.remote = false;
  EXPECT_FALSE(IsSmartHost(attempt));
}

}  // namespace
}  // namespace deferd
