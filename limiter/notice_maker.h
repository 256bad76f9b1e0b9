// Makes notices of what the limiter did, for the outbox.
//
// Told under the committer's lock, before the commit (committer.h). What people need not hear makes
// none: cases in shadow, history, and, of cases that nodes share, what another node announces
// (OnAnnounce tells of an opening; the node that opened a case tells of its later course).

#ifndef DEFERD_LIMITER_NOTICE_MAKER_H_
#define DEFERD_LIMITER_NOTICE_MAKER_H_

#include <atomic>
#include <string>
#include <utility>

#include "limiter/events.h"
#include "limiter/port/clock.h"
#include "limiter/store/outbox.h"

namespace deferd {

class NoticeMaker : public Observer {
 public:
  // `node`: this node's name, as case ids begin with. The others must outlive it.
  NoticeMaker(std::string node, const Clock* clock, Outbox* outbox)
      : node_(std::move(node)), clock_(clock), outbox_(outbox) {}

  void OnCase(CaseChange change, const Case& record) override;
  void OnAnnounce(const Case& record) override;
  void OnIncident(const Incident& incident) override;
  void OnWarning(const Warning& warning) override;

  // Whether there is anybody to tell; until then no notice is made. Safe from any thread.
  void SetListeners(bool some) { listeners_.store(some); }
  bool listeners() const { return listeners_.load(); }

  Outbox* outbox() const { return outbox_; }

 private:
  void OfCase(NoticeKind kind, const std::string& id, const Case& record);

  const std::string node_;
  const Clock* const clock_;
  Outbox* const outbox_;
  std::atomic<bool> listeners_{true};
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_NOTICE_MAKER_H_
