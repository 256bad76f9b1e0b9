// The text that a reader leaves behind for the one after a restart: what it knows beside the open
// messages. One line of ASCII (JSON, strings C-escaped, since log text is no sure UTF-8).

#ifndef DEFERD_LIMITER_INTAKE_READER_STATE_H_
#define DEFERD_LIMITER_INTAKE_READER_STATE_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/stamp.h"
#include "policy/attempt.h"

namespace deferd {

// An SMTP session that hands its message on to a filter and has no id of its own for it.
struct ProxySession {
  std::string process;  // "postfix/submission/smtpd[57674]"
  std::string client_ip;
  std::string login;
  absl::Time since = absl::InfinitePast();  // it began to hand on the message
  bool answered = false;                    // the filter has answered
  std::string doubtful;  // the id of a message that may be what became of it, not yet answered

  friend bool operator==(const ProxySession&, const ProxySession&) = default;
};

struct ReaderState {
  StampReader::State stamps;
  absl::Time last_stamp = absl::InfinitePast();
  std::string unwrapper;  // LogUnwrapper::SaveState
  bool own_form = false;  // Exim wrote this file itself: no line has another program's prefix
  std::vector<ProxySession> sessions;  // the oldest first
  std::string hand_overs;              // HandOvers::SaveState
};

// `early`: attempts that wait for their arrival, which have no identity yet.
std::string EncodeReaderState(const ReaderState& state, const std::deque<Attempt>& early);

// Empty text is the state of a reader that has read nothing. DataLoss if `text` is no state.
absl::Status DecodeReaderState(absl::string_view text, ReaderState* state,
                               std::deque<Attempt>* early);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_READER_STATE_H_
