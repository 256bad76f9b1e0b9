// The part of the limiter that tells trouble of the senders from trouble of servers.

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/limiter.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxNamed = 1'000;  // bytes of witnesses in a case's reason: other nodes read it

}  // namespace

LeftOut Limiter::WatchPlace(const Attempt& attempt, const ChargedSubjects& charged,
                            const Classification* answer, LeftOut left_out) {
  const Charged& sender = charged.back();
  if (attempt.outcome == Outcome::kDelivered) {
    if (!attempt.remote) return left_out;
    for (const Incident& ended : incidents_.SeeDelivery(attempt, sender.subject)) {
      happened_.AddIncident(ended);
    }
    return left_out;
  }
  const std::optional<Incidents::Key> key = incidents_.PlaceOf(attempt, answer);
  if (!key.has_value() || (!attempt.remote && *key != Incidents::Resolver())) return left_out;
  const std::optional<Incident> opened =
      incidents_.SeeFailure(*key, attempt, sender, *answer, counter_.first().window());
  const bool fair = settings_.policy->profile == Profile::kFair;
  if (opened.has_value()) {
    happened_.AddIncident(*opened);
    if (fair) TakeOutIncident(*key, *opened);
  }
  // Of answers about us the class's counting has decided, or the operator.
  if (left_out == LeftOut::kCounts && fair &&
      incidents_.IsRemembered(*key, sender.subject, attempt.time) &&
      incidents_.incidents().OpenAt(*key)) {
    return LeftOut::kIncident;
  }
  return left_out;
}

void Limiter::TakeOutIncident(const Incidents::Key& key, const Incident& incident) {
  std::deque<PlaceContribution> all = incidents_.incidents().TakeContributions(key, now_);
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
    const std::optional<Case> record = cases_->FindOpen(subject, shadow);
    if (!record.has_value() || record->manual) continue;
    const std::optional<int64_t> number = casebook_.NumberOf(*record);
    if (!number.has_value()) continue;  // another node's
    const Counts counts = CountsWithout(*record, *number, taken_out);
    Rule rule;
    rule.min_bad = record->min_bad;
    rule.rejected = record->rejected;
    rule.percent = record->percent_limit;
    rule.any_share = rule.percent == 0;
    if (counts == record->counts || Evaluate(rule, counts).tripped) continue;
    // What came since may be reason enough.
    const Counts now = counts_.Of(subject, record->window, now_, absl::InfinitePast(), shadow);
    if (Evaluate(rule, now).tripped) continue;
    Changed(
        CaseChange::kEnded, now_,
        Casebook::Closed(
            *record, now_, Ending::kIncident,
            absl::StrCat("it rested on an incident, ", incident.where, ", which these met too: ",
                         CutUtf8(absl::StrJoin(incident.witnesses, ", "), kMaxNamed))));
  }
}

void Limiter::EndIncidentsDue(absl::Time t) {
  const absl::Duration window = counter_.first().window();
  if (t < incidents_.incidents().next_expiry(window)) return;
  for (const Incident& ended : incidents_.incidents().Expire(t, window))
    happened_.AddIncident(ended);
}

std::vector<Incident> Limiter::ShownIncidents() const {
  MutexLock lock(&mutex_);
  return incidents_.incidents().All();
}

}  // namespace deferd
