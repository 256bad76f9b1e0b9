#include "policy/owner_release.h"

#include <string>

#include "gmock/gmock.h"

namespace deferd {
namespace {

using testing::HasSubstr;

std::string WhyNot(const std::vector<AnswersToRelease>& answers) {
  return std::string(WhyOwnerMayNotRelease(answers));
}

TEST(OwnerRelease, NeverForSpamReputationAndUnknownRecipients) {
  using enum ReplyClass;
  EXPECT_EQ(WhyNot({{kMailboxFull, true, 20, 0}}), "");
  EXPECT_EQ(WhyNot({{kGreylisting, false, 21, 5}, {kInvalidRecipient, true, 2, 0}}), "");
  EXPECT_THAT(WhyNot({}), HasSubstr("not known"));
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 0, 0}}), HasSubstr("not known"));
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 500, 0}, {kContent, true, 1, 0}}), HasSubstr("spam"));
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 500, 0}, {kReputation, false, 0, 1}}), HasSubstr("spam"))
      << "also if the policy leaves it out";
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 18, 0},
                      {kInvalidRecipient, true, 1, 0},
                      {kMailboxDisabled, true, 1, 0}}),
              HasSubstr("do not exist"));
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 5, 0}, {kUnclassified, true, 5, 0}}),
              HasSubstr("no reason"));
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 5, 0}, {kPolicy, true, 6, 0}}), HasSubstr("no reason"));
}

TEST(OwnerRelease, WhatIsLeftOutMakesNoShareSmaller) {
  using enum ReplyClass;
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 8, 0},
                      {kInvalidRecipient, true, 2, 0},
                      {kGreylisting, false, 0, 500}}),
              HasSubstr("do not exist"));
  EXPECT_THAT(
      WhyNot({{kMailboxFull, true, 5, 0}, {kPolicy, true, 5, 0}, {kGreylisting, false, 0, 500}}),
      HasSubstr("no reason"));
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 8, 0}, {kInvalidRecipient, true, 0, 2}}),
              HasSubstr("do not exist"))
      << "nor does the policy hide them";
  EXPECT_THAT(WhyNot({{kGreylisting, false, 0, 500}}), HasSubstr("not known"));
}

TEST(OwnerRelease, ADomainThatDoesNotExistIsAnUnknownRecipient) {
  using enum ReplyClass;
  EXPECT_THAT(WhyNot({{kMailboxFull, true, 8, 0}, {kDnsRouting, true, 2, 0}}),
              HasSubstr("do not exist"));
  EXPECT_EQ(WhyNot({{kMailboxFull, true, 8, 0}, {kDnsRouting, false, 2, 0}}), "");
}

}  // namespace
}  // namespace deferd
