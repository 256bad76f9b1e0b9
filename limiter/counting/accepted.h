// Which messages were counted when they were accepted: each counts once, whether a mail server
// asked about it, its arrival was logged, or both.
//
// The message id joins the two. What was asked and never arrives stays counted. In memory alone:
// a message that was asked about just before a restart, and whose arrival is read after it, counts
// twice. Bounded: the oldest go first. Owned by the limiter and under its lock.

#ifndef DEFERD_LIMITER_COUNTING_ACCEPTED_H_
#define DEFERD_LIMITER_COUNTING_ACCEPTED_H_

#include <cstddef>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace deferd {

class Accepted {
 public:
  // Ids are used again after a while: what is older is another message.
  static constexpr absl::Duration kSame = absl::Hours(1);
  static constexpr size_t kMost = 200'000;

  // Whether a question about the message counts it.
  bool TakeQuestion(const std::string& id, absl::Time now);
  // Whether its arrival does; false: a question has.
  bool TakeArrival(const std::string& id, absl::Time now);
  bool Has(const std::string& id, absl::Time now) { return Find(id, now) != nullptr; }

 private:
  struct Message {
    absl::Time at;
    bool arrived = false;
  };

  Message* Find(const std::string& id, absl::Time now);
  void Put(const std::string& id, absl::Time now, bool arrived);

  absl::flat_hash_map<std::string, Message> messages_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_ACCEPTED_H_
