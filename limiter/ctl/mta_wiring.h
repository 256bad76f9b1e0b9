// Whether each listener of a mail server asks deferd, as its effective configuration says: the
// second evidence beside the questions that come (blind_watch.h).
//
// Pure: reads what `postconf`, `postconf -M` and `exim -bP config` print. What only the server
// itself can know (computed names, access tables) is a doubt, never "ok". The rules are those of
// Postfix's SMTPD_ACCESS_README, RESTRICTION_CLASS_README and master(5), and of Exim's
// specification, chapter 44.

#ifndef DEFERD_LIMITER_CTL_MTA_WIRING_H_
#define DEFERD_LIMITER_CTL_MTA_WIRING_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/ctl/exim_acl.h"

namespace deferd {

struct WiringFault {
  std::string what;
  std::string remedy;
};

struct Wiring {
  // A socket of deferd that the server asks at.
  struct Door {
    std::string path;      // or HOST:PORT
    std::string root;      // that the asking process is chrooted to; empty: it is not
    bool as_root = false;  // whom no permission stops

    friend bool operator==(const Door&, const Door&) = default;
  };
  std::vector<std::string> asking;  // listeners, or ACLs, that ask
  std::vector<WiringFault> faults;
  std::vector<WiringFault> doubts;  // asks some, or it cannot be known whether
  std::vector<Door> doors;
};

struct PostfixConfig {
  std::string main;    // of `postconf`: "name = value" lines; later lines win
  std::string master;  // of `postconf -M`
};

// `doors`: where deferd listens for this kind of server: paths, or HOST:PORT. Listeners on a
// loopback address alone, and those without logins, need not ask; but one has to.
Wiring PostfixWiring(const PostfixConfig& config, const std::vector<std::string>& doors);

Wiring EximWiring(const EximConfig& config, const std::vector<std::string>& doors);

// Whether an address without its "unix:" or "inet:" is one of `doors`.
bool IsOneOf(absl::string_view address, const std::vector<std::string>& doors);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_MTA_WIRING_H_
