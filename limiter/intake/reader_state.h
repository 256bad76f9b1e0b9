// Encodes a reader's state for the next start, except the open messages. One line of ASCII (JSON
// with C-escaped strings, because log text may not be UTF-8).

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

// An SMTP session that passes its message to a filter and has no id of its own for it.
struct ProxySession {
  std::string process;  // "postfix/submission/smtpd[57674]"
  std::string client_ip;
  std::string login;
  absl::Time since = absl::InfinitePast();  // start of the hand-over
  bool answered = false;                    // the filter has answered
  std::string doubtful;                     // id of a possible copy, while there is no answer yet

  friend bool operator==(const ProxySession&, const ProxySession&) = default;
};

struct ReaderState {
  StampReader::State stamps;
  absl::Time last_stamp = absl::InfinitePast();
  std::string unwrapper;  // LogUnwrapper::SaveState
  bool own_form = false;  // Exim wrote this file itself: no line has another program's prefix
  std::vector<ProxySession> sessions;  // oldest first
  std::string hand_overs;              // HandOvers::SaveState
};

// `early`: attempts that wait for their arrival and have no identity yet.
std::string EncodeReaderState(const ReaderState& state, const std::deque<Attempt>& early);

// An empty text is the state of a new reader. DataLoss if `text` is malformed.
absl::Status DecodeReaderState(absl::string_view text, ReaderState* state,
                               std::deque<Attempt>* early);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_READER_STATE_H_
