// How many requests may come in a time: a token bucket. Not thread-safe.

#ifndef DEFERD_EXPORTER_API_RATE_H_
#define DEFERD_EXPORTER_API_RATE_H_

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
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

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_RATE_H_
