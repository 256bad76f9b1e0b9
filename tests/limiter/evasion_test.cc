// What a clever spammer tries, from the log's lines to the answer, with the built-in policy: each
// trick with its defence, or with the limit that the manual states (deploy/doc/security.md).

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/intake/exim_reader.h"
#include "policy/policy_file.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

class Evasion : public testing::Test {
 protected:
  Evasion() : f_(std::string(BuiltInPolicyText()), kMorning) {
    auto lists = std::make_shared<ChargeLists>();
    EXPECT_TRUE(lists->relay_hosts.Add("192.0.2.66").ok());
    f_.settings_.lists = std::move(lists);
    f_.Start();
  }

  void Line(absl::Duration at, const std::string& text) {
    f_.clock_.Set(std::max(f_.clock_.Now(), At(at)));
    const std::string stamp = absl::FormatTime("%Y-%m-%d %H:%M:%S", At(at), absl::UTCTimeZone());
    reader_->ReadLine(absl::StrCat(stamp, " ", text), &batch_);
    f_.committer_->Record(batch_);
    batch_.Clear();
  }
  // A message's arrival; the outcomes follow.
  void Arrive(absl::Duration at, const std::string& sender, const std::string& proof,
              const std::string& more = "") {
    ++messages_;
    id_ = absl::StrFormat("1aB000-0%05d-Zz", messages_);
    Line(at, absl::StrCat(id_, " <= ", sender, " H=(pc) [192.0.2.7] ", proof, " S=1200", more));
  }
  static std::string Login(const std::string& login) { return "P=esmtpsa A=plain:" + login; }
  void Refused(absl::Duration at, const std::string& reply = "550 5.7.1 Message refused as spam") {
    Line(at, absl::StrCat(id_, " ** r@m", messages_, ".test R=dnslookup T=remote_smtp H=mx.m",
                          messages_, ".test [203.", messages_ / 250 % 250, ".", messages_ % 250,
                          ".9]: ", reply));
  }
  void Taken(absl::Duration at, const std::string& recipient) {
    Line(at, absl::StrCat(id_, " => ", recipient,
                          " R=dnslookup T=remote_smtp H=mx.accomplice.test [198.51.100.9] "
                          "C=\"250 2.0.0 ok\""));
  }
  // Messages of a login, each refused by another server.
  void Spam(int n, const std::string& login, absl::Duration at = absl::ZeroDuration()) {
    for (int i = 0; i < n; ++i) {
      Arrive(at, login, Login(login));
      Refused(at);
    }
  }

  bool Blocked(SubjectKind kind, const std::string& id) const {
    return f_.cases_->FindEnforced({kind, id}, f_.clock_.Now()).has_value();
  }
  bool DomainBlocked(const std::string& id) const { return Blocked(SubjectKind::kDomain, id); }
  // What Exim is told of a message of this login.
  Verdict Answer(const std::string& login) {
    Freshness fresh(f_.clock_.Now());
    fresh.Set({}, f_.clock_.Now());
    const Gate gate(f_.cases_.get(), &fresh, &f_.clock_, f_.settings_);
    return gate.Check({.sender = login, .login = login}, Source::kSubmission).verdict;
  }

  LimiterFixture f_;
  std::unique_ptr<LogReader> reader_ =
      NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = true});
  EventBatch batch_;
  std::string id_;
  int messages_ = 0;
};

TEST_F(Evasion, OneMessageToManyAccomplicesHidesNothing) {
  Arrive(absl::ZeroDuration(), "bob@bad.example", Login("bob@bad.example"));
  for (int i = 0; i < 3'000; ++i) {
    Taken(absl::ZeroDuration(), absl::StrCat("a", i, "@accomplice.test"));
  }
  Spam(60, "bob@bad.example");
  EXPECT_TRUE(Blocked(SubjectKind::kLogin, "bob@bad.example"));
  EXPECT_EQ(Answer("bob@bad.example"), Verdict::kReject);
}

// The stated limit: below the rule `flood`.
TEST_F(Evasion, ManyMessagesToAccompliceHideLessThanAThousandRefusals) {
  for (int i = 0; i < 9'991; ++i) {
    Arrive(absl::ZeroDuration(), "bob@bad.example", Login("bob@bad.example"));
    Taken(absl::ZeroDuration(), "a@accomplice.test");
  }
  Spam(999, "bob@bad.example");
  EXPECT_EQ(Answer("bob@bad.example"), Verdict::kPass) << "9 percent";
  Spam(1, "bob@bad.example");
  EXPECT_TRUE(DomainBlocked("bad.example")) << "no share makes up for so many";
}

TEST_F(Evasion, SpreadingOverLoginsOfADomainBlocksTheDomain) {
  for (int login = 0; login < 2; ++login) Spam(9, absl::StrCat("u", login, "@bad.example"));
  EXPECT_FALSE(Blocked(SubjectKind::kLogin, "u0@bad.example"));
  EXPECT_TRUE(DomainBlocked("bad.example"));
  EXPECT_EQ(Answer("u7@bad.example"), Verdict::kReject) << "one that has sent nothing yet";
}

// The stated limit: what each login is blocked for is not the domain's as well.
TEST_F(Evasion, EachLoginThatIsSacrificedSendsWhatItsOwnRuleAllows) {
  for (int login = 0; login < 30; ++login) {
    const std::string name = absl::StrCat("u", login, "@bad.example");
    Spam(10, name);
    EXPECT_EQ(Answer(name), Verdict::kReject) << name;
  }
  EXPECT_FALSE(DomainBlocked("bad.example"));
  // Those that are still below it are the domain's.
  Spam(9, "v@bad.example");
  Spam(9, "w@bad.example");
  EXPECT_TRUE(DomainBlocked("bad.example"));
}

// The stated limit: a domain of one's own for every nine.
TEST_F(Evasion, SpreadingOverDomainsWithALoginEachIsNotSeen) {
  for (int i = 0; i < 30; ++i) Spam(9, absl::StrCat("bob@d", i, ".example"));
  EXPECT_EQ(Answer("bob@d7.example"), Verdict::kPass);
}

TEST_F(Evasion, SpreadingOverDomainsFromOneRelayHostBlocksTheHost) {
  for (int i = 0; i < 100; ++i) {
    id_ = absl::StrFormat("1aB000-1%05d-Zz", i);
    ++messages_;
    Line(absl::ZeroDuration(),
         absl::StrCat(id_, " <= news@d", i, ".example H=web [192.0.2.66] P=esmtp S=1200"));
    Refused(absl::ZeroDuration());
  }
  EXPECT_TRUE(Blocked(SubjectKind::kHost, "192.0.2.66"));
}

// What an accomplice's server answers can at most be left out; it could as well take the mail.
TEST_F(Evasion, ARemoteServerThatSpeaksAsDeferdHidesNothing) {
  for (int i = 0; i < 300; ++i) {
    Arrive(absl::ZeroDuration(), "bob@bad.example", Login("bob@bad.example"));
    Refused(absl::ZeroDuration(),
            "550 5.7.1 Domain bad.example has exceeded the max defers and failures per hour (10/10 "
            "(100%)) allowed. Message rejected, try again after 10:00 UTC.");
  }
  EXPECT_EQ(f_.CountsNow("bad.example").total(), 0);
  Spam(10, "bob@bad.example");
  EXPECT_TRUE(Blocked(SubjectKind::kLogin, "bob@bad.example"));
}

TEST_F(Evasion, ForgedFieldsOfAnArrivalChargeNobodyElse) {
  for (int i = 0; i < 20; ++i) {
    Arrive(absl::ZeroDuration(), "bob@bad.example", "P=esmtpsa A=plain:bob@bad.example",
           " id=A=plain:ann@victim.example T=\"x A=plain:ann@victim.example U=victim\" from "
           "<ann@victim.example> for r@far.test");
    Refused(absl::ZeroDuration());
  }
  EXPECT_EQ(f_.CountsNow("victim.example").total(), 0);
  EXPECT_TRUE(Blocked(SubjectKind::kLogin, "bob@bad.example"));
}

TEST_F(Evasion, AForgedEnvelopeSenderFromOutsideChargesNobody) {
  for (int i = 0; i < 200; ++i) {
    Arrive(absl::ZeroDuration(), "ann@victim.example", "P=esmtp");
    Refused(absl::ZeroDuration());
  }
  EXPECT_EQ(f_.CountsNow("victim.example").total(), 0);
  // With a login the login's domain pays, whatever the sender says.
  for (int i = 0; i < 10; ++i) {
    Arrive(absl::ZeroDuration(), "ann@victim.example", Login("bob@bad.example"));
    Refused(absl::ZeroDuration());
  }
  EXPECT_EQ(f_.CountsNow("victim.example").total(), 0);
  EXPECT_TRUE(Blocked(SubjectKind::kLogin, "bob@bad.example"));
}

// The window slides: there is no full hour at which counts begin anew.
TEST_F(Evasion, TheEdgeOfAnHourIsNoEdge) {
  Spam(9, "bob@bad.example", absl::Minutes(59));
  Spam(1, "bob@bad.example", absl::Minutes(61));
  EXPECT_TRUE(Blocked(SubjectKind::kLogin, "bob@bad.example"));
}

// The stated limit: one less than min_bad in every hour.
TEST_F(Evasion, WhoStaysBelowTheLimitIsBelowTheLimit) {
  for (int hour = 0; hour < 2; ++hour) Spam(9, "bob@bad.example", hour * absl::Minutes(60));
  EXPECT_EQ(Answer("bob@bad.example"), Verdict::kPass);
}

TEST_F(Evasion, WhoGoesOnDuringTheBlockIsBlockedOn) {
  Spam(10, "bob@bad.example", absl::Minutes(60));
  Spam(10, "bob@bad.example", absl::Minutes(63));
  f_.clock_.Set(At(absl::Minutes(121)));
  f_.committer_->Tick();
  EXPECT_EQ(Answer("bob@bad.example"), Verdict::kReject);
  f_.clock_.Set(At(absl::Minutes(185)));
  f_.committer_->Tick();
  EXPECT_EQ(Answer("bob@bad.example"), Verdict::kPass) << "it ends when it has become quiet";
}

}  // namespace
}  // namespace deferd
