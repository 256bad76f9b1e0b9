// Attempts over time and by destination.

#include "limiter/admin/history.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/status_matchers.h"

namespace deferd {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);

class HistoryTest : public testing::Test {
 protected:
  void Add(absl::Duration ago, Outcome outcome, const std::string& subject,
           const std::string& host = "mx1.far.example", const std::string& reply_class = "",
           const std::string& reply = "") {
    LedgerRow row;
    row.time = kNow - ago;
    row.row = LedgerRowKey(row.time, static_cast<int64_t>(rows_.size()));
    row.outcome = outcome;
    row.subject = subject;
    row.host = host;
    row.reply_class = reply_class;
    row.reply = reply;
    rows_.push_back(row);
  }

  // Pages of two rows, so that more than one is read.
  LedgerSearch Search() {
    return [this](const LedgerQuery& query) -> absl::StatusOr<LedgerPage> {
      std::vector<LedgerRow> found;
      for (const LedgerRow& row : rows_) {
        const bool wanted = std::find(query.outcomes.begin(), query.outcomes.end(), row.outcome) !=
                            query.outcomes.end();
        if (wanted && row.time >= query.since && row.time < query.until && row.row < query.before &&
            (query.subject.empty() || row.subject == query.subject)) {
          found.push_back(row);
        }
      }
      std::sort(found.begin(), found.end(),
                [](const LedgerRow& a, const LedgerRow& b) { return a.row > b.row; });
      LedgerPage page;
      if (found.size() > 2) {
        found.resize(2);
        page.next = found.back().row;
      }
      page.rows = std::move(found);
      return page;
    };
  }

  std::vector<LedgerRow> rows_;
};

TEST_F(HistoryTest, CountsEachStepByOutcome) {
  Add(absl::Minutes(59), Outcome::kDelivered, "a.example");
  Add(absl::Minutes(59), Outcome::kDeferred, "a.example");
  Add(absl::Minutes(20), Outcome::kFailed, "a.example");
  Add(absl::Minutes(10), Outcome::kExpired, "a.example");
  Add(absl::Minutes(10), Outcome::kFailed, "b.example");
  Add(absl::Minutes(61), Outcome::kFailed, "a.example");
  Add(absl::Minutes(1), Outcome::kQueued, "a.example");
  const absl::StatusOr<Json> history =
      History(Search(), {{"subject", "A.example"}, {"since", "1h"}, {"steps", 4}}, kNow);
  ASSERT_THAT(history, IsOk());
  EXPECT_EQ((*history)["delivered"], Json::array({1, 0, 0, 0}));
  EXPECT_EQ((*history)["deferred"], Json::array({1, 0, 0, 0}));
  EXPECT_EQ((*history)["failed"], Json::array({0, 0, 1, 1}));
  EXPECT_EQ((*history)["step_seconds"], 900);
  EXPECT_EQ((*history)["all"], true);
}

TEST_F(HistoryTest, TellsSubjectsApart) {
  Add(absl::Minutes(1), Outcome::kFailed, "a.example");
  Add(absl::Minutes(1), Outcome::kDelivered, "c.example");
  Add(absl::Minutes(40), Outcome::kDeferred, "b.example");
  const absl::StatusOr<Json> history =
      History(Search(), {{"by", "subject"}, {"since", "1h"}, {"steps", 2}}, kNow);
  ASSERT_THAT(history, IsOk());
  EXPECT_EQ((*history)["subjects"].size(), 2u);
  EXPECT_EQ((*history)["subjects"]["a.example"]["failed"], Json::array({0, 1}));
  EXPECT_EQ((*history)["subjects"]["b.example"]["deferred"], Json::array({1, 0}));
}

TEST_F(HistoryTest, RefusesWhatItCannotDraw) {
  for (const Json& args :
       {Json{{"steps", 0}}, Json{{"steps", 241}}, Json{{"since", "soon"}}, Json{{"by", "host"}},
        Json{{"subject", "a b"}}, Json{{"since", 3}}, Json{{"since", "2099-01-01"}}}) {
    EXPECT_EQ(History(Search(), args, kNow).status().code(), absl::StatusCode::kInvalidArgument)
        << args;
  }
}

TEST_F(HistoryTest, GroupsServersByTheirOrganisation) {
  Add(absl::Minutes(1), Outcome::kDelivered, "a.example", "mx1.far.example");
  Add(absl::Minutes(2), Outcome::kFailed, "a.example", "mx2.far.example", "invalid_recipient",
      "550 5.1.1 no such user");
  Add(absl::Minutes(3), Outcome::kDeferred, "b.example", "mx.near.example", "reputation",
      "421 192.0.2.1 is listed at bl.example");
  Add(absl::Minutes(4), Outcome::kDeferred, "b.example", "mx.near.example", "reputation", "older");
  Add(absl::Minutes(5), Outcome::kDeferred, "b.example", "", "dns_routing", "no MX");
  const absl::StatusOr<Json> found = Destinations(Search(), Json::object(), kNow);
  ASSERT_THAT(found, IsOk());
  const Json& rows = (*found)["rows"];
  ASSERT_EQ(rows.size(), 2u) << "what reached no server has no destination";
  EXPECT_EQ(rows[0]["name"], "near.example");
  EXPECT_EQ(rows[0]["deferred"], 2);
  EXPECT_EQ(rows[0]["answers"][0]["names_us"], true);
  EXPECT_EQ(rows[0]["answers"][0]["sample"], "421 192.0.2.1 is listed at bl.example");
  EXPECT_EQ(rows[1]["delivered"], 1);
  EXPECT_EQ(rows[1]["failed"], 1);
  EXPECT_EQ(rows[1]["answers"][0]["names_us"], false);
}

}  // namespace
}  // namespace deferd
