// Rules against replies. Rows of real.tsv whose text's CRC-32 is 0 mod 5 are a hold-out: nobody
// looks at them while writing rules, so their accuracy tells what unseen replies may expect. This
// test prints figures of them, never texts.

#include <cstdio>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/reply/classify.h"
#include "policy/reply/reply_patterns.h"
#include "policy/reply/reply_text.h"
#include "tests/policy/reply/reply_data.h"

namespace deferd {
namespace {

struct Score {
  int replies = 0, right = 0, also = 0, permanence = 0;
};

double Percent(int part, int whole) { return whole == 0 ? 0 : 100.0 * part / whole; }

class ClassifyDataTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { classifier_ = ReplyClassifier::Create().value().release(); }
  static void TearDownTestSuite() { delete classifier_; }
  static const ReplyClassifier* classifier_;
};
const ReplyClassifier* ClassifyDataTest::classifier_ = nullptr;

TEST_F(ClassifyDataTest, RealRepliesAreClassified) {
  for (bool hold_out : {false, true}) {
    Score all;
    std::map<std::string, Score> classes;
    for (const KnownReply& reply : RealReplies()) {
      if (reply.hold_out != hold_out) continue;
      const Classification got = classifier_->Classify(reply.text);
      const std::string name(ReplyClassName(got.reply_class));
      const bool right = name == reply.reply_class;
      const bool also = right || absl::c_linear_search(reply.also, name);
      const bool permanence = PermanenceName(got.permanence) == reply.permanence;
      for (Score* score : {&all, &classes[reply.reply_class]}) {
        ++score->replies;
        score->right += right;
        score->also += also;
        score->permanence += permanence;
      }
    }
    std::printf("%s: %d replies, class %.1f %%, with also-right %.1f %%, permanence %.1f %%\n",
                hold_out ? "hold-out" : "development", all.replies, Percent(all.right, all.replies),
                Percent(all.also, all.replies), Percent(all.permanence, all.replies));
    for (const auto& [name, score] : classes) {
      std::printf("  %-18s %3d of %3d, with also-right %3d, permanence %3d\n", name.c_str(),
                  score.right, score.replies, score.also, score.permanence);
    }
    EXPECT_GE(Percent(all.right, all.replies), hold_out ? 90 : 95);
    EXPECT_GE(Percent(all.permanence, all.replies), 99);
  }
}

TEST_F(ClassifyDataTest, OwnRepliesAreClassified) {
  std::map<std::string, int> count;
  for (const KnownReply& reply : OwnReplies()) {
    const Classification got = classifier_->Classify(reply.text);
    EXPECT_EQ(ReplyClassName(got.reply_class), reply.reply_class)
        << reply.text << "\n  rule " << got.rule;
    if (reply.permanence != "-") {
      EXPECT_EQ(PermanenceName(got.permanence), reply.permanence) << reply.text;
    }
    ++count[reply.reply_class];
  }
  for (const ReplyClassInfo& info : ReplyClassTable()) {
    EXPECT_GE(count[std::string(info.name)], 15) << info.name;
  }
}

TEST_F(ClassifyDataTest, RepliesOfTheWorldAreClassified) {
  for (const KnownReply& reply : WorldReplies()) {
    const Classification got = classifier_->Classify(reply.text);
    const std::string name(ReplyClassName(got.reply_class));
    const bool right = name == reply.reply_class;
    EXPECT_TRUE(right || absl::c_linear_search(reply.also, name))
        << reply.text << "\n  " << name << " instead of " << reply.reply_class << ", rule "
        << got.rule;
    if (right && reply.scope != "-") {
      EXPECT_EQ(ReplyScopeName(got.scope), reply.scope) << reply.text << "\n  rule " << got.rule;
    }
    if (reply.permanence != "-") {
      EXPECT_EQ(PermanenceName(got.permanence), reply.permanence) << reply.text;
    }
  }
}

// A line of patterns that decides no reply is removed.
TEST_F(ClassifyDataTest, EveryLineOfPatternsIsNeeded) {
  const ReplyRules& rules = classifier_->rules();
  ReplyPatterns patterns;
  ASSERT_TRUE(patterns.Compile(rules).ok());
  std::set<std::pair<int, int>> needed;
  for (const auto& replies : {RealReplies(), OwnReplies(), WorldReplies()}) {
    for (const KnownReply& reply : replies) {
      ReplyText text;
      NormalizeReply(reply.text, &text);
      const ReplyPatterns::Found found = patterns.Search(text.text());
      needed.emplace(found.rule, found.pattern);
    }
  }
  for (size_t rule = 0; rule < rules.rules.size(); ++rule) {
    for (size_t line = 0; line < rules.rules[rule].patterns.size(); ++line) {
      EXPECT_EQ(needed.count({rule, line}), 1u)
          << rules.rules[rule].id << ": " << rules.rules[rule].patterns[line];
    }
  }
}

// The MTA's sentence around an answer changes nothing.
TEST_F(ClassifyDataTest, WrappedRepliesAreTheSame) {
  int same = 0, all = 0;
  for (const KnownReply& reply : RealReplies()) {
    if (reply.hold_out || reply.text.size() < 4 || reply.text[3] != ' ') continue;
    if (reply.text[0] != '4' && reply.text[0] != '5') continue;
    const Classification bare = classifier_->Classify(reply.text);
    for (const std::string& wrapped :
         {"SMTP error from remote mail server after RCPT TO:<jane@dest.example>: " + reply.text,
          "host mx.dest.example[192.0.2.1] said: " + reply.text + " (in reply to RCPT TO command)",
          "2026-11-23 02:17:11 1vN0ab-0000000Abcd-0aBc ** jane@dest.example R=dnslookup "
          "T=remote_smtp H=mx.dest.example [192.0.2.1]: SMTP error from remote mail server after "
          "RCPT TO:<jane@dest.example>: " +
              reply.text}) {
      const Classification got = classifier_->Classify(wrapped);
      same += got.reply_class == bare.reply_class;
      EXPECT_EQ(got.code, bare.code) << wrapped;
      EXPECT_EQ(got.permanence, bare.permanence) << wrapped;
      ++all;
    }
  }
  EXPECT_GE(same, all * 99 / 100) << same << " of " << all;
}

}  // namespace
}  // namespace deferd
