// Runs other programs without a shell: `argv` is passed on unchanged. Programs get a fixed
// environment (PATH, LC_ALL=C, TZ=UTC) and inherit no descriptor, also none that this process
// inherited. A program that writes too much is killed while it does so.
//
// Not thread-safe.

#ifndef DEFERD_LIMITER_PORT_COMMAND_H_
#define DEFERD_LIMITER_PORT_COMMAND_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace deferd {

class Commands {
 public:
  // Programs started with Start get SIGTERM after this time.
  static constexpr absl::Duration kLongest = absl::Minutes(30);

  // Exit status and output of a program that has ended.
  struct Ended {
    int status = 0;  // exit status; 128 and above: killed by a signal
    std::string output;
    std::string error;  // the first bytes only

    bool ok() const { return status == 0; }
  };

  // Runs the program and returns its result, whatever the exit status. Unavailable if it cannot be
  // started, DeadlineExceeded if it was killed after `limit`, ResourceExhausted if it wrote more
  // than 64 MiB.
  absl::StatusOr<Ended> RunAnyhow(const std::vector<std::string>& argv, absl::string_view input,
                                  absl::Duration limit);

  // Runs the program and returns its standard output. As RunAnyhow, and Unavailable if the exit
  // status is not 0, with the first line of standard error.
  absl::StatusOr<std::string> Run(const std::vector<std::string>& argv, absl::string_view input,
                                  absl::Duration limit);

  // Starts the program and returns at once; the output is discarded. The program may outlive this
  // object, as a mail delivery should. ResourceExhausted if 8 are running.
  absl::Status Start(const std::vector<std::string>& argv);

 private:
  // Each program has a thread that waits for it, so that none becomes a zombie.
  const std::shared_ptr<std::atomic<size_t>> running_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_COMMAND_H_
