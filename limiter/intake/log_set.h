// Follows all logs that some patterns name, those that appear later too.
//
// A pattern is a path, or one for glob(3) ("/var/log/vhosts/*/exim.log"). A plain path is a source
// also while no file is there; a file that a pattern names, from when it is seen, for good. What
// rotation has put aside ("mainlog.1") is never a source of its own if the log it belongs to is one
// or would be. Looks every few seconds, on a thread of its own.

#ifndef DEFERD_LIMITER_INTAKE_LOG_SET_H_
#define DEFERD_LIMITER_INTAKE_LOG_SET_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/intake/follower.h"
#include "limiter/intake/log_reader.h"
#include "limiter/port/clock.h"
#include "policy/log_position.h"
#include "policy/open_message.h"

namespace deferd {

// What is kept of a source, to go on with.
struct SourceState {
  LogPosition position;
  std::vector<OpenMessage> open;
};

// A reader that goes on as `*state` tells, of which it takes the open messages. If the reader's own
// part of it cannot be read, it goes on with the open messages alone, and that is said in the log.
std::unique_ptr<LogReader> RestoredReader(
    const std::string& source, SourceState* state,
    const std::function<std::unique_ptr<LogReader>()>& new_reader);

struct LogSetOptions {
  std::vector<std::string> patterns;
  FollowerOptions follower;                      // for each; `path` and `resume` are set here
  absl::Duration look_every = absl::Seconds(5);  // infinite: when Look is called
};

class LogSet {
 public:
  using NewReader = std::function<std::unique_ptr<LogReader>()>;

  // Looks for the first time before it returns. `known` by path; a source whose reader's state
  // cannot be read goes on at its position with a new reader, and says so in the log. The sink is
  // called by each follower's thread.
  static std::unique_ptr<LogSet> Start(LogSetOptions options,
                                       std::map<std::string, SourceState> known,
                                       NewReader new_reader, const Clock* clock,
                                       Follower::Sink sink);
  // Ends all followers; see ~Follower.
  virtual ~LogSet() = default;

  // These two from any thread.

  // Looks for new files now. Returns how many sources were added.
  virtual int Look() = 0;

  // By path.
  virtual std::vector<FollowerStatus> status() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LOG_SET_H_
