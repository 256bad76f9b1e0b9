#include "limiter/hook/postfix_session.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kMaxText = 400;

std::string ActionOf(const Answer& answer) {
  const std::string text = PrintableAscii(answer.text, kMaxText);
  switch (answer.verdict) {
    case Verdict::kPass:
      return "DUNNO";
    case Verdict::kHold:
      return absl::StrCat("HOLD ", text);
    case Verdict::kReject:
      return absl::StrCat("550 5.7.1 ", text);
    case Verdict::kDiscard:
      return absl::StrCat("DISCARD ", text);
  }
  return "DUNNO";
}

void Say(absl::string_view action, std::string* out) {
  absl::StrAppend(out, "action=", action, "\n\n");
}

}  // namespace

PostfixSession::PostfixSession(Answerer answerer, AnswerSeen answered, MalformedSeen malformed)
    : answerer_(std::move(answerer)),
      answered_(std::move(answered)),
      malformed_(std::move(malformed)) {}

bool PostfixSession::OnBytes(absl::string_view bytes, std::string* out) {
  const SteadyClock::time_point arrived = SteadyClock::now();
  while (!bytes.empty() && malformed_requests_ < kMaxMalformed) {
    const size_t end = bytes.find('\n');
    const absl::string_view piece = bytes.substr(0, end);
    const bool complete = end != absl::string_view::npos;
    bytes.remove_prefix(complete ? end + 1 : bytes.size());
    if (skipping_) {
      skipping_ = !complete;
    } else if (partial_.size() + piece.size() > kMaxLine) {
      request_.malformed = true;
      ++request_.lines;
      partial_.clear();
      skipping_ = !complete;
    } else if (!complete) {
      absl::StrAppend(&partial_, piece);
    } else if (partial_.empty()) {
      ReadLine(piece, arrived, out);
    } else {
      absl::StrAppend(&partial_, piece);
      const std::string line = std::move(partial_);
      partial_.clear();
      ReadLine(line, arrived, out);
    }
  }
  return malformed_requests_ < kMaxMalformed;
}

// A request without its empty line is none: whoever sent it has gone.
void PostfixSession::OnEnd(std::string* /*out*/) {}

void PostfixSession::ReadLine(absl::string_view line, SteadyClock::time_point arrived,
                              std::string* out) {
  absl::ConsumeSuffix(&line, "\r");
  if (!line.empty()) {
    ReadAttribute(line);
    return;
  }
  if (request_.lines == 0) return;  // nothing was asked
  AnswerRequest(arrived, out);
  request_ = Request();
}

void PostfixSession::ReadAttribute(absl::string_view line) {
  if (++request_.lines > kMaxLines) request_.malformed = true;
  const size_t equals = line.find('=');
  if (equals == absl::string_view::npos || line.find('\0') != absl::string_view::npos) {
    request_.malformed = true;
    return;
  }
  const std::pair<absl::string_view, std::string*> kKnown[] = {
      {"request", &request_.request},   {"sasl_username", &request_.sasl_username},
      {"sender", &request_.sender},     {"client_address", &request_.client_address},
      {"instance", &request_.instance}, {"queue_id", &request_.queue_id}};
  for (const auto& [name, value] : kKnown) {
    if (line.substr(0, equals) != name || !value->empty()) continue;
    const absl::string_view text = line.substr(equals + 1);
    value->assign(text.data(), text.size());
  }
}

void PostfixSession::AnswerRequest(SteadyClock::time_point arrived, std::string* out) {
  if (request_.malformed || request_.request != "smtpd_access_policy") {
    ++malformed_requests_;
    if (malformed_) malformed_();
    Say("DUNNO", out);
    return;
  }
  const auto known = std::find_if(instances_.begin(), instances_.end(), [&](const auto& one) {
    return !request_.instance.empty() && one.first == request_.instance;
  });
  if (known != instances_.end()) {
    Say(known->second, out);
    return;
  }
  Question question;
  question.identity.sender = request_.sender;
  question.identity.login = request_.sasl_username;
  question.identity.host = request_.client_address;
  question.source = request_.sasl_username.empty() ? Source::kRelay : Source::kSubmission;
  question.id = request_.queue_id;
  const Answer answer = answerer_(question);
  const std::string action = ActionOf(answer);
  Say(action, out);
  if (!request_.instance.empty()) {
    instances_.emplace_front(request_.instance, action);
    if (instances_.size() > kInstances) instances_.pop_back();
  }
  if (answered_) answered_(answer, absl::FromChrono(SteadyClock::now() - arrived));
}

}  // namespace deferd
