#include "policy/reply/reply_patterns.h"

#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/reply/literal_search.h"
#include "policy/reply/reply_text.h"
#include "re2/re2.h"
#include "tests/policy/reply/reply_data.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

TEST(AlternativesOf, AreThoseOutsideOfGroupsAndClasses) {
  EXPECT_THAT(AlternativesOf("a|(b|c)d|[|]e|f\\|g"), ElementsAre("a", "(b|c)d", "[|]e", "f\\|g"));
  EXPECT_THAT(AlternativesOf("[]|]a|b"), ElementsAre("[]|]a", "b"));
  EXPECT_THAT(AlternativesOf(""), ElementsAre(""));
  EXPECT_THAT(AlternativesOf("(?i)a|b"), ElementsAre("(?i)a|b"));
}

std::vector<std::string> Literals(absl::string_view pattern) {
  const std::optional<PlainPattern> plain = PlainPatternOf(pattern);
  return plain ? plain->literals : std::vector<std::string>{"not plain"};
}

TEST(PlainPatternOf, SpellsOutFewLiterals) {
  EXPECT_THAT(Literals("over ?quota"), UnorderedElementsAre("over quota", "overquota"));
  EXPECT_THAT(Literals("a(b|c[12])?"), UnorderedElementsAre("a", "ab", "ac1", "ac2"));
  EXPECT_THAT(Literals("[0-2]\\.\\x41"), UnorderedElementsAre("0.A", "1.A", "2.A"));
  EXPECT_THAT(Literals("\\b(rbl|pbl)\\b"), UnorderedElementsAre("rbl", "pbl"));
  EXPECT_TRUE(PlainPatternOf("\\brbl")->word_begins);
  EXPECT_FALSE(PlainPatternOf("\\brbl")->word_ends);
}

TEST(PlainPatternOf, LeavesTheRestToRe2) {
  for (const char* pattern :
       {"",     "a*",    "a+",    "a.b",         "^a",
        "a$",   "[^a]b", "[a-c]", "\\d",         "a{2}",
        "a??",  "(a",    "a?",    "(?i)a",       "\\ba|b",
        "\\b#", "a\\",   "\\x4",  "[[:alpha:]]", "(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)(a|b)"}) {
    EXPECT_FALSE(PlainPatternOf(pattern).has_value()) << pattern;
  }
}

TEST(LiteralSearch, FindsWhatANaiveSearchFinds) {
  std::mt19937 random(1);
  const auto word = [&](size_t size) {
    std::string text;
    while (text.size() < size) text += "ab\xE9z"[random() % 4];
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<std::string> literals;
    for (int i = 0; i < 20; ++i) literals.push_back(word(1 + random() % 8));
    LiteralSearch search;
    ASSERT_TRUE(search.Compile(literals));
    const std::string text = word(random() % 60);
    std::multiset<std::pair<int, size_t>> found, expected;
    search.Search(text, [&](int id, size_t end) { found.emplace(id, end); });
    for (size_t id = 0; id < literals.size(); ++id) {
      for (size_t at = text.find(literals[id]); at != std::string::npos;
           at = text.find(literals[id], at + 1)) {
        expected.emplace(id, at + literals[id].size());
      }
    }
    EXPECT_EQ(found, expected);
  }
}

TEST(LiteralSearch, NothingIsInNothing) {
  LiteralSearch search;
  EXPECT_TRUE(search.Compile({}));
  search.Search("text", [](int, size_t) { FAIL(); });
}

// The first pattern by asking RE2 about each, "|" by "|": what Search has to find. (RE2 of 2022
// does not find "\xe6\x8b\x92\xe6" by "\xe6\x8b\x92\xe7|\xe6\x8b\x92\xe6" in Latin-1.)
class FirstPattern {
 public:
  explicit FirstPattern(const ReplyRules& rules) {
    RE2::Options options(RE2::Latin1);
    options.set_dot_nl(true);
    for (size_t i = 0; i < rules.rules.size(); ++i) {
      for (size_t j = 0; j < rules.rules[i].patterns.size(); ++j) {
        for (const std::string& text : AlternativesOf(rules.rules[i].patterns[j])) {
          patterns_.push_back({i, j, std::make_unique<RE2>(text, options)});
        }
      }
    }
  }
  std::pair<int, int> In(absl::string_view text) const {
    for (const auto& [rule, pattern, re2] : patterns_) {
      if (RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *re2)) {
        return {static_cast<int>(rule), static_cast<int>(pattern)};
      }
    }
    return {-1, -1};
  }

 private:
  struct Pattern {
    size_t rule, pattern;
    std::unique_ptr<RE2> re2;
  };
  std::vector<Pattern> patterns_;
};

TEST(ReplyPatterns, FindsTheSameAsEachPatternInTurn) {
  const ReplyRules rules = ParseReplyRules(BuiltInReplyRules()).value();
  ReplyPatterns patterns;
  ASSERT_TRUE(patterns.Compile(rules).ok());
  const FirstPattern first(rules);
  std::mt19937 random(1);
  std::vector<KnownReply> replies = RealReplies();
  for (KnownReply& reply : OwnReplies()) replies.push_back(std::move(reply));
  int number = 0;
  for (const KnownReply& reply : replies) {
    // As it is, cut, and gone over into another.
    const std::string& other = replies[random() % replies.size()].text;
    for (const std::string& said : {reply.text, reply.text.substr(random() % reply.text.size()),
                                    reply.text.substr(0, random() % reply.text.size()) + ' ' +
                                        other.substr(random() % other.size())}) {
      ReplyText text;
      NormalizeReply(said, &text);
      const ReplyPatterns::Found found = patterns.Search(text.text());
      ASSERT_EQ(std::make_pair(found.rule, found.pattern), first.In(text.text()))
          << "reply " << number;
    }
    ++number;
  }
}

}  // namespace
}  // namespace deferd
