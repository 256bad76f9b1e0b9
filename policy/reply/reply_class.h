// What a remote server's answer means: the twenty classes, and what is known of each.
//
// Pure values; everything here may be called from any thread. The classes and their defaults are
// deferd's own; the codes behind them are those of RFC 5321 (replies) and RFC 3463 (enhanced
// codes).

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

// What the answer is about. An answer about an IP or a server hits every domain that shares it.
enum class ReplyScope : uint8_t {
  kRecipient,     // one mailbox
  kSenderDomain,  // the sender, its domain or its message
  kIp,            // the address or name of the sending server
  kServer,        // the sending server as a whole: its queue, its settings, its commands
  kDestination,   // the receiving server or domain, whoever writes to it
};
inline constexpr int kReplyScopes = 5;

enum class Permanence : uint8_t { kTransient, kPermanent };

// How a class counts if the policy says nothing (profile fair) and the answer is about no IP or
// server.
enum class ReplyCounting : uint8_t { kCounts, kLeftOut };

// One row of the table of classes.
struct ReplyClassInfo {
  ReplyClass id;
  absl::string_view name;     // "mailbox_full": stable, for JSON, policies and metrics
  absl::string_view meaning;  // one sentence
  absl::string_view side;     // who has to act
  absl::string_view advice;   // what to do
  Permanence permanence;      // the usual one; the answer itself says the real one
  ReplyScope scope;           // the usual one
  ReplyCounting deferral;
  ReplyCounting failure;
};

const std::array<ReplyClassInfo, kReplyClasses>& ReplyClassTable();
const ReplyClassInfo& InfoOf(ReplyClass reply_class);

// What to do after such an answer. What is final is never answered by waiting.
absl::string_view AdviceOf(ReplyClass reply_class, Permanence permanence);

absl::string_view ReplyClassName(ReplyClass reply_class);
std::optional<ReplyClass> ParseReplyClass(absl::string_view name);

// "recipient", "sender_domain", "ip", "server", "destination"
absl::string_view ReplyScopeName(ReplyScope scope);
std::optional<ReplyScope> ParseReplyScope(absl::string_view name);

// "transient", "permanent"
absl::string_view PermanenceName(Permanence permanence);

// Whether an attempt with this answer counts in profile fair. One about an IP or a server never
// does: every domain that shares it gets the same.
bool CountsByDefault(ReplyClass reply_class, ReplyScope scope, bool failure);

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_CLASS_H_
