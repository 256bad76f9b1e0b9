// Whether each listener of a mail server asks deferd, as its effective configuration says: the
// second evidence beside the questions that come (blind_watch.h).
//
// Pure: reads what `postconf`, `postconf -M` and `exim -bP config` print. Where a configuration
// computes something that only the server itself can know, nothing is claimed of it. The rules are
// those of Postfix's SMTPD_ACCESS_README and master(5), and of Exim's specification, chapter 44.

#ifndef DEFERD_LIMITER_CTL_MTA_WIRING_H_
#define DEFERD_LIMITER_CTL_MTA_WIRING_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace deferd {

struct WiringFault {
  std::string what;
  std::string remedy;
};

struct Wiring {
  std::vector<std::string> asking;  // listeners, or ACLs, that ask
  std::vector<WiringFault> faults;
};

struct PostfixConfig {
  std::string main;    // of `postconf`: "name = value" lines; later lines win
  std::string master;  // of `postconf -M`
};

// `door`: the path of deferd's socket, or HOST:PORT. Listeners on a loopback address alone, and
// those without logins, need not ask; but one has to.
Wiring PostfixWiring(const PostfixConfig& config, const std::string& door);

Wiring EximWiring(absl::string_view config, const std::string& door);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_MTA_WIRING_H_
