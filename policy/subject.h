// Who is charged for an attempt.
//
// A subject is a kind and an id, both plain values. The usual kind is `domain`. The kinds login,
// account and script are parts of a domain's mail; `local` is a system user without a domain;
// `forward` is mail that is only passed on; `host` is a client host without a login, by address. On
// the command line "example.com" is the domain and "bob@example.com" the login; all others are
// "KIND:ID".

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

  // A subject of another kind in the form that Parse also produces: if `id` ends in "@" and a
  // domain, the domain is normalised; everything else stays unchanged.
  static Subject Narrow(SubjectKind kind, absl::string_view id);

  // Reads the command-line form. The ids of domain and forward are normalised as domains, that of
  // host as an address (HostSubject), all others as in Narrow. "*.example.com" is every domain
  // below that one: a person may name them together, nobody is charged as them. InvalidArgument
  // names the expected form.
  static absl::StatusOr<Subject> Parse(absl::string_view text);

  // The command-line form; Parse(ToString()) gives the same subject.
  std::string ToString() const;

  // The domain in the id: the id itself, or the text after its last '@'. Empty if none. Points into
  // the id.
  absl::string_view DomainPart() const;

  friend bool operator==(const Subject&, const Subject&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Subject& subject) {
    return H::combine(std::move(h), subject.kind, subject.id);
  }
};

// The client host with this address in canonical form. All loopback addresses are one host, because
// that host can choose among them. nullopt if `address` is not an address.
std::optional<Subject> HostSubject(absl::string_view address);
// Whether it is this machine's loopback host; nodes do not share those.
bool IsLoopbackHost(const Subject& subject);

}  // namespace deferd

#endif  // DEFERD_POLICY_SUBJECT_H_
