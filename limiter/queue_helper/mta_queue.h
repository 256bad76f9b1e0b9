// Actions on an MTA's queue that need root: the purpose of the helper deferd-queue.
//
// Arguments are checked first: an id must have the form of a queue id, a redirect's address must be
// a plain address. Each action runs a fixed program with a fixed list of arguments; all programs of
// one call together get kLimit. Exim: -MG, -Mg, -Mrm, -Mar, -Mmd, -Mt, -M (specification, section
// 5.2) and the named queue kHeldQueue (Exim 4.88 and newer). Postfix: postsuper(1), postqueue(1),
// postcat(1), sendmail(1). The form of an id shows which MTA it belongs to.
//
// An MTA that is processing a message leaves the message where it is ("Spool file is locked") and
// may still report success. The result of an action is therefore read from the queue.
//
// Not thread-safe: one action at a time.

#ifndef DEFERD_LIMITER_QUEUE_HELPER_MTA_QUEUE_H_
#define DEFERD_LIMITER_QUEUE_HELPER_MTA_QUEUE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/localrpc/queued_mail.h"
#include "limiter/port/command.h"

namespace deferd {

struct MtaPrograms {
  std::string exim;            // path; empty: no Exim
  std::string exim_config;     // for -C; empty: Exim's default
  std::string postfix;         // directory of postsuper; empty: no Postfix
  std::string postfix_config;  // for -c; empty: Postfix's default
};

class MtaQueue {
 public:
  static constexpr char kHeldQueue[] = "deferd-held";
  static constexpr size_t kMaxIds = 1000;                      // per call
  static constexpr absl::Duration kLimit = absl::Seconds(20);  // per call

  explicit MtaQueue(MtaPrograms programs) : programs_(std::move(programs)) {}

  // All queued messages of all MTAs.
  absl::StatusOr<std::vector<QueuedMail>> List();

  // Messages that the queue still shows unchanged, and why, as far as the MTA reported it.
  using NotDone = std::map<std::string, std::string>;  // by id

  // InvalidArgument if an id is malformed or its MTA is not installed; nothing was done then. Ids
  // that are no longer in the queue are ignored. Other errors are those of Commands.
  absl::StatusOr<NotDone> Hold(const std::vector<std::string>& ids);
  absl::StatusOr<NotDone> Release(const std::vector<std::string>& ids);  // and delivers them
  absl::StatusOr<NotDone> GiveBack(
      const std::vector<std::string>& ids);  // with a bounce to the sender
  absl::StatusOr<NotDone> Discard(const std::vector<std::string>& ids);  // without a bounce
  absl::Status Try(const std::vector<std::string>& ids);  // delivers now; Postfix only
  absl::Status Requeue(const std::string& id);            // delivers now
  absl::Status Flush();                                   // delivers all messages that are not held
  // Postfix's myorigin: the domain that sendmail(1) adds to a sender without one; empty if it
  // cannot be determined.
  std::string PostfixOrigin();
  // Postfix's queue_directory; empty without Postfix, or if it cannot be determined.
  std::string PostfixFolder();
  // Replaces all remaining recipients by `address`.
  absl::Status Redirect(const std::string& id, const std::string& address);

 private:
  struct Ids {
    std::vector<std::string> exim;
    std::vector<std::string> postfix;
  };
  // Sorts the ids by MTA and starts the time limit of the call.
  absl::StatusOr<Ids> Begin(const std::vector<std::string>& ids);
  absl::Duration Left() const;  // of the call's time
  absl::StatusOr<std::vector<QueuedMail>> ListWithin();
  absl::StatusOr<std::vector<QueuedMail>> ListOf(const Ids& ids, bool held);
  absl::StatusOr<std::string> Run(const std::vector<std::string>& argv,
                                  absl::string_view input = "");
  std::vector<std::string> Exim(std::vector<std::string> arguments) const;
  std::vector<std::string> Postfix(absl::string_view program,
                                   std::vector<std::string> arguments) const;
  // `held`: works on the held queue. Exim's output is appended to `said` unless that is null.
  absl::Status RunExim(bool held, std::vector<std::string> options,
                       const std::vector<std::string>& ids, std::string* said = nullptr);
  // Adds those of `ids` that are in a queue (Exim's held or main one), with the MTA's message.
  absl::Status AddHeld(const Ids& ids, absl::string_view said, NotDone* found);
  absl::Status AddNotHeld(const Ids& ids, absl::string_view said, NotDone* found);
  // Passes the ids on standard input.
  absl::Status Postsuper(std::vector<std::string> arguments, const std::vector<std::string>& ids);
  absl::Status TryPostfix(const std::vector<std::string>& ids);
  absl::Status ToMainQueue(const std::vector<std::string>& ids);
  absl::Status RedirectExim(const QueuedMail& mail, const std::string& address);
  absl::Status RedirectPostfix(const QueuedMail& mail, const std::string& address);

  const MtaPrograms programs_;
  Commands commands_;
  absl::Duration end_ = absl::InfiniteDuration();  // Clock::Elapsed() at the call's limit
};

// Whether `text` is an address that has no special meaning on a command line or in a queue file:
// one '@', a domain, and a local part of letters, digits and ".!#$%&*+/=?^_`{|}~-" (RFC 5321
// dot-string, without the apostrophe) that does not begin with '-'.
bool IsPlainAddress(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HELPER_MTA_QUEUE_H_
