// What an MTA asks, and what it is told; the same for every MTA's protocol.

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

// Whom `deferctl doctor` asks about: nobody has this address (RFC 2606), and a question about it is
// answered as any other, and counted as no mail server's.
inline constexpr char kTrialSender[] = "nobody@doctor.invalid";

struct Question {
  Identity identity;
  Source source = Source::kSubmission;
  std::string id;                  // the message's, if the MTA has one already
  std::optional<Subject> subject;  // asked for by name; the identity is then empty
};

struct Answer {
  Verdict verdict = Verdict::kPass;
  bool unchecked = false;               // a pass that deferd could not vouch for
  bool trial = false;                   // the question was about kTrialSender
  Source source = Source::kSubmission;  // of the question
  std::string text;  // one line of printable ASCII, at most 400 bytes; for pass: empty
};

// The case table, as a function: called on the hook's thread, answers from memory.
using Answerer = std::function<Answer(const Question&)>;

// Told of every answer: how long it took from the question's last byte. For metrics.
using AnswerSeen = std::function<void(const Answer&, absl::Duration)>;
// Told of every line that was no question.
using MalformedSeen = std::function<void()>;

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_QUESTION_H_
