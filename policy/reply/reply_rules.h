// The table of reply rules: reply_rules.txt, compiled in, and the same format for the operator's
// rules.
//
// A line is "CLASS.NAME SCOPE PATTERN". The id determines the class. SCOPE is a ReplyScopeName, or
// "-" for the class's default; "/p" or "/t" after it makes a reply without a code permanent or
// transient, "/P" or "/T" any reply; "!" at the end makes the rule certain, so that the model
// (reply_model.h) is not used. PATTERN, the rest of the line, is an RE2 pattern (Latin-1: bytes)
// searched in the form of reply_text.h. The first matching rule wins. A line "| PATTERN" adds a
// pattern to the rule above, "+ REST" continues the line above. "provider NAME TOKEN..." recognises
// a provider by literal pieces of the reply or of the host's name; the first one wins. Lines that
// begin with "#" and empty lines are comments.

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
  Permanence permanence = Permanence::kPermanent;  // for a reply without a code or mark
  bool firm = false;                               // also for a reply with one
  bool certain = false;                            // decides without the model
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

// InvalidArgument names every invalid line: "LINE: reason". ReplyClassifier checks the patterns.
absl::StatusOr<ReplyRules> ParseReplyRules(absl::string_view text);

// The text of reply_rules.txt.
absl::string_view BuiltInReplyRules();

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_RULES_H_
