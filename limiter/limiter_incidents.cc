// The part of the limiter that tells trouble of the senders from trouble of servers.

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/limiter.h"
#include "policy/organisation.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxHosts = 20'000;  // whose organisation is remembered

constexpr size_t kMaxNamed = 1'000;  // bytes of witnesses in a case's reason: other nodes read it

absl::string_view RecipientDomain(const Attempt& attempt) {
  return absl::string_view(attempt.recipient).substr(attempt.recipient.rfind('@') + 1);
}

}  // namespace

const std::string& Limiter::OrganisationAt(const Attempt& attempt) {
  const std::string& host = attempt.host.empty() ? attempt.host_ip : attempt.host;
  if (organisations_.size() >= kMaxHosts && !organisations_.contains(host)) organisations_.clear();
  auto [entry, is_new] = organisations_.try_emplace(host);
  if (is_new) entry->second = OrganisationOf(host);
  return entry->second;
}

std::optional<Incidents::Key> Limiter::PlaceOf(const Attempt& attempt,
                                               const Classification* answer) {
  if (answer == nullptr) return std::nullopt;
  const std::optional<ReplyScope> scope = Incidents::About(*answer);
  if (!scope.has_value()) return std::nullopt;
  const std::string& where = OrganisationAt(attempt);
  if (!where.empty()) return Incidents::Key(*scope, where);
  if (answer->reply_class != ReplyClass::kDnsRouting) return std::nullopt;
  // Anybody can invent a domain that there is not; one that had mail today has not gone so soon.
  const bool no_answer = answer->permanence == Permanence::kTransient || attempt.bare_expiry ||
                         attempt.outcome == Outcome::kExpired;
  if (!no_answer && !incidents_.DeliveredFor(RecipientDomain(attempt), attempt.time)) {
    return std::nullopt;
  }
  return Incidents::Resolver();
}

std::optional<Witness> Limiter::WitnessOf(const Attempt& attempt, const Charged& sender,
                                          const Incidents::Key& place) const {
  const Identity& who = attempt.identity;
  if (!sender.hosted || sender.subject.kind == SubjectKind::kForward ||
      !incidents_.Delivered(sender.subject, attempt.time)) {
    return std::nullopt;
  }
  Witness witness = {sender.subject, "", attempt.time,
                     incidents_.DeliveredAt(place.second, sender.subject, attempt.time)};
  if (!who.login.empty()) {
    witness.identity = absl::StrCat("login ", who.login);
  } else if (!who.user.empty()) {
    witness.identity = absl::StrCat("user ", who.user);
  } else if (!who.host.empty()) {
    witness.identity = absl::StrCat("host ", who.host);
  } else {
    return std::nullopt;
  }
  return witness;
}

LeftOut Limiter::WatchPlace(const Attempt& attempt, const ChargedSubjects& charged,
                            const Classification* answer, LeftOut left_out) {
  const Charged& sender = charged.back();
  if (attempt.outcome == Outcome::kDelivered) {
    if (!attempt.remote) return left_out;
    for (const Incident& ended : incidents_.SeeDelivery(OrganisationAt(attempt), sender.subject,
                                                        RecipientDomain(attempt), attempt.time)) {
      TellIncident(ended);
    }
    return left_out;
  }
  const std::optional<Incidents::Key> key = PlaceOf(attempt, answer);
  if (!key.has_value() || (!attempt.remote && *key != Incidents::Resolver())) return left_out;
  std::optional<Incident> opened = incidents_.SeeFailure(
      *key, *answer, attempt.reply, sender.subject, WitnessOf(attempt, sender, *key), attempt.time,
      window_clocks_.front().steps.window());
  const bool fair = settings_.policy->profile == Profile::kFair;
  if (opened.has_value()) {
    TellIncident(*opened);
    if (fair) TakeOutIncident(*key, *opened);
  }
  // Of answers about us the class's counting has decided, or the operator.
  if (left_out == LeftOut::kCounts && fair && IsRemembered(*key, sender.subject, attempt.time) &&
      incidents_.OpenAt(*key)) {
    return LeftOut::kIncident;
  }
  return left_out;
}

bool Limiter::IsRemembered(const Incidents::Key& place, const Subject& sender,
                           absl::Time time) const {
  const bool ours = place.first == ReplyScope::kIp ||
                    (place.first == ReplyScope::kServer && place != Incidents::Resolver());
  return !ours && incidents_.Hits(place, sender, time);
}

void Limiter::TakeOutIncident(const Incidents::Key& key, const Incident& incident) {
  std::deque<PlaceContribution> all = incidents_.TakeContributions(key, now_);
  std::vector<PlaceContribution> taken_out(std::make_move_iterator(all.begin()),
                                           std::make_move_iterator(all.end()));
  absl::btree_set<std::pair<SubjectKind, std::string>> hit;
  for (const PlaceContribution& one : taken_out) {
    TakeOut(one.charged, one.dated, one.outcome);
    // It was seen all the same, and is shown as left out from now on.
    ReplyClass meant = incident.reply_class;
    for (const Charged& charged : one.charged) {
      hit.emplace(charged.subject.kind, charged.subject.id);
    }
    // It is open still, as a rule: its next outcome counts anew.
    if (MessageRecord* message = contributions_.Find(one.message); message != nullptr) {
      const auto [recipient, part] = message->recipients.Find(one.recipient);
      if (recipient != nullptr) {
        meant = recipient->last_class.value_or(meant);
        recipient->left_out = meant;
        recipient->place.clear();
        recipient->outcome.reset();
        contributions_.Changed(one.message, message, part);
      }
    }
    AddLeftOut(one.charged, one.dated, one.outcome, meant);
  }
  for (const auto& [kind, id] : hit) CloseIfItRestedOn(incident, {kind, id}, taken_out);
}

void Limiter::CloseIfItRestedOn(const Incident& incident, const Subject& subject,
                                const std::vector<PlaceContribution>& taken_out) {
  for (bool shadow : {false, true}) {
    std::optional<Case> record = cases_->FindOpen(subject, shadow);
    if (!record.has_value() || record->manual) continue;
    const std::string own = absl::StrCat(options_.node, "-");
    int64_t number = 0;
    if (!absl::StartsWith(record->id, own) ||
        !absl::SimpleAtoi(record->id.substr(record->id.rfind('-') + 1), &number)) {
      continue;  // another node's
    }
    const StepClock steps(record->window);
    Counts counts = record->counts;
    for (const PlaceContribution& one : taken_out) {
      const bool charged =
          std::any_of(one.charged.begin(), one.charged.end(),
                      [&](const Charged& other) { return other.subject == subject; });
      const bool apart =
          std::any_of(one.charged.begin(), one.charged.end(), [&](const Charged& other) {
            return absl::c_linear_search(record->apart, other.subject.ToString());
          });
      // Only what was in the counts that the case has.
      const int64_t step = steps.StepOf(one.dated);
      const bool cleared =
          std::any_of(one.charged.begin(), one.charged.end(), [&](const Charged& other) {
            return absl::c_any_of(record->apart_until, [&](const auto& part) {
              return part.first == other.subject.ToString() && step <= steps.StepOf(part.second);
            });
          });
      if (!charged || apart || cleared || one.cases_before >= number ||
          !steps.Live(step, steps.StepOf(record->judged_at)) ||
          (record->counted_after != absl::InfinitePast() &&
           step <= steps.StepOf(record->counted_after))) {
        continue;
      }
      --(one.outcome == CountedOutcome::kDeferred ? counts.deferred : counts.failed);
    }
    Rule rule;
    rule.min_bad = record->min_bad;
    rule.rejected = record->rejected;
    rule.percent = record->percent_limit;
    rule.any_share = rule.percent == 0;
    if (counts == record->counts || Evaluate(rule, counts).tripped) continue;
    // What came since may be reason enough.
    if (Evaluate(rule, CountsOf(subject, record->window, now_, absl::InfinitePast(), shadow))
            .tripped) {
      continue;
    }
    record->state = CaseState::kClosed;
    record->closed_at = now_;
    record->closed_by = "incident";
    record->closed_reason = absl::StrCat(
        "it rested on an incident, ", incident.where,
        ", which these met too: ", CutUtf8(absl::StrJoin(incident.witnesses, ", "), kMaxNamed));
    Changed(CaseChange::kEnded, now_, *record);
  }
}

void Limiter::EndIncidentsDue(absl::Time t) {
  const absl::Duration window = window_clocks_.front().steps.window();
  if (t < incidents_.next_expiry(window)) return;
  for (const Incident& ended : incidents_.Expire(t, window)) TellIncident(ended);
}

void Limiter::TellIncident(const Incident& incident) {
  if (observer_ != nullptr) observer_->OnIncident(incident);
}

std::vector<Incident> Limiter::ShownIncidents() const {
  MutexLock lock(&mutex_);
  return incidents_.All();
}

}  // namespace deferd
