// The patterns of all rules at once: which is the first rule that matches a text.
//
// Each pattern is taken apart at its "|". A part that stands for a few literals, as "over ?quota"
// and "\b(rbl|pbl)\b" do, becomes these literals. Of any other, RE2 says which literals it cannot
// match without. One pass over the text finds all literals; RE2 runs only for the parts whose
// literals were found, in the table's order, until one matches. So a text costs one pass and a few
// RE2 searches, all linear in it.
//
// Built once, then constant: any number of threads may search. RE2 builds its automata while it is
// used, behind locks of its own: first searches are slower, never different.

#ifndef DEFERD_POLICY_REPLY_REPLY_PATTERNS_H_
#define DEFERD_POLICY_REPLY_REPLY_PATTERNS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "policy/reply/literal_search.h"
#include "policy/reply/reply_rules.h"
#include "re2/re2.h"

namespace deferd {

// Literals that together are a pattern.
struct PlainPattern {
  std::vector<std::string> literals;
  bool word_begins = false;  // only where a word begins ("\b" before it)
  bool word_ends = false;
};

// `pattern` as literals; none if it is more than that, or if there would be too many.
std::optional<PlainPattern> PlainPatternOf(absl::string_view pattern);

// "a|(b|c)" is "a" and "(b|c)".
std::vector<std::string> AlternativesOf(absl::string_view pattern);

class ReplyPatterns {
 public:
  // Indexes into the rules, their patterns and the providers; -1 is none.
  struct Found {
    int rule = -1;
    int pattern = -1;
    int provider = -1;
  };

  // InvalidArgument names each rule with a bad pattern.
  absl::Status Compile(const ReplyRules& rules);

  Found Search(absl::string_view text) const;

 private:
  struct Part {
    int rule;
    int pattern;
    std::unique_ptr<RE2> re2;  // null if literals say it all
  };
  // A part that a literal decides alone if it stands between these.
  struct Bounded {
    int part;
    bool word_begins, word_ends;
  };
  // Parts that need the literal: bits of a word, see always_.
  struct Mark {
    uint32_t word;
    uint64_t bits;
  };
  // What it means that a literal is there.
  struct Literal {
    size_t size = 0;
    int decides = INT32_MAX;   // a part
    int provider = INT32_MAX;  // that it names
    std::vector<Bounded> bounded;
    std::vector<Mark> marks;
  };

  Literal& LiteralOf(const std::string& text);
  void AddNeeds(int part, absl::string_view words);

  std::vector<Part> parts_;  // in the table's order
  std::vector<Literal> literals_;
  // 64 parts in turn have a word for the first set of literals that they need one of, and one for
  // the second: here the bits of those that need none.
  std::vector<uint64_t> always_;
  LiteralSearch search_;

  absl::flat_hash_map<std::string, size_t> index_;  // of literals_, while they are collected
};

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_PATTERNS_H_
