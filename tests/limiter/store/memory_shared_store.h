// A shared store in this process, for tests: the same answers as Redis's, and troubles on cue.
//
// The server holds what is shared, by the same keys as Redis would; each node's store is one
// connection to it. Safe from any thread; the stores as SharedStore says.

#ifndef DEFERD_TESTS_LIMITER_STORE_MEMORY_SHARED_STORE_H_
#define DEFERD_TESTS_LIMITER_STORE_MEMORY_SHARED_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/store/shared_store.h"

namespace deferd {

class MemorySharedServer {
 public:
  // `clock` is the server's own and must outlive it. Nothing is forgotten by age.
  explicit MemorySharedServer(const Clock* clock) : clock_(clock) {}

  // Must not outlive the server.
  std::unique_ptr<SharedStore> NewStore(const SharedStoreOptions& options);

  // From now on every call fails with this; kNone: none does. kGone and kSlow end all connections.
  void SetTrouble(SharedTrouble trouble);
  // ReadTime alone is not answered, as where the nodes' master of a cluster is silent.
  void SetTimeSilent(bool silent);
  // Everything is forgotten, as after FLUSHALL.
  void Flush();
  // The keys that there are, as Redis would name them.
  std::vector<std::string> Keys() const;
  // One key is forgotten, as when Redis evicts it; with `field`, that of a hash alone, as after
  // HDEL.
  void Forget(const std::string& key);
  void Forget(const std::string& key, const std::string& field);
  // Ends all connections and has what the other one has, as a replica that took over.
  void TakeOver(const MemorySharedServer& other);
  // Has what the other one has, for TakeOver.
  void Replicate(const MemorySharedServer& other);

 private:
  friend class MemorySharedStore;

  struct Node {
    NodeClaim claim;
    absl::Time seen;
  };
  struct Entry {
    int64_t id;
    SharedCase record;
  };

  const Clock* const clock_;
  mutable Mutex mutex_;
  CondVar case_put_;
  SharedTrouble trouble_ ABSL_GUARDED_BY(mutex_) = SharedTrouble::kNone;
  bool time_silent_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t breaks_ ABSL_GUARDED_BY(mutex_) = 0;  // connections of before are gone
  std::map<std::string, std::map<std::string, SharedRow>> hashes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, SharedCase> cases_ ABSL_GUARDED_BY(mutex_);  // by field
  std::vector<Entry> log_ ABSL_GUARDED_BY(mutex_);
  int64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Node> nodes_ ABSL_GUARDED_BY(mutex_);
  int64_t generation_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_MEMORY_SHARED_STORE_H_
