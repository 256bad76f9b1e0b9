#include "limiter/app/blind_watch.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const absl::Time kStart = absl::FromUnixSeconds(1'795'334'400);

class BlindWatchTest : public testing::Test {
 protected:
  BlindWatchTest() {
    facts_.logs = {{.path = "/log", .mta = Mta::kExim, .read = {}}};
    facts_.hook = {true, true};
  }
  std::vector<std::string> Look(absl::Duration after = absl::ZeroDuration()) {
    std::vector<std::string> said;
    for (const BlindAlarm& one : watch_.Look(facts_, kStart + after)) {
      EXPECT_FALSE(one.remedy.empty());
      said.push_back(std::string(BlindKindName(one.kind)) + ": " + one.what + " -> " + one.remedy);
    }
    return said;
  }
  ReadCounts& read() { return facts_.logs[0].read; }
  int64_t& attempts(ChargeTally::Why why) {
    return facts_.charge.attempts[static_cast<size_t>(why)];
  }
  int64_t& asked(Mta mta, Source source) {
    return facts_.asked[static_cast<size_t>(mta)][static_cast<size_t>(source)];
  }

  BlindFacts facts_;
  BlindWatch watch_;
};

TEST_F(BlindWatchTest, NothingHappenedYet) { EXPECT_THAT(Look(), IsEmpty()); }

TEST_F(BlindWatchTest, ALogWhoseDeliveriesAreNotUnderstood) {
  read() = {.lines = 60, .missed = 19};
  EXPECT_THAT(Look(), IsEmpty());
  read().missed = 30;
  EXPECT_THAT(Look(), ElementsAre(HasSubstr("log: /log is not understood: 30 lines")));
  read().attempts = 4;
  EXPECT_THAT(Look(), IsEmpty()) << "some are, so it is the right reader";
}

TEST_F(BlindWatchTest, TheAlarmEndsAnHourAfterItsCause) {
  read() = {.lines = 40, .missed = 40};
  for (int minute = 0; minute <= 60; minute += 5) {
    EXPECT_THAT(Look(absl::Minutes(minute)), testing::SizeIs(1));
  }
  for (int minute = 65; minute <= 70; minute += 5) Look(absl::Minutes(minute));
  EXPECT_THAT(Look(absl::Minutes(75)), IsEmpty());
}

TEST_F(BlindWatchTest, StampsOfAnotherClock) {
  facts_.logs[0].off = -absl::Hours(2);
  read() = {.lines = 500, .attempts = 300};
  EXPECT_THAT(Look(), IsEmpty()) << "what was there may be a copy";
  read().lines = 519;
  EXPECT_THAT(Look(), IsEmpty());
  read().lines = 520;
  EXPECT_THAT(Look(), ElementsAre(testing::AllOf(
                          HasSubstr("log: the stamps of /log are 120 minutes behind the clock"),
                          HasSubstr("[intake] timezone"))));
  facts_.logs[0].off = absl::Minutes(6);
  EXPECT_THAT(Look(), ElementsAre(HasSubstr("6 minutes ahead of the clock")));
  for (absl::Duration off : {absl::Minutes(4), -absl::Minutes(10), -absl::Hours(50)}) {
    facts_.logs[0].off = off;
    EXPECT_THAT(Look(), IsEmpty()) << off;
  }
}

TEST_F(BlindWatchTest, AMailServerThatAsksAndLogsNothing) {
  asked(Mta::kExim, Source::kSubmission) = 6;
  asked(Mta::kExim, Source::kLocal) = 3;
  EXPECT_THAT(Look(), IsEmpty());
  asked(Mta::kExim, Source::kLocal) = 4;
  EXPECT_THAT(Look(), ElementsAre(testing::AllOf(
                          HasSubstr("Exim asked 10 times in the last hour, and nothing was written "
                                    "to /log"),
                          HasSubstr("log_file_path"))));
  read().lines = 1;
  EXPECT_THAT(Look(), IsEmpty());
  asked(Mta::kPostfix, Source::kSubmission) = 10;
  EXPECT_THAT(Look(), ElementsAre(testing::AllOf(HasSubstr("no log of it is followed"),
                                                 HasSubstr("journal = [\"postfix\"]"))));
}

TEST_F(BlindWatchTest, AttemptsThatNobodyIsChargedWith) {
  attempts(ChargeTally::Why::kJudged) = 60;
  attempts(ChargeTally::Why::kHost) = 59;
  facts_.charge.names[static_cast<size_t>(ChargeTally::Why::kHost)] = {{"10.1.2.3", 59}};
  EXPECT_THAT(Look(), IsEmpty());
  attempts(ChargeTally::Why::kHost) = 61;
  EXPECT_THAT(Look(), ElementsAre(testing::AllOf(HasSubstr("61 of the last hour's 121"),
                                                 HasSubstr("10.1.2.3"),
                                                 HasSubstr("[charge] relay_hosts"))));
}

TEST_F(BlindWatchTest, WhatAnEarlierConfigurationChargedIsForgotten) {
  attempts(ChargeTally::Why::kHost) = 60;
  EXPECT_THAT(Look(), testing::SizeIs(1));
  EXPECT_THAT(Look(absl::Minutes(10)), testing::SizeIs(1));
  attempts(ChargeTally::Why::kHost) = 0;
  watch_.ForgetCharge();
  EXPECT_THAT(Look(absl::Minutes(11)), IsEmpty());
  attempts(ChargeTally::Why::kHost) = 50;
  EXPECT_THAT(Look(absl::Minutes(12)), testing::SizeIs(1)) << "the new one does not either";
}

TEST_F(BlindWatchTest, DomainsThatTheListDoesNotHave) {
  attempts(ChargeTally::Why::kNotHosted) = 50;
  facts_.charge.names[static_cast<size_t>(ChargeTally::Why::kNotHosted)] = {{"a.example", 50}};
  EXPECT_THAT(Look(), ElementsAre(testing::AllOf(HasSubstr("a.example (50)"),
                                                 HasSubstr("[charge] hosted"))));
}

TEST_F(BlindWatchTest, AnEximThatDoesNotAsk) {
  read().accepted_login = 9;
  EXPECT_THAT(Look(), IsEmpty()) << "too few";
  read().accepted_login = 100;
  read().lines = 300;
  facts_.logs.push_back({.path = "/mail.log", .mta = Mta::kPostfix, .read = {.lines = 900}});
  asked(Mta::kPostfix, Source::kSubmission) = 500;
  EXPECT_THAT(Look(), ElementsAre(HasSubstr("hook: Exim accepted 100 messages with a login in the "
                                            "last hour, but queried deferd about only 0")));
  asked(Mta::kExim, Source::kSubmission) = 40;
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(BlindWatchTest, OnlyEximQueriesAboutLocalMail) {
  read().accepted_local = 30;
  EXPECT_THAT(Look(), ElementsAre(HasSubstr("Exim accepted 30 local messages")));
  facts_.logs[0].mta = Mta::kPostfix;
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(BlindWatchTest, NobodyIsExpectedToAskAtADoorThatIsNotThere) {
  read().accepted_login = 100;
  facts_.hook = {false, true};
  EXPECT_THAT(Look(), IsEmpty());
}

TEST_F(BlindWatchTest, EvidenceIsOfTheLastHour) {
  read().accepted_login = 100;
  read().lines = 300;
  asked(Mta::kExim, Source::kSubmission) = 100;
  for (int minute = 0; minute <= 120; minute += 5) {
    EXPECT_THAT(Look(absl::Minutes(minute)), IsEmpty());
  }
  EXPECT_EQ(EvidenceJson(watch_)["exim_submission"]["accepted"], 0);
  const HookEvidence& submission =
      watch_.evidence()[static_cast<size_t>(Mta::kExim)][static_cast<size_t>(Source::kSubmission)];
  EXPECT_EQ(submission.accepted_total, 100) << "totals forget nothing";
  EXPECT_EQ(submission.asked_total, 100);
  read().accepted_login = 120;  // and the snippet was removed
  EXPECT_THAT(Look(absl::Minutes(121)), ElementsAre(HasSubstr("accepted 20 messages")));
}

TEST_F(BlindWatchTest, AllMailLeavesByOneHost) {
  facts_.charge.first_host = "smart.example";
  facts_.charge.by_first_host = 96;
  facts_.charge.to_hosts = 100;
  facts_.charge.recipient_domains = 3;
  EXPECT_THAT(Look(), IsEmpty()) << "few domains may well have one host";
  facts_.charge.recipient_domains = ChargeTally::kManyDomains;
  EXPECT_THAT(Look(), ElementsAre(testing::AllOf(HasSubstr("smart_host: all mail leaves by"),
                                                 HasSubstr("bounce message"))));
  facts_.charge.by_first_host = 94;
  EXPECT_THAT(Look(), IsEmpty());
}

Attempt To(const std::string& recipient, const std::string& host) {
  Attempt attempt;
  attempt.message = {"id", kStart};
  attempt.recipient = recipient;
  attempt.host = host;
  attempt.remote = true;
  return attempt;
}

TEST(ChargeTally, SaysWhyNobodyIsJudged) {
  using Why = ChargeTally::Why;
  ChargeTally tally;
  Attempt attempt = To("a@b.example", "mx.b.example");
  const auto see = [&](const ChargedSubjects& charged) {
    tally.OnAttempt(attempt, charged, LeftOut::kNobodyCharged, nullptr);
  };
  attempt.identity = {.sender = "x@y.example", .host = "10.9.8.7"};
  see({});
  see({});
  see({{*Subject::Parse("gone.example"), /*hosted=*/false}});
  see({{*Subject::Parse("here.example"), /*hosted=*/true}});
  attempt.identity = {.login = "bob"};
  see({});
  // A trusted host, so no host to add to relay_hosts.
  attempt.identity = {.sender = "x@y.example", .host = "127.0.0.1", .unclear = true};
  tally.OnAttempt(attempt, {}, LeftOut::kUnclear, nullptr);
  attempt.message.arrival = absl::InfinitePast();
  attempt.identity = {};
  see({});
  attempt.remote = false;
  see({});
  const ChargeTally::Numbers numbers = tally.numbers();
  EXPECT_THAT(numbers.attempts, ElementsAre(1, 1, 2, 1, 1, 0));
  EXPECT_THAT(numbers.names[static_cast<size_t>(Why::kHost)],
              ElementsAre(testing::Pair("10.9.8.7", 2)));
  EXPECT_THAT(numbers.names[static_cast<size_t>(Why::kNotHosted)],
              ElementsAre(testing::Pair("gone.example", 1)));
  EXPECT_EQ(numbers.first_host, "mx.b.example");
  EXPECT_EQ(numbers.to_hosts, 7);
}

TEST(LooksLikeDelivery, ByItsFormAlone) {
  for (const char* line : {
           "?? odd prefix 1abcde-000001-Ab => u@x.example R=dnslookup T=remote_smtp H=mx "
           "[192.0.2.1]",
           "{pfx} 1abcde-000001-Ab ** u@x.example: Unrouteable address",
           "odd|ABCDEF: to=<u@x.example>, relay=mx[192.0.2.1]:25, dsn=2.0.0, status=sent (250 ok)",
           "sendmail[7]: q8: to=<u@x.example>, stat=Deferred: Connection refused",
       }) {
    EXPECT_TRUE(LooksLikeDelivery(line)) << line;
  }
  for (const char* line : {
           "1abcde-000001-Ab <= s@x.example H=h P=esmtp S=1",
           "1abcde-000001-Ab == u@x.example R=r T=t defer (-54): retry time not reached",
           "ABCDEF: from=<s@x.example>, size=1, nrcpt=1 (queue active)",
           "cron[1]: a => b",
       }) {
    EXPECT_FALSE(LooksLikeDelivery(line)) << line;
  }
}

}  // namespace
}  // namespace deferd
