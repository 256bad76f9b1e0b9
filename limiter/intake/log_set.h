// Follows all logs that match some patterns, including logs that appear later.
//
// A pattern is a path or a glob(3) pattern ("/var/log/vhosts/*/exim.log"). A plain path is a source
// even while its file is missing. A file that matches a pattern becomes a source when it is first
// seen and stays one. A rotated file ("mainlog.1") is never a source if its log is one or would be.
// Looks for new files every few seconds on its own thread.

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

// The stored state of a source.
struct SourceState {
  LogPosition position;
  std::vector<OpenMessage> open;
};

// A reader that continues from `*state`, whose open messages it takes. If the reader's own state
// cannot be decoded, the reader continues with the open messages only and logs that.
std::unique_ptr<LogReader> RestoredReader(
    const std::string& source, SourceState* state,
    const std::function<std::unique_ptr<LogReader>()>& new_reader);

struct LogSetOptions {
  std::vector<std::string> patterns;
  FollowerOptions follower;                      // for each log; `path` and `resume` are set here
  absl::Duration look_every = absl::Seconds(5);  // infinite: only when Look is called
};

class LogSet {
 public:
  using NewReader = std::function<std::unique_ptr<LogReader>()>;

  // Looks once before it returns. `known`: by path; a source whose reader state cannot be decoded
  // continues at its position with a new reader, and the problem is logged. Each follower's thread
  // calls the sink.
  static std::unique_ptr<LogSet> Start(LogSetOptions options,
                                       std::map<std::string, SourceState> known,
                                       NewReader new_reader, const Clock* clock,
                                       Follower::Sink sink);
  // Stops all followers; see ~Follower.
  virtual ~LogSet() = default;

  // These two are safe from any thread.

  // Looks for new files now. Returns the number of new sources.
  virtual int Look() = 0;

  // By path.
  virtual std::vector<FollowerStatus> status() const = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LOG_SET_H_
