// `deferctl policy ...`, but for check: what a policy says of a subject, what another one would
// change, and cPanel's limits as a policy.

#ifndef DEFERD_LIMITER_CTL_POLICY_VERBS_H_
#define DEFERD_LIMITER_CTL_POLICY_VERBS_H_

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "limiter/config/config.h"
#include "limiter/ctl/verb.h"
#include "limiter/localrpc/json.h"
#include "policy/charge.h"
#include "policy/policy.h"
#include "policy/subject.h"

namespace deferd {

// {path, hash, mode, profile, count, rules, toml}
Json PolicyJson(const LoadedPolicy& loaded);

// {subject, policy, exempt (null or {name, reason, by, until, line}), rules [{name, line, judges,
// why}]}. `lists` tells of which domain a narrower subject is part.
Json SubjectRulesJson(const Policy& policy, const ChargeLists& lists, const Subject& subject,
                      absl::Time now);
std::string SubjectRulesPage(const Json& json);

// Adds `show`, `diff` and `import-cpanel` to the verb `policy`.
void AddPolicyVerbs(CLI::App* policy, const VerbOptions& options, Verb* chosen);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_POLICY_VERBS_H_
