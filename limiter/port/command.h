// Other programs, started without a shell: the words of `argv` are its arguments, whatever is in
// them. They get a fixed environment (PATH, LC_ALL=C, TZ=UTC) and no descriptor of ours.
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
  // Started ones are asked to end when they have run for so long.
  static constexpr absl::Duration kLongest = absl::Minutes(30);

  // How one ended, and what it wrote to its standard output and error.
  struct Ended {
    int status = 0;  // of its exit, 128 and more: by a signal
    std::string output;
    std::string error;  // the first bytes

    bool ok() const { return status == 0; }
  };

  // Runs it to its end, however that is. Unavailable if it cannot be started, DeadlineExceeded if
  // it was killed after `limit`, ResourceExhausted if it wrote over 64 MiB.
  absl::StatusOr<Ended> RunAnyhow(const std::vector<std::string>& argv, absl::string_view input,
                                  absl::Duration limit);

  // Runs it to its end: what it wrote to its standard output (ResourceExhausted if that is over 64
  // MiB: half a list is none). Unavailable if it
  // cannot be started or ends with another status than 0 (then with the first line that it wrote
  // to its standard error), DeadlineExceeded if it was killed after `limit`.
  absl::StatusOr<std::string> Run(const std::vector<std::string>& argv, absl::string_view input,
                                  absl::Duration limit);

  // Starts it and goes on; its output is thrown away. It may outlive this object, as a delivery
  // should. At most 8 run at once: ResourceExhausted.
  absl::Status Start(const std::vector<std::string>& argv);

 private:
  // Each has a thread that waits for its end, so that none stays a zombie.
  const std::shared_ptr<std::atomic<size_t>> running_ = std::make_shared<std::atomic<size_t>>(0);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_COMMAND_H_
