// The daemon's parts and how they are connected, in one class. The implementation is split by
// subject: daemon.cc (start and stop), daemon_doors.cc (sockets), daemon_logs.cc (log input) and
// daemon_report.cc (status). Included by these files only.

#ifndef DEFERD_LIMITER_APP_RUNNING_DAEMON_H_
#define DEFERD_LIMITER_APP_RUNNING_DAEMON_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "exporter/api/caller.h"
#include "exporter/api/event_log.h"
#include "exporter/api/owner_link.h"
#include "exporter/api/token_book.h"
#include "exporter/api/web_api.h"
#include "exporter/bell.h"
#include "exporter/console/console.h"
#include "exporter/console/owner_page.h"
#include "exporter/http_server.h"
#include "exporter/metrics.h"
#include "exporter/notice/dispatcher.h"
#include "limiter/admin/admin_api.h"
#include "limiter/app/blind_watch.h"
#include "limiter/app/charge_tally.h"
#include "limiter/app/daemon.h"
#include "limiter/app/file_watch.h"
#include "limiter/app/freshness_watch.h"
#include "limiter/app/journal.h"
#include "limiter/app/last_day.h"
#include "limiter/app/reader_pool.h"
#include "limiter/app/sharing.h"
#include "limiter/app/totals.h"
#include "limiter/app/trouble_watch.h"
#include "limiter/app/watchdog.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/cases/held_mail.h"
#include "limiter/cases/sure_cases.h"
#include "limiter/committer.h"
#include "limiter/hook/question.h"
#include "limiter/intake/follower.h"
#include "limiter/intake/journal_follower.h"
#include "limiter/intake/log_set.h"
#include "limiter/limiter.h"
#include "limiter/notice_maker.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/port/socket_server.h"
#include "limiter/queue/mail_queue.h"
#include "limiter/queue/queue_keeper.h"
#include "limiter/queue/queue_verb.h"
#include "limiter/recorder.h"
#include "limiter/store/outbox.h"
#include "limiter/store/state_dir.h"

namespace deferd {

Settings MakeSettings(const Config& config, const LoadedPolicy& loaded);

class RunningDaemon : public Daemon {
 public:
  RunningDaemon(Config config, LoadedPolicy policy, std::shared_ptr<const StateDir> state_dir,
                std::unique_ptr<LocalStore> store)
      : config_(std::move(config)),
        state_dir_(std::move(state_dir)),
        store_(std::move(store)),
        started_(clock_.Now()),
        policy_(std::move(policy)),
        policy_loaded_(started_),
        policy_error_(policy_.error),
        freshness_(started_),
        freshness_watch_(&freshness_),
        gate_(&cases_, &freshness_, &clock_, MakeSettings(config_, policy_),
              config_.queue_helpers.empty() ? nullptr : &held_, &sure_),
        queue_(NewMailQueue()),
        queue_keeper_(NewQueueKeeper()),
        limiter_({.node = state_dir_->node(),
                  .incarnation = state_dir_->incarnation(),
                  .keep = true,
                  .shared = !config_.redis.empty()},
                 MakeSettings(config_, policy_), &clock_, &cases_),
        committer_({.ledger = config_.ledger.enabled,
                    .mail_subjects = config_.ledger_subjects,
                    .on_receipt =
                        [this](const Case& record, const Receipt& receipt) {
                          if (receipt.sure) sure_.Add(record.id);
                          if (sharing_ != nullptr) sharing_->PutReceipt(record, receipt.rows);
                        },
                    .observers = Observers(),
                    .notices = &notice_maker_},
                   &limiter_, store_.get(), &clock_),
        api_({.limiter = &limiter_,
              .committer = &committer_,
              .cases = &cases_,
              .gate = &gate_,
              .freshness = &freshness_,
              .clock = &clock_,
              .status = [this] { return StatusJson(); },
              .policy = [this] { return PolicyInForce(); },
              .try_policy = [this](const std::string& toml) { return TryPolicy(toml); },
              .reload = [this](bool force) { return Reload(force); },
              .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
              .save = [this] { return committer_.Commit(/*durable=*/true); },
              .receipt = [this](const Case& record) { return ReceiptOf(record); },
              .ledger = reader_.get(),
              .record =
                  [this](const EventBatch& batch) {
                    committer_.Record(batch);
                    return committer_.Commit(/*durable=*/true);
                  },
              .queue = MakeQueueVerb(),
              .token =
                  [this](const Json& args, const std::string& person) {
                    return tokens_.Verb(args, clock_.Now(), person);
                  },
              .link =
                  config_.owner_page.empty()
                      ? std::function<absl::StatusOr<Json>(const Json&, const std::string&)>()
                      : [this](const Json& args,
                               const std::string& person) { return OwnerLinkVerb(args, person); },
              .notice = [this](const Json& args) { return NoticeVerb(args); },
              .events = config_.api_listen.empty()
                            ? std::function<Json(int64_t)>()
                            : [this](int64_t after) { return event_log_.After(after); },
              .held = MakeHeldParts(),
              .share = [this](const Subject& subject) { return WaitShared(subject); },
              .cases_known = [this] { return sharing_ == nullptr || sharing_->CasesKnown(); },
              .refresh =
                  [this](const Subject* subject) {
                    if (sharing_ != nullptr) sharing_->Refresh(subject);
                  }}) {}

  ~RunningDaemon() override { Stop(); }

  absl::Status Load();
  absl::Status Share();
  absl::Status OpenDoors();
  void StartNotices();
  bool SetNoticeSinks(const std::vector<NoticeSink>& sinks)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(reload_mutex_);
  bool IsOwnMail(const Question& question) const;
  // The deferd-queue that would release what the Postfix at this door holds does not answer, so it
  // is told to defer instead. Without a [queue] held mail is the operator's to release.
  bool PostfixDefers(const std::string& door) const {
    return queue_ != nullptr && !queue_->helpers().ReleasesPostfix(door, postfix_doors_);
  }
  void FollowLogs();
  void Run() override;

 private:
  struct Door {
    std::unique_ptr<SocketServer> server;
    std::thread thread;
  };
  struct HttpDoor {
    std::vector<Listener> listeners;  // until it is open
    HttpHandlers handlers;
    std::unique_ptr<HttpServer> server;
  };

  std::unique_ptr<MailQueue> NewMailQueue();
  std::unique_ptr<QueueKeeper> NewQueueKeeper();
  std::function<absl::StatusOr<Json>(const Json&, const std::string&)> MakeQueueVerb();
  QueueVerbParts MakeQueueVerbParts();
  AdminApi::HeldParts MakeHeldParts();
  std::vector<Observer*> Observers();
  absl::StatusOr<Listener> Listen(const std::string& name, const std::string& address,
                                  const ListenOptions& options);
  absl::Status OpenHook();
  void NoteAccepted(const Question& question);
  absl::Status OpenAdmin();
  absl::Status OpenHttp();
  absl::Status OpenApi();
  absl::Status Reload(bool force);
  LastDay LastDayOf(const ChargeLists* lists, LedgerReader* reader, absl::Duration at_most) const;
  // FailedPrecondition if reload_guard refuses the policy.
  absl::Status Guard(const Config& config, const LoadedPolicy& policy)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(reload_mutex_);
  // What the policy of this text would have done (limiter/app/policy_trial.h).
  absl::StatusOr<Json> TryPolicy(const std::string& toml) const;
  void WatchLists() ABSL_EXCLUSIVE_LOCKS_REQUIRED(reload_mutex_);
  void LookAtLists();
  void BeginCharging();
  // Settings that were read again are in force.
  void Apply(const Settings& settings);
  bool LookAtFreshness(size_t pending);
  void ReportBlindness();
  Json WhyOf(const std::string& subject) const;
  std::vector<StandingTrouble> StandingTroubles(const std::vector<FollowerStatus>& sources) const;
  void WatchTroubles(const std::vector<FollowerStatus>& sources);
  std::vector<std::string> DigestDomains() const;
  Json Digest(const std::string& domain) const;
  absl::StatusOr<Json> NoticeVerb(const Json& args);
  // The owner's page (daemon_owner.cc).
  std::unique_ptr<OwnerLinks> MakeOwnerLinks() const;
  void OpenOwnerPage();
  absl::StatusOr<Json> OwnerLinkVerb(const Json& args, const std::string& person);
  std::string OwnerLinkFor(const Notice& notice, const std::string& address, bool named) const;

  Json NoticesJson() const;
  void Stop();
  std::unique_ptr<Follower> FollowJournal(const std::string& mta,
                                          const LogSet::NewReader& new_reader,
                                          std::map<std::string, SourceState>* known,
                                          const Follower::Sink& sink);
  absl::Duration LongestWindow() const;
  std::vector<FollowerStatus> Sources() const;
  std::vector<BlindAlarm> LookForBlindness() const;
  std::optional<Receipt> ReceiptOf(const Case& record) const;
  absl::Status WaitShared(const Subject& subject) const;
  Gauges ReadGauges() const;
  Json StatusJson() const;
  Json PolicyInForce() const;
  std::string NotReady() const;

  const Config config_;
  const std::shared_ptr<const StateDir> state_dir_;
  const std::unique_ptr<LocalStore> store_;
  // For the admin socket and the HTTP API's workers, who do not wait for each other.
  const std::unique_ptr<LedgerReader> reader_ =
      std::make_unique<ReaderPool>([this] { return store_->NewReader(); });
  const SystemClock clock_;
  const absl::Time started_;

  Mutex reload_mutex_;
  Config loaded_ ABSL_GUARDED_BY(reload_mutex_);  // result of the last load; its lists are in force
  FileWatch lists_watch_ ABSL_GUARDED_BY(reload_mutex_);
  bool lists_failed_ ABSL_GUARDED_BY(reload_mutex_) = false;  // policy_error_ is about the lists
  std::vector<NoticeSink> notice_sinks_ ABSL_GUARDED_BY(reload_mutex_) = config_.notices;
  mutable Mutex policy_mutex_;
  LoadedPolicy policy_ ABSL_GUARDED_BY(policy_mutex_);
  absl::Time policy_loaded_ ABSL_GUARDED_BY(policy_mutex_);
  std::string policy_error_ ABSL_GUARDED_BY(policy_mutex_);  // of the last reload; empty: no error
  int64_t reloads_ ABSL_GUARDED_BY(policy_mutex_) = 0;
  std::vector<std::string> changes_ ABSL_GUARDED_BY(policy_mutex_);  // by the last reload
  int64_t reload_failures_ ABSL_GUARDED_BY(policy_mutex_) = 0;

  CaseTable cases_;
  Freshness freshness_;
  HeldMail held_;
  SureCases sure_;
  FreshnessWatch freshness_watch_;  // confined to the recorder's tick, like the next field
  absl::Time reported_clock_back_ = absl::InfinitePast();
  Gate gate_;
  Metrics metrics_;
  Journal journal_;
  Totals totals_;
  ChargeTally charge_tally_;
  EventLog event_log_{&clock_};  // empty without [api]
  mutable Mutex blind_mutex_;
  mutable BlindWatch blind_watch_ ABSL_GUARDED_BY(blind_mutex_);
  std::vector<BlindAlarm> reported_blind_;  // alarms in the log; confined to the recorder's tick
  absl::Duration blind_looked_ = -absl::InfiniteDuration();  // Clock::Elapsed(); likewise
  const std::unique_ptr<MailQueue> queue_;                   // null: no helper configured
  const std::unique_ptr<QueueKeeper> queue_keeper_;
  Outbox outbox_;
  NoticeMaker notice_maker_{state_dir_->node(), &clock_, &outbox_};
  absl::Duration notices_looked_ = -absl::InfiniteDuration();  // confined to the recorder's tick
  TroubleWatch trouble_watch_{state_dir_->node()};             // confined to the recorder's tick
  Limiter limiter_;
  Committer committer_;
  const std::shared_ptr<const Bell> bell_ = std::make_shared<Bell>();  // rings with new tokens
  TokenBook tokens_{absl::StrCat(config_.state_dir, "/tokens.json"),
                    [bell = bell_] { bell->Ring(); }};
  const std::unique_ptr<OwnerLinks> owner_links_ = MakeOwnerLinks();  // null: no owner's page
  AdminApi api_;
  // The next four are used on web_'s threads; null without [api].
  std::unique_ptr<Caller> caller_;
  std::unique_ptr<WebApi> web_api_;
  std::unique_ptr<Console> console_;
  std::unique_ptr<OwnerPage> owner_page_;
  std::unique_ptr<Sharing> sharing_;  // null: one machine; set before the sockets open

  OwnMail own_mail_;
  std::vector<std::string> postfix_doors_;  // open ones, without "unix:"; set before the threads
  std::unique_ptr<LedgerReader> notice_reader_;   // of the dispatcher's threads
  std::unique_ptr<NoticeDispatcher> dispatcher_;  // null until StartNotices
  std::unique_ptr<Recorder> recorder_;
  mutable Mutex logs_mutex_;
  std::vector<std::unique_ptr<LogSet>> logs_ ABSL_GUARDED_BY(logs_mutex_);  // by MTA
  std::vector<std::unique_ptr<Follower>> journals_ ABSL_GUARDED_BY(logs_mutex_);

  std::atomic<bool> judges_sent_{limiter_.settings().policy->JudgesSent()};  // that in force does
  Door hook_;
  Door admin_;
  std::unique_ptr<Watchdog> watchdog_;  // after the sockets' servers, which it watches
  HttpDoor http_;
  HttpDoor web_;
  std::vector<std::pair<std::string, std::string>>
      listening_;  // socket, address; fixed after start
  bool stopped_ = false;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_RUNNING_DAEMON_H_
