// Which of two records holds: a table, and nodes that are cut off from each other at random.

#include "limiter/cases/decision.h"

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/limiter/sharing/cluster.h"

namespace deferd {
namespace {

constexpr char kDecided[] = "bad.example";

TEST(WhichWins, Table) {
  const absl::Time early = kMorning;
  const absl::Time late = kMorning + absl::Seconds(1);
  const absl::Time never = absl::InfinitePast();
  const std::optional<absl::Time> unknown;
  const struct {
    const char* name;
    Standing mine;
    Standing theirs;
    Winner winner;
  } kCases[] = {
      {"two people, the later one", {2, true, late}, {2, true, early}, Winner::kMine},
      {"whatever the revision", {2, true, late}, {900, true, early}, Winner::kMine},
      {"also when a rule spoke after the earlier",
       {2, true, late},
       {900, false, early},
       Winner::kMine},
      {"also when time ended the later one's", {2, false, late}, {900, true, early}, Winner::kMine},
      {"a person and a rule that knew of none", {1, true, early}, {7, false, never}, Winner::kMine},
      {"a rule that knew of the person", {7, false, early}, {6, true, early}, Winner::kMine},
      {"two rules", {7, false, never}, {6, false, never}, Winner::kMine},
      {"two rules after one person", {7, false, early}, {6, false, early}, Winner::kMine},
      {"an older deferd's rule on top of the person's",
       {3, true, late},
       {4, false, unknown},
       Winner::kTheirs},
      {"an older deferd's rule, of before", {3, true, late}, {2, false, unknown}, Winner::kMine},
      {"an older deferd's rule at once with a person",
       {3, true, late},
       {3, false, unknown},
       Winner::kMine},
      {"two older ones", {3, false, unknown}, {3, false, unknown}, Winner::kNeither},
      {"the same twice", {3, true, late}, {3, true, late}, Winner::kNeither},
      {"two rules at once", {1, false, never}, {1, false, never}, Winner::kNeither},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(WhichWins(c.mine, c.theirs), c.winner) << c.name;
    const Winner turned = c.winner == Winner::kMine     ? Winner::kTheirs
                          : c.winner == Winner::kTheirs ? Winner::kMine
                                                        : Winner::kNeither;
    EXPECT_EQ(WhichWins(c.theirs, c.mine), turned) << c.name;
  }
}

// Whoever wins over two wins over both in any order: nodes that meet in another order end equal.
TEST(WhichWins, HasNoCircles) {
  std::vector<Standing> all;
  for (int64_t rev : {1, 2, 3}) {
    for (bool person : {false, true}) {
      for (int time : {-1, 0, 1}) {
        all.push_back(
            {rev, person, time < 0 ? absl::InfinitePast() : kMorning + absl::Seconds(time)});
      }
    }
  }
  for (const Standing& a : all) {
    for (const Standing& b : all) {
      for (const Standing& c : all) {
        if (WhichWins(a, b) == Winner::kMine && WhichWins(b, c) == Winner::kMine) {
          EXPECT_EQ(WhichWins(a, c), Winner::kMine);
        }
      }
    }
  }
}

TEST(WhichWins, RevisionsNeverRunOut) {
  EXPECT_EQ(NextRev(0), 1);
  EXPECT_EQ(NextRev(41), 42);
  EXPECT_LT(NextRev((int64_t{1} << 40) - 1), int64_t{1} << 40);
}

TEST(WhichWins, WhatAPersonDecidedIsKnownOfRecordsWithoutItsTime) {
  Case record;
  record.decided_at.reset();
  record.since = kMorning;
  EXPECT_FALSE(StandingOf(record).decided_at.has_value());
  record.manual = true;
  EXPECT_EQ(StandingOf(record).decided_at, kMorning);
  record.state = CaseState::kClosed;
  record.closed_at = kMorning + absl::Hours(1);
  SetCloser("time", &record);
  EXPECT_FALSE(StandingOf(record).decided_at.has_value());
  SetCloser("root", &record);
  EXPECT_EQ(StandingOf(record).decided_at, kMorning + absl::Hours(1));
}

// One that can be away from the store for a while.
class CutOff : public MemoryCluster {
 public:
  using MemoryCluster::MemoryCluster;
  // Only these meet.
  void SyncOnly(const std::vector<size_t>& there) {
    for (int round = 0; round < 3; ++round) {
      for (size_t i : there) {
        Node& node = nodes_[i];
        node.publisher_->Round();
        node.follower_->Round(absl::ZeroDuration()).IgnoreError();
        EXPECT_TRUE(node.committer_->Commit().ok());
      }
    }
  }
};

std::vector<std::string> Changes(const Node& node) {
  std::vector<std::string> changes;
  for (const CaseEvent& event : node.cases_->EventsOf(Node::Domain(kDecided), 50)) {
    changes.push_back(std::string(CaseChangeName(event.change)));
  }
  return changes;
}

TEST(Decisions, AnOlderUnsharedUnblockDoesNotBeatALaterBlock) {
  CutOff nodes(2);
  nodes[0].Block(kDecided);
  nodes.Sync();
  ASSERT_TRUE(nodes[1].Blocked(kDecided));
  nodes.Advance(absl::Minutes(1));
  ASSERT_TRUE(nodes[0].Unblock(kDecided).ok());  // cut off: not shared
  nodes.Advance(absl::Minutes(1));
  nodes[1].Block(kDecided);
  nodes.SyncOnly({1});
  nodes.Sync();
  for (size_t i : {0, 1}) {
    EXPECT_TRUE(nodes[i].Blocked(kDecided)) << i;
    const std::optional<Case> open = nodes[i].cases_->FindOpen(Node::Domain(kDecided), false);
    ASSERT_TRUE(open.has_value());
    ASSERT_TRUE(open->overruled.has_value()) << "both are shown, on node " << i;
    EXPECT_FALSE(open->overruled->blocked);
    EXPECT_EQ(open->overruled->reason, "fixed");
  }
}

TEST(Decisions, AnOlderUnsharedBlockDoesNotBeatALaterUnblock) {
  CutOff nodes(2);
  nodes[0].Block(kDecided);
  nodes.Sync();
  nodes.Advance(absl::Minutes(1));
  nodes[0].Block(kDecided);
  nodes[0].Block(kDecided);  // whatever the revision
  nodes.Advance(absl::Minutes(1));
  ASSERT_TRUE(nodes[1].Unblock(kDecided).ok());
  nodes.SyncOnly({1});
  nodes.Sync();
  for (size_t i : {0, 1}) EXPECT_FALSE(nodes[i].Blocked(kDecided)) << i;
  EXPECT_THAT(Changes(nodes[0]), testing::Contains("blocked"));
}

TEST(Decisions, ALaterUnsharedOneHolds) {
  CutOff nodes(2);
  nodes[0].Block(kDecided);
  nodes.Sync();
  nodes.Advance(absl::Minutes(1));
  for (int i = 0; i < 3; ++i) nodes[1].Block(kDecided);
  nodes.SyncOnly({1});
  nodes.Advance(absl::Minutes(1));
  ASSERT_TRUE(nodes[0].Unblock(kDecided).ok());
  nodes.Sync();
  for (size_t i : {0, 1}) EXPECT_FALSE(nodes[i].Blocked(kDecided)) << i;
}

TEST(Decisions, WhatARuleDidMeanwhileBeatsNoPerson) {
  CutOff nodes(2);
  nodes.Sync();
  nodes[0].Fail(kDecided, 5);
  ASSERT_TRUE(nodes[0].Blocked(kDecided));
  nodes.Advance(absl::Minutes(61));
  nodes[0].Fail(kDecided, 5);
  nodes[0].Tick();  // extended or opened anew: more revisions
  nodes[1].Block(kDecided);
  ASSERT_TRUE(nodes[1].Unblock(kDecided).ok());
  nodes.SyncOnly({1});
  nodes.Sync();
  for (size_t i : {0, 1}) EXPECT_FALSE(nodes[i].Blocked(kDecided)) << i;
}

TEST(Decisions, ANodeOfTheVersionBeforeIsUnderstood) {
  CutOff nodes(1);
  nodes[0].Block(kDecided);
  nodes.Sync();
  auto old = nodes.server_.NewStore({.node = "cccccccc"});
  ASSERT_TRUE(old->Connect().ok());
  SharedCase ended = old->ReadCases()->front();
  // It ends the block at its time, and knows no time of decision.
  absl::Time at = nodes.clock_.Now();
  ended.rev += 1;
  ended.manual = false;
  const size_t decided = ended.text.find("\"decided_at\":");
  ASSERT_NE(decided, std::string::npos);
  ended.text.erase(decided, ended.text.find(',', decided) - decided + 1);
  const auto replace = [&](const std::string& from, const std::string& to) {
    const size_t found = ended.text.find(from);
    ASSERT_NE(found, std::string::npos) << from << " in " << ended.text;
    ended.text.replace(found, from.size(), to);
  };
  replace("\"state\":0", "\"state\":2");
  replace("\"closed_by\":\"\"", "\"closed_by\":\"time\"");
  replace("\"closed_at\":null", absl::StrCat("\"closed_at\":", absl::ToUnixMicros(at)));
  ASSERT_TRUE(old->PutCase(ended)->written);
  nodes.Sync();
  EXPECT_FALSE(nodes[0].Blocked(kDecided));
  EXPECT_EQ(*old->ReadCases(), std::vector<SharedCase>{ended}) << "nothing is put against it";
}

// Three nodes; at each step some are cut off, somebody decides, rules trip. In the end all are
// there, and what the last person said holds everywhere.
TEST(Decisions, AfterAnyCutsTheLastPersonsWordHoldsEverywhere) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    CutOff nodes(3, "[rule.r]\nmin_bad = 5\npercent = 50\nblock_for = \"1h\"\n");
    nodes.Sync();
    std::optional<bool> last;  // blocked
    for (int step = 0; step < 14; ++step) {
      nodes.Advance(absl::Seconds(1 + random() % 20));
      const size_t who = random() % 3;
      switch (random() % 5) {
        case 0:
        case 1:
          nodes[who].Block(kDecided, absl::Hours(48));
          last = true;
          break;
        case 2:
        case 3:
          if (nodes[who].Unblock(kDecided).ok()) last = false;
          break;
        case 4:
          if (!last.has_value()) nodes[who].Fail(kDecided, 5);
          if (random() % 3 == 0) nodes[who].Start();
          break;
      }
      std::vector<size_t> there;
      for (size_t i = 0; i < 3; ++i) {
        if (random() % 3 == 0) there.push_back(i);
      }
      std::shuffle(there.begin(), there.end(), random);
      nodes.SyncOnly(there);
    }
    if (!last.has_value()) continue;
    std::vector<size_t> all = {0, 1, 2};
    std::shuffle(all.begin(), all.end(), random);
    nodes.SyncOnly(all);
    nodes.Advance(absl::Seconds(31));
    nodes.SyncOnly(all);
    nodes.SyncOnly(all);
    for (size_t i : all) {
      EXPECT_EQ(nodes[i].Blocked(kDecided), *last) << "node " << i;
      EXPECT_EQ(nodes[i].limiter_->nodes().stats().waiting_cases, 0u) << "settled";
    }
  }
}

}  // namespace
}  // namespace deferd
