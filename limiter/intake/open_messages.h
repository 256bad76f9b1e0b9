// The messages in the queue, as far as the log has told: who sent each, by message id.
//
// Bounded: beyond `capacity` the oldest arrival is forgotten. Slots are reused, so a steady state
// allocates nothing. Not thread-safe.

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
  std::vector<std::string> deferred;  // recipients, of an MTA that gives up all of them in one line
  bool active = false;                // it was seen in the queue, and not only on its way there
  // How it came, if the log told: a filter of ours may hand back what it was handed, and the MTA
  // makes messages itself.
  enum class Origin : uint8_t { kUnknown, kClient, kOwnHost, kLocalUser, kMta };
  Origin origin = Origin::kUnknown;
};

class OpenMessages {
 public:
  // Longest id kept, in bytes; longer ones are told apart by their first bytes only.
  static constexpr size_t kMaxId = 24;
  static constexpr size_t kMaxDeferred = 1000;  // recipients of one message that are remembered

  explicit OpenMessages(size_t capacity) : capacity_(capacity == 0 ? 1 : capacity) {}

  // The slot of a message that has just arrived, the newest now. Its fields hold old values. The
  // key of a message that was forgotten for it goes into `*forgotten`, whose id is empty otherwise:
  // the oldest one, or an earlier one of the same id.
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
    if (!text.empty()) {  // which may have no data
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
