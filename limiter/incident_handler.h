// What an incident does to counts and cases: takes out what it caused, and ends the cases that
// rested on it.
//
// Works on the limiter's parts, under its lock.

#ifndef DEFERD_LIMITER_INCIDENT_WORK_H_
#define DEFERD_LIMITER_INCIDENT_WORK_H_

#include <vector>

#include "limiter/accounts.h"
#include "limiter/case_handler.h"
#include "limiter/judging/incidents.h"
#include "limiter/parts.h"
#include "policy/attempt.h"
#include "policy/charge.h"
#include "policy/left_out.h"
#include "policy/reply/classify.h"
#include "policy/subject.h"

namespace deferd {

class IncidentHandler {
 public:
  IncidentHandler(LimiterParts* parts, Accounts* accounts, CaseHandler* cases)
      : parts_(parts), accounts_(accounts), cases_(cases) {}

  // Watches who fails where: `left_out`, or kIncident because of what goes on at the place.
  LeftOut WatchPlace(const Attempt& attempt, const ChargedSubjects& charged,
                     const Classification* answer, LeftOut left_out);

 private:
  // Takes out of the windows what an incident has contributed, and ends the cases that rest on it.
  void TakeOutIncident(const Incidents::Key& key, const Incident& incident);
  void CloseIfItRestedOn(const Incident& incident, const Subject& subject,
                         const std::vector<PlaceContribution>& taken_out);

  LimiterParts* const parts_;
  Accounts* const accounts_;
  CaseHandler* const cases_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INCIDENT_WORK_H_
