// Sharing as the daemon drives it, with its threads, on a store in this process. Clocks are moved
// by hand; the threads take as long as they need.

#include "limiter/app/sharing.h"

#include <fstream>

#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/limiter/store/memory_shared_store.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr char kPolicy[] = "[rule.r]\nmin_bad = 5\npercent = 50\nblock_for = \"1h\"\n";

// One daemon's limiter, and its sharing.
class SharingNode {
 public:
  SharingNode(MemorySharedServer* server, const Clock* clock, const std::string& name,
              std::vector<std::string> logs = {})
      : state_dir_(StateDir::Open(folder_.File("state"), name).value()),
        limiter_({.node = state_dir_.node(), .keep = true, .shared = true},
                 {LimiterFixture::ParsedPolicy(kPolicy), std::make_shared<ChargeLists>()}, clock,
                 &cases_),
        store_(NewMemoryStore(state_dir_.node(), {})),
        committer_({}, &limiter_, store_.get(), clock),
        clock_(clock) {
    EXPECT_THAT(committer_.Load(), IsOk());
    SharingOptions options;
    options.where = "redis+unix:///run/redis.sock";
    options.new_store = [server](const auto& store) { return server->NewStore(store); };
    options.state_dir = folder_.File("state");
    options.log_patterns = std::move(logs);
    options.keep_receipts = absl::Hours(1);
    options.lag_seconds = [] { return 1.5; };
    sharing_ =
        std::make_unique<Sharing>(std::move(options), state_dir_, &limiter_, &committer_, clock);
  }

  void Block(const std::string& domain) {
    committer_.Block(Domain(domain), absl::Hours(1), "root", "abuse");
    EXPECT_THAT(committer_.Commit(/*durable=*/true), IsOk());
  }
  void Fail(const std::string& domain, int n) {
    EventBatch batch;
    for (int i = 0; i < n; ++i) {
      *batch.Add() = {LogEvent::Kind::kAttempt,
                      LimiterFixture::MakeAttempt(domain, clock_->Now(), Outcome::kFailed)};
    }
    committer_.Record(batch);
    EXPECT_THAT(committer_.Commit(), IsOk());
  }

  static Subject Domain(const std::string& domain) { return {SubjectKind::kDomain, domain}; }
  bool Blocked(const std::string& domain) const {
    return cases_.FindEnforced(Domain(domain), clock_->Now()).has_value();
  }
  int64_t BadOf(const std::string& domain) const {
    return limiter_.Report(Domain(domain)).counts.bad();
  }
  bool SharesAll() const { return sharing_->Causes().empty(); }

  TempFolder folder_;
  StateDir state_dir_;
  CaseTable cases_;
  Limiter limiter_;
  std::unique_ptr<LocalStore> store_;
  Committer committer_;
  const Clock* const clock_;
  std::unique_ptr<Sharing> sharing_;
};

class SharingTest : public testing::Test {
 protected:
  SharingNode& Add(const std::string& name, std::vector<std::string> logs = {}) {
    nodes_.push_back(std::make_unique<SharingNode>(&server_, &clock_, name, std::move(logs)));
    return *nodes_.back();
  }
  SharingNode& Started(const std::string& name) {
    SharingNode& node = Add(name);
    EXPECT_THAT(node.sharing_->Claim(), IsOk());
    node.sharing_->Start();
    return node;
  }
  static bool Live(const SharingNode& node, int64_t nodes) {
    return node.sharing_->ReadGauges().nodes == nodes;
  }

  ManualClock store_clock_{kMorning};
  ManualClock clock_{kMorning};
  MemorySharedServer server_{&store_clock_};
  std::vector<std::unique_ptr<SharingNode>> nodes_;
};

TEST_F(SharingTest, SaysThatItIsStartingUntilTheStoreIsReadOrPatienceEnds) {
  server_.SetTrouble(SharedTrouble::kGone);
  SharingNode& node = Add("mx1");
  EXPECT_THAT(node.sharing_->Claim(), IsOk()) << "an unreachable store does not stop the start";
  EXPECT_THAT(node.sharing_->Causes(), ElementsAre("starting: redis is not read yet"));
  node.sharing_->Start();
  clock_.Advance(Sharing::kPatience + absl::Seconds(3));
  EXPECT_THAT(node.sharing_->Causes(),
              ElementsAre(StartsWith("redis: not shared for 13 s: "),
                          "redis: other nodes' cases not heard of for 13 s"));
}

TEST_F(SharingTest, BlocksAtHomeWhileTheStoreIsUnreachableAndSharesWhenItComes) {
  server_.SetTrouble(SharedTrouble::kGone);
  SharingNode& one = Started("mx1");
  SharingNode& two = Started("mx2");
  one.Fail("spam.example", 5);
  EXPECT_TRUE(one.Blocked("spam.example"));
  one.Block("person.example");
  EXPECT_THAT(one.sharing_->WaitShared(SharingNode::Domain("person.example")),
              StatusIs(absl::StatusCode::kUnavailable, StartsWith("redis: ")));
  EXPECT_EQ(one.sharing_->StatusJson()["trouble"], "gone");
  EXPECT_FALSE(two.Blocked("person.example"));

  server_.SetTrouble(SharedTrouble::kNone);
  EXPECT_TRUE(Eventually([&] { return one.SharesAll() && two.SharesAll(); }));
  EXPECT_TRUE(
      Eventually([&] { return two.Blocked("spam.example") && two.Blocked("person.example"); }));
  EXPECT_THAT(one.sharing_->WaitShared(SharingNode::Domain("person.example")), IsOk());
  EXPECT_EQ(one.sharing_->StatusJson()["trouble"], "none");
}

TEST_F(SharingTest, KeepsItsBlocksAndSaysForHowLongTheStoreIsUnreachable) {
  SharingNode& node = Started("mx1");
  node.Block("spam.example");
  ASSERT_TRUE(Eventually([&] { return node.SharesAll(); }));

  server_.SetTrouble(SharedTrouble::kGone);
  ASSERT_TRUE(Eventually([&] { return !node.sharing_->ReadGauges().up; }));
  EXPECT_TRUE(node.SharesAll()) << "a short silence is no cause";
  clock_.Advance(Sharing::kSilence + absl::Seconds(2));
  store_clock_.Advance(Sharing::kSilence + absl::Seconds(2));
  EXPECT_THAT(
      node.sharing_->Causes(),
      testing::Contains(AllOf(StartsWith("redis: not shared for 12 s: "), HasSubstr("gone: "))));
  EXPECT_TRUE(node.Blocked("spam.example"));
  EXPECT_EQ(node.sharing_->ReadGauges().silent_seconds, 12);

  server_.SetTrouble(SharedTrouble::kNone);
  EXPECT_TRUE(Eventually([&] { return node.SharesAll() && node.sharing_->ReadGauges().up; }));
}

TEST_F(SharingTest, SettingTheClockIsNoSilenceAndHidesNone) {
  SharingNode& node = Started("mx1");
  ASSERT_TRUE(Eventually([&] { return node.SharesAll(); }));
  server_.SetTrouble(SharedTrouble::kGone);
  ASSERT_TRUE(Eventually([&] { return !node.sharing_->ReadGauges().up; }));
  clock_.Step(absl::Hours(1));
  EXPECT_TRUE(node.SharesAll());
  EXPECT_TRUE(node.sharing_->CasesKnown());
  clock_.Step(-absl::Hours(2));
  clock_.Advance(Sharing::kSilence + absl::Seconds(2));
  EXPECT_THAT(node.sharing_->Causes(),
              testing::Contains(StartsWith("redis: not shared for 12 s: ")));
  EXPECT_FALSE(node.sharing_->CasesKnown());
}

TEST_F(SharingTest, PutsEverythingAgainIntoAStoreThatWasEmptied) {
  SharingNode& one = Started("mx1");
  one.Block("spam.example");
  ASSERT_THAT(one.sharing_->WaitShared(SharingNode::Domain("spam.example")), IsOk());
  server_.Flush();
  clock_.Advance(Publisher::kBeat);
  store_clock_.Advance(Publisher::kBeat);
  SharingNode& two = Started("mx2");
  EXPECT_TRUE(Eventually([&] { return two.Blocked("spam.example"); }));
}

TEST_F(SharingTest, RefreshReadsTheRowsOfOtherNodes) {
  SharingNode& one = Started("mx1");
  SharingNode& two = Started("mx2");
  one.Fail("one.example", 3);
  ASSERT_TRUE(Eventually([&] { return one.sharing_->ReadGauges().rows_put > 0; }));
  ASSERT_TRUE(Eventually([&] { return two.SharesAll(); }));
  EXPECT_EQ(two.BadOf("one.example"), 0);
  const Subject subject = SharingNode::Domain("one.example");
  two.sharing_->Refresh(&subject);
  EXPECT_EQ(two.BadOf("one.example"), 3);

  one.Fail("two.example", 2);
  ASSERT_TRUE(Eventually([&] { return one.sharing_->ReadGauges().waiting_subjects == 0; }));
  two.sharing_->Refresh(nullptr);
  EXPECT_EQ(two.BadOf("two.example"), 2);

  server_.SetTrouble(SharedTrouble::kGone);
  two.sharing_->Refresh(nullptr);
  EXPECT_EQ(two.BadOf("two.example"), 2) << "rows that cannot be read stay as known";
}

TEST_F(SharingTest, AddsTheReceiptRowsOfOtherNodesNewestFirst) {
  SharingNode& one = Started("mx1");
  SharingNode& two = Started("mx2");
  Case record;
  record.subject = SharingNode::Domain("spam.example");
  record.id = "case-1";
  LedgerRow row;
  row.recipient = "r@x.example";
  row.time = kMorning;
  LedgerRow newer = row;
  newer.time = kMorning + absl::Seconds(5);
  one.sharing_->PutReceipt(record, {row, newer});
  two.sharing_->PutReceipt(record, {row});
  auto theirs = [&record](SharingNode& node) {
    std::vector<LedgerRow> rows;
    node.sharing_->AddReceipts(record, &rows);
    return rows;
  };
  ASSERT_TRUE(Eventually([&] { return theirs(two).size() == 2 && theirs(one).size() == 1; }));
  EXPECT_EQ(theirs(two)[0].time, newer.time);
  EXPECT_EQ(theirs(two)[0].node, one.state_dir_.node());
}

TEST_F(SharingTest, TwoDaemonsMayNotHaveOneNameOrOneLog) {
  TempFolder folder;
  const std::string log = folder.File("mainlog");
  { std::ofstream(log) << "\n"; }
  SharingNode& one = Add("mx1", {folder.File("main*")});
  EXPECT_THAT(one.sharing_->Claim(), IsOk());
  EXPECT_THAT(Add("mx1").sharing_->Claim(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(one.state_dir_.node()), HasSubstr("state_dir of its own"))));
  EXPECT_THAT(Add("mx2", {log}).sharing_->Claim(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("a log one reader")));
  EXPECT_THAT(Add("mx3", {folder.File("other*")}).sharing_->Claim(), IsOk());
}

TEST_F(SharingTest, StopTakesTheNodeOutOfTheList) {
  SharingNode& one = Started("mx1");
  SharingNode& two = Started("mx2");
  auto beat = [&] {
    clock_.Advance(Publisher::kBeat);
    store_clock_.Advance(Publisher::kBeat);
  };
  ASSERT_TRUE(Eventually([&] { return Live(one, 2) || Live(two, 2); }));
  two.sharing_->Stop();
  beat();
  EXPECT_TRUE(Eventually([&] { return Live(one, 1); }));
  two.sharing_->Stop();  // harmless
}

TEST_F(SharingTest, ADistantClockIsACause) {
  store_clock_.Set(kMorning + Sharing::kMaxOffset + absl::Seconds(30));
  SharingNode& node = Started("mx1");
  EXPECT_TRUE(Eventually([&] {
    const std::vector<std::string> causes = node.sharing_->Causes();
    return causes.size() == 1 && causes[0] == "redis: this clock is off by 330 s";
  }));
  store_clock_.Set(kMorning);
}

TEST_F(SharingTest, StatusShowsEveryNodeAndSurvivesForeignRecords) {
  SharingNode& node = Started("mx1");
  ASSERT_TRUE(Eventually([&] { return node.SharesAll(); }));
  std::unique_ptr<SharedStore> stranger = server_.NewStore({.node = "stranger"});
  ASSERT_THAT(stranger->Connect(), IsOk());
  ASSERT_THAT(stranger->SayBeat({.session = "s", .holder = "h", .record = "not JSON"}), IsOk());
  clock_.Advance(Publisher::kBeat);
  store_clock_.Advance(Publisher::kBeat);
  node.Fail("wake.example", 1);
  ASSERT_TRUE(Eventually([&] { return node.sharing_->StatusJson()["nodes"].size() == 2; }));
  const Json status = node.sharing_->StatusJson();
  EXPECT_EQ(status["redis"], "redis+unix:///run/redis.sock");
  for (const Json& one : status["nodes"]) {
    if (one["here"] == true) {
      EXPECT_EQ(one["lag_seconds"], 1.5);
      EXPECT_EQ(one["incarnation"], 1);
    } else {
      EXPECT_EQ(one["node"], "stranger");
      EXPECT_TRUE(one["host"].is_null());
    }
    EXPECT_EQ(one["live"], true);
  }
}

}  // namespace
}  // namespace deferd
