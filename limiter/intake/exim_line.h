// One line of Exim's main log, taken apart (Exim specification, chapter 53 "Log files").
//
// Read from left to right and never searched: what a remote server answered, a subject or a HELO
// name is free text and may imitate every field. Fields that the chapter makes optional are
// optional here; unknown ones are skipped. The views point into the line.

#ifndef DEFERD_LIMITER_INTAKE_EXIM_LINE_H_
#define DEFERD_LIMITER_INTAKE_EXIM_LINE_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace deferd {

enum class EximLineKind : uint8_t {
  kOther,           // a line of Exim's that is none of these: not ours
  kMalformed,       // begins like one of these and does not go on so
  kArrival,         // <=, also (= (accepted, and the client told otherwise)
  kDelivered,       // =>  ->  >>
  kSuppressed,      // *>  : delivery was suppressed (-N); no attempt
  kDeferred,        // ==
  kFailed,          // **
  kCompleted,       // Completed
  kIdentification,  // Sender identification U= D= S=  (hosting panels)
  kRejected,        // refused at SMTP time; has no id where no message was accepted
  kFrozen,          // "Message is frozen", "frozen by ...", "Frozen (...)", also "Delivery deferred
                    // by system filter": text
  kDiscarded,       // => blackhole (... discarded recipients), => discarded (system filter): text
  kClaimed,         // deferd claimed: ..., which deploy/exim/local.conf has Exim write: text
};

struct EximLine {
  EximLineKind kind = EximLineKind::kOther;
  absl::string_view id;  // 6-6-2 or, since Exim 4.97, 6-11-4

  // kArrival; `sender` also of a delivery, a deferral or a failure, where Exim logs it there
  // (F=<..>, log_selector +sender_on_delivery)
  absl::string_view sender;      // "" for <>
  absl::string_view login;       // A=authenticator:LOGIN
  absl::string_view user;        // U=, only of local submissions (a remote ident is nobody's proof)
  absl::string_view host_ip;     // H=.. [IP]
  absl::string_view subject;     // T="...", with its escapes
  absl::string_view bounce_of;   // R=: the message that this one is a bounce of
  absl::string_view message_id;  // id=, as the header has it
  bool local_submission = false;  // P=local..., no H=
  bool doubtful = false;          // not as Exim writes it: nothing but the sender is believed

  // kDelivered, kDeferred, kFailed
  // As printed. Of a bare local part with <original>, the original; of an address that is printed
  // without its quotes and then with them, the latter.
  absl::string_view recipient;
  absl::string_view original;  // <..>, if printed and different but for case
  absl::string_view router;
  absl::string_view transport;
  absl::string_view host;  // H=NAME (host_ip has its address)
  int port = 0;            // behind the address, if printed
  absl::string_view text;  // reply or error; of a delivery, what is in C="", with its escapes
  int defer_code = 0;      // == .. defer (CODE)
  // H= was there, or the text begins as older Exims report a remote error; and the delivery was not
  // to a pipe, file, autoreply or :blackhole:.
  bool has_host = false;

  // kRejected, of which also sender (F=), login, host, host_ip, recipient and text (the reason) are
  // filled; unless it is doubtful whose words these are: then nothing but text, the whole of it.
  absl::string_view refused;  // what was refused: "RCPT", "after DATA", ...
  bool temporary = false;     // the client may try again

  // kClaimed: "claimed: user=.. cwd=.. script=..", each value a word or quoted with backslashes;
  // the last two are a program's own words.

  // kIdentification
  absl::string_view account;            // U=
  absl::string_view identified_domain;  // D=
};

// `text` is the line behind stamp and [pid]. Returns by value; never fails, see kMalformed.
EximLine ParseEximLine(absl::string_view text);

// Whether `text` begins with a message id, as all lines about messages do.
bool BeginsWithEximId(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_EXIM_LINE_H_
