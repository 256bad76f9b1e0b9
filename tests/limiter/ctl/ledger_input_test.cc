#include "limiter/ctl/ledger_input.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/ctl/policy_diff.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'795'334'400);

// A daemon's `track`: rows by time, newest first, in pages.
class FakeTrack {
 public:
  void Add(absl::Time time, Json row) {
    row["time"] = FormatUtc(time);
    row["arrival"] = FormatUtc(time);
    row["id"] = absl::StrCat("m", rows_.size());
    row["recipient"] = "r@dest.example";
    row["row"] = absl::StrCat(rows_.size() + 1);
    rows_.push_back(std::move(row));
  }
  absl::StatusOr<Json> operator()(const Json& request) const {
    Json page = Json::array();
    const auto limit = request["limit"].get<size_t>();
    const auto before = request["before"].get<int64_t>();
    for (auto row = rows_.rbegin(); row != rows_.rend() && page.size() < limit; ++row) {
      int64_t number = 0;
      EXPECT_TRUE(absl::SimpleAtoi((*row)["row"].get<std::string>(), &number));
      const std::string time = (*row)["time"];
      if (time < request["since"] || time >= request["until"]) continue;
      if (before == 0 || number < before) page.push_back(*row);
    }
    return page;
  }

 private:
  std::vector<Json> rows_;
};

Json Bad(const std::string& login, const char* left_out = nullptr) {
  return {{"sender", login},
          {"login", login},
          {"subject", login.substr(login.find('@') + 1)},
          {"outcome", "failed"},
          {"reply", "550 5.1.1 User unknown"},
          {"host", "mx.dest.example"},
          {"left_out", left_out == nullptr ? Json(nullptr) : Json(left_out)}};
}

TEST(LedgerInput, GivesAllRowsOnceInTheOrderOfTime) {
  FakeTrack track;
  for (int i = 0; i < 5000; ++i) track.Add(kStart + absl::Seconds(i), Bad("bob@a.example"));
  for (int i = 0; i < 10; ++i) track.Add(kStart + absl::Hours(5), Bad("bob@a.example", "incident"));
  LedgerInput input([&](const Json& request) { return track(request); }, kStart,
                    kStart + absl::Hours(6));
  EventBatch batch;
  size_t attempts = 0;
  absl::Time last = absl::InfinitePast();
  for (bool more = true; more;) {
    absl::StatusOr<bool> read = input.Next(&batch);
    ASSERT_THAT(read, IsOk());
    more = *read;
    for (size_t i = 0; i < batch.size(); ++i, ++attempts) {
      EXPECT_LT(last, batch[i].attempt.time);
      last = batch[i].attempt.time;
    }
  }
  EXPECT_EQ(attempts, 5000u) << "what an incident caused is nobody's";
}

TEST(LedgerInput, WhoWasChargedIsChargedAgain) {
  ReplayOptions options;
  options.policy = std::make_shared<Policy>(*ParsePolicy("", "old"));
  FakeTrack track;
  Json account = Bad("bob@shop.example");
  account["login"] = "";
  account["user"] = "web1";
  Json relay = Bad("bob@relayed.example");
  relay["login"] = "";
  Json mapped = Bad("bob@elsewhere.example");
  mapped["subject"] = "hosted.example";
  mapped["login"] = "smtpout";
  for (int i = 0; i < 6; ++i) {
    for (const Json& one : {Bad("bob@a.example"), account, relay, mapped}) {
      track.Add(kStart + absl::Minutes(i), one);
    }
  }
  LedgerInput input([&](const Json& request) { return track(request); }, kStart,
                    kStart + absl::Hours(2));
  const auto after =
      std::make_shared<Policy>(*ParsePolicy("[rule.ratio]\nmin_bad = 5\npercent = 50\n", "new"));
  absl::StatusOr<Json> diff =
      DiffPolicies(options, after, [&](EventBatch* batch) { return input.Next(batch); });
  ASSERT_THAT(diff, IsOk());
  std::vector<std::string> subjects;
  for (const Json& one : (*diff)["subjects"]) subjects.push_back(one["subject"]);
  EXPECT_THAT(subjects, testing::ElementsAre("a.example", "hosted.example", "relayed.example",
                                             "shop.example"));
}

}  // namespace
}  // namespace deferd
