// Subjects that a person may have meant: most questions about a subject that deferd never saw are
// typing errors, or name a local user or a login without its kind.
//
// Called on the admin door's thread; reads the limiter, the case table and the ledger.

#ifndef DEFERD_LIMITER_ADMIN_NEAR_SUBJECTS_H_
#define DEFERD_LIMITER_ADMIN_NEAR_SUBJECTS_H_

#include <string>
#include <vector>

#include "limiter/admin/why.h"
#include "policy/subject.h"

namespace deferd {

// Whether anything was ever counted, blocked or recorded of the subject, as far as it is kept.
bool EverSeen(const WhyParts& parts, const Subject& subject);

// At most three subjects whose name is nearest to this one's, the nearest first: the same name
// under another kind, or at most two typing errors away.
std::vector<std::string> NearSubjects(const WhyParts& parts, const Subject& subject);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_NEAR_SUBJECTS_H_
