// Rows of the verb `track`, as a table and as a file for spreadsheets.

#ifndef DEFERD_EXPORTER_CONSOLE_DELIVERY_TABLE_H_
#define DEFERD_EXPORTER_CONSOLE_DELIVERY_TABLE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "exporter/console/html.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// One row each; those that were not delivered stand out. A row leads to the life of its message,
// unless its reader could not open that (`links`).
void WriteDeliveries(Html* html, const Json& rows, absl::string_view caption, bool links = true);

// The state of a row: "delivered", "refused by us", ...
std::string StateOfRow(const Json& row);
// In a few words why it is in that state; "" if there is nothing to say.
std::string ReasonOfRow(const Json& row);

// RFC 4180 with a heading, in UTF-8. A cell that a spreadsheet would take for a formula begins with
// an apostrophe.
std::string DeliveriesCsv(const Json& rows);

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_DELIVERY_TABLE_H_
