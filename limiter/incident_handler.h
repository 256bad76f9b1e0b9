// Applies an incident to counts and cases: removes the contributions that it caused, and ends the
// cases that depended on them.
//
// Has no state and no lock of its own: it works on the limiter's parts, so the caller must hold the
// limiter's lock.

#ifndef DEFERD_LIMITER_INCIDENT_HANDLER_H_
#define DEFERD_LIMITER_INCIDENT_HANDLER_H_

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

  // Records the failure at its destination. Returns kIncident if an incident there explains the
  // failure, else `left_out`.
  LeftOut WatchPlace(const Attempt& attempt, const ChargedSubjects& charged,
                     const Classification* answer, LeftOut left_out);

 private:
  // Removes the incident's contributions from the windows, and ends the cases that depended on
  // them.
  void TakeOutIncident(const Incidents::Key& key, const Incident& incident);
  void CloseIfItRestedOn(const Incident& incident, const Subject& subject,
                         const std::vector<PlaceContribution>& taken_out);

  LimiterParts* const parts_;
  Accounts* const accounts_;
  CaseHandler* const cases_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INCIDENT_HANDLER_H_
