// Who is charged for an attempt.
//
// A subject is a kind and an id, both plain values. The usual kind is `domain`; the narrower ones
// (login, account, script) stand for a part of a domain's mail, `local` for a system user that is
// mapped to no domain, `forward` for mail that only passes through, `host` for a client host that
// needs no login, by its address. On the command line a bare "example.com" is the domain and a bare
// "bob@example.com" the login; the others are "KIND:ID".

#ifndef DEFERD_POLICY_SUBJECT_H_
#define DEFERD_POLICY_SUBJECT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/domain_name.h"

namespace deferd {

enum class SubjectKind : uint8_t { kDomain, kLogin, kAccount, kScript, kLocal, kForward, kHost };
inline constexpr int kSubjectKinds = 7;

// "domain", "login", ...
absl::string_view SubjectKindName(SubjectKind kind);
absl::StatusOr<SubjectKind> ParseSubjectKind(absl::string_view name);

struct Subject {
  SubjectKind kind = SubjectKind::kDomain;
  std::string id;

  static Subject Domain(const DomainName& name) { return {SubjectKind::kDomain, name.text()}; }

  // A subject of another kind, in the form that Parse gives it too: if `id` ends in "@" and a
  // domain, that is made a DomainName; everything else stays as it is.
  static Subject Narrow(SubjectKind kind, absl::string_view id);

  // Reads the command-line form. The ids of domain and forward are made DomainNames, that of host
  // an address as HostSubject writes it, the others are read as Narrow does. InvalidArgument says
  // which form was expected.
  static absl::StatusOr<Subject> Parse(absl::string_view text);

  // The command-line form; Parse(ToString()) gives the same subject back.
  std::string ToString() const;

  // The domain that the id names: itself, or what stands after its last '@'. Empty if none. Points
  // into the id.
  absl::string_view DomainPart() const;

  friend bool operator==(const Subject&, const Subject&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Subject& subject) {
    return H::combine(std::move(h), subject.kind, subject.id);
  }
};

// The client host with this address, in the one way to write it. All loopback addresses are one
// host, which may choose among them. Nothing if it is no address.
std::optional<Subject> HostSubject(absl::string_view address);
// Another machine's loopback host is another host: nodes do not share what they know of theirs.
bool IsLoopbackHost(const Subject& subject);

}  // namespace deferd

#endif  // DEFERD_POLICY_SUBJECT_H_
