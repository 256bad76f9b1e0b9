// Whether a mail server's process may connect to a unix socket: every folder on the way lets it
// through, and the socket lets it write.
//
// StepsTo looks at the machine; the rest is pure. POSIX access lists may allow more than the mode
// says, so nothing is claimed where there is one.

#ifndef DEFERD_LIMITER_CTL_SOCKET_ACCESS_H_
#define DEFERD_LIMITER_CTL_SOCKET_ACCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/ctl/mta_wiring.h"

namespace deferd {

// Whom a mail server's processes run as. Exim and Postfix give up all groups but the first.
struct MailUser {
  std::string name;  // empty: not known
  std::string group;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<std::string> other_groups;  // that the system's lists have
};

// By names or numbers; `group` empty: the user's own. Unknown ones give no name.
MailUser FindMailUser(const std::string& user, const std::string& group);

struct PathStep {
  std::string path;
  bool missing = false;
  bool access_list = false;
  int mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string user;
  std::string group;
};

// The folders from "/" to the socket, which is the last. Ends at the first that is missing.
std::vector<PathStep> StepsTo(const std::string& path);

// What stops `user`; none: nothing. What lies above `root`, where the process is chrooted to that,
// is not looked at.
std::optional<WiringFault> StopsAt(const std::vector<PathStep>& steps, const MailUser& user,
                                   absl::string_view root);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SOCKET_ACCESS_H_
