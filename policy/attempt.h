// One try to deliver one message to one recipient, and the log events around it.
//
// Intake creates these values from log lines; all later stages work on the values only. Plain
// values without invariants beyond the comments. Times are those printed in the log.

#ifndef DEFERD_POLICY_ATTEMPT_H_
#define DEFERD_POLICY_ATTEMPT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/counts.h"
#include "policy/identity.h"
#include "policy/log_position.h"

namespace deferd {

// The first four count (expired as failed); the others are only shown. The numbers are stored.
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
  // Refused at RCPT time to one of our own senders. It never becomes a delivery and has a count of
  // its own. Readers propose it; the limiter turns it into kRejected if nobody is charged.
  kRejectedRecipient,
};
inline constexpr int kOutcomes = 11;

// "delivered", "deferred", ...
absl::string_view OutcomeName(Outcome outcome);

// How an outcome that counts is counted; meaningless for those that are only shown.
CountedOutcome CountedAs(Outcome outcome);

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

// Prefix of an arrival's reply that holds a local program's claims about itself.
inline constexpr absl::string_view kClaimPrefix = "claimed: ";
// Prefix of a kQueued that is not an arrival: a held message was released. A person's name follows.
inline constexpr absl::string_view kReleasedPrefix = "released by ";
// The same in rows of ledgers that earlier versions wrote.
inline constexpr absl::string_view kFormerReleasedPrefix = "let go by ";

struct Attempt {
  absl::Time time;
  MessageKey message;
  Identity identity;      // empty if the arrival was not seen
  std::string recipient;  // final address, as the MTA logs it
  std::string original;   // the address before aliases and forwards; empty if the same
  Outcome outcome = Outcome::kDelivered;
  std::string router;
  std::string transport;
  std::string host;          // the remote server's name
  std::string host_ip;       // and its address
  int port = 0;              // and its port, if logged
  std::string reply;         // remote server's reply, or the MTA's error text
  std::string mail_subject;  // Subject: line, if logged (kArrived only)
  bool remote = false;       // the MTA names another host or a server's reply (on_this_host.h)
  bool bare_expiry = false;  // the MTA gave up without another reason ("retry timeout exceeded")
  // Of kArrived only: recipients of the envelope, 0 if the MTA does not say. Of kIdentified as
  // well: whether the message had arrived before, under another id (a filter handed it back).
  int64_t recipients = 0;
  bool handed_over = false;

  bool attributed() const { return message.arrival != absl::InfinitePast(); }
};

// The events of a log, in log order.
struct LogEvent {
  enum class Kind : uint8_t {
    kAttempt,
    // The message is in the queue: time, message, identity, mail_subject; reply: the claims of a
    // local program, after kClaimPrefix.
    kArrived,
    kIdentified,  // the sender of an open message became known: time, message, identity
    kCompleted,   // the message has left the queue: time, message
    kForgotten,   // an open message was forgotten, because too many were open: message
    // A mail server asked about a message and was told to go on: time, message.id, identity. Of no
    // log.
    kAccepted,
    kShown,  // for people only, not counted: an attempt's fields, outcome kHeld, kRejected ...
  };
  Kind kind = Kind::kAttempt;
  Attempt attempt;
  // kIdentified: deferred recipients, if the MTA does not name them again.
  std::vector<std::string> deferred;
};

// Numbers of lines by kind. Every line is exactly one of the last four.
struct LineCounts {
  int64_t lines = 0;
  int64_t attempts = 0;
  int64_t not_mine = 0;   // another line of the MTA (arrivals, completions, daemon messages ...)
  int64_t rejected = 0;   // refused at SMTP time: shown, not an attempt
  int64_t malformed = 0;  // should be understood but cannot be parsed; also over-long lines

  LineCounts& operator+=(const LineCounts& other);
  friend bool operator==(const LineCounts&, const LineCounts&) = default;
};

// Passed from a follower to the recorder. Elements are reused (see Clear), so that reading a log
// allocates almost nothing.
class EventBatch {
 public:
  // A slot to fill; its strings hold old text, so assign every field.
  LogEvent* Add() {
    if (size_ == events_.size()) events_.emplace_back();
    events_[size_].deferred.clear();
    events_[size_].attempt.recipients = 0;
    events_[size_].attempt.handed_over = false;
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
  // Read position of the source after this batch, if positions are stored.
  std::optional<SourcePosition> position;

 private:
  std::vector<LogEvent> events_;
  size_t size_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_ATTEMPT_H_
