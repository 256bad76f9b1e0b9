// Several nodes that share one store, each with a clock, a log and a case table of its own, driven
// by hand: nothing happens between them but by Sync.

#ifndef DEFERD_TESTS_LIMITER_SHARING_CLUSTER_H_
#define DEFERD_TESTS_LIMITER_SHARING_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"
#include "limiter/sharing/case_follower.h"
#include "limiter/sharing/publisher.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/limiter/store/memory_shared_store.h"

namespace deferd {

inline constexpr char kFivePolicy[] = "[rule.r]\nmin_bad = 5\npercent = 50\nblock_for = \"1h\"\n";

class AnnouncementCounter : public Observer {
 public:
  void OnAnnounce(const Case& record) override { announced_.push_back(record); }
  std::vector<Case> announced_;
};

class Node {
 public:
  using StoreMaker = std::function<std::unique_ptr<SharedStore>(const SharedStoreOptions&)>;

  Node(int number, StoreMaker make, const std::string& policy, absl::Time now)
      : name_(absl::StrFormat("%08x", 0xa0 + number)),
        make_(std::move(make)),
        clock_(now),
        settings_{LimiterFixture::ParsedPolicy(policy), std::make_shared<ChargeLists>()},
        store_(NewMemoryStore(name_, {})) {
    Start();
  }

  // Another run of the daemon, with what the local store has.
  void Start() {
    ++incarnation_;
    publisher_.reset();
    follower_.reset();
    committer_.reset();
    limiter_.reset();
    cases_ = std::make_unique<CaseTable>();
    limiter_ = std::make_unique<Limiter>(
        LimiterOptions{.node = name_, .incarnation = incarnation_, .keep = true, .shared = true},
        settings_, &clock_, cases_.get());
    committer_ = std::make_unique<Committer>(
        CommitterOptions{.on_receipt =
                             [this](const Case& record, const Receipt& receipt) {
                               publisher_->PutReceipt(record, receipt.rows);
                             },
                         .observers = {&observer_, &announcements_}},
        limiter_.get(), store_.get(), &clock_);
    EXPECT_TRUE(committer_->Load().ok());
    const std::string session = absl::StrCat(name_, "-", incarnation_);
    follower_ = std::make_unique<CaseFollower>(make_({.node = name_, .deadline = deadline_}),
                                               committer_.get(), &clock_);
    publisher_ = std::make_unique<Publisher>(
        PublisherOptions{.claim =
                             [this, session] {
                               return NodeClaim{session, name_, {name_}, "{}"};
                             },
                         .on_new_store = [this] { follower_->Resync(); }},
        make_({.node = name_, .deadline = deadline_}), committer_.get(), &clock_);
  }

  // Counted, not stored.
  void Record(const Attempt& attempt) {
    EventBatch batch;
    *batch.Add() = {LogEvent::Kind::kAttempt, attempt};
    committer_->Record(batch);
  }
  void Feed(const std::string& domain, Outcome outcome, int n = 1) {
    for (int i = 0; i < n; ++i) {
      Record(LimiterFixture::MakeAttempt(domain, clock_.Now(), outcome));
    }
    EXPECT_TRUE(committer_->Commit().ok());
  }
  void Fail(const std::string& domain, int n = 1) { Feed(domain, Outcome::kFailed, n); }
  void Deliver(const std::string& domain, int n = 1) { Feed(domain, Outcome::kDelivered, n); }

  Case Block(const std::string& domain, absl::Duration duration = absl::Hours(2)) {
    Case record = committer_->Block(Domain(domain), duration, "root", "abuse");
    EXPECT_TRUE(committer_->Commit(/*durable=*/true).ok());
    return record;
  }
  absl::Status Unblock(const std::string& domain) {
    absl::Status status = committer_->Unblock(Domain(domain), "root", "fixed").status();
    EXPECT_TRUE(committer_->Commit(/*durable=*/true).ok());
    return status;
  }
  // What the recorder does while its log is quiet.
  void Tick() {
    committer_->Tick();
    EXPECT_TRUE(committer_->Commit().ok());
  }

  static Subject Domain(const std::string& domain) { return {SubjectKind::kDomain, domain}; }
  bool Blocked(const std::string& domain) const {
    return cases_->FindEnforced(Domain(domain), clock_.Now()).has_value();
  }
  Counts CountsOf(const std::string& domain) const {
    return limiter_->Report(Domain(domain)).counts;
  }

  const std::string name_;
  const StoreMaker make_;
  absl::Duration deadline_ = absl::Seconds(20);
  int64_t incarnation_ = 0;
  ManualClock clock_;
  Settings settings_;
  std::unique_ptr<LocalStore> store_;
  RecordingObserver observer_;
  AnnouncementCounter announcements_;
  std::unique_ptr<CaseTable> cases_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<CaseFollower> follower_;
  std::unique_ptr<Publisher> publisher_;
};

class Cluster {
 public:
  Cluster(int nodes, const Node::StoreMaker& make, const std::string& policy = kFivePolicy,
          absl::Time now = kMorning + absl::Hours(2)) {
    for (int i = 0; i < nodes; ++i) {
      nodes_.push_back(std::make_unique<Node>(i, make, policy, now));
    }
  }

  // One more, whose store or policy may differ from the others'.
  Node& Add(const Node::StoreMaker& make, const std::string& policy, absl::Time now) {
    nodes_.push_back(std::make_unique<Node>(static_cast<int>(nodes_.size()), make, policy, now));
    return *nodes_.back();
  }

  Node& operator[](size_t i) { return *nodes_[i]; }
  size_t size() const { return nodes_.size(); }

  // Everything that waits is put, everything that was put is read: twice, since what is read can
  // make something wait again, which a third round finds settled.
  void Sync() {
    for (int round = 0; round < 3; ++round) {
      for (auto& node : nodes_) {
        node->publisher_->Round();
        node->follower_->Round(absl::ZeroDuration()).IgnoreError();
        EXPECT_TRUE(node->committer_->Commit().ok());
      }
    }
  }
  void Advance(absl::Duration by) {
    for (auto& node : nodes_) node->clock_.Advance(by);
  }
  int Announced() const {
    size_t sum = 0;
    for (const auto& node : nodes_) sum += node->announcements_.announced_.size();
    return static_cast<int>(sum);
  }

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
};

// Nodes on a store in this process, whose clock the nodes' clocks agree with at first.
class MemoryCluster {
 public:
  explicit MemoryCluster(int nodes, const std::string& policy = kFivePolicy)
      : clock_(kMorning + absl::Hours(2)),
        server_(&clock_),
        nodes_(
            nodes, [this](const SharedStoreOptions& options) { return server_.NewStore(options); },
            policy) {}

  Node& operator[](size_t i) { return nodes_[i]; }
  void Sync() { nodes_.Sync(); }
  void Advance(absl::Duration by) {
    clock_.Advance(by);
    nodes_.Advance(by);
  }

  ManualClock clock_;  // the store's
  MemorySharedServer server_;
  Cluster nodes_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_SHARING_CLUSTER_H_
