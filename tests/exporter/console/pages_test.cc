// The pages, from answers as the daemon gives them, with what strangers write into mail.

#include "exporter/console/pages.h"

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "exporter/console/chart.h"
#include "exporter/console/delivery_table.h"
#include "tests/exporter/console/console_fixture.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kHostile[] = "\"><script>alert('x')</script><img src=x onerror=alert(1)>\x1b[2J";

class PagesTest : public ConsoleFixture {
 protected:
  // Every text of what the daemon answers is hostile.
  void AnswerHostile() {
    const std::string bad = kHostile;
    const Json row = {{"time", "2023-11-14T22:00:00Z"},
                      {"id", bad},
                      {"sender", bad},
                      {"subject", bad},
                      {"recipient", bad},
                      {"original", bad},
                      {"host", bad},
                      {"ip", bad},
                      {"state", bad},
                      {"class", bad},
                      {"reply", bad},
                      {"login", bad},
                      {"user", bad},
                      {"mail_subject", bad},
                      {"left_out", bad},
                      {"decisive", true},
                      {"meaning", bad},
                      {"side", bad},
                      {"advice", bad},
                      {"row", bad},
                      {"next", bad}};
    const Json record = {{"subject", bad}, {"state", bad},  {"since", bad}, {"until", bad},
                         {"rule", bad},    {"reason", bad}, {"by", bad},    {"counts", "bad"}};
    answers_["track"] = Json::array({row});
    answers_["blocks"] = Json::array({record});
    answers_["top"] = Json::array({Json{{"subject", bad}, {"bad", 3}, {"failed", 3}}});
    answers_["history"] = Json{{"since", "2023-11-13T22:13:20Z"},
                               {"until", "2023-11-14T22:13:20Z"},
                               {"delivered", {1, 2}},
                               {"deferred", {0, 1}},
                               {"failed", {3, 0}},
                               {"subjects", {{bad, {{"failed", {1}}}}}}};
    answers_["status"] = Json{
        {"causes", {bad}},
        {"blind", {{{"what", bad}}}},
        {"incidents", {{{"scope", "ip"}, {"where", bad}, {"reply", bad}}}},
        {"policy", {{"stale", true}, {"error", bad}}},
        {"store", {{"problem", bad}}},
        {"shared", {{"nodes", {{{"node", bad}}, {{"node", "mx2"}, {"live", true}}}}}},
        {"queue",
         {{"problem", bad}, {"held", {{{"subject", bad}, {"messages", 2}, {"waits_for", bad}}}}}}};
    answers_["events"] = Json::array({Json{{"type", "warning"},
                                           {"subject", bad + "2"},
                                           {"rule", bad},
                                           {"time", bad},
                                           {"expected", bad},
                                           {"percent_limit", 5}}});
    answers_["queue"] = Json::array({Json{{"id", bad},
                                          {"state", bad},
                                          {"subject", bad},
                                          {"sender", bad},
                                          {"arrival", bad},
                                          {"recipients", {bad, bad}}}});
    answers_["incidents"] = Json::array(
        {Json{{"scope", bad}, {"where", bad}, {"class", bad}, {"since", bad}, {"reply", bad}}});
    answers_["destinations"] = Json{
        {"all", false},
        {"rows",
         {{{"name", bad},
           {"provider", bad},
           {"answers", {{{"class", bad}, {"count", 1}, {"names_us", true}, {"sample", bad}}}}}}}};
    answers_["explain"] = Json{{"meaning", bad}, {"advice", bad}, {"side", bad},
                               {"class", bad},   {"code", bad},   {"provider", bad}};
    answers_["policy"] =
        Json{{"path", bad}, {"mode", bad}, {"loaded", bad}, {"error", bad}, {"toml", bad}};
    answers_["why"] =
        Json{{"subject", bad},
             {"seen", false},
             {"near", {bad}},
             {"unchecked", {bad}},
             {"case", record},
             {"answers", {{"submission", "hold"}}},
             {"state", "blocked"},
             {"stopped_by", {record}},
             {"held", {{{"subject", bad}, {"messages", 1}, {"waits_for", bad}}}},
             {"exemption", {{"source", "person"}, {"by", bad}, {"reason", bad}}},
             {"rules", {{{"name", bad}, {"window", bad}, {"min_bad", 5}, {"percent", 25}}}},
             {"fault", {{"trouble", bad}, {"fault", bad}, {"remedies", {bad, bad}}}},
             {"causes",
              {{"who", {{{"kind", "login"}, {"name", bad}, {"failed", 2}, {"bad", 2}}}},
               {"answers", {{{"class", bad}, {"count", 2}, {"sample", bad}}}},
               {"mail_subjects", {{{"name", bad}, {"bad", 2}}}}}},
             {"events", {{{"time", bad}, {"change", bad}, {"by", bad}, {"reason", bad}}}}};
  }

  std::string cookie_ = Login(AddToken("desk", TokenRole::kAdmin));
};

// Elements that HTML closes by themselves.
bool IsVoid(absl::string_view name) {
  for (const char* one : {"input", "meta", "link", "!doctype"}) {
    if (name == one) return true;
  }
  return false;
}

// Whether elements are closed in order; that is so only where no text became markup.
void ExpectWellFormed(const std::string& page, const std::string& path) {
  std::vector<std::string> open;
  for (size_t at = page.find('<'); at != std::string::npos; at = page.find('<', at + 1)) {
    const size_t end = page.find('>', at);
    ASSERT_NE(end, std::string::npos) << path;
    const std::string tag = page.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find(' '));
    if (IsVoid(name)) continue;
    if (name[0] != '/') {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << path;
    ASSERT_EQ(open.back(), name.substr(1)) << path << page.substr(at > 200 ? at - 200 : 0, 300);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty()) << path;
}

TEST_F(PagesTest, HostileTextsStayText) {
  AnswerHostile();
  const std::string text = EscapeUrl(kHostile);
  const std::pair<std::string, std::string> kPages[] = {
      {"/", ""},
      {"/subject", "name=a.example"},
      {"/subject", "name=" + text},
      {"/track", "subject=a.example&outcome=" + text + "&since=" + text + "&code=" + text},
      {"/message", "id=" + text},
      {"/queue", "subject=" + text + "&by=" + text},
      {"/queue", "by=subject"},
      {"/queue", "by=reason"},
      {"/", "node=mx2"},
      {"/", "node=" + text},
      {"/destinations", "since=" + text},
      {"/explain", "text=" + text},
      {"/policy", ""},
      {"/" + text.substr(0, 3), ""}};
  for (const auto& [path, query] : kPages) {
    const HttpReply reply = Answer({.path = path, .query = query, .cookie = cookie_});
    EXPECT_THAT(reply.body, Not(HasSubstr("<script>"))) << path;
    EXPECT_THAT(reply.body, Not(HasSubstr("<img"))) << path;
    EXPECT_THAT(reply.body, Not(HasSubstr("\x1b"))) << path;
    ExpectWellFormed(reply.body, path + query);
  }
  EXPECT_THAT(PageText(cookie_, "/subject", "name=a.example"), HasSubstr("&lt;script&gt;"));
}

TEST_F(PagesTest, SaysWhatFailedInPlaceOfIt) {
  for (const char* verb : {"status", "blocks", "top", "why", "track", "queue", "destinations",
                           "explain", "policy", "history"}) {
    answers_[verb] = absl::UnavailableError("the ledger is <busy>");
  }
  for (const char* path : {"/", "/subject", "/track", "/queue", "/destinations", "/policy"}) {
    const std::string page = PageText(cookie_, path, "name=a.example");
    EXPECT_THAT(page, HasSubstr("the ledger is &lt;busy&gt;")) << path;
    ExpectWellFormed(page, path);
  }
}

TEST_F(PagesTest, ShowsWhatTheTokenMayDo) {
  answers_["why"] = Json{{"subject", "a.example"},
                         {"case", {{"subject", "a.example"}, {"state", "blocked"}}},
                         {"stopped_by", Json::array()},
                         {"held", {{{"subject", "a.example"}, {"messages", 3}}}}};
  const std::string viewer = Login(AddToken("viewer", TokenRole::kViewer));
  const std::string support = Login(AddToken("support", TokenRole::kSupport));
  const std::string scoped = Login(AddToken("scoped", TokenRole::kViewer, {"a.example"}));
  EXPECT_THAT(PageText(viewer, "/subject", "name=a.example"), Not(HasSubstr("action=\"/act\"")));
  const std::string page = PageText(support, "/subject", "name=a.example");
  EXPECT_THAT(page, HasSubstr("value=\"unblock\""));
  EXPECT_THAT(page, HasSubstr("value=\"release\""));
  EXPECT_THAT(page, Not(HasSubstr("value=\"exempt\"")));
  const std::string now = PageText(scoped, "/");
  EXPECT_THAT(now, Not(HasSubstr("href=\"/queue\"")));
  EXPECT_THAT(now, Not(HasSubstr("href=\"/policy\"")));
  called_.clear();
  for (const char* path : {"/queue", "/policy", "/destinations"}) {
    const HttpReply reply = Answer({.path = path, .cookie = scoped});
    EXPECT_THAT(reply.body, HasSubstr("your token is for some domains only")) << path;
    EXPECT_THAT(reply.body, Not(HasSubstr("{subject}"))) << path;
  }
  EXPECT_THAT(PageText(scoped, "/subject", "name=b.example"), HasSubstr("is for other domains"));
  EXPECT_THAT(PageText(scoped, "/track"), HasSubstr("Name one of your domains"));
  EXPECT_TRUE(called_.empty());
}

TEST_F(PagesTest, NowShowsWhoIsNearALimitOnceAndNobodyBlocked) {
  const auto warning = [](const char* subject, int bad) {
    return Json{
        {"type", "warning"}, {"subject", subject}, {"rule", "few"}, {"bad", bad}, {"min_bad", 10}};
  };
  answers_["events"] = Json::array({warning("near.example", 7), warning("stopped.example", 8),
                                    Json{{"type", "case"}, {"subject", "other.example"}},
                                    warning("near.example", 9)});
  answers_["blocks"] = Json::array({Json{{"subject", "stopped.example"}, {"state", "blocked"}}});
  const std::string page = PageText(cookie_, "/");
  const size_t table = page.find("Near a limit");
  ASSERT_NE(table, std::string::npos);
  EXPECT_THAT(page.substr(table), HasSubstr("9 of 10"));
  EXPECT_THAT(page.substr(table), Not(HasSubstr("7 of 10")));
  EXPECT_THAT(page.substr(table), Not(HasSubstr("stopped.example")));
  EXPECT_THAT(page, Not(HasSubstr("other.example")));
}

TEST_F(PagesTest, NowShowsOneNodeOfSeveral) {
  const auto counts = [](int bad) { return Json{{"bad", bad}, {"failed", bad}}; };
  answers_["status"] = Json{{"shared",
                             {{"nodes",
                               {{{"node", "mx1"}, {"here", true}, {"live", true}},
                                {{"node", "mx2"}, {"live", false}}}}}}};
  answers_["top"] =
      Json::array({Json{{"subject", "a.example"}, {"bad", 9}, {"by_node", {{"mx1", counts(9)}}}},
                   Json{{"subject", "b.example"}, {"bad", 4}, {"by_node", {{"mx2", counts(4)}}}}});
  answers_["blocks"] = Json::array(
      {Json{{"subject", "c.example"}, {"state", "blocked"}, {"by_node", {{"mx1", counts(9)}}}},
       Json{{"subject", "d.example"}, {"state", "blocked"}, {"manual", true}}});
  const std::string all = PageText(cookie_, "/"), one = PageText(cookie_, "/", "node=mx2");
  EXPECT_EQ(called_.back().verb, "events");
  for (const char* name : {"a.example", "b.example", "c.example", "d.example"}) {
    EXPECT_THAT(all, HasSubstr(name));
  }
  EXPECT_THAT(all, HasSubstr("href=\"/?node=mx2\""));
  EXPECT_THAT(one, Not(HasSubstr("a.example")));
  EXPECT_THAT(one, HasSubstr("b.example"));
  EXPECT_THAT(one, Not(HasSubstr("c.example")));
  EXPECT_THAT(one, HasSubstr("d.example")) << "a person's block holds on each node";
  EXPECT_THAT(PageText(cookie_, "/", "node=mx3"), HasSubstr("a.example"))
      << "there is no such node";
}

TEST_F(PagesTest, QueueSaysWhatMayGoAndWhen) {
  answers_["queue"] = Json::array({Json{{"name", "mailbox_full"}, {"messages", 3}, {"held", 0}},
                                   Json{{"name", "held"}, {"messages", 2}, {"held", 2}}});
  answers_["status"] = Json{
      {"queue",
       {{"held",
         {{{"subject", "a.example"}, {"messages", 2}, {"blocked", true}},
          {{"subject", "b.example"}, {"messages", 40}, {"waits_for", "more than 20 messages"}}}}}}};
  answers_["blocks"] = Json::array({Json{{"subject", "a.example"}, {"permanent", true}}});
  const std::string page = PageText(cookie_, "/queue", "by=reason");
  EXPECT_EQ(called_[0].args["by"], "reason");
  EXPECT_THAT(page, HasSubstr("when its block ends: a person unblocks it"));
  EXPECT_THAT(page, HasSubstr("when a person releases it: more than 20 messages"));
  EXPECT_THAT(page, HasSubstr("held by deferd"));
  EXPECT_THAT(page, Not(HasSubstr("mailbox_full"))) << "in words";
}

TEST_F(PagesTest, AMessageInTheQueueHasTheButtonsOfItsRole) {
  answers_["track"] = Json::array({Json{{"id", "A1XXXX"}, {"state", "deferred"}}});
  const std::string support = Login(AddToken("support", TokenRole::kSupport));
  const std::string viewer = Login(AddToken("viewer", TokenRole::kViewer));
  EXPECT_THAT(PageText(cookie_, "/message", "id=A1XXXX"), Not(HasSubstr("action=\"/act\"")))
      << "it is not in the queue";
  answers_["queue"] = Json::array({Json{{"id", "A1XXXX"}, {"state", "queued"}}});
  const std::string admin_page = PageText(cookie_, "/message", "id=A1XXXX");
  for (const char* button : {"requeue", "redirect", "discard"}) {
    EXPECT_THAT(admin_page, HasSubstr(absl::StrCat("value=\"", button, "\"")));
  }
  const std::string page = PageText(support, "/message", "id=A1XXXX");
  EXPECT_THAT(page, HasSubstr("value=\"requeue\""));
  EXPECT_THAT(page, Not(HasSubstr("value=\"redirect\"")));
  EXPECT_THAT(page, Not(HasSubstr("value=\"discard\"")));
  EXPECT_THAT(PageText(viewer, "/message", "id=A1XXXX"), Not(HasSubstr("action=\"/act\"")));

  const std::string redirect =
      absl::StrCat("do=redirect&id=A1XXXX&address=ann%40new.example&csrf=", Csrf(cookie_));
  EXPECT_EQ(HeaderOf(Post("/act", redirect, cookie_), "Location"), "/message?id=A1XXXX&done=1");
  EXPECT_EQ(called_.back().args,
            (Json{{"id", "A1XXXX"}, {"address", "ann@new.example"}, {"do", "redirect"}}));
}

TEST_F(PagesTest, APolicyIsTriedByAFormAlone) {
  answers_["policy"] =
      Json{{"toml", "[rule.few]\nmin_bad = 5"},
           {"rules", {{{"name", "few"}, {"change", "changed"}}}},
           {"newly_blocked", 2},
           {"whole", true},
           {"subjects", {{{"subject", "a.example"}, {"change", "newly blocked"}}}}};
  const std::string page = PageText(cookie_, "/policy", "toml=x");
  EXPECT_THAT(page, HasSubstr(">\n[rule.few]\nmin_bad = 5</textarea>"));
  EXPECT_EQ(called_.size(), 1u) << "an address runs no trial";
  const HttpReply tried =
      Post("/policy", absl::StrCat("toml=a%0D%0Ab&csrf=", Csrf(cookie_)), cookie_);
  EXPECT_EQ(called_.back().args, (Json{{"toml", "a\nb"}, {"do", "diff"}}));
  EXPECT_THAT(tried.body, HasSubstr("Newly blocked"));
  EXPECT_THAT(tried.body, HasSubstr("href=\"/subject?name=a.example\""));
  EXPECT_THAT(tried.body, HasSubstr(">\na\nb</textarea>")) << "what was written stays";
  ExpectWellFormed(tried.body, "/policy");
  EXPECT_EQ(Post("/policy", "toml=a", cookie_).code, 403) << "without the session's secret";
  const std::string support = Login(AddToken("support", TokenRole::kSupport));
  EXPECT_THAT(PageText(support, "/policy"), Not(HasSubstr("textarea")));
}

TEST_F(PagesTest, FiltersReachTheVerb) {
  PageText(cookie_, "/track",
           "outcome=failed&outcome=blocked&recipient=%40far.example&code=5.7&class=mailbox_full&"
           "from=2023-11-14T10%3A00&before=77&subject=a.example");
  ASSERT_EQ(called_.size(), 1u);
  const Json& args = called_[0].args;
  EXPECT_EQ(args["outcome"], "failed,blocked");
  EXPECT_EQ(args["recipient"], "@far.example");
  EXPECT_EQ(args["code"], "5.7");
  EXPECT_EQ(args["class"], "mailbox_full");
  EXPECT_EQ(args["since"], "2023-11-14T10:00:00Z");
  EXPECT_EQ(args["before"], 77);
  EXPECT_EQ(args["domain"], "a.example");
  EXPECT_EQ(args["recipients"], true);
}

TEST_F(PagesTest, LeavesOutWhomAPersonDoesNotWantToSee) {
  answers_["track"] = Json::array({Json{{"sender", "a@x.example"}, {"recipient", "B@Far.example"}},
                                   Json{{"sender", "c@x.example"}, {"recipient", "d@y.example"}}});
  const std::string page = PageText(cookie_, "/track", "without=far");
  EXPECT_THAT(page, Not(HasSubstr("B@Far.example")));
  EXPECT_THAT(page, HasSubstr("d@y.example"));
}

TEST_F(PagesTest, NoCellOfAFileIsAFormula) {
  const std::string file = DeliveriesCsv(Json::array(
      {Json{{"sender", "=HYPERLINK(\"http://evil.example\")"}, {"recipient", "+1@x.example"}},
       Json{{"sender", "-2"}, {"recipient", " @SUM(A1)"}, {"reply", "a,b\"c"}}}));
  EXPECT_THAT(file, HasSubstr("\"'=HYPERLINK(\"\"http://evil.example\"\")\""));
  EXPECT_THAT(file, HasSubstr("\"'+1@x.example\""));
  EXPECT_THAT(file, HasSubstr("\"'-2\""));
  EXPECT_THAT(file, HasSubstr("\"' @SUM(A1)\""));
  EXPECT_THAT(file, HasSubstr("\"a,b\"\"c\""));
  EXPECT_EQ(std::vector<std::string>(absl::StrSplit(file, "\r\n")).size(), 4u);
  for (const char* begin : {"=", "+", "-", "@", "\t", "\r", "\n", " ", "|", "%", ";", "\uFF1D",
                            "\uFF0B", "\uFF0D", "\uFF20", "\u00A0=", "\uFEFF=", "\u200B="}) {
    const std::string cell =
        DeliveriesCsv(Json::array({Json{{"reply", absl::StrCat(begin, "cmd|' /C calc'!A0")}}}));
    EXPECT_THAT(cell, HasSubstr(",\"'")) << begin;
  }
}

TEST(Chart, DrawsWhatThereIs) {
  Html none, some;
  WriteDayPlot(&none, {}, absl::UnixEpoch(), absl::UnixEpoch() + absl::Hours(24),
               absl::UTCTimeZone());
  EXPECT_THAT(none.text(), HasSubstr("0 delivered, 0 deferred and 0 failed"));
  WriteDayPlot(&some, {.delivered = {3, 0}, .failed = {0, 7}}, absl::UnixEpoch(),
               absl::UnixEpoch() + absl::Hours(24), absl::UTCTimeZone());
  EXPECT_THAT(some.text(), HasSubstr("3 delivered, 0 deferred and 7 failed"));
  EXPECT_THAT(some.text(), HasSubstr(">10</text>")) << "the axis ends at a round number";
  EXPECT_THAT(some.text(), Not(HasSubstr("nan")));
}

TEST(Chart, AGaugeIsFullAtItsLimit) {
  const std::pair<int64_t, const char*> kCases[] = {
      {0, "class=\"good\" x=\"0.0\" y=\"0.0\" width=\"0.0\""},
      {4, "class=\"waiting\" x=\"0.0\" y=\"0.0\" width=\"80.0\""},
      {5, "class=\"bad\" x=\"0.0\" y=\"0.0\" width=\"100.0\""},
      {50, "class=\"bad\" x=\"0.0\" y=\"0.0\" width=\"100.0\""}};
  for (const auto& [value, drawn] : kCases) {
    Html html;
    WriteGauge(&html, "Count", value, 5, "");
    EXPECT_THAT(html.text(), HasSubstr(drawn)) << value;
  }
}

}  // namespace
}  // namespace deferd
