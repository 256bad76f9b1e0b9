#include "policy/reply/reply_model.h"

#include <algorithm>
#include <bitset>
#include <cmath>

#include "absl/algorithm/container.h"

namespace deferd {

int ReplyModel::FeatureOf(uint32_t hash) const {
  const size_t mask = slots.size() - 1;
  for (size_t slot = hash & mask; slots[slot] != 0; slot = (slot + 1) & mask) {
    if (features[slots[slot] - 1u] == hash) return slots[slot] - 1;
  }
  return -1;
}

ReplyScores ReplyModel::Score(absl::Span<const uint32_t> hashes) const {
  ReplyScores scores = bias;
  std::bitset<kMaxModelFeatures> counted;  // a feature is there or not, however often
  for (uint32_t hash : hashes) {
    const int feature = FeatureOf(hash);
    if (feature < 0 || counted.test(feature)) continue;
    counted.set(feature);
    const int8_t* const weight = &weights[static_cast<size_t>(feature) * kReplyScores];
    for (int i = 0; i < kReplyScores; ++i) scores[i] += weight[i];
  }
  return scores;
}

bool ReplyModel::KnowsAny(absl::Span<const uint32_t> hashes) const {
  return absl::c_any_of(hashes, [this](uint32_t hash) { return FeatureOf(hash) >= 0; });
}

ReplyProbabilities ReplyModel::Probabilities(const ReplyScores& scores) const {
  const int32_t most = *std::max_element(scores.begin(), scores.begin() + kReplyClasses);
  std::array<double, kReplyClasses> odds;
  double sum = 0;
  for (int i = 0; i < kReplyClasses; ++i) {
    odds[i] = std::exp((scores[i] - most) * scale);
    sum += odds[i];
  }
  ReplyProbabilities probabilities;
  for (int i = 0; i < kReplyClasses; ++i) probabilities[i] = static_cast<float>(odds[i] / sum);
  return probabilities;
}

}  // namespace deferd
