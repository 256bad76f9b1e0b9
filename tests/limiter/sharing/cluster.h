// Several nodes that share one store, each with a clock, a log and a case table of its own, driven
// by hand: nothing happens between them but by Sync.

#ifndef DEFERD_TESTS_LIMITER_SHARING_CLUSTER_H_
#define DEFERD_TESTS_LIMITER_SHARING_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

  Node(int number, StoreMaker make, const std::string& policy, absl::Time now);
  ~Node();

  // Another run of the daemon, with what the local store has.
  void Start();

  // Counted, not stored.
  void Record(const Attempt& attempt);
  void Feed(const std::string& domain, Outcome outcome, int n = 1);
  void Fail(const std::string& domain, int n = 1) { Feed(domain, Outcome::kFailed, n); }
  void Deliver(const std::string& domain, int n = 1) { Feed(domain, Outcome::kDelivered, n); }

  Case Block(const std::string& domain, absl::Duration duration = absl::Hours(2));
  absl::Status Unblock(const std::string& domain);
  // What the recorder does while its log is quiet.
  void Tick();

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
          absl::Time now = kMorning + absl::Hours(2));
  ~Cluster();

  // One more, whose store or policy may differ from the others'.
  Node& Add(const Node::StoreMaker& make, const std::string& policy, absl::Time now);

  Node& operator[](size_t i) { return *nodes_[i]; }
  size_t size() const { return nodes_.size(); }

  // Everything that waits is put, everything that was put is read: twice, since what is read can
  // make something wait again, which a third round finds settled.
  void Sync();
  void Advance(absl::Duration by);
  int Announced() const;

 private:
  std::vector<std::unique_ptr<Node>> nodes_;
};

// Nodes on a store in this process, whose clock the nodes' clocks agree with at first.
class MemoryCluster {
 public:
  explicit MemoryCluster(int nodes, const std::string& policy = kFivePolicy);

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
