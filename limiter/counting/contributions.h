// What each open message has contributed so far: the memory of counting "once".
//
// Per (message, recipient) there is at most one contribution: the outcome that it has now, dated
// when it first got that outcome. A message is forgotten at its completion. Which messages have
// changed since they were last stored is remembered, if asked for. Confined to the recorder.

#ifndef DEFERD_LIMITER_COUNTING_CONTRIBUTIONS_H_
#define DEFERD_LIMITER_COUNTING_CONTRIBUTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/counting/window.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/dilution.h"
#include "policy/left_out.h"
#include "policy/reply/reply_class.h"

namespace deferd {

struct RecipientRecord {
  std::optional<CountedOutcome> outcome;   // of the contribution; none yet
  absl::Time dated;                        // when it first got this outcome
  absl::Time last = absl::InfinitePast();  // the newest attempt that counted
  // What the last attempt was and its answer meant, for a bare expiry.
  LeftOut last_left_out = LeftOut::kCounts;
  std::optional<ReplyClass> last_class;
  ReplyScope last_scope = ReplyScope::kDestination;
  std::string place;                   // where the contribution is remembered (incidents.h); none
  std::optional<ReplyClass> left_out;  // as what it is shown among what is left out; not yet
};

struct MessageRecord {
  // Who was charged when the message was first attempted: later attempts go to the same subjects,
  // also when the lists were changed in between.
  ChargedSubjects charged;
  absl::flat_hash_map<std::string, RecipientRecord> recipients;
  Dilution dilution;

  // Of the store's copy.
  bool changed = false;
  bool stored = false;
};

class Contributions {
 public:
  Contributions(size_t max_messages, bool tell_changes)
      : max_messages_(max_messages), tell_changes_(tell_changes) {}

  // Makes it if it is new. Valid until the next call.
  MessageRecord& OfMessage(const MessageKey& key);
  // Null if there is none.
  MessageRecord* Find(const MessageKey& key);
  void Forget(const MessageKey& key);
  // Contributions dated later were none; their recipients count anew.
  void ForgetAfter(absl::Time t);

  // `record`, which belongs to `key`, differs from what is stored of it.
  void Changed(const MessageKey& key, MessageRecord* record);
  // Those that changed since the last call, each once; some may be gone.
  std::vector<MessageKey> TakeChanged();
  // Those with `stored` that were forgotten since the last call.
  std::vector<MessageKey> TakeGone();

  size_t size() const { return messages_.size(); }
  int64_t evicted() const { return evicted_; }

 private:
  void EvictOldest();

  const size_t max_messages_;
  const bool tell_changes_;
  absl::flat_hash_map<MessageKey, MessageRecord> messages_;
  std::vector<MessageKey> changed_;
  std::vector<MessageKey> gone_;
  int64_t evicted_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_CONTRIBUTIONS_H_
