#include "limiter/queue/holder.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/domain_name.h"

namespace deferd {

namespace {

constexpr int kHalf = 50;  // percent, of a portion of a person's block
// A message arrives a moment before it is asked about, and MTAs stamp whole seconds.
constexpr absl::Duration kBeforeCase = absl::Minutes(1);
constexpr size_t kMaxEvents = 50;

constexpr absl::string_view kHeldName = "queue_held:";     // and an id: since when, in seconds
constexpr absl::string_view kLetGoName = "queue_let_go:";  // and an id
constexpr absl::string_view kPlanName = "queue_plan:";     // and a case's id: the portion
constexpr int64_t kForPerson = 0;                          // in place of a portion

// Where the message came from, as its question would have said.
Source SourceOf(const QueuedMail& mail) {
  if (!mail.identity.login.empty()) return Source::kSubmission;
  if (!mail.identity.user.empty() && mail.identity.host.empty()) return Source::kLocal;
  return Source::kRelay;
}

// Of a case and of those that it took the place of: a person's block says when it ends, but not
// that a rule's before it was harmless.
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
  if (record.held_order == HeldOrder::kKeep) return absl::StrCat(record.closed_by, " keeps it");
  if (record.ending != Ending::kPerson && messages > policy.release_auto_max) {
    return absl::StrCat(messages, " are held, and more than ", policy.release_auto_max,
                        " do not leave by themselves");
  }
  if (record.ending == Ending::kIncident) return "";  // nothing was the sender's fault
  const std::optional<std::string> why = GraveOf(record, cases, grave);
  return why.has_value() ? *why : "what its answers were is not known any more";
}

bool HeldByDeferd(const QueuedMail& mail, const Case& record, const HeldMail& held) {
  if (mail.ours || held.WasHeld(mail.id)) return true;
  if (mail.arrival < record.since - kBeforeCase || mail.arrival > record.closed_at ||
      record.action.For(SourceOf(mail)) != Verdict::kHold) {
    return false;
  }
  // What arrived before the block was held by it only if somebody was answered so.
  return mail.arrival >= record.since || held.AnyOnItsWay(record.subject);
}

std::optional<Case> LastCaseOf(const QueuedMail& mail, const CaseTable& cases) {
  std::optional<CaseEvent> last;
  for (const Charged& one : mail.charged) {
    for (CaseEvent& event : cases.EventsOf(one.subject, kMaxEvents)) {
      if (event.record.shadow) continue;
      if (!last.has_value() || event.time > last->time) last = std::move(event);
      break;
    }
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
      asked_[{std::string(rest), 's'}] = absl::InfinitePast();
      parts_.held->MarkHeld(std::string(rest));
    } else if (absl::ConsumePrefix(&rest, kLetGoName)) {
      let_go_.insert(std::string(rest));
      parts_.held->LetGo({std::string(rest)});
    } else if (absl::ConsumePrefix(&rest, kPlanName)) {
      kept_plans_[std::string(rest)] = number;
    }
  }
}

// What was queued before the case began is held as queued mail; what came later, by its own source
// too.
std::optional<Case> Holder::HeldBy(const QueuedMail& mail) const {
  if (parts_.held->WasLetGo(mail.id)) return std::nullopt;
  std::optional<Case> record = parts_.gate->HeldBy(mail.charged, Source::kQueued);
  if (record.has_value()) return record;
  record = parts_.gate->HeldBy(mail.charged, SourceOf(mail));
  if (record.has_value() && mail.arrival < record->since - kBeforeCase) return std::nullopt;
  return record;
}

void Holder::NotDone(const std::string& id, absl::Time now) {
  for (const char order : {'h', 'r', 'b'}) {
    const auto asked = asked_.find({id, order});
    if (asked != asked_.end()) asked->second = now - kAgain + kRetry;
  }
}

bool Holder::Ask(const std::string& id, char order, absl::Time now) {
  const auto [asked, is_new] = asked_.try_emplace({id, order}, now);
  if (!is_new && now - asked->second < kAgain) return false;
  asked->second = now;
  return true;
}

void Holder::Remember(const std::string& id, absl::Time since) {
  parts_.held->MarkHeld(id);
  parts_.remember(absl::StrCat(kHeldName, id), absl::ToUnixSeconds(since));
}

void Holder::ForgetWhatIsGone(const std::vector<QueuedMail>& queue) {
  absl::flat_hash_set<std::string> queued;
  for (const QueuedMail& mail : queue) {
    queued.insert(mail.id);
    if (!let_go_.contains(mail.id) && parts_.held->WasLetGo(mail.id)) {
      let_go_.insert(mail.id);
      parts_.remember(absl::StrCat(kLetGoName, mail.id), 1);
    }
  }
  absl::erase_if(asked_, [&](const auto& one) { return !queued.contains(one.first.first); });
  absl::erase_if(counted_, [&](const std::string& id) { return !queued.contains(id); });
  absl::erase_if(held_since_, [&](const auto& one) {
    if (queued.contains(one.first)) return false;
    parts_.held->Forget(one.first);
    parts_.remember(absl::StrCat(kHeldName, one.first), std::nullopt);
    return true;
  });
  absl::erase_if(let_go_, [&](const std::string& id) {
    if (queued.contains(id)) return false;
    parts_.held->Forget(id);
    parts_.remember(absl::StrCat(kLetGoName, id), std::nullopt);
    return true;
  });
}

QueueOrders Holder::Decide(const std::vector<QueuedMail>& queue, const Policy& policy,
                           const ChargeLists& lists, absl::Time now) {
  QueueOrders orders;
  ForgetWhatIsGone(queue);
  over_.clear();
  seen_.clear();
  arrived_.clear();
  for (const QueuedMail& mail : queue) {
    const std::optional<Case> by = HeldBy(mail);
    if (mail.recipients.empty()) {
      DecideDone(mail, now, &orders);
    } else if (mail.held) {
      DecideHeld(mail, by, policy, lists, now, &orders);
    } else if (by.has_value() && Ask(mail.id, 'h', now)) {
      held_since_.try_emplace(mail.id, now);
      Remember(mail.id, now);  // before it is done: a crash between must not disown it
      orders.hold.push_back(mail.id);
    }
  }
  for (auto& [subject, held] : over_) {
    LetGoOf(held.first, held.second, policy, now, &orders);
    HeldSubject& shown = seen_[subject];
    shown.waits_for = plans_[subject].waits_for;
    if (shown.waits_for.empty()) continue;  // it goes soon
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

// A listing may lack a subject for a moment; what is out of it is waited for all the same.
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
  if (mail.held && parts_.held->WasHeld(mail.id) && Ask(mail.id, 'r', now)) {
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
  } else if (Ask(mail.id, 'b', now)) {
    orders->give_back.push_back(mail.id);
  }
}

void Holder::DecideHeld(const QueuedMail& mail, const std::optional<Case>& by, const Policy& policy,
                        const ChargeLists& lists, absl::Time now, QueueOrders* orders) {
  // Exim puts the notice of what is given back where that was.
  const bool notice = mail.ours && mail.sender.empty() && mail.charged.empty();
  if (notice || parts_.held->WasLetGo(mail.id)) {
    if (Ask(mail.id, 'r', now)) orders->release.push_back(mail.id);
    return;
  }
  const std::optional<Case> record = by.has_value() ? by : LastCaseOf(mail, *parts_.cases);
  const bool known = record.has_value();
  if (known ? !HeldByDeferd(mail, *record, *parts_.held)
            : !mail.ours && !parts_.held->WasHeld(mail.id)) {
    return;  // somebody else's
  }
  const absl::Time began = known ? std::max(mail.arrival, record->since) : now;
  const auto [since, is_new] = held_since_.try_emplace(mail.id, std::min(now, began));
  if (is_new) Remember(mail.id, since->second);
  if (asked_.try_emplace({mail.id, 's'}, now).second) orders->now_held.push_back(mail.id);

  HeldSubject& subject = seen_[known ? record->subject : Subject()];
  if (known) subject.subject = record->subject;
  if (!known) subject.waits_for = "whose it is is not known any more";
  subject.blocked |= by.has_value();
  ++subject.messages;
  // What was queued before was not asked about.
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
    plan.waits_for = "that was so before deferd was started again";
  }  // else it begins anew, with a first portion
  return plan;
}

void Holder::KeepPlan(const Plan& plan) const {
  parts_.remember(absl::StrCat(kPlanName, plan.case_id),
                  plan.waits_for.empty() ? plan.portion : kForPerson);
}

void Holder::LetGoOf(const Case& record, const Group& group, const Policy& policy, absl::Time now,
                     QueueOrders* orders) {
  Plan& plan = PlanFor(record, static_cast<int64_t>(group.size()), policy);
  if (!plan.waits_for.empty()) return;
  const bool all = record.held_order == HeldOrder::kRelease;
  // What the queue shows as held though it was let go of.
  for (const QueuedMail* mail : group) {
    if (std::find(plan.out.begin(), plan.out.end(), mail->id) == plan.out.end()) continue;
    if (Ask(mail->id, 'r', now)) orders->release.push_back(mail->id);
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
    if (!Ask(mail->id, 'r', now)) continue;
    plan.out.push_back(mail->id);
    orders->release.push_back(mail->id);
  }
  plan.out_since = absl::FromUnixSeconds(absl::ToUnixSeconds(now));  // as MTAs stamp their logs
}

Holder::Judgement Holder::JudgePortion(const Case& record, absl::Time now, Plan* plan) const {
  const std::optional<PortionOutcome> outcome = parts_.outcome(plan->out, plan->out_since);
  const bool late = now - plan->out_since >= kJudgedAfter;
  if (!outcome.has_value()) {
    if (!late) return Judgement::kWait;
    plan->waits_for = "what became of those that were let go cannot be known";
    return Judgement::kBad;
  }
  const auto portion = static_cast<int64_t>(plan->out.size());
  if (outcome->messages < portion && !late) return Judgement::kWait;
  const bool enough = 2 * outcome->messages >= portion;
  const Counts& counts = outcome->counts;
  const int limit = record.percent_limit > 0 ? record.percent_limit : kHalf;
  const bool went_wrong = counts.bad() > 0 && counts.percent() >= limit;
  // One answer among many that tell nothing is no verdict.
  if (!went_wrong || (!enough && counts.bad() == 1)) {
    return enough ? Judgement::kGood : Judgement::kUnknown;
  }
  plan->waits_for = absl::StrCat("of those that were let go, ", counts.bad(), " of ",
                                 counts.total(), " deliveries went wrong");
  return Judgement::kBad;
}

}  // namespace deferd
