// The console's stylesheet and script, which are part of the program.

#ifndef DEFERD_EXPORTER_CONSOLE_ASSETS_H_
#define DEFERD_EXPORTER_CONSOLE_ASSETS_H_

#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

absl::string_view StyleSheet();
absl::string_view Script();
// Changes with their text: part of their addresses, so that browsers may keep them.
const std::string& AssetVersion();

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_ASSETS_H_
