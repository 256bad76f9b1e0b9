// This machine's host name: HOST in local:USER@HOST, for the daemon and for replay.

#ifndef DEFERD_LIMITER_PORT_HOST_NAME_H_
#define DEFERD_LIMITER_PORT_HOST_NAME_H_

#include <unistd.h>

#include <string>

namespace deferd {

// gethostname(2); "localhost" if there is none.
inline std::string HostName() {
  char name[256] = {};
  const bool known = gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0';
  return known ? name : "localhost";
}

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_HOST_NAME_H_
