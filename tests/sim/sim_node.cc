#include "tests/sim/sim_node.h"

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/log_set.h"
#include "limiter/intake/postfix_reader.h"
#include "limiter/store/sqlite_store.h"
#include "policy/charge.h"
#include "tests/limiter/store/forwarding_store.h"

namespace deferd::sim {

namespace fs = std::filesystem;

namespace {

constexpr char kCommitFact[] = "queue_sim_commit";
constexpr absl::Duration kSlack = absl::Seconds(2);  // as the daemon's recorder
constexpr size_t kBatchSizes[] = {1, 3, 1000};

Subject DomainOf(int domain) { return {SubjectKind::kDomain, DomainName(domain)}; }

std::string Text(const Counts& c) {
  return absl::StrCat(c.delivered, " delivered ", c.deferred, " deferred ", c.failed, " failed");
}

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Overwrite(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), bytes.size());
}

std::string Text(absl::Time time) {
  return absl::FormatTime("%H:%M:%S", time, absl::UTCTimeZone());
}

// Numbers the commits, so that a restart shows which one the disk has.
class NumberingStore : public ForwardingStore {
 public:
  // `before` gives the commit's number; `after` is told how it went.
  NumberingStore(std::unique_ptr<LocalStore> store, std::function<int64_t()> before,
                 std::function<void(const StoreBatch&, bool)> after)
      : ForwardingStore(std::move(store)), before_(std::move(before)), after_(std::move(after)) {}

  absl::Status Commit(const StoreBatch& batch) override {
    StoreBatch numbered = batch;
    numbered.facts.push_back({kCommitFact, absl::StrCat(before_())});
    absl::Status committed = ForwardingStore::Commit(numbered);
    after_(batch, committed.ok());
    return committed;
  }

 private:
  const std::function<int64_t()> before_;
  const std::function<void(const StoreBatch&, bool)> after_;
};

// Who hears of notices: outside of the process that dies.
class Ear : public Sink {
 public:
  Ear(const int* trouble, std::map<std::string, int>* heard) : trouble_(trouble), heard_(heard) {}
  std::string KeyOf(const Notice&) const override { return "admins"; }
  size_t MostTogether() const override { return 1000; }
  absl::Status Send(const std::string&, const std::vector<Notice>& notices, absl::Time,
                    std::string*) override {
    if (*trouble_ == 1) return absl::UnavailableError("no answer in time");
    if (*trouble_ == 2) return absl::InvalidArgumentError("no such mailbox");
    if (*trouble_ == 3) return absl::AbortedError("no room now");
    for (const Notice& one : notices) ++(*heard_)[one.id];
    return absl::OkStatus();
  }

 private:
  const int* const trouble_;
  std::map<std::string, int>* const heard_;
};

}  // namespace

SimNode::SimNode(int number, const Story& story, const std::string& folder, Settings settings,
                 SimDisk* disk, NodeClock* clock, std::function<MemorySharedServer*()> server)
    : number_(number),
      story_(story),
      name_(absl::StrFormat("%08x", 0xa0 + number)),
      folder_(absl::StrCat(folder, "/n", number)),
      settings_(std::move(settings)),
      disk_(disk),
      clock_(clock),
      line_{std::move(server)},
      log_(folder_ + "/log", number, story.postfix, clock),
      model_(absl::Seconds(story.window), absl::Seconds(story.block_for), story.once,
             story.nodes == 1) {
  saved_.emplace(0, model_);
  Start();
}

SimNode::~SimNode() {
  disk_->Die(folder_);
  Stop();
  disk_->Forget(folder_);
}

void SimNode::Start() {
  if (absl::Status started = TryToStart(); !started.ok()) Wrong(std::string(started.message()));
}

absl::Status SimNode::TryToStart() {
  ++incarnation_;
  disk_->Revive(folder_);
  const bool shares = line_.server != nullptr;
  absl::StatusOr<std::unique_ptr<LocalStore>> opened =
      OpenSqliteStore(folder_ + "/state.db", name_, {});
  if (!opened.ok()) return opened.status();
  store_ = std::make_unique<NumberingStore>(
      *std::move(opened),
      [this] {
        saved_.insert_or_assign(++commit_, model_);
        return commit_;
      },
      [this](const StoreBatch& batch, bool ok) {
        if (ok) last_good_ = commit_;
        if (ok && batch.durable) saved_.erase(saved_.begin(), saved_.find(commit_));
      });
  cases_ = std::make_unique<CaseTable>();
  limiter_ = std::make_unique<Limiter>(
      LimiterOptions{.node = name_, .incarnation = incarnation_, .keep = true, .shared = shares},
      settings_, clock_, cases_.get());
  freshness_ = std::make_unique<Freshness>(clock_->Now());
  freshness_watch_ = std::make_unique<FreshnessWatch>(freshness_.get());
  held_ = std::make_unique<HeldMail>();
  gate_ = std::make_unique<Gate>(cases_.get(), freshness_.get(), clock_, settings_, held_.get());
  outbox_ = std::make_unique<Outbox>();
  notice_maker_ = std::make_unique<NoticeMaker>(name_, clock_, outbox_.get());
  committer_ = std::make_unique<Committer>(
      CommitterOptions{.on_receipt =
                           [this](const Case& record, const Receipt& receipt) {
                             if (publisher_ != nullptr)
                               publisher_->PutReceipt(record, receipt.rows);
                           },
                       .observers = {this},
                       .notices = notice_maker_.get()},
      limiter_.get(), store_.get(), clock_);
  if (absl::Status loaded = committer_->Load(); !loaded.ok()) return loaded;
  BringModelBack();
  NoticeSink sink;
  sink.name = "s";
  sink.on = {NoticeKind::kBlocked};
  NoticeDispatcher::Parts parts;
  parts.outbox = outbox_.get();
  parts.clock = clock_;
  parts.save = [this] { committer_->Commit().IgnoreError(); };
  dispatcher_ =
      std::make_unique<NoticeDispatcher>(std::vector<NoticeSink>{std::move(sink)}, std::move(parts),
                                         [this](const NoticeSink&, SinkParts) {
                                           return std::make_unique<Ear>(&sink_trouble, &heard_);
                                         });
  if (shares) {
    const SharedStoreOptions options = {.node = name_};
    const std::string session = absl::StrCat(name_, "-", incarnation_);
    case_follower_ = std::make_unique<CaseFollower>(std::make_unique<SimShared>(&line_, options),
                                                    committer_.get(), clock_);
    publisher_ = std::make_unique<Publisher>(
        PublisherOptions{.claim =
                             [this, session] {
                               return NodeClaim{session, name_, {name_}, "{}"};
                             },
                         .on_new_store = [this] { case_follower_->Resync(); }},
        std::make_unique<SimShared>(&line_, options), committer_.get(), clock_);
  }
  holder_ = std::make_unique<Holder>(
      Holder::Parts{
          .gate = gate_.get(),
          .cases = cases_.get(),
          .held = held_.get(),
          .grave = [](const Case&) -> std::optional<std::string> { return ""; },
          .outcome = [](const std::vector<std::string>&, absl::Time) { return std::nullopt; },
          .remember = [this](
                          const std::string& name,
                          std::optional<int64_t> number) { committer_->Remember(name, number); }},
      committer_->remembered());
  const auto new_reader = [this]() -> std::unique_ptr<LogReader> {
    if (story_.postfix) {
      return NewPostfixReader({.zone = absl::UTCTimeZone(), .open_messages = true});
    }
    return NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = true});
  };
  FollowerOptions options = {
      .path = log_.path(),
      .batch_events = kBatchSizes[(story_.seed + static_cast<uint64_t>(incarnation_)) % 3],
      .read_rotated_first = true};
  std::unique_ptr<LogReader> reader;
  std::map<std::string, KeptSource> sources = committer_->TakeSources();
  if (auto it = sources.find(log_.path()); it != sources.end()) {
    SourceState state = {std::move(it->second.position), std::move(it->second.open_messages)};
    reader = RestoredReader(log_.path(), &state, new_reader);
    options.resume = std::move(state.position);
  } else {
    reader = new_reader();
  }
  follower_ =
      SteppedFollower::New(options, std::move(reader), clock_,
                           [this](std::unique_ptr<EventBatch> batch) { return Count(*batch); });
  return absl::OkStatus();
}

// The disk tells which commit it has; the model of that commit is the one that holds.
void SimNode::BringModelBack() {
  int64_t has = 0;
  if (auto it = committer_->remembered().find(kCommitFact); it != committer_->remembered().end()) {
    has = it->second;
  }
  auto found = saved_.find(has);
  if (found == saved_.end() || has < must_have_) {
    return Wrong(absl::StrCat("the disk has commit ", has, ", but ", must_have_, " was stored"));
  }
  for (size_t i = found->second.words.size(); i < model_.words.size(); ++i) {
    unsaved_words_.push_back(model_.words[i]);
  }
  model_ = found->second;
  saved_.erase(std::next(found), saved_.end());
  commit_ = last_good_ = has;
}

void SimNode::Stop() {
  follower_.reset();
  publisher_.reset();
  case_follower_.reset();
  holder_.reset();
  dispatcher_.reset();
  committer_.reset();
  notice_maker_.reset();
  outbox_.reset();
  gate_.reset();
  limiter_.reset();
  cases_.reset();
  store_.reset();
}

void SimNode::Kill() {
  ++deaths_;
  must_have_ = last_good_;  // what a commit stored survives the process
  disk_->Die(folder_);
  Stop();
  fs::remove(folder_ + "/state.db-shm");
  Start();
}

void SimNode::LosePower(uint64_t choice) {
  ++deaths_;
  must_have_ = saved_.begin()->first;
  disk_->Die(folder_);
  Stop();
  disk_->LosePower(folder_, choice);
  fs::remove(folder_ + "/state.db-shm");
  Start();
}

// The promise: a damaged value is never believed. Either the start fails with DataLoss, or all that
// is loaded is as it was written. What a later commit finds damaged, it says.
void SimNode::Flip(uint64_t bit) {
  Commit(/*durable=*/true);
  if (!committer_->status().problem.empty()) return;
  must_have_ = last_good_;
  Stop();  // which brings all of it into the one file
  const std::string path = folder_ + "/state.db";
  if (fs::exists(path + "-wal")) return Start();  // the disk failed just then
  const std::string written = Contents(path);
  std::string damaged = written;
  damaged[bit / 8 % damaged.size()] ^= static_cast<char>(1 << (bit % 8));
  Overwrite(path, damaged);
  const absl::Status started = TryToStart();
  if (started.ok()) {
    flipped_ = true;
    return Check();
  }
  // Where SQLite keeps whose file it is, a flip may as well be another program's name.
  if (!absl::IsDataLoss(started) && !absl::StrContains(started.message(), "or damaged")) {
    return Wrong(absl::StrCat("a flipped bit is taken for something else: ", started.ToString()));
  }
  disk_->Die(folder_);
  Stop();
  Overwrite(path, written);
  for (const char* rest : {"-wal", "-shm"}) fs::remove(path + rest);
  Start();
}

void SimNode::Restart() {
  Commit(/*durable=*/false);
  const bool stored = committer_->status().problem.empty();
  if (!stored) return Kill();
  must_have_ = last_good_;
  Stop();
  Start();
}

bool SimNode::Count(const EventBatch& batch) {
  committer_->Record(batch);
  for (int64_t i = 0; i < batch.counts.lines; ++i) {
    if (model_.lines >= log_.truth().size()) {
      Wrong(absl::StrCat("more lines were read than written, after line ", model_.lines));
      break;
    }
    model_.Feed(log_.truth()[model_.lines], clock_->Now());
  }
  if (batch.counts.malformed > 0) Wrong("a line was not understood");
  if (commit_each_) Commit(/*durable=*/false);
  return true;
}

void SimNode::Look(bool commit_each) {
  commit_each_ = commit_each;
  follower_->Look();
  commit_each_ = false;
}

void SimNode::Commit(bool durable) { committer_->Commit(durable).IgnoreError(); }

void SimNode::Tick() {
  // What fails in this tick itself is seen with the next one.
  const std::string problem = committer_->status().problem;
  const bool caught_up = freshness_watch_->Look({follower_->status()}, true, problem,
                                                absl::Seconds(story_.window), clock_->Now());
  if (caught_up) {
    committer_->Tick(kSlack);
    model_.Tick(clock_->Now() - kSlack);
  }
  dispatcher_->Turn("s", clock_->Now());
  const bool unchecked = gate_->Check(DomainOf(-1), Source::kQueued).unchecked;
  if (!problem.empty() && !unchecked) {
    Wrong("counts cannot be saved, and a pass is not unchecked");
  }
}

void SimNode::CheckHeard() {
  std::map<std::string, bool> dead;
  for (const Notice& one : outbox_->List()) {
    for (const auto& [sink, delivery] : one.deliveries) {
      if (delivery.state == DeliveryState::kDead) dead[one.id] = true;
    }
  }
  std::vector<Case> cases = cases_->Open();
  for (Case& one : cases_->Closed(CaseTable::kMaxHistory)) cases.push_back(std::move(one));
  for (const Case& one : cases) {
    const std::string id = absl::StrCat(one.id, ":blocked");
    if (one.shadow || one.history || heard_.contains(id) || dead.contains(id)) continue;
    Wrong(absl::StrCat(id, " of ", one.subject.ToString(), " was not heard and is not dead"));
  }
  for (const auto& [id, times] : heard_) {
    if (times > 1 + deaths_) Wrong(absl::StrCat(id, " was heard ", times, " times"));
  }
}

void SimNode::Share() {
  publisher_->Round();
  case_follower_->Round(absl::ZeroDuration()).IgnoreError();
}

void SimNode::Refresh(int domain) {
  SimShared reader(&line_, {.node = name_});
  const std::vector<RowKey> keys = limiter_->nodes().RowKeysOf(DomainOf(domain));
  if (!reader.Connect().ok()) return Wrong("Redis is well and cannot be reached");
  absl::StatusOr<std::vector<RowAnswer>> answers = reader.ReadRows(keys);
  if (answers.ok()) limiter_->nodes().RowsRead(keys, *answers);
}

void SimNode::Block(int domain, absl::Duration how_long) {
  committer_->Block(DomainOf(domain), how_long, "root", "abuse");
  model_.BlockBy(domain, clock_->Now(), how_long);
  Commit(/*durable=*/true);
}

void SimNode::Unblock(int domain) {
  const bool done = committer_->Unblock(DomainOf(domain), "root", "fixed").ok();
  const bool expected = model_.UnblockBy(domain, clock_->Now());
  if (story_.nodes == 1 && done != expected) {
    Wrong(absl::StrCat("unblock of ", DomainName(domain), done ? " found" : " missed", " a block"));
  }
  if (done) model_.words.push_back({domain, clock_->Now(), false, absl::InfinitePast()});
  Commit(/*durable=*/true);
}

void SimNode::Submit(int domain, int outcome) {
  Identity identity;
  identity.sender = identity.login = absl::StrCat("bob@", DomainName(domain));
  identity.host = "192.0.2.7";
  const GateAnswer answer = gate_->Check(identity, Source::kQueued);
  if (answer.verdict == Verdict::kPass) {
    log_.Send(domain, {outcome}, clock_->Now());
    return;
  }
  held_->CountOne(answer.cause->subject, clock_->Now());
  const int message = log_.Arrive(domain, clock_->Now());
  QueuedMail mail;
  mail.id = log_.IdOf(message);
  mail.held = mail.ours = true;
  mail.sender = identity.sender;
  mail.recipients = {"r0@far.test"};
  mail.arrival = clock_->Now();
  mail.identity = identity;
  mail.charged = Charge(*settings_.lists, identity, "");
  queue_[mail.id] = {mail, message};
}

void SimNode::LookAtQueue() {
  std::vector<QueuedMail> mails;
  for (const auto& [id, queued] : queue_) mails.push_back(queued.mail);
  const QueueOrders orders =
      holder_->Decide(mails, *settings_.policy, *settings_.lists, clock_->Now());
  if (mta_hangs) return;
  if (mta_down) {
    for (const auto* ids : {&orders.hold, &orders.release, &orders.give_back}) {
      for (const std::string& id : *ids) holder_->NotDone(id, clock_->Now());
    }
    return;
  }
  for (const std::string& id : orders.hold) queue_.at(id).mail.held = true;
  for (const std::string& id : orders.release) {
    const int message = queue_.at(id).message;
    if (Enforced(log_.DomainOf(message)).has_value()) {
      Wrong(absl::StrCat("mail of ", DomainName(log_.DomainOf(message)),
                         " was released while it is blocked"));
    }
    log_.SendHeld(message, 0, clock_->Now());
    queue_.erase(id);
  }
  for (const std::string& id : orders.give_back) queue_.erase(id);
}

std::vector<std::string> SimNode::HeldInSilence() const {
  std::vector<std::string> silent;
  for (const auto& [id, queued] : queue_) {
    bool told = false;
    for (const HeldSubject& one : holder_->held()) {
      told = told || (one.subject == DomainOf(log_.DomainOf(queued.message)) &&
                      (!one.waits_for.empty() || one.overdue > 0));
    }
    if (!told) silent.push_back(id);
  }
  return silent;
}

std::optional<Case> SimNode::Enforced(int domain) const {
  return cases_->FindEnforced(DomainOf(domain), clock_->Now());
}

void SimNode::OnCase(CaseChange change, const Case& record) {
  if (change == CaseChange::kOpened) opened_.push_back(record);
}

void SimNode::Check() {
  if (!wrong_.empty()) return;
  for (int domain = 0; domain < story_.domains; ++domain) CheckDomain(domain);
  const size_t most = static_cast<size_t>(2 * story_.domains + 2);
  if (limiter_->stats().subjects > most) {
    Wrong(absl::StrCat(limiter_->stats().subjects, " subjects of ", story_.domains, " domains"));
  }
  if (story_.nodes > 1 && limiter_->nodes().stats().waiting_subjects > most)
    Wrong("too many subjects wait to be put");
}

void SimNode::CheckDomain(int domain) {
  const std::string name = DomainName(domain);
  const SubjectReport report = limiter_->Report(DomainOf(domain));
  const absl::Time shown = std::max(clock_->Now(), model_.now());
  if (story_.nodes > 1) {
    Counts own;
    for (const auto& [node, counts] : report.counts_by_node) {
      if (node == name_) own = counts;
    }
    const Counts expected = model_.CountsAfter(domain, shown, report.cleared_at);
    if (!(own == expected)) {
      Wrong(absl::StrCat(name, ": own counts are ", Text(own), ", expected ", Text(expected),
                         ", cleared at ", Text(report.cleared_at)));
    }
    return;
  }
  const Counts expected = model_.CountsOf(domain, shown);
  if (!(report.counts == expected)) {
    Wrong(absl::StrCat(name, ": ", Text(report.counts), ", expected ", Text(expected)));
  }
  const std::optional<Case> open = cases_->FindOpen(DomainOf(domain), /*shadow=*/false);
  const Model::Block* block = model_.Open(domain);
  if (open.has_value() != (block != nullptr)) {
    return Wrong(absl::StrCat(name, open.has_value() ? " is blocked" : " is not blocked",
                              ", expected otherwise"));
  }
  if (block == nullptr) return;
  if (open->since != block->since || open->until != block->until || open->manual != block->manual ||
      (!open->manual && open->bad() != block->bad)) {
    Wrong(absl::StrCat(name, ": block since ", Text(open->since), " until ", Text(open->until),
                       " with ", open->bad(), " bad, expected since ", Text(block->since),
                       " until ", Text(block->until), " with ", block->bad));
  }
  const bool held = gate_->Check(DomainOf(domain), Source::kQueued).verdict == Verdict::kHold;
  if (held != (block->until > clock_->Now())) {
    Wrong(absl::StrCat(name, held ? " is held" : " passes", ", expected otherwise"));
  }
}

}  // namespace deferd::sim
