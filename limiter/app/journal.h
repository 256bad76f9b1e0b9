// What happens to cases, as lines in the log: who or which rule, when, why.

#ifndef DEFERD_LIMITER_APP_JOURNAL_H_
#define DEFERD_LIMITER_APP_JOURNAL_H_

#include "limiter/events.h"

namespace deferd {

class Journal : public Observer {
 public:
  void OnCase(CaseChange change, const Case& record) override;
  void OnIncident(const Incident& incident) override;
  void OnWarning(const Warning& warning) override;
  void OnAnnounce(const Case& record) override;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_JOURNAL_H_
