#include "exporter/api/event_log.h"

#include <gtest/gtest.h>

namespace deferd {
namespace {

Case CaseOf(const std::string& domain) {
  Case record;
  record.id = "1-1-1";
  record.subject = {SubjectKind::kDomain, domain};
  record.rule = "default";
  return record;
}

TEST(EventLog, NumbersGrowAlsoWithinAMicrosecondAndOverARestart) {
  ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  EventLog log(&clock);
  log.OnCase(CaseChange::kOpened, CaseOf("a.example"));
  log.OnCase(CaseChange::kUnblocked, CaseOf("b.example"));
  const Json all = log.After(0);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["subject"], "a.example");
  EXPECT_EQ(all[0]["type"], "case");
  const int64_t first = all[0]["seq"], second = all[1]["seq"];
  EXPECT_LT(first, second);
  EXPECT_EQ(log.After(first).size(), 1u);
  EXPECT_EQ(log.After(first)[0]["subject"], "b.example");
  EXPECT_TRUE(log.After(second).empty());

  clock.Advance(absl::Seconds(1));
  EventLog after_restart(&clock);
  after_restart.OnWarning({.subject = {SubjectKind::kDomain, "c.example"}});
  EXPECT_EQ(after_restart.After(second).size(), 1u);
}

TEST(EventLog, KeepsTheNewest) {
  ManualClock clock(absl::FromUnixSeconds(1'700'000'000));
  EventLog log(&clock);
  for (size_t i = 0; i < EventLog::kMaxEvents + 5; ++i) {
    log.OnIncident({.where = absl::StrCat("place ", i)});
  }
  const Json all = log.After(0);
  ASSERT_EQ(all.size(), EventLog::kMaxEvents);
  EXPECT_EQ(all[0]["incident"]["where"], "place 5");
}

}  // namespace
}  // namespace deferd
