// The stored form of what the limiter is between two batches, besides its tables.

#ifndef DEFERD_LIMITER_STORE_FACTS_CODEC_H_
#define DEFERD_LIMITER_STORE_FACTS_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/subject.h"

namespace deferd {

struct LimiterFacts {
  absl::Time now = absl::InfinitePast();
  absl::Time last_sweep = absl::InfinitePast();
  int64_t case_number = 0;
  std::vector<std::pair<absl::Duration, absl::Time>> windows;  // length, counted since
  std::vector<std::pair<SubjectKind, absl::Time>> kinds;       // narrower ones, counted since
  absl::Time clock_back_at = absl::InfinitePast();             // it was set back then; never
  absl::Duration clock_back_by;
  // The shared store's clock minus this one, as it was measured last; nullopt: it never was.
  std::optional<absl::Duration> clock_offset;
};
std::string FactsText(const LimiterFacts& facts);
absl::StatusOr<LimiterFacts> ParseFacts(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_FACTS_CODEC_H_
