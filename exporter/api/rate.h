// How many requests may come in a time: a token bucket. Not thread-safe.

#ifndef DEFERD_EXPORTER_API_RATE_H_
#define DEFERD_EXPORTER_API_RATE_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "exporter/api/secret.h"
#include "exporter/api/token_book.h"

namespace deferd {

class Bucket {
 public:
  Bucket(double a_second, double burst) : rate_(a_second), burst_(burst), level_(burst) {}

  // False: there were too many.
  bool Take(absl::Time now) {
    if (now > at_) {
      level_ = std::min(burst_, level_ + absl::ToDoubleSeconds(now - at_) * rate_);
    }
    at_ = now;
    if (level_ < 1) return false;
    level_ -= 1;
    return true;
  }

 private:
  double rate_, burst_, level_;
  absl::Time at_ = absl::InfinitePast();
};

// A bucket for each token, by its name.
class TokenRates {
 public:
  static constexpr double kRate = 20;  // requests a second
  static constexpr double kBurst = 40;

  TokenRates(double a_second, double burst) : fresh_(a_second, burst) {}

  bool Take(const Token& token, absl::Time now) {
    if (buckets_.size() > TokenBook::kMaxTokens) buckets_.clear();
    return buckets_.try_emplace(token.name, fresh_).first->second.Take(now);
  }

 private:
  const Bucket fresh_;
  absl::flat_hash_map<std::string, Bucket> buckets_;
};

// Requests with a secret that is no token's. The same secret again, as of a client whose token was
// revoked, is slowed down by itself, so that it does not use up what others share.
class StrangerRates {
 public:
  static constexpr size_t kMaxSecrets = 1000;

  StrangerRates(double a_second, double burst)
      : fresh_(a_second / 4, burst / 4), together_(a_second, burst) {}

  // False: there were too many. `secret`: as it was sent; only its hash is kept.
  bool Take(absl::string_view secret, absl::Time now) {
    ++failures_;
    if (own_.size() >= kMaxSecrets) own_.clear();
    return own_.try_emplace(Sha256Hex(secret), fresh_).first->second.Take(now) &&
           together_.Take(now);
  }

  // How many failures there were since the last report; 0 until another is due. For the log, which
  // a guesser must not fill.
  int64_t Report(absl::Time now) {
    if (now - reported_ < absl::Minutes(1)) return 0;
    reported_ = now;
    return std::exchange(failures_, 0);
  }

 private:
  const Bucket fresh_;
  Bucket together_;
  absl::flat_hash_map<std::string, Bucket> own_;
  int64_t failures_ = 0;
  absl::Time reported_ = absl::InfinitePast();
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_RATE_H_
