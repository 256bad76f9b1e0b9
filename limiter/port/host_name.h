// This machine's name: HOST of local:USER@HOST, in the daemon and in replay alike.

#ifndef DEFERD_LIMITER_PORT_HOST_NAME_H_
#define DEFERD_LIMITER_PORT_HOST_NAME_H_

#include <unistd.h>

#include <string>

namespace deferd {

// gethostname(2); "localhost" where it has none.
inline std::string HostName() {
  char name[256] = {};
  const bool known = gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0';
  return known ? name : "localhost";
}

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_HOST_NAME_H_
