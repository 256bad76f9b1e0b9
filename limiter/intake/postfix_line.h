// One line of Postfix's log, taken apart (postfix-logwatch's subject, Postfix 2.3 to 3.9; the
// formats are those of log_adhoc(3), qmgr(8), smtpd(8), pickup(8), cleanup(8), bounce(8)).
//
// Read from left to right and never searched: addresses, what a remote server answered and a HELO
// name are free text and may imitate every field. Addresses are quoted where they need it
// (info_log_addr_form = external, the default), so a '>' outside quotes ends one. The views point
// into the line.

#ifndef DEFERD_LIMITER_INTAKE_POSTFIX_LINE_H_
#define DEFERD_LIMITER_INTAKE_POSTFIX_LINE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace deferd {

enum class PostfixLineKind : uint8_t {
  kOther,        // a line of Postfix's that is none of these: not ours
  kMalformed,    // begins like one of these and does not go on so
  kClient,       // smtpd: client=NAME[IP], sasl_...: a message begins to arrive
  kPickup,       // pickup: uid=N from=<..>: one of a local user
  kMessageId,    // cleanup: message-id=..; also of mail that Postfix makes or forwards itself
  kActive,       // qmgr: from=<..>, size=.., nrcpt=.. (queue active)
  kDelivery,     // to=<..>, relay=.., status=..
  kExpired,      // qmgr: from=<..>, status=expired, returned to sender: all recipients that remain
  kNotice,       // bounce: sender non-delivery notification: ID
  kRejected,     // reject, hold, discard, milter-...: at SMTP time; has no id where there was no
                 // message
  kHeld,         // postsuper: placed on hold
  kRemoved,      // removed
  kProxyClient,  // smtpd: NOQUEUE: client=..: as kClient, of a message that a filter is going to
                 // get
  kProxyAccept,  // smtpd: proxy-accept: ... queued as ID: what became of it
  kSession,      // smtpd: connect from, disconnect from: another client from now on
  kRequeued,     // MailScanner: Requeue: OLD to NEW: id, and queued_as for its new one
};

struct PostfixLine {
  PostfixLineKind kind = PostfixLineKind::kOther;
  absl::string_view id;  // short (hexadecimal) or long (digits and consonants)

  // kClient; and what a client that may say so (smtpd_authorized_xforward_hosts) said of its own
  absl::string_view client_ip;
  absl::string_view orig_client_ip;
  absl::string_view login;  // sasl_username
  // kDelivery: relay=NAME[PATH], a socket of this machine's.
  bool to_socket = false;

  // A filter of ours hands back that message (orig_queue_id), or it was put into the queue anew
  // (kPickup: orig_id).
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
  int port = 0;                 // 0 if none is printed
  absl::string_view status;     // "sent", "deferred", "bounced" ...
  absl::string_view text;       // what is in the parentheses; of kRejected, the reason
  absl::string_view queued_as;  // of "queued as ID" or "forwarded as ID" at the text's end
  absl::string_view action;     // kRejected: "reject", "hold", "discard", "milter-reject" ...
  absl::string_view stage;      // kRejected: "RCPT", "DATA", "END-OF-MESSAGE" ...

  absl::string_view notice_id;   // kNotice: the notice's own
  absl::string_view message_id;  // kMessageId, with its brackets; not of a resent-message-id
  int64_t nrcpt = 0;             // kActive: recipients; 0 if it is not printed
};

// `program` is the last part of the syslog tag ("smtp" of "postfix-out/smtp"), `text` what is
// behind the tag. Never fails, see kMalformed.
PostfixLine ParsePostfixLine(absl::string_view program, absl::string_view text);

// Whether a syslog tag is one of Postfix's programs that deferd reads; `*program` is which.
bool IsPostfixTag(absl::string_view tag, absl::string_view* program);

// Whether a tag that is none of these still is Postfix's as a whole, as journalctl -o with-unit
// ("postfix@-.service") and some containers print it ("postfix", "postfix/relay").
bool IsPostfixUnit(absl::string_view tag);

// The program that writes lines like `text`; empty if it is none of those that deferd reads.
absl::string_view PostfixProgramOf(absl::string_view text);

// What MailScanner writes where it puts a message into the queue anew.
PostfixLine ParseMailScannerLine(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_POSTFIX_LINE_H_
