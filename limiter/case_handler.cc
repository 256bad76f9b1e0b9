#include "limiter/case_handler.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "policy/charge.h"
#include "policy/forecast.h"
#include "policy/rules_for.h"

namespace deferd {

void CaseHandler::JudgeSubject(const Subject& subject, absl::Time now, absl::Time since,
                               bool newest, Basis basis) {
  if (!RulesMayBlock(subject, now)) return;
  for (bool shadow : {false, true}) {
    if (!parts_->judge.AnyRule(shadow)) continue;
    if (std::optional<Case> open = parts_->case_table->FindOpen(subject, shadow)) {
      if (open->soft && (basis == Basis::kSent || basis == Basis::kAny)) {
        Harden(*std::move(open), now);
      }
      continue;
    }
    if (shadow && parts_->case_table->FindOpen(subject, /*shadow=*/false).has_value()) continue;
    const std::vector<Decision> decisions =
        parts_->judge.Decide(subject, now, absl::InfinitePast(), shadow, basis);
    const Decision* decision = Strictest(*parts_->settings.policy, decisions, shadow);
    if (decision == nullptr) {
      Warn(subject, decisions, shadow);
      continue;
    }
    const bool wait = !newest && parts_->rows != nullptr && !parts_->rows->alone() &&
                      parts_->judge.RestsOnOthers(subject, *decision, now, shadow);
    if (wait) {
      parts_->rows->AwaitConfirmation(subject);
    } else {
      Open(subject, *decision, shadow, since);
    }
  }
}

void CaseHandler::Warn(const Subject& subject, const std::vector<Decision>& decisions,
                       bool shadow) {
  for (const Decision& decision : decisions) {
    const Rule& rule = *decision.rule;
    const bool in_shadow = rule.shadow || parts_->settings.policy->mode == Mode::kShadow;
    if (!decision.near || in_shadow != shadow) continue;
    if (!parts_->warnings.Take(subject, rule, parts_->now)) continue;
    const absl::Duration lately = rule.window / 4;
    const Counts recent =
        parts_->counts.Of(subject, rule, parts_->now, parts_->now - lately, shadow);
    Warning warning{JudgementOf(decision, *parts_->settings.policy)};
    warning.subject = subject;
    warning.shadow = shadow;
    warning.at = parts_->now;
    warning.expected = WhenReached(rule, decision.counts, recent, lately, parts_->now);
    parts_->happened.AddWarning(std::move(warning));
  }
}

// After a contribution that may trip a rule.
void CaseHandler::JudgeAll(const ChargedSubjects& charged, absl::Time since, Basis basis) {
  for (const Charged& one : charged) {
    if (!parts_->counter.Tracks(charged, one)) continue;
    if (parts_->Shares(one.subject)) parts_->rows->SetBad(one.subject);
    JudgeSubject(one.subject, parts_->now, since, /*newest=*/false, basis);
  }
}

void CaseHandler::Open(const Subject& subject, const Decision& decision, bool shadow,
                       absl::Time since) {
  Case record = parts_->casebook.Open(subject, *parts_->settings.policy, decision, shadow, since,
                                      parts_->batch_clock);
  SetEvidence(decision, std::max(parts_->now, since), &record);
  if (!shadow) record.within = parts_->culprit.FirstWithin(subject);
  Changed(CaseChange::kOpened, record.since, record);
}

void CaseHandler::SetEvidence(const Decision& decision, absl::Time at, Case* record) const {
  static_cast<Judgement&>(*record) = JudgementOf(decision, *parts_->settings.policy);
  record->judged_at = at;
  record->counted_after = parts_->clearings.After(record->subject, record->shadow);
  record->apart.clear();
  record->apart_until.clear();
  if (const std::vector<Subject>* parts = parts_->culprit.Apart(record->subject)) {
    for (const Subject& part : *parts) {
      const absl::Time until = parts_->culprit.ApartUntil(part);
      if (until == absl::InfiniteFuture()) {
        record->apart.push_back(part.ToString());
      } else if (until != absl::InfinitePast()) {
        record->apart_until.emplace_back(part.ToString(), until);
      }
    }
  }
  if (parts_->Shares(record->subject) && !record->history) {
    record->counts_by_node =
        parts_->counts.ByNode(parts_->options.node, record->subject, record->shadow, record->window,
                              record->counts, record->judged_at);
  }
}

void CaseHandler::Changed(CaseChange change, absl::Time time, const Case& changed) {
  Case record = changed;
  const bool shares = parts_->Shares(record.subject);
  if (shares && change != CaseChange::kAdopted) {
    parts_->shared_cases->Stamp(change, parts_->batch_clock, &record);
  }
  if (!record.shadow) NotePart(record);
  parts_->casebook.Put(change, time, record);
  if (!record.shadow && record.state == CaseState::kBlocked && !record.exempts()) {
    EndShadowCase(record, time);
  }
  parts_->happened.AddCase(change, record);
  if (change == CaseChange::kOpened && !shares) parts_->happened.AddAnnouncement(record);
}

void CaseHandler::NotePart(const Case& record) {
  if (!Culprit::MayBePart(record.subject.kind)) return;
  parts_->culprit.NoteCase(record);
  // The others' part of it has to be known, to be taken out of the domain's.
  if (record.state != CaseState::kClosed && parts_->rows != nullptr)
    parts_->ShareSubject(record.subject);
  // Other endings come with a clearing. What a part did while it was exempt is not its domain's.
  const bool apart = record.ending == Ending::kIncident || record.ending == Ending::kPolicy ||
                     (record.exempts() && record.state == CaseState::kClosed);
  if (!apart) return;
  parts_->clearings.SetApart(record.subject, record.closed_at,
                             parts_->culprit.WithinOf(record.subject));
}

void CaseHandler::EndShadowCase(const Case& enforced, absl::Time at) {
  const std::optional<Case> trial = parts_->case_table->FindOpen(enforced.subject, /*shadow=*/true);
  if (!trial.has_value()) return;
  Changed(
      CaseChange::kEnded, at,
      Casebook::Closed(*trial, at, Ending::kEnforced, absl::StrCat(enforced.id, " is enforced")));
}

void CaseHandler::EndDue(absl::Time t) {
  while (const std::optional<Case> record = parts_->casebook.NextDue(t)) EndOrExtend(*record);
}

void CaseHandler::EndIfOver(const Case& record, absl::Time t) {
  const std::optional<Case> open = parts_->case_table->FindOpen(record.subject, record.shadow);
  if (open.has_value() && open->id == record.id && open->until <= t) EndOrExtend(*open);
}

// At `until` only what came after the block took hold is judged: the block's own consequences, and
// the burst that caused it, do not prolong it.
void CaseHandler::EndOrExtend(const Case& record) {
  const absl::Time at = record.until;
  if (record.exempts()) {  // it was counted all the while
    Changed(CaseChange::kEnded, at, Casebook::Closed(record, at, Ending::kTime));
    return;
  }
  const StepClock steps(record.window);
  const absl::Time after = steps.EndOf(steps.StepOf(record.since) + 1);
  if (!record.manual && RulesMayBlock(record.subject, at)) {
    const std::vector<Decision> decisions =
        parts_->judge.Decide(record.subject, at, after, record.shadow);
    const Decision* again = Strictest(*parts_->settings.policy, decisions, record.shadow);
    if (again != nullptr) {
      const Case extended = Casebook::Extended(record, *again->rule, parts_->batch_clock);
      Changed(CaseChange::kExtended, at, extended);
      // Found when it was over, it stops mail from now on only.
      if (record.history && !extended.history && !parts_->Shares(record.subject)) {
        parts_->happened.AddAnnouncement(extended);
      }
      return;
    }
  }
  Clear(record.subject, after, !record.shadow, record.shadow);
  Changed(CaseChange::kEnded, at, Casebook::Closed(record, at, Ending::kTime));
}

void CaseHandler::Harden(Case record, absl::Time now) {
  const Rule* const rule = parts_->settings.policy->FindRule(record.rule);
  if (rule == nullptr || rule->measure != record.measure) return;
  const Decision decision = Evaluate(
      *rule, parts_->counts.Of(record.subject, *rule, now, absl::InfinitePast(), record.shadow));
  if (!decision.beyond) return;
  record.soft = false;
  record.action = rule->action;
  SetEvidence(decision, std::max(now, record.judged_at), &record);
  Changed(CaseChange::kExtended, now, record);
  parts_->happened.AddJudgedAgain(record);
}

bool CaseHandler::RulesMayBlock(const Subject& subject, absl::Time at) const {
  return parts_->judge.MayBeBlocked(subject, at) && !ExemptionOf(subject).has_value();
}

void CaseHandler::Clear(const Subject& subject, absl::Time at, bool enforced, bool shadow) {
  std::vector<Subject> within = parts_->culprit.WithinOf(subject);
  for (const Subject& domain : within) parts_->culprit.SetApart(subject, domain);
  parts_->clearings.Clear(subject, at, enforced, shadow, std::move(within));
}

std::optional<Case> CaseHandler::ExemptionOf(const Subject& subject) const {
  if (parts_->case_table->CountExemptions() == 0) return std::nullopt;
  return parts_->case_table->FindExemption(subject, parts_->culprit.WithinOf(subject),
                                           *parts_->settings.policy, parts_->now);
}

// Whoever opened them: that node may not know of the exemption yet.
void CaseHandler::CloseWhatIsExempt() {
  if (parts_->case_table->CountExemptions() == 0) return;
  for (const Case& record : parts_->case_table->Open()) CloseIfExempt(record);
}

void CaseHandler::CloseIfExempt(const Case& record) {
  if (record.manual) return;
  const std::optional<Case> exemption = ExemptionOf(record.subject);
  if (!exemption.has_value()) return;
  Case closed = Casebook::Closed(record, parts_->batch_clock, Ending::kPolicy,
                                 absl::StrCat(exemption->subject.ToString(), " is exempt by ",
                                              exemption->by, ": ", exemption->reason));
  closed.held_order = HeldOrder::kRelease;
  Changed(CaseChange::kEnded, parts_->batch_clock, closed);
}

void CaseHandler::CloseWhatIsNotEnforced() {
  CloseWhatIsExempt();
  const Policy& policy = *parts_->settings.policy;
  for (const Case& record : parts_->case_table->Open()) {
    if (record.manual || record.shadow) continue;
    // A node whose policy is another, or on trial, does not end what the others enforce.
    if (parts_->rows != nullptr && !parts_->casebook.NumberOf(record).has_value()) continue;
    const Subject within = parts_->culprit.FirstWithin(record.subject);
    const RuleList judging =
        RulesFor(policy, record.subject,
                 StandsAlone(*parts_->settings.lists, record.subject, within.id), within.id);
    const bool enforced =
        policy.mode == Mode::kEnforce && absl::c_any_of(judging, [&](const Rule* rule) {
          return rule->name == record.rule && !rule->shadow;
        });
    if (enforced && parts_->judge.MayBeBlocked(record.subject, parts_->batch_clock)) continue;
    Changed(CaseChange::kEnded, parts_->batch_clock,
            Casebook::Closed(record, parts_->batch_clock, Ending::kPolicy,
                             "the reloaded policy does not enforce it"));
  }
}

Case CaseHandler::Block(const Subject& named, absl::Duration duration, const std::string& by,
                        const std::string& reason) {
  const Subject subject = AsCharged(*parts_->settings.lists, named);
  parts_->ReadClock();
  Case record = parts_->casebook.Block(subject, *parts_->settings.policy, parts_->batch_clock,
                                       parts_->batch_clock + duration, by, reason);
  record.window = parts_->counter.first().window();
  record.counts =
      parts_->counts.Of(subject, record.window, parts_->ShownNow(), absl::InfinitePast(), false);
  record.percent = record.counts.percent();
  if (const std::optional<Case> before = parts_->case_table->FindOpen(subject, /*shadow=*/false)) {
    if (!before->exempts()) record.until = std::max(record.until, before->until);
  }
  record.within = parts_->culprit.FirstWithin(subject);
  PutPersons(record);
  return record;
}

Case CaseHandler::Exempt(const Subject& named, absl::Duration duration, const std::string& by,
                         const std::string& reason) {
  const Subject subject = AsCharged(*parts_->settings.lists, named);
  parts_->ReadClock();
  Case record = parts_->casebook.Exempt(subject, *parts_->settings.policy, parts_->batch_clock,
                                        parts_->batch_clock + duration, by, reason);
  record.window = parts_->counter.first().window();
  record.within = parts_->culprit.FirstWithin(subject);
  PutPersons(record);
  CloseWhatIsExempt();
  return record;
}

void CaseHandler::PutPersons(const Case& record) {
  if (const std::optional<Case> before =
          parts_->case_table->FindOpen(record.subject, /*shadow=*/false)) {
    Changed(CaseChange::kEnded, parts_->batch_clock,
            Casebook::Closed(*before, parts_->batch_clock, Ending::kPerson,
                             absl::StrCat("replaced by ", record.id), record.by));
  }
  Changed(CaseChange::kBlockedByPerson, record.since, record);
}

// It was counted all the while, so nothing is cleared.
absl::StatusOr<Case> CaseHandler::EndExemption(const Subject& named, const std::string& by,
                                               const std::string& reason) {
  const Subject subject = AsCharged(*parts_->settings.lists, named);
  parts_->ReadClock();
  const std::optional<Case> record = parts_->case_table->FindOpen(subject, /*shadow=*/false);
  if (!record.has_value() || !record->exempts()) {
    return absl::NotFoundError(
        absl::StrCat(subject.ToString(), ": no person's exemption to remove"));
  }
  Case ended = Casebook::Closed(*record, parts_->batch_clock, Ending::kPerson, reason, by);
  Changed(CaseChange::kEnded, parts_->batch_clock, ended);
  return ended;
}

absl::StatusOr<Case> CaseHandler::Unblock(const Subject& named, const std::string& by,
                                          const std::string& reason, HeldOrder held,
                                          absl::string_view only_case) {
  Subject subject = AsCharged(*parts_->settings.lists, named);
  // A block from before logins were named with their host.
  if (!parts_->case_table->FindOpen(subject, false) && !parts_->case_table->FindOpen(subject, true))
    subject = named;
  parts_->ReadClock();
  if (const auto open = parts_->case_table->FindOpen(subject, false); open && open->exempts()) {
    return absl::FailedPreconditionError(absl::StrCat(
        subject.ToString(), ": is exempt, not blocked; deferctl exempt remove ends that"));
  }
  const std::optional<Case> blocking = parts_->case_table->FindOpen(subject, /*shadow=*/false);
  const bool enforced = blocking.has_value();
  const std::optional<Case> trial = parts_->case_table->FindOpen(subject, /*shadow=*/true);
  const std::optional<Case>& present = enforced ? blocking : trial;
  if (!only_case.empty() && (!present.has_value() || present->id != only_case)) {
    return absl::NotFoundError(absl::StrCat(
        subject.ToString(), ": case ", only_case, " does not block it any more",
        enforced ? absl::StrCat("; now case ", blocking->id, " does") : std::string()));
  }
  if (!present.has_value()) {
    return absl::NotFoundError(absl::StrCat(subject.ToString(), ": no block to end"));
  }
  // Attempts may be stamped ahead of the clock. They are cleared too: else the next one would open
  // the case again. The end of a trial changes nothing of what is enforced.
  const absl::Time latest = parts_->batch_clock + LimiterParts::kMaxAhead + LimiterParts::kPatience;
  Clear(subject, std::min(parts_->ShownNow(), latest), enforced, /*shadow=*/true);
  std::optional<Case> ended;
  for (bool shadow : {true, false}) {
    const std::optional<Case> record = parts_->case_table->FindOpen(subject, shadow);
    if (!record.has_value()) continue;
    ended = Casebook::Closed(*record, parts_->batch_clock, Ending::kPerson, reason, by);
    ended->held_order = held;
    Changed(CaseChange::kUnblocked, parts_->batch_clock, *ended);
  }
  return *std::move(ended);
}

void CaseHandler::BringBackTo(absl::Time now) {
  for (Case& record : parts_->case_table->Open()) {
    if (record.since <= now) continue;
    record.until -= record.since - now;
    record.since = now;
    record.judged_at = std::min(record.judged_at, now);
    Changed(CaseChange::kExtended, now, record);
  }
}

}  // namespace deferd
