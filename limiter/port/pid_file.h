// A file with the number of this process, beside the socket of a helper, for whoever ends the
// helper where systemd does not: the package's removal. Not thread-safe.

#ifndef DEFERD_LIMITER_PORT_PID_FILE_H_
#define DEFERD_LIMITER_PORT_PID_FILE_H_

#include <string>

namespace deferd {

class PidFile {
 public:
  // Writes `socket`.pid, and warns if it cannot.
  explicit PidFile(const std::string& socket);
  ~PidFile();  // removes it
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

 private:
  const std::string path_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_PID_FILE_H_
