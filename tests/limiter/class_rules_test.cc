// Rules on answers of some classes and on distinct recipients: what they count, that what is
// corrected, unblocked or restarted counts as it should, and that a plain list comes to the same.

#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/evidence/receipt.h"
#include "limiter/judging/incident_watch.h"
#include "policy/refusal_text.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kPolicy[] = R"(
[rule.spam]
classes = ["content", "authentication"]
min_bad = 3
window = "10m"
block_for = "1h"
action = "reject"
)";

constexpr char kSpam[] = "550 5.7.1 message content rejected as spam";
constexpr char kNoSpf[] = "550 5.7.26 This mail is unauthenticated: SPF and DKIM did not pass";
constexpr char kUnknown[] = "550 5.1.1 User unknown";

class ClassRules : public testing::Test, protected LimiterFixture {
 protected:
  explicit ClassRules(const std::string& policy = kPolicy) : LimiterFixture(policy, kMorning) {}

  void Answer(const char* reply, absl::Duration at, const std::string& message = "",
              Outcome outcome = Outcome::kFailed, const std::string& recipient = "r@x") {
    clock_.Set(At(at));
    Attempt attempt = MakeAttempt("shop.example", At(at), outcome, message, recipient);
    if (outcome != Outcome::kDelivered) attempt.reply = reply;
    LimiterFixture::Feed(attempt);
  }
  void Commit() { EXPECT_THAT(committer_->Commit(/*durable=*/true), IsOk()); }
  bool Blocked() const { return OpenCase("shop.example").has_value(); }
  Counts Judged() const {
    return limiter_->Report({SubjectKind::kDomain, "shop.example"}).rules.at(0).counts;
  }
};

TEST_F(ClassRules, CountOnlyThoseAnswersWhateverIsDelivered) {
  for (int i = 0; i < 50; ++i) Answer("", absl::Minutes(1), "", Outcome::kDelivered);
  for (int i = 0; i < 20; ++i) Answer(kUnknown, absl::Minutes(1));
  Answer(kSpam, absl::Minutes(2));
  Answer(kNoSpf, absl::Minutes(3));
  EXPECT_FALSE(Blocked()) << "20 unknown users are another rule's";
  Answer(kSpam, absl::Minutes(4));
  ASSERT_TRUE(Blocked());
  const Case open = *OpenCase("shop.example");
  EXPECT_EQ(open.bad(), 3);
  EXPECT_EQ(open.bad_of(), 73) << "all that was counted";
  EXPECT_THAT(open.measure.classes.Names(), ElementsAre("authentication", "content"));
  const std::string text = RefusalText(*settings_.policy, open.ToRefusal(), Verdict::kReject);
  EXPECT_THAT(text, HasSubstr("Domain shop.example has exceeded the max answers of class "
                              "authentication or content per hour (3/3 (4%)) allowed."));
  EXPECT_TRUE(IsRefusalText(text));
}

TEST_F(ClassRules, TheirWindowIsTheirOwn) {
  Answer(kSpam, absl::Minutes(1));
  Answer(kSpam, absl::Minutes(2));
  Answer(kSpam, absl::Minutes(12));
  EXPECT_FALSE(Blocked()) << "the first is over ten minutes old";
  Answer(kSpam, absl::Minutes(12));
  Answer(kSpam, absl::Minutes(12));
  EXPECT_TRUE(Blocked());
}

TEST_F(ClassRules, WhatIsDeliveredAfterAllIsTakenOut) {
  Answer(kSpam, absl::Minutes(1), "m1", Outcome::kDeferred);
  Answer(kSpam, absl::Minutes(1), "m2", Outcome::kDeferred);
  EXPECT_EQ(Judged().classed, 2);
  Answer(kSpam, absl::Minutes(2), "m2", Outcome::kDeferred);
  EXPECT_EQ(Judged().classed, 2) << "once";
  Answer("", absl::Minutes(3), "m1", Outcome::kDelivered);
  EXPECT_EQ(Judged().classed, 1);
  // The outcome has changed, and with it what the answer meant.
  Answer(kUnknown, absl::Minutes(3), "m2", Outcome::kFailed);
  EXPECT_EQ(Judged().classed, 0);
}

TEST_F(ClassRules, OutliveARestart) {
  Answer(kSpam, absl::Minutes(1), "m1", Outcome::kDeferred);
  Answer(kSpam, absl::Minutes(1), "m2");
  Commit();
  Start();
  EXPECT_EQ(Judged().classed, 2);
  Answer("", absl::Minutes(2), "m1", Outcome::kDelivered);
  EXPECT_EQ(Judged().classed, 1) << "what it had counted as is known still";
  Answer(kSpam, absl::Minutes(2));
  Answer(kSpam, absl::Minutes(2));
  EXPECT_TRUE(Blocked());
  Commit();
  Start();
  ASSERT_TRUE(Blocked());
  EXPECT_EQ(OpenCase("shop.example")->bad(), 3);
  EXPECT_FALSE(OpenCase("shop.example")->measure.classes.empty());
}

TEST_F(ClassRules, AnUnblockClearsThem) {
  for (int i = 0; i < 3; ++i) Answer(kSpam, absl::Minutes(1));
  ASSERT_TRUE(Blocked());
  EXPECT_THAT(committer_->Unblock({SubjectKind::kDomain, "shop.example"}, "root", ""), IsOk());
  clock_.Set(At(absl::Minutes(32)));
  for (int i = 0; i < 2; ++i) Answer(kSpam, absl::Minutes(32));
  EXPECT_FALSE(Blocked());
  EXPECT_EQ(Judged().classed, 2);
  Answer(kSpam, absl::Minutes(32));
  EXPECT_TRUE(Blocked());
}

TEST_F(ClassRules, TheReceiptIsConfirmed) {
  for (int i = 0; i < 5; ++i) Answer(kUnknown, absl::Minutes(1));
  for (int i = 0; i < 3; ++i) Answer(kSpam, absl::Minutes(1 + i));
  const Case open = *OpenCase("shop.example");
  Commit();
  const std::vector<LedgerRow> rows = Rows(Outcome::kFailed);
  ASSERT_FALSE(rows.empty());
  std::unique_ptr<LedgerReader> reader = store_->NewReader();
  absl::StatusOr<Receipt> receipt =
      GatherReceipt(open, rows.front().row, *settings_.policy, reader.get());
  ASSERT_THAT(receipt, IsOk());
  EXPECT_EQ(receipt->total, 3);
  EXPECT_EQ(receipt->recounted.classed, 3);
  EXPECT_EQ(receipt->recounted.failed, 8);
  absl::StatusOr<Verification> verified =
      VerifyReceipt(open, *receipt, *settings_.policy, reader.get());
  ASSERT_THAT(verified, IsOk());
  EXPECT_EQ(verified->finding, Finding::kConfirmed) << testing::PrintToString(verified->remarks);
}

class DistinctRecipients : public ClassRules {
 protected:
  DistinctRecipients()
      : ClassRules(R"(
[rule.list]
min_bad = 4
min_recipients = 3
percent = 50
window = "10m"
block_for = "1h"
action = "reject"
)") {}
};

TEST_F(DistinctRecipients, ManyFailuresOfOneAddressAreOne) {
  for (int i = 0; i < 10; ++i) Answer(kUnknown, absl::Minutes(1), "", Outcome::kFailed, "a@x");
  Answer(kUnknown, absl::Minutes(1), "", Outcome::kFailed, "B@x");
  Answer(kUnknown, absl::Minutes(1), "", Outcome::kFailed, "b@X");
  EXPECT_EQ(Judged().recipients, 2);
  EXPECT_FALSE(Blocked());
  Answer(kUnknown, absl::Minutes(2), "", Outcome::kFailed, "c@x");
  ASSERT_TRUE(Blocked());
  EXPECT_EQ(OpenCase("shop.example")->counts.recipients, 3);
}

TEST_F(DistinctRecipients, ARecipientIsThereWhileOneOfItsFailuresIs) {
  Answer(kUnknown, absl::Minutes(1), "m1", Outcome::kDeferred, "a@x");
  Answer(kUnknown, absl::Minutes(2), "m2", Outcome::kDeferred, "a@x");
  Answer(kUnknown, absl::Minutes(2), "m3", Outcome::kDeferred, "b@x");
  EXPECT_EQ(Judged().recipients, 2);
  Answer("", absl::Minutes(3), "m1", Outcome::kDelivered, "a@x");
  EXPECT_EQ(Judged().recipients, 2);
  Commit();
  Start();
  EXPECT_EQ(Judged().recipients, 2);
  Answer("", absl::Minutes(3), "m2", Outcome::kDelivered, "a@x");
  EXPECT_EQ(Judged().recipients, 1);
}

class RecipientsOfClasses : public ClassRules {
 protected:
  RecipientsOfClasses()
      : ClassRules(R"(
[rule.list]
classes = ["content"]
min_bad = 3
min_recipients = 3
window = "10m"
block_for = "1h"
action = "reject"
[rule.other]
classes = ["authentication"]
min_bad = 100
min_recipients = 2
window = "10m"
)") {}
  int64_t RecipientsOf(size_t rule) const {
    return limiter_->Report({SubjectKind::kDomain, "shop.example"})
        .rules.at(rule)
        .counts.recipients;
  }
};

TEST_F(RecipientsOfClasses, OnlyThoseOfItsAnswersAreCounted) {
  for (int i = 0; i < 5; ++i) {
    Answer(kUnknown, absl::Minutes(1), "", Outcome::kFailed, absl::StrCat("u", i, "@x"));
    Answer(kNoSpf, absl::Minutes(1), "", Outcome::kFailed, absl::StrCat("s", i, "@x"));
  }
  for (int i = 0; i < 4; ++i) Answer(kSpam, absl::Minutes(1), "", Outcome::kFailed, "a@x");
  EXPECT_EQ(RecipientsOf(0), 1);
  EXPECT_EQ(RecipientsOf(1), 5);
  EXPECT_FALSE(Blocked()) << "four spam refusals of one recipient";
  Answer(kSpam, absl::Minutes(2), "m1", Outcome::kDeferred, "s1@x");
  EXPECT_EQ(RecipientsOf(0), 2);
  EXPECT_EQ(RecipientsOf(1), 5) << "a recipient may be in both";
  Commit();
  Start();
  EXPECT_EQ(RecipientsOf(0), 2);
  Answer("", absl::Minutes(2), "m1", Outcome::kDelivered, "s1@x");
  EXPECT_EQ(RecipientsOf(0), 1);
  for (const char* to : {"b@x", "c@x"}) {
    Answer(kSpam, absl::Minutes(3), "", Outcome::kFailed, to);
  }
  ASSERT_TRUE(Blocked());
  EXPECT_EQ(OpenCase("shop.example")->counts.recipients, 3);
}

// A class that a reload brings begins with what comes: nothing that was counted before is in it, so
// nothing of it is taken out when that is delivered after all.
TEST_F(ClassRules, AClassThatAReloadBringsBeginsAnew) {
  const auto reload = [&](const char* one) {
    settings_.policy = ParsedPolicy(absl::StrCat("[rule.spam]\nclasses = [\"", one,
                                                 "\"]\nmin_bad = 100\nmin_recipients = 50\n"
                                                 "window = \"10m\"\n"));
    committer_->SetSettings(settings_);
  };
  reload("reputation");
  Answer(kSpam, absl::Seconds(61), "m1", Outcome::kDeferred);
  Answer("", absl::Seconds(62), "m0", Outcome::kDelivered);
  reload("content");
  // In the same step.
  Answer(kSpam, absl::Seconds(63), "m2", Outcome::kDeferred, "r@x");
  EXPECT_EQ(Judged().classed, 1);
  EXPECT_EQ(Judged().recipients, 1);
  Answer("", absl::Seconds(64), "m1", Outcome::kDelivered);
  EXPECT_EQ(Judged().classed, 1);
  EXPECT_EQ(Judged().recipients, 1);
  Answer("", absl::Seconds(65), "m2", Outcome::kDelivered, "r@x");
  EXPECT_EQ(Judged().classed, 0);
  EXPECT_EQ(Judged().recipients, 0);
}

// Stamps are whole seconds: what bears the reload's second may have come before it.
TEST_F(ClassRules, WhatBearsTheSecondOfAReloadWasBeforeIt) {
  settings_.policy = ParsedPolicy("[rule.any]\nmin_bad = 100\npercent = 50\nwindow = \"10m\"\n");
  committer_->SetSettings(settings_);
  Answer(kSpam, absl::Seconds(61), "m1", Outcome::kDeferred);
  settings_.policy = ParsedPolicy(
      "[rule.spam]\nclasses = [\"content\"]\nmin_bad = 100\nmin_recipients = 50\n"
      "window = \"10m\"\n[rule.login]\nkind = \"login\"\nmin_bad = 100\npercent = 50\n"
      "window = \"5m\"\n");
  committer_->SetSettings(settings_);
  Answer(kSpam, absl::Seconds(62), "m2", Outcome::kDeferred, "r@x");
  const Subject login = {SubjectKind::kLogin, "bob@shop.example"};
  ASSERT_EQ(Judged().classed, 1);
  ASSERT_EQ(Judged().recipients, 1);
  ASSERT_EQ(limiter_->Report(login).rules.at(0).counts.deferred, 1);
  // It is delivered after all, and takes away nothing of the other one.
  Answer("", absl::Seconds(63), "m1", Outcome::kDelivered);
  EXPECT_EQ(Judged().classed, 1);
  EXPECT_EQ(Judged().recipients, 1);
  EXPECT_EQ(limiter_->Report(login).rules.at(0).counts.deferred, 1);
  EXPECT_EQ(limiter_->Report(login).rules.at(0).counts.delivered, 1);
}

// What may be discarded for it has to be sure by the same measure as the block itself.
TEST_F(ClassRules, SureIsWhatTripsOnSureAnswersAlone) {
  constexpr char kGuess[] = "550 hrm wotsit hrm";
  constexpr char kOfContent[] = "classes = [\"content\"]\nmin_bad = 3\npercent = 50\n";
  constexpr char kToEight[] = "min_bad = 3\nmin_recipients = 8\npercent = 50\n";
  const struct {
    const char* name;
    const char* policy;
    const char* other;  // what the first four were answered
    int percent;        // that is asked of what is sure; 0: the rule's
    bool sure;
  } kCases[] = {
      {"four of eight are of the class", kOfContent, kUnknown, 0, true},
      {"the others are in what the share is taken of", kOfContent, kUnknown, 51, false},
      {"eight recipients", kToEight, kUnknown, 0, true},
      {"recipients of a guess are none", kToEight, kGuess, 0, false},
  };
  for (const auto& one : kCases) {
    SCOPED_TRACE(one.name);
    LimiterFixture f(absl::StrCat("[rule.r]\nwindow = \"10m\"\n", one.policy),
                     At(absl::Minutes(9)));
    for (int i = 0; i < 8; ++i) {
      Attempt attempt = MakeAttempt("shop.example", At(absl::Minutes(1)), Outcome::kFailed, "",
                                    absl::StrCat("r", i, "@x"));
      attempt.reply = i < 4 ? one.other : kSpam;
      f.Feed(attempt);
    }
    std::optional<Case> open = f.OpenCase("shop.example");
    ASSERT_TRUE(open.has_value());
    EXPECT_THAT(f.committer_->Commit(), IsOk());
    if (one.percent > 0) open->percent_limit = one.percent;
    const std::unique_ptr<LedgerReader> reader = f.store_->NewReader();
    absl::StatusOr<Receipt> receipt = GatherReceipt(*open, f.Rows(Outcome::kFailed).front().row,
                                                    *f.settings_.policy, reader.get());
    ASSERT_THAT(receipt, IsOk());
    EXPECT_EQ(receipt->sure, one.sure);
  }
}

// Those that an incident took out are missing among the recipients too.
TEST(CountsWithout, LowersRecipients) {
  Case record;
  record.subject = {SubjectKind::kDomain, "shop.example"};
  record.window = absl::Hours(1);
  record.judged_at = At(absl::Minutes(10));
  record.min_recipients = 3;
  record.counts = {.failed = 5, .classed = 4, .recipients = 4};
  record.measure.classes.Add(ReplyClass::kContent);
  std::vector<PlaceContribution> gone;
  const auto add = [&](const char* recipient, ReplyClass meant) {
    PlaceContribution& one = gone.emplace_back();
    one.recipient = recipient;
    one.charged.push_back({record.subject, true});
    one.dated = At(absl::Minutes(5));
    one.outcome = CountedOutcome::kFailed;
    one.reply_class = meant;
  };
  add("a@x", ReplyClass::kContent);
  add("A@x", ReplyClass::kContent);
  add("b@x", ReplyClass::kContent);
  add("c@x", ReplyClass::kPolicy);
  const Counts left = CountsWithout(record, 1, gone);
  EXPECT_EQ(left.failed, 1);
  EXPECT_EQ(left.classed, 1);
  EXPECT_EQ(left.recipients, 2);
}

// A plain list of everything, searched anew for each question.
struct Entry {
  std::string message, recipient;
  absl::Time dated;
  int outcome = 0;  // 0 delivered, 1 deferred, 2 failed
  int answer = 0;
  bool out = false;
};

TEST(SideWindowsModel, EqualAPlainList) {
  constexpr const char* kReplies[] = {kSpam, kNoSpf, kUnknown};
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    LimiterFixture f(
        "[rule.spam]\nclasses = [\"content\", \"authentication\"]\nmin_bad = 100000\n"
        "min_recipients = 1000\nwindow = \"10m\"\n",
        kMorning, /*ledger=*/false);
    std::mt19937 random(seed);
    const auto upto = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
    std::vector<Entry> entries;
    std::map<std::pair<std::string, std::string>, absl::Time> last;
    absl::Time clock = kMorning;
    absl::Time cleared = absl::InfinitePast();
    const auto step_of = [](absl::Time t) { return absl::ToUnixSeconds(t) / 10; };
    for (int i = 0; i < 3000; ++i) {
      clock += absl::Seconds(upto(4));
      f.clock_.Set(clock);
      Entry one = {absl::StrCat("m", upto(40)), absl::StrCat("r", upto(30), "@x"), clock, upto(3),
                   upto(3)};
      if (upto(15) == 0) one.dated -= absl::Seconds(upto(900));
      Attempt attempt = LimiterFixture::MakeAttempt("shop.example", one.dated,
                                                    one.outcome == 0   ? Outcome::kDelivered
                                                    : one.outcome == 1 ? Outcome::kDeferred
                                                                       : Outcome::kFailed,
                                                    one.message, one.recipient);
      if (one.outcome != 0) attempt.reply = kReplies[one.answer];
      // Deferred with these answers it may not count: then it is no contribution.
      const Classification meant = f.settings_.policy->replies().Classify(
          attempt.reply,
          {.logged = one.outcome == 1 ? Permanence::kTransient : Permanence::kPermanent});
      const bool counts = one.outcome == 0 || f.settings_.policy->CountsAnswer(
                                                  meant, FailsForGood(meant, one.outcome == 1));
      f.Feed(attempt);
      absl::Time& newest =
          last.try_emplace({one.message, one.recipient}, absl::InfinitePast()).first->second;
      const bool live = step_of(one.dated) > step_of(clock) - 60;
      if (counts && live && one.dated >= newest) {
        newest = one.dated;
        Entry* before = nullptr;
        for (Entry& e : entries) {
          if (!e.out && e.message == one.message && e.recipient == one.recipient) before = &e;
        }
        if (before == nullptr || before->outcome != one.outcome) {
          if (before != nullptr) before->out = true;
          entries.push_back(one);
        }
      }
      if (upto(500) == 0) {
        f.committer_->Block({SubjectKind::kDomain, "shop.example"}, absl::Minutes(5), "root", "");
        EXPECT_THAT(f.committer_->Unblock({SubjectKind::kDomain, "shop.example"}, "root", ""),
                    IsOk());
        cleared = clock;
      }
      if (upto(100) == 0) {
        EXPECT_THAT(f.committer_->Commit(), IsOk());
        f.Start();
      }
      int64_t classed = 0;
      std::set<std::string> recipients;
      for (const Entry& e : entries) {
        const bool shown = !e.out && e.outcome != 0 && step_of(e.dated) > step_of(clock) - 60 &&
                           (cleared == absl::InfinitePast() || step_of(e.dated) > step_of(cleared));
        if (!shown) continue;
        if (e.answer == 2) continue;
        recipients.insert(e.recipient);
        ++classed;
      }
      const Counts judged =
          f.limiter_->Report({SubjectKind::kDomain, "shop.example"}).rules.at(0).counts;
      ASSERT_EQ(judged.classed, classed) << "seed " << seed << ", after " << i;
      ASSERT_EQ(judged.recipients, static_cast<int64_t>(recipients.size()))
          << "seed " << seed << ", after " << i;
    }
  }
}

}  // namespace
}  // namespace deferd
