// Describes for a person what a reload has changed.
//
// Pure, except for the case table's short lock. Safe from any thread.

#ifndef DEFERD_LIMITER_APP_RELOAD_CHANGES_H_
#define DEFERD_LIMITER_APP_RELOAD_CHANGES_H_

#include <string>
#include <vector>

#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "policy/policy.h"

namespace deferd {

// "rule bulk is new", "mode: enforce, was shadow"; empty if the policy text is the same.
std::vector<std::string> PolicyChanges(const Policy& before, const Policy& now);

// Cases that were open before and that the new settings ended: "3 blocks ended: a.example,
// b.example, c.example", one line for enforced cases and one for shadow cases.
std::vector<std::string> EndedByPolicy(const std::vector<Case>& open_before,
                                       const CaseTable& cases);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_RELOAD_CHANGES_H_
