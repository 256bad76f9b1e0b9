// What can be wrong between a node and the store that all nodes share, by name.
//
// Each is a degraded mode: counted, logged once, shown by `deferctl status`. A status that a shared
// store returns carries its trouble, so that nobody reads texts. Plain functions.

#ifndef DEFERD_LIMITER_STORE_SHARED_TROUBLE_H_
#define DEFERD_LIMITER_STORE_SHARED_TROUBLE_H_

#include <chrono>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace deferd {

enum class SharedTrouble : uint8_t {
  kNone,
  kGone,        // no connection, or it broke
  kSlow,        // no answer within the deadline: overloaded, stopped, or far away
  kReadOnly,    // a replica
  kFull,        // out of memory, and it may not evict
  kLoading,     // it reads its dump
  kPassword,    // wrong user or password, or a command that the user may not give
  kWrongType,   // a key of ours holds something else
  kNotSaving,   // it takes no writes since it cannot save, or has too few replicas
  kNoMaster,    // the sentinels name none that answers as one, or a cluster has none for a key
  kClaimed,     // another daemon has this node's name or log
  kUnexpected,  // an answer that no version known to us gives
  kTls,         // no encrypted connection: a certificate, a name, or a server without TLS
};
inline constexpr int kSharedTroubles = 13;

// "gone", "slow", "read-only" ...
absl::string_view SharedTroubleName(SharedTrouble trouble);

// A status whose text is "NAME: what" and that carries `trouble`, which is not kNone.
// FailedPrecondition where an operator must act, DeadlineExceeded for kSlow, else Unavailable.
absl::Status TroubleStatus(SharedTrouble trouble, absl::string_view what);

// kNone of an ok status, kUnexpected of one that carries none.
SharedTrouble TroubleOf(const absl::Status& status);

// The same with "NAME: " of one of several servers at the beginning of its text.
absl::Status TroubleAt(absl::string_view name, const absl::Status& status);

// How long a server with this trouble is left alone: about a beat, and longer if each try costs a
// deadline.
std::chrono::milliseconds RetryPause(SharedTrouble trouble);

// By the text of an error that Redis answered.
SharedTrouble TroubleOfRedisError(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_SHARED_TROUBLE_H_
