// The MTA's queue as deferd sees it: joins the root helpers' listings with what the log and the
// ledger know of each message, and passes actions to the helpers.
//
// Safe from any thread. Errors of the helper carry its text; Unavailable if the helper is
// unreachable.

#ifndef DEFERD_LIMITER_QUEUE_MAIL_QUEUE_H_
#define DEFERD_LIMITER_QUEUE_MAIL_QUEUE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/evidence/receipt.h"
#include "limiter/localrpc/json.h"
#include "limiter/localrpc/queued_mail.h"
#include "limiter/port/clock.h"
#include "limiter/queue/holder.h"
#include "limiter/queue/queue_helpers.h"
#include "limiter/store/local_store.h"
#include "policy/attempt.h"
#include "policy/reply/reply_class.h"
#include "policy/settings.h"

namespace deferd {

class MailQueue {
 public:
  struct Parts {
    std::vector<std::string> helpers;      // their sockets
    std::unique_ptr<LedgerReader> ledger;  // used by this object only
    const Clock* clock = nullptr;
    std::function<Settings()> settings;
    std::function<std::optional<Receipt>(const Case&)> receipt;
    // Records events of kind kShown, which people see in the ledger.
    std::function<void(std::unique_ptr<EventBatch>)> record;
  };

  explicit MailQueue(Parts parts, QueueHelpers::CallOne call = CallQueueHelper)
      : parts_(std::move(parts)), helpers_(parts_.helpers, std::move(call)) {}

  const QueueHelpers& helpers() const { return helpers_; }
  absl::Time Now() const { return parts_.clock->Now(); }
  absl::Duration Elapsed() const { return parts_.clock->Elapsed(); }
  Settings settings() const { return parts_.settings(); }

  static constexpr absl::Duration kPatience = absl::Seconds(25);
  absl::StatusOr<std::vector<QueuedMail>> List(absl::Duration limit = kPatience) const;

  absl::StatusOr<Json> Call(const std::string& verb, const Json& args) const;

  // Records in the ledger what was done to these messages, as text for people.
  void Record(const std::vector<QueuedMail>& mail, Outcome outcome, const std::string& what) const;

  // Reads the outcome from the ledger; nullopt if the ledger cannot tell.
  std::optional<PortionOutcome> OutcomeOf(const std::vector<std::string>& ids,
                                          absl::Time since) const;
  // Describes whether spam, reputation or unknown recipients dominate the case's replies; empty if
  // they do not, nullopt if the replies are not known.
  std::optional<std::string> GraveOf(const Case& record) const;
  // The script named in the message's claim, else its local user; and its Subject: line.
  std::string ScriptOf(const QueuedMail& mail) const;
  std::string SubjectLineOf(const QueuedMail& mail) const;
  // The class of the newest answer to it; empty if none is known.
  std::string ReasonOf(const QueuedMail& mail) const;

 private:
  absl::StatusOr<std::vector<LedgerRow>> RowsOf(const std::string& id,
                                                std::vector<Outcome> outcomes,
                                                absl::Time since) const;

  const Parts parts_;
  mutable QueueHelpers helpers_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_MAIL_QUEUE_H_
