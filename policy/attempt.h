// One try to deliver one message to one recipient, and the log events around it.
//
// Intake makes these values from log lines; everything later works on them and never sees a line
// again. Plain values, no invariant beyond the comments. Times are those printed in the log.

#ifndef DEFERD_POLICY_ATTEMPT_H_
#define DEFERD_POLICY_ATTEMPT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/identity.h"
#include "policy/log_position.h"

namespace deferd {

// The first four count (expired as failed); the others are shown to people. The numbers are stored.
enum class Outcome : uint8_t {
  kDelivered,
  kDeferred,
  kFailed,
  kExpired,
  kQueued,
  kHeld,
  kRejected,
  kDiscarded,
  kFiltered,
  kArchived,
  // Refused at RCPT time to one of our own senders. It never becomes a delivery, so it is counted
  // by itself. Readers propose it; the limiter makes kRejected of what is charged to nobody.
  kRejectedRecipient,
};
inline constexpr int kOutcomes = 11;

// "delivered", "deferred", ...
absl::string_view OutcomeName(Outcome outcome);

// A message of this node. Ids are reused after days, so the arrival time belongs to the key.
struct MessageKey {
  std::string id;
  absl::Time arrival = absl::InfinitePast();  // InfinitePast: the arrival line was never seen

  friend bool operator==(const MessageKey&, const MessageKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const MessageKey& key) {
    return H::combine(std::move(h), key.id, key.arrival);
  }
};

// How the reply of an arrival begins that holds what a local program said of itself.
inline constexpr absl::string_view kClaimPrefix = "claimed: ";
// Of a kQueued that is no arrival: a held message is in the queue again. Who let go of it follows.
inline constexpr absl::string_view kLetGoPrefix = "let go by ";

struct Attempt {
  absl::Time time;
  MessageKey message;
  Identity identity;      // empty when the arrival was never seen
  std::string recipient;  // the final address, as the MTA names it
  std::string original;   // the address before aliases and forwards; empty if the same
  Outcome outcome = Outcome::kDelivered;
  std::string router;
  std::string transport;
  std::string host;          // the remote server's name
  std::string host_ip;       // and its address
  int port = 0;              // and its port, where the MTA logs it
  std::string reply;         // what it answered, or what the MTA says went wrong
  std::string mail_subject;  // the message's Subject: line, where the MTA logs it (kArrived alone)
  bool remote = false;       // the MTA names another host, or a server's answer (on_this_host.h)
  bool bare_expiry = false;  // the MTA gave up and gives no other reason ("retry timeout exceeded")

  bool attributed() const { return message.arrival != absl::InfinitePast(); }
};

// What a log line can tell, in the order of the log.
struct LogEvent {
  enum class Kind : uint8_t {
    kAttempt,
    // The message is in the queue now: time, message, identity, mail_subject; reply: what a local
    // program claims of itself, behind kClaimPrefix.
    kArrived,
    kIdentified,  // more is known of who sent an open message: time, message, identity
    kCompleted,   // the message has left the queue: time, message
    kForgotten,   // an open message was given up, too many were open: message
    kShown,  // for people alone, in no figure: an attempt's fields, outcome kHeld, kRejected ...
  };
  Kind kind = Kind::kAttempt;
  Attempt attempt;
  // kIdentified: the recipients that are deferred, where the MTA will not name them again.
  std::vector<std::string> deferred;
};

// How many lines were read, and what they were. Every line is exactly one of the last four.
struct LineCounts {
  int64_t lines = 0;
  int64_t attempts = 0;
  int64_t not_mine = 0;   // another line of the MTA (arrivals, completions, daemon messages ...)
  int64_t rejected = 0;   // mail refused at SMTP time: shown, no attempt
  int64_t malformed = 0;  // not understood, though it should have been; over-long lines too

  LineCounts& operator+=(const LineCounts& other);
  friend bool operator==(const LineCounts&, const LineCounts&) = default;
};

// What travels from a follower to the recorder. Elements are reused (see Clear), so that reading a
// log allocates next to nothing.
class EventBatch {
 public:
  // A slot to fill; its strings hold old text, assign every field.
  LogEvent* Add() {
    if (size_ == events_.size()) events_.emplace_back();
    events_[size_].deferred.clear();
    return &events_[size_++];
  }
  void Clear() {
    size_ = 0;
    counts = {};
    position.reset();
  }
  size_t size() const { return size_; }
  const LogEvent& operator[](size_t i) const { return events_[i]; }

  LineCounts counts;
  // How far its source is read with this batch, if that is kept.
  std::optional<SourcePosition> position;

 private:
  std::vector<LogEvent> events_;
  size_t size_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_ATTEMPT_H_
