// `deferctl policy import-cpanel DIR`: cPanel's own limits as a policy.
//
// DIR is a copy of the documented files, either flat or with their paths below it: cpanel.config,
// users/, userdomains (or trueuserdomains), maxemails, outgoing_mail_hold_users,
// outgoing_mail_suspended_users. What deferd has no counterpart for is listed, never guessed.

#ifndef DEFERD_LIMITER_CTL_CPANEL_IMPORT_H_
#define DEFERD_LIMITER_CTL_CPANEL_IMPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace deferd {

struct CpanelImport {
  std::string policy;  // as TOML, with the list below as a comment
  std::vector<std::string> not_carried_over;
};

// NotFound if DIR has no cpanel.config; InvalidArgument if a number cannot be read.
absl::StatusOr<CpanelImport> ImportCpanel(const std::string& dir);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_CPANEL_IMPORT_H_
