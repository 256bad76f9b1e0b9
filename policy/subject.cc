#include "policy/subject.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr std::array<SubjectKind, kSubjectKinds> kKinds = {
    SubjectKind::kDomain, SubjectKind::kLogin,   SubjectKind::kAccount, SubjectKind::kScript,
    SubjectKind::kLocal,  SubjectKind::kForward, SubjectKind::kHost};

constexpr absl::string_view kLoopback = "127.0.0.1";

bool IsDomainKind(SubjectKind kind) {
  return kind == SubjectKind::kDomain || kind == SubjectKind::kForward;
}

absl::Status NoSubject(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(text),
      " is not a subject; write a domain such as example.com, or KIND:ID such as "
      "login:bob@example.com (kinds: domain, login, account, script, local, forward, host)"));
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
    case SubjectKind::kHost:
      return "host";
  }
  return "unknown";
}

absl::StatusOr<SubjectKind> ParseSubjectKind(absl::string_view name) {
  for (SubjectKind kind : kKinds) {
    if (SubjectKindName(kind) == name) return kind;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(name),
      " is not a kind of subject; use domain, login, account, script, local, forward or host"));
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
  } else if (absl::StrContains(text, '@')) {  // an address is the login of that name
    kind = SubjectKind::kLogin;
  }
  if (id.empty()) return NoSubject(text);
  if (kind == SubjectKind::kHost) {
    std::optional<Subject> host = HostSubject(id);
    if (host.has_value()) return *std::move(host);
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(text), " is not a host; write its address, such as host:192.0.2.7"));
  }
  if (!IsDomainKind(kind)) return Narrow(kind, id);
  if (kind == SubjectKind::kDomain && absl::StartsWith(id, "*.")) {
    absl::StatusOr<DomainPattern> pattern = DomainPattern::Parse(id);
    if (!pattern.ok()) return pattern.status();
    return Subject{kind, pattern->ToString()};
  }
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

std::optional<Subject> HostSubject(absl::string_view address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.size() >= sizeof(text)) return std::nullopt;
  std::memcpy(text, address.data(), address.size());
  in_addr v4;
  in6_addr v6;
  if (inet_pton(AF_INET6, text, &v6) == 1) {
    if (IN6_IS_ADDR_LOOPBACK(&v6)) return Subject{SubjectKind::kHost, std::string(kLoopback)};
    if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
      inet_ntop(AF_INET6, &v6, text, sizeof(text));
      return Subject{SubjectKind::kHost, text};
    }
    std::memcpy(&v4, &v6.s6_addr[12], sizeof(v4));
  } else if (inet_pton(AF_INET, text, &v4) != 1) {
    return std::nullopt;
  }
  if ((ntohl(v4.s_addr) >> 24) == 127) return Subject{SubjectKind::kHost, std::string(kLoopback)};
  inet_ntop(AF_INET, &v4, text, sizeof(text));
  return Subject{SubjectKind::kHost, text};
}

bool IsLoopbackHost(const Subject& subject) {
  return subject.kind == SubjectKind::kHost && subject.id == kLoopback;
}

}  // namespace deferd
