#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/intake/exim_line.h"
#include "tests/limiter/intake/log_text.h"

namespace deferd {
namespace {

// "<SENDER> login=.. user=.. ip=.. of=.. local", without what is empty.
std::string Arrival(absl::string_view rest) {
  const std::string text = absl::StrCat("1hIAif-00H7J4-Lb ", rest);
  const EximLine line = ParseEximLine(text);
  if (line.kind == EximLineKind::kMalformed) return "malformed";
  if (line.kind != EximLineKind::kArrival) return "no arrival";
  std::string said = absl::StrCat("<", line.sender, ">");
  AppendIf("login", line.login, &said);
  AppendIf("user", line.user, &said);
  AppendIf("ip", line.host_ip, &said);
  AppendIf("of", line.bounce_of, &said);
  if (line.local_submission) said += " local";
  return said;
}

TEST(EximArrival, RecipientsAreNumbered) {
  const auto recipients = [](absl::string_view rest) {
    const std::string text = absl::StrCat("1hIAif-00H7J4-Lb <= ", rest);
    return ParseEximLine(text).recipients;
  };
  EXPECT_EQ(recipients("a@s H=mx [192.0.2.1] P=esmtp S=1 for r@d q@d \"p q\"@d"), 3);
  EXPECT_EQ(recipients("a@s U=a P=local S=1 from <a@s> for r@d"), 1);
  EXPECT_EQ(recipients("a@s U=a P=local S=1"), 0) << "not printed";
  EXPECT_EQ(recipients("a@s U=a P=local S=1 T=\"for me for you\""), 0);
}

TEST(EximArrival, Forms) {
  struct {
    const char* rest;
    const char* want;
  } const kCases[] = {
      {"<= a@s.example H=host.isp.example (VaniAcer) [203.0.113.18]:64606 P=esmtpsa "
       "X=TLSv1.2:ECDHE-RSA-AES256-GCM-SHA384:256 CV=no A=dovecot_login:a@s.example S=91991 "
       "id=012901d4f836$03fad680$0bf08380$@com T=\"RE: subject\" for R1@dest.example r2@s.example",
       "<a@s.example> login=a@s.example ip=203.0.113.18"},
      {"<= p@s.example H=h.isp.example (mail.s.example) [203.0.113.141]:44810 I=[192.0.2.186]:25 "
       "P=esmtpsa X=TLSv1.2:A:256 CV=no A=dovecot_login:smtpout@s.example S=3421 "
       "id=2ECADE@host.local T=\"RE: x\" from <p@s.example> for Rcpt@dest.example",
       "<p@s.example> login=smtpout@s.example ip=203.0.113.141"},
      {"<= <> R=1guGLh-001ONk-GU U=mailnull P=local S=4807 T=\"Mail delivery failed\" from <> for "
       "p@s.example",
       "<> user=mailnull of=1guGLh-001ONk-GU local"},
      {"<= acct3@server.example U=acct3 P=local S=11630 T=\"x\" for r@dest.example",
       "<acct3@server.example> user=acct3 local"},
      {"<= acct3@server.example U=acct3 P=utf8local-esmtp S=11630",
       "<acct3@server.example> user=acct3 local"},
      {"<= a@s H=(client.example) [127.0.0.1]:33790 I=[127.0.0.1]:2525 P=esmtp L.- S=348 M8S=0 "
       "RT=0.001s id=m0001.3@inj.example T=\"test\" from <a@s> for r@d",
       "<a@s> ip=127.0.0.1"},
      {"<= a@s H=[192.0.2.1] P=smtp S=1", "<a@s> ip=192.0.2.1"},
      {"<= a@s H=([192.0.2.7]) [192.0.2.1] P=smtp S=1", "<a@s> ip=192.0.2.1"},
      {"<= a@s H=([IPv6:::1]) [::1] P=esmtp S=1", "<a@s> ip=::1"},
      {"<= a@s H=mx.example [2001:db8::1]:25 P=esmtp S=1", "<a@s> ip=2001:db8::1"},
      {"<= a@s DS H=mx.example [192.0.2.1] TFO P=esmtps L K S=1 DKIM=s Q=deferd-held",
       "<a@s> ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] P=esmtpsa X=TLS1.3:A:256* CV=no DN=\"/O=\"A, B\"/CN=x\" "
       "SNI=mx.example A=plain:joe PRDR K S=1",
       "<a@s> login=joe ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] P=esmtpsa SNI=\"mx.example\" A=plain:joe S=1",
       "<a@s> login=joe ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] P=esmtpsa A=plain:joe@x:real@x S=1",
       "<a@s> login=joe@x ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] P=esmtpa A=plain S=1", "<a@s> ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] P=esmtpa A=plain:joe S=1 NEW=1:2", "<a@s> login=joe ip=192.0.2.1"},
      // What later Exims add, or a patched one.
      {"<= a@s H=x [192.0.2.1]:20042 I=[192.0.2.9]:587 Ci=8001 P=esmtpsa X=TLS1.3:A:256 CV=no "
       "A=plain:joe@x K S=1 M8S=8 RT=0.2s id=a@x T=\"x\" from <a@s> for r@d",
       "<a@s> login=joe@x ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] Ci=8001 New-Thing=7 P=esmtpsa L* XYZ*- Abc A=plain:joe@x Zz=q S=1",
       "<a@s> login=joe@x ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] P=esmtpsa Foo*=1 A=plain:joe@x S=1",
       "<a@s> login=joe@x ip=192.0.2.1"},
      {"<= a@s H=x [192.0.2.1] P=esmtpsa Note=\"two words\" A=plain:joe@x S=1",
       "<a@s> login=joe@x ip=192.0.2.1"},
      {"<= a@s Ci=12 U=joe Lx=1 P=local NEWFLAG S=1", "<a@s> user=joe local"},
      {"<= a@s U=joe Note=\"two words\" P=local S=1", "<a@s> user=joe local"},
      {"<= a@s H=x [192.0.2.1] U=root P=esmtp S=1", "<a@s> ip=192.0.2.1"},
      {"<= <> H=x [192.0.2.1] P=esmtpa A=plain:joe@x S=1", "<> login=joe@x ip=192.0.2.1"},
      {"<= <> R=1guGLh-001ONk-GU H=x [192.0.2.1] P=esmtp S=1",
       "<> ip=192.0.2.1 of=1guGLh-001ONk-GU"},
      {"<= <> U=joe P=local S=1", "<> user=joe local"},
      {"<= \"ok.a b F=<x@victim.example>\"@delta.example H=(c) [127.0.0.1] P=esmtp S=1",
       "<\"ok.a b F=<x@victim.example>\"@delta.example> ip=127.0.0.1"},
      {"<= \"a \\\" H=(x) [1.1.1.1] A=p:q\".b@s H=(c) [127.0.0.1] P=esmtp S=1",
       "<\"a \\\" H=(x) [1.1.1.1] A=p:q\".b@s> ip=127.0.0.1"},
      {"<= ok.üser@bücher.example H=(c) [127.0.0.1] P=utf8esmtp S=1",
       "<ok.üser@bücher.example> ip=127.0.0.1"},
      {"<= ok.s@[IPv6:::1] H=(c) [127.0.0.1] P=esmtp S=1", "<ok.s@[IPv6:::1]> ip=127.0.0.1"},
      {"<= a@s H=(c) [192.0.2.1] P=esmtpa A=l:joe S=1 id=\"a b\"@c T=\"a \\\"q\\\" \\\\\"",
       "<a@s> login=joe ip=192.0.2.1"},
      {"<= a@s H=(c) [192.0.2.1] P=esmtpa A=l:joe S=1 id*=E1@c id=x",
       "<a@s> login=joe ip=192.0.2.1"},
      {"<= a@s H=(c) [192.0.2.1] P=esmtpa A=l:joe S=1 id=\\303\\274@c",
       "<a@s> login=joe ip=192.0.2.1"},
      {"<= a@s H=(c) [192.0.2.1] P=esmtpa A=l:joe S=1 T=\"x\" for postmaster r@d cut@by.sysl",
       "<a@s> login=joe ip=192.0.2.1"},
      {"(= a@s H=(c) [192.0.2.1] P=esmtpa A=l:joe S=1", "<a@s> login=joe ip=192.0.2.1"},
      {"<=a@s U=joe P=local S=1", "<a@s> user=joe local"},
      {"<= a@s U=joe P=spam-scanned S=1", "<a@s>"},
      {"<= a@s", "<a@s>"},
      {"<=", "malformed"},
      {"<= ", "malformed"},
      {"<= H=(c) [192.0.2.1] P=esmtp", "malformed"},
      {"<= \"unclosed@s H=(c) [192.0.2.1] P=esmtp S=1", "malformed"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Arrival(c.rest), c.want) << c.rest;
}

// What a client may write between the brackets of "H=(...)", with helo_accept_junk_hosts.
TEST(EximArrival, HeloCannotForgeALogin) {
  for (absl::string_view helo : {
           "F=<ceo@victim.example>",
           "x) [1.1.1.1] A=plain:victim@x",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x S=1",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x S=1 id=",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x S=1 id=\"",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x S=1 T=\"",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x S=1 T=\"a\" for",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x S=1 T=\"a\" for \"",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x S=1 T=\"a\" from <",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x DN=\"",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x NEW=",
           "x) [1.1.1.1] P=esmtpa A=plain:victim@x NEW=\"",
           "[1.1.1.1]) [1.1.1.1]:25 U=(",
           "x) [1.1.1.1] Ci=1 P=esmtpsa A=plain:victim@x K L* Note=",
           "x) [1.1.1.1] Ci=1 P=esmtpsa A=plain:victim@x Note=\"",
           "x) [1.1.1.1] Ci=1 P=esmtpsa Note=\"a\" A=plain:victim@x Note=\"b",
           "x) [1.1.1.1] P=esmtpsa A=plain:victim@x FLAG*",
           "x) [1.1.1.1",
           "x) [1.1.1.1] [2.2.2.2] [3.3.3.3",
       }) {
    for (absl::string_view tail : {
             "P=esmtp S=337 id=m1@inj.example",
             "P=esmtp S=337 id=\"@b\"@inj.example",
             "P=esmtp S=337 id=\".\".\"@b\"@inj.example T=\"x\"",
             "P=esmtp S=337 id=m1@inj.example T=\" for x@y\"",
             "P=esmtp S=337 id=m1@inj.example T=\"\" for r@d",
             "P=esmtp S=337 T=\" for x@y\" from <a@s> for r@d",
             "P=esmtp S=337 T=\" from <a@s>\" from <a@s> for r@d",
         }) {
      EXPECT_EQ(Arrival(absl::StrCat("<= a@s H=(", helo, ") [203.0.113.9]:99 ", tail)),
                "<a@s> ip=203.0.113.9")
          << helo << " / " << tail;
    }
  }
}

TEST(EximArrival, LoginBehindAJunkHeloIsSeen) {
  EXPECT_EQ(Arrival("<= a@s H=(x) [1.1.1.1] A=plain:victim@x) [203.0.113.9] P=esmtpa A=l:joe S=1"),
            "<a@s> login=joe ip=203.0.113.9");
}

TEST(EximArrival, IdentAndCertificateCannotForgeALogin) {
  for (absl::string_view forged : {"A=plain:victim@x", "P=esmtpa A=plain:victim@x S=1 for",
                                   "P=esmtpa A=plain:victim@x S=1 T=\"", "P=local"}) {
    EXPECT_EQ(
        Arrival(absl::StrCat("<= a@s H=(c) [203.0.113.9] U=x ", forged, " P=esmtp S=1 id=m@x")),
        "<a@s>");
    EXPECT_EQ(Arrival(absl::StrCat("<= a@s H=(c) [203.0.113.9] P=esmtps DN=\"CN=x\" ", forged,
                                   "\" S=1 id=m@x")),
              "<a@s>");
    EXPECT_EQ(Arrival(absl::StrCat("<= a@s H=(c) [203.0.113.9] P=esmtps SNI=\"x\" ", forged,
                                   "\" S=1 id=m@x")),
              "<a@s>");
  }
}

// A field that is not known holds what a client may have written.
TEST(EximArrival, AnUnknownFieldCannotForgeALogin) {
  for (const char* rest :
       {"<= a@s H=(c) [203.0.113.9] P=esmtps Note=\"x A=plain:victim@x\" S=1 id=m@x",
        "<= a@s H=(c) [203.0.113.9] P=esmtps Note=\"x\" A=plain:victim@x\" S=1 id=m@x",
        "<= a@s H=(c) [203.0.113.9] P=esmtpsa Note=\"x\" A=plain:victim@x\" A=plain:joe@x S=1",
        "<= a@s H=(c) [203.0.113.9] P=esmtps S=1 T=\"A=plain:victim@x\" from <a@s> for r@d",
        "<= a@s H=(c) [203.0.113.9] P=esmtps S=1 T=\"x\\\" A=plain:victim@x\" for r@d",
        "<= a@s H=(c) [203.0.113.9] P=esmtps S=1 id=x@y for A=plain:victim@x",
        "<= a@s H=(c) [203.0.113.9] P=esmtps S=1 for r@d A=plain:victim@x"}) {
    EXPECT_EQ(Arrival(rest).find("login="), std::string::npos) << rest << ": " << Arrival(rest);
  }
}

TEST(EximArrival, ManyFalseEndsAreBelievedNothing) {
  std::string helo;
  for (int i = 0; i < 10000; ++i) helo += " [1.1.1.1] T=\"";
  EXPECT_EQ(Arrival(absl::StrCat("<= a@s H=(", helo, ") [203.0.113.9] P=esmtpa A=l:joe S=1")),
            "<a@s>");
}

// What a client may write into sender, Message-ID and recipients must not hide who it logged in as.
TEST(EximArrival, OddClientTextHidesNoLogin) {
  const std::string host = "H=(pc) [192.0.2.1] P=esmtpsa A=plain:bob@b.example S=1";
  for (const std::string& rest :
       {absl::StrCat("<= a@s.example ", host, " id=a.\"b c\"@x"),
        absl::StrCat("<= a@s.example ", host, " id=a\\b@x"),
        absl::StrCat("<= a@s.example ", host, " id=<<>> \"@x"),
        absl::StrCat("<= a@s.example ", host, " id=1@x for x.\"y z\"@d x\\y@d x\\ b@d")}) {
    EXPECT_EQ(Arrival(rest), "<a@s.example> login=bob@b.example ip=192.0.2.1") << rest;
  }
  EXPECT_EQ(Arrival(absl::StrCat("<= a\\ b@evil.example ", host)),
            "<a\\ b@evil.example> login=bob@b.example ip=192.0.2.1");
  EXPECT_EQ(Arrival("<= a@s H=(pc) [192.0.2.1] P=esmtpsa A=plain:CORP\\bob S=1"),
            "<a@s> login=CORP\\bob ip=192.0.2.1");
}

TEST(EximArrival, TextThatIsNeitherHostNorFieldIsNoLocalSubmission) {
  EXPECT_EQ(Arrival("<= a@s (x) U=root P=local S=1"), "<a@s>");
}

}  // namespace
}  // namespace deferd
