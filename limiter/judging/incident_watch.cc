#include "limiter/judging/incident_watch.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "limiter/counting/side_windows.h"
#include "policy/organisation.h"

namespace deferd {

namespace {

constexpr size_t kMaxHosts = 20'000;  // whose organisation is remembered

absl::string_view RecipientDomain(const Attempt& attempt) {
  return absl::string_view(attempt.recipient).substr(attempt.recipient.rfind('@') + 1);
}

}  // namespace

const std::string& IncidentWatch::OrganisationAt(const Attempt& attempt) {
  const std::string& host = attempt.host.empty() ? attempt.host_ip : attempt.host;
  if (organisations_.size() >= kMaxHosts && !organisations_.contains(host)) organisations_.clear();
  auto [entry, is_new] = organisations_.try_emplace(host);
  if (is_new) entry->second = OrganisationOf(host);
  return entry->second;
}

std::vector<Incident> IncidentWatch::SeeDelivery(const Attempt& attempt, const Subject& sender) {
  return incidents_.SeeDelivery(OrganisationAt(attempt), sender, RecipientDomain(attempt),
                                attempt.time);
}

std::optional<Incidents::Key> IncidentWatch::PlaceOf(const Attempt& attempt,
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

std::optional<Witness> IncidentWatch::WitnessOf(const Attempt& attempt, const Charged& sender,
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

std::optional<Incident> IncidentWatch::SeeFailure(const Incidents::Key& place,
                                                  const Attempt& attempt, const Charged& sender,
                                                  const Classification& answer,
                                                  absl::Duration window) {
  return incidents_.SeeFailure(place, answer, attempt.reply, sender.subject,
                               WitnessOf(attempt, sender, place), attempt.time, window);
}

bool IncidentWatch::IsRemembered(const Incidents::Key& place, const Subject& sender,
                                 absl::Time time) const {
  const bool ours = place.first == ReplyScope::kIp ||
                    (place.first == ReplyScope::kServer && place != Incidents::Resolver());
  return !ours && incidents_.Hits(place, sender, time);
}

Counts CountsWithout(const Case& record, int64_t number,
                     const std::vector<PlaceContribution>& taken_out) {
  const StepClock steps(record.window);
  Counts counts = record.counts;
  const ClassSet classes = record.measure.classes;
  absl::flat_hash_set<uint64_t> recipients;  // of what is gone: they may have others, nobody knows
  for (const PlaceContribution& one : taken_out) {
    const int64_t step = steps.StepOf(one.dated);
    const bool charged = absl::c_any_of(
        one.charged, [&](const Charged& other) { return other.subject == record.subject; });
    const bool apart = absl::c_any_of(one.charged, [&](const Charged& other) {
      return absl::c_linear_search(record.apart, other.subject.ToString());
    });
    const bool cleared = absl::c_any_of(one.charged, [&](const Charged& other) {
      return absl::c_any_of(record.apart_until, [&](const auto& part) {
        return part.first == other.subject.ToString() && step <= steps.StepOf(part.second);
      });
    });
    // Only what was in the counts that the case has.
    if (!charged || apart || cleared || one.cases_before >= number ||
        !steps.Live(step, steps.StepOf(record.judged_at)) ||
        (record.counted_after != absl::InfinitePast() &&
         step <= steps.StepOf(record.counted_after))) {
      continue;
    }
    counts.Add(one.outcome, -1);
    const bool of_classes = one.reply_class.has_value() && classes.Has(*one.reply_class);
    if (of_classes) --counts.classed;
    if (of_classes || classes.empty()) recipients.insert(RecipientNumber(one.recipient));
  }
  counts.recipients =
      std::max<int64_t>(0, counts.recipients - static_cast<int64_t>(recipients.size()));
  return counts;
}

}  // namespace deferd
