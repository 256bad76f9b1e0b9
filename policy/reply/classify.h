// Classifies why a message was refused or deferred: from the reply's text to a class, a scope,
// whether it is final, and a confidence.
//
// The reply is normalised (reply_text.h) and the first matching rule is found (reply_rules.txt:
// texts of the MTA itself, providers' own tokens, general wording, unambiguous enhanced codes,
// reply code). A linear model (reply_model.h) weighs that rule, the codes and the words, and
// decides unless the rule is certain. Linear in the reply's length, for any bytes.
//
// The result depends on the arguments only; any number of threads may use one classifier. It caches
// the results for recent wordings, because real traffic repeats them. Sources: RFC 5321 4.2, RFC
// 3463, the IANA registry of enhanced codes, and documentation of mail providers about their
// replies.

#ifndef DEFERD_POLICY_REPLY_CLASSIFY_H_
#define DEFERD_POLICY_REPLY_CLASSIFY_H_

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/reply/reply_class.h"
#include "policy/reply/reply_features.h"
#include "policy/reply/reply_model.h"
#include "policy/reply/reply_rules.h"

namespace deferd {

// Facts besides the text.
struct ReplyHints {
  std::optional<Permanence> logged;  // whether the MTA logged a deferral or a failure
  absl::string_view host;            // name of the server that replied
  bool nobody_asked = false;         // the MTA alone decided, and says so: no server replied
};

// From this confidence on, a reply may have consequences that cannot be undone.
inline constexpr float kSureReply = 0.8F;
// Below this confidence, people are told that the class is a guess.
inline constexpr float kUnsureReply = 0.5F;

// The code of a reply that is not a refusal ("250 2.0.0 OK"), which is unclassified.
inline constexpr int kSuccessCode = 250;

struct Classification {
  ReplyClass reply_class = ReplyClass::kUnclassified;
  ReplyScope scope = ReplyScope::kDestination;
  Permanence permanence = Permanence::kPermanent;
  int code = 0;                // 550; 0 if the reply has none; kSuccessCode
  std::string enhanced;        // "5.1.1"; empty if the reply has none
  absl::string_view provider;  // "gmail"; empty if not known. Owned by the classifier
  // The first matching rule, "invalid_recipient.no_such_user"; owned by the classifier. The model
  // may have chosen another class than the rule's.
  absl::string_view rule;

  float confidence = 1;                 // of reply_class, 0 to 1
  ReplyProbabilities probability = {};  // of each class; all 0 if the rule was certain
  std::array<ReplyScope, kReplyClasses> scopes = {};  // the scope that each class would have
};

// Whether an attempt with this reply counts as a failure: also a deferral, if no server can route
// the address and retries cannot succeed.
bool FailsForGood(const Classification& answer, bool deferred);

// The probability that the reply counts, given `counts` for each class and scope.
double CountsProbability(const Classification& answer,
                         absl::FunctionRef<bool(ReplyClass, ReplyScope)> counts);

// The model's input for one reply; for training.
struct ReplyAnalysis {
  ReplyClass rule_class = ReplyClass::kUnclassified;
  Permanence permanence = Permanence::kPermanent;
  bool permanence_said = false;  // stated by a code or a log mark; otherwise the rule's default
  ReplyFeatures::Hashes hashes;
};

class ReplyClassifier {
 public:
  // The built-in rules after `extra`, which thus match first and are certain. InvalidArgument names
  // an extra rule's invalid pattern by its id.
  static absl::StatusOr<std::unique_ptr<ReplyClassifier>> Create(
      const std::vector<ReplyRule>& extra = {});

  // The same with another table, for tests.
  static absl::StatusOr<std::unique_ptr<ReplyClassifier>> CreateFrom(ReplyRules rules);

  ~ReplyClassifier();

  Classification Classify(absl::string_view reply, const ReplyHints& hints = {}) const;

  ReplyAnalysis Analyse(absl::string_view reply) const;

  const ReplyRules& rules() const;

 private:
  struct Tables;
  explicit ReplyClassifier(std::unique_ptr<Tables> tables);

  const std::unique_ptr<Tables> tables_;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_CLASSIFY_H_
