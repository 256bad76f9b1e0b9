// Tells trouble of the senders from trouble of servers: who fails where, and who can be believed.
//
// Sees every attempt that counts, or would but for what its answer means; finds the place that it
// is about and whether its sender is a witness there, and keeps the incidents (incidents.h). What
// an incident takes out of the windows, and which cases rested on that, is the limiter's doing.
//
// Owned by the limiter and under its lock.

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

  // What an answer is about, if that can have an incident: where it came from, or the resolver.
  std::optional<Incidents::Key> PlaceOf(const Attempt& attempt, const Classification* answer);
  // A failure there; the incident, if it opened now. `window`: the first rule's.
  std::optional<Incident> SeeFailure(const Incidents::Key& place, const Attempt& attempt,
                                     const Charged& sender, const Classification& answer,
                                     absl::Duration window);
  // Whether the sender's failures there are left out, and taken out, by an incident.
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

// What is left of the counts that `record` was opened with, when these contributions, taken out by
// an incident, are gone from them. `number`: of its id; contributions since then are not in them.
Counts CountsWithout(const Case& record, int64_t number,
                     const std::vector<PlaceContribution>& taken_out);

}  // namespace deferd

#endif  // DEFERD_LIMITER_JUDGING_INCIDENT_WATCH_H_
