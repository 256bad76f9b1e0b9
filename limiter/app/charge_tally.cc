#include "limiter/app/charge_tally.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace deferd {

namespace {

constexpr size_t kShownNames = 5;

using Why = ChargeTally::Why;

// Why the attempt is charged to nobody that a rule judges, and the name to show for the reason.
std::pair<Why, std::string> WhyNobody(const Attempt& attempt, const ChargedSubjects& charged) {
  const Identity& who = attempt.identity;
  if (!charged.empty()) {
    const bool judged =
        std::any_of(charged.begin(), charged.end(), [](const Charged& one) { return one.hosted; });
    if (judged) return {Why::kJudged, ""};
    return {Why::kNotHosted, charged.back().subject.id};
  }
  if (!attempt.attributed()) return {Why::kUnseenArrival, ""};
  if (!who.login.empty()) return {Why::kOrder, who.login};
  if (!who.host.empty()) return {Why::kHost, who.host};
  if (!who.user.empty()) return {Why::kOrder, who.user};
  return {Why::kUnknown, ""};
}

}  // namespace

void ChargeTally::Count(absl::string_view name, Names* names) {
  if (name.empty()) return;
  const auto found = names->find(name);
  if (found != names->end()) {
    ++found->second;
  } else if (names->size() < kNames) {
    names->emplace(name, 1);
  }
}

void ChargeTally::OnAttempt(const Attempt& attempt, const ChargedSubjects& charged,
                            LeftOut left_out, const Classification* /*answer*/) {
  if (!attempt.remote || left_out == LeftOut::kMadeByMta || left_out == LeftOut::kOwnRefusal) {
    return;
  }
  const absl::string_view host = attempt.host.empty() ? attempt.host_ip : attempt.host;
  MutexLock lock(&mutex_);
  if (!host.empty()) {
    ++to_hosts_;
    Count(host, &hosts_);
    const size_t at = attempt.recipient.rfind('@');
    if (at != std::string::npos && domains_.size() < kManyDomains) {
      ++domains_[absl::AsciiStrToLower(attempt.recipient.substr(at + 1))];
    }
  }
  // Ambiguous hand-overs have a remedy of their own in doctor: their host is a trusted one.
  if (left_out == LeftOut::kInternalHost || left_out == LeftOut::kUnclear) return;
  const auto [why, name] = WhyNobody(attempt, charged);
  ++attempts_[static_cast<size_t>(why)];
  Count(name, &names_[static_cast<size_t>(why)]);
}

void ChargeTally::Begin() {
  MutexLock lock(&mutex_);
  attempts_ = {};
  names_ = {};
  hosts_.clear();
  to_hosts_ = 0;
  domains_.clear();
}

std::vector<std::pair<std::string, int64_t>> ChargeTally::Most(const Names& names) {
  std::vector<std::pair<std::string, int64_t>> most(names.begin(), names.end());
  std::stable_sort(most.begin(), most.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  if (most.size() > kShownNames) most.resize(kShownNames);
  return most;
}

ChargeTally::Numbers ChargeTally::numbers() const {
  MutexLock lock(&mutex_);
  Numbers numbers = {.attempts = attempts_, .to_hosts = to_hosts_};
  for (size_t why = 0; why < names_.size(); ++why) numbers.names[why] = Most(names_[why]);
  numbers.recipient_domains = domains_.size();
  for (const auto& [host, count] : hosts_) {
    if (count > numbers.by_first_host) {
      numbers.first_host = host;
      numbers.by_first_host = count;
    }
  }
  return numbers;
}

}  // namespace deferd
