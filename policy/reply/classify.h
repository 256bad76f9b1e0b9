// Why a message was refused or put off: from the answer's text to a class, a scope and whether it
// is final, with how sure that is.
//
// The answer is normalised (reply_text.h), the first rule of the table that matches is found
// (reply_rules.txt: lines of the MTA itself, providers' own tokens, general wording, unambiguous
// enhanced codes, reply code), and a linear model (reply_model.h) weighs that rule, the codes and
// the words. The model decides, except where the rule is certain. All of it is linear in the answer
// whatever its bytes.
//
// A classifier's answer depends on its arguments alone; any number of threads may use one. It
// keeps the answers to the wordings that it saw last, since real traffic repeats them. Sources:
// RFC 5321 4.2, RFC 3463, the IANA registry of enhanced codes, and what mail providers publish
// about their replies.

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

// What is known besides the text.
struct ReplyHints {
  std::optional<Permanence> logged;  // the MTA logged a deferral or a failure
  absl::string_view host;            // the name of the server that answered
};

// From this confidence on, an answer may have consequences that cannot be undone.
inline constexpr float kSureReply = 0.8F;
// Below, people are told that the class is a guess.
inline constexpr float kUnsureReply = 0.5F;

// The code of an answer that is no refusal at all ("250 2.0.0 OK"), which is unclassified.
inline constexpr int kSuccessCode = 250;

struct Classification {
  ReplyClass reply_class = ReplyClass::kUnclassified;
  ReplyScope scope = ReplyScope::kDestination;
  Permanence permanence = Permanence::kPermanent;
  int code = 0;                // 550; 0 if the answer has none; kSuccessCode
  std::string enhanced;        // "5.1.1"; empty if the answer has none
  absl::string_view provider;  // "gmail"; empty if not known. Lives as long as the classifier.
  // The first rule that matches, "invalid_recipient.no_such_user"; lives as long, too. The model
  // may have decided on another class than the rule's.
  absl::string_view rule;

  float confidence = 1;                               // of reply_class, 0 to 1
  ReplyProbabilities probability = {};                // of each class; all 0: it is certain
  std::array<ReplyScope, kReplyClasses> scopes = {};  // what it would be about
};

// Whether an attempt with this answer is judged as a failure: a deferral is too where the address
// is one that nobody can route, which never will be though the MTA may keep the message.
bool FailsForGood(const Classification& answer, bool deferred);

// The probability that the answer counts, if `counts` says it of a class and scope.
double CountsProbability(const Classification& answer,
                         absl::FunctionRef<bool(ReplyClass, ReplyScope)> counts);

// What the model is asked about one reply; for its training.
struct ReplyAnalysis {
  ReplyClass rule_class = ReplyClass::kUnclassified;
  Permanence permanence = Permanence::kPermanent;
  bool permanence_said = false;  // by a code or a mark of the log; else it is the rule's habit
  ReplyFeatures::Hashes hashes;
};

class ReplyClassifier {
 public:
  // The built-in rules behind `extra`, which so come first and are certain. InvalidArgument names
  // an extra rule's bad pattern by its id.
  static absl::StatusOr<std::unique_ptr<ReplyClassifier>> Create(
      const std::vector<ReplyRule>& extra = {});

  // The same over a table of one's own, for tests.
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
