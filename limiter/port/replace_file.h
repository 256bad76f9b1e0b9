// Replaces a file, whole or not at all, also when the power fails.

#ifndef DEFERD_LIMITER_PORT_REPLACE_FILE_H_
#define DEFERD_LIMITER_PORT_REPLACE_FILE_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

// Where it failed; errno says why.
struct ReplaceFailure {
  std::string path;
  const char* what;  // what could not be done with it: "write" or "rename"
};

// Writes `path`.new, syncs it, renames it and syncs the folder. A new file has `mode`, less the
// umask. nullopt: done. What fails leaves the old file as it was.
std::optional<ReplaceFailure> ReplaceFile(const std::string& path, absl::string_view text,
                                          mode_t mode);

}  // namespace deferd

#endif  // DEFERD_LIMITER_PORT_REPLACE_FILE_H_
