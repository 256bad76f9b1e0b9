// The few things that deferd does to an MTA's queue, as root: what the helper deferd-queue is for.
//
// An id has the form of a queue id or is refused; a redirect's address is a plain one. Each action
// is a fixed list of arguments for a fixed program; all of a call together have kLimit. Exim: -MG,
// -Mg, -Mrm, -Mar, -Mmd, -Mt, -M (specification, section 5.2) and the named queue kHeldQueue (4.88
// and newer). Postfix: postsuper(1), postqueue(1), postcat(1), sendmail(1). The id's form tells the
// MTA. An MTA that is busy with a message leaves it where it is ("Spool file is locked") and may
// call that a success, so what an action did is read from the queue.
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
  std::string exim;            // a path; empty: there is no Exim
  std::string exim_config;     // for -C; empty: Exim's own
  std::string postfix;         // the folder of postsuper and its like; empty: there is no Postfix
  std::string postfix_config;  // for -c; empty: Postfix's own
};

class MtaQueue {
 public:
  static constexpr char kHeldQueue[] = "deferd-held";
  static constexpr size_t kMaxIds = 1000;                      // of one call
  static constexpr absl::Duration kLimit = absl::Seconds(20);  // of one call

  explicit MtaQueue(MtaPrograms programs) : programs_(std::move(programs)) {}

  // Everything that is queued, of all MTAs.
  absl::StatusOr<std::vector<QueuedMail>> List();

  // The messages that the queue still shows as they were, and why, as far as the MTA said so.
  using NotDone = std::map<std::string, std::string>;  // by id

  // InvalidArgument if an id has no such form or there is no such MTA; then nothing was done.
  // Otherwise ids that are not in the queue any more are passed over. Errors are those of Commands.
  absl::StatusOr<NotDone> Hold(const std::vector<std::string>& ids);
  absl::StatusOr<NotDone> Release(
      const std::vector<std::string>& ids);  // and tries to deliver them
  absl::StatusOr<NotDone> GiveBack(
      const std::vector<std::string>& ids);  // a bounce tells the sender
  absl::StatusOr<NotDone> Discard(const std::vector<std::string>& ids);  // nobody is told
  absl::Status Try(const std::vector<std::string>& ids);                 // at once; Postfix's alone
  absl::Status Requeue(const std::string& id);  // it is tried again at once
  absl::Status Flush();                         // so is all that is not held
  // Postfix's myorigin: the domain of a sender that sendmail(1) names without one; empty if it
  // cannot be known.
  std::string PostfixOrigin();
  // All its remaining recipients are replaced by `address`.
  absl::Status Redirect(const std::string& id, const std::string& address);

 private:
  struct Ids {
    std::vector<std::string> exim;
    std::vector<std::string> postfix;
  };
  // Sorted, and the call's time begins.
  absl::StatusOr<Ids> Begin(const std::vector<std::string>& ids);
  absl::Duration Left() const;  // of the call's time
  absl::StatusOr<std::vector<QueuedMail>> ListWithin();
  absl::StatusOr<std::vector<QueuedMail>> ListOf(const Ids& ids, bool held);
  absl::StatusOr<std::string> Run(const std::vector<std::string>& argv,
                                  absl::string_view input = "");
  std::vector<std::string> Exim(std::vector<std::string> arguments) const;
  std::vector<std::string> Postfix(absl::string_view program,
                                   std::vector<std::string> arguments) const;
  // `held`: on what is in the held queue. What Exim said is added to `said`, if that is not null.
  absl::Status RunExim(bool held, std::vector<std::string> options,
                       const std::vector<std::string>& ids, std::string* said = nullptr);
  // Those of `ids` that are in a queue, with what was said of each: the held one, Exim's main one.
  absl::Status AddHeld(const Ids& ids, absl::string_view said, NotDone* found);
  absl::Status AddNotHeld(const Ids& ids, absl::string_view said, NotDone* found);
  // The ids go in by its standard input.
  absl::Status Postsuper(std::vector<std::string> arguments, const std::vector<std::string>& ids);
  absl::Status TryPostfix(const std::vector<std::string>& ids);
  absl::Status ToMainQueue(const std::vector<std::string>& ids);
  absl::Status RedirectExim(const QueuedMail& mail, const std::string& address);
  absl::Status RedirectPostfix(const QueuedMail& mail, const std::string& address);

  const MtaPrograms programs_;
  Commands commands_;
  absl::Time end_ = absl::InfiniteFuture();  // of the call
};

// Whether `text` is an address without anything that a command line or a queue file could take for
// more: one '@', a domain, and a local part of letters, digits and ".!#$%&*+/=?^_`{|}~-" (RFC 5321
// dot-string, without the apostrophe), not beginning with '-'.
bool IsPlainAddress(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_QUEUE_HELPER_MTA_QUEUE_H_
