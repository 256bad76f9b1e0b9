// Remembers which messages were counted when they were accepted. Each counts once, whether a mail
// server queried deferd about it, its arrival was logged, or both.
//
// The message id joins the two. A message that was queried and never arrives stays counted. A
// message that arrives before its sender is known counts when the sender becomes known. The memory
// is not stored: a message that is queried just before a restart, and whose arrival is read after
// it, counts twice, and one that arrives before a restart, and whose sender is named after it, does
// not count. Bounded: the oldest messages are forgotten first. All fields are guarded by the
// limiter's lock.

#ifndef DEFERD_LIMITER_COUNTING_ACCEPTED_H_
#define DEFERD_LIMITER_COUNTING_ACCEPTED_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace deferd {

class Accepted {
 public:
  // MTAs reuse ids: the same id after a longer time is another message.
  static constexpr absl::Duration kSame = absl::Hours(1);
  static constexpr size_t kMost = 200'000;

  // Returns true if the query counts the message: neither a query nor an arrival has.
  bool TakeQuestion(const std::string& id, absl::Time now);
  // Returns true if the arrival counts the message; false if a query has.
  bool TakeArrival(const std::string& id, absl::Time now);

  // The message has arrived, with so many recipients (0: unknown), and nobody could be charged.
  void Await(const std::string& id, absl::Time now, int64_t recipients);
  // Returns the recipients of a message that Await noted, and forgets it; nullopt if there is none.
  std::optional<int64_t> TakeAwaited(const std::string& id);

 private:
  struct Message {
    absl::Time at;
    bool arrived = false;
  };
  struct Awaited {
    absl::Time at;
    int64_t recipients = 0;
  };

  Message* Find(const std::string& id, absl::Time now);
  void Put(const std::string& id, absl::Time now, bool arrived);

  absl::flat_hash_map<std::string, Message> messages_;
  absl::flat_hash_map<std::string, Awaited> awaited_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_ACCEPTED_H_
