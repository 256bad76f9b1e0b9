// What one open message has contributed so far, recipient by recipient.
//
// A message may have hundreds of thousands of recipients, and each attempt changes one of them. So
// that the store need not write all of them each time, they are kept in parts, in the order in
// which they came: a part is what is stored as one value (contribution_codec.h). A part holds kPart
// recipients, and kNames of the names that the message has diluted. Part 0 also has who is charged.
//
// Plain values. Contributions owns the records: all fields are guarded by the limiter's lock.

#ifndef DEFERD_LIMITER_COUNTING_MESSAGE_RECORD_H_
#define DEFERD_LIMITER_COUNTING_MESSAGE_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
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
  std::optional<CountedOutcome> outcome;    // of the contribution; none yet
  absl::Time dated;                         // when it first got this outcome
  std::optional<ReplyClass> counted_class;  // what the answer of that attempt meant, of a bad one
  absl::Time last = absl::InfinitePast();   // the newest attempt that counted
  // The last attempt and the meaning of its reply, which an expiry without a reply inherits.
  LeftOut last_left_out = LeftOut::kCounts;
  std::optional<ReplyClass> last_class;
  ReplyScope last_scope = ReplyScope::kDestination;
  std::string place;                   // where the contribution is remembered (incidents.h); none
  std::optional<ReplyClass> left_out;  // as what it is shown among what is left out; not yet
};

class Recipients {
 public:
  static constexpr size_t kPart = 32;

  struct Entry {
    std::string name;
    RecipientRecord record;
  };
  struct Part {
    std::vector<Entry> entries;
    bool changed = false;  // differs from the store's copy
  };
  // A recipient and the part that it is in. Valid until the next one is added.
  struct Found {
    RecipientRecord* record = nullptr;
    size_t part = 0;
  };

  // Finds or adds the recipient.
  Found Of(absl::string_view name);
  // A null record if there is none.
  Found Find(absl::string_view name) const;
  // Puts back an entry of a part that is not full.
  void Restore(size_t part, Entry entry);

  size_t size() const { return size_; }
  size_t parts() const { return parts_.size(); }
  // Adds the part, and those before it, if they are missing.
  Part& PartAt(size_t number);
  const Part& PartAt(size_t number) const { return parts_[number]; }

 private:
  static constexpr size_t kSearched = 8;  // up to this size a linear search is used, no index

  void AddToIndex(absl::string_view name, size_t part, size_t slot);

  absl::InlinedVector<Part, 1> parts_;
  size_t size_ = 0;
  size_t with_room_ = 0;  // all parts before it are full
  // Where each is, by the hash of its name or, if that is taken by another, the next free number.
  std::unique_ptr<absl::flat_hash_map<uint64_t, std::pair<uint32_t, uint32_t>>> index_;
};

struct MessageRecord {
  static constexpr size_t kNames = 2 * Recipients::kPart;  // a delivery dilutes two names

  // Who was charged when the message was first attempted: later attempts go to the same subjects,
  // also when the lists were changed in between.
  ChargedSubjects charged;
  Recipients recipients;
  Dilution dilution;
  // Of limits on what is sent: the recipients counted for it; 0: it was not counted.
  int64_t sent_recipients = 0;
  // Those that were tried since deferd started, as RecipientNumber: of an alias the alias itself.
  // Null: none.
  std::unique_ptr<absl::flat_hash_set<uint64_t>> sent_to;
  bool stored = false;  // some of it is in the store
};

// A part as it is stored.
struct MessagePart {
  MessageKey message;
  size_t part = 0;
  ChargedSubjects charged;
  int64_t sent_recipients = 0;
  std::vector<Recipients::Entry> recipients;
  std::vector<std::pair<uint64_t, int32_t>> diluting;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_COUNTING_MESSAGE_RECORD_H_
