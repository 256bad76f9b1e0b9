#include "limiter/app/explain.h"

#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class ExplainTest : public testing::Test {
 protected:
  std::string Run(const std::string& text, bool json, const std::string& input = "") {
    std::istringstream in(input);
    std::string out;
    const absl::Status status =
        Explain(Policy().replies(), text, json, in, [&](const std::string& answer) {
          out += answer;
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
    return out;
  }
};

TEST_F(ExplainTest, JsonHasAllFields) {
  const Json json =
      Json::parse(Run("452 4.2.2 The email account that you tried to reach is over "
                      "quota. https://support.google.com/mail/?p=OverQuotaTemp",
                      true));
  EXPECT_EQ(json["class"], "mailbox_full");
  EXPECT_EQ(json["scope"], "recipient");
  EXPECT_EQ(json["permanence"], "transient");
  EXPECT_EQ(json["code"], 452);
  EXPECT_EQ(json["enhanced"], "4.2.2");
  EXPECT_EQ(json["provider"], "gmail");
  EXPECT_THAT(json["rule"].get<std::string>(), HasSubstr("mailbox_full."));
  for (const char* field : {"meaning", "side", "advice"}) {
    EXPECT_FALSE(json[field].get<std::string>().empty());
  }
}

TEST_F(ExplainTest, AnOwnPatternOfThePolicyComesFirst) {
  absl::StatusOr<Policy> policy = ParsePolicy(
      "[reply.partner]\npattern = \"partner gateway\"\nclass = \"greylisting\"\n", "p.toml");
  ASSERT_TRUE(policy.ok()) << policy.status();
  std::istringstream in;
  std::string out;
  EXPECT_TRUE(Explain(policy->replies(), "550 User unknown at Partner Gateway", true, in,
                      [&](const std::string& answer) {
                        out = answer;
                        return absl::OkStatus();
                      })
                  .ok());
  EXPECT_EQ(Json::parse(out)["class"], "greylisting");
  EXPECT_EQ(Json::parse(out)["rule"], "own.partner");
}

TEST_F(ExplainTest, UnknownFieldsAreNull) {
  const Json json = Json::parse(Run("whatever", true));
  for (const char* field : {"code", "enhanced", "provider", "rule"}) {
    EXPECT_TRUE(json[field].is_null()) << field;
  }
}

TEST_F(ExplainTest, OneObjectALineInOrder) {
  const std::string out =
      Run("-", true, std::string("550 User unknown\n\nbad \xFF\x00 bytes\n452 Mailbox full", 47));
  std::vector<std::string> lines = absl::StrSplit(out, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 4);
  EXPECT_EQ(Json::parse(lines[0])["class"], "invalid_recipient");
  EXPECT_EQ(Json::parse(lines[1])["class"], "unclassified");
  EXPECT_EQ(Json::parse(lines[2])["class"], "unclassified");
  EXPECT_EQ(Json::parse(lines[3])["class"], "mailbox_full");
}

TEST_F(ExplainTest, APageFitsEightyColumns) {
  const std::string page =
      Run("550 5.1.1 <jane@dest.example>: Recipient address rejected: User unknown " +
              std::string(300, 'x'),
          false);
  for (absl::string_view line : absl::StrSplit(page, '\n')) EXPECT_LE(line.size(), 80) << line;
  EXPECT_THAT(page, AllOf(HasSubstr("meaning     The address does not exist"),
                          HasSubstr("final?      Yes"), HasSubstr("Check the spelling"),
                          HasSubstr("class       invalid_recipient, code 550 5.1.1")));
}

TEST_F(ExplainTest, TerminalsAreSafe) {
  EXPECT_EQ(Run("550 \x1B[2J no", false).find('\x1B'), std::string::npos);
}

TEST_F(ExplainTest, ALongLineIsOneReply) {
  const std::string out = Run("-", true, std::string(1 << 20, 'x') + "\n550 User unknown\n");
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
}

TEST_F(ExplainTest, StopsWhenNobodyReads) {
  std::istringstream in("a\nb\n");
  EXPECT_FALSE(Explain(Policy().replies(), "-", true, in, [](const std::string&) {
                 return absl::UnavailableError("closed");
               }).ok());
}

}  // namespace
}  // namespace deferd
