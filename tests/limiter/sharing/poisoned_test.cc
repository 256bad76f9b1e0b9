// What another node, or nobody, put into the shared store.

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/window_row.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::HasSubstr;

constexpr char kPoisonBad[] = "bad.example";

// One poisoned value of another node (or of nobody) is refused, shown, and healed by its owner.

SharedCase CaseOf(const Node& node) {
  auto store = node.make_({.node = "cccccccc"});
  EXPECT_THAT(store->Connect(), IsOk());
  const std::vector<SharedCase> cases = *store->ReadCases();
  return cases.empty() ? SharedCase{} : cases.front();
}

TEST(Poisoned, ACaseOfAnAbsurdRevisionOrTextIsReplacedByWhoKnowsTheTrueOne) {
  std::string deep = "{\"id\":";
  deep += std::string(300'000, '[') + std::string(300'000, ']') + "}";
  std::string keys = "{\"id\":\"x\"";
  for (int i = 0; i < 100'000; ++i) absl::StrAppend(&keys, ",\"", i, "\":1");
  for (const int64_t rev :
       {int64_t{3}, kMostRev - 1, kMostRev, (int64_t{1} << 53) - 1, int64_t{1} << 62}) {
    for (const std::string& text : {deep, keys + "}", std::string("{}"), std::string("[1e999]"),
                                    std::string(1 << 20, ' '), std::string("\xff\xfe")}) {
      SCOPED_TRACE(absl::StrCat(rev, " ", text.substr(0, 20)));
      MemoryCluster nodes(2);
      nodes[0].Block(kPoisonBad);
      nodes.Sync();
      auto poisoner = nodes.server_.NewStore({.node = "cccccccc"});
      ASSERT_THAT(poisoner->Connect(), IsOk());
      ASSERT_TRUE(
          poisoner->PutCase({Node::Domain(kPoisonBad), false, rev, true, text, rev})->written);
      nodes.Advance(absl::Minutes(1));
      ASSERT_THAT(nodes[1].Unblock(kPoisonBad), IsOk());
      nodes.Sync();
      nodes.Advance(absl::Seconds(31));
      nodes.Sync();
      for (size_t i : {0, 1}) {
        EXPECT_FALSE(nodes[i].Blocked(kPoisonBad)) << i;
        EXPECT_EQ(nodes[i].limiter_->nodes().stats().waiting_cases, 0u) << i;
      }
      EXPECT_GE(nodes[0].limiter_->nodes().stats().unreadable_cases +
                    nodes[1].limiter_->nodes().stats().unreadable_cases,
                1);
      const std::string last = nodes[1].limiter_->nodes().stats().refused_last +
                               nodes[0].limiter_->nodes().stats().refused_last;
      EXPECT_THAT(last, HasSubstr("case of 'bad.example': "));
      EXPECT_LT(CaseOf(nodes[0]).rev, 100) << "the true one is there again";
    }
  }
}

TEST(Poisoned, ACaseThatReadsWellButIsOfNoTimeIsRefused) {
  MemoryCluster nodes(1);
  nodes[0].Block(kPoisonBad);
  nodes.Sync();
  const SharedCase good = CaseOf(nodes[0]);
  const absl::Time far = nodes.clock_.Now() + absl::Hours(24 * 365 * 20);
  const std::pair<const char*, std::string> kChanges[] = {
      {"\"cleared_at\":null", absl::StrCat("\"cleared_at\":", absl::ToUnixMicros(far))},
      {"\"percent\":0", "\"percent\":100000"},
      {"\"level\":0", "\"level\":9223372036854775807"},
      {"\"extended\":0", "\"extended\":-1"},
      {"\"counts\":[0,0,0]", "\"counts\":[0,9223372036854775807,9223372036854775807]"},
      {"\"min_bad\":0", "\"min_bad\":1e300"},
      {"\"decided_at\":", "\"decided_at\":9"}};
  for (const auto& [from, to] : kChanges) {
    SCOPED_TRACE(to);
    SharedCase bad = good;
    const size_t at = bad.text.find(from);
    ASSERT_NE(at, std::string::npos) << bad.text;
    bad.text.replace(at, std::string(from).size(), to);
    bad.rev = bad.seen = CaseOf(nodes[0]).rev + 5;
    auto poisoner = nodes.server_.NewStore({.node = "cccccccc"});
    ASSERT_THAT(poisoner->Connect(), IsOk());
    ASSERT_TRUE(poisoner->PutCase(bad)->written);
    const int64_t before = nodes[0].limiter_->nodes().stats().unreadable_cases;
    nodes.Sync();
    EXPECT_GT(nodes[0].limiter_->nodes().stats().unreadable_cases, before);
    EXPECT_EQ(CaseOf(nodes[0]).text, good.text);
  }
}

TEST(Poisoned, ARowUnderANodesNameIsReplacedByThatNode) {
  for (const double version :
       {1e15, 9007199254740991.0, 1e300, -1.0, 0.0, std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN()}) {
    for (const char* name : {"000000a0", "000000a1"}) {
      SCOPED_TRACE(absl::StrCat(version, " ", name));
      MemoryCluster nodes(2);
      nodes[0].Fail(kPoisonBad, 1);
      nodes[1].Fail(kPoisonBad, 1);
      nodes.Sync();
      auto poisoner = nodes.server_.NewStore({.node = name});
      ASSERT_THAT(poisoner->Connect(), IsOk());
      const RowKey key = {Node::Domain(kPoisonBad), absl::Hours(1)};
      std::string row = EncodeWindowRow({.version = version});
      ASSERT_THAT(poisoner->PutRows({{key, 1e16, row}}).status(), IsOk());
      nodes[0].Fail(kPoisonBad, 2);
      nodes[1].Fail(kPoisonBad, 1);
      for (int i = 0; i < 3; ++i) {
        nodes.Advance(absl::Seconds(3));
        nodes.Sync();
      }
      // A node reads the others' rows when it puts its own.
      nodes[0].Deliver(kPoisonBad);
      nodes[1].Deliver(kPoisonBad);
      nodes.Sync();
      nodes[0].Deliver(kPoisonBad);
      nodes.Sync();
      for (size_t i : {0, 1}) EXPECT_EQ(nodes[i].CountsOf(kPoisonBad).bad(), 5) << i;
      nodes[1].Block(kPoisonBad);
      nodes.Sync();
      EXPECT_TRUE(nodes[0].Blocked(kPoisonBad));
      ASSERT_THAT(nodes[0].Unblock(kPoisonBad), IsOk());
      nodes.Sync();
      EXPECT_FALSE(nodes[1].Blocked(kPoisonBad));
    }
  }
}

TEST(Poisoned, RowsOfMoreNodesThanThereCanBeAreTakenOut) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kPoisonBad, 2);
  nodes[1].Fail(kPoisonBad, 2);
  nodes.Sync();
  const RowKey key = {Node::Domain(kPoisonBad), absl::Hours(1)};
  WindowRow row;
  row.version = 5;
  row.cells.push_back(
      {.step = static_cast<uint32_t>(StepClock(absl::Hours(1)).StepOf(nodes.clock_.Now())),
       .counts = {.failed = 7}});
  for (int i = 0; i < 5'000; ++i) {
    auto stranger = nodes.server_.NewStore({.node = absl::StrCat("s", i)});
    ASSERT_THAT(stranger->Connect(), IsOk());
    ASSERT_THAT(stranger->PutRows({{key, 5, EncodeWindowRow(row)}}).status(), IsOk());
  }
  nodes[0].Deliver(kPoisonBad, 1);
  for (int i = 0; i < 4; ++i) {
    nodes.Advance(absl::Seconds(3));
    nodes.Sync();
  }
  EXPECT_EQ(nodes[0].CountsOf(kPoisonBad).bad(), 4);
  EXPECT_THAT(nodes[0].limiter_->nodes().stats().refused_last, HasSubstr("more rows than"));
  auto store = nodes.server_.NewStore({.node = "cccccccc"});
  ASSERT_THAT(store->Connect(), IsOk());
  EXPECT_EQ((*store->ReadRows({key}))[0].rows.size(), 2u);
}

TEST(Poisoned, ANodeOfATimeToComeKeepsNobodyOut) {
  MemoryCluster nodes(1);
  nodes.clock_.Advance(absl::Hours(24));
  nodes.Sync();  // its name stands for tomorrow
  nodes.clock_.Advance(-absl::Hours(24));
  auto again = nodes.server_.NewStore({.node = nodes[0].name_});
  ASSERT_THAT(again->Connect(), IsOk());
  EXPECT_THAT(
      again->SayBeat({"another session", "another holder", {nodes[0].name_}, "{}"}).status(),
      IsOk());
}

}  // namespace
}  // namespace deferd
