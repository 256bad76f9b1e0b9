// The part of the limiter that opens, extends and ends cases.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/limiter.h"

namespace deferd {

bool Limiter::MayBeBlocked(const Subject& subject) const {
  if (settings_.policy->Exempts(subject)) return false;
  switch (subject.kind) {
    case SubjectKind::kDomain:
    case SubjectKind::kForward:
      return IsHosted(*settings_.lists, subject.id);
    case SubjectKind::kLogin:
    case SubjectKind::kAccount:
    case SubjectKind::kScript: {
      const std::vector<Subject> within = WithinOf(subject);
      return std::none_of(within.begin(), within.end(),
                          [&](const Subject& domain) ABSL_NO_THREAD_SAFETY_ANALYSIS {
                            return settings_.policy->Exempts(domain);
                          });
    }
    case SubjectKind::kHost:
      return IsLoopbackHost(subject) || settings_.lists->relay_hosts.ContainsAddress(subject.id);
    case SubjectKind::kLocal:
      return true;
  }
  return true;
}

std::vector<Decision> Limiter::Decide(const Subject& subject, absl::Time now, absl::Time after,
                                      bool shadow) const {
  return EvaluateAll(
      *settings_.policy, subject,
      [&](absl::Duration window)
          ABSL_NO_THREAD_SAFETY_ANALYSIS { return CountsOf(subject, window, now, after, shadow); },
      StandsAlone(*settings_.lists, subject, FirstWithin(subject).id));
}

void Limiter::Judge(const Subject& subject, absl::Time now, absl::Time since, bool newest,
                    Basis basis) {
  if (!MayBeBlocked(subject)) return;
  for (bool shadow : {false, true}) {
    if (!any_rule_[shadow] || cases_->FindOpen(subject, shadow).has_value()) continue;
    if (shadow && cases_->FindOpen(subject, /*shadow=*/false).has_value()) continue;
    std::vector<Decision> decisions = Decide(subject, now, absl::InfinitePast(), shadow);
    if (basis != Basis::kAny) {
      std::erase_if(decisions, [&](const Decision& one) {
        return one.rule->rejected != (basis == Basis::kRejected);
      });
    }
    const Decision* decision = Strictest(*settings_.policy, decisions, shadow);
    if (decision == nullptr) continue;
    if (!newest && RestsOnOthers(subject, *decision, now, shadow)) {
      shared_->unconfirmed.insert(subject);
    } else {
      OpenCase(subject, *decision, shadow, since);
    }
  }
}

void Limiter::OpenCase(const Subject& subject, const Decision& decision, bool shadow,
                       absl::Time since) {
  const Rule& rule = *decision.rule;
  Case record;
  record.id = NextCaseId();
  record.subject = subject;
  record.shadow = shadow;
  record.action = rule.action;
  record.rule = rule.name;
  record.counts = decision.counts;
  record.min_bad = rule.min_bad;
  record.rejected = rule.rejected;
  record.percent = decision.percent;
  record.percent_limit = rule.percent;
  record.window = rule.window;
  record.policy_hash = settings_.policy->hash;
  record.since = since;
  record.until = record.since + rule.block_for;
  record.history = record.until <= batch_clock_;
  record.by = "rule";
  record.judged_at = std::max(now_, since);
  record.once = settings_.policy->count == CountMode::kOnce;
  if (auto cleared = cleared_.find(subject); cleared != cleared_.end()) {
    record.counted_after = shadow ? cleared->second.shadow : cleared->second.enforced;
  }
  if (auto parts = apart_.find(subject); parts != apart_.end()) {
    for (const Subject& part : parts->second) {
      const absl::Time until = ApartUntil(part);
      if (until == absl::InfiniteFuture()) {
        record.apart.push_back(part.ToString());
      } else if (until != absl::InfinitePast()) {
        record.apart_until.emplace_back(part.ToString(), until);
      }
    }
  }
  if (!shadow) record.within = FirstWithin(subject);
  Changed(CaseChange::kOpened, record.since, record);
}

void Limiter::Changed(CaseChange change, absl::Time time, const Case& changed) {
  Case record = changed;
  const bool shares = shared_ != nullptr && !IsLoopbackHost(record.subject);
  if (shares && change != CaseChange::kAdopted) ShareChange(change, &record);
  if (!record.shadow) NotePart(record);
  cases_->Put(change, time, record);
  if (options_.keep) changes_.events.push_back({time, change, record});
  if (!record.shadow && record.state == CaseState::kBlocked) EndShadowCase(record, time);
  next_until_ = cases_->EarliestUntil();
  if (observer_ == nullptr) return;
  observer_->OnCase(change, record);
  if (change == CaseChange::kOpened && !shares) observer_->OnAnnounce(record);
}

void Limiter::EndShadowCase(const Case& enforced, absl::Time at) {
  std::optional<Case> trial = cases_->FindOpen(enforced.subject, /*shadow=*/true);
  if (!trial.has_value()) return;
  trial->state = CaseState::kClosed;
  trial->closed_at = at;
  trial->closed_by = "rule";
  trial->closed_reason = absl::StrCat(enforced.id, " is enforced");
  Changed(CaseChange::kEnded, at, *trial);
}

std::string Limiter::NextCaseId() {
  return absl::StrCat(options_.node, "-", options_.incarnation, "-", ++case_number_);
}

void Limiter::EndCasesDue(absl::Time t) {
  if (t < next_until_) return;  // nearly always, and without the table's lock
  while (std::optional<Case> record = cases_->NextDue(t)) EndOrExtend(*std::move(record));
}

// At `until` only what came after the block took hold is judged: the block's own consequences, and
// the burst that caused it, do not prolong it.
void Limiter::EndOrExtend(Case record) {
  const absl::Time at = record.until;
  const Policy& policy = *settings_.policy;
  const StepClock steps(record.window);
  const absl::Time after = steps.EndOf(steps.StepOf(record.since) + 1);
  if (!record.manual) {
    const std::vector<Decision> decisions = Decide(record.subject, at, after, record.shadow);
    const Decision* again =
        MayBeBlocked(record.subject) ? Strictest(policy, decisions, record.shadow) : nullptr;
    if (again != nullptr) {
      record.until = at + again->rule->block_for;
      record.history = record.history && record.until <= batch_clock_;
      ++record.extended;
      ++record.level;
      Changed(CaseChange::kExtended, at, record);
      return;
    }
  }
  Clear(record.subject, after, !record.shadow, record.shadow);
  record.state = CaseState::kClosed;
  record.closed_at = at;
  record.closed_by = "time";
  Changed(CaseChange::kEnded, at, record);
}

void Limiter::Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow) {
  Cleared& cleared = cleared_[subject];
  if (enforced) cleared.enforced = std::max(cleared.enforced, at);
  if (enforced) cleared.apart = std::max(cleared.apart, at);
  if (shadow) cleared.shadow = std::max(cleared.shadow, at);
  cleared.within = WithinOf(subject);
  for (const Subject& domain : cleared.within) SetApart(subject, domain);
  if (options_.keep) changes_.clearings.push_back(subject);
}

void Limiter::Tick(absl::Duration slack) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  EndCasesDue(batch_clock_ - slack);
  EndIncidentsDue(batch_clock_ - slack);
}

void Limiter::CloseWhatIsNotEnforced() {
  const Policy& policy = *settings_.policy;
  for (Case& record : cases_->Open()) {
    if (record.manual || record.shadow) continue;
    // A node whose policy is another, or on trial, does not end what the others enforce.
    if (shared_ != nullptr && !absl::StartsWith(record.id, options_.node + "-")) continue;
    const bool enforced =
        std::any_of(policy.rules.begin(), policy.rules.end(), [&](const Rule& rule) {
          return rule.name == record.rule && !rule.shadow && policy.mode == Mode::kEnforce;
        });
    if (enforced && MayBeBlocked(record.subject)) continue;
    record.state = CaseState::kClosed;
    record.closed_at = batch_clock_;
    record.closed_by = "policy";
    record.closed_reason = "the reloaded policy does not enforce it";
    Changed(CaseChange::kEnded, batch_clock_, record);
  }
}

Case Limiter::Block(const Subject& named, absl::Duration duration, const std::string& by,
                    const std::string& reason) {
  MutexLock lock(&mutex_);
  const Subject subject = AsCharged(*settings_.lists, named);
  batch_clock_ = clock_->Now();
  Case record;
  record.id = NextCaseId();
  record.subject = subject;
  record.manual = true;
  record.since = batch_clock_;
  record.until = batch_clock_ + duration;
  record.by = by;
  record.reason = reason;
  record.window = window_clocks_.front().steps.window();
  record.policy_hash = settings_.policy->hash;
  record.action = settings_.policy->ActionOfBlock(subject);
  record.counts = CountsOf(subject, record.window, ShownNow(), absl::InfinitePast(), false);
  record.percent = record.counts.percent();
  if (std::optional<Case> before = cases_->FindOpen(subject, /*shadow=*/false)) {
    record.until = std::max(record.until, before->until);
    before->state = CaseState::kClosed;
    before->closed_at = batch_clock_;
    before->closed_by = by;
    before->closed_reason = absl::StrCat("replaced by ", record.id);
    Changed(CaseChange::kEnded, batch_clock_, *before);
  }
  record.within = FirstWithin(subject);
  Changed(CaseChange::kBlockedByPerson, record.since, record);
  return record;
}

absl::StatusOr<Case> Limiter::Unblock(const Subject& named, const std::string& by,
                                      const std::string& reason, HeldOrder held) {
  MutexLock lock(&mutex_);
  Subject subject = AsCharged(*settings_.lists, named);
  // A block from before logins were named with their host.
  if (!cases_->FindOpen(subject, false) && !cases_->FindOpen(subject, true)) subject = named;
  batch_clock_ = clock_->Now();
  std::optional<Case> ended;
  for (bool shadow : {true, false}) {
    std::optional<Case> record = cases_->FindOpen(subject, shadow);
    if (!record.has_value()) continue;
    record->state = CaseState::kClosed;
    record->closed_at = batch_clock_;
    record->closed_by = by;
    record->closed_reason = reason;
    record->held_order = held;
    Changed(CaseChange::kUnblocked, batch_clock_, *record);
    ended = std::move(record);
  }
  if (!ended.has_value()) {
    return absl::NotFoundError(absl::StrCat(subject.ToString(), ": no block to end"));
  }
  Clear(subject, batch_clock_, /*enforced=*/true, /*shadow=*/true);
  return *std::move(ended);
}

}  // namespace deferd
