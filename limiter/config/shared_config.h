// [shared] of deferd.toml: the Redis, who may talk to it, and how the connection is encrypted.
//
// The files that it names must be usable at this moment: a wrong one is found by `deferd --check`,
// with its line. Errors go to the reader. Plain function.

#ifndef DEFERD_LIMITER_CONFIG_SHARED_CONFIG_H_
#define DEFERD_LIMITER_CONFIG_SHARED_CONFIG_H_

#include "limiter/config/config.h"
#include "policy/toml_reader.h"

namespace deferd {

void ReadShared(TomlReader* reader, TomlTable* table, Config* config);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CONFIG_SHARED_CONFIG_H_
