#include "limiter/ctl/admin_pages.h"
#include "limiter/ctl/case_words.h"

#include "limiter/ctl/why_page.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>
#include "absl/strings/str_split.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/ctl/page_text.h"
#include "policy/text.h"

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

TEST(AdminPages, AnIncidentNamesItsWitnesses) {
  Json incident = {{"scope", "sender_domain"},
                   {"where", "far.example"},
                   {"since", "2026-11-22T08:01:00Z"},
                   {"ended", nullptr},
                   {"attempts", 7},
                   {"subject_count", 2},
                   {"subjects", {"a.example", "b.example"}},
                   {"witnesses", {"a.example by login x@a.example", "b.example by host 192.0.2.7"}},
                   {"reply", "554 no"}};
  std::string page = IncidentsPage(Json::array({incident}));
  EXPECT_THAT(page, HasSubstr("far.example refuses 2 senders since"));
  EXPECT_THAT(page, HasSubstr("witnesses: a.example by login x@a.example, b.example by host"));
  incident["scope"] = "server";
  EXPECT_THAT(IncidentsPage(Json::array({incident})), HasSubstr("refuses our own server"));
  incident["where"] = "DNS look-ups";
  EXPECT_THAT(IncidentsPage(Json::array({incident})), HasSubstr("DNS look-ups fail for 2 senders"));
}

TEST(AdminPages, ARuleThatAsksForNoShareSaysSo) {
  Json record = LongCase();
  record["percent_limit"] = 0;
  EXPECT_THAT(CauseOf(record), HasSubstr("(limits 10, any share)"));
}

TEST(AdminPages, BlocksFitEightyColumns) {
  const std::string page = BlocksPage(Json::array({LongCase()}));
  for (absl::string_view line : absl::StrSplit(page, '\n')) EXPECT_LE(Columns(line), 80u) << line;
  EXPECT_EQ(BlocksPage(Json::array()), "no blocks\n");
}

TEST(AdminPages, APersonLearnsWhatOtherNodesDoNotKnowYet) {
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
  EXPECT_EQ(std::count(page.begin(), page.end(), '\n'), 3);
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
  const std::string page = WhyPage(why, /*all=*/true);
  EXPECT_THAT(page, HasSubstr("12 of 14 is 86%"));
  EXPECT_THAT(page, HasSubstr("rule ratio: 12 bad, 86% (limits 10, 50%)"));
  EXPECT_THAT(page, HasSubstr("REACHED"));
  EXPECT_THAT(page, HasSubstr("off: it gives no percent"));
  EXPECT_THAT(page, HasSubstr("deferctl unblock a.example"));
}

TEST(JsonText, IsTheSameJsonWithoutWhatATerminalActsOn) {
  const Json json = {{"reply", "550 \x7f \xC2\x85 \xE2\x80\xAE no\x1b[31m \t \xC3\xA9"}};
  for (const std::string& text : {Dump(json), DumpPretty(json)}) {
    EXPECT_EQ(PrintableUtf8(Dump(json)), Dump(json));
    EXPECT_EQ(Json::parse(text), json);
  }
}

TEST(PageText, NumbersOfAnySizeAreNumbers) {
  const std::pair<const char*, int64_t> kCases[] = {
      {"7", 7},
      {"-7.9", -7},
      {"1e300", std::numeric_limits<int64_t>::max()},
      {"-1e300", std::numeric_limits<int64_t>::min()},
      {"9223372036854775808.0", std::numeric_limits<int64_t>::max()},
      {"9.2e18", 9'200'000'000'000'000'000},
      {"null", 0},
      {"\"7\"", 0}};
  for (const auto& [text, number] : kCases) {
    EXPECT_EQ(Number(Json{{"n", Json::parse(text)}}, "n"), number) << text;
  }
  EXPECT_EQ(Number(Json{{"n", std::numeric_limits<double>::quiet_NaN()}}, "n"), 0);
  EXPECT_EQ(Number(Json(nullptr), "n"), 0);
  EXPECT_TRUE(At(Json(7), "n").is_null());
}

}  // namespace
}  // namespace deferd
