#include "policy/subject.h"

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr std::array<SubjectKind, 6> kKinds = {SubjectKind::kDomain,  SubjectKind::kLogin,
                                               SubjectKind::kAccount, SubjectKind::kScript,
                                               SubjectKind::kLocal,   SubjectKind::kForward};

bool IsDomainKind(SubjectKind kind) {
  return kind == SubjectKind::kDomain || kind == SubjectKind::kForward;
}

absl::Status NoSubject(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(text),
      " is no subject; write a domain such as example.com, or KIND:ID such as "
      "login:bob@example.com (kinds: domain, login, account, script, local, forward)"));
}

}  // namespace

absl::string_view SubjectKindName(SubjectKind kind) {
  switch (kind) {
    case SubjectKind::kDomain:
      return "domain";
    case SubjectKind::kLogin:
      return "login";
    case SubjectKind::kAccount:
      return "account";
    case SubjectKind::kScript:
      return "script";
    case SubjectKind::kLocal:
      return "local";
    case SubjectKind::kForward:
      return "forward";
  }
  return "unknown";
}

absl::StatusOr<SubjectKind> ParseSubjectKind(absl::string_view name) {
  for (SubjectKind kind : kKinds) {
    if (SubjectKindName(kind) == name) return kind;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(name),
      " is no kind of subject; give domain, login, account, script, local or forward"));
}

Subject Subject::Narrow(SubjectKind kind, absl::string_view id) {
  const size_t at = id.rfind('@');
  if (at != absl::string_view::npos) {
    absl::StatusOr<DomainName> domain = DomainName::Parse(id.substr(at + 1));
    if (domain.ok()) return {kind, absl::StrCat(id.substr(0, at + 1), domain->text())};
  }
  return {kind, std::string(id)};
}

absl::StatusOr<Subject> Subject::Parse(absl::string_view text) {
  const size_t colon = absl::StartsWith(text, "[") ? absl::string_view::npos : text.find(':');
  SubjectKind kind = SubjectKind::kDomain;
  absl::string_view id = text;
  if (colon != absl::string_view::npos) {
    absl::StatusOr<SubjectKind> named = ParseSubjectKind(text.substr(0, colon));
    if (!named.ok()) return NoSubject(text);
    kind = *named;
    id = text.substr(colon + 1);
  } else if (absl::StrContains(text, '@')) {
    return NoSubject(text);
  }
  if (id.empty()) return NoSubject(text);
  if (!IsDomainKind(kind)) return Narrow(kind, id);
  absl::StatusOr<DomainName> domain = DomainName::Parse(id);
  if (!domain.ok()) return domain.status();
  return Subject{kind, domain->text()};
}

std::string Subject::ToString() const {
  if (kind == SubjectKind::kDomain) return id;
  return absl::StrCat(SubjectKindName(kind), ":", id);
}

absl::string_view Subject::DomainPart() const {
  if (IsDomainKind(kind)) return id;
  const size_t at = id.rfind('@');
  return at == std::string::npos ? absl::string_view() : absl::string_view(id).substr(at + 1);
}

}  // namespace deferd
