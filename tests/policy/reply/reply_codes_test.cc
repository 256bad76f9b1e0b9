// Every code of the registries has a plain meaning and something to do.

#include "policy/reply/reply_codes.h"

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

void ExpectPlain(const ReplyCodeInfo& info) {
  EXPECT_GT(info.meaning.size(), 15u) << info.code;
  EXPECT_GT(info.action.size(), 10u) << info.code;
  EXPECT_EQ(info.meaning.back(), '.') << info.code;
  EXPECT_EQ(info.action.back(), '.') << info.code;
}

bool Listed(absl::Span<const ReplyCodeInfo> table, const std::string& code) {
  for (const ReplyCodeInfo& info : table) {
    if (info.code == code) return true;
  }
  return false;
}

TEST(ReplyCodes, AllOfRfc5321AndItsAdditionsAreKnown) {
  for (int code :
       {211, 214, 220, 221, 235, 250, 251, 252, 334, 354, 421, 432, 450, 451, 452, 454, 455,
        500, 501, 502, 503, 504, 521, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556}) {
    EXPECT_TRUE(Listed(ReplyCodes(), absl::StrCat(code))) << code;
    ExpectPlain(ReplyCodeInfoOf(absl::StrCat(code)).value());
  }
}

// https://www.iana.org/assignments/smtp-enhanced-status-codes
TEST(ReplyCodes, AllOfTheIanaRegistryAreKnown) {
  constexpr int kLast[] = {0, 10, 4, 6, 7, 6, 10, 30};
  for (int subject = 0; subject < 8; ++subject) {
    for (int detail = 0; detail <= kLast[subject]; ++detail) {
      const std::string code = absl::StrCat(subject, ".", detail);
      EXPECT_TRUE(Listed(EnhancedCodes(), code)) << code;
      ExpectPlain(EnhancedCodeInfoOf(absl::StrCat("5.", code)).value());
    }
  }
}

TEST(ReplyCodes, NoneIsListedTwice) {
  for (const auto& table : {ReplyCodes(), EnhancedCodes()}) {
    std::set<std::string> codes;
    for (const ReplyCodeInfo& info : table) {
      EXPECT_TRUE(codes.insert(std::string(info.code)).second) << info.code;
    }
  }
}

TEST(ReplyCodes, UnlistedCodesAreReadByTheirFirstDigits) {
  EXPECT_TRUE(ReplyCodeInfoOf("599").has_value());
  EXPECT_TRUE(ReplyCodeInfoOf("499").has_value());
  EXPECT_FALSE(ReplyCodeInfoOf("999").has_value());
  EXPECT_FALSE(ReplyCodeInfoOf("").has_value());
  EXPECT_THAT(std::string(EnhancedCodeInfoOf("5.7.515")->meaning), testing::HasSubstr("security"));
  for (const char* odd : {"", "5", "5.", "5.9.1", "5.x.1", "abc"}) {
    EXPECT_FALSE(EnhancedCodeInfoOf(odd).has_value()) << odd;
  }
}

TEST(ReplyCodes, StatesOfMessagesAreWords) {
  for (const char* word : {"sent", "Deferred", "bounced", "EXPIRED", "queued", " held ",
                           "status=deferred", "rejected", "archived"}) {
    ASSERT_TRUE(StateWordInfoOf(word).has_value()) << word;
    ExpectPlain(*StateWordInfoOf(word));
  }
  EXPECT_FALSE(StateWordInfoOf("deferred by greylisting").has_value());
}

}  // namespace
}  // namespace deferd
