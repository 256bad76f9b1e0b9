// The stored form of a place that fails, and of what is delivered there.

#ifndef DEFERD_LIMITER_STORE_PLACE_CODEC_H_
#define DEFERD_LIMITER_STORE_PLACE_CODEC_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/judging/incidents.h"

namespace deferd {

// The name under which a store keeps it: what its answers are about, and where.
std::string NameOf(const Incidents::Key& key);

std::string PlaceText(const Incidents::Key& key, const Place& place);
absl::StatusOr<std::pair<Incidents::Key, Place>> ParsePlace(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_PLACE_CODEC_H_
