// The snippets of deploy/exim and deploy/postfix, whole files, as setup writes them: one text for
// those who paste and for those who run a command.

#ifndef DEFERD_LIMITER_CTL_SETUP_SNIPPETS_H_
#define DEFERD_LIMITER_CTL_SETUP_SNIPPETS_H_

#include "absl/strings/string_view.h"

namespace deferd {

absl::string_view EximAskSnippet();
absl::string_view EximLocalSnippet();
absl::string_view EximQueuedSnippet();
absl::string_view EximFilterSnippet();
absl::string_view PostfixAskSnippet();
absl::string_view PostfixHeldSnippet();
absl::string_view PostfixHeldMasterSnippet();

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_SETUP_SNIPPETS_H_
