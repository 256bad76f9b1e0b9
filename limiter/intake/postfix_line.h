// Parses one line of Postfix's log (Postfix 2.3 to 3.9; formats of log_adhoc(3), qmgr(8), smtpd(8),
// pickup(8), cleanup(8), bounce(8)).
//
// The parser reads from left to right and never searches: addresses, a remote server's reply and a
// HELO name are free text and may imitate every field. Addresses are quoted where necessary
// (info_log_addr_form = external, the default), so a '>' outside quotes ends an address. The views
// point into the line.

#ifndef DEFERD_LIMITER_INTAKE_POSTFIX_LINE_H_
#define DEFERD_LIMITER_INTAKE_POSTFIX_LINE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace deferd {

enum class PostfixLineKind : uint8_t {
  kOther,        // another line of Postfix; ignored
  kMalformed,    // begins like one of these, but cannot be parsed
  kClient,       // smtpd: client=NAME[IP], sasl_...: a message begins to arrive
  kPickup,       // pickup: uid=N from=<..>: mail of a local user
  kMessageId,    // cleanup: message-id=..; also for mail that Postfix creates or forwards itself
  kActive,       // qmgr: from=<..>, size=.., nrcpt=.. (queue active)
  kDelivery,     // to=<..>, relay=.., status=..
  kExpired,      // qmgr: from=<..>, status=expired, returned to sender: all remaining recipients
  kNotice,       // bounce: sender non-delivery notification: ID
  kRejected,     // reject, hold, discard, milter-...: at SMTP time; has no id where there was no
                 // message
  kHeld,         // postsuper: placed on hold
  kRemoved,      // removed
  kProxyClient,  // smtpd: NOQUEUE: client=..: as kClient, of a message that a filter is going to
                 // get
  kProxyAccept,  // smtpd: proxy-accept: ... queued as ID: the filter's answer
  kSession,      // smtpd: connect from, disconnect from: a new client follows
  kRequeued,     // MailScanner: Requeue: OLD to NEW: id, and queued_as for the new one
};

struct PostfixLine {
  PostfixLineKind kind = PostfixLineKind::kOther;
  absl::string_view id;  // short (hexadecimal) or long (digits and consonants)

  // kClient; orig_client_ip: the original client as reported by a trusted client
  // (smtpd_authorized_xforward_hosts)
  absl::string_view client_ip;
  absl::string_view orig_client_ip;
  absl::string_view login;  // sasl_username
  // kDelivery: relay=NAME[PATH], a socket of this machine.
  bool to_socket = false;

  // The message that a local filter hands back (orig_queue_id), or that was requeued (kPickup:
  // orig_id).
  absl::string_view orig_id;

  // kPickup
  absl::string_view uid;  // digits

  // kPickup, kActive, kExpired, kRejected: "" for <>
  absl::string_view sender;

  // kDelivery, kRejected
  absl::string_view recipient;
  absl::string_view original;  // orig_to, if printed
  absl::string_view agent;     // "smtp", "local", "error" ...
  absl::string_view host;      // relay=NAME[IP]:PORT, or NAME of "none", "local" ...
  absl::string_view host_ip;
  int port = 0;                 // 0 if not printed
  absl::string_view status;     // "sent", "deferred", "bounced" ...
  absl::string_view text;       // text in the parentheses; for kRejected, the reason
  absl::string_view queued_as;  // ID in "queued as ID" or "forwarded as ID" at the end of the text
  absl::string_view action;     // kRejected: "reject", "hold", "discard", "milter-reject" ...
  absl::string_view stage;      // kRejected: "RCPT", "DATA", "END-OF-MESSAGE" ...

  absl::string_view notice_id;   // kNotice: id of the bounce message
  absl::string_view message_id;  // kMessageId, with its brackets; not for resent-message-id
  int64_t nrcpt = 0;             // kActive: recipients; 0 if not printed
};

// `program` is the last part of the syslog tag ("smtp" of "postfix-out/smtp"), `text` follows the
// tag. Never fails; see kMalformed.
PostfixLine ParsePostfixLine(absl::string_view program, absl::string_view text);

// Whether a syslog tag is one of Postfix's programs that deferd reads; `*program` is its name.
bool IsPostfixTag(absl::string_view tag, absl::string_view* program);

// Whether another tag stands for Postfix as a whole, as journalctl -o with-unit
// ("postfix@-.service") and some containers print it ("postfix", "postfix/relay").
bool IsPostfixUnit(absl::string_view tag);

// The program that writes lines like `text`; empty if it is not one that deferd reads.
absl::string_view PostfixProgramOf(absl::string_view text);

// Parses MailScanner's line about a requeued message.
PostfixLine ParseMailScannerLine(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_POSTFIX_LINE_H_
