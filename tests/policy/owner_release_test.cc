#include "policy/owner_release.h"

#include "gmock/gmock.h"

namespace deferd {
namespace {

using testing::HasSubstr;

TEST(OwnerRelease, NeverForSpamReputationAndUnknownRecipients) {
  using enum ReplyClass;
  const auto why = [](const std::vector<AnsweredClass>& answers) {
    return std::string(WhyOwnerMayNotRelease(answers));
  };
  EXPECT_EQ(why({{kMailboxFull, 20, 0}}), "");
  EXPECT_EQ(why({{kGreylisting, 20, 5}, {kInvalidRecipient, 2, 0}}), "");
  EXPECT_THAT(why({}), HasSubstr("not known"));
  EXPECT_THAT(why({{kMailboxFull, 0, 0}}), HasSubstr("not known"));
  EXPECT_THAT(why({{kMailboxFull, 500, 0}, {kContent, 1, 0}}), HasSubstr("spam"));
  EXPECT_THAT(why({{kMailboxFull, 500, 0}, {kReputation, 0, 1}}), HasSubstr("spam"))
      << "also if the policy leaves it out";
  EXPECT_THAT(why({{kMailboxFull, 18, 0}, {kInvalidRecipient, 1, 0}, {kMailboxDisabled, 1, 0}}),
              HasSubstr("do not exist"));
  EXPECT_THAT(why({{kMailboxFull, 5, 0}, {kUnclassified, 5, 0}}), HasSubstr("no reason"));
  EXPECT_THAT(why({{kMailboxFull, 5, 0}, {kPolicy, 6, 0}}), HasSubstr("no reason"));
}

}  // namespace
}  // namespace deferd
