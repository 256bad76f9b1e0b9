// Parses one line of Exim's main log (Exim specification, chapter 53 "Log files").
//
// The parser reads from left to right and never searches: a remote server's reply, a Subject or a
// HELO name is free text and may imitate every field. Fields that are optional in the specification
// are optional here; unknown fields are skipped. The views point into the line.

#ifndef DEFERD_LIMITER_INTAKE_EXIM_LINE_H_
#define DEFERD_LIMITER_INTAKE_EXIM_LINE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace deferd {

enum class EximLineKind : uint8_t {
  kOther,           // another line of Exim; ignored
  kMalformed,       // begins like one of these, but cannot be parsed
  kArrival,         // <=, also (= (accepted, but the client got a rejection)
  kDelivered,       // =>  ->  >>
  kSuppressed,      // *>  : delivery was suppressed (-N); not an attempt
  kDeferred,        // ==
  kFailed,          // **
  kCompleted,       // Completed
  kIdentification,  // Sender identification U= D= S=  (hosting panels)
  kRejected,        // refused at SMTP time; without an id if no message was accepted
  kFrozen,          // "Message is frozen", "frozen by ...", "Frozen (...)", also "Delivery deferred
                    // by system filter": text
  kDiscarded,       // => blackhole (... discarded recipients), => discarded (system filter): text
  kClaimed,         // deferd claimed: ..., written by deploy/exim/local.conf: text
};

struct EximLine {
  EximLineKind kind = EximLineKind::kOther;
  absl::string_view id;  // 6-6-2 or, since Exim 4.97, 6-11-4

  // kArrival. `sender` also for deliveries, deferrals and failures, if Exim logs it there (F=<..>,
  // log_selector +sender_on_delivery)
  absl::string_view sender;       // "" for <>
  absl::string_view login;        // A=authenticator:LOGIN
  absl::string_view user;         // U=, local submissions only (a remote ident is not a proof)
  absl::string_view host_ip;      // H=.. [IP]
  absl::string_view subject;      // T="...", with its escapes
  absl::string_view bounce_of;    // R=: the message that this bounce is about
  absl::string_view message_id;   // id=, as in the header
  bool local_submission = false;  // P=local..., no H=
  bool doubtful = false;          // not in Exim's format: only the sender is trusted
  int recipients = 0;             // "for ..." (log_selector +received_recipients); 0: not printed

  // kDelivered, kDeferred, kFailed
  // As printed. For a bare local part with <original>, the original; for an address printed without
  // its quotes and then with them, the quoted form.
  absl::string_view recipient;
  absl::string_view original;  // <..>, if printed and different except for case
  absl::string_view router;
  absl::string_view transport;
  absl::string_view host;  // H=NAME (host_ip has its address)
  int port = 0;            // after the address, if printed
  absl::string_view text;  // reply or error; for a delivery, the value of C="", with its escapes
  int defer_code = 0;      // == .. defer (CODE)
  // H= is present, or the text begins like a remote error of older Exim versions; and the delivery
  // was not to a pipe, file, autoreply or :blackhole:.
  bool has_host = false;

  // kRejected also sets sender (F=), login, host, host_ip, recipient and text (the reason). If the
  // line is ambiguous, only text is set, to the whole of it.
  absl::string_view refused;  // the refused command: "RCPT", "after DATA", ...
  bool temporary = false;     // the client may try again

  // kClaimed: "claimed: user=.. cwd=.. script=..", each value a word or quoted with backslashes;
  // the last two are written by the program itself.

  // kIdentification
  absl::string_view account;            // U=
  absl::string_view identified_domain;  // D=
};

// `text` is the line after time stamp and [pid]. Never fails; see kMalformed.
EximLine ParseEximLine(absl::string_view text);

// Whether `text` begins with a message id, as all lines about messages do.
bool BeginsWithEximId(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_EXIM_LINE_H_
