// Questions of an MTA and their answers, independent of the MTA's protocol.

#ifndef DEFERD_LIMITER_HOOK_QUESTION_H_
#define DEFERD_LIMITER_HOOK_QUESTION_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "policy/identity.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

// The sender in `deferctl doctor`'s test questions. No mailbox has this address (RFC 2606). The
// question is answered like any other, but not counted as a mail server's question.
inline constexpr char kTrialSender[] = "nobody@doctor.invalid";

struct Question {
  Identity identity;
  Source source = Source::kSubmission;
  std::string id;                  // message id, if the MTA has assigned one
  int port = 0;                    // of the client's connection; 0: not said
  std::optional<Subject> subject;  // named directly; the identity is empty then
};

struct Answer {
  Verdict verdict = Verdict::kPass;
  bool unchecked = false;  // a pass that deferd could not verify
  bool deferred = false;   // a hold whose helper does not answer: the client keeps the mail
  bool trial = false;      // the question was about kTrialSender
  Source source = Source::kSubmission;  // of the question
  std::string text;  // one line of printable ASCII, at most 400 bytes; for pass: empty
};

// Answers a question from the case table in memory; called on the hook's thread.
using Answerer = std::function<Answer(const Question&)>;

// Called for every answer with the time since the question's last byte, for metrics.
using AnswerSeen = std::function<void(const Answer&, absl::Duration)>;
// Called for every line that is not a question.
using MalformedSeen = std::function<void()>;

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_QUESTION_H_
