#include "limiter/hook/postfix_session.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {
namespace {

std::string ActionOf(const Answer& answer) {
  const std::string text = PrintableAscii(answer.text, QuestionSession::kMaxText);
  switch (answer.verdict) {
    case Verdict::kPass:
      return "DUNNO";
    case Verdict::kHold:
      return absl::StrCat(answer.deferred ? "DEFER_IF_PERMIT 4.7.1 " : "HOLD ", text);
    case Verdict::kReject:
      return absl::StrCat("550 5.7.1 ", text);
    case Verdict::kDiscard:
      return absl::StrCat("DISCARD ", text);
  }
  return "DUNNO";
}

// The login as the reader of Postfix's log will charge it.
std::string LoginAsLogged(absl::string_view login) {
  std::string logged(login.substr(0, login.find(", ")));
  for (char& c : logged) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';
  }
  return logged;
}

void Say(absl::string_view action, std::string* out) {
  absl::StrAppend(out, "action=", action, "\n\n");
}

}  // namespace

PostfixSession::PostfixSession(Answerer answerer, AnswerSeen answered, MalformedSeen malformed)
    : QuestionSession(kMaxLine, std::move(answerer), std::move(answered), std::move(malformed)) {}

// A request without its empty line is incomplete: the client has disconnected.
void PostfixSession::OnEnd(std::string* /*out*/) {}

void PostfixSession::OnLine(absl::string_view line, std::string* out) {
  absl::ConsumeSuffix(&line, "\r");
  if (!line.empty()) {
    ReadAttribute(line);
    return;
  }
  if (request_.lines == 0) return;  // no question
  AnswerRequest(out);
  request_ = Request();
}

void PostfixSession::OnLongLine(std::string* /*out*/) {
  request_.malformed = true;
  ++request_.lines;
}

void PostfixSession::ReadAttribute(absl::string_view line) {
  if (++request_.lines > kMaxLines) request_.malformed = true;
  const size_t equals = line.find('=');
  if (equals == absl::string_view::npos || line.find('\0') != absl::string_view::npos) {
    request_.malformed = true;
    return;
  }
  for (Request::Attribute* known :
       {&request_.request, &request_.sasl_username, &request_.sender, &request_.client_address,
        &request_.instance, &request_.queue_id, &request_.client_port}) {
    if (line.substr(0, equals) != known->name) continue;
    const absl::string_view text = line.substr(equals + 1);
    if (!known->given) known->value.assign(text.data(), text.size());
    known->last.assign(text.data(), text.size());
    known->given = true;
  }
}

void PostfixSession::AnswerRequest(std::string* out) {
  if (request_.malformed || request_.request.value != "smtpd_access_policy") {
    Malformed();
    Say("DUNNO", out);
    return;
  }
  const auto known = std::find_if(instances_.begin(), instances_.end(), [&](const auto& one) {
    return !request_.instance.value.empty() && one.first == request_.instance.value;
  });
  if (known != instances_.end()) {
    Say(known->second, out);
    return;
  }
  Answer answer = AnswerTo(MakeQuestion(request_.sasl_username.value, request_.sender.value,
                                        request_.client_address.value));
  if (request_.sasl_username.value != request_.sasl_username.last ||
      request_.sender.value != request_.sender.last ||
      request_.client_address.value != request_.client_address.last) {
    Answer other = AnswerTo(MakeQuestion(request_.sasl_username.last, request_.sender.last,
                                         request_.client_address.last));
    if (other.verdict > answer.verdict) answer = std::move(other);
  }
  const std::string action = ActionOf(answer);
  Say(action, out);
  if (!request_.instance.value.empty()) {
    instances_.emplace_front(request_.instance.value, action);
    if (instances_.size() > kInstances) instances_.pop_back();
  }
  Answered(answer);
}

Question PostfixSession::MakeQuestion(const std::string& login, const std::string& sender,
                                      const std::string& host) const {
  Question question;
  question.identity.sender = sender;
  question.identity.login = LoginAsLogged(login);
  question.identity.host = host;
  question.source = login.empty() ? Source::kRelay : Source::kSubmission;
  question.id = request_.queue_id.value;
  const Request::Attribute& port = request_.client_port;
  if (port.value == port.last) question.port = ClientPort(port.value);
  return question;
}

}  // namespace deferd
