#include "limiter/hook/exim_session.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {
namespace {

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
    return absl::InvalidArgumentError("expected one subject, or fields separated by TAB");
  }
  absl::StatusOr<Subject> subject = Subject::Parse(text);
  if (!subject.ok()) return subject.status();
  Question question;
  question.subject = *std::move(subject);
  return question;
}

// Position of the first TAB that can end an address: outside quotes and not behind a backslash (RFC
// 5321 section 4.1.2; Exim accepts quoted words anywhere in a local part), after a domain, or at
// once for the null sender. `bare`: also after a name without a domain. npos if there is none.
size_t EndOfAddress(absl::string_view text, bool bare) {
  bool quoted = false;
  bool has_domain = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == '@' && !quoted) {
      has_domain = true;
    } else if (c == '\t' && !quoted) {
      const absl::string_view address = StripAngles(StripBlanks(text.substr(0, i)));
      if (address.empty() || has_domain || bare) return i;
    }
  }
  return absl::string_view::npos;
}

// The fields of one question as written; the first value of a repeated field.
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
  Field port{"port"};

  Field* Find(absl::string_view name) {
    for (Field* known : {&sender, &login, &user, &host, &id, &source, &domain, &port}) {
      if (known->name == name) return known;
    }
    return nullptr;
  }

  void Read(absl::string_view text) {
    while (!text.empty()) {
      const size_t tab = std::min(text.find('\t'), text.size());
      const absl::string_view piece = text.substr(0, tab);
      const size_t begin = std::min(piece.find_first_not_of(' '), piece.size());
      if (!sender.named && absl::StartsWith(piece.substr(begin), "sender=")) {
        ReadSender(text.substr(begin + sizeof("sender=") - 1));
        return;
      }
      Take(piece);
      text.remove_prefix(std::min(tab + 1, text.size()));
    }
  }

 private:
  void Take(absl::string_view piece) {
    piece = StripBlanks(piece);
    const size_t equals = piece.find('=');
    if (equals == absl::string_view::npos) return;
    Field* known = Find(piece.substr(0, equals));
    if (known == nullptr || known->named) return;
    known->value = piece.substr(equals + 1);
    known->named = true;
  }

  // The client chooses the sender, so it takes the rest of the line; later fields are accepted only
  // where they can only come from an older snippet.
  void ReadSender(absl::string_view rest) {
    sender.named = true;
    port.named = true;  // behind the sender it is not the snippet's
    const bool first = !login.named && !user.named && !host.named && !source.named;
    const size_t end = EndOfAddress(rest, first);
    if (end == absl::string_view::npos || !AreFields(rest.substr(end + 1))) {
      sender.value = CutBehindDomain(rest);
      return;
    }
    sender.value = StripBlanks(rest.substr(0, end));
    for (const absl::string_view piece : absl::StrSplit(rest.substr(end + 1), '\t')) Take(piece);
  }

  // A forged sender ends in the client's own domain and repeats a field that the snippet sets.
  bool AreFields(absl::string_view text) const {
    Fields seen = *this;
    for (absl::string_view piece : absl::StrSplit(text, '\t')) {
      piece = StripBlanks(piece);
      const size_t equals = std::min(piece.find('='), piece.size());
      Field* known = seen.Find(piece.substr(0, equals));
      if (known != nullptr && equals < piece.size()) {
        if (known->named) return false;
        known->named = true;
      }
      if (known != &seen.login && absl::StrContains(piece, '@')) return false;
    }
    return true;
  }

  // A domain contains no white space: drop the rest.
  static absl::string_view CutBehindDomain(absl::string_view address) {
    const size_t at = address.rfind('@');
    if (at != absl::string_view::npos) {
      address = address.substr(0, std::min(address.find_first_of(" \t\r", at), address.size()));
    }
    return StripBlanks(address);
  }
};

}  // namespace

absl::StatusOr<Question> ParseEximQuestion(absl::string_view line) {
  if (absl::StrContains(line, '\0')) return absl::InvalidArgumentError("the line has a zero byte");
  absl::ConsumeSuffix(&line, "\r");
  line = StripBlanks(line);
  if (!absl::ConsumePrefix(&line, "check") ||
      !(line.empty() || line.front() == ' ' || line.front() == '\t')) {
    return absl::InvalidArgumentError("expected \"check\" as the first word");
  }
  const absl::string_view rest = StripBlanks(line);
  if (!rest.empty() && rest.front() != '\t') return ParseSubjectQuestion(rest);

  Fields fields;
  fields.Read(rest);
  if (!fields.sender.named && !fields.login.named && !fields.user.named && !fields.host.named) {
    return absl::InvalidArgumentError(
        "no sender given; expected a subject, or one of sender= login= user= host=");
  }
  Question question;
  if (fields.source.named) {
    const absl::StatusOr<Source> source = ParseSource(fields.source.value);
    if (!source.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "source=", fields.source.value, " is not one of submission, local, queued, relay"));
    }
    question.source = *source;
  }
  Identity& identity = question.identity;
  identity.sender = std::string(StripAngles(fields.sender.value));
  // Exim logs the login unchanged and the log reader stops at the same character, so the question
  // and the count refer to the same login.
  identity.login =
      std::string(fields.login.value.substr(0, fields.login.value.find_first_of(" :")));
  identity.identified_domain = std::string(fields.domain.value);
  identity.host = std::string(fields.host.value);
  // With a client host, the user comes from an ident server: not a proof.
  if (identity.host.empty() || question.source == Source::kLocal) {
    identity.user = std::string(fields.user.value);
  }
  identity.sender_vouched =
      fields.sender.named && !fields.login.named && !fields.user.named && !fields.host.named;
  question.id = std::string(fields.id.value);
  question.port = ClientPort(fields.port.value);
  return question;
}

EximSession::EximSession(Answerer answerer, AnswerSeen answered, MalformedSeen malformed)
    : QuestionSession(kMaxLine, std::move(answerer), std::move(answered), std::move(malformed)) {}

void EximSession::OnEnd(std::string* out) {
  const std::string rest = TakeRest();
  if (!rest.empty()) OnLine(rest, out);
}

void EximSession::OnLine(absl::string_view line, std::string* out) {
  const absl::StatusOr<Question> question = ParseEximQuestion(line);
  if (!question.ok()) {
    AnswerError(question.status().message(), out);
    return;
  }
  const Answer answer = AnswerTo(*question);
  absl::StrAppend(out, VerdictName(answer.verdict));
  if (!answer.text.empty()) absl::StrAppend(out, " ", PrintableAscii(answer.text, kMaxText));
  out->push_back('\n');
  Answered(answer);
}

void EximSession::OnLongLine(std::string* out) {
  AnswerError(absl::StrCat("line longer than ", kMaxLine, " bytes"), out);
}

void EximSession::AnswerError(absl::string_view text, std::string* out) {
  absl::StrAppend(out, "error ", PrintableAscii(text, kMaxText), "\n");
  Malformed();
}

}  // namespace deferd
