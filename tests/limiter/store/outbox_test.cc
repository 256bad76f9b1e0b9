#include "limiter/store/outbox.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const absl::Time kNoon = absl::FromUnixSeconds(1'790'000'000);

class OutboxTest : public testing::Test {
 protected:
  static Notice Make(const std::string& id) {
    return {.id = id,
            .kind = NoticeKind::kBlocked,
            .time = kNoon,
            .subject = "shop.example",
            .domain = "shop.example",
            .thread = "n-1-1",
            .facts = "{}"};
  }

  // One commit that succeeds; what it stored goes to `disk_`.
  void Commit() {
    std::vector<StoredText> batch;
    outbox_.Collect(&batch);
    for (const StoredText& one : batch) {
      if (one.text.empty()) {
        disk_.erase(one.name);
      } else {
        disk_[one.name] = one.text;
      }
    }
    outbox_.Saved(true);
  }

  void RouteAll(const std::vector<std::string>& sinks) {
    outbox_.Route([&](const Notice&) { return sinks; });
  }

  static std::vector<std::string> Ids(const std::vector<Notice>& notices) {
    std::vector<std::string> ids;
    for (const Notice& one : notices) ids.push_back(one.id);
    return ids;
  }

  Outbox outbox_;
  std::map<std::string, std::string> disk_;
};

TEST_F(OutboxTest, NothingIsDueBeforeItIsStored) {
  outbox_.Add(Make("a"));
  RouteAll({"admins"});
  EXPECT_THAT(outbox_.Due("admins", kNoon, 10), IsEmpty());
  std::vector<StoredText> batch;
  outbox_.Collect(&batch);
  outbox_.Saved(false);
  RouteAll({"admins"});
  EXPECT_THAT(outbox_.Due("admins", kNoon, 10), IsEmpty());
  Commit();
  RouteAll({"admins"});
  EXPECT_THAT(Ids(outbox_.Due("admins", kNoon, 10)), ElementsAre("a"));
}

TEST_F(OutboxTest, WhatIsKnownIsNotAddedAgain) {
  outbox_.Add(Make("a"));
  Commit();
  RouteAll({"admins"});
  outbox_.SetDelivery("a", "admins", {.state = DeliveryState::kDelivered, .done_at = kNoon}, kNoon);
  outbox_.Add(Make("a"));
  Commit();
  RouteAll({"admins"});
  EXPECT_THAT(outbox_.Due("admins", kNoon, 10), IsEmpty());
  EXPECT_EQ(outbox_.stats().delivered, 1);
}

// At each point of a notice's life the process dies, and another one goes on with the disk.
TEST_F(OutboxTest, AfterACrashItIsDeliveredJustToThoseWhoHaveNotHeardIt) {
  outbox_.Add(Make("a"));
  const auto restored = [&] {
    auto next = std::make_unique<Outbox>();
    for (const auto& [name, text] : disk_) EXPECT_TRUE(next->Restore({name, text}).ok());
    next->Route([](const Notice&) { return std::vector<std::string>{"admins", "hook"}; });
    return next;
  };
  EXPECT_THAT(restored()->List(), IsEmpty());  // with the change it tells of
  Commit();
  EXPECT_THAT(Ids(restored()->Due("admins", kNoon, 10)), ElementsAre("a"));
  RouteAll({"admins", "hook"});
  Commit();
  EXPECT_THAT(Ids(restored()->Due("hook", kNoon, 10)), ElementsAre("a"));
  outbox_.SetDelivery("a", "admins", {.state = DeliveryState::kDelivered, .done_at = kNoon}, kNoon);
  Commit();
  EXPECT_THAT(restored()->Due("admins", kNoon, 10), IsEmpty());
  EXPECT_THAT(Ids(restored()->Due("hook", kNoon, 10)), ElementsAre("a"));
}

TEST_F(OutboxTest, AFailedDeliveryWaitsAndADeadOneIsRetriedByAPerson) {
  outbox_.Add(Make("a"));
  Commit();
  RouteAll({"hook"});
  const absl::Time later = kNoon + absl::Minutes(5);
  outbox_.SetDelivery("a", "hook", {.attempts = 1, .next_try = later, .error = "refused"}, kNoon);
  EXPECT_THAT(outbox_.Due("hook", kNoon, 10), IsEmpty());
  EXPECT_EQ(outbox_.NextDue("hook"), later);
  EXPECT_THAT(outbox_.Due("hook", later, 10), SizeIs(1));
  outbox_.SetDelivery("a", "hook", {.state = DeliveryState::kDead, .error = "gone"}, later);
  EXPECT_EQ(outbox_.stats().dead, 1);
  EXPECT_EQ(outbox_.stats().pending, 0);
  EXPECT_EQ(outbox_.Retry("b", later), 0);
  EXPECT_EQ(outbox_.Retry("", later), 1);
  EXPECT_EQ(outbox_.stats().dead, 0);
  EXPECT_THAT(outbox_.Due("hook", later, 10), SizeIs(1));
}

TEST_F(OutboxTest, WhatNobodyMustHearIsForgotten) {
  outbox_.Add(Make("a"));
  Commit();
  RouteAll({});
  Commit();
  EXPECT_THAT(disk_, IsEmpty());
}

TEST_F(OutboxTest, FinishedOnesAreForgottenAfterAWeek) {
  for (const char* id : {"a", "b"}) outbox_.Add(Make(id));
  Commit();
  RouteAll({"hook"});
  const NoticeDelivery done = {.state = DeliveryState::kDelivered, .done_at = kNoon};
  outbox_.SetDelivery("a", "hook", done, kNoon);
  outbox_.SetDelivery("b", "hook", done, kNoon + Outbox::kKeep + absl::Seconds(1));
  EXPECT_THAT(outbox_.List(), IsEmpty());
}

TEST_F(OutboxTest, TheStoredFormKeepsEveryField) {
  Notice notice = Make("odd \xff id");
  notice.routed = true;
  notice.deliveries["admins"] = {DeliveryState::kDead, 3, kNoon, kNoon + absl::Seconds(1), "why"};
  absl::StatusOr<Notice> read = ParseNotice(notice.id, NoticeText(notice));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, notice);
  EXPECT_FALSE(ParseNotice("x", "no MessagePack").ok());
}

}  // namespace
}  // namespace deferd
