// The patterns of all rules in one matcher: finds the first rule that matches a text.
//
// Each pattern is split at its "|". A part that stands for a few literals, such as "over ?quota"
// and "\b(rbl|pbl)\b", becomes these literals. For any other part, RE2 reports the literals without
// which it cannot match. One pass over the text finds all literals; RE2 runs only for parts whose
// literals were found, in the table's order, until one matches. A text thus costs one pass and a
// few RE2 searches, all linear.
//
// Constant after construction: any number of threads may search. RE2 builds its automata during
// use, with internal locks: the first searches are slower, with the same result.

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

// Literals that are equivalent to a pattern.
struct PlainPattern {
  std::vector<std::string> literals;
  bool word_begins = false;  // only at the beginning of a word ("\b" before it)
  bool word_ends = false;
};

// `pattern` as literals; nullopt if that is impossible or gives too many.
std::optional<PlainPattern> PlainPatternOf(absl::string_view pattern);

// Splits "a|(b|c)" into "a" and "(b|c)".
std::vector<std::string> AlternativesOf(absl::string_view pattern);

class ReplyPatterns {
 public:
  // Indexes into the rules, their patterns and the providers; -1: none.
  struct Found {
    int rule = -1;
    int pattern = -1;
    int provider = -1;
  };

  // InvalidArgument names each rule with an invalid pattern.
  absl::Status Compile(const ReplyRules& rules);

  Found Search(absl::string_view text) const;

 private:
  struct Part {
    int rule;
    int pattern;
    std::unique_ptr<RE2> re2;  // null if the literals are sufficient
  };
  // A part that one literal decides if it stands between these.
  struct Bounded {
    int part;
    bool word_begins, word_ends;
  };
  // Parts that need the literal, as bits; see always_.
  struct Mark {
    uint32_t word;
    uint64_t bits;
  };
  // Effects of finding a literal.
  struct Literal {
    size_t size = 0;
    int decides = INT32_MAX;   // a part
    int provider = INT32_MAX;  // that the literal names
    std::vector<Bounded> bounded;
    std::vector<Mark> marks;
  };

  Literal& LiteralOf(const std::string& text);
  // Sets of literals of which any text that the part matches has at least one each.
  void AddNeeds(int part, const std::vector<std::vector<std::string>>& needed);

  std::vector<Part> parts_;  // in the table's order
  std::vector<Literal> literals_;
  // For each 64 parts one word per set of required literals (at most two); here the bits of parts
  // that need none.
  std::vector<uint64_t> always_;
  LiteralSearch search_;

  absl::flat_hash_map<std::string, size_t> index_;  // of literals_, while they are collected
};

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_PATTERNS_H_
