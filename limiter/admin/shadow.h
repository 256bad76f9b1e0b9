// What rules in shadow would have done, and what a person thinks of it: the verb `shadow`.
//
// The report is made of the cases in shadow, open and closed, that this node knows, with what their
// receipts have of the mail. A mark (right or wrong) is one bit and a time by the case's id, kept
// with the daemon's remembered numbers: stored with the next commit, and there again after a
// restart. Marks are this node's own.

#ifndef DEFERD_LIMITER_ADMIN_SHADOW_H_
#define DEFERD_LIMITER_ADMIN_SHADOW_H_

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/evidence/receipt.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// Of what Committer::Remember keeps.
inline constexpr absl::string_view kMarkPrefix = "mark_";

struct ShadowMark {
  bool right = false;
  absl::Time at;
};
// The mark as a number: Unix seconds, negative for wrong.
int64_t NumberOf(const ShadowMark& mark);
ShadowMark MarkOf(int64_t number);

using ShadowMarks = std::map<std::string, ShadowMark>;  // by case id

// {since, cases [{id, subject, rule, since, until, open, count, percent, verdict, sent}], rules
// [{rule, cases, subjects, right, wrong, right_percent}]}. `sent`: {attempts, messages, sample}.
Json ShadowReportJson(const CaseTable& cases,
                      const std::function<std::optional<Receipt>(const Case&)>& receipt,
                      const ShadowMarks& marks, absl::Time since);

// The case in shadow that a person means by its id, or by its subject: the newest. NotFound.
absl::StatusOr<Case> FindShadowCase(const CaseTable& cases, absl::string_view name);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_SHADOW_H_
