// The shared store that is several: rows are spread over them by domain, all else is in the first.
//
// A domain's store is found by rendezvous hashing of its name with the stores' numbers: every node
// must list the same stores in the same order, and one more at the end moves only its own share.
// The first holds the cases, the receipts and the list of nodes; without it nothing is shared.
// Without another one its domains alone are counted locally: their answers have the trouble of that
// store, and Beat::missing names it. It is tried again with the beats; once it is back the
// generation changes, so that everything is put again.
//
// One thread, as each of the stores.

#ifndef DEFERD_LIMITER_STORE_SHARDED_STORE_H_
#define DEFERD_LIMITER_STORE_SHARDED_STORE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/store/shared_store.h"

namespace deferd {

struct Shard {
  std::string name;  // for people
  std::unique_ptr<SharedStore> store;
};

// `shards` is not empty; a single one is returned as it is.
std::unique_ptr<SharedStore> NewShardedStore(std::vector<Shard> shards);

// Which of `shards` stores has the rows of a slot, the text in the braces of a key. Part of the
// stored format: all nodes must agree.
size_t ShardOf(absl::string_view slot, size_t shards);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_SHARDED_STORE_H_
