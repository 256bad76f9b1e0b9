#include "limiter/queue_helper/queue_helper.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

constexpr int64_t kDeferd = 1234;
const Peer kRoot = {.uid = 0, .pid = 1};

// An Exim that succeeds in everything and lists nothing.
QueueHelper::Options Options() { return {.programs = {.exim = "/bin/true"}, .uid = kDeferd}; }

Json Ids() { return {{"ids", {"1xU000-000001-11"}}}; }

TEST(QueueHelperTest, NobodyElseMayAsk) {
  QueueHelper helper(Options());
  for (int64_t uid : {int64_t{-1}, int64_t{1}, kDeferd + 1}) {
    EXPECT_THAT(helper.Handle("list", Json::object(), {.uid = uid}),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("only deferd and root")));
  }
  EXPECT_EQ(helper.Handle("list", Json::object(), {.uid = kDeferd}).value(), Json::array());
  EXPECT_EQ(helper.Handle("list", Json::object(), kRoot).value(), Json::array());
}

TEST(QueueHelperTest, WithoutAUserRootAloneMayAsk) {
  QueueHelper helper({.programs = {.exim = "/bin/true"}});
  EXPECT_THAT(helper.Handle("list", Json::object(), {.uid = -1}),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("")));
}

TEST(QueueHelperTest, DeferdMayHoldLetGoAndGiveBack) {
  QueueHelper helper(Options());
  for (const char* verb : {"hold", "release", "give_back"}) {
    EXPECT_THAT(helper.Handle(verb, Ids(), {.uid = kDeferd}).status(), IsOk()) << verb;
  }
}

TEST(QueueHelperTest, DiscardingAndRedirectingAreRootsAndOff) {
  const Json redirect = {{"id", "1xU000-000001-11"}, {"address", "ann@example.com"}};
  QueueHelper off(Options());
  QueueHelper::Options allowing = Options();
  allowing.allow_discard = allowing.allow_redirect = true;
  QueueHelper on(allowing);
  for (const auto& [verb, args] : {std::pair("discard", Ids()), std::pair("redirect", redirect)}) {
    EXPECT_THAT(off.Handle(verb, args, kRoot),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("disabled")));
    EXPECT_THAT(on.Handle(verb, args, {.uid = kDeferd}),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("only root")));
  }
  EXPECT_THAT(on.Handle("discard", Ids(), kRoot).status(), IsOk());
  EXPECT_THAT(on.Handle("redirect", redirect, kRoot),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no longer in the queue")));
}

TEST(QueueHelperTest, ReturningMailCanBeDenied) {
  QueueHelper::Options options = Options();
  options.deny_give_back = true;
  QueueHelper helper(options);
  for (int64_t uid : {kDeferd, int64_t{0}}) {
    EXPECT_THAT(helper.Handle("give_back", Ids(), {.uid = uid}),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("--deny-give-back")));
  }
  EXPECT_THAT(helper.Handle("release", Ids(), {.uid = kDeferd}).status(), IsOk());
}

TEST(QueueHelperTest, DeferdDiscardsOnlyWhereBothFlagsAllowIt) {
  for (const bool discard : {false, true}) {
    for (const bool deferd : {false, true}) {
      QueueHelper::Options options = Options();
      options.allow_discard = discard;
      options.allow_deferd = deferd;
      QueueHelper helper(options);
      const bool refused =
          absl::IsPermissionDenied(helper.Handle("discard", Ids(), {.uid = kDeferd}).status());
      EXPECT_EQ(refused, !(discard && deferd)) << discard << deferd;
      // The other one has a flag of its own.
      EXPECT_TRUE(absl::IsPermissionDenied(
          helper.Handle("redirect", Json::object(), {.uid = kDeferd}).status()));
    }
  }
}

TEST(QueueHelperTest, ADaemonGoneWildIsSlowedDownAndRootIsNot) {
  ManualClock clock(absl::FromUnixSeconds(1'900'000'000));
  QueueHelper helper(Options(), &clock);
  const auto ask = [&](int64_t uid) {
    return helper.Handle("no_such_verb", Json::object(), {.uid = uid}).status();
  };
  int answered = 0;
  while (absl::IsInvalidArgument(ask(kDeferd))) ++answered;
  EXPECT_EQ(answered, static_cast<int>(QueueHelper::kBurst));
  EXPECT_TRUE(absl::IsResourceExhausted(ask(kDeferd)));
  EXPECT_TRUE(absl::IsPermissionDenied(ask(kDeferd + 1))) << "a stranger takes nothing from it";
  EXPECT_TRUE(absl::IsInvalidArgument(ask(0)));
  clock.Advance(absl::Seconds(1));
  for (int i = 0; i < QueueHelper::kPerSecond; ++i)
    EXPECT_TRUE(absl::IsInvalidArgument(ask(kDeferd)));
  EXPECT_TRUE(absl::IsResourceExhausted(ask(kDeferd)));
  clock.Advance(-absl::Hours(1));  // the clock is set back
  EXPECT_TRUE(absl::IsResourceExhausted(ask(kDeferd)));
  clock.Advance(absl::Hours(2));
  EXPECT_TRUE(absl::IsInvalidArgument(ask(kDeferd)));
}

TEST(QueueHelperTest, TakesAnyArguments) {
  QueueHelper helper(Options());
  for (const char* args :
       {"{}", "[]", "7", "null", R"({"ids": 7})", R"({"ids": [7, null, {}]})", R"({"id": []})",
        R"({"ids": "1xU000-000001-11"})", R"({"address": {}})"}) {
    for (const char* verb : {"hold", "release", "give_back", "requeue", "redirect", "rm", ""}) {
      EXPECT_FALSE(helper.Handle(verb, Json::parse(args), kRoot).ok()) << verb << " " << args;
    }
  }
}

}  // namespace
}  // namespace deferd
