#include "policy/reply/reply_rules.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::ElementsAre;

TEST(ReplyRules, LinesBecomeRulesAndProviders) {
  const auto parsed = ParseReplyRules(
      "# a comment\n\nprovider gmail gsmtp google.com\n"
      "mailbox_full.quota  -  over quota\n  | quota (full|\n  + exceeded)\n"
      "network.expired destination/p  message expired\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ(parsed->providers.size(), 1);
  EXPECT_EQ(parsed->providers[0].name, "gmail");
  EXPECT_THAT(parsed->providers[0].tokens, ElementsAre("gsmtp", "google.com"));
  ASSERT_EQ(parsed->rules.size(), 2);
  EXPECT_EQ(parsed->rules[0].id, "mailbox_full.quota");
  EXPECT_EQ(parsed->rules[0].reply_class, ReplyClass::kMailboxFull);
  EXPECT_EQ(parsed->rules[0].scope, ReplyScope::kRecipient);
  EXPECT_EQ(parsed->rules[0].permanence, Permanence::kTransient);
  EXPECT_THAT(parsed->rules[0].patterns, ElementsAre("over quota", "quota (full|exceeded)"));
  EXPECT_EQ(parsed->rules[1].permanence, Permanence::kPermanent);
}

TEST(ReplyRules, EveryBadLineIsNamed) {
  const auto parsed = ParseReplyRules(
      "| x\nmailbox_full - x\n+ x\nnothing.x - x\nlocal.a moon x\nlocal.b -\nlocal.c - x\nlocal.c "
      "- y\n"
      "provider gmail\n");
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.status().message(),
            "1: a pattern without a rule\n"
            "2: 'mailbox_full' does not begin with a class and a dot\n"
            "3: the rest of a pattern without its beginning\n"
            "4: 'nothing.x' does not begin with a class and a dot\n"
            "5: 'moon' is not a scope\n"
            "6: 'local.b' has no pattern\n"
            "8: 'local.c' is there twice\n"
            "9: a provider needs a name and tokens");
}

TEST(ReplyRules, TheBuiltInTableIsGood) {
  const auto parsed = ParseReplyRules(BuiltInReplyRules());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_GT(parsed->rules.size(), 50);
}

}  // namespace
}  // namespace deferd
