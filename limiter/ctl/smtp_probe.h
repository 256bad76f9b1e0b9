// One SMTP session with a mail server of this host that goes as far as DATA and sends no message:
// whether the server takes mail, as a client sees it.

#ifndef DEFERD_LIMITER_CTL_SMTP_PROBE_H_
#define DEFERD_LIMITER_CTL_SMTP_PROBE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace deferd {

// Connects to the port on 127.0.0.1, and sends `MAIL FROM:<>`, `RCPT TO:<recipient>` and DATA. Ok:
// the answer to DATA is 354. Unavailable: an answer that is none of 2xx and 354 (the message quotes
// it), no connection, or no answer within `patience`.
absl::Status ProbeSmtp(int port, const std::string& recipient, absl::Duration patience);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SMTP_PROBE_H_
