// The part of the limiter that opens, extends and ends cases.

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/limiter.h"

namespace deferd {

void Limiter::JudgeSubject(const Subject& subject, absl::Time now, absl::Time since, bool newest,
                           Basis basis) {
  if (!judge_.MayBeBlocked(subject)) return;
  for (bool shadow : {false, true}) {
    if (!judge_.AnyRule(shadow) || cases_->FindOpen(subject, shadow).has_value()) continue;
    if (shadow && cases_->FindOpen(subject, /*shadow=*/false).has_value()) continue;
    const std::vector<Decision> decisions =
        judge_.Decide(subject, now, absl::InfinitePast(), shadow, basis);
    const Decision* decision = Strictest(*settings_.policy, decisions, shadow);
    if (decision == nullptr) continue;
    const bool wait = !newest && rows_ != nullptr && !rows_->alone() &&
                      judge_.RestsOnOthers(subject, *decision, now, shadow);
    if (wait) {
      rows_->AskAgain(subject);
    } else {
      OpenCase(subject, *decision, shadow, since);
    }
  }
}

void Limiter::OpenCase(const Subject& subject, const Decision& decision, bool shadow,
                       absl::Time since) {
  Case record = casebook_.Open(subject, *settings_.policy, decision, shadow, since, batch_clock_);
  record.judged_at = std::max(now_, since);
  record.counted_after = clearings_.After(subject, shadow);
  if (const std::vector<Subject>* parts = culprit_.Apart(subject)) {
    for (const Subject& part : *parts) {
      const absl::Time until = culprit_.ApartUntil(part);
      if (until == absl::InfiniteFuture()) {
        record.apart.push_back(part.ToString());
      } else if (until != absl::InfinitePast()) {
        record.apart_until.emplace_back(part.ToString(), until);
      }
    }
  }
  if (!shadow) record.within = culprit_.FirstWithin(subject);
  if (Shares(subject) && !record.history) {
    record.counts_by_node = counts_.ByNode(options_.node, subject, shadow, record.window,
                                           record.counts, record.judged_at);
  }
  Changed(CaseChange::kOpened, record.since, record);
}

void Limiter::Changed(CaseChange change, absl::Time time, const Case& changed) {
  Case record = changed;
  const bool shares = Shares(record.subject);
  if (shares && change != CaseChange::kAdopted) {
    shared_cases_->Stamp(change, batch_clock_, &record);
  }
  if (!record.shadow) NotePart(record);
  casebook_.Put(change, time, record);
  if (!record.shadow && record.state == CaseState::kBlocked) EndShadowCase(record, time);
  happened_.AddCase(change, record);
  if (change == CaseChange::kOpened && !shares) happened_.AddAnnouncement(record);
}

void Limiter::NotePart(const Case& record) {
  if (!Culprit::MayBePart(record.subject.kind)) return;
  culprit_.NoteCase(record);
  // The others' part of it has to be known, to be taken out of the domain's.
  if (record.state != CaseState::kClosed && rows_ != nullptr) ShareSubject(record.subject);
  // Other endings come with a clearing.
  if (record.ending != Ending::kIncident && record.ending != Ending::kPolicy) return;
  clearings_.SetApart(record.subject, record.closed_at, culprit_.WithinOf(record.subject));
}

void Limiter::EndShadowCase(const Case& enforced, absl::Time at) {
  const std::optional<Case> trial = cases_->FindOpen(enforced.subject, /*shadow=*/true);
  if (!trial.has_value()) return;
  Changed(
      CaseChange::kEnded, at,
      Casebook::Closed(*trial, at, Ending::kEnforced, absl::StrCat(enforced.id, " is enforced")));
}

void Limiter::EndCasesDue(absl::Time t) {
  while (const std::optional<Case> record = casebook_.NextDue(t)) EndOrExtend(*record);
}

// At `until` only what came after the block took hold is judged: the block's own consequences, and
// the burst that caused it, do not prolong it.
void Limiter::EndOrExtend(const Case& record) {
  const absl::Time at = record.until;
  const StepClock steps(record.window);
  const absl::Time after = steps.EndOf(steps.StepOf(record.since) + 1);
  if (!record.manual && judge_.MayBeBlocked(record.subject)) {
    const std::vector<Decision> decisions = judge_.Decide(record.subject, at, after, record.shadow);
    const Decision* again = Strictest(*settings_.policy, decisions, record.shadow);
    if (again != nullptr) {
      Changed(CaseChange::kExtended, at, Casebook::Extended(record, *again->rule, batch_clock_));
      return;
    }
  }
  Clear(record.subject, after, !record.shadow, record.shadow);
  Changed(CaseChange::kEnded, at, Casebook::Closed(record, at, Ending::kTime));
}

void Limiter::Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow) {
  std::vector<Subject> within = culprit_.WithinOf(subject);
  for (const Subject& domain : within) culprit_.SetApart(subject, domain);
  clearings_.Clear(subject, at, enforced, shadow, std::move(within));
}

void Limiter::CloseWhatIsNotEnforced() {
  const Policy& policy = *settings_.policy;
  for (const Case& record : cases_->Open()) {
    if (record.manual || record.shadow) continue;
    // A node whose policy is another, or on trial, does not end what the others enforce.
    if (rows_ != nullptr && !casebook_.NumberOf(record).has_value()) continue;
    const bool enforced =
        std::any_of(policy.rules.begin(), policy.rules.end(), [&](const Rule& rule) {
          return rule.name == record.rule && !rule.shadow && policy.mode == Mode::kEnforce;
        });
    if (enforced && judge_.MayBeBlocked(record.subject)) continue;
    Changed(CaseChange::kEnded, batch_clock_,
            Casebook::Closed(record, batch_clock_, Ending::kPolicy,
                             "the reloaded policy does not enforce it"));
  }
}

Case Limiter::Block(const Subject& named, absl::Duration duration, const std::string& by,
                    const std::string& reason, Events* events) {
  MutexLock lock(&mutex_);
  const Subject subject = AsCharged(*settings_.lists, named);
  batch_clock_ = clock_->Now();
  Case record = casebook_.Block(subject, *settings_.policy, batch_clock_, batch_clock_ + duration,
                                by, reason);
  record.window = counter_.first().window();
  record.counts = counts_.Of(subject, record.window, ShownNow(), absl::InfinitePast(), false);
  record.percent = record.counts.percent();
  if (const std::optional<Case> before = cases_->FindOpen(subject, /*shadow=*/false)) {
    record.until = std::max(record.until, before->until);
    Changed(CaseChange::kEnded, batch_clock_,
            Casebook::Closed(*before, batch_clock_, Ending::kPerson,
                             absl::StrCat("replaced by ", record.id), by));
  }
  record.within = culprit_.FirstWithin(subject);
  Changed(CaseChange::kBlockedByPerson, record.since, record);
  events->Append(TakeEvents());
  return record;
}

absl::StatusOr<Case> Limiter::Unblock(const Subject& named, const std::string& by,
                                      const std::string& reason, HeldOrder held, Events* events) {
  MutexLock lock(&mutex_);
  Subject subject = AsCharged(*settings_.lists, named);
  // A block from before logins were named with their host.
  if (!cases_->FindOpen(subject, false) && !cases_->FindOpen(subject, true)) subject = named;
  batch_clock_ = clock_->Now();
  std::optional<Case> ended;
  for (bool shadow : {true, false}) {
    const std::optional<Case> record = cases_->FindOpen(subject, shadow);
    if (!record.has_value()) continue;
    ended = Casebook::Closed(*record, batch_clock_, Ending::kPerson, reason, by);
    ended->held_order = held;
    Changed(CaseChange::kUnblocked, batch_clock_, *ended);
  }
  if (!ended.has_value()) {
    return absl::NotFoundError(absl::StrCat(subject.ToString(), ": no block to end"));
  }
  Clear(subject, batch_clock_, /*enforced=*/true, /*shadow=*/true);
  events->Append(TakeEvents());
  return *std::move(ended);
}

}  // namespace deferd
