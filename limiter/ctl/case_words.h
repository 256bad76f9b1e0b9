// Words for cases and exemptions that pages of deferctl and of the console share, from the JSON of
// the daemon's verbs. Times as page_text.h shows them.

#ifndef DEFERD_LIMITER_CTL_CASE_WORDS_H_
#define DEFERD_LIMITER_CTL_CASE_WORDS_H_

#include <string>

#include "limiter/localrpc/json.h"

namespace deferd {

// What a rule or case counts: "bad", "rejected recipients".
std::string CountedWords(const Json& counting);
// Why a case was opened, in a line: by whom, or which rule with which figures.
std::string CauseOf(const Json& record);

// Who exempts: the person, or "policy, [exempt.NAME], line 12".
std::string ExempterOf(const Json& exemption);
// "exempt until 2026-12-01 00:00 UTC by root: paying customer"
std::string ExemptWords(const Json& exemption);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_CASE_WORDS_H_
