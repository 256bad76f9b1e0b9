#include "tests/limiter/sharing/cluster.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace deferd {

Node::Node(int number, StoreMaker make, const std::string& policy, absl::Time now)
    : name_(absl::StrFormat("%08x", 0xa0 + number)),
      make_(std::move(make)),
      clock_(now),
      settings_{LimiterFixture::ParsedPolicy(policy), std::make_shared<ChargeLists>()},
      store_(NewMemoryStore(name_, {})) {
  Start();
}

Node::~Node() = default;

void Node::Start() {
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

void Node::Record(const Attempt& attempt) {
  EventBatch batch;
  *batch.Add() = {LogEvent::Kind::kAttempt, attempt};
  committer_->Record(batch);
}

void Node::Feed(const std::string& domain, Outcome outcome, int n) {
  for (int i = 0; i < n; ++i) Record(LimiterFixture::MakeAttempt(domain, clock_.Now(), outcome));
  EXPECT_TRUE(committer_->Commit().ok());
}

Case Node::Block(const std::string& domain, absl::Duration duration) {
  Case record = committer_->Block(Domain(domain), duration, "root", "abuse");
  EXPECT_TRUE(committer_->Commit(/*durable=*/true).ok());
  return record;
}

absl::Status Node::Unblock(const std::string& domain) {
  absl::Status status = committer_->Unblock(Domain(domain), "root", "fixed").status();
  EXPECT_TRUE(committer_->Commit(/*durable=*/true).ok());
  return status;
}

void Node::Tick() {
  committer_->Tick();
  EXPECT_TRUE(committer_->Commit().ok());
}

Cluster::Cluster(int nodes, const Node::StoreMaker& make, const std::string& policy,
                 absl::Time now) {
  for (int i = 0; i < nodes; ++i) nodes_.push_back(std::make_unique<Node>(i, make, policy, now));
}

Cluster::~Cluster() = default;

Node& Cluster::Add(const Node::StoreMaker& make, const std::string& policy, absl::Time now) {
  nodes_.push_back(std::make_unique<Node>(static_cast<int>(nodes_.size()), make, policy, now));
  return *nodes_.back();
}

void Cluster::Sync() {
  for (int round = 0; round < 3; ++round) {
    for (auto& node : nodes_) {
      node->publisher_->Round();
      node->follower_->Round(absl::ZeroDuration()).IgnoreError();
      EXPECT_TRUE(node->committer_->Commit().ok());
    }
  }
}

void Cluster::Advance(absl::Duration by) {
  for (auto& node : nodes_) node->clock_.Advance(by);
}

int Cluster::Announced() const {
  size_t sum = 0;
  for (const auto& node : nodes_) sum += node->announcements_.announced_.size();
  return static_cast<int>(sum);
}

MemoryCluster::MemoryCluster(int nodes, const std::string& policy)
    : clock_(kMorning + absl::Hours(2)),
      server_(&clock_),
      nodes_(
          nodes, [this](const SharedStoreOptions& options) { return server_.NewStore(options); },
          policy) {}

}  // namespace deferd
