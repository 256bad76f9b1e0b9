// Charge: the one function that decides who pays for a message.
//
// Intake's attempts and the MTA's questions both go through it, so a subject is never asked about
// under another name than it is charged under. Only proven identities are charged, in the order
// that the operator chose (`[charge] order`):
//   login   an authenticated id: its map entry, else the domain after its '@', or without '@' the
//           one that the MTA identified, else that of the system user of this name. One of no
//           domain stands alone, as login:NAME@HOST: on another host it may be another person;
//   user    a local system user: the domain that the MTA identified, else the map entry, else
//           local:USER@HOST. A client host without a login for which the MTA identified a domain
//           (POP before SMTP) belongs here too;
//   relay   a host listed in relay_hosts: the envelope sender's domain; where that host forwards
//           and has rewritten the sender (SRS0=..@, SRS1=..@: the Sender Rewriting Scheme of
//           openspf.org), kind forward, that domain. With it the host itself, kind host, so that
//           one that writes under ever-new domains is judged too. A loopback host that is not
//           listed, too, and it alone.
// Mail from outside is charged to nobody, except a forward: kind forward, the domain it came to.
// What the MTA makes itself (null sender) is charged to nobody, and so is mail of which it is
// unclear whether a filter handed back a stranger's or its host sent it (unclear), unless a login
// or user is proven.
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

// Reads "login,user,relay" (spaces are ignored). "sender" must stand alone and is meant for replay:
// every attempt to its envelope sender's domain, proven or not.
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

// The lists of `[charge]`. Absent lists are empty.
struct ChargeLists {
  std::vector<ChargeStep> order = {ChargeStep::kLogin, ChargeStep::kUser, ChargeStep::kRelay};
  absl::flat_hash_map<std::string, std::string> users;   // system user -> domain
  absl::flat_hash_set<std::string> users_of_several;     // those that were listed with another too
  absl::flat_hash_map<std::string, std::string> logins;  // login -> domain or address
  DomainSet hosted;  // empty: every charged domain counts as hosted here
  // The domains whose mail this MTA delivers on this host. None: `hosted` and the charged domain.
  std::optional<DomainSet> local_domains;
  HostList relay_hosts;
  HostList internal_hosts;
  bool local = false;              // deliveries on this host count too (on_this_host.h)
  std::string host = "localhost";  // HOST of local:USER@HOST and login:NAME@HOST
};

// Adds a map file's text to `map`: "key: value" a line, or "key value"; '#' starts a comment. A
// value is a domain, or an address whose domain is meant. `swap` is for the form of
// /etc/userdomains, "domain: user"; its "*" lines are skipped. A key that is listed twice keeps its
// first value, as in an Exim lsearch. InvalidArgument holds all mistakes, one a line, each
// beginning with `name:LINE:`.
absl::Status ReadMap(absl::string_view text, absl::string_view name, bool swap,
                     absl::flat_hash_map<std::string, std::string>* map,
                     absl::flat_hash_set<std::string>* several = nullptr);

struct Charged {
  Subject subject;
  // False of a domain that is not hosted here: counted and shown, never blocked by a rule. Who is
  // proven is judged wherever its domain lives.
  bool hosted = true;

  friend bool operator==(const Charged&, const Charged&) = default;
};

// The narrowest subject first, a domain's after it; a host first, though it is no part of the
// domain.
using ChargedSubjects = absl::InlinedVector<Charged, 2>;

// `original` is the recipient's address before forwarding, empty if it was not forwarded or is not
// known (questions).
ChargedSubjects Charge(const ChargeLists& lists, const Identity& identity,
                       absl::string_view original);

// A subject in the form that Charge gives it: a login or local user that a person names without
// HOST is this host's.
Subject AsCharged(const ChargeLists& lists, const Subject& subject);

// The domain that the lists or its own id say a subject is part of; empty if none, and for what is
// no part of anything.
std::string DomainByLists(const ChargeLists& lists, const Subject& subject);

// Whether mail of `domain` is ours to block. Without the list all is.
bool IsHosted(const ChargeLists& lists, absl::string_view domain);

// Whether no domain that is hosted here answers for a login or account that is part of `domain`
// (empty: of none).
bool StandsAlone(const ChargeLists& lists, const Subject& subject, absl::string_view domain);

}  // namespace deferd

#endif  // DEFERD_POLICY_CHARGE_H_
