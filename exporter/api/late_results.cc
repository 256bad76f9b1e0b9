#include "exporter/api/late_results.h"

#include "exporter/api/secret.h"

namespace deferd {

void LateResults::ForgetOld(TimePoint now) {
  while (!all_.empty() && (all_.size() > kMost || now - all_.front().since >= kKept)) {
    all_.pop_front();
  }
  size_t bytes = 0, kept = 0;
  for (auto it = all_.rbegin(); it != all_.rend(); ++it, ++kept) {
    bytes += it->outcome->size();
    if (bytes > kMostBytes && kept > 0) break;
  }
  all_.erase(all_.begin(), all_.end() - static_cast<std::ptrdiff_t>(kept));
}

std::string LateResults::Add(const Token& token, std::shared_ptr<const LateOutcome> outcome,
                             TimePoint now) {
  std::optional<std::string> id = NewSecret();
  if (!id.has_value()) return "";
  all_.push_back({.id = *id, .token = token, .outcome = std::move(outcome), .since = now});
  ForgetOld(now);
  return *std::move(id);
}

std::optional<Json> LateResults::Find(absl::string_view id, const Token& token, TimePoint now) {
  ForgetOld(now);
  for (const Late& one : all_) {
    if (!SameSecret(one.id, id)) continue;
    if (one.token.hash != token.hash || !one.token.SameRights(token)) return std::nullopt;
    const auto result = one.outcome->Get();
    if (!result.has_value()) return Json{{"id", one.id}, {"status", "running"}};
    return Json{{"id", one.id},
                {"status", result->first < 300 ? "done" : "failed"},
                {"code", result->first},
                {"result", Json::parse(result->second, nullptr, /*allow_exceptions=*/false)}};
  }
  return std::nullopt;
}

}  // namespace deferd
