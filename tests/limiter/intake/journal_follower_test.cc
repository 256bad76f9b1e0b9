#include "limiter/intake/journal_follower.h"

#include <zlib.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "limiter/intake/syslog_prefix.h"
#include "tests/limiter/intake/journal_station.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(JournalFollower, ReadsWhatIsThereAndWhatIsAdded) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 3));
  journal.Start();
  ASSERT_TRUE(journal.BecomesSeen(3));
  journal.Append(JournalStation::Entries(4, 5));
  ASSERT_TRUE(journal.BecomesSeen(5));
  EXPECT_TRUE(journal.Becomes([](const FollowerStatus& s) {
    return s.path == "journal:postfix" && s.readable && s.at_end && s.lag == absl::ZeroDuration() &&
           s.bytes > 0 && s.gaps == 0;
  }));
  journal.Kill();
  EXPECT_EQ(journal.numbers(), JournalStation::Range(1, 5));
}

TEST(JournalFollower, TheTimeIsTheEntrysOwn) {
  JournalStation journal;
  NewEntry entry = JournalStation::Entry(1);
  entry.time += absl::Microseconds(123456);
  journal.Append({entry});
  journal.RunToEnd();
  ASSERT_EQ(journal.attempts().size(), 1u);
  EXPECT_EQ(journal.attempts()[0].time, entry.time);
}

TEST(JournalFollower, OnlyTheMailServersEntriesAreRead) {
  JournalStation journal;
  std::vector<NewEntry> entries = JournalStation::Entries(1, 7);
  entries[1].facility = 3;  // daemon
  entries[2].uid = 1000;    // logger -p mail.info -t postfix/smtp
  entries[3].uid = 101;     // postfix
  entries[4].identifier = "dovecot";
  entries[5].identifier = "postfix/smtp: 4dXb2Q1Zz9";
  entries[6].identifier = "postfix-out/smtp";
  journal.Append(entries);
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(1, 4, 7));
  EXPECT_EQ(journal.counts(), (LineCounts{.lines = 6, .attempts = 3, .not_mine = 3}));
}

TEST(JournalFollower, TheFirstStartReadsBackTheWindow) {
  JournalStation journal;
  std::vector<NewEntry> entries = JournalStation::Entries(1, 4);
  entries[0].time = journal.clock().Now() - absl::Hours(2);
  entries[1].time = journal.clock().Now() - absl::Minutes(61);
  journal.Append(entries);
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(3, 4));
  EXPECT_EQ(journal.gaps(), 0);
}

TEST(JournalFollower, OldEntriesAloneAreAPlaceToGoOnFrom) {
  JournalStation journal;
  journal.clock().Advance(absl::Hours(5));
  journal.Append(JournalStation::Entries(1, 2));
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), IsEmpty());
  journal.Append(JournalStation::Entries(3, 4));
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(3, 4));
  EXPECT_EQ(journal.gaps(), 0);
}

TEST(JournalFollower, RestartsAtEveryEntryReadEachOnce) {
  constexpr int kEntries = 12;
  for (int accepted = 0; accepted <= kEntries; ++accepted) {
    JournalStation journal;
    journal.Append(JournalStation::Entries(1, 6));
    journal.RunToEnd(accepted, /*batch_events=*/1);
    journal.Append(JournalStation::Entries(7, kEntries));
    journal.RunToEnd();
    EXPECT_EQ(journal.numbers(), JournalStation::Range(1, kEntries)) << accepted;
    EXPECT_EQ(journal.gaps(), 0) << accepted;
  }
}

TEST(JournalFollower, RotationWhileItFollowsLosesNothing) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 2));
  journal.Start();
  ASSERT_TRUE(journal.BecomesSeen(2));
  journal.Rename("system.journal", "system@0001.journal");
  journal.Append(JournalStation::Entries(3, 4));
  ASSERT_TRUE(journal.BecomesSeen(4));
  journal.Kill();
  journal.Rename("system.journal", "system@0002.journal");
  journal.Append(JournalStation::Entries(5, 6));
  journal.RunToEnd();
  EXPECT_EQ(journal.numbers(), JournalStation::Range(1, 6));
  EXPECT_EQ(journal.gaps(), 0);
}

TEST(JournalFollower, VacuumOfWhatWasReadIsNoGap) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 2), "system@0001.journal");
  journal.Append(JournalStation::Entries(3, 4));
  journal.Start();
  ASSERT_TRUE(journal.BecomesSeen(4));
  journal.Delete("system@0001.journal");
  journal.Append(JournalStation::Entries(5, 6));
  ASSERT_TRUE(journal.BecomesSeen(6));
  EXPECT_EQ(journal.follower().status().gaps, 0);
  journal.Kill();
  EXPECT_EQ(journal.numbers(), JournalStation::Range(1, 6));
}

TEST(JournalFollower, VacuumOfWhatWasNotReadIsAGap) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 2500), "system@0001.journal");
  journal.Append(JournalStation::Entries(2501, 2503));
  journal.Hold();
  journal.Start(1'000'000, /*batch_events=*/10);
  ASSERT_TRUE(journal.BecomesHeld());
  journal.Delete("system@0001.journal");
  journal.Release();
  // What is mapped can be read until the follower looks at its files.
  ASSERT_TRUE(journal.Becomes([](const FollowerStatus& s) { return s.gaps == 1 && s.at_end; }));
  journal.Kill();
  std::vector<int> numbers = journal.numbers();
  ASSERT_GT(numbers.size(), 3u);
  EXPECT_LT(numbers.size(), 2503u);
  EXPECT_EQ(std::vector<int>(numbers.end() - 3, numbers.end()), JournalStation::Range(2501, 2503));
  numbers.resize(numbers.size() - 3);
  EXPECT_EQ(numbers, JournalStation::Range(1, static_cast<int>(numbers.size())));
  EXPECT_EQ(journal.position()->last_gap, journal.clock().Now());
}

TEST(JournalFollower, ACursorThatIsGoneIsAGapAndNothingIsReadTwice) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 2), "system@0001.journal");
  journal.Append(JournalStation::Entries(3, 4), "system@0002.journal");
  journal.RunToEnd();
  journal.Delete("system@0002.journal");
  journal.Append(JournalStation::Entries(7, 8));
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(1, 2, 3, 4, 7, 8));
  EXPECT_EQ(journal.gaps(), 1);
  journal.RunToEnd();
  EXPECT_EQ(journal.gaps(), 1) << "and is not told again";
  EXPECT_EQ(journal.seen(), 6u);
}

TEST(JournalFollower, ACursorThatIsGoneWithNothingBehindIt) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 2), "system@0001.journal");
  journal.Append(JournalStation::Entries(3, 4), "system@0002.journal");
  journal.RunToEnd();
  journal.Delete("system@0002.journal");
  journal.RunToEnd();
  EXPECT_EQ(journal.gaps(), 1);
  journal.Append(JournalStation::Entries(7, 8));
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(1, 2, 3, 4, 7, 8));
  EXPECT_EQ(journal.gaps(), 1);
}

TEST(JournalFollower, AMalformedCursorIsAGap) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 2));
  journal.SetPosition({.cursor = "lost", .gaps = 2});
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(1, 2));
  EXPECT_EQ(journal.gaps(), 3);
}

TEST(JournalFollower, AJournalThatGoesAndComesAgain) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 2));
  journal.Start();
  ASSERT_TRUE(journal.BecomesSeen(2));
  journal.Delete();
  ASSERT_TRUE(journal.Becomes([](const FollowerStatus& s) {
    return !s.readable && s.problem.find("no journal found") == 0;
  }));
  journal.Append(JournalStation::Entries(5, 6));
  ASSERT_TRUE(journal.BecomesSeen(4));
  EXPECT_TRUE(journal.Becomes([](const FollowerStatus& s) { return s.readable && s.gaps == 1; }));
  journal.Kill();
  EXPECT_THAT(journal.numbers(), ElementsAre(1, 2, 5, 6));
}

TEST(JournalFollower, NoJournalIsSaidAndTriedAgain) {
  JournalStation journal;
  journal.Start();
  ASSERT_TRUE(journal.Becomes([](const FollowerStatus& s) { return s.at_end; }));
  EXPECT_FALSE(journal.follower().status().readable);
  EXPECT_THAT(journal.follower().status().problem,
              HasSubstr(absl::StrCat("no journal found in ", journal.folder())));
  journal.clock().Advance(absl::Hours(5));
  journal.Append(JournalStation::Entries(1, 2));
  ASSERT_TRUE(journal.BecomesSeen(2)) << "all of it has come since";
  EXPECT_TRUE(journal.Becomes([](const FollowerStatus& s) { return s.readable && s.gaps == 0; }));
}

TEST(JournalFollower, WhatJournaldThrewAwayIsAGap) {
  JournalStation journal;
  const std::string id = "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\n";
  std::vector<NewEntry> entries = JournalStation::Entries(1, 5);
  for (int n : {1, 2, 3}) {
    entries[n].message = "Suppressed 7 messages from postfix@-.service";
    entries[n].identifier = "systemd-journald";
    entries[n].facility = 3;
    entries[n].more = id + "_TRANSPORT=driver\n";
  }
  entries[2].message = "Suppressed 7 messages from nginx.service";
  entries[3].more = id + "_TRANSPORT=journal\n";  // someone else says so
  journal.Append(entries);
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(1, 5));
  EXPECT_EQ(journal.gaps(), 1);
  EXPECT_EQ(journal.counts().lines, 2);
}

TEST(JournalFollower, OneEntryIsOneLineWhateverItHolds) {
  JournalStation journal;
  std::vector<NewEntry> entries = JournalStation::Entries(1, 4);
  entries[0].message = std::string("\0\xff\n", 3) + entries[0].message;
  entries[1].message = "nothing\n2026-11-22T12:00:00Z postfix/smtp: " + entries[1].message;
  entries[2].message += std::string(70'000, 'x');
  journal.Append(entries);
  journal.RunToEnd();
  EXPECT_THAT(journal.numbers(), ElementsAre(4));
  EXPECT_EQ(journal.counts(),
            (LineCounts{.lines = 4, .attempts = 1, .not_mine = 2, .malformed = 1}));
}

TEST(JournalFollower, StopsWhileItWaits) {
  JournalStation journal;
  journal.Append(JournalStation::Entries(1, 1));
  journal.Start();
  ASSERT_TRUE(journal.Becomes([](const FollowerStatus& s) { return s.at_end; }));
  journal.Kill();  // hangs, and times out, if nothing wakes it
}

// The corpus of a real Postfix, as a file and through the journal.
TEST(JournalFollower, TheJournalTellsWhatTheFileTells) {
  gzFile gz = gzopen(TestData("postfix/postfix-shortid.log.gz").c_str(), "rb");
  ASSERT_NE(gz, nullptr);
  std::string text;
  char buffer[64 << 10];
  for (int n; (n = gzread(gz, buffer, sizeof(buffer))) > 0;) text.append(buffer, n);
  gzclose(gz);

  const absl::Time latest = JournalStation::Noon() + absl::Hours(24);
  std::unique_ptr<LogReader> reader = NewPostfixReader({.zone = absl::UTCTimeZone()});
  reader->set_latest(latest);
  StampReader stamps(absl::UTCTimeZone());
  stamps.set_latest(latest);
  EventBatch file;
  std::vector<NewEntry> entries;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    reader->ReadLine(line, &file);
    const std::optional<SyslogPrefix> prefix = TakeSyslogPrefix(&stamps, &line);
    ASSERT_TRUE(prefix);
    entries.push_back({std::string(line), prefix->time, std::string(prefix->tag)});
  }
  JournalStation journal;
  journal.clock().Set(entries.front().time);
  journal.Append(entries);
  journal.RunToEnd();
  EXPECT_EQ(journal.counts(), file.counts);
  const std::vector<Attempt> attempts = journal.attempts();
  ASSERT_EQ(attempts.size(), file.size());
  ASSERT_GT(attempts.size(), 500u);
  for (size_t i = 0; i < attempts.size(); ++i) {
    const Attempt& a = attempts[i];
    const Attempt& b = file[i].attempt;
    ASSERT_EQ(a.time, b.time) << i;
    ASSERT_EQ(a.message, b.message) << i;
    ASSERT_EQ(a.identity, b.identity) << i;
    ASSERT_EQ(a.recipient, b.recipient) << i;
    ASSERT_EQ(a.outcome, b.outcome) << i;
    ASSERT_EQ(a.reply, b.reply) << i;
  }
}

}  // namespace
}  // namespace deferd
