#include "policy/reply/reply_class.h"

#include <cstddef>

namespace deferd {

namespace {

constexpr auto kTransient = Permanence::kTransient;
constexpr auto kPermanent = Permanence::kPermanent;
constexpr auto kCounts = ReplyCounting::kCounts;
constexpr auto kLeftOut = ReplyCounting::kLeftOut;

// In the order of the enum; the test holds it. The texts are read by people who know no SMTP.
constexpr std::array<ReplyClassInfo, kReplyClasses> kTable = {{
    {ReplyClass::kInvalidRecipient, "invalid_recipient",
     "The address does not exist at the destination, or no longer does.",
     "the sender (a typo, or an old address in a list)",
     "Check the spelling. Remove the address from lists, forms and forwarders. Do not send the "
     "message again unchanged.",
     kPermanent, ReplyScope::kRecipient, kCounts, kCounts},
    {ReplyClass::kMailboxDisabled, "mailbox_disabled",
     "The mailbox exists but is switched off, suspended or abandoned.",
     "the recipient or their provider",
     "Reach the person another way and stop mailing this address. Many such addresses mean that a "
     "list is out of date.",
     kPermanent, ReplyScope::kRecipient, kCounts, kCounts},
    {ReplyClass::kMailboxFull, "mailbox_full", "The recipient's mailbox is full.", "the recipient",
     "Ask the recipient to make room, then send again later. Drop the address if it keeps failing.",
     kTransient, ReplyScope::kRecipient, kLeftOut, kCounts},
    {ReplyClass::kGreylisting, "greylisting",
     "The server asks an unknown sender to try again shortly; nothing is wrong.", "nobody",
     "Wait: the queue tries again by itself, usually within 1 to 60 minutes. Do not send it again "
     "by hand. The recipient can permit the sender.",
     kTransient, ReplyScope::kDestination, kLeftOut, kCounts},
    {ReplyClass::kRateLimited, "rate_limited",
     "Too many connections, messages or recipients in a short time.",
     "the sender if it sends in bursts, else our server",
     "Send more slowly and to fewer recipients at once. Look for a script or an account that "
     "sends more than it should.",
     kTransient, ReplyScope::kSenderDomain, kLeftOut, kCounts},
    {ReplyClass::kReputation, "reputation",
     "The sending IP, network or domain is on a block list or has a bad reputation.",
     "our server if an IP is named, the sender if a domain or link is",
     "Open the list's lookup page if one is named, stop the source of the spam, then ask for "
     "removal.",
     kPermanent, ReplyScope::kIp, kCounts, kCounts},
    {ReplyClass::kAuthentication, "authentication",
     "SPF, DKIM or DMARC is missing, fails or does not fit the sender's address.",
     "the sender (DNS of its domain), sometimes a forwarder",
     "Publish or repair SPF, DKIM and DMARC of the From domain and send through the servers that "
     "they allow. A forwarder has to use SRS or ARC.",
     kPermanent, ReplyScope::kSenderDomain, kCounts, kCounts},
    {ReplyClass::kSenderIdentity, "sender_identity",
     "The sending host or the sender's address cannot be verified.",
     "our server for its name and reverse DNS, the sender for its address",
     "Reverse DNS or host name (HELO): the administrator corrects it. Sender address: use one "
     "that exists, in a domain with MX or A records.",
     kPermanent, ReplyScope::kSenderDomain, kLeftOut, kCounts},
    {ReplyClass::kRelayDenied, "relay_denied",
     "The server says that it does not handle mail for this domain, or requires a login first.",
     "the recipient's domain (its MX), or our mail routing",
     "Check that the MX records of the recipient's domain name the right server, and our own "
     "routing of it. For a smart host, set user name and password.",
     kPermanent, ReplyScope::kDestination, kCounts, kCounts},
    {ReplyClass::kContent, "content",
     "The text, a link, an attachment, a virus or the spam score of the message was refused.",
     "the sender",
     "Check whether the account was broken into. Remove the link or attachment. Many of these mean "
     "that spam leaves the domain.",
     kPermanent, ReplyScope::kSenderDomain, kCounts, kCounts},
    {ReplyClass::kPolicy, "policy",
     "A rule of the recipient or of their organisation forbids this sender, recipient or route.",
     "the recipient's organisation",
     "Ask the recipient to permit the sender, and which rule refused the message (members only, "
     "countries, forged senders ...).",
     kPermanent, ReplyScope::kRecipient, kCounts, kCounts},
    {ReplyClass::kMessageTooLarge, "message_too_large",
     "The message, or a part of it, is larger than the server accepts.", "the sender",
     "Make it smaller or send a link to the file. Attachments grow by a third on their way.",
     kPermanent, ReplyScope::kSenderDomain, kLeftOut, kLeftOut},
    {ReplyClass::kDnsRouting, "dns_routing",
     "The recipient's domain cannot be found or has no server that accepts mail.",
     "the sender if the domain has a typo, else the recipient's domain or our resolver",
     "Check the part after the @ and look up its MX records. If many domains fail at once, check "
     "our own resolver.",
     kPermanent, ReplyScope::kDestination, kLeftOut, kCounts},
    {ReplyClass::kTls, "tls",
     "Encryption is required and not available, or the handshake or certificate failed.",
     "the recipient's server (certificate) or our server (settings)",
     "Test STARTTLS at the recipient's server and compare protocols and certificate. Relax our "
     "own settings for that destination alone.",
     kTransient, ReplyScope::kDestination, kLeftOut, kLeftOut},
    {ReplyClass::kNetwork, "network",
     "The server did not answer, or refused or lost the connection, possibly until we gave up.",
     "the recipient's server or the path to it",
     "Wait. Test port 25 from our server. If every destination fails, check our own firewall and "
     "IPv6.",
     kTransient, ReplyScope::kDestination, kLeftOut, kCounts},
    {ReplyClass::kMailLoop, "mail_loop",
     "The message loops between servers until one of them stops it.",
     "whoever set up the forwarding",
     "Find and break the forwarding loop. Check the MX records and whether our server considers "
     "the domain local.",
     kPermanent, ReplyScope::kRecipient, kLeftOut, kLeftOut},
    {ReplyClass::kServerResources, "server_resources",
     "The receiving server has a problem of its own: overload, a full disk, an error.",
     "the recipient's server", "Wait. Nothing has to be changed on the sending side.", kTransient,
     ReplyScope::kDestination, kLeftOut, kLeftOut},
    {ReplyClass::kProtocolError, "protocol_error",
     "A command, a header or the format of the message violates the mail standards.",
     "whoever wrote the software that made the message, or our server",
     "Repair the script or program that builds the message; the administrator, if our server is "
     "the cause.",
     kPermanent, ReplyScope::kSenderDomain, kLeftOut, kCounts},
    {ReplyClass::kLocal, "local",
     "Our own server decided this: a limit, its retry times or its settings.", "our server",
     "See which limit it was and when it ends. It says nothing about the recipient.", kTransient,
     ReplyScope::kServer, kLeftOut, kLeftOut},
    {ReplyClass::kUnclassified, "unclassified", "The answer names no usable reason.", "unknown",
     "Read the answer itself. Codes from 400 on mean \"try later\", from 500 on \"no\". Ask the "
     "administrator of the receiving server.",
     kPermanent, ReplyScope::kDestination, kCounts, kCounts},
}};

constexpr std::array<absl::string_view, kReplyScopes> kScopeNames = {"recipient", "sender_domain",
                                                                     "ip", "server", "destination"};

}  // namespace

const std::array<ReplyClassInfo, kReplyClasses>& ReplyClassTable() { return kTable; }

const ReplyClassInfo& InfoOf(ReplyClass reply_class) {
  return kTable[static_cast<size_t>(reply_class)];
}

absl::string_view AdviceOf(ReplyClass reply_class, Permanence permanence) {
  if (permanence == Permanence::kPermanent) {
    switch (reply_class) {
      case ReplyClass::kGreylisting:
        return "Send the message again. If that is refused as well, ask the recipient to permit "
               "the "
               "sender.";
      case ReplyClass::kNetwork:
        return "Send the message again later. Test port 25 from our server. If every destination "
               "fails, check our own firewall and IPv6.";
      case ReplyClass::kServerResources:
        return "Send the message again later. If that is refused as well, tell the administrator "
               "of "
               "the receiving server. Nothing has to be changed on the sending side.";
      case ReplyClass::kLocal:
        return "See which limit or setting it was, then send the message again. It says nothing "
               "about the recipient.";
      default:
        break;
    }
  }
  return InfoOf(reply_class).advice;
}

absl::string_view ReplyClassName(ReplyClass reply_class) { return InfoOf(reply_class).name; }

std::optional<ReplyClass> ParseReplyClass(absl::string_view name) {
  for (const ReplyClassInfo& info : kTable) {
    if (info.name == name) return info.id;
  }
  return std::nullopt;
}

absl::string_view ReplyScopeName(ReplyScope scope) {
  return kScopeNames[static_cast<size_t>(scope)];
}

std::optional<ReplyScope> ParseReplyScope(absl::string_view name) {
  for (size_t i = 0; i < kScopeNames.size(); ++i) {
    if (kScopeNames[i] == name) return static_cast<ReplyScope>(i);
  }
  return std::nullopt;
}

absl::string_view PermanenceName(Permanence permanence) {
  return permanence == Permanence::kPermanent ? "permanent" : "transient";
}

bool CountsByDefault(ReplyClass reply_class, ReplyScope scope, bool failure) {
  const ReplyClassInfo& info = InfoOf(reply_class);
  if (scope == ReplyScope::kIp || scope == ReplyScope::kServer) return false;
  return (failure ? info.failure : info.deferral) == ReplyCounting::kCounts;
}

}  // namespace deferd
