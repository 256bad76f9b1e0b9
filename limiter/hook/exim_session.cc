#include "limiter/hook/exim_session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kMaxText = 400;

absl::string_view StripBlanks(absl::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

absl::string_view StripAngles(absl::string_view address) {
  if (address.size() >= 2 && address.front() == '<' && address.back() == '>') {
    address = address.substr(1, address.size() - 2);
  }
  return address;
}

absl::StatusOr<Question> ParseSubjectQuestion(absl::string_view text) {
  if (text.find_first_of(" \t") != absl::string_view::npos) {
    return absl::InvalidArgumentError("expected one subject, or fields that TABs separate");
  }
  absl::StatusOr<Subject> subject = Subject::Parse(text);
  if (!subject.ok()) return subject.status();
  Question question;
  question.subject = *std::move(subject);
  return question;
}

// How much of `text` is one field: up to a TAB, but a sender's local part may have one in quotes
// (RFC 5321 section 4.1.2).
size_t FieldSize(absl::string_view text) {
  const size_t tab = text.find('\t');
  const absl::string_view head = text.substr(0, tab);
  const size_t begin = head.find_first_not_of(' ');
  if (tab == absl::string_view::npos || begin == absl::string_view::npos ||
      !absl::StartsWith(head.substr(begin), "sender=")) {
    return head.size();
  }
  size_t at = begin + sizeof("sender=") - 1;
  if (at < head.size() && head[at] == '<') ++at;
  if (at >= head.size() || head[at] != '"') return head.size();
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  if (at >= text.size()) return head.size();  // no quote ends it
  const size_t end = text.find('\t', at);
  return end == absl::string_view::npos ? text.size() : end;
}

// The fields of one question as written; of a field that is named twice, the first.
struct Fields {
  struct Field {
    absl::string_view name;
    absl::string_view value;
    bool named = false;
  };
  Field sender{"sender"};
  Field login{"login"};
  Field user{"user"};
  Field host{"host"};
  Field id{"id"};
  Field source{"source"};
  Field domain{"domain"};

  void Read(absl::string_view text) {
    while (!text.empty()) {
      const size_t size = FieldSize(text);
      const absl::string_view field = StripBlanks(text.substr(0, size));
      text.remove_prefix(std::min(size + 1, text.size()));
      const size_t equals = field.find('=');
      if (equals == absl::string_view::npos) continue;
      const absl::string_view name = field.substr(0, equals);
      for (Field* known : {&sender, &login, &user, &host, &id, &source, &domain}) {
        if (known->name != name) continue;
        if (!known->named) known->value = field.substr(equals + 1);
        known->named = true;
        break;
      }
    }
  }
};

}  // namespace

absl::StatusOr<Question> ParseEximQuestion(absl::string_view line) {
  if (absl::StrContains(line, '\0')) return absl::InvalidArgumentError("a zero byte in the line");
  absl::ConsumeSuffix(&line, "\r");
  line = StripBlanks(line);
  if (!absl::ConsumePrefix(&line, "check") ||
      !(line.empty() || line.front() == ' ' || line.front() == '\t')) {
    return absl::InvalidArgumentError("expected the first word check");
  }
  const absl::string_view rest = StripBlanks(line);
  if (!rest.empty() && rest.front() != '\t') return ParseSubjectQuestion(rest);

  Fields fields;
  fields.Read(rest);
  if (!fields.sender.named && !fields.login.named && !fields.user.named && !fields.host.named) {
    return absl::InvalidArgumentError(
        "nobody is named; expected a subject, or one of sender= login= user= host=");
  }
  Question question;
  if (fields.source.named) {
    const absl::StatusOr<Source> source = ParseSource(fields.source.value);
    if (!source.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "source=", fields.source.value, " is none of submission, local, queued, relay"));
    }
    question.source = *source;
  }
  Identity& identity = question.identity;
  identity.sender = std::string(StripAngles(fields.sender.value));
  // Exim logs it as it is, and the log's reader takes it up to there: who is asked is who is
  // charged.
  identity.login =
      std::string(fields.login.value.substr(0, fields.login.value.find_first_of(" :")));
  identity.identified_domain = std::string(fields.domain.value);
  identity.host = std::string(fields.host.value);
  // With a client host, the user is what an ident server there said: no proof.
  if (identity.host.empty() || question.source == Source::kLocal) {
    identity.user = std::string(fields.user.value);
  }
  identity.sender_vouched =
      fields.sender.named && !fields.login.named && !fields.user.named && !fields.host.named;
  question.id = std::string(fields.id.value);
  return question;
}

EximSession::EximSession(Answerer answerer, AnswerSeen answered, MalformedSeen malformed)
    : answerer_(std::move(answerer)),
      answered_(std::move(answered)),
      malformed_(std::move(malformed)) {}

bool EximSession::OnBytes(absl::string_view bytes, std::string* out) {
  const SteadyClock::time_point arrived = SteadyClock::now();
  lines_.Add(
      bytes, [this] { return malformed_lines_ < kMaxMalformed; },
      [&](absl::string_view line) { AnswerLine(line, arrived, out); },
      [&] { SayError(absl::StrCat("a line of more than ", kMaxLine, " bytes"), out); });
  return malformed_lines_ < kMaxMalformed;
}

void EximSession::OnEnd(std::string* out) {
  const std::string rest = lines_.TakeRest();
  if (!rest.empty()) AnswerLine(rest, SteadyClock::now(), out);
}

void EximSession::AnswerLine(absl::string_view line, SteadyClock::time_point arrived,
                             std::string* out) {
  const absl::StatusOr<Question> question = ParseEximQuestion(line);
  if (!question.ok()) {
    SayError(question.status().message(), out);
    return;
  }
  const Answer answer = answerer_(*question);
  absl::StrAppend(out, VerdictName(answer.verdict));
  if (!answer.text.empty()) absl::StrAppend(out, " ", PrintableAscii(answer.text, kMaxText));
  out->push_back('\n');
  if (answered_) answered_(answer, absl::FromChrono(SteadyClock::now() - arrived));
}

void EximSession::SayError(absl::string_view text, std::string* out) {
  absl::StrAppend(out, "error ", PrintableAscii(text, kMaxText), "\n");
  ++malformed_lines_;
  if (malformed_) malformed_();
}

}  // namespace deferd
