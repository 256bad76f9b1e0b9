// Who is exempt, by a person or by the policy, as the admin door shows it.
//
// One form for both: {source ("person" or "policy"), subject, reason, by, since, until}. `until` is
// null where nothing ends it; the policy's also have the name of their table and its line. Pure,
// but for the case table's short lock.

#ifndef DEFERD_LIMITER_ADMIN_EXEMPTIONS_H_
#define DEFERD_LIMITER_ADMIN_EXEMPTIONS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/localrpc/json.h"
#include "limiter/report.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

Json PersonsExemptionJson(const Case& exemption);
// Of the policy; null: it does not exempt the subject.
Json PolicyExemptionJson(const Policy& policy, const Subject& subject, absl::string_view within,
                         absl::Time now);
// Of whichever exempts it, a person's word first; null: nobody does.
Json ExemptionJson(const SubjectReport& report, const Policy& policy, const Subject& subject,
                   absl::Time now);
// All that hold at `now`, people's first.
Json ExemptionsJson(const CaseTable& cases, const Policy& policy, absl::Time now);

// What `deferctl exempt` names: a subject, "*.example.com", or "tag:NAME" of a tag that the policy
// has. InvalidArgument also for what anybody can claim to be, such as an envelope sender.
absl::StatusOr<Subject> ParseExempt(absl::string_view text, const Policy& policy);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_EXEMPTIONS_H_
