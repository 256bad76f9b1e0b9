// The common part of the sessions of both protocols: splits the bytes into lines, passes the
// questions on, reports the answers, and closes the connection after too many malformed questions.
//
// Sans-I/O and not thread-safe, as every Session.

#ifndef DEFERD_LIMITER_HOOK_QUESTION_SESSION_H_
#define DEFERD_LIMITER_HOOK_QUESTION_SESSION_H_

#include <chrono>
#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "limiter/hook/line_buffer.h"
#include "limiter/hook/question.h"
#include "limiter/port/socket_server.h"

namespace deferd {

// The port that `text` names; 0 if it names none.
int ClientPort(absl::string_view text);

class QuestionSession : public Session {
 public:
  static constexpr int kMaxMalformed = 20;
  static constexpr size_t kMaxText = 400;  // bytes of an answer's text

  bool OnBytes(absl::string_view bytes, std::string* out) final;

 protected:
  // `answered` and `malformed` may be null.
  QuestionSession(size_t max_line, Answerer answerer, AnswerSeen answered, MalformedSeen malformed);

  // One line without its LF.
  virtual void OnLine(absl::string_view line, std::string* out) = 0;
  virtual void OnLongLine(std::string* out) = 0;  // instead of a line over max_line
  // Whether the connection stays open although the question read now has not ended.
  virtual bool Continues() const { return true; }

  Answer AnswerTo(const Question& question) { return answerer_(question); }
  // Every question ends in one of these.
  void Answered(const Answer& answer);
  void Malformed();

  // The last line if no LF ended it. From now on time is measured from here.
  std::string TakeRest();

 private:
  using Clock = std::chrono::steady_clock;

  const Answerer answerer_;
  const AnswerSeen answered_;
  const MalformedSeen malformed_;
  LineBuffer lines_;
  Clock::time_point arrived_;  // the bytes that are being read
  int malformed_questions_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_HOOK_QUESTION_SESSION_H_
