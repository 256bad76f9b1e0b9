// One way through a subject's rows for several searches.

#include "limiter/admin/row_pass.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const absl::Time kPassNow = absl::FromUnixSeconds(1'700'000'000);

class RowPassTest : public testing::Test {
 protected:
  // A row `ago` that says so.
  void Add(int ago, Outcome outcome = Outcome::kDelivered, const std::string& subject = "a.example",
           const std::string& sender = "") {
    LedgerRow row;
    row.time = kPassNow - absl::Minutes(ago);
    row.row = LedgerRowKey(row.time, 0);
    row.message_id = std::to_string(ago);
    row.outcome = outcome;
    row.subject = subject;
    row.sender = sender;
    rows_.insert(rows_.begin(), row);
  }

  // Pages of two rows. Rows must be added in the order of their times.
  LedgerSearch Search() {
    return [this](const LedgerQuery& query) -> absl::StatusOr<LedgerPage> {
      const LedgerFilter filter(query, "");
      LedgerPage page;
      for (const LedgerRow& row : rows_) {
        if (!filter.Matches(row)) continue;
        if (page.rows.size() == 2) {
          page.next = page.rows.back().row;
          break;
        }
        page.rows.push_back(row);
        fetched_.push_back(row.message_id);
      }
      return page;
    };
  }

  static LedgerQuery Since(int begin, int end, std::vector<Outcome> outcomes) {
    LedgerQuery query;
    query.subject = "a.example";
    query.since = kPassNow - absl::Minutes(begin);
    query.until = kPassNow - absl::Minutes(end);
    query.outcomes = std::move(outcomes);
    return query;
  }
  static std::function<void(const LedgerRow&)> Into(std::vector<std::string>* seen) {
    return [seen](const LedgerRow& row) { seen->push_back(row.message_id); };
  }

  std::vector<LedgerRow> rows_;  // newest first
  std::vector<std::string> fetched_;
};

TEST_F(RowPassTest, EachFindsWhatItWouldAloneAndARowIsFetchedOnce) {
  Add(50, Outcome::kFailed);
  Add(40);
  Add(30, Outcome::kQueued);
  Add(20, Outcome::kFailed, "", "bob@a.example");
  Add(10, Outcome::kFailed, "b.example");
  Add(5);
  std::vector<std::string> failed, late, of_domain;
  RowPass pass("a.example");
  const bool* all = pass.Add(Since(60, 0, {Outcome::kFailed}), 10, Into(&failed));
  pass.Add(Since(45, 1, {Outcome::kFailed, Outcome::kDelivered}), 10, Into(&late));
  LedgerQuery domain = Since(60, 0, {Outcome::kFailed});
  std::swap(domain.subject, domain.domain);
  pass.Add(domain, 10, Into(&of_domain));
  ASSERT_THAT(pass.Run(Search()), IsOk());
  EXPECT_THAT(failed, ElementsAre("50"));
  EXPECT_THAT(late, ElementsAre("5", "40"));
  EXPECT_THAT(of_domain, ElementsAre("20", "50")) << "what is charged to nobody, too";
  EXPECT_THAT(fetched_, ElementsAre("5", "20", "40", "50"));
  EXPECT_TRUE(*all);
}

TEST_F(RowPassTest, StopsWhenEverybodyHasSeenEnough) {
  for (int ago = 30; ago > 0; --ago) Add(ago);
  std::vector<std::string> two, three;
  RowPass pass("a.example");
  const bool* all_of_two = pass.Add(Since(60, 0, {Outcome::kDelivered}), 2, Into(&two));
  const bool* all_of_three = pass.Add(Since(4, 0, {Outcome::kDelivered}), 4, Into(&three));
  ASSERT_THAT(pass.Run(Search()), IsOk());
  EXPECT_THAT(two, ElementsAre("1", "2"));
  EXPECT_FALSE(*all_of_two) << "there are more";
  EXPECT_THAT(three, ElementsAre("1", "2", "3", "4"));
  EXPECT_TRUE(*all_of_three);
  EXPECT_THAT(fetched_, ElementsAre("1", "2", "3", "4"));
}

// A block that began long ago, and the last minutes.
TEST_F(RowPassTest, NothingIsFetchedThatNobodyAskedFor) {
  for (int ago = 30; ago > 0; --ago) Add(ago);
  std::vector<std::string> then, now;
  RowPass pass("a.example");
  pass.Add(Since(30, 27, {Outcome::kDelivered}), 10, Into(&then));
  pass.Add(Since(3, 0, {Outcome::kDelivered}), 10, Into(&now));
  ASSERT_THAT(pass.Run(Search()), IsOk());
  EXPECT_THAT(now, ElementsAre("1", "2", "3"));
  EXPECT_THAT(then, ElementsAre("28", "29", "30"));
  EXPECT_THAT(fetched_, ElementsAre("1", "2", "3", "28", "29", "30"));
}

TEST_F(RowPassTest, AnErrorIsTheSearchs) {
  std::vector<std::string> seen;
  RowPass pass("a.example");
  pass.Add(Since(60, 0, {Outcome::kFailed}), 10, Into(&seen));
  EXPECT_EQ(pass.Run([](const LedgerQuery&) { return absl::UnavailableError("disk"); }),
            absl::UnavailableError("disk"));
  EXPECT_THAT(seen, IsEmpty());
}

}  // namespace
}  // namespace deferd
