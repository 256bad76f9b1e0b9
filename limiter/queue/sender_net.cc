#include "limiter/queue/sender_net.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "limiter/localrpc/queue_list.h"
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

// Of the system user whose address it may be; in small letters, as Postfix looks it up.
std::string SenderUser(const QueuedMail& mail) {
  return absl::AsciiStrToLower(absl::string_view(mail.sender).substr(0, mail.sender.rfind('@')));
}

// By the table: Postfix shows our sentence as it is then, that of others stands behind
// "host NAME[IP] said: " and the like.
bool WasPutOff(const QueuedMail& mail) { return IsRefusalText(mail.problem); }

// Not the policy's own text, which would not be known again in the log.
std::string Why(const Case& record) {
  return RefusalText(Policy(), record.ToRefusal(), Verdict::kHold);
}

bool Has(const NetOrders& table, const std::string& domain, const std::string& user) {
  return table.put_off.contains(domain) || table.users.contains(user);
}

}  // namespace

void SenderNet::Block(const std::vector<QueuedMail>& queue, const ChargeLists& lists,
                      NetOrders* orders) const {
  if (!cases_->AnyOpen()) return;
  bool users = false;
  for (const Case& record : cases_->Open()) {
    const Subject& subject = record.subject;
    users = users || subject.kind == SubjectKind::kDomain || subject.kind == SubjectKind::kAccount;
    if (subject.kind != SubjectKind::kDomain && subject.kind != SubjectKind::kLocal) continue;
    const Charged charged = {subject, true};
    const auto by = gate_->HeldBy(absl::MakeConstSpan(&charged, 1), Source::kQueued);
    if (!by.has_value()) continue;
    if (subject.kind == SubjectKind::kLocal) {
      if (orders->users.size() == kMaxPutOff) continue;
      orders->users[absl::AsciiStrToLower(subject.id.substr(0, subject.id.rfind('@')))] = Why(*by);
    } else if (orders->put_off.size() < kMaxPutOff) {
      orders->put_off[subject.id] = Why(*by);
    }
  }
  if (users) BlockUsers(lists, orders);
  // What a person lets go of goes, so its sender is not put off until it has been tried.
  for (const QueuedMail& mail : queue) {
    const bool untried = mail.problem.empty() || WasPutOff(mail);
    if (mail.held || !untried || !held_->WasLetGo(mail.id)) continue;
    orders->put_off.erase(SenderDomain(mail));
    orders->users.erase(SenderUser(mail));
  }
}

// All mail of such a user is charged to the domain, so no other mail is deferred with it.
void SenderNet::BlockUsers(const ChargeLists& lists, NetOrders* orders) const {
  for (const auto& [user, domain] : lists.users) {
    if (lists.users_of_several.contains(user) || orders->users.size() == kMaxPutOff) continue;
    const ChargedSubjects charged = Charge(lists, Identity{.user = user}, "");
    const auto by = gate_->HeldBy(charged, Source::kQueued);
    if (by.has_value()) orders->users[absl::AsciiStrToLower(user)] = Why(*by);
  }
}

void SenderNet::Written(const NetOrders& orders, absl::Time now) {
  for (const auto& [domain, why] : written_.put_off) {
    if (!orders.put_off.contains(domain)) taken_out_[domain] = now;
  }
  for (const auto& [user, why] : written_.users) {
    if (!orders.users.contains(user)) taken_out_[absl::StrCat(user, "@")] = now;
  }
  written_ = orders;
  for (const auto& [domain, why] : orders.put_off) taken_out_.erase(domain);
  for (const auto& [user, why] : orders.users) taken_out_.erase(absl::StrCat(user, "@"));
  absl::erase_if(taken_out_, [&](const auto& one) { return now - one.second >= kNoticed; });
}

NetOrders SenderNet::Decide(const std::vector<QueuedMail>& queue, const ChargeLists& lists,
                            absl::Time now) {
  NetOrders orders;
  Block(queue, lists, &orders);
  waiting_ = false;
  absl::flat_hash_map<std::string, Tries> tried;
  for (const QueuedMail& mail : queue) {
    if (mail.held || !WasPutOff(mail)) continue;
    const std::string domain = SenderDomain(mail), user = SenderUser(mail);
    if (Has(orders, domain, user)) continue;
    // It is to be held, not tried.
    if (!held_->WasLetGo(mail.id) && gate_->HeldBy(mail.charged, Source::kQueued).has_value()) {
      continue;
    }
    Tries& tries = tried[mail.id];
    if (const auto found = tried_.find(mail.id); found != tried_.end()) tries = found->second;
    if (tries.number == kMaxTries) continue;
    waiting_ = true;
    if (tries.number > 0 && now - tries.last < kAgain * (1 << (tries.number - 1))) continue;
    bool noticed = true;
    for (const std::string& key : {domain, absl::StrCat(user, "@")}) {
      const auto taken_out = taken_out_.find(key);
      noticed = noticed && (taken_out == taken_out_.end() || now - taken_out->second >= kNoticed);
    }
    if (!noticed || Has(written_, domain, user) || orders.retry.size() == kMaxRetries) continue;
    tries = {tries.number + 1, now};
    orders.retry.push_back(mail.id);
  }
  tried_ = std::move(tried);
  return orders;
}

}  // namespace deferd
