#include "exporter/api/late_results.h"

#include "exporter/api/secret.h"

namespace deferd {

void LateResults::ForgetOld(absl::Time now) {
  while (!all_.empty() && (all_.size() > kMost || now - all_.front().since >= kKept)) {
    all_.pop_front();
  }
}

std::string LateResults::Add(const Token& token, std::shared_ptr<const LateOutcome> outcome,
                             absl::Time now) {
  std::optional<std::string> id = NewSecret();
  if (!id.has_value()) return "";
  all_.push_back({.id = *id, .token = token, .outcome = std::move(outcome), .since = now});
  ForgetOld(now);
  return *std::move(id);
}

std::optional<Json> LateResults::Find(absl::string_view id, const Token& token, absl::Time now) {
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
