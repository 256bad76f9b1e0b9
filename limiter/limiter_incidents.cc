// The part of the limiter that tells trouble of the senders from trouble of servers.

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "limiter/limiter.h"
#include "policy/organisation.h"

namespace deferd {

namespace {

constexpr size_t kMaxHosts = 20'000;  // whose organisation is remembered

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
  if (answer == nullptr || !Incidents::Concerns(*answer)) return std::nullopt;
  const std::string& where = OrganisationAt(attempt);
  if (where.empty()) return std::nullopt;
  const bool ours = answer->scope == ReplyScope::kIp || answer->scope == ReplyScope::kServer;
  return Incidents::Key(ours ? answer->scope : ReplyScope::kDestination, where);
}

LeftOut Limiter::WatchPlace(const Attempt& attempt, const ChargedSubjects& charged,
                            const Classification* answer, LeftOut left_out) {
  if (!attempt.remote) return left_out;
  if (attempt.outcome == Outcome::kDelivered) {
    if (incidents_.empty()) return left_out;  // nearly always
    std::optional<Incident> ended = incidents_.SeeDelivery(OrganisationAt(attempt), attempt.time);
    if (ended.has_value()) TellIncident(*ended);
    return left_out;
  }
  const std::optional<Incidents::Key> key = PlaceOf(attempt, answer);
  if (!key.has_value()) return left_out;
  std::optional<Incident> opened =
      incidents_.SeeFailure(*key, *answer, attempt.reply, charged.back().subject, attempt.time,
                            window_clocks_.front().steps.window());
  const bool fair = settings_.policy->profile == Profile::kFair;
  if (opened.has_value()) {
    TellIncident(*opened);
    if (fair) TakeOutIncident(*key);
  }
  // Of answers about us the class's counting has decided, or the operator.
  const bool theirs = key->first == ReplyScope::kDestination;
  if (left_out == LeftOut::kCounts && fair && theirs && incidents_.OpenAt(*key)) {
    return LeftOut::kIncident;
  }
  return left_out;
}

void Limiter::TakeOutIncident(const Incidents::Key& key) {
  std::deque<PlaceContribution> all = incidents_.TakeContributions(key);
  std::vector<PlaceContribution> taken_out(std::make_move_iterator(all.begin()),
                                           std::make_move_iterator(all.end()));
  absl::btree_set<std::pair<SubjectKind, std::string>> hit;
  for (const PlaceContribution& one : taken_out) {
    TakeOut(one.charged, one.dated, one.outcome);
    for (const Charged& charged : one.charged) {
      hit.emplace(charged.subject.kind, charged.subject.id);
    }
    // It is open still, as a rule: its next outcome counts anew.
    MessageRecord* message = contributions_.Find(one.message);
    if (message == nullptr) continue;
    auto recipient = message->recipients.find(one.recipient);
    if (recipient == message->recipients.end()) continue;
    recipient->second.place.clear();
    recipient->second.outcome.reset();
    contributions_.Changed(one.message, message);
  }
  for (const auto& [kind, id] : hit) CloseIfItRestedOn(key, {kind, id}, taken_out);
}

void Limiter::CloseIfItRestedOn(const Incidents::Key& key, const Subject& subject,
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
      if (!charged || apart || one.cases_before >= number ||
          !steps.Live(step, steps.StepOf(record->judged_at)) ||
          (record->counted_after != absl::InfinitePast() &&
           step <= steps.StepOf(record->counted_after))) {
        continue;
      }
      --(one.outcome == CountedOutcome::kDeferred ? counts.deferred : counts.failed);
    }
    Rule rule;
    rule.min_bad = record->min_bad;
    rule.percent = record->percent_limit;
    if (counts == record->counts || Evaluate(rule, counts).tripped) continue;
    record->state = CaseState::kClosed;
    record->closed_at = now_;
    record->closed_by = "incident";
    record->closed_reason = absl::StrCat("it rested on an incident at ", key.second,
                                         ", which many senders met; it is not theirs");
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
