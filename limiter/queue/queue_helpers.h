// The root helpers (deferd-queue), one for each mail server instance, asked as if they were one.
//
// While a helper is away, what it listed last stands for its queue: nothing that it holds is
// forgotten, and the other instances go on. Its messages are then the ones whose orders are not
// done.
//
// Safe from any thread. Errors carry the helper's own words, and name it; Unavailable: it is away.

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
#include "absl/time/time.h"
#include "limiter/localrpc/json.h"
#include "limiter/localrpc/queued_mail.h"
#include "limiter/port/mutex.h"

namespace deferd {

// One helper's answer. FailedPrecondition carries its refusal.
absl::StatusOr<Json> AskQueueHelper(const std::string& socket, const std::string& verb,
                                    const Json& args, absl::Duration limit = absl::Seconds(25));

class QueueHelpers {
 public:
  using AskOne = std::function<absl::StatusOr<Json>(
      const std::string& socket, const std::string& verb, const Json& args, absl::Duration limit)>;

  explicit QueueHelpers(std::vector<std::string> sockets, AskOne ask = AskQueueHelper);

  // What all of them list. Two instances never have one id at a time; a message that is listed
  // twice, since two helpers look at one queue, is the first one's. An error as long as one has
  // never listed.
  absl::StatusOr<std::vector<QueuedMail>> List(absl::Duration limit);

  // `ids` or an `id` of `args` go to the helpers that listed them, anything else to all. The
  // answer's "not_done" has the messages of helpers that are away; if all that were asked are, that
  // is the error. Without ids, any error is one, after all were asked.
  absl::StatusOr<Json> Ask(const std::string& verb, const Json& args, absl::Duration limit);

  // Of the last listing: what is wrong with those that did not answer, one of several; empty: none.
  std::string problem() const;

  // [{"helper", "problem", "sender_table"}]
  Json StatusJson() const;

  std::string names() const;  // their sockets, with commas

 private:
  struct Helper {
    std::string socket;
    std::optional<std::vector<QueuedMail>> listed;
    std::string problem;
    Json sender_table = nullptr;
  };

  size_t HelperOf(const std::string& id) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Json> AskByIds(const std::string& verb, const Json& args, const Json& ids,
                                absl::Duration limit);

  const std::vector<std::string> sockets_;
  const AskOne ask_;
  mutable Mutex mutex_;
  std::vector<Helper> helpers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, size_t> helper_of_ ABSL_GUARDED_BY(mutex_);  // by message id
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_QUEUE_HELPERS_H_
