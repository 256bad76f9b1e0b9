// One table of hostile strings through every face: senders, logins, recipients, replies, subjects
// and reasons go in where a log, a person or Redis may bring them, and whatever shows them must
// have disarmed them.

#include <functional>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "exporter/exposition.h"
#include "exporter/notice/mail_text.h"
#include "exporter/notice/message.h"
#include "gmock/gmock.h"
#include "limiter/admin/explain.h"
#include "limiter/admin/value_json.h"
#include "limiter/ctl/admin_pages.h"
#include "limiter/ctl/exempt_verbs.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/shadow_verbs.h"
#include "limiter/ctl/state_verbs.h"
#include "limiter/ctl/stats_page.h"
#include "limiter/ctl/track_page.h"
#include "limiter/ctl/why_page.h"
#include "limiter/hook/exim_session.h"
#include "limiter/hook/postfix_session.h"
#include "limiter/store/receipt_codec.h"
#include "policy/refusal_text.h"
#include "re2/re2.h"
#include "tests/limiter/hostile_fixture.h"

namespace deferd {
namespace {

// What a terminal is sent beside text: colours, which end.
std::string WithoutColours(std::string page) {
  static const RE2* const kColour = new RE2("\x1b\\[[0-9;]*m");
  RE2::GlobalReplace(&page, *kColour, "");
  return page;
}

// As a pipe has it, and as narrow and wide terminals do.
void ExpectSafePage(const std::string& name, const std::function<std::string()>& page) {
  for (const PageStyle& style : {PageStyle{PageStyle::kWhole, false}, PageStyle{80, true},
                                 PageStyle{200, true}, PageStyle{20, false}}) {
    ShowPagesAs(style);
    const std::string shown = page();
    EXPECT_EQ(WhyUnsafe(style.colour ? WithoutColours(shown) : shown), "") << name;
  }
}

// Its headers are those that deferd writes, and its parts have no mark-up but deferd's.
void ExpectOneMail(const std::string& mail) {
  const std::vector<std::string> parts =
      absl::StrSplit(mail, absl::MaxSplits(absl::ByString("\r\n\r\n"), 1));
  static const RE2* const kHeader = new RE2(
      "(?:From|To|Subject|Date|Message-ID|In-Reply-To|References|Auto-Submitted|"
      "X-Auto-Response-Suppress|X-Deferd-Severity|MIME-Version|Content-Language|Content-Type): "
      "[ -~]*| [ -~]+");
  std::map<std::string, int> names;
  for (absl::string_view line : absl::StrSplit(parts[0], absl::ByString("\r\n"))) {
    EXPECT_TRUE(RE2::FullMatch(re2::StringPiece(line.data(), line.size()), *kHeader)) << line;
    EXPECT_LE(line.size(), 200u);
    if (absl::StartsWith(line, " ")) continue;
    EXPECT_EQ((++names[std::string(line.substr(0, line.find(':')))]), 1) << line;
  }
  EXPECT_EQ(names.size(), 13u);
  ASSERT_EQ(parts.size(), 2u);
  static const RE2* const kPart = new RE2("base64\r\n\r\n([A-Za-z0-9+/=\r\n]*)");
  re2::StringPiece rest(parts[1]);
  int count = 0;
  for (std::string encoded; RE2::FindAndConsume(&rest, *kPart, &encoded); ++count) {
    std::string text;
    ASSERT_TRUE(absl::Base64Unescape(absl::StrReplaceAll(encoded, {{"\r\n", ""}}), &text));
    EXPECT_EQ(WhyUnsafe(absl::StrReplaceAll(text, {{"\r\n", "\n"}})), "");
    if (count == 0) continue;
    static const RE2* const kTag = new RE2(
        R"(</?(?:!DOCTYPE html|html|head|title|body|h1|table|tr|th|td|p|small|meta)(?: (?:lang|charset|style|cellpadding|align|valign)="[-a-z0-9:.]*")*>)");
    RE2::GlobalReplace(&text, *kTag, "");
    EXPECT_EQ(text.find_first_of("<>\"'"), std::string::npos) << text.substr(0, 1'000);
  }
  EXPECT_EQ(count, 2);
}

TEST_P(HostileTest, TheAdminSocketAndItsPagesAreText) {
  using Page = std::string (*)(const Json&);
  struct Call {
    std::string verb;
    Json args;
    Page page;
  };
  const std::string login = absl::StrCat("login:", hostile_, "@a.example");
  const Page why = [](const Json& json) { return WhyPage(json, /*all=*/false); };
  const Page all = [](const Json& json) { return WhyPage(json, /*all=*/true); };
  const Call kCalls[] = {
      {"status", Json::object(), StatusPage},
      {"check", {{"subject", "a.example"}}, CheckPage},
      {"check", {{"subject", "person.example"}}, CheckPage},
      {"check", {{"subject", login}}, CheckPage},
      {"check", {{"subject", hostile_}}, CheckPage},
      {"why", {{"subject", "a.example"}}, why},
      {"why", {{"subject", "a.example"}}, all},
      {"why", {{"subject", "a.example"}, {"verify", true}}, VerifyPage},
      {"why", {{"subject", "person.example"}}, all},
      {"why", {{"subject", "over.example"}}, all},
      {"why", {{"subject", "free.example"}}, all},
      {"why", {{"subject", login}}, all},
      {"blocks", {{"all", true}}, BlocksPage},
      {"incidents", {{"all", true}}, IncidentsPage},
      {"top", {{"limit", 0}}, TopPage},
      {"stats", {{"by", "sender"}}, StatsPage},
      {"stats", {{"by", "subject"}}, StatsPage},
      {"stats", {{"by", hostile_}}, StatsPage},
      {"track", {{"what", "a.example"}, {"recipients", true}}, TrackPage},
      {"track", {{"what", "a.example"}, {"recipients", false}}, TrackPage},
      {"track", {{"id", "1tXXXX-00000000001-aaaa"}}, LifePage},
      {"track", {{"sender", hostile_}}, NothingFound},
      {"track", {{"host", hostile_}}, TrackPage},
      {"exempt", {{"do", "list"}}, ExemptionsPage},
      {"exempt", {{"do", "add"}, {"subject", "b.example"}, {"reason", hostile_}}, ExemptedPage},
      {"exempt", {{"do", "remove"}, {"subject", "b.example"}}, ExemptionEndedPage},
      {"exempt", {{"do", "remove"}, {"subject", hostile_}}, ExemptionEndedPage},
      {"shadow", {{"do", "report"}}, ShadowReportPage},
      {"policy", Json::object(), StatusPage},
      {"reload", Json::object(), ReloadedPage},
      {"block", {{"subject", "c.example"}, {"for", "1h"}, {"reason", hostile_}}, BlockedPage},
      {"block", {{"subject", hostile_}, {"for", hostile_}, {"reason", "x"}}, BlockedPage},
      {"unblock", {{"subject", "c.example"}, {"reason", hostile_}}, UnblockedPage},
      {hostile_, {{hostile_, hostile_}}, StatusPage},
  };
  for (const Call& call : kCalls) {
    const Json answer = Answer(call.verb, call.args);
    const std::string name = absl::StrCat(call.verb, " ", Dump(call.args).substr(0, 200));
    if (answer.is_object() && answer.contains("error")) {
      EXPECT_EQ(WhyUnsafe(Field(answer, "error"), /*lines=*/false), "") << name;
      continue;
    }
    ExpectSafePage(name, [&] { return call.page(answer); });
  }
}

// What another version, or nobody's deferd, may answer: pages read it without trust.
TEST_P(HostileTest, PagesDoNotTrustTheJsonThatTheyShow) {
  // Every string of a real answer replaced.
  std::function<void(Json*)> poison = [&](Json* json) {
    if (json->is_string()) *json = hostile_;
    if (json->is_structured()) {
      for (auto& item : *json) poison(&item);
    }
  };
  const std::pair<std::string, std::string (*)(const Json&)> kPages[] = {
      {"blocks", BlocksPage},
      {"top", TopPage},
      {"status", StatusPage},
      {"track", TrackPage},
      {"track", LifePage},
      {"stats", StatsPage},
      {"why", [](const Json& json) { return WhyPage(json, /*all=*/true); }},
      {"why", VerifyPage},
      {"exempt", ExemptionsPage},
      {"check", CheckPage},
      {"block", BlockedPage},
  };
  for (const auto& [verb, page] : kPages) {
    Json args = {{"what", "a.example"}, {"limit", 0},       {"all", true},    {"do", "list"},
                 {"for", "1h"},         {"reason", "test"}, {"by", "subject"}};
    if (verb != "track" && verb != "stats") args["subject"] = "a.example";
    absl::StatusOr<Json> answer = api_.Handle(verb, args, {.uid = 0});
    ASSERT_THAT(answer, IsOk()) << verb;
    poison(&*answer);
    // As it comes over the socket.
    const Json read = Json::parse(Dump(*answer));
    ExpectSafePage(verb, [&show = page, &read] { return show(read); });
  }
}

TEST_P(HostileTest, ExplainShowsTheReplyAsText) {
  const std::string reply = absl::StrCat("550 5.7.1 ", hostile_);
  const Classification meant = settings_.policy->replies().Classify(reply);
  ExpectSafePage("explain", [&] { return ExplainPage(reply, meant); });
}

TEST_P(HostileTest, EveryLineOfTheLogIsOneLine) {
  Incident incident;
  incident.where = incident.reply = hostile_;
  incident.subjects = {hostile_};
  incident.witnesses = {hostile_};
  journal_.OnIncident(incident);
  Warning warning;
  warning.subject = {SubjectKind::kLogin, hostile_};
  warning.rule = hostile_;
  journal_.OnWarning(warning);
  ASSERT_THAT(api_.Handle("shadow", {{"do", "report"}}, {.uid = 0}).status(), IsOk());
  const std::string text = log_.str();
  EXPECT_GT(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_EQ(WhyUnsafe(text), "");
}

TEST_P(HostileTest, AnAnswerToTheMtaIsOneLineOfAscii) {
  const Answerer answerer = [this](const Question& question) {
    const GateAnswer answer = question.subject.has_value()
                                  ? gate_.Check(*question.subject, question.source)
                                  : gate_.Check(question.identity, question.source, question.id);
    return ::deferd::Answer{.verdict = answer.verdict, .text = answer.text};
  };
  const std::string sender = absl::StrCat(hostile_, "@a.example");
  const std::string one_line = absl::StrCat(hostile_.substr(0, hostile_.find('\n')), "@a.example");
  {
    EximSession session(answerer, nullptr, nullptr);
    std::string out;
    session.OnBytes(absl::StrCat("check\tsender=", sender, "\tlogin=", sender,
                                 "\tsource=submission\n", "check a.example\n", hostile_, "\n"),
                    &out);
    session.OnEnd(&out);
    for (absl::string_view line : absl::StrSplit(out, '\n', absl::SkipEmpty())) {
      EXPECT_EQ(WhyUnsafe(line, /*lines=*/false), "");
      EXPECT_LE(line.size(), 8 + QuestionSession::kMaxText);
      EXPECT_TRUE(absl::StartsWith(line, "pass") || absl::StartsWith(line, "reject ") ||
                  absl::StartsWith(line, "error "))
          << line;
    }
  }
  {
    PostfixSession session(answerer, nullptr, nullptr);
    std::string out;
    session.OnBytes(absl::StrCat("request=smtpd_access_policy\nsasl_username=", one_line,
                                 "\nsender=", one_line, "\ninstance=", one_line, "\n\n"),
                    &out);
    session.OnEnd(&out);
    static const RE2* const kOne = new RE2("(?:action=[ -~]{1,440}\n\n)*");
    EXPECT_TRUE(RE2::FullMatch(out, *kOne)) << absl::CHexEscape(out.substr(0, 1'000));
    EXPECT_LE(out.size(), 1'000u);
  }
  // Whatever the subject of a case is.
  for (const bool manual : {false, true}) {
    const Refusal refusal = {.subject = {SubjectKind::kLogin, hostile_}, .by_person = manual};
    for (const Verdict verdict : {Verdict::kHold, Verdict::kReject, Verdict::kDiscard}) {
      const std::string text = RefusalText(*settings_.policy, refusal, verdict);
      EXPECT_EQ(WhyUnsafe(text, /*lines=*/false), "");
      EXPECT_LE(text.size(), QuestionSession::kMaxText);
    }
  }
}

TEST_P(HostileTest, MetricsAreTheSeriesThatTheyAreAndNoOther) {
  const auto page = [this](const std::string& text) {
    Gauges gauges;
    gauges.sources.push_back({.path = text, .readable = true});
    gauges.policy_hash = gauges.version = text;
    gauges.subject_series = Gauges::SubjectSeries{};
    Counts counts;
    counts.failed = 3;
    gauges.subject_series->listed.push_back({text, counts, true});
    return metrics_.Text(gauges, clock_.Now());
  };
  const auto samples = [](const std::string& text) {
    std::map<std::string, int> names;
    static const RE2* const kSample = new RE2(
        R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? [-+.\deEinfNa]+)");
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      if (line.empty() || line[0] == '#') continue;
      std::string name;
      EXPECT_TRUE(RE2::FullMatch(re2::StringPiece(line.data(), line.size()), *kSample, &name))
          << absl::CHexEscape(line.substr(0, 500));
      ++names[name];
    }
    return names;
  };
  const std::string hostile = page(hostile_), plain = page("plain");
  EXPECT_EQ(WhyUnsafe(hostile), "");
  EXPECT_EQ(samples(hostile), samples(plain));
  EXPECT_EQ(WhyUnsafe(ToOpenMetrics(hostile)), "");
  EXPECT_EQ(samples(ToOpenMetrics(hostile)), samples(ToOpenMetrics(plain)));
}

TEST_P(HostileTest, ANoticeIsOneMailAndOneEvent) {
  std::function<void(Json*)> poison = [&](Json* json) {
    if (json->is_string()) *json = hostile_;
    if (json->is_structured()) {
      for (auto& item : *json) poison(&item);
    }
  };
  Json facts = {{"case", ""},     {"rule", ""},      {"by", ""},       {"reason", ""},
                {"until", ""},    {"reply", ""},     {"where", ""},    {"measure", ""},
                {"what", ""},     {"path", ""},      {"bad", 7},       {"of", 9},
                {"percent", 78},  {"min_bad", 5},    {"manual", true}, {"problem", ""},
                {"causes", {""}}, {"subjects", {""}}};
  Json why = *api_.Handle("why", {{"subject", "a.example"}}, {.uid = 0});
  poison(&facts);
  poison(&why);
  why = Json::parse(Dump(why));
  for (int kind = 0; kind < kNoticeKinds; ++kind) {
    const Notice notice = {.id = hostile_,
                           .kind = static_cast<NoticeKind>(kind),
                           .time = kMorning,
                           .subject = hostile_,
                           .domain = hostile_,
                           .thread = hostile_,
                           .facts = Dump(facts)};
    EXPECT_EQ(WhyUnsafe(Dump(EventJson(notice, why, hostile_)), /*lines=*/false), "");
    for (const NoticeMessage& message :
         {MessageOf(notice, why, 2, "en"), StormMessage({notice, notice}, "en")}) {
      const std::string mail = MailText(message,
                                        {.from = "deferd@mx.example",
                                         .to = "postmaster@mx.example",
                                         .host = "mx.example",
                                         .language = "en",
                                         .title = kind % 2 == 0 ? hostile_ : ""},
                                        kMorning);
      ExpectOneMail(mail);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Strings, HostileTest, testing::ValuesIn(HostileStrings()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace deferd
