#include "limiter/holder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

constexpr int kHalf = 50;  // percent, of a portion of a person's block

// Where the message came from, as its question would have said.
Source SourceOf(const QueuedMail& mail) {
  if (!mail.identity.login.empty()) return Source::kSubmission;
  if (!mail.identity.user.empty() && mail.identity.host.empty()) return Source::kLocal;
  return Source::kRelay;
}

// Whoever changed the policy is one too.
bool ByPerson(const Case& record) {
  return !record.closed_by.empty() && record.closed_by != "time" && record.closed_by != "incident";
}

bool IsGrave(ReplyClass reply_class) {
  return reply_class == ReplyClass::kContent || reply_class == ReplyClass::kReputation ||
         reply_class == ReplyClass::kInvalidRecipient;
}

}  // namespace

// What was queued before the case began is held as queued mail; what came later, by its own source
// too.
std::optional<Case> Holder::HeldBy(const QueuedMail& mail) const {
  if (parts_.held->WasLetGo(mail.id)) return std::nullopt;
  std::optional<Case> record = parts_.gate->HeldBy(mail.charged, Source::kQueued);
  if (record.has_value()) return record;
  record = parts_.gate->HeldBy(mail.charged, SourceOf(mail));
  if (record.has_value() && mail.arrival < record->since) return std::nullopt;
  return record;
}

std::optional<Case> Holder::LastCaseOf(const QueuedMail& mail) const {
  std::optional<CaseEvent> last;
  for (const Charged& one : mail.charged) {
    for (CaseEvent& event : parts_.cases->EventsOf(one.subject, 10)) {
      if (event.record.shadow) continue;
      if (!last.has_value() || event.time > last->time) last = std::move(event);
      break;
    }
  }
  if (!last.has_value()) return std::nullopt;
  return std::move(last->record);
}

bool Holder::HeldByDeferd(const QueuedMail& mail, const Case& record) {
  if (mail.ours || asked_.contains({mail.id, 'h'})) return true;
  if (mail.arrival >= record.since && mail.arrival <= record.closed_at &&
      record.action.For(SourceOf(mail)) == Verdict::kHold) {
    return true;
  }
  const auto [known, is_new] = by_deferd_.try_emplace(mail.id, false);
  if (is_new) known->second = parts_.was_held(mail.id);
  return known->second;
}

bool Holder::Ask(const std::string& id, char order, absl::Time now) {
  const auto [asked, is_new] = asked_.try_emplace({id, order}, now);
  if (!is_new && now - asked->second < kAgain) return false;
  asked->second = now;
  return true;
}

QueueOrders Holder::Decide(const std::vector<QueuedMail>& queue, const Policy& policy,
                           absl::Time now) {
  QueueOrders orders;
  absl::flat_hash_set<std::string> queued, waiting;
  for (const QueuedMail& mail : queue) {
    queued.insert(mail.id);
    if (!mail.held) waiting.insert(mail.id);
  }
  const auto gone = [&](const auto& one) { return !queued.contains(one.first); };
  absl::erase_if(held_since_, gone);
  absl::erase_if(by_deferd_, gone);
  absl::erase_if(asked_, [&](const auto& one) { return !queued.contains(one.first.first); });
  parts_.held->KeepLetGo(queued);

  absl::flat_hash_map<Subject, std::pair<Case, Group>> over;
  absl::flat_hash_map<Subject, HeldSubject> shown;
  HeldMail::Counts counts;
  for (const QueuedMail& mail : queue) {
    if (mail.charged.empty()) continue;
    const std::optional<Case> by = HeldBy(mail);
    if (!mail.held) {
      held_since_.erase(mail.id);
      if (by.has_value() && Ask(mail.id, 'h', now)) orders.hold.push_back(mail.id);
      continue;
    }
    const std::optional<Case> record = by.has_value() ? by : LastCaseOf(mail);
    if (!record.has_value() || !HeldByDeferd(mail, *record)) continue;
    HeldSubject& subject = shown[record->subject];
    subject.subject = record->subject;
    subject.blocked |= by.has_value();
    ++subject.messages;
    ++counts[record->subject];
    const absl::Time since =
        held_since_.try_emplace(mail.id, std::min(now, std::max(mail.arrival, record->since)))
            .first->second;
    if (now - since > policy.hold_max) {
      if (Ask(mail.id, 'b', now)) orders.give_back.push_back(mail.id);
    } else if (!by.has_value()) {
      auto& [last, group] = over.try_emplace(record->subject, *record, Group()).first->second;
      group.push_back(&mail);
    }
  }
  parts_.held->SetCounts(std::move(counts));

  absl::erase_if(plans_, [&](const auto& one) { return !over.contains(one.first); });
  for (auto& [subject, held] : over) {
    LetGoOf(held.first, held.second, policy, waiting, now, &orders);
    shown[subject].waits_for = plans_[subject].waits_for;
  }
  shown_.clear();
  for (auto& [subject, one] : shown) shown_.push_back(std::move(one));
  std::sort(shown_.begin(), shown_.end(), [](const HeldSubject& a, const HeldSubject& b) {
    return std::pair(-a.messages, a.subject.id) < std::pair(-b.messages, b.subject.id);
  });
  return orders;
}

void Holder::LetGoOf(const Case& record, const Group& group, const Policy& policy,
                     const absl::flat_hash_set<std::string>& waiting, absl::Time now,
                     QueueOrders* orders) {
  Plan& plan = plans_[record.subject];
  if (plan.case_id != record.id) {
    plan = Plan{.case_id = record.id};
    plan.waits_for = NeedsPerson(record, static_cast<int64_t>(group.size()), policy);
  }
  if (!plan.waits_for.empty()) return;
  if (!plan.out.empty()) {
    if (!PortionIsGood(record, waiting, now, &plan)) return;
    plan.out.clear();
    plan.portion *= kGrowth;
  }
  Group oldest = group;
  std::sort(oldest.begin(), oldest.end(), [](const QueuedMail* a, const QueuedMail* b) {
    return std::tie(a->arrival, a->id) < std::tie(b->arrival, b->id);
  });
  for (const QueuedMail* mail : oldest) {
    if (static_cast<int64_t>(plan.out.size()) == plan.portion) break;
    if (!Ask(mail->id, 'r', now)) continue;
    plan.out.push_back(mail->id);
    orders->release.push_back(mail->id);
  }
  plan.out_since = absl::FromUnixSeconds(absl::ToUnixSeconds(now));  // as MTAs stamp their logs
}

std::string Holder::NeedsPerson(const Case& record, int64_t messages, const Policy& policy) const {
  if (ByPerson(record)) return "";
  if (messages > policy.release_auto_max) {
    return absl::StrCat(messages, " are held, and more than ", policy.release_auto_max,
                        " do not leave by themselves");
  }
  // A person said when it ends, or nothing was the sender's fault.
  if (record.manual || record.closed_by == "incident") return "";
  const std::optional<ReplyClass> leading = parts_.leading_class(record);
  if (!leading.has_value()) return "what its answers were is not known any more";
  if (!IsGrave(*leading)) return "";
  return absl::StrCat("most of its answers were ", ReplyClassName(*leading));
}

bool Holder::PortionIsGood(const Case& record, const absl::flat_hash_set<std::string>& waiting,
                           absl::Time now, Plan* plan) const {
  const bool settled = std::none_of(plan->out.begin(), plan->out.end(),
                                    [&](const std::string& id) { return waiting.contains(id); });
  if (!settled && now - plan->out_since < kJudgedAfter) return false;
  const Counts counts = parts_.outcomes(plan->out, plan->out_since);
  const int limit = record.percent_limit > 0 ? record.percent_limit : kHalf;
  if (counts.bad() == 0 || counts.percent() < limit) return true;
  plan->waits_for = absl::StrCat("of those that were let go, ", counts.bad(), " of ",
                                 counts.total(), " deliveries went wrong");
  return false;
}

}  // namespace deferd
