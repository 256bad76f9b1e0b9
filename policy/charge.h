// Charge decides which subjects pay for a message.
//
// Attempts from the log and the MTA's questions use the same function, so both always name the same
// subject. Only proven identities are charged, in the order that the operator chose (`[charge]
// order`):
//   login   an authenticated id: its map entry, else the domain after its '@', or, without '@', the
//           domain that the MTA identified, else the domain of the system user of this name. A
//           login without a domain is charged as login:NAME@HOST, because another host may use the
//           name for another person;
//   user    a local system user: the domain that the MTA identified, else the map entry, else
//           local:USER@HOST. Also a client host without a login for which the MTA identified a
//           domain (POP before SMTP);
//   relay   a host listed in relay_hosts: the envelope sender's domain.
//           If that host forwards and has rewritten the sender (SRS0=..@, SRS1=..@: the Sender
//           Rewriting Scheme of openspf.org),
//           kind forward with that domain. The host itself is charged too, kind host, so that a
//           host that uses ever-new domains is judged. A loopback host that is not listed is
//           charged alone.
// Mail from outside is charged to nobody, except forwarded mail: kind forward, the domain that it
// was sent to. Messages that the MTA creates (null sender) are charged to nobody. Unclear mail, of
// which the log does not show whether a filter handed back a stranger's message, is charged only to
// a proven login or user.
//
// Pure; the lists are an immutable value, safe to share between threads.

#ifndef DEFERD_POLICY_CHARGE_H_
#define DEFERD_POLICY_CHARGE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/attempt.h"
#include "policy/domain_name.h"
#include "policy/identity.h"
#include "policy/subject.h"

namespace deferd {

enum class ChargeStep : uint8_t { kLogin, kUser, kRelay, kSender };

// Reads "login,user,relay" (spaces are ignored). "sender" must stand alone and is for replay: every
// attempt is charged to its envelope sender's domain, proven or not.
absl::StatusOr<std::vector<ChargeStep>> ParseChargeOrder(absl::string_view text);

// Hosts and networks: "192.0.2.1", "2001:db8::/32", or a host name (compared without case).
class HostList {
 public:
  // Adds one entry. InvalidArgument if it is neither an address, a network nor a name.
  absl::Status Add(absl::string_view entry);
  bool empty() const { return networks_.empty() && names_.empty(); }
  bool ContainsAddress(absl::string_view ip) const;
  bool ContainsName(absl::string_view name) const;

 private:
  struct Network {
    std::string bytes;  // 4 or 16, network order
    int prefix;         // bits
  };
  std::vector<Network> networks_;
  std::vector<std::string> names_;
};

// The lists of `[charge]`. Missing lists are empty.
struct ChargeLists {
  std::vector<ChargeStep> order = {ChargeStep::kLogin, ChargeStep::kUser, ChargeStep::kRelay};
  absl::flat_hash_map<std::string, std::string> users;   // system user -> domain
  absl::flat_hash_set<std::string> users_of_several;     // users listed with more than one domain
  absl::flat_hash_map<std::string, std::string> logins;  // login -> domain or address
  DomainSet hosted;  // empty: every charged domain counts as hosted here
  // Domains whose mail this MTA delivers on this host. nullopt: `hosted` and the charged domain.
  std::optional<DomainSet> local_domains;
  HostList relay_hosts;
  HostList internal_hosts;
  bool local = false;              // deliveries on this host count too (on_this_host.h)
  std::string host = "localhost";  // HOST of local:USER@HOST and login:NAME@HOST
};

// Adds a map file's text to `map`: "key: value" or "key value" per line; '#' starts a comment. A
// value is a domain, or an address whose domain counts. `swap`: lines have the form of
// /etc/userdomains, "domain: user"; "*" lines are skipped. A repeated key keeps its first value, as
// in an Exim lsearch. InvalidArgument lists all errors, one per line, each beginning with
// `name:LINE:`.
absl::Status ReadMap(absl::string_view text, absl::string_view name, bool swap,
                     absl::flat_hash_map<std::string, std::string>* map,
                     absl::flat_hash_set<std::string>* several = nullptr);

struct Charged {
  Subject subject;
  // False for a domain that is not hosted here: counted and shown, but not blocked by a rule.
  // Proven logins are judged wherever their domain is hosted.
  bool hosted = true;

  friend bool operator==(const Charged&, const Charged&) = default;
};

// The narrowest subject first, its domain after it; a host comes first although it is not part of
// the domain.
using ChargedSubjects = absl::InlinedVector<Charged, 2>;

// `original`: the recipient's address before forwarding; empty if not forwarded or not known
// (questions).
ChargedSubjects Charge(const ChargeLists& lists, const Identity& identity,
                       absl::string_view original);

// A subject as Charge writes it: a login or local user given without HOST gets this host's name.
Subject AsCharged(const ChargeLists& lists, const Subject& subject);

// The domain that a subject is part of, according to the lists or its id; empty if there is none.
std::string DomainByLists(const ChargeLists& lists, const Subject& subject);

// Whether mail of `domain` may be blocked. Without the list, all mail may.
bool IsHosted(const ChargeLists& lists, absl::string_view domain);

// Whether a login or account belongs to no domain hosted here. `domain`: the domain that it is part
// of; empty: none.
bool StandsAlone(const ChargeLists& lists, const Subject& subject, absl::string_view domain);

}  // namespace deferd

#endif  // DEFERD_POLICY_CHARGE_H_
