#include "limiter/cases/case_table.h"

#include "gtest/gtest.h"

namespace deferd {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'795'334'400);
const Subject kSubject = {SubjectKind::kDomain, "a.example"};

Case Blocked(const Subject& subject, bool shadow = false) {
  Case record;
  record.id = "n-1-1";
  record.subject = subject;
  record.shadow = shadow;
  record.since = kNow;
  record.until = kNow + absl::Hours(1);
  return record;
}

TEST(CaseTable, EnforcesUntilItsTimeIsOver) {
  CaseTable table;
  table.Put(CaseChange::kOpened, kNow, Blocked(kSubject));
  EXPECT_TRUE(table.FindEnforced(kSubject, kNow).has_value());
  EXPECT_TRUE(table.FindEnforced(kSubject, kNow + absl::Minutes(59)).has_value());
  EXPECT_FALSE(table.FindEnforced(kSubject, kNow + absl::Hours(1)).has_value());
}

TEST(CaseTable, ShadowCasesAreNeverEnforced) {
  CaseTable table;
  table.Put(CaseChange::kOpened, kNow, Blocked(kSubject, /*shadow=*/true));
  EXPECT_FALSE(table.FindEnforced(kSubject, kNow).has_value());
  EXPECT_TRUE(table.FindOpen(kSubject, /*shadow=*/true).has_value());
  EXPECT_EQ(table.CountOpen(/*shadow=*/true), 1u);
  EXPECT_EQ(table.CountOpen(/*shadow=*/false), 0u);
}

TEST(CaseTable, AClosedCaseJoinsTheHistory) {
  CaseTable table;
  Case record = Blocked(kSubject);
  table.Put(CaseChange::kOpened, kNow, record);
  record.state = CaseState::kClosed;
  table.Put(CaseChange::kUnblocked, kNow, record);
  EXPECT_TRUE(table.Open().empty());
  EXPECT_FALSE(table.AnyOpen());
  ASSERT_EQ(table.Closed(10).size(), 1u);
  ASSERT_EQ(table.EventsOf(kSubject, 10).size(), 2u);
  EXPECT_EQ(table.EventsOf(kSubject, 10)[0].change, CaseChange::kUnblocked);
  EXPECT_EQ(table.EventsOf(kSubject, 1).size(), 1u);
  EXPECT_TRUE(table.EventsOf({SubjectKind::kDomain, "b.example"}, 10).empty());
}

TEST(CaseTable, FindsACaseByItsIdOpenAndClosed) {
  CaseTable table;
  Case record = Blocked(kSubject);
  record.id = "Web1-3-17";
  EXPECT_FALSE(table.FindById("web1-3-17").has_value());
  table.Put(CaseChange::kOpened, kNow, record);
  ASSERT_TRUE(table.FindById("web1-3-17").has_value());
  EXPECT_EQ(table.FindById("web1-3-17")->state, CaseState::kBlocked);
  record.state = CaseState::kClosed;
  table.Put(CaseChange::kEnded, kNow, record);
  ASSERT_TRUE(table.FindById("Web1-3-17").has_value());
  EXPECT_EQ(table.FindById("Web1-3-17")->state, CaseState::kClosed);
  EXPECT_FALSE(table.FindById("web1-3-1").has_value());
  EXPECT_FALSE(table.FindById("").has_value());
}

TEST(CaseTable, HistoryIsBounded) {
  CaseTable table;
  Case record = Blocked(kSubject);
  record.state = CaseState::kClosed;
  for (size_t i = 0; i < CaseTable::kMaxHistory + 5; ++i) {
    table.Put(CaseChange::kEnded, kNow, record);
  }
  EXPECT_EQ(table.Closed(CaseTable::kMaxHistory * 2).size(), CaseTable::kMaxHistory);
}

TEST(CaseTable, KnowsWhenTheNextCaseEnds) {
  CaseTable table;
  EXPECT_EQ(table.EarliestUntil(), absl::InfiniteFuture());
  Case later = Blocked({SubjectKind::kDomain, "b.example"});
  later.until += absl::Hours(5);
  table.Put(CaseChange::kOpened, kNow, later);
  table.Put(CaseChange::kOpened, kNow, Blocked(kSubject));
  EXPECT_EQ(table.EarliestUntil(), kNow + absl::Hours(1));
  EXPECT_FALSE(table.NextDue(kNow).has_value());
  ASSERT_TRUE(table.NextDue(kNow + absl::Hours(9)).has_value());
  EXPECT_EQ(table.NextDue(kNow + absl::Hours(9))->subject, kSubject);
  Case moved = Blocked(kSubject);
  moved.until += absl::Hours(9);
  table.Put(CaseChange::kExtended, kNow, moved);
  EXPECT_EQ(table.EarliestUntil(), kNow + absl::Hours(6));
}

}  // namespace
}  // namespace deferd
