// The pages of deferctl as a terminal of 80 and of 120 columns shows them, and as a pipe has them:
// tests/testdata/pages/NAME.80, .120 and .pipe. DEFERD_GOLDEN=1 writes them anew, to be reviewed as
// a diff.

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/ctl/admin_pages.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/stats_page.h"
#include "limiter/ctl/track_page.h"
#include "limiter/ctl/why_page.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

constexpr char kNow[] = "2026-11-22T04:17:00Z";

Json Case(const std::string& subject, Json more = Json::object()) {
  Json record = {{"id", "1-1-1"},
                 {"subject", subject},
                 {"state", "blocked"},
                 {"rule", "ratio"},
                 {"action", "reject"},
                 {"since", "2026-11-22T03:55:00Z"},
                 {"until", "2026-11-22T04:55:00Z"},
                 {"count", 47},
                 {"min_bad", 10},
                 {"percent", 60},
                 {"percent_limit", 50},
                 {"by", "rule"},
                 {"reason", ""},
                 {"manual", false},
                 {"shadow", false}};
  record.update(more);
  return record;
}

Json Answer(const std::string& name, int64_t count, int64_t left_out, const std::string& host,
            int64_t recipients = 0, const std::string& recipient = "") {
  return {{"class", name},
          {"count", count},
          {"left_out", left_out},
          {"hosts", Json::array({{{"name", host}, {"count", count + left_out}}})},
          {"recipients", recipients},
          {"recipient", recipient}};
}

Json Sender(const std::string& kind, const std::string& name, int64_t delivered, int64_t deferred,
            int64_t failed) {
  return {{"kind", kind},         {"name", name},     {"delivered", delivered},
          {"deferred", deferred}, {"failed", failed}, {"bad", deferred + failed},
          {"left_out", 0}};
}

Json Why(const std::string& subject, const std::string& state) {
  return {{"subject", subject},
          {"state", state},
          {"seen", true},
          {"near", Json::array()},
          {"window", {{"rejected_recipients", 0}}},
          {"window_length", "1h"},
          {"rules", Json::array({{{"name", "ratio"},
                                  {"min_bad", 10},
                                  {"percent", 50},
                                  {"window", "1h"},
                                  {"bad", 3},
                                  {"bad_percent", 25},
                                  {"bad_missing", 7},
                                  {"at_this_pace", "2026-11-22T05:02:00Z"}}})},
          {"case", nullptr},
          {"stopped_by", Json::array()},
          {"answers", {{"submission", "pass"}}},
          {"causes", {{"who", Json::array()}, {"answers", Json::array()}}},
          {"fault", {{"trouble", "none"}, {"fault", "none"}, {"remedies", Json::array()}}},
          {"left_out", {{"reasons", Json::array()}, {"all", true}}},
          {"exempt", false},
          {"hosted", true},
          {"policy_shadow", false},
          {"events", Json::array()}};
}

Json Stolen() {
  Json why = Why("shop.example", "blocked");
  why["case"] = Case("shop.example");
  why["stopped_by"] = Json::array({Case("shop.example")});
  why["answers"] = {{"submission", "hold"}};
  why["held"] = Json::array({{{"subject", "shop.example"}, {"messages", 3}, {"blocked", true}}});
  why["causes"] = {
      {"who", Json::array({Sender("login", "office@shop.example", 7, 0, 47),
                           Sender("login", "info@shop.example", 24, 0, 0)})},
      {"answers", Json::array({Answer("invalid_recipient", 27, 0, "far.example", 27),
                               Answer("content", 20, 0, "google.com", 20)})},
      {"mail_subjects", Json::array({{{"name", "Your parcel is waiting"}, {"bad", 47}}})}};
  why["fault"] = {{"trouble", "stolen"},
                  {"fault", "this mailbox: probably a stolen password"},
                  {"remedies", {"change its password"}}};
  return why;
}

Json Near() {
  Json why = Why("near.example", "ok");
  why["causes"] = {{"who", Json::array({Sender("user", "web12", 9, 1, 2)})},
                   {"answers", Json::array({Answer("mailbox_full", 3, 0, "far.example", 3),
                                            Answer("greylisting", 0, 5, "other.example", 5)})}};
  why["fault"] = {{"trouble", "mailbox_full"},
                  {"fault", "the recipients: their mailboxes are full"},
                  {"remedies", {"tell them another way; stop mailing them if it stays so"}}};
  why["left_out"]["reasons"] = Json::array(
      {{{"reason", "no remote host"}, {"delivered", 12}},
       {{"reason", "reply class"}, {"deferred", 5}, {"classes", {{"greylisting", 5}}}}});
  return why;
}

Json ByPerson() {
  Json why = Why("debtor.example", "blocked");
  why["stopped_by"] = Json::array(
      {Case("debtor.example",
            {{"manual", true}, {"by", "alice"}, {"reason", "has not paid since May"}})});
  why["answers"] = {{"submission", "reject"}};
  return why;
}

Json InShadow() {
  Json why = Stolen();
  why["state"] = "ok";
  why["case"]["shadow"] = true;
  why["stopped_by"] = Json::array();
  why["held"] = Json::array();
  return why;
}

Json Probation() {
  Json why = Stolen();
  why["stopped_by"][0]["state"] = why["state"] = "probation";
  return why;
}

Json With(Json why, const char* name, Json value) {
  why[name] = std::move(value);
  return why;
}

Json Delivery(const std::string& state, const std::string& reply_class, int64_t tries,
              const std::string& reply = "") {
  return {{"time", "2026-11-22T04:10:02Z"},
          {"id", "1tExJ2-000000-1x"},
          {"sender", "office@shop.example"},
          {"recipient", absl::StrCat("ann.of.", state.substr(0, 2), "@customers.far.example")},
          {"state", state},
          {"class", reply_class},
          {"reply", reply},
          {"tries", tries}};
}

Json AllStates() {
  return Json::array({Delivery("delivered", "", 3), Delivery("in progress", "", 0),
                      Delivery("deferred", "greylisting", 1),
                      Delivery("failed", "invalid_recipient", 1),
                      Delivery("expired", "network", 40), Delivery("rejected", "reputation", 0),
                      Delivery("refused by us", "local", 1),
                      Delivery("held", "", 0, "held by deferd: its sender is blocked"),
                      Delivery("archived", "", 0), Delivery("filtered", "content", 0),
                      Delivery("discarded", "", 0)});
}

Json Life() {
  Json deferred = Delivery("deferred", "greylisting", 1, "451 4.7.1 Greylisted, try again later");
  Json failed = Delivery("failed", "invalid_recipient", 1, "550 5.1.1 No such user here");
  for (Json* row : {&deferred, &failed}) {
    (*row)["host"] = "mx.far.example";
    (*row)["ip"] = "198.51.100.9";
  }
  failed["decisive"] = true;
  failed["meaning"] = "The address does not exist at the destination, or no longer does.";
  failed["side"] = "the sender (a typo, or an old address in a list)";
  failed["advice"] = "Check the spelling. Remove the address from lists, forms and forwarders.";
  return Json::array({Delivery("in progress", "", 0), deferred, failed});
}

Json Blocks() {
  const Json ended = {{"state", "closed"}, {"closed_at", "2026-11-20T09:30:00Z"}};
  Json again = Case("shop.example", ended);
  again["since"] = "2026-11-20T08:30:00Z";
  return Json::array(
      {Case("shop.example"), Case("login:a.very.long.name@customers.shop.example"),
       Case("watched.example", {{"shadow", true}}),
       Case("debtor.example", {{"manual", true}, {"by", "alice"}, {"reason", "has not paid"}}),
       again});
}

Json Incidents() {
  Json ours = {{"scope", "ip"},
               {"where", "outlook.com"},
               {"since", "2026-11-22T03:58:00Z"},
               {"ended", nullptr},
               {"attempts", 41},
               {"subject_count", 7},
               {"subjects", {"shop.example", "near.example"}},
               {"reply", "550 5.7.1 messages from [203.0.113.7] weren't sent (S3140)"}};
  Json theirs = ours;
  theirs.update({{"scope", "destination"}, {"where", "far.example"}, {"reply", "421 try later"}});
  Json over = theirs;
  over["ended"] = "2026-11-22T04:01:00Z";
  return Json::array({ours, theirs, over});
}

Json Top() {
  return Json::array({{{"subject", "shop.example"},
                       {"bad", 47},
                       {"percent", 60},
                       {"deferred", 0},
                       {"failed", 47},
                       {"delivered", 31},
                       {"rejected_recipients", 0}},
                      {{"subject", "login:a.very.long.name@customers.of.shop.example"},
                       {"bad", 3},
                       {"percent", 25},
                       {"deferred", 1},
                       {"failed", 2},
                       {"delivered", 9},
                       {"rejected_recipients", 4}}});
}

Json Stats() {
  Json rows = Json::array();
  for (const char* name : {"shop.example", "near.example"}) {
    rows.push_back({{"subject", name},
                    {"messages", 78},
                    {"recipients", {{"delivered", 31}, {"deferred", 0}, {"failed", 47}}},
                    {"left_out", 2},
                    {"rejected_recipients", 0},
                    {"attempts", {{"delivered", 31}, {"deferred", 5}, {"failed", 47}}},
                    {"blocked", std::string(name) == "shop.example"}});
  }
  return {{"since", "2026-11-21T04:17:00Z"},
          {"until", kNow},
          {"by", "subject"},
          {"all", true},
          {"rows", std::move(rows)}};
}

std::string Pages(const std::string& name) {
  const auto why = [](const Json& json) { return WhyPage(json, /*all=*/false); };
  if (name == "why-stolen") return why(Stolen());
  if (name == "why-near") return why(Near());
  if (name == "why-quiet") return why(Why("quiet.example", "ok"));
  if (name == "why-person") return why(ByPerson());
  if (name == "why-shadow") return why(InShadow());
  if (name == "why-probation") return why(Probation());
  if (name == "why-exempt") return why(With(Near(), "exempt", true));
  if (name == "why-not-hosted") return why(With(Near(), "hosted", false));
  if (name == "why-part")
    return why(With(Near(), "parts", Json::array({Case("login:web@near.example")})));
  if (name == "why-never") {
    return why(With(With(Why("naer.example", "ok"), "seen", false), "near",
                    Json::array({"near.example"})));
  }
  if (name == "track") return TrackPage(AllStates());
  if (name == "track-life") return LifePage(Life());
  if (name == "blocks") return BlocksPage(Blocks());
  if (name == "incidents") return IncidentsPage(Incidents());
  if (name == "top") return TopPage(Top());
  return StatsPage(Stats());
}

class PagesGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    absl::Time now;
    std::string error;
    ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, kNow, &now, &error));
    ShowTimesIn(absl::UTCTimeZone(), now);
  }
  void TearDown() override {
    ShowPagesAs({});
    ShowTimesIn(absl::UTCTimeZone(), absl::UnixEpoch());
  }
};

TEST_P(PagesGolden, FitTheTerminalAndAreWholeInAPipe) {
  const std::string name = GetParam();
  const std::pair<const char*, size_t> kWidths[] = {
      {"80", 80}, {"120", 120}, {"pipe", PageStyle::kWhole}};
  for (const auto& [kind, width] : kWidths) {
    ShowPagesAs({.width = width});
    const std::string page = Pages(name);
    for (absl::string_view line : absl::StrSplit(page, '\n')) EXPECT_LE(Columns(line), width);
    const std::string path = TestData(absl::StrCat("pages/", name, ".", kind));
    if (std::getenv("DEFERD_GOLDEN") != nullptr) {
      std::ofstream(path) << page;
      continue;
    }
    std::ifstream file(path);
    EXPECT_EQ(page, std::string(std::istreambuf_iterator<char>(file), {})) << path;
  }
}

TEST_P(PagesGolden, ColoursChangeNothingElse) {
  ShowPagesAs({});
  const std::string plain = Pages(GetParam());
  ShowPagesAs({.colour = true});
  std::string coloured = Pages(GetParam());
  EXPECT_NE(coloured.find('\033'), std::string::npos);
  for (size_t begin; (begin = coloured.find("\033[")) != std::string::npos;) {
    coloured.erase(begin, coloured.find('m', begin) + 1 - begin);
  }
  EXPECT_EQ(coloured, plain);
}

INSTANTIATE_TEST_SUITE_P(All, PagesGolden,
                         testing::Values("why-stolen", "why-near", "why-quiet", "why-person",
                                         "why-shadow", "why-probation", "why-exempt",
                                         "why-not-hosted", "why-part", "why-never", "track",
                                         "track-life", "blocks", "incidents", "top", "stats"),
                         [](const testing::TestParamInfo<const char*>& page) {
                           std::string name = page.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(PageTextTest, ColumnsAreNotBytes) {
  EXPECT_EQ(Columns("über"), 4u);
  EXPECT_EQ(Columns("日本"), 4u);
  EXPECT_EQ(Columns("e\xCC\x81"), 1u);
  EXPECT_EQ(Fit("übermäßig", 4), "übe…");
  EXPECT_EQ(Fit("日本語", 5), "日本…");
  EXPECT_EQ(Fit("short", 9), "short");
  EXPECT_EQ(JoinFitting({"one", "two", "three"}, ", ", 80), "one, two, three");
  EXPECT_EQ(JoinFitting({"one", "two", "three"}, ", ", 14), "one, +2 more");
}

TEST(PageTextTest, APipeIsWholeAndPlain) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const PageStyle style = StyleOfOutput(ends[1]);
  EXPECT_EQ(style.width, PageStyle::kWhole);
  EXPECT_FALSE(style.colour);
  close(ends[0]);
  close(ends[1]);
}

TEST(PageTextTest, TimesAreAsShortAsTheirDayAllows) {
  absl::Time now;
  std::string error;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, kNow, &now, &error));
  ShowTimesIn(absl::UTCTimeZone(), now);
  EXPECT_EQ(BriefTime("2026-11-22T03:55:00Z"), "03:55");
  EXPECT_EQ(BriefTime("2026-11-21T23:59:00Z"), "Nov 21 23:59");
  EXPECT_EQ(BriefTime("2025-11-21T23:59:00Z"), "2025-11-21");
  EXPECT_EQ(TimeLeft("2026-11-22T04:55:00Z"), "38 min");
  EXPECT_EQ(TimeLeft("2026-11-22T06:17:00Z"), "2 h");
  EXPECT_EQ(TimeLeft("2026-11-25T06:17:00Z"), "3 days");
  EXPECT_EQ(TimeLeft("2026-11-22T04:00:00Z"), "");
  ShowTimesIn(absl::UTCTimeZone(), absl::UnixEpoch());
}

}  // namespace
}  // namespace deferd
