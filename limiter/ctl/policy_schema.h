// The policy file's JSON schema, for editors: made of the table that the manual is made of.

#ifndef DEFERD_LIMITER_CTL_POLICY_SCHEMA_H_
#define DEFERD_LIMITER_CTL_POLICY_SCHEMA_H_

#include "limiter/localrpc/json.h"

namespace deferd {

// Draft 2020-12.
Json PolicySchema();

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_POLICY_SCHEMA_H_
