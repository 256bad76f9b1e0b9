// Whether all that is known of a blocked subject lets its owner end the block (the owner's page).
//
// The owner may only if everything was seen and is harmless: whatever is not known forbids it. What
// is looked at begins with the window that tripped the rule and ends now. Reads the ledger: called
// on a worker's thread.

#ifndef DEFERD_LIMITER_ADMIN_OWNER_EVIDENCE_H_
#define DEFERD_LIMITER_ADMIN_OWNER_EVIDENCE_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/freshness.h"
#include "limiter/evidence/receipt.h"
#include "limiter/limiter.h"
#include "limiter/store/local_store.h"

namespace deferd {

struct OwnerEvidenceParts {
  const Limiter* limiter = nullptr;
  LedgerReader* ledger = nullptr;
  std::function<std::optional<Receipt>(const Case&)> receipt;
  const Freshness* freshness = nullptr;
  std::string node;  // this one's name
};

// Why the owner may not end the case, as a clause for the owner; empty: nothing forbids it. The
// case must be a block by a rule on bad deliveries.
std::string WhyOwnerMayNotEnd(const OwnerEvidenceParts& parts, const Case& record, absl::Time now);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_OWNER_EVIDENCE_H_
