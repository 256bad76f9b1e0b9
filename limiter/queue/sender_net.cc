#include "limiter/queue/sender_net.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/clock.h"
#include "policy/charge.h"
#include "policy/domain_name.h"
#include "policy/policy.h"
#include "policy/refusal_text.h"

namespace deferd {

namespace {

// Empty if the sender has no valid domain.
std::string SenderDomain(const QueuedMail& mail) {
  const size_t at = mail.sender.rfind('@');
  if (at == std::string::npos) return "";
  const absl::StatusOr<DomainName> name = DomainName::Parse(mail.sender.substr(at + 1));
  return name.ok() ? std::string(name->text()) : "";
}

// The system user whose address it may be, in lower case as Postfix looks it up.
std::string SenderUser(const QueuedMail& mail) {
  return absl::AsciiStrToLower(absl::string_view(mail.sender).substr(0, mail.sender.rfind('@')));
}

// For mail that the table deferred, Postfix shows our text without a prefix; a remote server's text
// follows "host NAME[IP] said: " or similar.
bool WasDeferredByTable(const QueuedMail& mail) { return IsRefusalText(mail.problem); }

// Uses the default text, not the policy's own: the log reader has to recognise it.
std::string Why(const Case& record) {
  return RefusalText(Policy(), record.ToRefusal(), Verdict::kHold);
}

bool Has(const NetOrders& table, const std::string& domain, const std::string& user) {
  return table.domains.contains(domain) || table.users.contains(user);
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
      if (orders->users.size() == kMaxDeferredKeys) continue;
      orders->users[absl::AsciiStrToLower(subject.id.substr(0, subject.id.rfind('@')))] = Why(*by);
    } else if (orders->domains.size() < kMaxDeferredKeys) {
      orders->domains[subject.id] = Why(*by);
    }
  }
  if (users) BlockUsers(lists, orders);
  // A person's release must succeed, so the table does not defer its sender before the first try.
  for (const QueuedMail& mail : queue) {
    const bool untried = mail.problem.empty() || WasDeferredByTable(mail);
    if (mail.held || !untried || !held_->WasReleased(mail.id)) continue;
    orders->domains.erase(SenderDomain(mail));
    orders->users.erase(SenderUser(mail));
  }
}

// All mail of such a user is charged to the domain, so the table defers no other mail.
void SenderNet::BlockUsers(const ChargeLists& lists, NetOrders* orders) const {
  for (const auto& [user, domain] : lists.users) {
    if (lists.users_of_several.contains(user) || orders->users.size() == kMaxDeferredKeys) continue;
    const ChargedSubjects charged = Charge(lists, Identity{.user = user}, "");
    const auto by = gate_->HeldBy(charged, Source::kQueued);
    if (by.has_value()) orders->users[absl::AsciiStrToLower(user)] = Why(*by);
  }
}

void SenderNet::Written(const NetOrders& orders, absl::Time now) {
  for (const auto& [domain, why] : written_.domains) {
    if (!orders.domains.contains(domain)) taken_out_[domain] = now;
  }
  for (const auto& [user, why] : written_.users) {
    if (!orders.users.contains(user)) taken_out_[absl::StrCat(user, "@")] = now;
  }
  written_ = orders;
  for (const auto& [domain, why] : orders.domains) taken_out_.erase(domain);
  for (const auto& [user, why] : orders.users) taken_out_.erase(absl::StrCat(user, "@"));
  absl::erase_if(taken_out_, [&](const auto& one) { return !Within(one.second, kNoticed, now); });
}

NetOrders SenderNet::Decide(const std::vector<QueuedMail>& queue, const ChargeLists& lists,
                            absl::Time now) {
  NetOrders orders;
  Block(queue, lists, &orders);
  waiting_ = false;
  absl::flat_hash_map<std::string, Tries> tried;
  for (const QueuedMail& mail : queue) {
    if (mail.held || !WasDeferredByTable(mail)) continue;
    const std::string domain = SenderDomain(mail), user = SenderUser(mail);
    if (Has(orders, domain, user)) continue;
    // Due to be held, not to be tried.
    if (!held_->WasReleased(mail.id) && gate_->HeldBy(mail.charged, Source::kQueued).has_value()) {
      continue;
    }
    Tries& tries = tried[mail.id];
    if (const auto found = tried_.find(mail.id); found != tried_.end()) tries = found->second;
    if (tries.number == kMaxTries) continue;
    waiting_ = true;
    if (tries.number > 0 && Within(tries.last, kAgain * (1 << (tries.number - 1)), now)) continue;
    bool noticed = true;
    for (const std::string& key : {domain, absl::StrCat(user, "@")}) {
      const auto taken_out = taken_out_.find(key);
      noticed =
          noticed && (taken_out == taken_out_.end() || !Within(taken_out->second, kNoticed, now));
    }
    if (!noticed || Has(written_, domain, user) || orders.retry.size() == kMaxRetries) continue;
    tries = {tries.number + 1, now};
    orders.retry.push_back(mail.id);
  }
  tried_ = std::move(tried);
  return orders;
}

}  // namespace deferd
