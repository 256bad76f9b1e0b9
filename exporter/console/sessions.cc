#include "exporter/console/sessions.h"

#include <algorithm>
#include <utility>

#include "exporter/api/secret.h"

namespace deferd {

std::optional<std::string> Sessions::Begin(const Token& token, absl::TimeZone zone,
                                           absl::Time now) {
  std::optional<std::string> id = NewSecret();
  std::optional<std::string> csrf = NewSecret();
  if (!id.has_value() || !csrf.has_value()) return std::nullopt;
  absl::erase_if(sessions_, [now](const auto& one) { return IsOver(one.second, now); });
  const auto is_own = [&](const auto& one) { return one.second.token.hash == token.hash; };
  const bool own =
      static_cast<size_t>(std::count_if(sessions_.begin(), sessions_.end(), is_own)) >= kMaxOfOne;
  if (own || sessions_.size() >= kMax) {
    auto oldest = sessions_.end();
    for (auto one = sessions_.begin(); one != sessions_.end(); ++one) {
      if (own && !is_own(*one)) continue;
      if (oldest == sessions_.end() || one->second.used < oldest->second.used) oldest = one;
    }
    sessions_.erase(oldest);
  }
  sessions_[Sha256Hex(*id)] = {
      .token = token, .csrf = *std::move(csrf), .zone = zone, .begun = now, .used = now};
  return id;
}

const LoginSession* Sessions::Find(absl::string_view id, absl::Time now) {
  const auto found = sessions_.find(Sha256Hex(id));
  if (found == sessions_.end()) return nullptr;
  if (IsOver(found->second, now)) {
    sessions_.erase(found);
    return nullptr;
  }
  found->second.used = now;
  return &found->second;
}

const LoginSession* Sessions::Peek(absl::string_view id, absl::Time now) const {
  const auto found = sessions_.find(Sha256Hex(id));
  return found == sessions_.end() || IsOver(found->second, now) ? nullptr : &found->second;
}

void Sessions::EndIf(absl::FunctionRef<bool(const LoginSession&)> over) {
  absl::erase_if(sessions_, [&](const auto& one) { return over(one.second); });
}

void Sessions::End(absl::string_view id) { sessions_.erase(Sha256Hex(id)); }

}  // namespace deferd
