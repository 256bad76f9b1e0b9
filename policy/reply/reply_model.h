// The linear model that decides what a reply means: for each class, the sum of the weights of the
// reply's features (reply_features.h); the sums become probabilities.
//
// The weights are one byte each, made by tests/bench/reply_model.py from labelled replies and
// committed as reply_model_data.cc, with a hash of what they were made from. Pure, allocates
// nothing, any number of threads may use it.

#ifndef DEFERD_POLICY_REPLY_REPLY_MODEL_H_
#define DEFERD_POLICY_REPLY_REPLY_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// A weight for each class, in the order of the enum, and one for "permanent".
inline constexpr int kReplyScores = kReplyClasses + 1;
using ReplyScores = std::array<int32_t, kReplyScores>;
using ReplyProbabilities = std::array<float, kReplyClasses>;

struct ReplyModel {
  absl::string_view inputs;             // SHA-256 of rules, concepts and labelled replies
  absl::Span<const uint32_t> features;  // their hashes
  absl::Span<const int8_t> weights;     // kReplyScores for each feature
  absl::Span<const uint16_t> slots;     // feature + 1 by hash, linear probing; 0 is free
  ReplyScores bias;
  double scale;  // of a score as a logarithm of odds: the step of a weight, and the calibration

  ReplyScores Score(absl::Span<const uint32_t> hashes) const;

  // Whether any of them has a weight.
  bool KnowsAny(absl::Span<const uint32_t> hashes) const;

  // Of the classes; they add up to one.
  ReplyProbabilities Probabilities(const ReplyScores& scores) const;

  // The index of a feature; -1 if the model has none of that hash.
  int FeatureOf(uint32_t hash) const;
};

inline constexpr size_t kMaxModelFeatures = 8192;

const ReplyModel& BuiltInReplyModel();

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_MODEL_H_
