#include "limiter/queue/holder.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/port/clock.h"
#include "policy/domain_name.h"

namespace deferd {

namespace {

constexpr int kHalf = 50;  // percent, of a portion of a person's block
// A message arrives just before the question about it, and MTAs log whole seconds.
constexpr absl::Duration kBeforeCase = absl::Minutes(1);
constexpr size_t kMaxEvents = 50;

constexpr absl::string_view kHeldName = "queue_held:";  // plus the id: held since, in Unix seconds
constexpr absl::string_view kReleasedName =
    "queue_let_go:";                                    // plus the id (name of earlier versions)
constexpr absl::string_view kPlanName = "queue_plan:";  // plus the case id: the portion
constexpr int64_t kForPerson = 0;                       // in place of a portion

// MTAs log whole seconds.
absl::Time AsLogged(absl::Time t) { return absl::FromUnixSeconds(absl::ToUnixSeconds(t)); }

// The source that the question about the message had.
Source SourceOf(const QueuedMail& mail) {
  if (!mail.identity.login.empty()) return Source::kSubmission;
  if (!mail.identity.user.empty() && mail.identity.host.empty()) return Source::kLocal;
  return Source::kRelay;
}

// For a person's block, also checks the rule's cases that it replaced: the person's block says when
// holding ends, not that the earlier case was harmless.
std::optional<std::string> GraveOf(const Case& record, const CaseTable& cases,
                                   const GraveOfCase& grave) {
  if (!record.manual) return grave(record);
  const std::string replaced = absl::StrCat("replaced by ", record.id);
  for (const CaseEvent& event : cases.EventsOf(record.subject, kMaxEvents)) {
    if (event.record.closed_reason == replaced && !event.record.shadow) {
      return GraveOf(event.record, cases, grave);
    }
  }
  return "";
}

}  // namespace

bool ReturnsToOurs(const QueuedMail& mail, const ChargeLists& lists) {
  const Identity& identity = mail.identity;
  const absl::StatusOr<DomainName> domain = DomainName::OfAddress(mail.sender);
  if (mail.sender.empty()) return false;
  if (domain.ok() && !lists.hosted.empty() && lists.hosted.Matches(domain->text())) return true;
  const bool local = !identity.user.empty() && identity.host.empty();
  if (identity.login.empty() && !local) return false;
  const absl::string_view name = absl::string_view(mail.sender).substr(0, mail.sender.rfind('@'));
  for (const std::string& proven : {identity.login, local ? identity.user : ""}) {
    if (proven.empty()) continue;
    if (absl::EqualsIgnoreCase(proven, mail.sender) || absl::EqualsIgnoreCase(proven, name)) {
      return true;
    }
    const absl::StatusOr<DomainName> own = DomainName::OfAddress(proven);
    if (own.ok() && domain.ok() && own->text() == domain->text()) return true;
  }
  return domain.ok() &&
         std::any_of(mail.charged.begin(), mail.charged.end(), [&](const Charged& one) {
           return one.subject.kind == SubjectKind::kDomain && one.subject.id == domain->text();
         });
}

std::string WhyPersonDecides(const Case& record, int64_t messages, const Policy& policy,
                             const CaseTable& cases, const GraveOfCase& grave) {
  if (record.held_order == HeldOrder::kRelease) return "";
  if (record.held_order == HeldOrder::kKeep) {
    return absl::StrCat(record.closed_by, " keeps it on hold");
  }
  if (record.ending != Ending::kPerson && messages > policy.release_auto_max) {
    return absl::StrCat(messages,
                        " messages are held; above release_auto_max = ", policy.release_auto_max,
                        " a person decides");
  }
  if (record.ending == Ending::kIncident) return "";  // the sender was not the cause
  const std::optional<std::string> why = GraveOf(record, cases, grave);
  return why.has_value() ? *why : "the remote replies of the case are no longer known";
}

bool HeldByDeferd(const QueuedMail& mail, const Case& record, const HeldMail& held) {
  if (mail.ours || held.WasHeld(mail.id)) return true;
  if (mail.arrival < record.since - kBeforeCase || mail.arrival > record.closed_at ||
      record.action.For(SourceOf(mail)) != Verdict::kHold) {
    return false;
  }
  // A message older than the block is held by it only if an MTA got the answer `hold`.
  // A message of the block's first second seems older than the block in Postfix's queue.
  return mail.arrival >= AsLogged(record.since) || held.AnyOnItsWay(record.subject);
}

std::optional<Case> LastCaseOf(const QueuedMail& mail, const CaseTable& cases) {
  std::optional<CaseEvent> last;
  const auto look_at = [&](const Subject& subject) {
    for (CaseEvent& event : cases.EventsOf(subject, kMaxEvents)) {
      if (event.record.shadow) continue;
      if (!last.has_value() || event.time > last->time) last = std::move(event);
      return;
    }
  };
  for (const Charged& one : mail.charged) {
    look_at(one.subject);
    if (one.subject.kind != SubjectKind::kDomain) continue;
    for (const Subject& pattern : PatternsOf(one.subject.id)) look_at(pattern);
  }
  if (!last.has_value()) return std::nullopt;
  return std::move(last->record);
}

Holder::Holder(Parts parts, const std::map<std::string, int64_t>& remembered)
    : parts_(std::move(parts)) {
  for (const auto& [name, number] : remembered) {
    absl::string_view rest = name;
    if (absl::ConsumePrefix(&rest, kHeldName)) {
      held_since_[std::string(rest)] = absl::FromUnixSeconds(number);
      ordered_[{std::string(rest), 's'}] = absl::InfinitePast();
      parts_.held->MarkHeld(std::string(rest));
    } else if (absl::ConsumePrefix(&rest, kReleasedName)) {
      released_.insert(std::string(rest));
      parts_.held->Release({std::string(rest)});
    } else if (absl::ConsumePrefix(&rest, kPlanName)) {
      kept_plans_[std::string(rest)] = number;
    }
  }
}

// Mail queued before the case began is held as queued mail; later mail also by its own source.
std::optional<Case> Holder::HeldBy(const QueuedMail& mail) const {
  if (parts_.held->WasReleased(mail.id)) return std::nullopt;
  std::optional<Case> record = parts_.gate->HeldBy(mail.charged, Source::kQueued);
  if (record.has_value()) return record;
  record = parts_.gate->HeldBy(mail.charged, SourceOf(mail));
  if (record.has_value() && mail.arrival < record->since - kBeforeCase) return std::nullopt;
  return record;
}

void Holder::NotDone(const std::string& id, absl::Time now) {
  for (const char order : {'h', 'r', 'b'}) {
    const auto asked = ordered_.find({id, order});
    if (asked != ordered_.end()) asked->second = now - kAgain + kRetry;
  }
}

bool Holder::Order(const std::string& id, char order, absl::Time now) {
  const auto [asked, is_new] = ordered_.try_emplace({id, order}, now);
  if (!is_new && Within(asked->second, kAgain, now)) return false;
  asked->second = now;
  return true;
}

void Holder::Remember(const std::string& id, absl::Time since) {
  parts_.held->MarkHeld(id);
  parts_.remember(absl::StrCat(kHeldName, id), absl::ToUnixSeconds(since));
}

void Holder::ForgetDeparted(const std::vector<QueuedMail>& queue) {
  absl::flat_hash_set<std::string> queued;
  for (const QueuedMail& mail : queue) {
    queued.insert(mail.id);
    if (!released_.contains(mail.id) && parts_.held->WasReleased(mail.id)) {
      released_.insert(mail.id);
      parts_.remember(absl::StrCat(kReleasedName, mail.id), 1);
    }
  }
  absl::erase_if(ordered_, [&](const auto& one) { return !queued.contains(one.first.first); });
  absl::erase_if(counted_, [&](const std::string& id) { return !queued.contains(id); });
  absl::erase_if(held_since_, [&](const auto& one) {
    if (queued.contains(one.first)) return false;
    parts_.held->Forget(one.first);
    parts_.remember(absl::StrCat(kHeldName, one.first), std::nullopt);
    return true;
  });
  absl::erase_if(released_, [&](const std::string& id) {
    if (queued.contains(id)) return false;
    parts_.held->Forget(id);
    parts_.remember(absl::StrCat(kReleasedName, id), std::nullopt);
    return true;
  });
}

QueueOrders Holder::Decide(const std::vector<QueuedMail>& queue, const Policy& policy,
                           const ChargeLists& lists, absl::Time now) {
  QueueOrders orders;
  ForgetDeparted(queue);
  over_.clear();
  seen_.clear();
  arrived_.clear();
  for (const QueuedMail& mail : queue) {
    const std::optional<Case> by = HeldBy(mail);
    if (mail.recipients.empty()) {
      DecideDone(mail, now, &orders);
    } else if (mail.held) {
      DecideHeld(mail, by, policy, lists, now, &orders);
    } else if (by.has_value() && Order(mail.id, 'h', now)) {
      held_since_.try_emplace(mail.id, now);
      Remember(mail.id, now);  // before the order: a crash in between must not lose the ownership
      orders.hold.push_back(mail.id);
    }
  }
  for (auto& [subject, held] : over_) {
    ReleaseFor(held.first, held.second, policy, now, &orders);
    HeldSubject& shown = seen_[subject];
    shown.waits_for = plans_[subject].waits_for;
    if (shown.waits_for.empty()) continue;  // released soon
    const bool kept = held.first.held_order == HeldOrder::kKeep;
    for (const QueuedMail* mail : held.second) {
      if (!kept) {
        GiveBack(*mail, &held.first, policy, lists, now, &shown, &orders);
      } else if (now - held_since_[mail->id] > policy.hold_max) {
        ++shown.overdue;
      }
    }
  }
  ForgetPlans();
  shown_.clear();
  HeldMail::Counts counts;
  for (auto& [subject, one] : seen_) {
    counts[subject] = one.messages;
    shown_.push_back(std::move(one));
  }
  parts_.held->SetCounts(std::move(counts), arrived_, now);
  std::sort(shown_.begin(), shown_.end(), [](const HeldSubject& a, const HeldSubject& b) {
    return std::pair(-a.messages, a.subject.id) < std::pair(-b.messages, b.subject.id);
  });
  return orders;
}

// Keeps the plans while anything is held: a single listing may lack a subject.
void Holder::ForgetPlans() {
  if (!seen_.empty()) return;
  for (const auto& [subject, plan] : plans_) kept_plans_[plan.case_id] = plan.portion;
  for (const auto& [case_id, portion] : kept_plans_) {
    parts_.remember(absl::StrCat(kPlanName, case_id), std::nullopt);
  }
  kept_plans_.clear();
  plans_.clear();
}

void Holder::DecideDone(const QueuedMail& mail, absl::Time now, QueueOrders* orders) {
  if (mail.held && parts_.held->WasHeld(mail.id) && Order(mail.id, 'r', now)) {
    orders->release.push_back(mail.id);
  }
}

void Holder::GiveBack(const QueuedMail& mail, const Case* record, const Policy& policy,
                      const ChargeLists& lists, absl::Time now, HeldSubject* subject,
                      QueueOrders* orders) {
  if (now - held_since_[mail.id] <= policy.hold_max) return;
  const bool sure = record == nullptr || parts_.gate->IsSure(*record);
  if (!sure || !ReturnsToOurs(mail, lists)) {
    ++subject->overdue;
  } else if (Order(mail.id, 'b', now)) {
    orders->give_back.push_back(mail.id);
  }
}

void Holder::DecideHeld(const QueuedMail& mail, const std::optional<Case>& by, const Policy& policy,
                        const ChargeLists& lists, absl::Time now, QueueOrders* orders) {
  // Exim puts the bounce of a returned message into the same named queue.
  const bool notice = mail.ours && mail.sender.empty() && mail.charged.empty();
  if (notice || parts_.held->WasReleased(mail.id)) {
    if (Order(mail.id, 'r', now)) orders->release.push_back(mail.id);
    return;
  }
  const std::optional<Case> record = by.has_value() ? by : LastCaseOf(mail, *parts_.cases);
  const bool known = record.has_value();
  if (known ? !HeldByDeferd(mail, *record, *parts_.held)
            : !mail.ours && !parts_.held->WasHeld(mail.id)) {
    return;  // held by another user of the hold queue
  }
  const absl::Time began = known ? std::max(mail.arrival, record->since) : now;
  const auto [since, is_new] = held_since_.try_emplace(mail.id, std::min(now, began));
  if (is_new) Remember(mail.id, since->second);
  if (ordered_.try_emplace({mail.id, 's'}, now).second) orders->now_held.push_back(mail.id);

  HeldSubject& subject = seen_[known ? record->subject : Subject()];
  if (known) subject.subject = record->subject;
  if (!known) subject.waits_for = "its sender is no longer known";
  subject.blocked |= by.has_value();
  ++subject.messages;
  subject.oldest = std::min(subject.oldest, since->second);
  // MTAs sent no question about mail that was queued before.
  const bool asked_about = known && mail.arrival >= record->since - kBeforeCase;
  if (counted_.insert(mail.id).second && asked_about) ++arrived_[record->subject];
  if (known && !by.has_value()) {
    over_.try_emplace(record->subject, *record, Group()).first->second.second.push_back(&mail);
  } else {
    GiveBack(mail, known ? &*record : nullptr, policy, lists, now, &subject, orders);
  }
}

Holder::Plan& Holder::PlanFor(const Case& record, int64_t messages, const Policy& policy) {
  Plan& plan = plans_[record.subject];
  if (plan.case_id == record.id) return plan;
  plan = Plan{.case_id = record.id};
  const auto kept = kept_plans_.find(record.id);
  if (kept == kept_plans_.end() || record.held_order != HeldOrder::kNone) {
    plan.waits_for = WhyPersonDecides(record, messages, policy, *parts_.cases, parts_.grave);
    KeepPlan(plan);
  } else if (kept->second == kForPerson) {
    plan.waits_for = "was waiting for approval before deferd was restarted";
  }  // otherwise start again with a first portion
  return plan;
}

void Holder::KeepPlan(const Plan& plan) const {
  parts_.remember(absl::StrCat(kPlanName, plan.case_id),
                  plan.waits_for.empty() ? plan.portion : kForPerson);
}

void Holder::ReleaseFor(const Case& record, const Group& group, const Policy& policy,
                        absl::Time now, QueueOrders* orders) {
  Plan& plan = PlanFor(record, static_cast<int64_t>(group.size()), policy);
  if (!plan.waits_for.empty()) return;
  const bool all = record.held_order == HeldOrder::kRelease;
  // Repeats the release of messages that the queue still shows as held.
  for (const QueuedMail* mail : group) {
    if (std::find(plan.out.begin(), plan.out.end(), mail->id) == plan.out.end()) continue;
    if (Order(mail->id, 'r', now)) orders->release.push_back(mail->id);
  }
  if (!plan.out.empty() && !all) {
    const Judgement judgement = JudgePortion(record, now, &plan);
    if (judgement == Judgement::kWait) return;
    if (judgement == Judgement::kGood) plan.portion *= kGrowth;
    plan.out.clear();
    if (judgement != Judgement::kUnknown) KeepPlan(plan);
    if (judgement == Judgement::kBad) return;
  }
  Group oldest = group;
  std::sort(oldest.begin(), oldest.end(), [](const QueuedMail* a, const QueuedMail* b) {
    return std::tie(a->arrival, a->id) < std::tie(b->arrival, b->id);
  });
  for (const QueuedMail* mail : oldest) {
    if (!all && static_cast<int64_t>(plan.out.size()) == plan.portion) break;
    if (!Order(mail->id, 'r', now)) continue;
    plan.out.push_back(mail->id);
    orders->release.push_back(mail->id);
  }
  plan.out_since = AsLogged(now);
}

Holder::Judgement Holder::JudgePortion(const Case& record, absl::Time now, Plan* plan) const {
  const std::optional<PortionOutcome> outcome = parts_.outcome(plan->out, plan->out_since);
  const bool late = !Within(plan->out_since, kJudgedAfter, now);
  if (!outcome.has_value()) {
    if (!late) return Judgement::kWait;
    plan->waits_for = "the outcome of the released messages cannot be determined";
    return Judgement::kBad;
  }
  const auto portion = static_cast<int64_t>(plan->out.size());
  if (outcome->messages < portion && !late) return Judgement::kWait;
  const bool enough = 2 * outcome->messages >= portion;
  const Counts& counts = outcome->counts;
  const int limit = record.percent_limit > 0 ? record.percent_limit : kHalf;
  const bool went_wrong = counts.bad() > 0 && counts.percent() >= limit;
  // A single bad outcome in a mostly unknown portion decides nothing.
  if (!went_wrong || (!enough && counts.bad() == 1)) {
    return enough ? Judgement::kGood : Judgement::kUnknown;
  }
  plan->waits_for = absl::StrCat(counts.bad(), " of ", counts.total(),
                                 " deliveries of released messages failed or were deferred");
  return Judgement::kBad;
}

}  // namespace deferd
