#include "limiter/intake/exim_reader.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/limiter/intake/log_text.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

constexpr char kReaderId[] = "1hIAif-00H7J4-Lb";

absl::Time Utc(const std::string& text) {
  absl::Time time;
  std::string error;
  return absl::ParseTime("%Y-%m-%d %H:%M:%S", text, &time, &error) ? time : absl::InfinitePast();
}

std::string At(absl::string_view clock, absl::string_view rest) {
  return absl::StrCat("2026-11-22 ", clock, " ", kReaderId, " ", rest);
}

constexpr char kReaderArrival[] =
    "<= a@s.example H=(c) [192.0.2.1] P=esmtpsa A=plain:joe@s.example S=337 id=m@x";
constexpr char kDelivery[] = "=> r@d.example R=r1 T=t1 H=mx [192.0.2.9] C=\"250 2.0.0 \\\"ok\\\"\"";

LineCounts Counts(int64_t attempts, int64_t not_mine, int64_t rejected, int64_t malformed) {
  return {.lines = attempts + not_mine + rejected + malformed,
          .attempts = attempts,
          .not_mine = not_mine,
          .rejected = rejected,
          .malformed = malformed};
}

// Which of the four a line is.
std::string Class(absl::string_view line) {
  const LineCounts counts = LogText().Line(line).Take().counts;
  if (counts == Counts(1, 0, 0, 0)) return "attempt";
  if (counts == Counts(0, 1, 0, 0)) return "not mine";
  if (counts == Counts(0, 0, 1, 0)) return "rejected";
  if (counts == Counts(0, 0, 0, 1)) return "malformed";
  return "?";
}

TEST(EximReader, JoinsADeliveryWithItsArrival) {
  const Reading reading = LogText()
                              .Line(At("00:15:04", kReaderArrival))
                              .Line(At("00:15:05.5", kDelivery))
                              .Line(At("00:15:06", "Completed"))
                              .Take();
  EXPECT_EQ(reading.counts, Counts(1, 2, 0, 0));
  ASSERT_EQ(reading.attempts.size(), 1u);
  const Attempt& attempt = reading.attempts[0];
  EXPECT_EQ(attempt.time, Utc("2026-11-22 00:15:05") + absl::Milliseconds(500));
  EXPECT_EQ(attempt.message, (MessageKey{kReaderId, Utc("2026-11-22 00:15:04")}));
  EXPECT_EQ(attempt.identity,
            (Identity{.sender = "a@s.example", .login = "joe@s.example", .host = "192.0.2.1"}));
  EXPECT_EQ(attempt.recipient, "r@d.example");
  EXPECT_EQ(attempt.original, "");
  EXPECT_EQ(attempt.outcome, Outcome::kDelivered);
  EXPECT_EQ(attempt.router, "r1");
  EXPECT_EQ(attempt.transport, "t1");
  EXPECT_EQ(attempt.host, "mx");
  EXPECT_EQ(attempt.host_ip, "192.0.2.9");
  EXPECT_EQ(attempt.reply, "250 2.0.0 \"ok\"");
  EXPECT_TRUE(attempt.remote);
  EXPECT_FALSE(attempt.bare_expiry);
  ASSERT_EQ(reading.completed.size(), 1u);
  EXPECT_EQ(reading.completed[0], attempt.message);
}

TEST(EximReader, ArrivalNeverSeenGivesNoIdentity) {
  const Reading reading =
      LogText().Line(At("00:15:05", kDelivery)).Line(At("00:15:06", "Completed")).Take();
  ASSERT_EQ(reading.attempts.size(), 1u);
  EXPECT_FALSE(reading.attempts[0].attributed());
  EXPECT_EQ(reading.attempts[0].identity, Identity{});
  EXPECT_EQ(reading.completed[0], (MessageKey{kReaderId, absl::InfinitePast()}));
}

TEST(EximReader, SlotsOfABatchKeepNothingOld) {
  LogText log;
  log.Line(At("00:15:04", kReaderArrival))
      .Line(At("00:15:05", "** x@y <o@y> R=r1 T=t1 H=h [192.0.2.1]: no"))
      .Line(At("00:15:05", "Completed"))
      .Take();
  const Reading reading = log.Line(At("00:15:06", "== z@y routing defer (-1): later")).Take();
  const Attempt& attempt = reading.attempts[0];
  EXPECT_EQ(attempt.original + attempt.router + attempt.transport + attempt.host + attempt.host_ip +
                attempt.identity.sender,
            "");
  EXPECT_FALSE(attempt.remote);
  EXPECT_EQ(attempt.reply, "later");
}

TEST(EximReader, IdUsedAgainIsANewMessage) {
  LogText log;
  log.Line(At("00:15:04", kReaderArrival)).Line(At("01:00:00", "<= b@t.example U=b P=local S=1"));
  const Reading reading = log.Line(At("01:00:01", kDelivery)).Take();
  EXPECT_EQ(reading.attempts[0].message.arrival, Utc("2026-11-22 01:00:00"));
  EXPECT_EQ(reading.attempts[0].identity, (Identity{.sender = "b@t.example", .user = "b"}));
  EXPECT_EQ(log.reader().open_messages(), 1u);
}

// What is logged with +sender_on_delivery, of a message that arrived in a file never read.
TEST(EximReader, WithoutAnArrivalTheSenderIsThatOfTheDelivery) {
  LogText log;
  log.Line(
         At("00:15:04", "=> x@y F=<a@s.example> R=r T=t H=h [192.0.2.1] C=\"250 F=<b@t.example>\""))
      .Line(At("00:15:05", "== x@y F=<\"q> F=<c@u.example>\"@s.example> R=r T=t defer (-44): no"))
      .Line(At("00:15:06", "** x@y F=<> R=r T=t H=h [192.0.2.1]: 550 F=<d@v.example> no"))
      .Line(At("00:15:07", "** x@y R=r T=t: 550 F=<d@v.example> no"));
  const Reading reading = log.Take();
  ASSERT_EQ(reading.attempts.size(), 4u);
  const char* const kSenders[] = {"a@s.example", "\"q> F=<c@u.example>\"@s.example", "", ""};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(reading.attempts[i].identity, (Identity{.sender = kSenders[i]})) << i;
    EXPECT_FALSE(reading.attempts[i].attributed());
  }
  // Whose arrival is known is not what a delivery says.
  log.Line(At("00:16:00", kReaderArrival));
  const std::string sender = log.Line(At("00:16:01", kDelivery)).Take().attempts[0].identity.sender;
  EXPECT_EQ(log.Line(At("00:16:02", "=> z@y F=<e@w.example> R=r T=t H=h [192.0.2.1]"))
                .Take()
                .attempts[0]
                .identity.sender,
            sender);
}

TEST(EximReader, CompletedMessageIsForgotten) {
  LogText log;
  log.Line(At("00:15:04", kReaderArrival)).Line(At("00:15:05", "Completed QT=0.1s"));
  EXPECT_EQ(log.reader().open_messages(), 0u);
  const Reading reading = log.Line(At("00:15:06", kDelivery)).Take();
  EXPECT_FALSE(reading.attempts[0].attributed());
}

TEST(EximReader, OldestMessageIsForgottenWhenThereAreTooMany) {
  LogText log({.zone = absl::UTCTimeZone(), .max_open_messages = 2});
  for (int i = 0; i < 3; ++i) {
    log.Line(absl::StrCat("2026-11-22 00:00:00 1hIAif-00H7J4-L", i, " <= a@s U=a P=local S=1"));
  }
  EXPECT_EQ(log.reader().open_messages(), 2u);
  EXPECT_EQ(log.reader().evicted(), 1);
  const Reading reading = log.Line("2026-11-22 00:00:01 1hIAif-00H7J4-L0 => r@d R=r")
                              .Line("2026-11-22 00:00:01 1hIAif-00H7J4-L1 => r@d R=r")
                              .Take();
  EXPECT_FALSE(reading.attempts[0].attributed());
  EXPECT_TRUE(reading.attempts[1].attributed());
}

TEST(EximReader, SenderIdentificationNamesTheDomain) {
  LogText log;
  log.Line(At("00:00:00", kReaderArrival))
      .Line(At("00:00:00", "Sender identification U=acct D=main.example S=joe@s.example"))
      .Line(At("00:00:00", "Sender identification U=-remote- D=-system- S=joe@s.example"))
      .Line(At("00:00:01", kDelivery));
  EXPECT_EQ(log.Take().attempts[0].identity.identified_domain, "main.example");
  log.Line(At("00:01:00", kReaderArrival)).Line(At("00:01:01", kDelivery));
  EXPECT_EQ(log.Take().attempts[0].identity.identified_domain, "");
}

TEST(EximReader, OnlyBouncesAreMadeByTheMta) {
  const auto made_by_mta = [](absl::string_view arrival) {
    return LogText()
        .Line(At("00:00:00", arrival))
        .Line(At("00:00:01", kDelivery))
        .Take()
        .attempts[0]
        .identity.made_by_mta;
  };
  EXPECT_TRUE(made_by_mta("<= <> R=1hIAif-00H7J4-La U=mail P=local S=1"));
  EXPECT_FALSE(made_by_mta("<= <> U=mail P=local S=1"));
  EXPECT_FALSE(made_by_mta("<= a@s R=1hIAif-00H7J4-La U=mail P=local S=1"));
  EXPECT_FALSE(made_by_mta("<= <> R=1hIAif-00H7J4-La H=(c) [192.0.2.1] P=esmtp S=1"));
  EXPECT_FALSE(made_by_mta("<= <> H=(c) [192.0.2.1] P=esmtpa A=plain:joe S=1"));
}

// A notice: charged to nobody. Its Message-ID in mail of anybody else does nothing.
TEST(EximReader, WhatDeferdSentItselfIsAsTheMtas) {
  std::vector<std::string> asked;
  const auto made_by_mta = [&](absl::string_view arrival) {
    return LogText({.zone = absl::UTCTimeZone(),
                    .own_mail =
                        [&](absl::string_view message_id, absl::Time) {
                          asked.emplace_back(message_id);
                          return message_id == "deferd.1@mx";
                        }})
        .Line(At("00:00:00", arrival))
        .Line(At("00:00:01", kDelivery))
        .Take()
        .attempts[0]
        .identity.made_by_mta;
  };
  EXPECT_TRUE(made_by_mta("<= <> H=(mx) [127.0.0.1] P=esmtp S=1 id=deferd.1@mx"));
  EXPECT_TRUE(made_by_mta("<= <> H=localhost (mx) [::1] P=esmtp S=1 id=deferd.1@mx"));
  EXPECT_FALSE(made_by_mta("<= <> H=(mx) [127.0.0.1] P=esmtp S=1 id=deferd.2@mx"));
  EXPECT_EQ(asked.size(), 3u);
  EXPECT_FALSE(made_by_mta("<= <> H=(mx) [192.0.2.1] P=esmtp S=1 id=deferd.1@mx"));
  EXPECT_FALSE(made_by_mta("<= a@s.example H=(mx) [127.0.0.1] P=esmtp S=1 id=deferd.1@mx"));
  EXPECT_FALSE(made_by_mta("<= <> H=(mx) [127.0.0.1] P=esmtpa A=p:joe S=1 id=deferd.1@mx"));
  EXPECT_FALSE(made_by_mta("<= <> U=www P=local S=1 id=deferd.1@mx"));
  EXPECT_EQ(asked.size(), 3u);
}

TEST(EximReader, Outcomes) {
  struct {
    const char* rest;
    Outcome outcome;
    bool remote;
    bool bare_expiry;
  } const kCases[] = {
      {"=> r@d R=r T=t H=h [192.0.2.1]", Outcome::kDelivered, true, false},
      {"-> r@d R=r T=t H=h [192.0.2.1]", Outcome::kDelivered, true, false},
      {"=> :blackhole: <r@d> R=r", Outcome::kDelivered, false, false},
      {"=> |cmd <r@d> R=r T=t H=h [192.0.2.1]", Outcome::kDelivered, false, false},
      {"== r@d R=r T=t defer (-44) H=h [192.0.2.1]: x", Outcome::kDeferred, true, false},
      {"** r@d R=r T=t H=h [192.0.2.1]: x", Outcome::kFailed, true, false},
      {"** r@d: retry timeout exceeded", Outcome::kExpired, false, true},
      {"** r@d: Unrouteable address", Outcome::kFailed, false, false},
      {"** r@d R=r T=t H=h [192.0.2.1]: 451 x: retry timeout exceeded", Outcome::kExpired, true,
       false},
      {"** r@d R=r T=t: retry timeout exceeded", Outcome::kExpired, false, true},
      {"** r@d R=r T=t H=h [192.0.2.1]: retry timeout exceeded", Outcome::kExpired, true, false},
      {"** r@d R=r: retry timeout exceeded for x", Outcome::kFailed, false, false},
  };
  for (const auto& c : kCases) {
    const Reading reading = LogText().Line(At("00:00:00", c.rest)).Take();
    ASSERT_EQ(reading.attempts.size(), 1u) << c.rest;
    EXPECT_EQ(reading.attempts[0].outcome, c.outcome) << c.rest;
    EXPECT_EQ(reading.attempts[0].remote, c.remote) << c.rest;
    EXPECT_EQ(reading.attempts[0].bare_expiry, c.bare_expiry) << c.rest;
  }
}

TEST(EximReader, ARecipientHasOneSpelling) {
  LogText log;
  const Reading reading = log.Line(At("00:00:00", "== Bob.R@D.Example R=r defer (-1): x"))
                              .Line(At("00:00:00", "=> bob <Bob@Local.Example> R=r T=t"))
                              .Line(At("00:00:00", "=> |/Usr/Bin <Bob@Local.Example> R=r T=t"))
                              .Line(At("00:00:00", "=> x@y <Bob@Local.Example> R=r T=t"))
                              .Take();
  EXPECT_EQ(reading.attempts[0].recipient, "bob.r@d.example");
  EXPECT_EQ(reading.attempts[1].recipient, "bob@local.example");
  EXPECT_EQ(reading.attempts[2].recipient, "|/Usr/Bin");
  EXPECT_EQ(reading.attempts[3].original, "Bob@Local.Example");
}

TEST(EximReader, CutthroughDeliveryIsLoggedBeforeItsArrival) {
  LogText log;
  log.Line(At("00:00:00", ">> r@d.example R=r T=t H=mx [192.0.2.9] C=\"250 ok\""));
  EXPECT_EQ(log.Take().counts, Counts(1, 0, 0, 0));
  const Reading reading =
      log.Line(At("00:00:01", kReaderArrival)).Line(At("00:00:01", "Completed")).Take();
  EXPECT_EQ(reading.counts, Counts(0, 2, 0, 0));
  ASSERT_EQ(reading.attempts.size(), 1u);
  EXPECT_EQ(reading.attempts[0].time, Utc("2026-11-22 00:00:00"));
  EXPECT_EQ(reading.attempts[0].identity.login, "joe@s.example");
  EXPECT_TRUE(reading.attempts[0].attributed());
}

TEST(EximReader, CutthroughDeliveryWithoutArrivalComesAtCompletion) {
  LogText log;
  log.Line(At("00:00:00", ">> r@d.example R=r T=t H=mx [192.0.2.9]"));
  const Reading reading = log.Line(At("00:00:01", "Completed")).Take();
  ASSERT_EQ(reading.attempts.size(), 1u);
  EXPECT_FALSE(reading.attempts[0].attributed());
}

TEST(EximReader, EachLineIsOneOfFour) {
  struct {
    const char* line;
    const char* want;
  } const kCases[] = {
      {"", "not mine"},
      {"\r", "not mine"},
      {"2026-11-22 00:00:00 exim 4.96 daemon started", "not mine"},
      {"2026-11-22 00:00:00", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb => r@d R=r\r", "attempt"},
      {"2026-11-22 00:00:00.123 +0100 [99] 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"2026-11-22 00:00:00 1wtMbN-00000004FD2-1H7i => r@d R=r", "attempt"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb *> r@d R=r", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r defer (-51): x", "attempt"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r defer (-52): x", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r defer (-53): x", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r defer (-54): x", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r defer (-57): x", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r defer (-55): x", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r defer (-56): domain is in queue_domains",
       "not mine"},
      {"2012-02-13 14:46:10 1RwtQA-000Mti-P5 == i@d R=r T=t defer (-1): domain matches "
       "queue_smtp_domains, or -odqs set",
       "not mine"},
      {"2012-02-13 14:46:10 1RwtQA-000Mti-P5 == i@d R=r T=t defer (-1): retry time not reached",
       "not mine"},
      // The same in another server's mouth is its answer.
      {"2012-02-13 14:46:10 1RwtQA-000Mti-P5 == i@d R=r T=t H=mx [192.0.2.9] defer (-44): SMTP "
       "error from remote mail server after RCPT TO:<i@d>: 450 -odqs set",
       "attempt"},
      {"2012-02-13 14:46:10 1RwtQA-000Mti-P5 == i@d R=r defer (-1): failed to expand: -1",
       "attempt"},
      // What Exim says on two lines when it starts.
      {"2026-11-22 00:00:00 Warning: purging the environment.", "not mine"},
      {" Suggested action: use keep_environment.", "not mine"},
      {"\tlistening for SMTPS on port 465", "not mine"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb == r@d R=r", "malformed"},
      {"2026-11-22 00:00:00 1hIAif-00H7J4-Lb =>", "malformed"},
      {"2026-11-22 00:00:00 H=(x) [192.0.2.1] rejected MAIL <a@b>: x", "rejected"},
      {"2026-11-31 00:00:00 1hIAif-00H7J4-Lb => r@d R=r", "malformed"},
      {"1hIAif-00H7J4-Lb => r@d R=r", "malformed"},
      {" 2026-11-22 00:00:00 1hIAif-00H7J4-Lb => r@d R=r", "not mine"},
      {"no log at all", "malformed"},
      {"\xff\xfe\x80", "malformed"},
      {"Nov 21 19:24:40 vm exim[1]: 2026-11-21 19:24:40 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"Nov 21 19:24:40 vm exim[1]: 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"Nov 21 19:24:40 vm exim4[1]: [1] 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"<22>Nov 21 19:24:40 vm exim: 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"Nov 21 19:24:40 exim[1]: 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"2026-11-21T19:24:39.361Z vm exim[1]: 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"Nov 21 19:24:40 vm mta[1]: 2026-11-21 19:24:40 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"Nov 21 19:24:40 vm mta[1]: 1hIAif-00H7J4-Lb => r@d R=r", "not mine"},
      {"Nov 21 19:24:40 vm postfix/smtp[1]: 9C8D7: to=<a@b>, status=sent", "not mine"},
      {"Nov 21 19:24:40 vm last message repeated 3 times", "not mine"},
      {"Nov 21 19:24:40", "not mine"},
      {"Nov 31 19:24:40 vm exim[1]: 1hIAif-00H7J4-Lb => r@d R=r", "malformed"},
      {"Nov 21 19:24:40 vm exim[1]: [1\\8] 2026-11-21 19:24:40 1hIAif-00H7J4-Lb => r@d R=r",
       "attempt"},
      {"Nov 21 19:24:40 vm exim[1]: [1/3] 1hIAif-00H7J4-Lb => r@d R=r", "attempt"},
      {"Nov 21 19:24:40 vm exim[1]: [2\\8] 1hIAif-00H7J4-Lb => r@d R=r", "not mine"},
      {"Nov 21 19:24:40 vm exim[1]: [3/3] ** r@d: x", "not mine"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Class(c.line), c.want) << c.line;
  EXPECT_EQ(Class(absl::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22)),
            "malformed");
}

TEST(EximReader, SkippedLineIsMalformed) {
  auto reader = NewEximReader({});
  EventBatch batch;
  reader->SkipLine(&batch);
  EXPECT_EQ(batch.counts, Counts(0, 0, 0, 1));
}

TEST(EximReader, EximsOwnStampWinsOverSyslogs) {
  LogText log;
  log.Line("2026-11-21T20:00:00Z vm exim[1]: 2026-11-21 19:24:39.361 [1] " +
           std::string(kReaderId) + " => r@d R=r");
  EXPECT_EQ(log.Take().attempts[0].time, Utc("2026-11-21 19:24:39") + absl::Milliseconds(361));
  log.Line("2026-11-21T20:00:00Z vm exim[1]: " + std::string(kReaderId) + " => r@d R=r");
  EXPECT_EQ(log.Take().attempts[0].time, Utc("2026-11-21 20:00:00"));
  EXPECT_EQ(log.reader().last_stamp(), Utc("2026-11-21 20:00:00"));
}

// Whatever wrote the file, these are the same three entries.
TEST(EximReader, ThePrefixesOfOthers) {
  const std::string entries[] = {
      absl::StrCat(kReaderId,
                   " <= bob@s.example H=pc [192.0.2.1] P=esmtpsa A=plain:bob@s.example S=1"),
      absl::StrCat(kReaderId, " ** r@d.example R=r T=t H=mx [192.0.2.9]: SMTP error: 550 no"),
      absl::StrCat(kReaderId, " Completed")};
  for (const char* prefix :
       {"2026-11-21 19:24:39 ", "2026-11-21 19:24:39.361 +0000 [7] ",
        "Nov 21 19:24:39 vm exim[7]: ", "2026-11-21T19:24:39Z vm exim[7]: 2026-11-21 19:24:39 ",
        "2026-11-21 19:24:39 vm exim[7]: ", "2026-11-21 19:24:39 vm exim[7]: [7] ",
        "2026-11-21 19:24:39 vm exim[7]: 2026-11-21 19:24:39 [7] ",
        "exim-1  | 2026-11-21 19:24:39 ",
        "exim-1 | 2026-11-21T19:24:39.5Z 2026-11-21 20:24:39 [7] ",
        "2026-11-21T19:24:39.1Z stdout F 2026-11-21 19:24:39 ",
        "<22>1 2026-11-21T19:24:39Z vm exim 7 - - ",
        "Nov 21 19:24:39 node c0ffee000001[3]: "
        "2026-11-21 19:24:39 ",
        "1795289079.000100 vm exim4[7]: ", "Sat 2026-11-21 19:24:39 UTC vm exim[7]: ",
        "Nov 21 19:24:39 vm exim[7]: [ID 702911 mail.info] 2026-11-21 19:24:39 "}) {
    LogText log;
    log.reader().set_latest(Utc("2026-12-01 00:00:00"));
    for (const std::string& entry : entries) log.Line(absl::StrCat(prefix, entry));
    const Reading reading = log.Take();
    EXPECT_EQ(reading.counts, (LineCounts{.lines = 3, .attempts = 1, .not_mine = 2})) << prefix;
    ASSERT_EQ(reading.attempts.size(), 1u) << prefix;
    EXPECT_EQ(reading.attempts[0].identity.login, "bob@s.example") << prefix;
    EXPECT_LE(absl::AbsDuration(reading.attempts[0].time - Utc("2026-11-21 19:24:39")),
              absl::Seconds(1))
        << prefix;
  }
}

TEST(EximReader, WhatSyslogCountsIsAsManyAttempts) {
  LogText log;
  log.reader().set_latest(Utc("2026-12-01 00:00:00"));
  log.Line(absl::StrCat("Nov 21 19:24:39 vm exim[7]: message repeated 2 times: [ ", kReaderId,
                        " == r@d R=r T=t H=mx [192.0.2.9] defer (-44): 450 no]"));
  const Reading reading = log.Take();
  EXPECT_EQ(reading.attempts.size(), 2u);
  EXPECT_EQ(reading.counts, (LineCounts{.lines = 1, .attempts = 1}));
}

// What a client may have Exim write behind its own stamp, or any program behind syslog's.
TEST(EximReader, NoPrefixIsReadOutOfATextOfStrangers) {
  const std::string forged = absl::StrCat(kReaderId, " <= x@victim.example U=victim P=local S=1");
  {
    LogText log;
    log.Line("2026-11-21 19:24:38 1hIAif-00H7J4-Aa Completed");
    log.Line(absl::StrCat("2026-11-21 19:24:39 ETRN exim[7]: ", forged, " received from H=x"));
    EXPECT_EQ(log.reader().open_messages(), 0u);
    // Nor after a restart.
    LogText restarted;
    ASSERT_THAT(restarted.reader().Restore({}, log.reader().SaveState()), IsOk());
    restarted.Line(
        absl::StrCat("2026-11-21 19:24:39 ETRN exim[7]: ", forged, " received from H=x"));
    EXPECT_EQ(restarted.reader().open_messages(), 0u);
  }
  for (const char* program : {"php", "sshd[3]", "apache2", "webmail"}) {
    LogText log;
    log.reader().set_latest(Utc("2026-12-01 00:00:00"));
    log.Line(absl::StrCat("Nov 21 19:24:39 vm ", program, ": 2026-11-21 19:24:39 ", forged));
    log.Line(absl::StrCat("Nov 21 19:24:39 vm ", program, ": exim[3]: ", forged));
    EXPECT_EQ(log.reader().open_messages(), 0u) << program;
    EXPECT_EQ(log.Take().counts.not_mine, 2) << program;
  }
}

TEST(EximReader, RealLogsHaveNothingMalformed) {
  for (const char* name : {"exim-default.log", "exim-all-head.log", "exim-syslog-head.log"}) {
    const std::vector<std::string> lines = TestdataLines(std::string("exim/") + name);
    LogText log;
    log.reader().set_latest(Utc("2026-12-01 00:00:00"));
    const Reading reading = log.Lines(lines).Take();
    EXPECT_EQ(reading.counts.malformed, 0) << name;
    EXPECT_EQ(reading.counts.lines, static_cast<int64_t>(lines.size())) << name;
    EXPECT_GT(reading.counts.attempts, 10) << name;
    for (const Attempt& attempt : reading.attempts) EXPECT_TRUE(attempt.attributed()) << name;
  }
}

TEST(EximReader, CpanelLogCounts) {
  const Reading reading = LogText().Lines(TestdataLines("exim/cpanel.log")).Take();
  // Line 11 has lost its stamp; line 21 is no attempt.
  EXPECT_EQ(reading.counts, Counts(16, 16, 2, 1));
}

TEST(EximReader, RecipientsRejectedForGoodAtRcpt) {
  EventBatch batch;
  auto reader = NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = false});
  for (const char* line :
       {"2026-11-22 08:00:01 H=(pc) [192.0.2.7] X=TLS1.3 CV=no A=plain:joe@s.example "
        "F=<joe@s.example> rejected RCPT <nobody@d.example>: Unrouteable address",
        "2026-11-22 08:00:02 H=(pc) [192.0.2.7] A=plain:joe@s.example F=<joe@s.example> "
        "temporarily rejected RCPT <later@d.example>: Could not complete recipient verify",
        "2026-11-22 08:00:03 U=shop F=<shop@s.example> rejected RCPT <x@d.example>: Unknown user",
        "2026-11-22 08:00:04 H=(pc) [192.0.2.7] U=root F=<a@s.example> rejected RCPT "
        "<x@d.example>: Unknown user",
        "2026-11-22 08:00:05 H=(pc) [192.0.2.7] F=<a@s.example> rejected MAIL <a@s.example>: no"}) {
    reader->ReadLine(line, &batch);
  }
  EXPECT_EQ(batch.counts, Counts(0, 0, 5, 0));
  // Also where only figures are wanted (replay).
  ASSERT_EQ(batch.size(), 4u);
  EXPECT_EQ(batch[0].kind, LogEvent::Kind::kShown);
  EXPECT_EQ(batch[0].attempt.outcome, Outcome::kRejectedRecipient);
  EXPECT_EQ(batch[0].attempt.identity.login, "joe@s.example");
  EXPECT_EQ(batch[0].attempt.recipient, "nobody@d.example");
  EXPECT_EQ(batch[1].attempt.outcome, Outcome::kRejected);
  EXPECT_EQ(batch[2].attempt.identity.user, "shop");
  EXPECT_EQ(batch[3].attempt.identity.user, "") << "a remote ident is nobody's proof";
}

}  // namespace
}  // namespace deferd
