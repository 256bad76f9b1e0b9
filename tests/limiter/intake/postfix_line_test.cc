#include "limiter/intake/postfix_line.h"

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "policy/message_id.h"

namespace deferd {
namespace {

using Kind = PostfixLineKind;

TEST(PostfixLine, Ids) {
  for (const char* id : {"733F6A781D8", "4jX8s03hTFz1brnv", "9580FA", "3Tnzvk5JHNz4r",
                         "4cDCnd66Hyz1XPWFF", "0F3A1ABCDEF0123456789", "4jX8s03hTFz1brnv4jX8s0"}) {
    EXPECT_TRUE(IsPostfixId(id)) << id;
  }
  for (const char* word : {"warning", "NOQUEUE", "fatal", "statistics", "", "ABC", "AB-CDEF",
                           "4jX8s03hTFz1brnv4jX8s01brnv"}) {
    EXPECT_FALSE(IsPostfixId(word)) << word;
  }
}

TEST(PostfixLine, TagsOfAnyInstanceAndService) {
  absl::string_view program;
  EXPECT_TRUE(IsPostfixTag("postfix/smtp", &program));
  EXPECT_EQ(program, "smtp");
  EXPECT_TRUE(IsPostfixTag("postfix-out/submission/smtpd", &program));
  EXPECT_EQ(program, "smtpd");
  EXPECT_FALSE(IsPostfixTag("postfix/anvil", &program));
  EXPECT_FALSE(IsPostfixTag("dovecot", &program));
}

TEST(PostfixLine, Client) {
  PostfixLine line = ParsePostfixLine("smtpd", "733F6A781D8: client=unknown[2001:db8::7]");
  EXPECT_EQ(line.kind, Kind::kClient);
  EXPECT_EQ(line.id, "733F6A781D8");
  EXPECT_EQ(line.client_ip, "2001:db8::7");
  EXPECT_EQ(line.login, "");
  line = ParsePostfixLine("smtpd",
                          "733F6A781D8: client=pc.example[192.0.2.1], sasl_method=PLAIN, "
                          "sasl_username=bob@a.example, sasl_sender=x@y");
  EXPECT_EQ(line.login, "bob@a.example");
  line = ParsePostfixLine("smtpd",
                          "733F6A781D8: client=localhost[127.0.0.1], orig_queue_id=80FC8A781E4, "
                          "orig_client=pc.example[192.0.2.1]");
  EXPECT_EQ(line.orig_id, "80FC8A781E4");
  EXPECT_EQ(line.client_ip, "127.0.0.1");
}

TEST(PostfixLine, AQuoteThatDoesNotBeginAnAddressIsALetter) {
  PostfixLine line = ParsePostfixLine(
      "smtp",
      R"(733F6A781D8: to=<r"x@dst.example>, relay=mx[192.0.2.9]:25, delay=1, delays=0/0/0/1, )"
      R"(dsn=5.1.1, status=bounced (550 5.1.1 "<x>, relay=a[127.0.0.1], status=sent (ok)))");
  EXPECT_EQ(line.recipient, R"(r"x@dst.example)");
  EXPECT_EQ(line.status, "bounced");
  line = ParsePostfixLine("smtp",
                          "733F6A781D8: to=<a>b@c>, relay=mx[192.0.2.9]:25, delay=1, dsn=2.0.0, "
                          "status=sent (ok)");
  EXPECT_EQ(line.recipient, "a>b@c");
}

TEST(PostfixLine, WhatTheClientSaysOfItsSenderNamesNoLogin) {
  PostfixLine line = ParsePostfixLine("smtpd",
                                      "733F6A781D8: client=pc[192.0.2.1], sasl_sender=x, "
                                      "sasl_username=victim@a.example, orig_queue_id=80FC8A781E4");
  EXPECT_EQ(line.kind, Kind::kClient);
  EXPECT_EQ(line.client_ip, "192.0.2.1");
  EXPECT_EQ(line.login, "");
  EXPECT_EQ(line.orig_id, "");
  line = ParsePostfixLine("smtpd",
                          "733F6A781D8: client=pc[192.0.2.1], sasl_method=PLAIN, "
                          "sasl_username=bob, sasl_username=victim@a.example");
  EXPECT_EQ(line.login, "bob");
}

TEST(PostfixLine, PickupAndQueue) {
  PostfixLine line = ParsePostfixLine("pickup", "6A258A782CB: uid=33 from=<www-data>");
  EXPECT_EQ(line.kind, Kind::kPickup);
  EXPECT_EQ(line.uid, "33");
  EXPECT_EQ(line.sender, "www-data");
  line = ParsePostfixLine("qmgr", "733F6A781D8: from=<>, size=2441, nrcpt=1 (queue active)");
  EXPECT_EQ(line.kind, Kind::kActive);
  EXPECT_EQ(line.sender, "");
  line = ParsePostfixLine(
      "qmgr", R"(733F6A781D8: from=<"a>, size=1"@b.example>, size=9, nrcpt=1 (queue active))");
  EXPECT_EQ(line.sender, R"("a>, size=1"@b.example)");
  line = ParsePostfixLine("qmgr",
                          "733F6A781D8: from=<u@a.example>, status=expired, returned to sender");
  EXPECT_EQ(line.kind, Kind::kExpired);
  EXPECT_EQ(line.text, "status=expired, returned to sender");
  EXPECT_EQ(ParsePostfixLine("qmgr", "733F6A781D8: removed").kind, Kind::kRemoved);
  EXPECT_EQ(ParsePostfixLine("qmgr", "733F6A781D8: skipped, still being delivered").kind,
            Kind::kOther);
}

TEST(PostfixLine, Deliveries) {
  PostfixLine line = ParsePostfixLine(
      "smtp",
      "733F6A781D8: to=<ann@far.example>, orig_to=<ann@fwd.example>, "
      "relay=mx.far.example[192.0.2.9]:25, conn_use=2, delay=0.02, delays=0.01/0.01/0/0, "
      "dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 8276DA781E2)");
  EXPECT_EQ(line.kind, Kind::kDelivery);
  EXPECT_EQ(line.recipient, "ann@far.example");
  EXPECT_EQ(line.original, "ann@fwd.example");
  EXPECT_EQ(line.host, "mx.far.example");
  EXPECT_EQ(line.host_ip, "192.0.2.9");
  EXPECT_EQ(line.port, 25);
  EXPECT_EQ(line.status, "sent");
  EXPECT_EQ(line.text, "250 2.0.0 Ok: queued as 8276DA781E2");
  EXPECT_EQ(line.queued_as, "8276DA781E2");
  line = ParsePostfixLine("local",
                          "733F6A781D8: to=<root@here>, relay=local, delay=1, delays=0/0/0/1, "
                          "dsn=2.0.0, status=sent (forwarded as 8276DA781E2)");
  EXPECT_EQ(line.host, "local");
  EXPECT_EQ(line.queued_as, "8276DA781E2");
  line = ParsePostfixLine("lmtp",
                          "733F6A781D8: to=<a@b>, relay=mx.example[private/dovecot-lmtp], delay=1, "
                          "delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 Saved)");
  EXPECT_EQ(line.host, "mx.example");
  EXPECT_EQ(line.host_ip, "");
  EXPECT_EQ(line.port, 0);
}

TEST(PostfixLine, DeferralsForTheSamePlaceNameItsServer) {
  for (const char* text : {"connect to mx.b.example[192.0.2.9]:25: Connection refused",
                           "lost connection with mx.b.example[192.0.2.9] while receiving the "
                           "initial server greeting",
                           "conversation with mx.b.example[192.0.2.9] timed out while sending RCPT",
                           "host mx.b.example[192.0.2.9] refused to talk to me: 421 busy"}) {
    const std::string rest = absl::StrCat(
        "733F6A781D8: to=<a@b.example>, relay=none, delay=30, delays=0/0/30/0, "
        "dsn=4.4.1, status=deferred (delivery temporarily suspended: ",
        text, ")");
    EXPECT_EQ(ParsePostfixLine("error", rest).host, "mx.b.example") << text;
    EXPECT_EQ(ParsePostfixLine("error", rest).host_ip, "192.0.2.9") << text;
  }
  // A program's output is no sentence of Postfix's.
  const PostfixLine line = ParsePostfixLine(
      "pipe",
      "733F6A781D8: to=<a@b.example>, relay=gate, delay=1, delays=0/0/1/0, dsn=4.3.0, "
      "status=deferred (host mx.b.example[192.0.2.9] said: 550 no)");
  EXPECT_EQ(line.host, "gate");
  EXPECT_EQ(line.host_ip, "");
}

TEST(PostfixLine, AServerThatWasNeverReachedIsInTheText) {
  PostfixLine line = ParsePostfixLine(
      "smtp",
      "733F6A781D8: to=<a@b.example>, relay=none, delay=30, delays=0/0/30/0, dsn=4.4.1, "
      "status=deferred (connect to mx.b.example[192.0.2.9]:25: Connection timed out)");
  EXPECT_EQ(line.host, "mx.b.example");
  EXPECT_EQ(line.host_ip, "192.0.2.9");
  line = ParsePostfixLine("smtp",
                          "733F6A781D8: to=<a@typo.example>, relay=none, delay=1, delays=0/0/1/0, "
                          "dsn=5.4.4, status=bounced (Host or domain name not found. Name service "
                          "error for name=typo.example type=A: Host not found)");
  EXPECT_EQ(line.host, "");
  EXPECT_EQ(line.status, "bounced");
}

TEST(PostfixLine, FreeTextThatImitatesFieldsIsNotBelieved) {
  PostfixLine line = ParsePostfixLine(
      "smtp",
      R"(733F6A781D8: to=<"x>, relay=evil[1.2.3.4]:25, delay=1, dsn=2.0.0, status=sent (ok"@b>, )"
      "relay=mx[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host "
      "mx[192.0.2.9] said: 550 no; to=<victim@c>, relay=z[9.9.9.9]:25, status=sent (in reply to "
      "RCPT TO command))");
  EXPECT_EQ(line.recipient,
            R"("x>, relay=evil[1.2.3.4]:25, delay=1, dsn=2.0.0, status=sent (ok"@b)");
  EXPECT_EQ(line.host_ip, "192.0.2.9");
  EXPECT_EQ(line.status, "bounced");
}

TEST(PostfixLine, NoticesRejectionsAndHolds) {
  PostfixLine line =
      ParsePostfixLine("bounce", "733F6A781D8: sender non-delivery notification: 80FC8A781E4");
  EXPECT_EQ(line.kind, Kind::kNotice);
  EXPECT_EQ(line.notice_id, "80FC8A781E4");
  line = ParsePostfixLine("smtpd",
                          "NOQUEUE: reject: RCPT from pc[192.0.2.1]: 554 5.7.1 <r@b>: Recipient "
                          "address rejected: no; from=<s@a> to=<r@b> proto=ESMTP helo=<c>");
  EXPECT_EQ(line.kind, Kind::kRejected);
  EXPECT_EQ(line.id, "");
  EXPECT_EQ(line.action, "reject");
  EXPECT_EQ(line.text, "554 5.7.1 <r@b>: Recipient address rejected: no");
  EXPECT_EQ(line.sender, "s@a");
  EXPECT_EQ(line.recipient, "r@b");
  EXPECT_EQ(line.client_ip, "192.0.2.1");
  line = ParsePostfixLine("cleanup",
                          "733F6A781D8: milter-reject: END-OF-MESSAGE from pc[192.0.2.1]: 5.7.1 "
                          "spam; from=<s@a> to=<r@b> proto=ESMTP helo=<c>");
  EXPECT_EQ(line.action, "milter-reject");
  EXPECT_EQ(line.id, "733F6A781D8");
  EXPECT_EQ(ParsePostfixLine("postsuper", "733F6A781D8: placed on hold").kind, Kind::kHeld);
}

TEST(PostfixLine, AddressesThatLostTheirBrackets) {
  const std::string rest = ", relay=mx[192.0.2.9]:25, delay=1, dsn=2.0.0, status=sent (ok)";
  for (const auto& [printed, address] :
       {std::pair("a@b.example", "a@b.example"), std::pair("&lt;a@b.example&gt;", "a@b.example"),
        std::pair("", "")}) {
    const std::string text = absl::StrCat("733F6A781D8: to=", printed, rest);
    const PostfixLine line = ParsePostfixLine("smtp", text);
    EXPECT_EQ(line.kind, Kind::kDelivery) << text;
    EXPECT_EQ(line.recipient, address) << text;
    EXPECT_EQ(line.status, "sent") << text;
  }
  PostfixLine line =
      ParsePostfixLine("qmgr", "733F6A781D8: from=a@b, size=1, nrcpt=1 (queue active)");
  EXPECT_EQ(line.kind, Kind::kActive);
  EXPECT_EQ(line.sender, "a@b");
  // A sender that is not known is not the null sender.
  EXPECT_EQ(ParsePostfixLine("qmgr", "733F6A781D8: from=, size=1, nrcpt=1 (queue active)").kind,
            Kind::kOther);
  line = ParsePostfixLine("pickup", "733F6A781D8: uid=33 from=www-data");
  EXPECT_EQ(line.kind, Kind::kPickup);
  EXPECT_EQ(line.sender, "www-data");
}

TEST(PostfixLine, SessionsThatFeedAFilter) {
  PostfixLine line = ParsePostfixLine(
      "smtpd", "NOQUEUE: client=pc[192.0.2.7], sasl_method=PLAIN, sasl_username=bob@a.example");
  EXPECT_EQ(line.kind, Kind::kProxyClient);
  EXPECT_EQ(line.login, "bob@a.example");
  EXPECT_EQ(line.client_ip, "192.0.2.7");
  line =
      ParsePostfixLine("smtpd",
                       "proxy-accept: END-OF-MESSAGE: 250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): "
                       "250 2.0.0 Ok: queued as 5DF91100568; from=<bob@a.example> to=<u@d> "
                       "proto=ESMTP helo=<x: queued as ABCDEF01; from=<y>>");
  EXPECT_EQ(line.kind, Kind::kProxyAccept);
  EXPECT_EQ(line.queued_as, "5DF91100568");
  line = ParsePostfixLine("smtpd",
                          "proxy-reject: END-OF-MESSAGE: 554 5.7.1 spam; from=<bob@a.example> "
                          "to=<u@d> proto=ESMTP helo=<x>");
  EXPECT_EQ(line.kind, Kind::kRejected);
  EXPECT_EQ(line.text, "554 5.7.1 spam");
  EXPECT_EQ(line.recipient, "u@d");
  EXPECT_EQ(ParsePostfixLine("smtpd", "disconnect from pc[192.0.2.7] ehlo=1").kind, Kind::kSession);
  EXPECT_EQ(ParsePostfixLine("smtpd", "connect from pc[192.0.2.7]").kind, Kind::kSession);
  // Words of another program.
  EXPECT_EQ(ParsePostfixLine("cleanup", "NOQUEUE: client=pc[192.0.2.7]").kind, Kind::kOther);
}

TEST(PostfixLine, MailScannerNamesBothIds) {
  for (const char* text :
       {"Requeue: 8F6D5A0B5E.A7D26 to 4C1F1A0B61", "Requeue: 8F6D5A0B5E to 4C1F1A0B61"}) {
    const PostfixLine line = ParseMailScannerLine(text);
    EXPECT_EQ(line.kind, Kind::kRequeued) << text;
    EXPECT_EQ(line.id, "8F6D5A0B5E");
    EXPECT_EQ(line.queued_as, "4C1F1A0B61");
  }
  for (const char* text :
       {"Requeue: x to y", "Requeue: 8F6D5A0B5E.A7D26", "Message 8F6D5A0B5E.A7D26"}) {
    EXPECT_EQ(ParseMailScannerLine(text).kind, Kind::kOther) << text;
  }
}

TEST(PostfixLine, WhichProgramItWasIsInTheText) {
  for (const auto& [text, program] : {
           std::pair("4F01AA: client=pc[192.0.2.1]", "smtpd"),
           std::pair("4F01AA: uid=33 from=<x>", "pickup"),
           std::pair("4F01AA: message-id=<x>", "cleanup"),
           std::pair("4F01AA: from=<a@b>, size=1, nrcpt=1 (queue active)", "qmgr"),
           std::pair("4F01AA: removed", "qmgr"),
           std::pair("4F01AA: to=<a@b>, relay=mx[192.0.2.9]:25, status=sent (ok)", "smtp"),
           std::pair("4F01AA: to=<a@b>, relay=local, status=sent (delivered to mailbox)", "local"),
           std::pair("4F01AA: to=<a@b>, relay=dovecot, status=sent (ok)", "pipe"),
           std::pair("4F01AA: to=<a@b>, relay=mx[private/lmtp], status=sent (ok)", "lmtp"),
           std::pair("4F01AA: to=<a@b>, relay=none, status=bounced (Host or domain name not "
                     "found. Name service error)",
                     "smtp"),
           std::pair("4F01AA: to=<a@b>, relay=none, status=deferred (mail transport unavailable)",
                     "error"),
           std::pair("NOQUEUE: reject: RCPT from pc[192.0.2.1]: x", "smtpd"),
           std::pair("4F01AA: sender non-delivery notification: 4F01AB", "bounce"),
           std::pair("statistics: max connection rate 1", ""),
           std::pair("", ""),
       }) {
    EXPECT_EQ(PostfixProgramOf(text), program) << text;
  }
  for (const char* tag : {"postfix", "postfix/relay", "postfix@-.service", "postfix.service"}) {
    EXPECT_TRUE(IsPostfixUnit(tag)) << tag;
  }
  for (const char* tag : {"postfixadmin", "postfix-policyd", "xpostfix", ""}) {
    EXPECT_FALSE(IsPostfixUnit(tag)) << tag;
  }
}

TEST(PostfixLine, WhatGoesOnOtherwiseIsMalformed) {
  for (const char* text : {"733F6A781D8: to=<a@b", "733F6A781D8: to=<a@b>, relay=x",
                           "733F6A781D8: to=<a@b>, relay=x, status", "733F6A781D8: to=a@b"}) {
    EXPECT_EQ(ParsePostfixLine("smtp", text).kind, Kind::kMalformed) << text;
  }
  EXPECT_EQ(ParsePostfixLine("qmgr", "733F6A781D8: from=<a").kind, Kind::kMalformed);
  EXPECT_EQ(ParsePostfixLine("pickup", "733F6A781D8: uid=x").kind, Kind::kMalformed);
}

TEST(PostfixLine, OthersAreNotMine) {
  for (const char* text :
       {"lost connection after DATA from pc[192.0.2.1]", "warning: 733F6A781D8: size limit",
        "statistics: max connection rate 1/60s", "", "733F6A781D8:"}) {
    EXPECT_EQ(ParsePostfixLine("smtpd", text).kind, Kind::kOther) << text;
  }
}

// Never more than the line, whatever the bytes.
TEST(PostfixLine, AnyBytes) {
  std::mt19937 random(5);
  const std::string words[] = {"733F6A781D8: ",
                               "to=<",
                               ">, ",
                               "relay=",
                               "status=",
                               "from=<",
                               "client=",
                               "[",
                               "]",
                               "\"",
                               "(",
                               ")",
                               "queued as ",
                               "orig_to=",
                               "NOQUEUE: reject: ",
                               "uid=3 ",
                               "\\"};
  for (int i = 0; i < 50'000; ++i) {
    std::string text = random() % 2 ? words[0] : "";
    for (unsigned n = random() % 12; n > 0; --n) {
      text += random() % 5 ? words[random() % std::size(words)]
                           : std::string(1, static_cast<char>(random()));
    }
    for (const char* program : {"smtp", "smtpd", "qmgr", "pickup", "cleanup", "bounce"}) {
      ParsePostfixLine(program, text);
    }
  }
}

}  // namespace
}  // namespace deferd
