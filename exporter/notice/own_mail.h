// How deferd knows the mail that it has sent itself, so that nobody is charged for it and no block
// stops it: a notice that a block of this host held would tell nobody of the block.
//
// Two marks, neither of which a sender can copy in time:
//   - a question names the port of the client's connection. SendMail binds the port itself, so no
//     other process of this machine has it while deferd's connection is open;
//   - a log names the Message-ID of what arrives. It is made of the notice's secret, which nobody
//     knows before the message is delivered, and that is after its arrival is in the log. Each is
//     taken once, and only about the time at which deferd sent it.
// Only of connections to this machine: mail that another host takes is in no log here.
//
// Safe from any thread. Bounded: the oldest Message-IDs are forgotten.

#ifndef DEFERD_EXPORTER_NOTICE_OWN_MAIL_H_
#define DEFERD_EXPORTER_NOTICE_OWN_MAIL_H_

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/port/mutex.h"

namespace deferd {

class OwnMail {
 public:
  static constexpr size_t kMost = 10'000;
  // How far the log's stamp of an arrival may be from the time of sending.
  static constexpr absl::Duration kBefore = absl::Minutes(1);
  static constexpr absl::Duration kAfter = absl::Minutes(10);

  // The message is about to be sent; without the brackets of the header.
  void Expect(const std::string& message_id, absl::Time now) ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether this arrival is the one that is expected. At most one is.
  bool TakeArrival(absl::string_view message_id, absl::Time arrival) ABSL_LOCKS_EXCLUDED(mutex_);

  // A connection of deferd to this machine, from this address and port.
  void Opened(const std::string& ip, int port) ABSL_LOCKS_EXCLUDED(mutex_);
  void Closed(const std::string& ip, int port) ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasConnection(const std::string& ip, int port) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable Mutex mutex_;
  std::map<std::string, absl::Time> expected_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<absl::Time, std::string>> order_ ABSL_GUARDED_BY(mutex_);
  std::set<std::pair<std::string, int>> connections_ ABSL_GUARDED_BY(mutex_);
};

// As the readers of logs take it (limiter/intake/log_reader.h).
std::function<bool(absl::string_view message_id, absl::Time arrival)> OwnMailTestOf(OwnMail* own);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_OWN_MAIL_H_
