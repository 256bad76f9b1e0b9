// The page of one subject: what the rules say of it, who and what caused that, and how it ends.
//
// Counts and cases come from memory; who caused how much, what servers answered and the very
// messages from the ledger, as far as it is kept: without one the page says less, and never fails
// for it. Called on the admin door's thread.

#ifndef DEFERD_LIMITER_ADMIN_WHY_H_
#define DEFERD_LIMITER_ADMIN_WHY_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/admin/stops.h"
#include "limiter/admin/track.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/gate.h"
#include "limiter/evidence/receipt.h"
#include "limiter/limiter.h"
#include "limiter/localrpc/json.h"
#include "policy/subject.h"

namespace deferd {

struct WhyParts {
  const Limiter* limiter = nullptr;
  const CaseTable* cases = nullptr;
  LedgerSearch search;
  std::function<std::optional<Receipt>(const Case&)> receipt;
  const Gate* gate = nullptr;   // as in StopParts
  std::function<Json()> queue;  // likewise
  std::function<bool()> postfix_defers;
};

// `named`: the case of the subject that the reader asked for, open or ended. It is `named_case`,
// and of one that is not the subject's present case, causes and fault are those that it had. With
// `history`, the attempts of the last day over time are in it, as History tells them: they cost no
// more rows. Without a ledger it is left out.
Json WhyJson(const WhyParts& parts, const Subject& subject, absl::Time now,
             const std::optional<Case>& named = std::nullopt, bool history = false);

// The verdict of `why --verify`: {subject, case, finding, remarks, recounted}, of the named case,
// else of the newest. NotFound if there is no case of a rule, or no receipt of it.
absl::StatusOr<Json> VerifyJson(const WhyParts& parts, LedgerReader* ledger, const Subject& subject,
                                const std::optional<Case>& named = std::nullopt);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_WHY_H_
