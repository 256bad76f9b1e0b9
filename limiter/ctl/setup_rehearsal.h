// A copy of the mail server's folder as a plan would leave it, for the mail server's own checker,
// so that a change that it would not take is never written.
//
// The copy lies in a folder that only its owner can read, since it may hold passwords, and goes
// with the object.

#ifndef DEFERD_LIMITER_CTL_SETUP_REHEARSAL_H_
#define DEFERD_LIMITER_CTL_SETUP_REHEARSAL_H_

#include <string>

#include "absl/status/statusor.h"
#include "limiter/ctl/setup_machine.h"

namespace deferd {

class SetupRehearsal {
 public:
  // Copies `folder` (empty: none) and what it and its links hold, but links files over 1 MB; then
  // makes the changes of `plan` in the copy. Changed files elsewhere get names of their own beside
  // it.
  static absl::StatusOr<SetupRehearsal> Make(const std::string& folder, const SetupPlan& plan);

  SetupRehearsal(SetupRehearsal&& other) noexcept;
  SetupRehearsal& operator=(SetupRehearsal&&) = delete;
  ~SetupRehearsal();

  // Makes the changes of another plan in the copy.
  absl::Status Change(const SetupPlan& plan) const;

  // The folder's copy.
  std::string folder() const { return root_ + "/copy"; }
  // Where the copy has the file.
  std::string Path(const std::string& path) const;

 private:
  explicit SetupRehearsal(std::string root, std::string original)
      : root_(std::move(root)), original_(std::move(original)) {}
  std::string root_;
  std::string original_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_REHEARSAL_H_
