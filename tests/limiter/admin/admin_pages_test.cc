#include "limiter/admin/admin_pages.h"

#include "limiter/admin/why.h"

#include <algorithm>
#include "absl/strings/str_split.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

Json LongCase() {
  return {{"subject", "login:" + std::string(120, 'x') + "@example.com"},
          {"state", "blocked"},
          {"rule", "ratio"},
          {"action", "submission=reject local=hold queued=hold relay=hold"},
          {"since", "2026-11-22T08:01:00Z"},
          {"until", "2026-11-22T09:01:00Z"},
          {"count", 12},
          {"min_bad", 10},
          {"percent", 86},
          {"percent_limit", 50},
          {"by", "rule"},
          {"reason", ""},
          {"manual", false},
          {"shadow", false},
          {"delivered", 2},
          {"deferred", 5},
          {"failed", 7}};
}

TEST(AdminPages, BlocksFitEightyColumns) {
  const std::string page = BlocksPage(Json::array({LongCase()}));
  for (absl::string_view line : absl::StrSplit(page, '\n')) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_EQ(BlocksPage(Json::array()), "no blocks\n");
}

TEST(AdminPages, APersonIsToldWhatOthersDoNotKnowYet) {
  Json record = LongCase();
  record["not_saved"] = nullptr;
  record["not_shared"] = "redis: gone: connection refused";
  EXPECT_THAT(BlockedPage(record), HasSubstr("done here, not yet shared"));
  EXPECT_THAT(UnblockedPage(record), HasSubstr("connection refused"));
  record["not_shared"] = nullptr;
  EXPECT_THAT(BlockedPage(record), Not(HasSubstr("shared")));
}

TEST(AdminPages, TextOfPersonsCannotDisturbTheTerminal) {
  Json record = LongCase();
  record["manual"] = true;
  record["reason"] = "\x1b[2Jboo\nroot: all is well";
  record["subject"] = "a.example";
  const std::string page = BlocksPage(Json::array({record}));
  EXPECT_THAT(page, Not(HasSubstr("\x1b")));
  EXPECT_EQ(std::count(page.begin(), page.end(), '\n'), 2);
}

TEST(AdminPages, WhySaysShareAndItsDenominator) {
  Json record = LongCase();
  record["subject"] = "a.example";
  const Json why = {
      {"subject", "a.example"},
      {"state", "blocked"},
      {"window", {{"delivered", 2}, {"deferred", 5}, {"failed", 7}, {"bad", 12}, {"percent", 86}}},
      {"rules", Json::array({{{"name", "ratio"},
                              {"min_bad", 10},
                              {"percent", 50},
                              {"tripped", true},
                              {"window", "1h"},
                              {"bad", 12},
                              {"bad_percent", 86}},
                             {{"name", "none"}, {"off", true}, {"window", "1h"}}})},
      {"case", record},
      {"exempt", false},
      {"cleared_at", nullptr},
      {"events", Json::array()}};
  const std::string page = WhyPage(why);
  EXPECT_THAT(page, HasSubstr("12 of 14 is 86%"));
  EXPECT_THAT(page, HasSubstr("rule ratio: 12 bad, 86% (limits 10, 50%)"));
  EXPECT_THAT(page, HasSubstr("REACHED"));
  EXPECT_THAT(page, HasSubstr("off: it gives no percent"));
  EXPECT_THAT(page, HasSubstr("deferctl unblock a.example"));
}

}  // namespace
}  // namespace deferd
