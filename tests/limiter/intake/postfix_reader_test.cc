#include "limiter/intake/postfix_reader.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/subject.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::string Line(const std::string& program, const std::string& text) {
  return absl::StrCat("2026-11-22T08:00:00+00:00 mx postfix/", program, "[1]: ", text);
}

std::string Client(const std::string& id, const std::string& login) {
  return Line("submission/smtpd",
              absl::StrCat(id, ": client=pc[192.0.2.1]",
                           login.empty() ? "" : ", sasl_method=PLAIN, sasl_username=", login));
}
std::string Active(const std::string& id, const std::string& sender) {
  return Line("qmgr", absl::StrCat(id, ": from=<", sender, ">, size=1, nrcpt=1 (queue active)"));
}
std::string To(const std::string& id, const std::string& recipient, const std::string& status,
               const std::string& relay = "mx.far.example[198.51.100.9]:25",
               const std::string& program = "smtp") {
  return Line(program, absl::StrCat(id, ": to=<", recipient, ">, relay=", relay,
                                    ", delay=1, delays=0/0/0/1, dsn=2.0.0, status=", status));
}

class PostfixReaderTest : public testing::Test {
 protected:
  static std::unique_ptr<LogReader> New() {
    return NewPostfixReader(
        {.zone = absl::UTCTimeZone(),
         .open_messages = true,
         .user_name = [](int64_t uid) -> std::string { return uid == 33 ? "www-data" : ""; }});
  }
  void Read(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) reader_->ReadLine(line, &batch_);
  }
  std::vector<Attempt> Attempts() const {
    std::vector<Attempt> attempts;
    for (size_t i = 0; i < batch_.size(); ++i) {
      if (batch_[i].kind == LogEvent::Kind::kAttempt) attempts.push_back(batch_[i].attempt);
    }
    return attempts;
  }
  std::vector<Attempt> Shown() const {
    std::vector<Attempt> shown;
    for (size_t i = 0; i < batch_.size(); ++i) {
      if (batch_[i].kind == LogEvent::Kind::kShown) shown.push_back(batch_[i].attempt);
    }
    return shown;
  }

  std::unique_ptr<LogReader> reader_ = New();
  EventBatch batch_;
};

TEST_F(PostfixReaderTest, JoinsWhoFromWhomAndWhatBecameOfIt) {
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "Bob@A.example"),
        To("4F01AA", "Ann@Far.example", "sent (250 ok)"), Line("qmgr", "4F01AA: removed")});
  ASSERT_THAT(Attempts(), SizeIs(1));
  const Attempt attempt = Attempts()[0];
  EXPECT_TRUE(attempt.attributed());
  EXPECT_EQ(attempt.identity.login, "bob@a.example");
  EXPECT_EQ(attempt.identity.sender, "Bob@A.example");
  EXPECT_EQ(attempt.identity.host, "192.0.2.1");
  EXPECT_EQ(attempt.recipient, "ann@far.example");
  EXPECT_EQ(attempt.outcome, Outcome::kDelivered);
  EXPECT_TRUE(attempt.remote);
  EXPECT_EQ(attempt.host, "mx.far.example");
  EXPECT_EQ(attempt.reply, "250 ok");
  EXPECT_EQ(reader_->open_messages(), 0u);
  EXPECT_EQ(batch_.counts, (LineCounts{.lines = 4, .attempts = 1, .not_mine = 3}));
}

TEST_F(PostfixReaderTest, LocalUsersByName) {
  Read({Line("pickup", "4F01AA: uid=33 from=<www-data>"), Active("4F01AA", "www-data@mx.example"),
        To("4F01AA", "x@y", "bounced (no)"), Line("pickup", "4F01AB: uid=44 from=<x>"),
        Active("4F01AB", "x@mx"), To("4F01AB", "x@y", "bounced (no)")});
  EXPECT_EQ(Attempts()[0].identity.user, "www-data");
  EXPECT_EQ(Attempts()[1].identity.user, "uid44");
}

TEST_F(PostfixReaderTest, LocalDeliveriesAreNotRemote) {
  Read({Active("4F01AA", "a@b"),
        To("4F01AA", "x@y", "sent (delivered to mailbox)", "local", "local"),
        To("4F01AA", "x@y", "sent (delivered via dovecot service)", "dovecot", "pipe"),
        To("4F01AA", "x@y", "deferred (Domain b has exceeded ...)", "none", "error"),
        To("4F01AA", "x@y", "sent (250 ok)", "mx[private/dovecot-lmtp]", "lmtp"),
        To("4F01AA", "x@y", "deferred (connect to far[192.0.2.9]:25: refused)", "none")});
  std::vector<bool> remote;
  for (const Attempt& attempt : Attempts()) remote.push_back(attempt.remote);
  EXPECT_THAT(remote, ElementsAre(false, false, false, false, true));
}

TEST_F(PostfixReaderTest, ExpiredIsAFailureOfEachRecipientThatRemains) {
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
        To("4F01AA", "one@far.example", "deferred (later)"),
        To("4F01AA", "two@far.example", "deferred (later)"),
        To("4F01AA", "three@far.example", "sent (250 ok)"),
        To("4F01AA", "two@far.example", "sent (250 ok)"),
        To("4F01AA", "one@far.example", "deferred (later)"),
        To("4F01AA", "four@far.example", "deferred (later)"),
        Line("qmgr", "4F01AA: from=<bob@a.example>, status=expired, returned to sender")});
  ASSERT_THAT(Attempts(), SizeIs(8));
  EXPECT_EQ(Attempts()[6].recipient, "one@far.example");
  EXPECT_EQ(Attempts()[7].recipient, "four@far.example");
  EXPECT_EQ(Attempts()[7].outcome, Outcome::kExpired);
  EXPECT_TRUE(Attempts()[7].bare_expiry);
  EXPECT_EQ(Attempts()[7].identity.login, "bob@a.example");
}

TEST_F(PostfixReaderTest, WhatPostfixMakesIsItsOwn) {
  Read({Line("cleanup", "4F01AB: message-id=<4F01AB@mx>"), Active("4F01AB", ""),
        Line("bounce", "4F01AA: sender non-delivery notification: 4F01AB"),
        To("4F01AB", "bob@a.example", "bounced (no)"),
        Line("cleanup", "4F01AC: message-id=<4F01AC@mx>"), Active("4F01AC", "double-bounce@mx"),
        To("4F01AC", "postmaster@mx", "sent (ok)"),
        // A bounce that came in from outside is not.
        Client("4F01AD", ""), Line("cleanup", "4F01AD: message-id=<x>"), Active("4F01AD", ""),
        To("4F01AD", "bob@a.example", "sent (ok)")});
  EXPECT_TRUE(Attempts()[0].identity.made_by_mta);
  EXPECT_TRUE(Attempts()[1].identity.made_by_mta);
  EXPECT_FALSE(Attempts()[2].identity.made_by_mta);
}

TEST_F(PostfixReaderTest, WhatDeferdSentItselfIsAsPostfixs) {
  std::vector<std::string> asked;
  reader_ = NewPostfixReader({.zone = absl::UTCTimeZone(),
                              .open_messages = true,
                              .own_mail = [&](absl::string_view message_id, absl::Time) {
                                asked.emplace_back(message_id);
                                return message_id == "<deferd.1@mx>";
                              }});
  const auto send = [&](const std::string& id, const std::string& client,
                        const std::string& message_id, const std::string& sender) {
    Read({Line("smtpd", absl::StrCat(id, ": client=", client)),
          Line("cleanup", absl::StrCat(id, ": message-id=<", message_id, ">")), Active(id, sender),
          To(id, "owner@far.example", "bounced (no such user)")});
    return Attempts().back().identity.made_by_mta;
  };
  EXPECT_TRUE(send("4F01B1", "localhost[127.0.0.1]", "deferd.1@mx", ""));
  EXPECT_FALSE(send("4F01B2", "localhost[127.0.0.1]", "deferd.2@mx", ""));
  // The envelope is logged after the Message-ID.
  EXPECT_FALSE(send("4F01B3", "localhost[127.0.0.1]", "deferd.1@mx", "a@s.example"));
  EXPECT_EQ(asked.size(), 3u);
  EXPECT_FALSE(send("4F01B4", "pc[192.0.2.1]", "deferd.1@mx", ""));
  EXPECT_FALSE(send("4F01B5", "localhost[127.0.0.1], sasl_method=PLAIN, sasl_username=bob",
                    "deferd.1@mx", ""));
  EXPECT_EQ(asked.size(), 3u);
}

TEST_F(PostfixReaderTest, ProbesAreNoAttempts) {
  Read({Line("cleanup", "4F01AB: message-id=<4F01AB@mx>"), Active("4F01AB", "double-bounce@mx"),
        To("4F01AB", "ann@far.example", "deliverable (250 ok)"),
        To("4F01AB", "bob@far.example", "undeliverable (550 no)")});
  EXPECT_THAT(Attempts(), IsEmpty());
  EXPECT_EQ(batch_.counts.attempts, 0);
}

TEST_F(PostfixReaderTest, AFilterThatHandsBackIsNoAttemptAndTheLoginTravels) {
  // The old way: only the answer names the new message, and may come after its delivery began.
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
        Line("smtpd", "4F01AB: client=localhost[127.0.0.1]"),
        Line("cleanup", "4F01AB: message-id=<x>"), Active("4F01AB", "bob@a.example"),
        To("4F01AA", "ann@far.example",
           "sent (250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4F01AB)",
           "127.0.0.1[127.0.0.1]:10024"),
        Line("qmgr", "4F01AA: removed"), To("4F01AB", "ann@far.example", "bounced (550 no)")});
  ASSERT_THAT(Attempts(), SizeIs(1));
  EXPECT_EQ(Attempts()[0].message.id, "4F01AB");
  EXPECT_EQ(Attempts()[0].identity.login, "bob@a.example");
  EXPECT_EQ(Attempts()[0].identity.host, "192.0.2.1");
  EXPECT_EQ(batch_.counts.attempts, 1);
}

TEST_F(PostfixReaderTest, AFilterThatForwardsTheIdLinksFromTheBeginning) {
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
        Line("smtpd",
             "4F01AB: client=localhost[127.0.0.1], orig_queue_id=4F01AA, "
             "orig_client=pc[192.0.2.1]"),
        Active("4F01AB", "bob@a.example"), To("4F01AB", "ann@far.example", "bounced (550 no)")});
  EXPECT_EQ(Attempts()[0].identity.login, "bob@a.example");
}

TEST_F(PostfixReaderTest, EachRecipientThatAFilterTakesIsHandedOver) {
  for (const bool names_first : {false, true}) {
    reader_ = New();
    batch_ = EventBatch();
    Read(
        {Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
         Line("smtpd",
              absl::StrCat("4F01AB: client=localhost[127.0.0.1]",
                           names_first ? ", orig_queue_id=4F01AA, orig_client=pc[192.0.2.1]" : "")),
         Active("4F01AB", "bob@a.example"),
         To("4F01AA", "c@far.example", "deferred (451 later)", "127.0.0.1[127.0.0.1]:10024")});
    for (const char* recipient : {"a@far.example", "b@far.example", "c@far.example"}) {
      Read({To("4F01AA", recipient, "sent (250 Ok: queued as 4F01AB)",
               "127.0.0.1[127.0.0.1]:10024")});
    }
    for (const char* recipient : {"a@far.example", "b@far.example", "c@far.example"}) {
      Read({To("4F01AB", recipient, "bounced (550 no)")});
    }
    Read({Line("qmgr", "4F01AA: from=<bob@a.example>, status=expired, returned to sender")});
    std::vector<std::string> told;
    for (const Attempt& one : Attempts()) {
      told.push_back(absl::StrCat(one.message.id, " ", one.identity.login, " ",
                                  OutcomeName(one.outcome), " ", one.recipient));
    }
    EXPECT_THAT(told, ElementsAre("4F01AA bob@a.example deferred c@far.example",
                                  "4F01AB bob@a.example failed a@far.example",
                                  "4F01AB bob@a.example failed b@far.example",
                                  "4F01AB bob@a.example failed c@far.example"))
        << names_first << ": nobody was left for the expiry";
  }
}

TEST_F(PostfixReaderTest, AFilterWhoseMessageIsGoneFirst) {
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
        Line("smtpd", "4F01AB: client=localhost[127.0.0.1]"), Active("4F01AB", "bob@a.example"),
        To("4F01AB", "a@far.example", "sent (250 ok)"), Line("qmgr", "4F01AB: removed"),
        To("4F01AA", "a@far.example", "sent (250 Ok: queued as 4F01AB)",
           "127.0.0.1[127.0.0.1]:10024")});
  ASSERT_THAT(Attempts(), SizeIs(1));
  EXPECT_EQ(Attempts()[0].message.id, "4F01AB");
}

TEST_F(PostfixReaderTest, AMessagePutIntoTheQueueAnewIsStillItsSenders) {
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
        To("4F01AA", "a@far.example", "deferred (later)"), Line("postsuper", "4F01AA: requeued"),
        Line("pickup", "4F01AB: uid=105 from=<bob@a.example> orig_id=4F01AA"),
        Line("cleanup", "4F01AB: message-id=<x>"), Active("4F01AB", "bob@a.example"),
        Line("qmgr", "4F01AB: from=<bob@a.example>, status=expired, returned to sender")});
  ASSERT_THAT(Attempts(), SizeIs(2));
  EXPECT_EQ(Attempts()[1].recipient, "a@far.example");
  EXPECT_EQ(Attempts()[1].identity.login, "bob@a.example");
  EXPECT_EQ(reader_->open_messages(), 1u);
}

TEST_F(PostfixReaderTest, WhatCleanupRefusesIsGone) {
  Read({Client("4F01AA", "bob@a.example"),
        Line("cleanup",
             "4F01AA: milter-reject: END-OF-MESSAGE from pc[192.0.2.1]: 5.7.1 spam; "
             "from=<s@a> to=<r@b> proto=ESMTP helo=<c>"),
        Client("4F01AB", "bob@a.example"),
        Line("smtpd",
             "4F01AB: reject: RCPT from pc[192.0.2.1]: 550 no; from=<s@a> to=<r@b> "
             "proto=ESMTP helo=<c>")});
  EXPECT_EQ(reader_->open_messages(), 1u);
}

// As Postfix 3.7 wrote it for deploy/postfix/ask.cf.
TEST_F(PostfixReaderTest, MailRefusedAtDataIsNotOpen) {
  Read(
      {Client("4F01AA", "bob@a.example"),
       Line("smtpd",
            "4F01AA: reject: DATA from pc[192.0.2.1]: 550 5.7.1 <DATA>: Data command rejected: no; "
            "from=<s@a> proto=ESMTP helo=<c>"),
       Client("4F01AB", "bob@a.example"),
       Line("smtpd",
            "4F01AB: discard: DATA from pc[192.0.2.1]: <DATA>: Data command no; from=<s@a> "
            "to=<r@b> proto=ESMTP helo=<c>"),
       Client("4F01AC", "bob@a.example"),
       Line("smtpd",
            "4F01AC: hold: DATA from pc[192.0.2.1]: <DATA>: Data command no; from=<s@a> "
            "to=<r@b> proto=ESMTP helo=<c>")});
  EXPECT_EQ(reader_->open_messages(), 1u);
  ASSERT_THAT(Shown(), SizeIs(3));
  EXPECT_EQ(Shown()[0].identity.login, "bob@a.example");
  EXPECT_EQ(Shown()[1].outcome, Outcome::kDiscarded);
  EXPECT_EQ(Shown()[1].recipient, "r@b");
}

TEST_F(PostfixReaderTest, OnHoldFromTheStartItsSenderIsKnown) {
  // A relay host's, without a login: nothing else says who pays.
  Read(
      {Line("smtpd", "4F01AC: client=web[192.0.2.1]"),
       Line("smtpd",
            "4F01AC: hold: DATA from web[192.0.2.1]: <DATA>: Data command no; from=<web@a.example> "
            "to=<r@b> proto=ESMTP helo=<c>")});
  ASSERT_THAT(Shown(), SizeIs(1));
  EXPECT_EQ(Shown()[0].identity.sender, "web@a.example");
  std::vector<std::string> told;
  for (size_t i = 0; i < batch_.size(); ++i) {
    if (batch_[i].kind == LogEvent::Kind::kIdentified) {
      told.push_back(batch_[i].attempt.identity.sender);
    }
  }
  EXPECT_THAT(told, testing::ElementsAre("", "web@a.example"));
}

// smtpd_proxy_filter: the session has no id of its own, and says in the end which one it became.
TEST_F(PostfixReaderTest, ALoginTravelsThroughAFilterInFrontOfTheQueue) {
  const auto accepted = [](const std::string& id, int pid = 1) {
    return absl::StrCat("2026-11-22T08:00:00+00:00 mx postfix/submission/smtpd[", pid,
                        "]: proxy-accept: END-OF-MESSAGE: 250 2.0.0 from MTA: 250 Ok: queued as ",
                        id, "; from=<bob@a.example> to=<x@y> proto=ESMTP helo=<pc>");
  };
  const auto back = [](const std::string& id, const std::string& ip) {
    return Line("smtpd", absl::StrCat(id, ": client=c[", ip, "]"));
  };
  const std::string session = Line("submission/smtpd",
                                   "NOQUEUE: client=pc[192.0.2.7], sasl_method=PLAIN, "
                                   "sasl_username=bob@a.example");
  Read({session, back("4F01AA", "127.0.0.1"), Active("4F01AA", "bob@a.example"), accepted("4F01AA"),
        To("4F01AA", "x@far.example", "bounced (550 no)"),
        // Of a session, all its messages.
        back("4F01AB", "127.0.0.1"), Active("4F01AB", "bob@a.example"), accepted("4F01AB"),
        To("4F01AB", "x@far.example", "bounced (550 no)"),
        // What came from elsewhere is nobody's who names it; nor is that of another process.
        back("4F01AC", "203.0.113.5"), Active("4F01AC", "z@z"), accepted("4F01AC"),
        To("4F01AC", "x@far.example", "bounced (550 no)"),  //
        back("4F01AD", "127.0.0.1"), Active("4F01AD", "z@z"), accepted("4F01AD", 2),
        To("4F01AD", "x@far.example", "bounced (550 no)"),
        Line("submission/smtpd", "disconnect from pc[192.0.2.7] ehlo=1"),
        // The process has another client now.
        back("4F01AE", "127.0.0.1"), Active("4F01AE", "z@z"), accepted("4F01AE"),
        To("4F01AE", "x@far.example", "bounced (550 no)")});
  std::vector<std::string> told;
  for (const Attempt& one : Attempts()) {
    told.push_back(absl::StrCat(one.message.id, " ", one.identity.login, " ", one.identity.host));
  }
  EXPECT_THAT(told, ElementsAre("4F01AA bob@a.example 192.0.2.7", "4F01AB bob@a.example 192.0.2.7",
                                "4F01AC  203.0.113.5", "4F01AD  127.0.0.1", "4F01AE  127.0.0.1"));
}

TEST_F(PostfixReaderTest, AFiltersSocketIsAHandOverToo) {
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
        Line("smtpd", "4F01AB: client=localhost[::1]"), Active("4F01AB", "bob@a.example"),
        To("4F01AA", "ann@far.example", "sent (250 2.0.0 Ok: queued as 4F01AB)",
           "mx[private/filter]", "lmtp"),
        To("4F01AB", "ann@far.example", "bounced (550 no)"),
        // A mailbox's is none: it names no message that came back.
        To("4F01AB", "bob@a.example", "sent (250 2.0.0 <x> queued as 4F01AF)",
           "mx[private/dovecot]", "lmtp")});
  ASSERT_THAT(Attempts(), SizeIs(2));
  EXPECT_EQ(Attempts()[0].identity.login, "bob@a.example");
  EXPECT_EQ(Attempts()[0].outcome, Outcome::kFailed);
}

TEST_F(PostfixReaderTest, MailScannerPutsMessagesIntoTheQueueAnew) {
  const std::string scanner = "2026-11-22T08:00:00+00:00 mx MailScanner[7]: ";
  for (const bool queue_first : {false, true}) {
    reader_ = New();
    batch_ = EventBatch();
    Read({Client("4F01AA", "bob@a.example"),
          Line("cleanup",
               "4F01AA: hold: header Received: from pc from pc[192.0.2.1]; from=<bob@a.example> "
               "to=<x@far.example> proto=ESMTP helo=<pc>")});
    const std::string active = Active("4F01AB", "bob@a.example");
    const std::string requeued = scanner + "Requeue: 4F01AA.A7D26 to 4F01AB";
    Read(queue_first ? std::vector<std::string>{active, requeued}
                     : std::vector<std::string>{requeued, active});
    Read({To("4F01AB", "x@far.example", "bounced (550 no)"),
          scanner + "Requeue: 4F01FF.1 to 4F01AB",
          // A message that came in by itself is nobody else's.
          Client("4F01AC", "ann@a.example"), scanner + "Requeue: 4F01AB.1 to 4F01AC",
          Active("4F01AC", "ann@a.example"), To("4F01AC", "x@far.example", "bounced (550 no)")});
    ASSERT_THAT(Attempts(), SizeIs(2));
    EXPECT_EQ(Attempts()[0].identity.login, "bob@a.example");
    EXPECT_EQ(Attempts()[0].identity.host, "192.0.2.1");
    EXPECT_EQ(Attempts()[1].identity.login, "ann@a.example");
  }
}

TEST_F(PostfixReaderTest, NobodyElseCanClaimAMessage) {
  // A remote server that names one of our ids, and one that connects and claims to be a filter.
  Read({Client("4F01AA", "bob@a.example"), Active("4F01AA", "bob@a.example"),
        Line("smtpd", "4F01AB: client=evil[203.0.113.66], orig_queue_id=4F01AA"),
        Active("4F01AB", "bob@a.example"),
        To("4F01AA", "ann@far.example", "sent (250 Ok: queued as 4F01AB)",
           "mx.evil.example[203.0.113.66]:25"),
        To("4F01AB", "x@far.example", "bounced (550 no)")});
  ASSERT_THAT(Attempts(), SizeIs(2));
  EXPECT_EQ(Attempts()[1].identity.login, "");
}

TEST_F(PostfixReaderTest, RejectionsAreShown) {
  Read({Line("smtpd",
             "NOQUEUE: reject: RCPT from pc[192.0.2.1]: 554 5.7.1 no; from=<s@a> to=<r@b> "
             "proto=ESMTP helo=<c>"),
        Line("smtpd",
             "NOQUEUE: hold: RCPT from pc[192.0.2.1]: <r@b>: over; from=<s@a> to=<r@b> "
             "proto=ESMTP helo=<c>"),
        Client("4F01AA", "bob@a.example"),
        Line("cleanup",
             "4F01AA: milter-discard: END-OF-MESSAGE from pc[192.0.2.1]: spam; "
             "from=<s@a> to=<r@b> proto=ESMTP helo=<c>"),
        Line("postsuper", "4F01AA: placed on hold")});
  ASSERT_THAT(Shown(), SizeIs(4));
  EXPECT_EQ(Shown()[0].outcome, Outcome::kRejectedRecipient);  // if the limiter charges somebody
  EXPECT_EQ(Shown()[0].identity.sender, "s@a");
  EXPECT_EQ(Shown()[1].outcome, Outcome::kHeld);
  EXPECT_EQ(Shown()[2].outcome, Outcome::kDiscarded);
  EXPECT_EQ(Shown()[2].identity.login, "bob@a.example");
  EXPECT_EQ(Shown()[3].outcome, Outcome::kHeld);
  EXPECT_EQ(batch_.counts.rejected, 3);
}

TEST_F(PostfixReaderTest, RecipientsRejectedForGoodAtRcpt) {
  const std::string unknown =
      "550 5.1.1 <nobody@far.example>: Recipient address rejected: User unknown in local recipient "
      "table; from=<bob@a.example> to=<nobody@far.example> proto=ESMTP helo=<pc>";
  Read({Line("submission/smtpd", absl::StrCat("NOQUEUE: reject: RCPT from pc[192.0.2.1]: ", unknown,
                                              " sasl_username=<bob@a.example>")),
        Line("smtpd", absl::StrCat("NOQUEUE: reject: RCPT from x[203.0.113.5]: ", unknown)),
        Line("smtpd",
             "NOQUEUE: reject: RCPT from pc[192.0.2.1]: 450 4.1.1 <n@far.example>: Recipient "
             "address rejected: unverified address; from=<bob@a.example> to=<n@far.example> "
             "proto=ESMTP helo=<pc> sasl_username=<bob@a.example>"),
        Client("4F01AB", "bob@a.example"),
        Line("smtpd", absl::StrCat("4F01AB: reject: RCPT from pc[192.0.2.1]: ", unknown,
                                   " sasl_username=<bob@a.example>"))});
  ASSERT_THAT(Shown(), SizeIs(4));
  EXPECT_EQ(Shown()[0].outcome, Outcome::kRejectedRecipient);
  EXPECT_EQ(Shown()[0].identity.login, "bob@a.example");
  EXPECT_EQ(Shown()[0].recipient, "nobody@far.example");
  EXPECT_EQ(Shown()[1].identity.login, "");  // the limiter charges nobody
  EXPECT_EQ(Shown()[1].identity.host, "203.0.113.5");
  EXPECT_EQ(Shown()[2].outcome, Outcome::kRejected);  // for now alone
  EXPECT_EQ(Shown()[3].outcome, Outcome::kRejectedRecipient);
  EXPECT_EQ(Shown()[3].message.id, "4F01AB");
  EXPECT_EQ(Shown()[3].identity.login, "bob@a.example");
}

TEST_F(PostfixReaderTest, ALoginInARejectionIsNotTheClientsWord) {
  // Quoted addresses may hold anything, the HELO name no brackets and no blanks.
  Read({Line("smtpd",
             "NOQUEUE: reject: RCPT from x[203.0.113.5]: 550 5.1.1 <\"a> helo=<b> "
             "sasl_username=<ceo@v.example>\"@far.example>: Recipient address rejected: User "
             "unknown; from=<\"x> helo=<y> sasl_username=<ceo@v.example>\"@v.example> "
             "to=<\"a> helo=<b> sasl_username=<ceo@v.example>\"@far.example> proto=ESMTP "
             "helo=<c>"),
        Line("smtpd",
             "NOQUEUE: reject: RCPT from x[203.0.113.5]: 550 5.1.1 <r@far.example>: Recipient "
             "address rejected: User unknown; from=<a@b> to=<r@far.example> proto=ESMTP "
             "helo=<c> more")});
  for (const Attempt& one : Shown()) EXPECT_EQ(one.identity.login, "");
}

TEST_F(PostfixReaderTest, RepeatedLinesAreAsMany) {
  Read({Active("4F01AA", "a@b"),
        Line("smtp", absl::StrCat("message repeated 3 times: [ 4F01AA: to=<x@y>, relay=none, "
                                  "delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (no)]"))});
  EXPECT_THAT(Attempts(), SizeIs(3));
  EXPECT_EQ(Attempts()[2].reply, "no");
}

TEST_F(PostfixReaderTest, TraditionalStampsOtherProgramsAndLitter) {
  reader_->set_latest(absl::FromUnixSeconds(1'795'400'000));  // 2026-11-23
  Read(
      {"Nov 22 00:13:15 mx postfix-out/qmgr[27993]: 733F6A781D8: from=<a@b>, size=3, nrcpt=1 "
       "(queue active)",
       "Nov 22 00:13:16 mx dovecot: imap(bob): Logged out", "no stamp at all", "",
       "Nov 22 00:13:17 mx postfix-out/smtp[2]: 733F6A781D8: to=<x@y"});
  EXPECT_EQ(reader_->last_stamp(), absl::FromUnixSeconds(1'795'306'397));
  EXPECT_EQ(batch_.counts, (LineCounts{.lines = 5, .not_mine = 3, .malformed = 2}));
}

TEST_F(PostfixReaderTest, WithoutItsBeginningAMessageIsOfItsSenderAlone) {
  Read({To("4F01AA", "x@y", "bounced (no)"), Active("4F01AB", "a@b"),
        To("4F01AB", "x@y", "bounced (no)")});
  EXPECT_FALSE(Attempts()[0].attributed());
  EXPECT_TRUE(Attempts()[1].attributed());
  EXPECT_EQ(Attempts()[1].identity.sender, "a@b");
  EXPECT_EQ(Attempts()[1].identity.login, "");
}

// What is kept over a restart is what the events of the batches told.
TEST_F(PostfixReaderTest, ARestartAnywhereChangesNoAttempt) {
  const std::vector<std::string> log = {
      Client("4F01AA", "bob@a.example"),
      Active("4F01AA", "bob@a.example"),
      To("4F01AA", "one@far.example", "deferred (later)"),
      Line("cleanup", "4F01AB: message-id=<4F01AB@mx>"),
      Active("4F01AB", ""),
      To("4F01AA", "two@far.example", "deferred (later)"),
      To("4F01AB", "bob@a.example", "deferred (later)"),
      Active("4F01AA", "bob@a.example"),
      To("4F01AA", "one@far.example", "sent (250 ok)"),
      Line("qmgr", "4F01AA: from=<bob@a.example>, status=expired, returned to sender"),
      Line("qmgr", "4F01AA: removed"),
      To("4F01AB", "bob@a.example", "sent (250 ok)"),
      Line("qmgr", "4F01AB: removed"),
      Line("smtpd",
           "NOQUEUE: client=pc[192.0.2.7], sasl_method=PLAIN, sasl_username=eve@a.example"),
      Line("smtpd", "4F01AC: client=localhost[127.0.0.1]"),
      Active("4F01AC", "eve@a.example"),
      Line("smtpd", "proxy-accept: END-OF-MESSAGE: 250 queued as 4F01AC; from=<e@a> to=<x@y>"),
      To("4F01AC", "x@far.example", "bounced (550 no)")};
  const auto told = [](const std::vector<Attempt>& attempts) {
    std::vector<std::string> texts;
    for (const Attempt& one : attempts) {
      texts.push_back(absl::StrCat(one.message.id, " ", absl::ToUnixMillis(one.message.arrival),
                                   " ", one.identity.login, " ", one.identity.made_by_mta, " ",
                                   one.recipient, " ", OutcomeName(one.outcome)));
    }
    return texts;
  };
  Read(log);
  const std::vector<std::string> expected = told(Attempts());
  ASSERT_THAT(expected, SizeIs(7));
  EXPECT_THAT(expected.back(), testing::HasSubstr("eve@a.example"));
  for (size_t cut = 0; cut <= log.size(); ++cut) {
    reader_ = New();
    batch_ = EventBatch();
    Read({log.begin(), log.begin() + static_cast<ptrdiff_t>(cut)});
    std::map<std::string, OpenMessage> open;
    for (size_t i = 0; i < batch_.size(); ++i) {
      const LogEvent& event = batch_[i];
      const std::string& id = event.attempt.message.id;
      if (event.kind == LogEvent::Kind::kCompleted) open.erase(id);
      if (event.kind != LogEvent::Kind::kArrived && event.kind != LogEvent::Kind::kIdentified) {
        continue;
      }
      open[id] = {event.attempt.message, event.attempt.identity, event.deferred};
    }
    std::vector<OpenMessage> messages;
    for (auto& [id, message] : open) messages.push_back(message);
    const std::string state = reader_->SaveState();
    reader_ = New();
    ASSERT_THAT(reader_->Restore(messages, state), IsOk());
    Read({log.begin() + static_cast<ptrdiff_t>(cut), log.end()});
    EXPECT_EQ(told(Attempts()), expected) << "cut at " << cut;
  }
}

}  // namespace
}  // namespace deferd
