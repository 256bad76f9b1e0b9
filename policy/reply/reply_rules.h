// The table of reply rules: reply_rules.txt, compiled in, and the same form for rules of one's own.
//
// A line is "CLASS.NAME SCOPE PATTERN". The id says the class; SCOPE is one of ReplyScopeName or
// "-" for the class's usual one, with "/p" or "/t" behind it where an answer without a code is
// permanent or transient against the class's habit, or with "/P" or "/T" whatever it has, and "!"
// at the end where the rule is certain and the model (reply_model.h) has no say. PATTERN, the rest
// of the line, is an RE2 pattern (Latin-1: bytes) searched in the form of reply_text.h. The first
// rule that matches wins. A line "| PATTERN" is one more pattern of the rule above it, "+ REST" the
// rest of the line above. "provider NAME TOKEN..." names who answers by literal pieces of the
// answer or of the host's name; the first one wins. Lines that begin with "#" and empty ones are
// comments.

#ifndef DEFERD_POLICY_REPLY_REPLY_RULES_H_
#define DEFERD_POLICY_REPLY_REPLY_RULES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/reply/reply_class.h"

namespace deferd {

struct ReplyRule {
  std::string id;
  ReplyClass reply_class = ReplyClass::kUnclassified;
  ReplyScope scope = ReplyScope::kDestination;
  Permanence permanence = Permanence::kPermanent;  // of an answer that has no code and no mark
  bool firm = false;                               // and of one that has
  bool certain = false;                            // decides alone
  std::vector<std::string> patterns;
};

struct ReplyProvider {
  std::string name;
  std::vector<std::string> tokens;
};

struct ReplyRules {
  std::vector<ReplyRule> rules;
  std::vector<ReplyProvider> providers;
};

// InvalidArgument names every bad line: "LINE: what". Patterns are checked by ReplyClassifier.
absl::StatusOr<ReplyRules> ParseReplyRules(absl::string_view text);

// The text of reply_rules.txt.
absl::string_view BuiltInReplyRules();

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_RULES_H_
