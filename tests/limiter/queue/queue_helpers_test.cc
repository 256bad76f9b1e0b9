#include "limiter/queue/queue_helpers.h"

#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/localrpc/queue_list.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Two mail server instances, each with a helper; what they were asked, by socket.
class Helpers : public testing::Test {
 protected:
  absl::StatusOr<Json> Answer(const std::string& socket, const std::string& verb,
                              const Json& args) {
    if (away_.contains(socket)) return absl::UnavailableError(absl::StrCat(socket, " is away"));
    if (verb == "list") {
      std::vector<QueuedMail> queue;
      for (const std::string& id : queue_[socket]) queue.push_back({.id = id});
      return QueueToJson(queue);
    }
    asked_[socket].push_back(absl::StrCat(verb, " ", args.value("ids", Json::array()).dump(), " ",
                                          args.value("id", "")));
    if (verb == "defer") {
      Json answer = {{"table", socket == "/b" ? Json("/b.table") : Json(nullptr)}};
      if (postfix_.contains(socket)) answer["postfix"] = postfix_[socket];
      return answer;
    }
    return Json{{"not_done", Json::object()}};
  }

  std::vector<std::string> List() {
    const auto listed = helpers_.List(absl::Seconds(1));
    EXPECT_THAT(listed, IsOk());
    std::vector<std::string> ids;
    if (!listed.ok()) return ids;
    for (const QueuedMail& mail : *listed) ids.push_back(absl::StrCat(mail.id, mail.helper));
    return ids;
  }

  absl::StatusOr<Json> Ask(const std::string& verb, const Json& args) {
    return helpers_.Call(verb, args, absl::Seconds(1));
  }

  std::map<std::string, std::vector<std::string>> queue_ = {{"/a", {"A1", "A2"}},
                                                            {"/b", {"B1", "A2"}}};
  std::map<std::string, std::vector<std::string>> asked_;
  std::set<std::string> away_;
  std::map<std::string, Json> postfix_;  // queue directories
  QueueHelpers helpers_{{"/a", "/b"},
                        [this](const std::string& socket, const std::string& verb, const Json& args,
                               absl::Duration) { return Answer(socket, verb, args); }};
};

TEST_F(Helpers, EachGetsTheOrdersForItsOwnMessages) {
  EXPECT_THAT(List(), ElementsAre("A1/a", "A2/a", "B1/b")) << "one message, one helper";
  ASSERT_THAT(Ask("hold", {{"ids", {"B1", "A2"}}}), IsOk());
  EXPECT_THAT(asked_["/a"], ElementsAre("hold [\"A2\"] "));
  EXPECT_THAT(asked_["/b"], ElementsAre("hold [\"B1\"] "));
  ASSERT_THAT(Ask("requeue", {{"id", "B1"}}), IsOk());
  EXPECT_EQ(asked_["/a"].size(), 1u);
  EXPECT_THAT(asked_["/b"].back(), "requeue [] B1");
  ASSERT_THAT(Ask("flush", Json::object()), IsOk());
  EXPECT_EQ(asked_["/a"].size(), 2u);
  EXPECT_EQ(asked_["/b"].size(), 3u);
}

TEST_F(Helpers, TheTableIsTheOneThatThereIs) {
  const auto said = Ask("defer", {{"domains", Json::object()}});
  ASSERT_THAT(said, IsOk());
  EXPECT_EQ((*said)["table"], "/b.table");
  EXPECT_EQ(helpers_.StatusJson()[0]["sender_table"], nullptr);
  EXPECT_EQ(helpers_.StatusJson()[1]["sender_table"], "/b.table");
}

TEST_F(Helpers, PostfixHoldsWhereItsHelperAnswers) {
  const std::vector<std::string> doors = {"/q/a/deferd/policy.sock", "/q/b/deferd/policy.sock"};
  const auto releases = [&](size_t door) { return helpers_.ReleasesPostfix(doors[door], doors); };
  EXPECT_FALSE(releases(0)) << "nobody has answered yet";
  List();
  EXPECT_TRUE(releases(0)) << "an older helper does not say whose it is";
  // The second one is Exim's, the first one of one instance.
  postfix_ = {{"/a", "/q/a"}, {"/b", ""}};
  ASSERT_THAT(Ask("defer", {{"domains", Json::object()}}), IsOk());
  EXPECT_TRUE(releases(0));
  EXPECT_FALSE(releases(1)) << "no helper reads this instance's queue";
  EXPECT_TRUE(helpers_.ReleasesPostfix("127.0.0.1:10040", {"127.0.0.1:10040"}));
  EXPECT_EQ(helpers_.StatusJson()[0]["postfix"], "/q/a");
  postfix_["/b"] = "/q/b";
  ASSERT_THAT(Ask("defer", {{"domains", Json::object()}}), IsOk());
  EXPECT_TRUE(releases(1));
  away_ = {"/b"};
  List();
  EXPECT_TRUE(releases(0));
  EXPECT_FALSE(releases(1)) << "its helper has ended";
  EXPECT_FALSE(helpers_.ReleasesPostfix("127.0.0.1:10040", {"127.0.0.1:10040"}))
      << "it may be of any instance";
  away_.clear();
  List();
  EXPECT_TRUE(releases(1));
}

TEST_F(Helpers, AnUnreachableOneStopsNoOther) {
  away_ = {"/b"};
  EXPECT_FALSE(helpers_.List(absl::Seconds(1)).ok()) << "nothing is known of its queue";
  away_.clear();
  List();
  away_ = {"/b"};
  queue_["/a"] = {"A3"};
  EXPECT_THAT(List(), ElementsAre("A3/a", "B1/b", "A2/b")) << "what it listed last";
  EXPECT_THAT(helpers_.problem(), HasSubstr("/b is away"));
  EXPECT_EQ(helpers_.StatusJson()[1]["problem"], "/b is away");
  const auto answer = Ask("hold", {{"ids", {"A3", "B1"}}});
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ((*answer)["not_done"], Json({{"B1", "/b is away"}}));
  EXPECT_THAT(Ask("hold", {{"ids", {"B1"}}}).status().message(), HasSubstr("/b is away"));
  EXPECT_FALSE(Ask("defer", {{"domains", Json::object()}}).ok());
  EXPECT_THAT(asked_["/a"].back(), HasSubstr("defer")) << "the others are told all the same";
}

}  // namespace
}  // namespace deferd
