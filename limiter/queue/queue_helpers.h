// The root helpers (deferd-queue), one for each mail server instance, used like a single helper.
//
// While a helper is unreachable, its last listing stands for its queue: deferd forgets none of its
// held messages, and the other instances continue. Orders for its messages are reported as not
// done.
//
// Safe from any thread. Errors name the helper and carry its text; Unavailable: it is unreachable.

#ifndef DEFERD_LIMITER_QUEUE_QUEUE_HELPERS_H_
#define DEFERD_LIMITER_QUEUE_QUEUE_HELPERS_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "limiter/localrpc/queued_mail.h"
#include "limiter/port/mutex.h"

namespace deferd {

// Sends one request to a helper. FailedPrecondition carries its refusal.
absl::StatusOr<Json> CallQueueHelper(const std::string& socket, const std::string& verb,
                                     const Json& args, absl::Duration limit = absl::Seconds(25));

class QueueHelpers {
 public:
  using CallOne = std::function<absl::StatusOr<Json>(
      const std::string& socket, const std::string& verb, const Json& args, absl::Duration limit)>;

  explicit QueueHelpers(std::vector<std::string> sockets, CallOne call = CallQueueHelper);

  // The listings of all helpers. Two instances never use one id at a time; a message that two
  // helpers list, because both read one queue, belongs to the first. An error until every helper
  // has listed its queue once.
  absl::StatusOr<std::vector<QueuedMail>> List(absl::Duration limit);

  // Sends `ids`, or the `id`, of `args` to the helpers that listed them, and any other request to
  // all. "not_done" of the answer includes the messages of unreachable helpers; an error if all the
  // helpers are unreachable. Without ids, any error is returned, after all helpers were called.
  absl::StatusOr<Json> Call(const std::string& verb, const Json& args, absl::Duration limit);

  // Why a helper did not answer the last listing (one of several helpers); empty: all answered.
  std::string problem() const;

  // Whether what Postfix holds would be released: the helper that reads its queue has answered the
  // last listing. `door`: where that Postfix connects, one of `doors`; paths without "unix:", or
  // TCP addresses. A door below a helper's queue directory is of that instance; any other one may
  // be of each instance that has no door below its own. Does not wait for a listing.
  bool ReleasesPostfix(absl::string_view door, const std::vector<std::string>& doors) const;

  // [{"helper", "problem", "sender_table", "postfix": the queue directory of its Postfix, ""
  // without one, or null: not known}]
  Json StatusJson() const;

  std::string names() const;  // the sockets, separated by commas

 private:
  struct Helper {
    std::string socket;
    std::optional<std::vector<QueuedMail>> listed;
    std::string problem;
    Json sender_table = nullptr;
  };

  size_t HelperOf(const std::string& id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Json> CallByIds(const std::string& verb, const Json& args, const Json& ids,
                                 absl::Duration limit);

  const std::vector<std::string> sockets_;
  const CallOne call_;
  // What the answers to mail servers depend on; locked for moments only.
  struct Reach {
    bool answers = false;                // the last listing
    std::optional<std::string> postfix;  // its queue directory; empty: no Postfix
  };
  mutable Mutex reach_mutex_;
  std::vector<Reach> reach_ ABSL_GUARDED_BY(reach_mutex_);  // in the order of sockets_

  mutable Mutex mutex_;
  std::vector<Helper> helpers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, size_t> helper_of_ ABSL_GUARDED_BY(mutex_);  // by message id
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_QUEUE_HELPERS_H_
