#include "limiter/incident_handler.h"

#include <deque>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/btree_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "policy/evaluate.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxNamed = 1'000;  // bytes of witnesses in a case's reason: other nodes read it

}  // namespace

LeftOut IncidentHandler::WatchPlace(const Attempt& attempt, const ChargedSubjects& charged,
                                    const Classification* answer, LeftOut left_out) {
  const Charged& sender = charged.back();
  if (attempt.outcome == Outcome::kDelivered) {
    if (!attempt.remote) return left_out;
    for (const Incident& ended : parts_->incidents.SeeDelivery(attempt, sender.subject)) {
      parts_->happened.AddIncident(ended);
    }
    return left_out;
  }
  const std::optional<Incidents::Key> key = parts_->incidents.PlaceOf(attempt, answer);
  if (!key.has_value() || (!attempt.remote && *key != Incidents::Resolver())) return left_out;
  const std::optional<Incident> opened = parts_->incidents.SeeFailure(
      *key, attempt, sender, *answer, parts_->counter.first().window());
  const bool fair = parts_->settings.policy->profile == Profile::kFair;
  if (opened.has_value()) {
    parts_->happened.AddIncident(*opened);
    if (fair) TakeOutIncident(*key, *opened);
  }
  // Of answers about us the class's counting has decided, or the operator.
  if (left_out == LeftOut::kCounts && fair &&
      parts_->incidents.IsRemembered(*key, sender.subject, attempt.time) &&
      parts_->incidents.incidents().OpenAt(*key)) {
    return LeftOut::kIncident;
  }
  return left_out;
}

void IncidentHandler::TakeOutIncident(const Incidents::Key& key, const Incident& incident) {
  std::deque<PlaceContribution> all =
      parts_->incidents.incidents().TakeContributions(key, parts_->now);
  std::vector<PlaceContribution> taken_out(std::make_move_iterator(all.begin()),
                                           std::make_move_iterator(all.end()));
  absl::btree_set<std::pair<SubjectKind, std::string>> hit;
  for (const PlaceContribution& one : taken_out) {
    accounts_->TakeOut(one.charged, one.dated, {one.outcome, one.reply_class, one.recipient});
    // It was seen all the same, and is shown as left out from now on.
    ReplyClass meant = incident.reply_class;
    for (const Charged& charged : one.charged) {
      hit.emplace(charged.subject.kind, charged.subject.id);
    }
    // It is open still, as a rule: its next outcome counts anew.
    if (MessageRecord* message = parts_->contributions.Find(one.message); message != nullptr) {
      const auto [recipient, part] = message->recipients.Find(one.recipient);
      if (recipient != nullptr) {
        meant = recipient->last_class.value_or(meant);
        recipient->left_out = meant;
        recipient->place.clear();
        recipient->outcome.reset();
        parts_->contributions.Changed(one.message, message, part);
      }
    }
    accounts_->AddLeftOut(one.charged, one.dated, one.outcome, meant);
  }
  for (const auto& [kind, id] : hit) CloseIfItRestedOn(incident, {kind, id}, taken_out);
}

void IncidentHandler::CloseIfItRestedOn(const Incident& incident, const Subject& subject,
                                        const std::vector<PlaceContribution>& taken_out) {
  for (bool shadow : {false, true}) {
    const std::optional<Case> record = parts_->case_table->FindOpen(subject, shadow);
    if (!record.has_value() || record->manual) continue;
    const std::optional<int64_t> number = parts_->casebook.NumberOf(*record);
    if (!number.has_value()) continue;  // another node's
    const Counts counts = CountsWithout(*record, *number, taken_out);
    const Rule rule = RuleOf(*record);
    if (counts == record->counts || Evaluate(rule, counts).tripped) continue;
    // What came since may be reason enough.
    const Counts now = parts_->counts.Of(subject, rule, parts_->now, absl::InfinitePast(), shadow);
    if (Evaluate(rule, now).tripped) continue;
    cases_->Changed(
        CaseChange::kEnded, parts_->now,
        Casebook::Closed(
            *record, parts_->now, Ending::kIncident,
            absl::StrCat("it rested on an incident, ", incident.where, ", which these met too: ",
                         CutUtf8(absl::StrJoin(incident.witnesses, ", "), kMaxNamed))));
  }
}

}  // namespace deferd
