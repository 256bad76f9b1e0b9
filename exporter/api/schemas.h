// What the answers of `/api/v1` look like, in one table, from which the OpenAPI description is
// made.
//
// tests/e2e/test_api_schemas.py compares a server's answers with it. A field that only tokens for
// all subjects see, or that is there sometimes, is not required. Pure.

#ifndef DEFERD_EXPORTER_API_SCHEMAS_H_
#define DEFERD_EXPORTER_API_SCHEMAS_H_

#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// The schema of a type as the table writes it: "string", "time", "Case", "Case|null", "Case[]" (a
// list), "integer{}" (an object with such values by any name), "any".
Json SchemaOfType(absl::string_view type);

// All schemas by their names: `components.schemas`.
Json AllSchemas();

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_SCHEMAS_H_
