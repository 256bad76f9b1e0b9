// Nodes of this version and of the one before rules on classes, recipients and what is sent, over
// one real Redis for a while: each reads what the other writes, and neither is misled by it.
//
// The older node is this one behind a store that writes and reads as that version did: rows have
// five kinds of counts, it has no keys but those of all outcomes, and a case has no fields but
// those of its golden file.

#include <fstream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/redis_store.h"
#include "limiter/store/window_row.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/limiter/store/redis_server.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

constexpr char kShop[] = "shop.example";
constexpr char kSpam[] = "550 5.7.1 message content rejected as spam";
constexpr char kUnknown[] = "550 5.1.1 User unknown";

class OlderStore : public SharedStore {
 public:
  explicit OlderStore(std::unique_ptr<SharedStore> store) : store_(std::move(store)) {}

  absl::Status Connect() override { return store_->Connect(); }
  bool connected() const override { return store_->connected(); }
  absl::StatusOr<std::vector<RowAnswer>> PutRows(absl::Span<const RowPut> puts) override {
    std::vector<RowPut> older(puts.begin(), puts.end());
    for (RowPut& put : older) {
      EXPECT_TRUE(put.key.counter.empty()) << put.key.counter;
      put.row = OlderRow(put.row);
    }
    return Older(store_->PutRows(older));
  }
  absl::StatusOr<std::vector<RowAnswer>> ReadRows(absl::Span<const RowKey> keys) override {
    for (const RowKey& key : keys) EXPECT_TRUE(key.counter.empty()) << key.counter;
    return Older(store_->ReadRows(keys));
  }
  absl::Status ForEachKey(absl::Duration window,
                          absl::FunctionRef<void(std::vector<RowKey>)> tell) override {
    return store_->ForEachKey(window, tell);
  }
  absl::Status DropOtherRows(const RowKey& key, const std::vector<std::string>& nodes) override {
    return store_->DropOtherRows(key, nodes);
  }
  absl::StatusOr<CasePutAnswer> PutCase(const SharedCase& record) override {
    SharedCase older = OlderCase(record);
    older.seen = SharedCase::kNotSeen;
    absl::StatusOr<CasePutAnswer> answer = store_->PutCase(older);
    if (answer.ok()) {
      answer->now = answer->written ? record : OlderCase(std::move(answer->now));
    }
    return answer;
  }
  absl::StatusOr<std::vector<SharedCase>> ReadCases() override {
    absl::StatusOr<std::vector<SharedCase>> cases = store_->ReadCases();
    if (cases.ok()) {
      for (SharedCase& one : *cases) one = OlderCase(std::move(one));
    }
    return cases;
  }
  std::vector<SharedCase> TakeDamagedCases() override { return store_->TakeDamagedCases(); }
  absl::Status DropCase(const Subject& subject, bool shadow, int64_t rev) override {
    return store_->DropCase(subject, shadow, rev);
  }
  absl::StatusOr<absl::Time> ReadTime() override { return store_->ReadTime(); }
  absl::StatusOr<std::string> LastCase() override { return store_->LastCase(); }
  absl::StatusOr<CasesFollowed> FollowCases(absl::string_view last, absl::Duration wait) override {
    absl::StatusOr<CasesFollowed> followed = store_->FollowCases(last, wait);
    if (followed.ok()) {
      for (SharedCase& one : followed->cases) one = OlderCase(std::move(one));
    }
    return followed;
  }
  absl::Status PutReceipt(const Subject& subject, absl::string_view case_id, absl::string_view text,
                          absl::Duration keep) override {
    return store_->PutReceipt(subject, case_id, text, keep);
  }
  absl::StatusOr<std::vector<SharedRow>> ReadReceipt(const Subject& subject,
                                                     absl::string_view case_id) override {
    return store_->ReadReceipt(subject, case_id);
  }
  absl::StatusOr<Beat> SayBeat(const NodeClaim& claim) override { return store_->SayBeat(claim); }
  absl::Status SayEnd(absl::string_view session) override { return store_->SayEnd(session); }

 private:
  // It skipped the counts that it did not know.
  static std::string OlderRow(const std::string& bytes) {
    absl::StatusOr<WindowRow> row = DecodeWindowRow(bytes);
    EXPECT_THAT(row.status(), IsOk());
    if (!row.ok()) return bytes;
    for (WindowCell& cell : row->cells) cell.counts.sent = cell.counts.sent_recipients = 0;
    return EncodeWindowRow(*row);
  }
  static absl::StatusOr<std::vector<RowAnswer>> Older(
      absl::StatusOr<std::vector<RowAnswer>> answers) {
    if (!answers.ok()) return answers;
    for (RowAnswer& answer : *answers) {
      for (SharedRow& one : answer.rows) one.row = OlderRow(one.row);
    }
    return answers;
  }
  // It left out what it did not know when it wrote a case on.
  static SharedCase OlderCase(SharedCase record) {
    static const std::set<std::string>* const kKnown = [] {
      std::ifstream in(TestData("stored/5-before-measures/shared_case.hex"));
      std::string hex, line;
      while (std::getline(in, line)) hex += line;
      const Json golden = Json::parse(absl::HexStringToBytes(hex));
      auto* names = new std::set<std::string>{"rejected"};
      for (const auto& item : golden.items()) names->insert(item.key());
      return names;
    }();
    if (record.text.empty()) return record;
    Json json = Json::parse(record.text);
    Json older = Json::object();
    for (const auto& item : json.items()) {
      if (kKnown->count(item.key()) > 0) older[item.key()] = item.value();
    }
    const auto cut = [](Json* counts, size_t most) {
      while (counts->size() > most) counts->erase(counts->size() - 1);
    };
    cut(&older["counts"], 5);
    for (Json& node : older["by_node"]) cut(&node, 6);
    record.text = older.dump();
    return record;
  }

  const std::unique_ptr<SharedStore> store_;
};

std::string RatioOf(int min_bad) {
  return absl::StrCat("[rule.ratio]\nmin_bad = ", min_bad,
                      "\npercent = 50\nwindow = \"10m\"\nblock_for = \"20m\"\n");
}

class MixedVersions : public testing::Test {
 protected:
  MixedVersions() {
    absl::StatusOr<std::unique_ptr<RedisServer>> started = RedisServer::Start();
    EXPECT_THAT(started.status(), IsOk());
    if (started.ok()) server_ = *std::move(started);
  }

  // Two of this version, with `rules` besides, and two of the version before.
  void Begin(int min_bad, const std::string& rules) {
    const auto newer = [address = server_->address()](const SharedStoreOptions& options) {
      return NewRedisStore(address, options);
    };
    const auto older = [newer](const SharedStoreOptions& options) -> std::unique_ptr<SharedStore> {
      return std::make_unique<OlderStore>(newer(options));
    };
    const absl::Time now = absl::FromUnixSeconds(absl::ToUnixSeconds(SystemClock().Now()));
    nodes_ = std::make_unique<Cluster>(0, newer);
    for (int i = 0; i < 2; ++i) nodes_->Add(newer, RatioOf(min_bad) + rules, now);
    for (int i = 0; i < 2; ++i) nodes_->Add(older, RatioOf(min_bad), now);
  }
  Node& node(size_t i) { return (*nodes_)[i]; }
  static bool IsNewer(size_t i) { return i < 2; }

  void Answer(Node& node, const char* reply, const std::string& recipient) {
    Attempt attempt = LimiterFixture::MakeAttempt(
        kShop, node.clock_.Now(), reply[0] == '\0' ? Outcome::kDelivered : Outcome::kFailed, "",
        recipient);
    attempt.reply = reply;
    node.Record(attempt);
    EXPECT_THAT(node.committer_->Commit(), IsOk());
  }
  void Arrive(Node& node) {
    static int number = 0;
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kArrived;
    event->attempt.time = node.clock_.Now();
    event->attempt.message = {absl::StrCat("arrived-", ++number), node.clock_.Now()};
    event->attempt.identity = {.sender = "a@shop.example", .login = "a@shop.example"};
    node.committer_->Record(batch);
    EXPECT_THAT(node.committer_->Commit(), IsOk());
  }
  void ExpectBlocked(bool blocked, const std::string& when) {
    for (size_t i = 0; i < nodes_->size(); ++i) {
      EXPECT_EQ(node(i).Blocked(kShop), blocked) << "node " << i << " " << when;
    }
  }

  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<Cluster> nodes_;
};

constexpr char kNewRules[] = R"(
[rule.spam]
classes = ["content"]
min_bad = 100000
window = "10m"
[rule.list]
min_recipients = 1000
any_share = true
window = "10m"
[rule.sent]
max_sent = 100000
window = "10m"
)";

// Every node has the sum of all where both count; of what only this version counts, the sum of the
// nodes of this version.
TEST_F(MixedVersions, EachCountsWhatAPlainListCounts) {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    server_->Cli({"FLUSHALL"});
    Begin(100'000, kNewRules);
    std::mt19937 random(seed);
    const auto upto = [&](unsigned n) { return random() % n; };
    int64_t delivered = 0, failed = 0, content = 0, sent = 0;
    std::set<std::string> recipients;
    for (int i = 0; i < 300; ++i) {
      const size_t at = upto(4);
      const std::string recipient = absl::StrCat("r", upto(25), "@x");
      switch (upto(4)) {
        case 0:
          Arrive(node(at));
          if (IsNewer(at)) ++sent;
          break;
        case 1:
          Answer(node(at), "", recipient);
          ++delivered;
          break;
        default: {
          const bool spam = upto(2) == 0;
          Answer(node(at), spam ? kSpam : kUnknown, recipient);
          ++failed;
          if (IsNewer(at)) recipients.insert(recipient);
          if (IsNewer(at) && spam) ++content;
        }
      }
      if (upto(20) == 0) node(at).Start();
      if (upto(10) == 0) nodes_->Sync();
      if (upto(6) == 0) nodes_->Advance(absl::Seconds(upto(5)));
    }
    for (size_t i = 0; i < nodes_->size(); ++i) node(i).limiter_->nodes().ShareAll();
    nodes_->Sync();
    for (size_t i = 0; i < nodes_->size(); ++i) node(i).limiter_->nodes().ShareAll();
    nodes_->Sync();
    for (size_t i = 0; i < nodes_->size(); ++i) {
      SCOPED_TRACE(absl::StrCat("node ", i));
      const SubjectReport report = node(i).limiter_->Report(Node::Domain(kShop));
      EXPECT_EQ(report.counts.delivered, delivered);
      EXPECT_EQ(report.counts.failed, failed);
      EXPECT_EQ(report.counts.deferred, 0);
      EXPECT_EQ(node(i).limiter_->nodes().stats().unreadable_rows, 0);
      EXPECT_EQ(node(i).limiter_->nodes().stats().unreadable_cases, 0);
      ASSERT_EQ(report.rules.size(), IsNewer(i) ? 4u : 1u);
      if (!IsNewer(i)) continue;
      EXPECT_EQ(report.rules[1].counts.classed, content);
      EXPECT_EQ(report.rules[2].counts.recipients, static_cast<int64_t>(recipients.size()));
      EXPECT_EQ(report.rules[3].counts.sent, sent);
    }
  }
}

TEST_F(MixedVersions, TogetherTheyTripTheRuleThatBothKnow) {
  Begin(8, kNewRules);
  for (size_t i = 0; i < nodes_->size(); ++i) {
    Answer(node(i), kUnknown, "a@x");
    Answer(node(i), kSpam, "b@x");
    Arrive(node(i));
    nodes_->Sync();
  }
  ExpectBlocked(true, "after eight of all four");
  std::set<std::string> ids;
  for (size_t i = 0; i < nodes_->size(); ++i) {
    const std::optional<Case> open = node(i).cases_->FindOpen(Node::Domain(kShop), false);
    ASSERT_TRUE(open.has_value());
    ids.insert(open->id);
    EXPECT_EQ(open->bad(), 8) << "node " << i;
    EXPECT_EQ(open->rule, "ratio");
  }
  EXPECT_EQ(ids.size(), 1u) << "one case, wherever it opened";
  EXPECT_EQ(nodes_->Announced(), 1);
}

struct NewRule {
  const char* name;
  const char* rules;
};

class MixedRules : public MixedVersions, public testing::WithParamInterface<NewRule> {
 protected:
  // Trips the rule on the first node alone.
  void Trip() {
    for (int i = 0; i < 3; ++i) {
      Arrive(node(0));
      Answer(node(0), kSpam, absl::StrCat("r", i, "@x"));
    }
    nodes_->Sync();
  }
};

INSTANTIATE_TEST_SUITE_P(
    All, MixedRules,
    testing::Values(NewRule{"classes", "[rule.new]\nclasses = [\"content\"]\nmin_bad = 3\n"},
                    NewRule{"recipients", "[rule.new]\nmin_recipients = 3\nany_share = true\n"},
                    NewRule{"sent", "[rule.new]\nmax_sent = 3\n"}),
    [](const auto& rule) { return std::string(rule.param.name); });

// The older node enforces what a rule that it does not know decided, to its end and no longer.
TEST_P(MixedRules, ABlockHoldsEverywhereAndEndsEverywhere) {
  Begin(100'000, absl::StrCat(GetParam().rules, "window = \"10m\"\nblock_for = \"20m\"\n"));
  Trip();
  ExpectBlocked(true, "after the rule tripped");
  const Case opened = *node(0).cases_->FindOpen(Node::Domain(kShop), false);
  const auto expect_opened = [&] {
    for (size_t i = 0; i < nodes_->size(); ++i) {
      const std::optional<Case> open = node(i).cases_->FindOpen(Node::Domain(kShop), false);
      ASSERT_TRUE(open.has_value()) << "node " << i;
      EXPECT_EQ(open->id, opened.id);
      EXPECT_EQ(open->until, opened.until);
    }
  };
  expect_opened();
  node(0).Start();
  node(3).Start();
  nodes_->Sync();
  expect_opened();
  nodes_->Advance(absl::Minutes(21));  // an older one is the first to end it
  node(3).Tick();
  nodes_->Sync();
  for (size_t i = 0; i < nodes_->size(); ++i) node(i).Tick();
  nodes_->Sync();
  ExpectBlocked(false, "after its time");
  // What an older node wrote on is the same judgement still.
  const std::vector<Case> closed = node(0).cases_->Closed(9);
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_EQ(closed[0].id, opened.id);
  EXPECT_EQ(closed[0].measure, opened.measure);
  EXPECT_EQ(closed[0].min_recipients, opened.min_recipients);
  EXPECT_EQ(closed[0].counts, opened.counts);
}

// A person who unblocks on the older node is obeyed by those whose rule it was.
TEST_P(MixedRules, AnUnblockOnTheOlderNodeClears) {
  Begin(100'000, absl::StrCat(GetParam().rules, "window = \"10m\"\nblock_for = \"20m\"\n"));
  Trip();
  ExpectBlocked(true, "after the rule tripped");
  ASSERT_THAT(node(2).Unblock(kShop), IsOk());
  nodes_->Sync();
  ExpectBlocked(false, "after the unblock");
  nodes_->Advance(absl::Seconds(20));
  Arrive(node(1));
  Answer(node(1), kSpam, "later@x");
  nodes_->Sync();
  ExpectBlocked(false, "since what came before is cleared");
  Trip();
  ExpectBlocked(true, "since it begins again");
}

}  // namespace
}  // namespace deferd
