#include "policy/reply/reply_class.h"

#include <set>
#include <string>

#include "gtest/gtest.h"

namespace deferd {
namespace {

TEST(ReplyClass, TheTableIsInTheOrderOfTheEnumAndComplete) {
  std::set<std::string> names;
  for (int i = 0; i < kReplyClasses; ++i) {
    const ReplyClassInfo& info = ReplyClassTable()[i];
    EXPECT_EQ(info.id, static_cast<ReplyClass>(i)) << info.name;
    EXPECT_FALSE(info.meaning.empty());
    EXPECT_FALSE(info.side.empty());
    EXPECT_FALSE(info.advice.empty());
    EXPECT_EQ(ParseReplyClass(info.name), info.id);
    names.insert(std::string(info.name));
  }
  EXPECT_EQ(names.size(), kReplyClasses);
  EXPECT_FALSE(ParseReplyClass("mailbox").has_value());
}

TEST(ReplyClass, ScopesHaveNames) {
  for (int i = 0; i < kReplyScopes; ++i) {
    const auto scope = static_cast<ReplyScope>(i);
    EXPECT_EQ(ParseReplyScope(ReplyScopeName(scope)), scope);
  }
  EXPECT_FALSE(ParseReplyScope("").has_value());
}

// Columns D and F: (deferral, failure).
TEST(ReplyClass, DefaultCounting) {
  struct Row {
    ReplyClass id;
    bool deferral, failure;
  };
  for (const Row& row : {Row{ReplyClass::kInvalidRecipient, true, true},
                         {ReplyClass::kMailboxDisabled, true, true},
                         {ReplyClass::kMailboxFull, false, true},
                         {ReplyClass::kGreylisting, false, true},
                         {ReplyClass::kRateLimited, false, true},
                         {ReplyClass::kAuthentication, true, true},
                         {ReplyClass::kSenderIdentity, false, true},
                         {ReplyClass::kRelayDenied, true, true},
                         {ReplyClass::kContent, true, true},
                         {ReplyClass::kPolicy, true, true},
                         {ReplyClass::kMessageTooLarge, false, false},
                         {ReplyClass::kDnsRouting, false, true},
                         {ReplyClass::kTls, false, false},
                         {ReplyClass::kNetwork, false, true},
                         {ReplyClass::kMailLoop, false, false},
                         {ReplyClass::kServerResources, false, false},
                         {ReplyClass::kProtocolError, false, true},
                         {ReplyClass::kLocal, false, false},
                         {ReplyClass::kUnclassified, true, true}}) {
    const ReplyScope scope = InfoOf(row.id).scope;
    EXPECT_EQ(CountsByDefault(row.id, scope, false), row.deferral) << ReplyClassName(row.id);
    EXPECT_EQ(CountsByDefault(row.id, scope, true), row.failure) << ReplyClassName(row.id);
  }
  for (bool failure : {false, true}) {
    EXPECT_FALSE(CountsByDefault(ReplyClass::kReputation, ReplyScope::kIp, failure));
    EXPECT_FALSE(CountsByDefault(ReplyClass::kReputation, ReplyScope::kServer, failure));
    EXPECT_TRUE(CountsByDefault(ReplyClass::kReputation, ReplyScope::kSenderDomain, failure));
  }
}

}  // namespace
}  // namespace deferd
