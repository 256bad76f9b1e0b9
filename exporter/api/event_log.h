// The newest changes, numbered, for those who follow them: blocks that open and end, warnings,
// incidents.
//
// Kept in memory alone: after a restart the numbers go on from the time, so that a client which
// asks for what came after its last one gets everything new. A client that was away too long has
// missed what is beyond kMaxEvents. Thread-safe: the recorder adds, the HTTP server's thread reads.

#ifndef DEFERD_EXPORTER_API_EVENT_LOG_H_
#define DEFERD_EXPORTER_API_EVENT_LOG_H_

#include <cstdint>
#include <deque>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "limiter/events.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"

namespace deferd {

class EventLog : public Observer {
 public:
  static constexpr size_t kMaxEvents = 1000;

  explicit EventLog(const Clock* clock) : clock_(clock) {}

  void OnCase(CaseChange change, const Case& record) override;
  void OnIncident(const Incident& incident) override;
  void OnWarning(const Warning& warning) override;

  // [{seq, time, type ("case", "incident" or "warning"), ...}] later than `after`, oldest first.
  // `seq` grows; none is given twice.
  Json After(int64_t after) const;

 private:
  void Add(absl::string_view type, Json event);

  const Clock* const clock_;
  mutable Mutex mutex_;
  int64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Json> events_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_API_EVENT_LOG_H_
