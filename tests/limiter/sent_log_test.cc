// Limits on what is sent, from the log's lines: whatever way a message takes through the mail
// server, its sender has sent it once.

#include <algorithm>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/postfix_reader.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

constexpr char kSentLogPolicy[] = R"(
[rule.messages]
max_sent = 100000
window = "24h"
kind = "login"
[rule.recipients]
max_sent = 100000
sent = "recipients"
window = "24h"
)";
constexpr char kBob[] = "bob@shop.example";

class SentLog : public testing::Test {
 protected:
  SentLog() : f_(kSentLogPolicy, kMorning) {
    auto lists = std::make_shared<ChargeLists>();
    EXPECT_TRUE(lists->relay_hosts.Add("127.0.0.1").ok());
    f_.settings_.lists = lists;
    f_.Start();
    ReadPostfix();
  }

  void ReadPostfix() {
    reader_ = NewPostfixReader({.zone = absl::UTCTimeZone(),
                                .open_messages = true,
                                .relay_hosts = f_.settings_.lists->relay_hosts});
  }
  void ReadExim() {
    reader_ = NewEximReader({.zone = absl::UTCTimeZone(),
                             .open_messages = true,
                             .relay_hosts = f_.settings_.lists->relay_hosts});
  }

  void Raw(const std::string& line) {
    reader_->ReadLine(line, &batch_);
    f_.committer_->Record(batch_);
    batch_.Clear();
  }
  void Postfix(const std::string& program, const std::string& text, int pid = 1) {
    f_.clock_.Set(std::max(f_.clock_.Now(), At(now_)));
    Raw(absl::StrCat(absl::FormatTime("%Y-%m-%d%ET%H:%M:%S+00:00", At(now_), absl::UTCTimeZone()),
                     " mx postfix/", program, "[", pid, "]: ", text));
  }
  void Exim(const std::string& text) {
    f_.clock_.Set(std::max(f_.clock_.Now(), At(now_)));
    Raw(absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", At(now_), absl::UTCTimeZone()), " ",
                     text));
  }
  void Arrives(const std::string& id, const std::string& client, const std::string& message_id,
               int recipients = 2) {
    Postfix("smtpd", absl::StrCat(id, ": client=", client));
    Postfix("cleanup", absl::StrCat(id, ": message-id=<", message_id, ">"));
    Postfix("qmgr", absl::StrCat(id, ": from=<", kBob, ">, size=700, nrcpt=", recipients,
                                 " (queue active)"));
  }
  void Submitted(const std::string& id, const std::string& message_id) {
    Arrives(id, absl::StrCat("pc[192.0.2.7], sasl_method=PLAIN, sasl_username=", kBob), message_id);
  }
  void Handed(const std::string& id, const std::string& new_id) {
    Postfix("smtp", absl::StrCat(id,
                                 ": to=<r@far.example>, relay=127.0.0.1[127.0.0.1]:10024, delay=1, "
                                 "delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 from "
                                 "MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as ",
                                 new_id, ")"));
  }
  void Delivery(const std::string& id, const std::string& to, const std::string& status) {
    Postfix("smtp", absl::StrCat(id, ": to=<", to,
                                 ">, relay=mx.far.example[198.51.100.9]:25, delay=1, "
                                 "delays=0/0/0/1, dsn=4.0.0, status=",
                                 status));
  }

  Counts SentByBob() const {
    return f_.limiter_->Report({SubjectKind::kLogin, kBob}).rules.at(0).counts;
  }

  LimiterFixture f_;
  std::unique_ptr<LogReader> reader_;
  EventBatch batch_;
  absl::Duration now_;
};

constexpr char kLater[] = "deferred (host mx.far.example[198.51.100.9] said: 451 later)";

// Postfix names the client and its login before the message is in the queue.
TEST_F(SentLog, ALoginsMessageCountsOnce) {
  Submitted("4F01A1", "m1@pc");
  EXPECT_EQ(SentByBob().sent, 1);
  EXPECT_EQ(SentByBob().sent_recipients, 2);
  Submitted("4F01A2", "m2@pc");
  EXPECT_EQ(SentByBob().sent, 2);
  EXPECT_EQ(SentByBob().sent_recipients, 4);
}

// Each deferral repeats who sent it.
TEST_F(SentLog, WhatStaysInTheQueueIsNotCountedAgain) {
  Submitted("4F01A1", "m1@pc");
  for (const int hours : {1, 3, 6}) {
    now_ = absl::Hours(hours);
    Postfix("qmgr", absl::StrCat("4F01A1: from=<", kBob, ">, size=700, nrcpt=2 (queue active)"));
    Delivery("4F01A1", absl::StrCat("r", hours, "@far.example"), kLater);
    EXPECT_EQ(SentByBob().sent, 1) << hours;
  }
  ASSERT_TRUE(f_.committer_->Commit().ok());
  f_.Start();
  now_ = absl::Hours(9);
  Delivery("4F01A1", "r9@far.example", kLater);
  Delivery("4F01A1", "r1@far.example", "sent (250 ok)");
  EXPECT_EQ(SentByBob().sent, 1);
  EXPECT_EQ(SentByBob().sent_recipients, 2);
}

TEST_F(SentLog, AFilterHandsTheMessageBack) {
  const std::string local = "localhost[127.0.0.1]";
  // It keeps the Message-ID.
  Submitted("4F01A1", "m1@pc");
  Arrives("4F01B1", local, "m1@pc");
  Handed("4F01A1", "4F01B1");
  EXPECT_EQ(SentByBob().sent, 1);
  // It names the message that it got.
  Submitted("4F01A2", "m2@pc");
  Arrives("4F01B2", absl::StrCat(local, ", orig_queue_id=4F01A2, orig_client=pc[192.0.2.7]"),
          "other@filter");
  Handed("4F01A2", "4F01B2");
  EXPECT_EQ(SentByBob().sent, 2);
  // Only its answer tells.
  Submitted("4F01A3", "m3@pc");
  Arrives("4F01B3", local, "new3@filter");
  Handed("4F01A3", "4F01B3");
  EXPECT_EQ(SentByBob().sent, 3);
  EXPECT_EQ(SentByBob().sent_recipients, 6);
  // The answer may come long after the copy, and the copy may be deferred.
  Submitted("4F01A4", "m4@pc");
  Arrives("4F01B4", local, "m4@pc");
  Delivery("4F01B4", "r@far.example", kLater);
  now_ = absl::Hours(2);
  Handed("4F01A4", "4F01B4");
  Delivery("4F01B4", "r@far.example", kLater);
  EXPECT_EQ(SentByBob().sent, 4);
  EXPECT_EQ(f_.CountsNow("shop.example").sent_recipients, 8);
}

TEST_F(SentLog, AFilterInFrontOfTheQueue) {
  const std::string session =
      absl::StrCat("NOQUEUE: client=pc[192.0.2.7], sasl_method=PLAIN, sasl_username=", kBob);
  const std::string answer = "proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as ";
  Postfix("submission/smtpd", session, 9);
  Arrives("4F01A1", "localhost[127.0.0.1]", "m1@pc");
  Postfix("submission/smtpd", answer + "4F01A1; from=<a@b> to=<x@y>", 9);
  EXPECT_EQ(SentByBob().sent, 1) << "in the queue before the filter's answer";
  EXPECT_EQ(SentByBob().sent_recipients, 2);
  Postfix("smtpd", "4F01A2: client=localhost[127.0.0.1]");
  Postfix("submission/smtpd", answer + "4F01A2; from=<a@b> to=<x@y>", 9);
  Postfix("qmgr", absl::StrCat("4F01A2: from=<", kBob, ">, size=700, nrcpt=2 (queue active)"));
  EXPECT_EQ(SentByBob().sent, 2) << "and after it";
}

TEST_F(SentLog, QueuedAgainUnderAnotherId) {
  Submitted("4F01A1", "m1@pc");
  Postfix("pickup", absl::StrCat("4F01A2: uid=0 from=<", kBob, "> orig_id=4F01A1"));
  Postfix("cleanup", "4F01A2: message-id=<m1@pc>");
  Postfix("qmgr", absl::StrCat("4F01A2: from=<", kBob, ">, size=700, nrcpt=2 (queue active)"));
  EXPECT_EQ(SentByBob().sent, 1);
}

// A web form that always uses the same Message-ID sends as much as it sends.
TEST_F(SentLog, OneMessageIdHidesNothingOfAHostsOwnMail) {
  for (int i = 0; i < 20; ++i) {
    Arrives(absl::StrCat("4F01", 10 + i), "localhost[127.0.0.1]", "always@form", 1);
  }
  EXPECT_GE(f_.CountsNow("shop.example").sent, 16) << "some are taken for what a filter returned";
}

TEST_F(SentLog, EximCountsOnceToo) {
  ReadExim();
  Exim(absl::StrCat("1aB000-000001-Aa <= ", kBob, " H=(pc) [192.0.2.7] P=esmtpsa A=plain:", kBob,
                    " S=700 id=m1@pc"));
  Exim(absl::StrCat("1aB000-000002-Aa <= ", kBob,
                    " H=localhost [127.0.0.1] P=esmtp S=900 id=m1@pc"));
  Exim(
      "1aB000-000001-Aa => r@far.example R=amavis T=amavis H=127.0.0.1 [127.0.0.1] "
      "C=\"250 2.0.0 Ok: queued as 1aB000-000002-Aa\"");
  Exim("1aB000-000002-Aa == r@far.example R=dnslookup T=remote_smtp defer (-44): later");
  EXPECT_EQ(SentByBob().sent, 1);
}

// A real Postfix's day of the lab: every message that became active, of every domain.
TEST_F(SentLog, ARealLogCountsEachMessageOnce) {
  std::ifstream log(TestData("postfix.log"));
  ASSERT_TRUE(log.good());
  std::map<std::string, std::set<std::string>> ids;
  for (std::string line; std::getline(log, line);) {
    // The year of its stamps, which they do not say.
    Raw(absl::StrCat("2026-11-22T", line.substr(7, 8), "+00:00", line.substr(15)));
    const size_t from = line.find(": from=<");
    const size_t at = line.find('@', from), end = line.find('>', from);
    if (from == std::string::npos || !absl::StrContains(line, "(queue active)")) continue;
    if (at == std::string::npos || at > end) continue;
    const size_t id = line.rfind(' ', from - 1) + 1;
    ids[line.substr(at + 1, end - at - 1)].insert(line.substr(id, from - id));
  }
  ASSERT_GT(ids.size(), 3u);
  for (const auto& [domain, messages] : ids) {
    EXPECT_EQ(f_.CountsNow(domain).sent, static_cast<int64_t>(messages.size())) << domain;
  }
}

}  // namespace
}  // namespace deferd
