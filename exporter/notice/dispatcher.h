// Brings the outbox's notices to the sinks, each on a thread of its own: one that hangs delays
// neither another one nor the counting.
//
// What comes within the sink's `batch` goes together: notices of one trouble become one message
// that names the newest, and many troubles at once one message for all. A subject, and a sink, get
// so many messages an hour; what is beyond waits and is folded into the next. What fails is tried
// again with growing pauses until it expires; what is refused for good is dead at once. During
// quiet hours only what is critical goes out.
//
// Stop waits for the present attempts (each has a time-out).

#ifndef DEFERD_EXPORTER_NOTICE_DISPATCHER_H_
#define DEFERD_EXPORTER_NOTICE_DISPATCHER_H_

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

  // Looks at the outbox now.
  void Wake();

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
    // Messages sent within the last hour; confined to the thread.
    std::deque<absl::Time> sent;
    std::map<std::string, std::deque<absl::Time>> sent_of;  // by subject
  };
  using Round = std::vector<Notice>;

  void Run(Worker* worker);
  absl::Time TurnOf(Worker* worker, absl::Time now);
  void AddDigests(Worker* worker, absl::Time now);
  Round LeaveOut(Worker* worker, Round due, absl::Time now);
  bool SendOne(Worker* worker, const std::string& key, const Round& message, absl::Time now);
  void Postpone(Worker* worker, const Round& notices, absl::Time until, absl::Time now);
  bool MaySend(Worker* worker, const std::string& subject, absl::Time now, absl::Time* again) const;
  absl::Time QuietUntil(const NoticeSink& config, absl::Time now) const;
  void RememberSent();

  const Parts parts_;
  std::map<std::string, std::unique_ptr<Worker>> workers_;
  Mutex mutex_;
  CondVar changed_;
  int64_t wakes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_NOTICE_DISPATCHER_H_
