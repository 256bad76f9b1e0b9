// The linear model that classifies replies: for each class it adds the weights of the reply's
// features (reply_features.h) and converts the sums to probabilities.
//
// Weights are one byte each. tests/bench/reply_model.py trains them from labelled replies; they are
// committed as reply_model_data.cc with a hash of the inputs. Pure, without allocation, any number
// of threads.

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
  double scale;  // converts a sum to log odds: step of a weight times calibration

  ReplyScores Score(absl::Span<const uint32_t> hashes) const;

  // Whether any of the features has a weight.
  bool KnowsAny(absl::Span<const uint32_t> hashes) const;

  // Probabilities of the classes; they add up to one.
  ReplyProbabilities Probabilities(const ReplyScores& scores) const;

  // The index of a feature; -1 if the model does not have it.
  int FeatureOf(uint32_t hash) const;
};

inline constexpr size_t kMaxModelFeatures = 8192;

const ReplyModel& BuiltInReplyModel();

}  // namespace deferd

#endif  // DEFERD_POLICY_REPLY_REPLY_MODEL_H_
