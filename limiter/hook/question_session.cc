#include "limiter/hook/question_session.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"

namespace deferd {

int ClientPort(absl::string_view text) {
  int port = 0;
  return absl::SimpleAtoi(text, &port) && port > 0 && port < 65'536 ? port : 0;
}

QuestionSession::QuestionSession(size_t max_line, Answerer answerer, AnswerSeen answered,
                                 MalformedSeen malformed)
    : answerer_(std::move(answerer)),
      answered_(std::move(answered)),
      malformed_(std::move(malformed)),
      lines_(max_line) {}

bool QuestionSession::OnBytes(absl::string_view bytes, std::string* out) {
  arrived_ = Clock::now();
  lines_.Add(
      bytes, [this] { return malformed_questions_ < kMaxMalformed; },
      [&](absl::string_view line) { OnLine(line, out); }, [&] { OnLongLine(out); });
  return malformed_questions_ < kMaxMalformed && Continues();
}

void QuestionSession::Answered(const Answer& answer) {
  if (answered_) answered_(answer, absl::FromChrono(Clock::now() - arrived_));
}

void QuestionSession::Malformed() {
  ++malformed_questions_;
  if (malformed_) malformed_();
}

std::string QuestionSession::TakeRest() {
  arrived_ = Clock::now();
  return lines_.TakeRest();
}

}  // namespace deferd
