// Why a message was refused or put off: from the answer's text to a class, a scope and whether it
// is final.
//
// The answer is normalised (reply_text.h), then the first rule of the table that matches decides
// (reply_rules.txt: lines of the MTA itself, providers' own tokens, general wording, unambiguous
// enhanced codes, reply code). Matching is linear in the answer whatever its bytes
// (reply_patterns.h).
//
// A classifier is constant and remembers nothing: any number of threads may use one. Sources:
// RFC 5321 4.2, RFC 3463, the IANA registry of enhanced codes, and what mail providers publish
// about their replies.

#ifndef DEFERD_POLICY_CLASSIFY_H_
#define DEFERD_POLICY_CLASSIFY_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/reply_class.h"
#include "policy/reply_rules.h"

namespace deferd {

// What is known besides the text.
struct ReplyHints {
  std::optional<Permanence> logged;  // the MTA logged a deferral or a failure
  absl::string_view host;            // the name of the server that answered
};

struct Classification {
  ReplyClass reply_class = ReplyClass::kUnclassified;
  ReplyScope scope = ReplyScope::kDestination;
  Permanence permanence = Permanence::kPermanent;
  int code = 0;                // 550; 0 if the answer has none
  std::string enhanced;        // "5.1.1"; empty if the answer has none
  absl::string_view provider;  // "gmail"; empty if not known. Lives as long as the classifier.
  absl::string_view rule;      // "invalid_recipient.no_such_user"; lives as long, too
};

class ReplyClassifier {
 public:
  // The built-in rules behind `extra`, which so come first. InvalidArgument names an extra rule's
  // bad pattern by its id.
  static absl::StatusOr<std::unique_ptr<ReplyClassifier>> Create(
      const std::vector<ReplyRule>& extra = {});

  // The same over a table of one's own, for tests.
  static absl::StatusOr<std::unique_ptr<ReplyClassifier>> CreateFrom(ReplyRules rules);

  ~ReplyClassifier();

  Classification Classify(absl::string_view reply, const ReplyHints& hints = {}) const;

  const ReplyRules& rules() const;

 private:
  struct Tables;
  explicit ReplyClassifier(std::unique_ptr<const Tables> tables);

  const std::unique_ptr<const Tables> tables_;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_CLASSIFY_H_
