#include "exporter/notice/dispatcher.h"

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const absl::Time kNoon = absl::FromCivil(absl::CivilHour(2026, 11, 29, 12), absl::UTCTimeZone());

struct Sent {
  std::string key;
  std::vector<std::string> ids;
};

class FakeSink : public Sink {
 public:
  FakeSink(bool command, std::vector<Sent>* sent, absl::Status* answer)
      : command_(command), sent_(sent), answer_(answer) {}
  std::string KeyOf(const Notice& notice) const override {
    return command_ ? notice.id : notice.domain.empty() ? "admins" : notice.domain;
  }
  size_t MostTogether() const override { return command_ ? 1 : 1000; }
  absl::Status Send(const std::string& key, const std::vector<Notice>& notices, absl::Time,
                    std::string* left) override {
    if (key == "admins" && answer_->message() == "one has it") *left = "second";
    Sent& one = sent_->emplace_back();
    one.key = key;
    for (const Notice& notice : notices) one.ids.push_back(notice.id);
    return *answer_;
  }

 private:
  const bool command_;
  std::vector<Sent>* const sent_;
  absl::Status* const answer_;
};

class DispatcherTest : public testing::Test {
 protected:
  void Make(NoticeSink config) {
    config.name = "s";
    if (config.on.empty()) {
      for (int i = 0; i < kNoticeKinds; ++i) config.on.push_back(static_cast<NoticeKind>(i));
    }
    const bool command = config.type == NoticeSink::Type::kCommand;
    NoticeDispatcher::Parts parts;
    parts.outbox = &outbox_;
    parts.clock = &clock_;
    parts.zone = zone_;
    parts.save = [this] { Save(); };
    parts.has_tag = [](const std::string&, const std::string& domain, const std::string& tag) {
      return domain == absl::StrCat(tag, ".example");
    };
    parts.digest = [this](const std::string&, const std::string&) { return digest_; };
    parts.digest_domains = [] { return std::vector<std::string>(); };
    dispatcher_ = std::make_unique<NoticeDispatcher>(
        std::vector<NoticeSink>{config}, std::move(parts),
        [this, command](const NoticeSink&, SinkParts) {
          return std::make_unique<FakeSink>(command, &sent_, &answer_);
        });
  }

  void Save() {
    std::vector<StoredText> batch;
    outbox_.Collect(&batch);
    written_ += batch.size();
    outbox_.Saved(true);
  }

  void Add(const std::string& id, const std::string& domain, const std::string& thread,
           NoticeKind kind = NoticeKind::kBlocked) {
    outbox_.Add({.id = id,
                 .kind = kind,
                 .time = now_,
                 .subject = domain,
                 .domain = domain,
                 .thread = thread,
                 .facts = "{}"});
    Save();
  }

  // Lets time pass in steps that are shorter than anything that is waited for.
  void Pass(absl::Duration time, absl::Duration step = absl::Seconds(5)) {
    for (const absl::Time end = now_ + time; now_ < end;) {
      now_ += step;
      clock_.Set(now_);
      dispatcher_->Turn("s", now_);
    }
  }

  absl::Time now_ = kNoon;
  absl::TimeZone zone_ = absl::UTCTimeZone();
  size_t written_ = 0;  // rows of the outbox, to the disk
  ManualClock clock_{kNoon};
  Outbox outbox_;
  std::vector<Sent> sent_;
  absl::Status answer_;
  Json digest_;
  std::unique_ptr<NoticeDispatcher> dispatcher_;
};

TEST_F(DispatcherTest, OneTroubleIsOneMessageWithWhatWasFolded) {
  Make({});
  for (const char* id : {"a", "b", "c"}) Add(id, "shop.example", "case-1");
  Pass(absl::Seconds(10));
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_THAT(sent_[0].ids, ElementsAre("a", "b", "c"));
  Pass(absl::Hours(3), absl::Minutes(1));
  EXPECT_THAT(sent_, SizeIs(1));
}

TEST_F(DispatcherTest, AStormOfTenThousandIsOneMessage) {
  NoticeSink config;
  config.batch = absl::Seconds(5);
  Make(config);
  for (int i = 0; i < 10'000; ++i) {
    outbox_.Add({.id = absl::StrCat("n", i),
                 .kind = NoticeKind::kIncidentOpened,
                 .time = now_,
                 .subject = "",
                 .domain = "",
                 .thread = absl::StrCat("t", i),
                 .facts = "{}"});
  }
  Save();
  Pass(absl::Minutes(2));
  EXPECT_LE(sent_.size(), 10u);
  size_t all = 0;
  for (const Sent& one : sent_) all += one.ids.size();
  EXPECT_EQ(all, 10'000u);
  EXPECT_EQ(outbox_.stats().pending, 0);
}

TEST_F(DispatcherTest, ASubjectGetsSoManyMessagesAnHourAndTheRestIsFolded) {
  NoticeSink config;
  config.per_subject_per_hour = 2;
  Make(config);
  for (int i = 0; i < 5; ++i) {
    Add(absl::StrCat("n", i), "shop.example", "case-1", NoticeKind::kExtended);
    Pass(absl::Minutes(1));
  }
  EXPECT_THAT(sent_, SizeIs(2));
  Pass(absl::Hours(1), absl::Minutes(1));
  ASSERT_THAT(sent_, SizeIs(3));
  EXPECT_THAT(sent_[2].ids, ElementsAre("n2", "n3", "n4"));
}

TEST_F(DispatcherTest, WhatFailsIsTriedAgainWithGrowingPausesUntilItExpires) {
  NoticeSink config;
  config.expire = absl::Hours(2);
  Make(config);
  answer_ = absl::UnavailableError("refused");
  Add("a", "shop.example", "case-1");
  Pass(absl::Hours(1));
  const size_t first_hour = sent_.size();
  EXPECT_GT(first_hour, 5u);
  EXPECT_LT(first_hour, 12u);
  Pass(absl::Hours(4), absl::Minutes(1));
  EXPECT_LE(sent_.size(), first_hour + 2);
  EXPECT_EQ(outbox_.stats().dead, 1);
  answer_ = absl::OkStatus();
  EXPECT_EQ(outbox_.Retry("a", now_), 1);
}

TEST_F(DispatcherTest, AServerThatComesBackGetsAllOfIt) {
  Make({});
  answer_ = absl::UnavailableError("refused");
  for (int i = 0; i < 3; ++i) {
    Add(absl::StrCat("n", i), absl::StrCat("d", i, ".example"), absl::StrCat("case-", i));
  }
  Pass(absl::Minutes(1));
  sent_.clear();
  answer_ = absl::OkStatus();
  Pass(absl::Minutes(5));
  EXPECT_THAT(sent_, SizeIs(3));
  EXPECT_EQ(outbox_.stats().pending, 0);
}

TEST_F(DispatcherTest, WhatIsRefusedForGoodIsDeadAtOnceAndHoldsUpNothing) {
  Make({});
  answer_ = absl::InvalidArgumentError("no such mailbox");
  Add("a", "shop.example", "case-1");
  Add("b", "other.example", "case-2");
  Pass(absl::Minutes(1));
  EXPECT_THAT(sent_, SizeIs(2));
  EXPECT_EQ(outbox_.stats().dead, 2);
}

TEST_F(DispatcherTest, QuietHoursLetOnlyWhatIsCriticalThrough) {
  NoticeSink config;
  config.quiet_from = 11 * 60;
  config.quiet_until = 13 * 60;
  Make(config);
  Add("loud", "shop.example", "case-1", NoticeKind::kBlocked);
  Add("soft", "other.example", "case-2", NoticeKind::kUnblocked);
  Pass(absl::Minutes(30), absl::Minutes(1));
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_THAT(sent_[0].ids, ElementsAre("loud"));
  Pass(absl::Minutes(35), absl::Minutes(1));
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_THAT(sent_[1].ids, ElementsAre("soft"));
}

TEST_F(DispatcherTest, QuietHoursGoOverMidnightAndOverTheClocksChange) {
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &zone_));
  NoticeSink config;
  config.quiet_from = 22 * 60;
  config.quiet_until = 7 * 60;
  Make(config);
  // The night in which 02:00 comes twice, and the one in which it is left out.
  for (const absl::CivilSecond evening :
       {absl::CivilSecond(2026, 10, 24, 23, 30, 0), absl::CivilSecond(2027, 3, 27, 23, 30, 0)}) {
    sent_.clear();
    now_ = absl::FromCivil(evening, zone_);
    clock_.Set(now_);
    Add(absl::StrCat("soft", absl::ToUnixSeconds(now_)), "other.example", "case-2",
        NoticeKind::kUnblocked);
    const absl::Time morning = absl::FromCivil(absl::CivilSecond(evening + 7 * 3600 + 1800), zone_);
    Pass(morning - absl::Minutes(1) - now_, absl::Minutes(1));
    EXPECT_THAT(sent_, IsEmpty());
    Pass(absl::Minutes(2), absl::Minutes(1));
    EXPECT_THAT(sent_, SizeIs(1));
  }
}

TEST_F(DispatcherTest, OfSeveralRecipientsOnlyThoseWhoHaveNotHeardItAreTriedAgain) {
  Make({});
  answer_ = absl::UnavailableError("one has it");
  Add("a", "", "case-1");
  Pass(absl::Seconds(10));
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_EQ(sent_[0].key, "admins");
  answer_ = absl::OkStatus();
  Pass(absl::Minutes(1));
  ASSERT_THAT(sent_, SizeIs(2));
  EXPECT_EQ(sent_[1].key, "second");
  EXPECT_EQ(outbox_.stats().pending, 0);
}

TEST_F(DispatcherTest, TenThousandBehindASinkThatTakesNothingCostOneAttemptAtATime) {
  NoticeSink config;
  config.expire = absl::Hours(48);
  Make(config);
  answer_ = absl::UnavailableError("it hangs");
  for (int i = 0; i < 10'000; ++i) {
    outbox_.Add({.id = absl::StrCat("n", i),
                 .kind = NoticeKind::kBlocked,
                 .time = now_,
                 .subject = absl::StrCat("d", i % 3, ".example"),
                 .domain = absl::StrCat("d", i % 3, ".example"),
                 .thread = absl::StrCat("t", i),
                 .facts = "{}"});
  }
  Save();
  Pass(absl::Seconds(5));
  written_ = 0;
  Pass(absl::Hours(1));
  EXPECT_LT(sent_.size(), 12u);
  // Not each of them again with each attempt.
  EXPECT_LT(written_, 50'000u);
  answer_ = absl::OkStatus();
  sent_.clear();
  Pass(absl::Hours(1), absl::Minutes(1));
  EXPECT_EQ(outbox_.stats().pending, 0);
  EXPECT_LT(sent_.size(), 40u);
}

TEST_F(DispatcherTest, WhatWaitsBehindASinkThatTakesNothingExpiresToo) {
  NoticeSink config;
  config.expire = absl::Hours(2);
  Make(config);
  answer_ = absl::UnavailableError("it hangs");
  for (int i = 0; i < 20; ++i) {
    Add(absl::StrCat("n", i), absl::StrCat("d", i, ".example"), absl::StrCat("c", i));
  }
  Pass(absl::Hours(4), absl::Minutes(1));
  EXPECT_EQ(outbox_.stats().dead, 20);
  EXPECT_EQ(outbox_.stats().pending, 0);
  for (const Notice& one : outbox_.List()) {
    EXPECT_EQ(one.deliveries.at("s").error, "expired: it hangs") << one.id;
  }
}

TEST_F(DispatcherTest, AChangedSinkGoesOnWithWhatWaits) {
  Make({});
  answer_ = absl::UnavailableError("wrong host");
  Add("a", "shop.example", "case-1");
  Pass(absl::Seconds(10));
  EXPECT_EQ(outbox_.stats().pending, 1);
  NoticeSink changed;
  changed.name = "s";
  changed.host = "mx2.example:25";
  changed.on = {NoticeKind::kBlocked};
  answer_ = absl::OkStatus();
  dispatcher_->SetSinks({changed});
  Pass(absl::Minutes(1));
  EXPECT_EQ(outbox_.stats().pending, 0);
  EXPECT_EQ(outbox_.stats().delivered, 1);
}

TEST_F(DispatcherTest, WhatASinkHasNotSentThatIsGoneIsDead) {
  Make({});
  answer_ = absl::UnavailableError("refused");
  Add("a", "shop.example", "case-1");
  Pass(absl::Seconds(10));
  NoticeSink other;
  other.name = "other";
  dispatcher_->SetSinks({other});
  EXPECT_THAT(dispatcher_->names(), ElementsAre("other"));
  EXPECT_EQ(outbox_.stats().dead, 1);
  EXPECT_EQ(outbox_.stats().pending, 0);
}

TEST_F(DispatcherTest, ASinkHearsOnlyOfWhatItIsFor) {
  NoticeSink config;
  config.on = {NoticeKind::kBlocked};
  config.tags = {"vip"};
  config.kinds = {SubjectKind::kDomain};
  Make(config);
  Add("a", "vip.example", "case-1");
  Add("b", "shop.example", "case-2");
  Add("c", "vip.example", "case-3", NoticeKind::kUnblocked);
  Pass(absl::Minutes(1));
  ASSERT_THAT(sent_, SizeIs(1));
  EXPECT_THAT(sent_[0].ids, ElementsAre("a"));
  EXPECT_THAT(outbox_.List(), SizeIs(1));
}

TEST_F(DispatcherTest, ACommandRunsOnceForEachEvent) {
  NoticeSink config;
  config.type = NoticeSink::Type::kCommand;
  config.per_hour = 1000;
  Make(config);
  for (int i = 0; i < 20; ++i) Add(absl::StrCat("n", i), "shop.example", absl::StrCat("c", i));
  Pass(absl::Minutes(1));
  EXPECT_THAT(sent_, SizeIs(20));
}

TEST_F(DispatcherTest, TheDigestGoesOutOnceADayAndNotAtAllWithNothingToSay) {
  NoticeSink config;
  config.digest = 12 * 60 + 30;
  Make(config);
  Pass(absl::Hours(2), absl::Minutes(1));
  EXPECT_THAT(sent_, IsEmpty());
  digest_ = Json::object();
  Pass(absl::Hours(47), absl::Minutes(1));
  EXPECT_THAT(sent_, SizeIs(2));
}

}  // namespace
}  // namespace deferd
