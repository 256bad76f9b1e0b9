#include "limiter/queue/queue_verb.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/queue/queue_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class QueueVerbTest : public QueueFixture {
 protected:
  absl::StatusOr<Json> Call(const Json& args) { return QueueVerb(parts_, args, "root"); }

  std::vector<std::string> Ids(const absl::StatusOr<Json>& list) {
    EXPECT_THAT(list, IsOk());
    std::vector<std::string> ids;
    if (!list.ok()) return ids;
    for (const Json& one : *list) ids.push_back(one["id"].get<std::string>());
    return ids;
  }
  std::vector<std::string> Listed(Json filters) {
    filters["do"] = "list";
    return Ids(Call(filters));
  }
  std::string Error(const Json& args) { return std::string(Call(args).status().message()); }

  std::map<std::string, std::string> not_released_;
  std::vector<std::string> released_;
  QueueVerbParts parts_{&mail_queue_, &cases_, &held_, [this](const std::vector<std::string>& ids) {
                          released_ = ids;
                          return not_released_;
                        }};
};

TEST_F(QueueVerbTest, ListsWhatMatchesAllFilters) {
  Queue("A1XXXX", "bob@shop.example");
  Queue("A2XXXX", "bob@shop.example", /*held=*/true);
  Queue("A3XXXX", "ann@other.example");
  Queue("A4XXXX", "");
  Logged("A3XXXX", Outcome::kQueued, "", "", LeftOut::kCounts, "Your Invoice");
  EXPECT_THAT(Listed(Json::object()), ElementsAre("A1XXXX", "A2XXXX", "A3XXXX", "A4XXXX"));
  EXPECT_THAT(Listed({{"subject", "shop.example"}}), ElementsAre("A1XXXX", "A2XXXX"));
  EXPECT_THAT(Listed({{"subject", "shop.example"}, {"held", true}}), ElementsAre("A2XXXX"));
  EXPECT_THAT(Listed({{"subject", "nobody"}}), ElementsAre("A4XXXX"));
  EXPECT_THAT(Listed({{"sender", "ANN@other.example"}}), ElementsAre("A3XXXX"));
  EXPECT_THAT(Listed({{"id", "A1XXXX"}}), ElementsAre("A1XXXX"));
  EXPECT_THAT(Listed({{"subject", "A1XXXX"}}), ElementsAre("A1XXXX"))
      << "a message id is taken too";
  EXPECT_THAT(Listed({{"mail_subject", "invoice"}}), ElementsAre("A3XXXX"));
  EXPECT_THAT(Listed({{"mail_subject", "invoice"}, {"subject", "shop.example"}}), IsEmpty());
}

TEST_F(QueueVerbTest, MessagesThatTheLogDoesNotKnowAreOlderThanAnyTime) {
  Queue("A1XXXX", "bob@shop.example");
  Queue("A4XXXX", "");
  EXPECT_THAT(Listed({{"since", "2026-11-22T08:00:00Z"}}), ElementsAre("A1XXXX"));
}

TEST_F(QueueVerbTest, GroupsHaveTheLargestFirst) {
  Queue("A1XXXX", "bob@shop.example", /*held=*/true);
  Queue("A2XXXX", "joe@shop.example");
  Queue("A3XXXX", "ann@other.example");
  const auto groups = Call({{"do", "list"}, {"by", "subject"}});
  ASSERT_THAT(groups, IsOk());
  EXPECT_EQ(*groups, Json::parse(R"([{"name": "shop.example", "messages": 2, "held": 1},
                                     {"name": "other.example", "messages": 1, "held": 0}])"));
  const auto logins = Call({{"do", "list"}, {"by", "login"}});
  ASSERT_THAT(logins, IsOk());
  EXPECT_EQ(logins->size(), 3u);
  EXPECT_THAT(Error({{"do", "list"}, {"by", "colour"}}), HasSubstr("colour"));
}

TEST_F(QueueVerbTest, GroupsByReasonAndAge) {
  Queue("A1XXXX", "bob@shop.example", /*held=*/true);
  Queue("A2XXXX", "joe@shop.example");
  Queue("A3XXXX", "");
  Logged("A2XXXX", Outcome::kDeferred, "ann@far.example", "450 later", LeftOut::kCounts, "",
         "greylisting");
  Logged("A2XXXX", Outcome::kDeferred, "ann@far.example", "452 full", LeftOut::kCounts, "",
         "mailbox_full");
  const auto reasons = Call({{"do", "list"}, {"by", "reason"}});
  ASSERT_THAT(reasons, IsOk());
  EXPECT_EQ(*reasons, Json::parse(R"([{"name": "", "messages": 1, "held": 0},
                                      {"name": "held", "messages": 1, "held": 1},
                                      {"name": "mailbox_full", "messages": 1, "held": 0}])"));
  Arrived("A2XXXX", {.sender = "joe@shop.example"}, -absl::Hours(30));
  const auto ages = Call({{"do", "list"}, {"by", "age"}});
  ASSERT_THAT(ages, IsOk());
  EXPECT_EQ(*ages, Json::parse(R"([{"name": "less than 1 hour", "messages": 1, "held": 1},
                                   {"name": "1 to 5 days", "messages": 1, "held": 0},
                                   {"name": "", "messages": 1, "held": 0}])"));
}

TEST_F(QueueVerbTest, DiscardsAndRedirectsOneMessageAndRecordsIt) {
  Queue("A1XXXX", "bob@shop.example");
  Queue("A2XXXX", "bob@shop.example");
  ASSERT_THAT(Call({{"do", "redirect"}, {"id", "A1XXXX"}, {"address", "ann@new.example"}}), IsOk());
  ASSERT_THAT(Call({{"do", "discard"}, {"id", "A2XXXX"}}), IsOk());
  EXPECT_THAT(Ordered(), ElementsAre("redirect A1XXXX", "discard A2XXXX"));
  EXPECT_THAT(Recorded(), ElementsAre("A1XXXX queued: redirected to ann@new.example by root",
                                      "A2XXXX discarded: discarded by root"));
  Refuse("A2XXXX", "postsuper: busy");
  EXPECT_THAT(Error({{"do", "discard"}, {"id", "A2XXXX"}}), HasSubstr("postsuper: busy"));
  EXPECT_THAT(Error({{"do", "discard"}, {"id", "A9XXXX"}}), HasSubstr("not in the queue"));
  EXPECT_THAT(Error({{"do", "discard"}, {"subject", "shop.example"}}), HasSubstr("name the"));
  EXPECT_THAT(Error({{"do", "redirect"}, {"id", "A1XXXX"}}), HasSubstr("and the address"));
  EXPECT_EQ(Recorded().size(), 2u) << "what was refused is not recorded";
}

TEST_F(QueueVerbTest, ReleasesOnlyWhatDeferdHolds) {
  Block("shop.example");
  Queue("A1XXXX", "bob@shop.example", /*held=*/true);
  Queue("A2XXXX", "bob@shop.example");
  Queue("A3XXXX", "ann@other.example", /*held=*/true);
  const Json release = {{"do", "release"}, {"subject", "shop.example"}};
  Json dry_run = release;
  dry_run["dry_run"] = true;
  EXPECT_THAT(Ids(Call(dry_run)), ElementsAre("A1XXXX"));
  EXPECT_FALSE(held_.WasReleased("A1XXXX"));
  EXPECT_THAT(Recorded(), IsEmpty());
  EXPECT_THAT(Ids(Call(release)), ElementsAre("A1XXXX"));
  EXPECT_TRUE(held_.WasReleased("A1XXXX"));
  EXPECT_THAT(released_, ElementsAre("A1XXXX"));
  EXPECT_THAT(Recorded(), ElementsAre("A1XXXX queued: released by root"));
}

TEST_F(QueueVerbTest, SaysWhatTheMailServerHasNotReleased) {
  Block("shop.example");
  Queue("A1XXXX", "bob@shop.example", /*held=*/true);
  not_released_["A1XXXX"] = "postsuper: busy";
  const auto released = Call({{"do", "release"}, {"id", "A1XXXX"}});
  ASSERT_THAT(released, IsOk());
  EXPECT_EQ((*released)[0]["not_done"], "postsuper: busy");
}

TEST_F(QueueVerbTest, ReleasingEverythingAtOnceIsRefused) {
  EXPECT_THAT(Error({{"do", "release"}}), HasSubstr("name a sender"));
  EXPECT_THAT(Error({{"do", "release"}, {"held", true}}), HasSubstr("name a sender"));
}

TEST_F(QueueVerbTest, PassesRequeueAndFlushToTheMailServer) {
  ASSERT_THAT(Call({{"do", "requeue"}, {"id", "A1XXXX"}}), IsOk());
  ASSERT_THAT(Call({{"do", "flush"}}), IsOk());
  EXPECT_THAT(Ordered(), ElementsAre("requeue A1XXXX", "flush"));
  SetAway(true);
  EXPECT_THAT(Error({{"do", "flush"}}), HasSubstr("away"));
  EXPECT_THAT(Error({{"do", "list"}}), HasSubstr("away"));
}

TEST_F(QueueVerbTest, RecordsWhatRootDid) {
  const Json messages = Json::array({{{"id", "A1XXXX"}, {"sender", "bob@shop.example"}}});
  ASSERT_THAT(Call({{"do", "recorded"},
                    {"what", "redirected"},
                    {"to", "abuse@here.example"},
                    {"messages", messages}}),
              IsOk());
  ASSERT_THAT(Call({{"do", "recorded"}, {"what", "discarded"}, {"messages", messages}}), IsOk());
  EXPECT_THAT(Recorded(), ElementsAre("A1XXXX queued: redirected to abuse@here.example by root",
                                      "A1XXXX discarded: discarded by root"));
  EXPECT_THAT(Error({{"do", "recorded"}, {"what", "eaten"}, {"messages", messages}}),
              HasSubstr("discarded or redirected"));
}

TEST_F(QueueVerbTest, UnknownRequestsAreErrors) {
  EXPECT_THAT(Error({{"do", "dance"}}), HasSubstr("unknown action"));
  EXPECT_THAT(Error({{"do", 7}}), HasSubstr("do"));
  EXPECT_FALSE(Call({{"do", "list"}, {"since", "yesteryear"}}).ok());
}

TEST_F(QueueVerbTest, SamplesWhatIsHeldForASubject) {
  Block("shop.example");
  for (int i = 0; i < 7; ++i) Queue(absl::StrCat("A", i, "XXXX"), "bob@shop.example", true);
  Queue("B1XXXX", "ann@other.example", /*held=*/true);
  const Json held = HeldForSubject(parts_, {SubjectKind::kDomain, "shop.example"});
  EXPECT_EQ(held["messages"], 7);
  EXPECT_EQ(held["sample"].size(), 5u);
  SetAway(true);
  const Json unknown = HeldForSubject(parts_, {SubjectKind::kDomain, "shop.example"});
  EXPECT_EQ(unknown["messages"], nullptr);
  EXPECT_THAT(unknown["problem"].dump(), HasSubstr("away"));
}

}  // namespace
}  // namespace deferd
