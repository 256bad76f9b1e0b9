// The messages in the queue according to the log: their senders, by message id.
//
// Bounded: above `capacity` the oldest arrival is forgotten. Slots are reused, so a steady state
// does not allocate. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_OPEN_MESSAGES_H_
#define DEFERD_LIMITER_INTAKE_OPEN_MESSAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/attempt.h"
#include "policy/identity.h"

namespace deferd {

struct ArrivedMessage {
  absl::Time arrival;
  Identity identity;
  std::vector<std::string>
      deferred;         // deferred recipients, for an MTA that expires all in one line
  bool active = false;  // seen in the queue, not only during arrival
  // How the message arrived, if logged: a local filter may hand back mail, and the MTA creates
  // messages itself.
  enum class Origin : uint8_t { kUnknown, kClient, kOwnHost, kLocalUser, kMta };
  Origin origin = Origin::kUnknown;
  bool handed_over = false;  // it arrived before, under another id
};

class OpenMessages {
 public:
  // Maximum id length in bytes; longer ids are distinguished by their first bytes only.
  static constexpr size_t kMaxId = 24;
  static constexpr size_t kMaxDeferred = 1000;  // recipients remembered per message

  explicit OpenMessages(size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

  // The slot for a message that has just arrived. Its fields hold old values. If another message
  // was forgotten to make room, or had the same id, its key is stored in `*forgotten`; otherwise
  // `*forgotten` has an empty id.
  ArrivedMessage* Open(absl::string_view id, MessageKey* forgotten = nullptr);

  // Null if its arrival was not seen. Valid until the next Open or Close.
  ArrivedMessage* Find(absl::string_view id);

  void Close(absl::string_view id);

  size_t size() const { return slot_of_.size(); }
  int64_t evicted() const { return evicted_; }

 private:
  using Id = std::array<uint64_t, kMaxId / sizeof(uint64_t)>;
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Slot {
    Id id;
    uint32_t older = kNone;
    uint32_t newer = kNone;
    ArrivedMessage message;
  };

  static Id MakeId(absl::string_view text) {
    Id id = {};
    if (!text.empty()) {  // an empty view may have no data pointer
      std::memcpy(id.data(), text.data(), text.size() < kMaxId ? text.size() : kMaxId);
    }
    return id;
  }
  static absl::string_view Text(const Id& id) {
    const auto* text = reinterpret_cast<const char*>(id.data());
    return absl::string_view(text, strnlen(text, kMaxId));
  }
  void Append(uint32_t index);
  void Unlink(uint32_t index);

  const size_t capacity_;
  absl::flat_hash_map<Id, uint32_t> slot_of_;
  std::deque<Slot> slots_;
  std::vector<uint32_t> free_;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  int64_t evicted_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_OPEN_MESSAGES_H_
