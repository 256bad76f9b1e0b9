#include "limiter/judging/warnings.h"

#include <algorithm>

namespace deferd {

bool Warnings::Take(const Subject& subject, const Rule& rule, absl::Time now) {
  Warned& warned = warned_[subject];
  for (auto& [name, at] : warned) {
    if (name != rule.name) continue;
    if (now - at < rule.window && at <= now) return false;
    at = now;
    return true;
  }
  warned.emplace_back(rule.name, now);
  return true;
}

void Warnings::ForgetBefore(absl::Time t) {
  absl::erase_if(warned_, [t](auto& entry) {
    Warned& warned = entry.second;
    warned.erase(std::remove_if(warned.begin(), warned.end(),
                                [t](const auto& one) { return one.second < t; }),
                 warned.end());
    return warned.empty();
  });
}

}  // namespace deferd
