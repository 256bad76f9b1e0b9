#include "limiter/admin/explain.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/config/config.h"
#include "limiter/ctl/reply_verbs.h"
#include "policy/policy_file.h"
#include "policy/reply/reply_codes.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

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

TEST_F(ExplainTest, WhatOurOwnConfigurationRefusedIsFinal) {
  for (const char* text : {"Mailing to remote domains not supported",
                           "** bob@far.example R=nonlocal: Mailing to remote domains not supported",
                           "** bob@far.example R=policy: relay not permitted"}) {
    const std::string page = Run(text, false);
    EXPECT_THAT(page, HasSubstr("Yes: this message will not be delivered.")) << text;
    EXPECT_THAT(page, HasSubstr("Our own server decided this")) << text;
  }
}

TEST_F(ExplainTest, OneObjectALineInOrder) {
  const std::string out =
      Run("-", true, std::string("550 User unknown\n\nqzx \xFF\x00 vlurp\n452 Mailbox full", 47));
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

// Each code of RFC 5321, alone and with an enhanced one.
TEST_F(ExplainTest, CodesAloneAreExplained) {
  for (const ReplyCodeInfo& info : ReplyCodes()) {
    const Json json = Json::parse(Run(std::string(info.code), true));
    EXPECT_EQ(json["meaning"], std::string(info.meaning)) << info.code;
    EXPECT_FALSE(json["advice"].get<std::string>().empty()) << info.code;
  }
  for (const ReplyCodeInfo& info : EnhancedCodes()) {
    for (const char* first : {"4", "5"}) {
      const std::string text =
          absl::StrCat(first, first[0] == '4' ? "50 " : "50 ", first, ".", info.code);
      const Json json = Json::parse(Run(text, true));
      if (info.code != "0.0") {
        EXPECT_EQ(json["meaning"], std::string(info.meaning)) << text;
      }
    }
  }
}

TEST_F(ExplainTest, LoginAndTlsCodesAreAboutLoginAndTls) {
  for (const char* text :
       {"530 5.7.0 Authentication required", "454 4.7.0 Temporary authentication failure",
        "530 Please log in first", "535 5.7.8 Bad credentials", "530 5.7.0"}) {
    EXPECT_EQ(Json::parse(Run(text, true))["class"], "relay_denied") << text;
  }
  for (const char* text :
       {"530 5.7.0 Must issue a STARTTLS command first",
        "454 4.7.0 TLS not available due to local problem", "454 TLS currently off"}) {
    EXPECT_EQ(Json::parse(Run(text, true))["class"], "tls") << text;
  }
}

TEST_F(ExplainTest, ASuccessNeedsNothing) {
  for (const char* text : {"250 2.0.0 OK", "250", "250-done\n250 ok", "2.0.0 accepted"}) {
    const std::string page = Run(text, false);
    EXPECT_THAT(page, AllOf(HasSubstr("Nothing"), Not(HasSubstr("not be delivered")))) << text;
  }
}

TEST_F(ExplainTest, StatesOfMessagesAreExplained) {
  EXPECT_THAT(Run("deferred", false), HasSubstr("tries again by itself"));
  EXPECT_THAT(Run("bounced", false), AllOf(HasSubstr("permanently"), HasSubstr("track")));
  EXPECT_THAT(Run("expired", false), HasSubstr("gave up"));
  EXPECT_THAT(Run("sent", false), HasSubstr("accepted the message"));
}

// Whatever the text: a final answer is never answered by waiting.
TEST_F(ExplainTest, PermanentRepliesAreNotWaitedFor) {
  std::vector<std::string> texts;
  for (const ReplyCodeInfo& info : ReplyCodes()) texts.push_back(std::string(info.code));
  for (const ReplyCodeInfo& info : EnhancedCodes())
    texts.push_back(absl::StrCat("550 5.", info.code));
  for (const char* text :
       {"554 Greylisted for good", "554 connection timed out", "550 system overloaded",
        "550 server busy, try again later", "554 4.4.7 Message expired",
        "message rejected, try again after", "554 5.3.0 internal error"}) {
    texts.push_back(text);
  }
  for (const std::string& text : texts) {
    const std::string page = Run(text, false);
    if (!absl::StrContains(page, "final?      Yes")) continue;
    EXPECT_FALSE(absl::StrContains(page, "Wait") || absl::StrContains(page, "tries again")) << page;
  }
  for (const ReplyClassInfo& info : ReplyClassTable()) {
    EXPECT_FALSE(absl::StrContains(AdviceOf(info.id, Permanence::kPermanent), "Wait")) << info.name;
  }
}

TEST_F(ExplainTest, OwnRefusalsPointToWhy) {
  std::string page =
      Run("550 Domain shop.example has exceeded the max defers and failures per hour (12/10 "
          "(80%)) allowed. Message rejected, try again after 10:00 UTC.",
          false);
  EXPECT_THAT(page, AllOf(HasSubstr("deferctl why shop.example"), HasSubstr("12 went wrong"),
                          HasSubstr("at least 10"), HasSubstr("80%")));
  // cPanel's, with and without a name.
  page = Run(
      "Domain shop.example has exceeded the max defers and failures per hour (5/5 (14%)) allowed. "
      "Message discarded.",
      false);
  EXPECT_THAT(page, AllOf(HasSubstr("deferctl why shop.example"), HasSubstr("5 went wrong")));
  page =
      Run("Domain has exceeded the max defers and failures per hour (5/5 (14%)) allowed.", false);
  EXPECT_THAT(page, AllOf(HasSubstr("deferctl why DOMAIN"), HasSubstr("14%")));
  page = Run(
      "550 Mail of shop.example was stopped by the administrator. Message held until it recovers.",
      false);
  EXPECT_THAT(page, HasSubstr("deferctl why shop.example"));
}

TEST_F(ExplainTest, DoubtIsShown) {
  Classification unsure = {.reply_class = ReplyClass::kPolicy, .confidence = 0.3F};
  EXPECT_THAT(ExplainPage("550 hrm hrm", unsure),
              AllOf(HasSubstr("Not sure; most likely"), HasSubstr("confidence 0.30")));
  unsure.confidence = 0.9F;
  EXPECT_THAT(ExplainPage("550 hrm hrm", unsure), Not(HasSubstr("Not sure")));
  const double confidence = Json::parse(Run("550 5.1.1 no such user", true))["confidence"];
  EXPECT_GT(confidence, 0.8);
  EXPECT_LE(confidence, 1);
}

TEST_F(ExplainTest, CorrectionsGoToTheFileOfThePolicy) {
  const std::string path = testing::TempDir() + "/replies-of-explain.toml";
  unlink(path.c_str());
  Policy policy;
  EXPECT_FALSE(CorrectionOf(policy, "tls", "550 odd words here").ok());
  policy.replies_file = path;
  EXPECT_FALSE(CorrectionOf(policy, "sunny", "550 odd words here").ok());
  EXPECT_FALSE(CorrectionOf(policy, "tls", "550").ok());
  for (const char* reply :
       {"550 odd words here for <bob@dest.example>", "550 quite other \"words\" 12"}) {
    absl::StatusOr<Correction> correction = CorrectionOf(policy, "tls", reply);
    ASSERT_TRUE(correction.ok()) << correction.status();
    ASSERT_TRUE(AddCorrection(*correction).ok());
  }
  absl::StatusOr<std::string> text = ReadTextFile(path);
  ASSERT_TRUE(text.ok());
  ASSERT_TRUE(AddReplies(*text, path, &policy).ok());
  EXPECT_EQ(policy.replies().Classify("554 odd words here for <ann@other.example>").reply_class,
            ReplyClass::kTls);
  EXPECT_EQ(policy.replies().Classify("550 quite other \"words\" 77").reply_class,
            ReplyClass::kTls);
  EXPECT_EQ(
      CorrectionOf(policy, "content", "550 odd words here for <c@dest.example>").status().code(),
      absl::StatusCode::kAlreadyExists);
}

TEST_F(ExplainTest, ABrokenFileOfCorrectionsIsLeftAsItWas) {
  const std::string path = testing::TempDir() + "/broken-replies.toml";
  std::ofstream(path) << "[reply.";
  Policy policy;
  policy.replies_file = path;
  EXPECT_FALSE(AddCorrection(*CorrectionOf(policy, "tls", "550 odd words here")).ok());
  EXPECT_EQ(*ReadTextFile(path), "[reply.");
}

TEST_F(ExplainTest, APolicyTakesItsCorrections) {
  const std::string path = testing::TempDir() + "/policy-with-replies.toml";
  const std::string replies = testing::TempDir() + "/replies-of-policy.toml";
  unlink(replies.c_str());
  std::ofstream(path) << "[replies]\nfile = \"" << replies << "\"\n";
  absl::StatusOr<LoadedPolicy> without = LoadPolicy(path);
  ASSERT_TRUE(without.ok()) << without.status();
  std::ofstream(replies) << "[reply.x]\nclass = \"tls\"\npattern = \"odd words\"\n";
  absl::StatusOr<LoadedPolicy> with = LoadPolicy(path);
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_NE(with->policy->hash, without->policy->hash);
  EXPECT_EQ(with->policy->replies().Classify("550 odd words").reply_class, ReplyClass::kTls);
  std::ofstream(replies) << "[reply.x]\nclass = \"none\"\npattern = \"odd words\"\n";
  EXPECT_THAT(std::string(LoadPolicy(path).status().message()), HasSubstr(replies + ":2:"));
}

TEST_F(ExplainTest, UnsureRepliesAreExportedWithoutNames) {
  const Policy policy;
  ReplyExport replies(&policy.replies());
  for (const char* name : {"bob", "ann"}) {
    replies.Add({{"reply", absl::StrCat("550 xyzzy ", name, " plugh <", name, "@dest.example>")},
                 {"recipient", absl::StrCat(name, "@dest.example")},
                 {"sender", "news@shop.example"}});
  }
  replies.Add({{"reply", "550 5.1.1 no such user"}, {"recipient", "x@dest.example"}});
  replies.Add({{"reply", ""}});
  replies.Add({{"reply", nullptr}});
  const Json list = replies.ToJson();
  ASSERT_EQ(list.size(), 1u) << list.dump();
  EXPECT_EQ(list[0]["count"], 2);
  EXPECT_LT(list[0]["confidence"], kUnsureReply);
  EXPECT_EQ(list[0]["reply"], "550 xyzzy NAME plugh <@>");
  EXPECT_THAT(replies.Text(), HasSubstr("\t550 xyzzy NAME plugh <@>\n"));
}

}  // namespace
}  // namespace deferd
