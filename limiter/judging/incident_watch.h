// Distinguishes problems of senders from problems of servers: who fails where, and whose failures
// are evidence.
//
// Sees every attempt that counts, or that only its reply class leaves out. Finds the place that the
// reply is about and whether the sender is a witness there, and keeps the incidents (incidents.h).
// IncidentHandler removes an incident's contributions and ends the cases that depended on them.
//
// All fields are guarded by the limiter's lock.

#ifndef DEFERD_LIMITER_JUDGING_INCIDENT_WATCH_H_
#define DEFERD_LIMITER_JUDGING_INCIDENT_WATCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/judging/incidents.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/counts.h"
#include "policy/reply/classify.h"
#include "policy/subject.h"

namespace deferd {

class IncidentWatch {
 public:
  // `track_changes`: somebody stores what changes.
  explicit IncidentWatch(bool track_changes) : incidents_(track_changes) {}

  // A delivery; the incidents that it ended.
  std::vector<Incident> SeeDelivery(const Attempt& attempt, const Subject& sender);

  // The place that a reply is about, if that place can have an incident: the organisation that sent
  // the reply, or the resolver.
  std::optional<Incidents::Key> PlaceOf(const Attempt& attempt, const Classification* answer);
  // A failure there; the incident, if it opened now. `window`: the first rule's.
  std::optional<Incident> SeeFailure(const Incidents::Key& place, const Attempt& attempt,
                                     const Charged& sender, const Classification& answer,
                                     absl::Duration window);
  // Whether an incident there removes the sender's failures.
  bool IsRemembered(const Incidents::Key& place, const Subject& sender, absl::Time time) const;

  Incidents& incidents() { return incidents_; }
  const Incidents& incidents() const { return incidents_; }

 private:
  const std::string& OrganisationAt(const Attempt& attempt);
  // The witness that a failure at the place is, if it is one.
  std::optional<Witness> WitnessOf(const Attempt& attempt, const Charged& sender,
                                   const Incidents::Key& place) const;

  Incidents incidents_;
  absl::flat_hash_map<std::string, std::string> organisations_;  // by host
};

// The counts that `record` was opened with, less these contributions, which an incident has
// removed. `number` is the case's number: contributions that came after it are not in those counts.
Counts CountsWithout(const Case& record, int64_t number,
                     const std::vector<PlaceContribution>& taken_out);

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_INCIDENT_WATCH_H_
