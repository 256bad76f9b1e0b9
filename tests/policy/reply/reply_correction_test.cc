#include "policy/reply/reply_correction.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"
#include "policy/reply/classify.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

// The class of `reply` after `corrected` was said to be a mail loop.
ReplyClass After(absl::string_view corrected, absl::string_view reply) {
  absl::StatusOr<std::string> pattern = ReplyPatternOf(corrected);
  EXPECT_TRUE(pattern.ok()) << pattern.status();
  Policy policy;
  const std::string table = ReplyTable(ReplyClass::kMailLoop, *pattern);
  const absl::Status added = AddReplies(table, "replies.toml", &policy);
  EXPECT_TRUE(added.ok()) << added << "\n" << table;
  return policy.replies().Classify(reply).reply_class;
}

TEST(ReplyCorrection, MatchesItsOwnReply) {
  for (const char* reply :
       {"550 5.1.1 <bob@dest.example>: user \"bob\" is (really) unknown + gone [x] $1 ^a|b*",
        "451 mx17.dest.example says no: wait 300 seconds, id 4Kq3x9z81LMn0 \\ back\\nslash",
        "550 \xe7\x94\xa8\xe6\x88\xb7 \xe4\xb8\x8d\xe5\xad\x98\xe5\x9c\xa8 here",
        "550 caf\xe9 \xff\xfe closed today", "550 tab\there and\x01 control bytes",
        "no code at all but words"}) {
    EXPECT_EQ(After(reply, reply), ReplyClass::kMailLoop) << reply;
  }
}

TEST(ReplyCorrection, MatchesOtherAddressesNumbersIdsAndHosts) {
  const char* said =
      "550 5.7.1 mx1.dest.example refuses <bob@dest.example> from 192.0.2.25 since 12:30, id "
      "4Kq3x9z81LMn0, see https://dest.example/x?y=1";
  EXPECT_EQ(After(said,
                  "554-5.7.1 mx22.other.example refuses <ann@other.example> from 198.51.100.7 "
                  "since 9:05, id 7Zz3x9z81QQn1, see https://other.example/q"),
            ReplyClass::kMailLoop);
  EXPECT_NE(After(said, "550 5.7.1 something else refuses <bob@dest.example>"),
            ReplyClass::kMailLoop);
}

TEST(ReplyCorrection, TooFewWordsMakeNoPattern) {
  for (const char* reply :
       {"", "550", "550 5.1.1", "550 no", "550 1.2.3.4 17", "550 <a@b.example>"}) {
    EXPECT_FALSE(ReplyPatternOf(reply).ok()) << reply;
  }
}

TEST(ReplyCorrection, TheSameReplyHasTheSameName) {
  const std::string a = *ReplyPatternOf("550 no entry for <a@dest.example> today");
  const std::string b = *ReplyPatternOf("550 no entry for <b@other.example> today");
  EXPECT_EQ(a, b);
  EXPECT_EQ(ReplyTableName(ReplyClass::kPolicy, a), ReplyTableName(ReplyClass::kPolicy, b));
  EXPECT_THAT(ReplyTableName(ReplyClass::kPolicy, a), testing::MatchesRegex("policy_[0-9a-f]{8}"));
}

TEST(ReplyCorrection, AnonymousRepliesNameNobody) {
  const std::string text = AnonymousReply(
      "550-5.1.1 <jane.doe@dest.example> jane.doe unknown at mx.dest.example [192.0.2.7] "
      "(jdoe), ticket 8812, 4Kq3x9z81LMn0 http://dest.example/?u=jdoe",
      {"jdoe", "jane.doe"});
  EXPECT_EQ(text, "550 5.1.1 <@> NAME unknown at HOST [#] (NAME), ticket 0, ID HOST");
  for (const char* secret : {"jane", "doe", "dest", "192", "8812", "4kq3"}) {
    EXPECT_THAT(text, Not(HasSubstr(secret)));
  }
}

TEST(AddReplies, BecomesPartOfTheHashAndComesFirst) {
  Policy policy =
      ParsePolicy("[reply.a]\npattern = \"odd words\"\nclass = \"content\"\n", "p.toml").value();
  const std::string hash = policy.hash;
  EXPECT_EQ(policy.replies().Classify("550 odd words").reply_class, ReplyClass::kContent);
  ASSERT_TRUE(
      AddReplies("[reply.b]\npattern = \"odd words\"\nclass = \"tls\"\n", "r.toml", &policy).ok());
  EXPECT_NE(policy.hash, hash);
  EXPECT_EQ(policy.replies().Classify("550 odd words").reply_class, ReplyClass::kTls);
  EXPECT_EQ(policy.replies().Classify("550 odd words").confidence, 1);
}

TEST(AddReplies, MistakesAreNamedAndChangeNothing) {
  const Policy before =
      ParsePolicy("[reply.a]\npattern = \"x y\"\nclass = \"tls\"\n", "p.toml").value();
  for (const auto& [text, message] :
       {std::pair("[reply.a]\npattern = \"z\"\nclass = \"tls\"\n", "[reply.a] is in p.toml"),
        std::pair("[reply.b]\npattern = \"(\"\nclass = \"tls\"\n", "r.toml:2:"),
        std::pair("[reply.b]\npattern = \"z\"\nclass = \"sunny\"\n", "r.toml:3:"),
        std::pair("[rule.b]\nmin_bad = 1\n", "r.toml:1:"), std::pair("[reply.", "r.toml:1:")}) {
    Policy policy = before;
    const absl::Status status = AddReplies(text, "r.toml", &policy);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << text;
    EXPECT_EQ(policy.hash, before.hash);
    EXPECT_EQ(policy.reply_rules.size(), 1u);
  }
}

}  // namespace
}  // namespace deferd
