// Brings the outbox's notices to the sinks, each on a thread of its own: one that hangs delays
// neither another one nor the counting.
//
// What comes within the sink's `batch` goes together: notices of one trouble become one message
// that names the newest, and many troubles at once one message for all. A subject, and a sink, get
// so many messages an hour; what is beyond waits and is folded into the next. What fails is tried
// again with growing pauses until it expires; what is refused for good is dead at once. During
// quiet hours only what is critical goes out.
//
// The sinks can be replaced while it runs. One whose settings stay goes on; one that changes, or is
// gone, ends its present attempt first, so that nothing is sent twice. What a sink that is gone has
// not sent is dead.
//
// Stop waits for the present attempts (each has a time-out).

#ifndef DEFERD_EXPORTER_NOTICE_DISPATCHER_H_
#define DEFERD_EXPORTER_NOTICE_DISPATCHER_H_

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "exporter/notice/sink.h"
#include "limiter/config/notice_config.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/store/outbox.h"

namespace deferd {

class NoticeDispatcher {
 public:
  struct Parts {
    Outbox* outbox = nullptr;
    const Clock* clock = nullptr;
    absl::TimeZone zone = absl::UTCTimeZone();  // of quiet hours and digests
    SinkParts sink;
    // Stores what changed in the outbox.
    std::function<void()> save;
    // Whether the policy gives the subject that tag; the domain is the one that it is part of.
    std::function<bool(const std::string& subject, const std::string& domain,
                       const std::string& tag)>
        has_tag;
    // The digest of the last day: of everything, or of one domain. Null: there is nothing to say.
    std::function<Json(const std::string& domain, const std::string& language)> digest;
    // Domains of which a digest may have something to say.
    std::function<std::vector<std::string>()> digest_domains;
  };

  // `sinks`: for tests; by default NewSink makes them.
  using NewSinkFunction =
      std::function<std::unique_ptr<Sink>(const NoticeSink& config, SinkParts parts)>;
  NoticeDispatcher(std::vector<NoticeSink> sinks, Parts parts,
                   const NewSinkFunction& new_sink = NewSink);
  ~NoticeDispatcher() { Stop(); }

  void Start();
  void Stop();

  // Replaces the sinks.
  void SetSinks(std::vector<NoticeSink> sinks);
  std::vector<std::string> names() const;

  // Looks at the outbox now.
  void Wake();
  // And does not wait for the end of any sink's pause.
  void TryNow();

  // Sends a test notice by one sink, now. NotFound if there is no such sink.
  absl::Status Test(const std::string& name);

  // Which sinks must hear of it.
  std::vector<std::string> SinksOf(const Notice& notice) const;

  // What a sink's thread does in one turn; when there is something to do next. For tests.
  absl::Time Turn(const std::string& name, absl::Time now);

  // Pause after so many failed attempts.
  static absl::Duration Pause(int attempts);

 private:
  struct Worker {
    NoticeSink config;
    std::unique_ptr<Sink> sink;
    std::thread thread;
    std::atomic<bool> retired{false};
    std::atomic<bool> try_now{false};
    std::shared_ptr<Worker> before;  // whose present attempt is waited for; until it has ended
    // Messages sent within the last hour; confined to the thread.
    std::deque<absl::Time> sent;
    std::map<std::string, std::deque<absl::Time>> sent_of;  // by subject
    // While the sink takes nothing: how often in a row, why, and when the next attempt is made.
    int failures = 0;
    std::string last_error;
    absl::Time closed_until = absl::InfinitePast();
  };
  using Round = std::vector<Notice>;
  using Workers = std::map<std::string, std::shared_ptr<Worker>>;  // by the sink's name

  std::shared_ptr<const Workers> workers() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::shared_ptr<Worker> NewWorker(NoticeSink config) const;
  void StartWorker(const std::shared_ptr<Worker>& worker);
  void AwaitBefore(Worker* worker) const;
  void Run(Worker* worker);
  absl::Time TurnOf(Worker* worker, absl::Time now);
  void AddDigests(Worker* worker, absl::Time now);
  Round LeaveOut(Worker* worker, Round due, absl::Time now);
  bool SendOne(Worker* worker, const std::string& key, const Round& message, absl::Time now);
  void Postpone(Worker* worker, const Round& notices, absl::Time until, absl::Time now);
  bool MaySend(Worker* worker, const std::string& subject, absl::Time now, absl::Time* again) const;
  absl::Time QuietUntil(const NoticeSink& config, absl::Time now) const;
  // Of the workers that are not running yet.
  void RememberSent(const Workers& workers) const;
  void GiveUpUnknown(const Workers& workers);

  const Parts parts_;
  const NewSinkFunction new_sink_;
  mutable Mutex mutex_;
  std::shared_ptr<const Workers> workers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Worker>> retired_ ABSL_GUARDED_BY(mutex_);  // and perhaps not ended
  bool started_ ABSL_GUARDED_BY(mutex_) = false;
  CondVar changed_;
  int64_t wakes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_DISPATCHER_H_
