// The common part of the readers of all MTAs: joins attempts with the arrival of their message, and
// keeps and restores the state that this takes.
//
// A reader of a further MTA derives from it and interprets the lines (ReadLine). Not thread-safe,
// as every LogReader.

#ifndef DEFERD_LIMITER_INTAKE_JOINING_READER_H_
#define DEFERD_LIMITER_INTAKE_JOINING_READER_H_

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/intake/hand_overs.h"
#include "limiter/intake/log_reader.h"
#include "limiter/intake/log_wrapping.h"
#include "limiter/intake/open_messages.h"
#include "limiter/intake/reader_state.h"
#include "limiter/intake/stamp.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/open_message.h"

namespace deferd {

class JoiningReader : public LogReader {
 public:
  void SkipLine(EventBatch* batch) final;
  void set_latest(absl::Time latest) final { stamps_.set_latest(latest); }
  void set_written(absl::Time after, absl::Time before) final {
    stamps_.set_written(after, before);
  }
  size_t open_messages() const final { return messages_.size(); }
  int64_t evicted() const final { return messages_.evicted() + hand_overs_.evicted(); }
  absl::Time last_stamp() const final { return last_stamp_; }
  absl::Status Restore(std::vector<OpenMessage> open, absl::string_view state) final;

 protected:
  // `options`: EximReaderOptions or PostfixReaderOptions.
  template <typename Options>
  explicit JoiningReader(const Options& options)
      : tell_all_(options.open_messages),
        own_hosts_(options.own_hosts),
        relay_hosts_(options.relay_hosts),
        own_mail_(options.own_mail),
        stamps_(options.zone),
        messages_(options.max_open_messages) {}

  // The part of SaveState that all readers have.
  ReaderState CommonState() const;
  // Restores the rest. `early`: attempts that wait for their arrival.
  virtual void RestoreOwn(const ReaderState& state, std::deque<Attempt> early) = 0;
  // Completes an open message that was restored with arrival, identity and deferred recipients.
  virtual void Resume(ArrivedMessage* message) const = 0;

  // A host that may hand back mail. A customer's host is not trusted to name an id.
  bool IsOwn(absl::string_view ip) const;

  // deferd itself has sent it: it is charged to nobody, as what the MTA creates.
  bool IsOwnMail(const Identity& identity, absl::string_view message_id) const;

  const bool tell_all_;  // all kinds of events, not only attempts and completions
  const HostList own_hosts_;
  const HostList relay_hosts_;
  const OwnMailTest own_mail_;
  LogUnwrapper unwrapper_;
  StampReader stamps_;
  OpenMessages messages_;
  HandOvers hand_overs_;
  MessageKey forgotten_;  // by the last arrival, if its id is not empty
  absl::Time last_stamp_ = absl::InfinitePast();
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_JOINING_READER_H_
