// What a run of `deferctl setup` is about to change, kept on disk while it does so: a run that was
// killed between two steps is noticed by the next one, which takes it back. It is the lock of
// `setup` too: one run at a time on a machine.
//
// The folder belongs to root alone, since files are restored from what is in it.

#ifndef DEFERD_LIMITER_CTL_SETUP_JOURNAL_H_
#define DEFERD_LIMITER_CTL_SETUP_JOURNAL_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/ctl/setup_machine.h"

namespace deferd {

inline constexpr char kSetupFolder[] = "/var/lib/deferd-setup";

class SetupJournal {
 public:
  explicit SetupJournal(std::string folder = kSetupFolder) : folder_(std::move(folder)) {}
  ~SetupJournal();
  SetupJournal(const SetupJournal&) = delete;
  SetupJournal& operator=(const SetupJournal&) = delete;

  // What was begun and neither completed nor taken back.
  struct Begun {
    std::string mta;         // as SetupArguments
    std::string mta_config;  // as SetupArguments
    SetupPlan plan;
  };

  // Unavailable: another run has the lock. Held until this object is destroyed.
  absl::Status Lock();

  // Before the first file is written; durable when it returns. The lock is held.
  absl::Status Begin(const Begun& begun);
  // After the last step, or after all was taken back.
  absl::Status End();

  // nullopt: the last run ended properly. DataLoss: what is there cannot be understood.
  absl::StatusOr<std::optional<Begun>> Interrupted() const;

 private:
  std::string Path() const { return folder_ + "/journal"; }

  const std::string folder_;
  int lock_ = -1;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_JOURNAL_H_
