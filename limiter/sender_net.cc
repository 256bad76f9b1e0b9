#include "limiter/sender_net.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/types/span.h"
#include "policy/charge.h"
#include "policy/domain_name.h"
#include "policy/policy.h"
#include "policy/refusal_text.h"

namespace deferd {

namespace {

// Empty if there is none.
std::string SenderDomain(const QueuedMail& mail) {
  const size_t at = mail.sender.rfind('@');
  if (at == std::string::npos) return "";
  const absl::StatusOr<DomainName> name = DomainName::Parse(mail.sender.substr(at + 1));
  return name.ok() ? std::string(name->text()) : "";
}

// By the table: Postfix shows our sentence as it is then, that of others stands behind
// "host NAME[IP] said: " and the like.
bool WasPutOff(const QueuedMail& mail) { return IsRefusalText(mail.problem); }

}  // namespace

std::map<std::string, std::string> SenderNet::Blocked(const std::vector<QueuedMail>& queue) const {
  std::map<std::string, std::string> domains;
  if (!cases_->AnyOpen()) return domains;
  for (const Case& record : cases_->Open()) {
    if (record.subject.kind != SubjectKind::kDomain || domains.size() == kMaxDomains) continue;
    const Charged charged = {record.subject, true};
    const auto by = gate_->HeldBy(absl::MakeConstSpan(&charged, 1), Source::kQueued);
    if (!by.has_value()) continue;
    // Not the policy's own text, which would not be known again in the log.
    domains[record.subject.id] = RefusalText(Policy(), by->ToRefusal(), Verdict::kHold);
  }
  // What a person lets go of goes, so its domain is not put off until it has been tried.
  for (const QueuedMail& mail : queue) {
    const bool untried = mail.problem.empty() || WasPutOff(mail);
    if (!mail.held && untried && held_->WasLetGo(mail.id)) domains.erase(SenderDomain(mail));
  }
  return domains;
}

void SenderNet::Written(const NetOrders& orders, absl::Time now) {
  for (const auto& [domain, why] : put_off_) {
    if (!orders.put_off.contains(domain)) taken_out_[domain] = now;
  }
  put_off_ = orders.put_off;
  absl::erase_if(taken_out_, [&](const auto& one) {
    return now - one.second >= kNoticed || put_off_.contains(one.first);
  });
}

NetOrders SenderNet::Decide(const std::vector<QueuedMail>& queue, absl::Time now) {
  NetOrders orders;
  orders.put_off = Blocked(queue);
  waiting_ = false;
  absl::flat_hash_map<std::string, Tries> tried;
  for (const QueuedMail& mail : queue) {
    if (mail.held || !WasPutOff(mail)) continue;
    const std::string domain = SenderDomain(mail);
    if (orders.put_off.contains(domain)) continue;
    // It is to be held, not tried.
    if (!held_->WasLetGo(mail.id) && gate_->HeldBy(mail.charged, Source::kQueued).has_value()) {
      continue;
    }
    Tries& tries = tried[mail.id];
    if (const auto found = tried_.find(mail.id); found != tried_.end()) tries = found->second;
    if (tries.number == kMaxTries) continue;
    waiting_ = true;
    if (tries.number > 0 && now - tries.last < kAgain * (1 << (tries.number - 1))) continue;
    const auto taken_out = taken_out_.find(domain);
    if (put_off_.contains(domain) || orders.retry.size() == kMaxRetries ||
        (taken_out != taken_out_.end() && now - taken_out->second < kNoticed)) {
      continue;
    }
    tries = {tries.number + 1, now};
    orders.retry.push_back(mail.id);
  }
  tried_ = std::move(tried);
  return orders;
}

}  // namespace deferd
