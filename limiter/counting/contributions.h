// What each open message has contributed so far: the memory of counting "once".
//
// Per (message, recipient) there is at most one contribution: the outcome that it has now, dated
// when it first got that outcome. A message is forgotten at its completion. With `track_changes`,
// it also remembers which parts of which messages have changed since they were last stored. Bounded
// in messages and in recipients of all messages together: the oldest messages are forgotten first.
//
// All fields are guarded by the limiter's lock. Restore comes before anything else. A reference
// returned by OfMessage or OfRecipient is valid until the next call that adds or forgets.

#ifndef DEFERD_LIMITER_COUNTING_CONTRIBUTIONS_H_
#define DEFERD_LIMITER_COUNTING_CONTRIBUTIONS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/counting/message_record.h"
#include "policy/attempt.h"

namespace deferd {

class Contributions {
 public:
  Contributions(size_t max_messages, size_t max_recipients, bool track_changes)
      : max_messages_(max_messages),
        max_recipients_(max_recipients),
        track_changes_(track_changes) {}

  // Finds or adds the message, and makes room for one more recipient.
  MessageRecord& OfMessage(const MessageKey& key);
  // Finds or adds a recipient. Call OfMessage first: it makes the room.
  Recipients::Found OfRecipient(absl::string_view name, MessageRecord* record);
  // Null if there is none.
  MessageRecord* Find(const MessageKey& key);
  void Forget(const MessageKey& key);
  // Undoes contributions with a later date (a clock ran ahead); their recipients count again.
  void ForgetAfter(absl::Time t);

  struct Part {
    MessageKey message;
    size_t part = 0;
  };
  // A part of `record`, which belongs to `key`, differs from what is stored of it.
  void Changed(const MessageKey& key, MessageRecord* record, size_t part);
  // The parts changed since the last call; some of their messages may be forgotten by now.
  std::vector<Part> TakeChanged();
  // All parts of stored messages that were forgotten since the last call.
  std::vector<Part> TakeGone();
  // The store could not delete these: the next TakeGone returns them again.
  void PutBack(std::vector<Part> gone) { gone_.insert(gone_.begin(), gone.begin(), gone.end()); }

  // Restores a stored part. Older versions stored a whole message as one part.
  void Restore(MessagePart part);

  size_t size() const { return messages_.size(); }
  size_t recipients() const { return recipients_; }
  int64_t evicted() const { return evicted_; }

 private:
  void EvictOldest();
  void Drop(const MessageKey& key, const MessageRecord& record);

  const size_t max_messages_;
  const size_t max_recipients_;
  const bool track_changes_;
  absl::flat_hash_map<MessageKey, MessageRecord> messages_;
  size_t recipients_ = 0;  // of all messages
  std::vector<Part> changed_;
  std::vector<Part> gone_;
  int64_t evicted_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_CONTRIBUTIONS_H_
