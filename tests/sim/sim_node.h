// One deferd in the simulation: the parts that the daemon has, without its threads and sockets, on
// a simulated disk, beside a mail server that is simulated.
//
// Beside deferd stands its model, which is fed with the truth of each line that deferd reads; the
// model of a commit comes back when deferd is killed, for every commit that the disk may have.
// What is wrong is reported as a text; the first one ends the run.

#ifndef DEFERD_TESTS_SIM_SIM_NODE_H_
#define DEFERD_TESTS_SIM_SIM_NODE_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exporter/notice/dispatcher.h"
#include "limiter/app/freshness_watch.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/cases/held_mail.h"
#include "limiter/committer.h"
#include "limiter/intake/follower.h"
#include "limiter/limiter.h"
#include "limiter/port/clock.h"
#include "limiter/queue/holder.h"
#include "limiter/sharing/case_follower.h"
#include "limiter/sharing/publisher.h"
#include "limiter/store/local_store.h"
#include "tests/sim/model.h"
#include "tests/sim/mta_log.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_shared.h"
#include "tests/sim/story.h"

namespace deferd::sim {

// A machine's own clock, which may be wrong.
class NodeClock : public Clock {
 public:
  NodeClock(const Clock* right, absl::Duration ahead) : right_(right), ahead_(ahead) {}
  absl::Time Now() const override { return right_->Now() + ahead_; }
  absl::Duration Elapsed() const override { return right_->Elapsed(); }
  void Step(absl::Duration by) {
    latest_ = std::max(latest_, Now());
    ahead_ += by;
  }
  // What it showed before it was set back; InfinitePast: it never was.
  absl::Time latest() const { return latest_; }
  absl::Duration ahead() const { return ahead_; }

 private:
  const Clock* const right_;
  absl::Duration ahead_;
  absl::Time latest_ = absl::InfinitePast();
};

class SimNode : private Observer {
 public:
  // The pointers must outlive it. `server`: where its connections lead; empty: it does not share.
  SimNode(int number, const Story& story, const std::string& folder, Settings settings,
          SimDisk* disk, NodeClock* clock, std::function<MemorySharedServer*()> server);
  ~SimNode() override;

  void Start();
  void Kill();
  void LosePower(uint64_t choice);
  // Stopped; a bit of the database flips; started again, from a backup if the damage is found.
  void Flip(uint64_t bit);
  // Stores what was counted first.
  void Restart();

  // Reads the log to its end; `commit_each`: every batch is a commit.
  void Look(bool commit_each);
  void Commit(bool durable);
  void Tick();
  void LookAtQueue();
  void Share();
  // Reads the others' rows, as for a page that people look at.
  void Refresh(int domain);
  void Block(int domain, absl::Duration how_long);
  void Unblock(int domain);
  // What the mail server does with a new message.
  void Submit(int domain, int outcome);

  // Compares everything that the oracle knows of this node.
  void Check();

  // The first thing that was wrong; empty: nothing.
  const std::string& wrong() const { return wrong_; }
  void Wrong(const std::string& text) {
    if (wrong_.empty()) wrong_ = text;
  }

  const std::string& name() const { return name_; }
  const std::string& disk_prefix() const { return folder_; }
  MtaLog& log() { return log_; }
  const Model& model() const { return model_; }
  // Orders that a death of this node forgot: other nodes may have heard of them all the same.
  const std::vector<Model::Word>& unsaved_words() const { return unsaved_words_; }
  Limiter& limiter() { return *limiter_; }
  CaseTable& cases() { return *cases_; }
  Committer& committer() { return *committer_; }
  Line& line() { return line_; }
  std::optional<Case> Enforced(int domain) const;
  // Mail that is held and that nobody is told about.
  std::vector<std::string> HeldInSilence() const;
  size_t queued() const { return queue_.size(); }
  // A time of this machine by the right clock.
  absl::Time Truly(absl::Time t) const { return t - clock_->ahead(); }
  absl::Time Here(absl::Time right) const { return right + clock_->ahead(); }
  absl::Time Now() const { return clock_->Now(); }
  NodeClock& clock() { return *clock_; }
  bool mta_down = false;
  bool mta_hangs = false;
  int sink_trouble = 0;  // as Verb::kSink says

  // Notices that wait to be heard.
  // A start did not notice the damage.
  bool flipped() const { return flipped_; }
  int64_t unheard() const { return outbox_->stats().pending; }
  // Each block that is known has been heard of, or is a dead letter; nobody hears of one more often
  // than deferd has died.
  void CheckHeard();

  // Cases that a rule opened here since the last call.
  std::vector<Case> TakeOpened() { return std::exchange(opened_, {}); }

 private:
  void OnCase(CaseChange change, const Case& record) override;
  void Stop();
  absl::Status TryToStart();
  void BringModelBack();
  bool Count(const EventBatch& batch);
  void CheckDomain(int domain);

  const int number_;
  const Story& story_;
  const std::string name_;
  const std::string folder_;
  const Settings settings_;
  SimDisk* const disk_;
  NodeClock* const clock_;
  Line line_;
  MtaLog log_;
  Model model_;
  // By the number of the commit: from the last durable one on, any may be on the disk.
  std::map<int64_t, Model> saved_;
  std::vector<Model::Word> unsaved_words_;
  int64_t commit_ = 0;     // the last one that was tried
  int64_t last_good_ = 0;  // the last one that succeeded
  int64_t must_have_ = 0;  // what the next start has to find, or a later one
  int64_t incarnation_ = 0;
  std::string wrong_;
  std::vector<Case> opened_;
  struct Queued {
    QueuedMail mail;
    int message;
  };
  std::map<std::string, Queued> queue_;
  std::map<std::string, int> heard_;  // ids of notices, and how often
  int deaths_ = 0;
  bool flipped_ = false;

  // Of a run.
  std::unique_ptr<LocalStore> store_;
  std::unique_ptr<CaseTable> cases_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Freshness> freshness_;
  std::unique_ptr<FreshnessWatch> freshness_watch_;
  std::unique_ptr<HeldMail> held_;
  std::unique_ptr<Gate> gate_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<NoticeMaker> notice_maker_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<NoticeDispatcher> dispatcher_;
  std::unique_ptr<Holder> holder_;
  std::unique_ptr<SteppedFollower> follower_;
  std::unique_ptr<CaseFollower> case_follower_;
  std::unique_ptr<Publisher> publisher_;
  bool commit_each_ = false;  // after each batch
};

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_SIM_NODE_H_
