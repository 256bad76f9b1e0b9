// The twenty classes of replies and their properties.
//
// Pure values; safe from any thread. The classes and their defaults are deferd's own; the codes
// behind them are those of RFC 5321 (replies) and RFC 3463 (enhanced codes).

#ifndef DEFERD_POLICY_REPLY_REPLY_CLASS_H_
#define DEFERD_POLICY_REPLY_REPLY_CLASS_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace deferd {

enum class ReplyClass : uint8_t {
  kInvalidRecipient,
  kMailboxDisabled,
  kMailboxFull,
  kGreylisting,
  kRateLimited,
  kReputation,
  kAuthentication,
  kSenderIdentity,
  kRelayDenied,
  kContent,
  kPolicy,
  kMessageTooLarge,
  kDnsRouting,
  kTls,
  kNetwork,
  kMailLoop,
  kServerResources,
  kProtocolError,
  kLocal,
  kUnclassified,
};
inline constexpr int kReplyClasses = 20;

// What the reply is about. A reply about an IP or a server affects every domain that shares it.
enum class ReplyScope : uint8_t {
  kRecipient,     // one mailbox
  kSenderDomain,  // the sender, its domain or its message
  kIp,            // the address or name of the sending server
  kServer,        // the sending server as a whole: its queue, its settings, its commands
  kDestination,   // the receiving server or domain, for any sender
};
inline constexpr int kReplyScopes = 5;

enum class Permanence : uint8_t { kTransient, kPermanent };

// How a class counts by default (profile fair) if the reply is not about an IP or server.
enum class ReplyCounting : uint8_t { kCounts, kLeftOut };

// One row of the table of classes.
struct ReplyClassInfo {
  ReplyClass id;
  absl::string_view name;     // "mailbox_full": stable, for JSON, policies and metrics
  absl::string_view meaning;  // one sentence
  absl::string_view side;     // who has to act
  absl::string_view advice;   // what to do
  Permanence permanence;      // typical value; the reply itself decides
  ReplyScope scope;           // typical value
  ReplyCounting deferral;
  ReplyCounting failure;
};

const std::array<ReplyClassInfo, kReplyClasses>& ReplyClassTable();
const ReplyClassInfo& InfoOf(ReplyClass reply_class);

// Advice for such a reply. A permanent failure is never solved by waiting.
absl::string_view AdviceOf(ReplyClass reply_class, Permanence permanence);

absl::string_view ReplyClassName(ReplyClass reply_class);
std::optional<ReplyClass> ParseReplyClass(absl::string_view name);

// "recipient", "sender_domain", "ip", "server", "destination"
absl::string_view ReplyScopeName(ReplyScope scope);
std::optional<ReplyScope> ParseReplyScope(absl::string_view name);

// "transient", "permanent"
absl::string_view PermanenceName(Permanence permanence);

// Whether an attempt with this reply counts in profile fair. A reply about an IP or server never
// does: every domain that shares it gets the same one.
bool CountsByDefault(ReplyClass reply_class, ReplyScope scope, bool failure);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_CLASS_H_
