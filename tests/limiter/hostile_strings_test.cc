// One table of hostile strings through every face: senders, logins, recipients, replies, subjects
// and reasons go in where a log, a person or Redis may bring them, and whatever shows them must
// have disarmed them.

#include "tests/hostile_strings.h"

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "exporter/exposition.h"
#include "exporter/metrics.h"
#include "exporter/notice/mail_text.h"
#include "exporter/notice/message.h"
#include "gmock/gmock.h"
#include "limiter/admin/admin_api.h"
#include "limiter/admin/explain.h"
#include "limiter/admin/value_json.h"
#include "limiter/app/journal.h"
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
#include "limiter/port/log.h"
#include "limiter/store/receipt_codec.h"
#include "policy/refusal_text.h"
#include "re2/re2.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

constexpr char kPolicy[] = R"(
[rule.domains]
min_bad = 3
percent = 50
block_for = "2h"
[rule.logins]
kind = "login"
min_bad = 3
percent = 50
block_for = "2h"
)";

// What a terminal is sent beside text: colours, which end.
std::string WithoutColours(std::string page) {
  static const RE2* const kColour = new RE2("\x1b\\[[0-9;]*m");
  RE2::GlobalReplace(&page, *kColour, "");
  return page;
}

class HostileTest : public testing::TestWithParam<HostileString> {
 protected:
  HostileTest()
      : logger_(spdlog::default_logger()),
        cases_(std::make_unique<CaseTable>()),
        settings_{LimiterFixture::ParsedPolicy(kPolicy), std::make_shared<ChargeLists>()},
        limiter_({.node = "0badcafe", .keep = true}, settings_, &clock_, cases_.get()),
        store_(NewMemoryStore("0badcafe", {})),
        reader_(store_->NewReader()),
        committer_({.mail_subjects = true, .observers = {&metrics_, &journal_}}, &limiter_,
                   store_.get(), &clock_),
        gate_(cases_.get(), &freshness_, &clock_, settings_),
        api_({.limiter = &limiter_,
              .committer = &committer_,
              .cases = cases_.get(),
              .gate = &gate_,
              .freshness = &freshness_,
              .clock = &clock_,
              .status = [this] { return Status(); },
              .policy =
                  [this] {
                    return Json{{"path", hostile_}, {"toml", hostile_}, {"hash", hostile_}};
                  },
              .reload =
                  [this](bool) {
                    return absl::FailedPreconditionError(absl::StrCat("mistake: ", hostile_));
                  },
              .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
              .save = [this] { return committer_.Commit(/*durable=*/true); },
              .receipt = [this](const Case& record) { return committer_.ReceiptOf(record); },
              .ledger = reader_.get()}) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log_));
    logger->set_pattern("%v");
    spdlog::set_default_logger(std::move(logger));
    freshness_.Set({absl::StrCat("cannot read ", hostile_)}, clock_.Now());
    EXPECT_THAT(committer_.Load(), IsOk());
    Live();
  }
  ~HostileTest() override {
    spdlog::set_default_logger(logger_);
    ShowPagesAs({});
  }

  // What a daemon meets: bad attempts with the string wherever a log may have it, an arrival, a
  // refused recipient, and people who give it as their reason.
  void Live() {
    EventBatch batch;
    for (int i = 0; i < 4; ++i) {
      LogEvent* event = batch.Add();
      Attempt attempt = Hostile(i);
      if (i == 0) {
        *event = {LogEvent::Kind::kArrived, attempt};
        continue;
      }
      *event = {LogEvent::Kind::kAttempt, attempt};
    }
    LogEvent* shown = batch.Add();
    *shown = {LogEvent::Kind::kShown, Hostile(0)};
    shown->attempt.outcome = Outcome::kRejected;
    committer_.Record(batch);
    committer_.Block({SubjectKind::kDomain, "person.example"}, absl::Hours(1), hostile_, hostile_);
    committer_.Block({SubjectKind::kLogin, hostile_}, absl::Hours(1), "root", hostile_);
    committer_.Exempt({SubjectKind::kDomain, "free.example"}, absl::Hours(1), hostile_, hostile_);
    committer_.Block({SubjectKind::kDomain, "over.example"}, absl::Hours(1), hostile_, hostile_);
    EXPECT_THAT(
        committer_.Unblock({SubjectKind::kDomain, "over.example"}, hostile_, hostile_).status(),
        IsOk());
    EXPECT_THAT(committer_.Commit(), IsOk());
  }

  Attempt Hostile(int number) const {
    Attempt attempt;
    attempt.time = At(absl::Minutes(number));
    attempt.message = {absl::StrCat("1tXXXX-0000000000", number, "-aaaa"), kMorning};
    attempt.identity.login = attempt.identity.sender = absl::StrCat(hostile_, "@a.example");
    attempt.identity.host = "192.0.2.7";
    attempt.recipient = absl::StrCat(hostile_, "@far.example");
    attempt.original = attempt.router = attempt.transport = attempt.host = hostile_;
    attempt.mail_subject = hostile_;
    attempt.outcome = Outcome::kFailed;
    attempt.reply = absl::StrCat("550 5.1.1 ", hostile_);
    attempt.remote = true;
    return attempt;
  }

  Json Status() const {
    return {{"version", hostile_},
            {"node", hostile_},
            {"mode", hostile_},
            {"unchecked", true},
            {"causes", {hostile_}},
            {"policy", {{"path", hostile_}, {"hash", hostile_}, {"loaded", hostile_}}},
            {"sources", {{{"path", hostile_}, {"lag_seconds", 1}, {"gaps", 0}}}},
            {"shared",
             {{"redis", hostile_},
              {"trouble", hostile_},
              {"problem", hostile_},
              {"refused_last", hostile_},
              {"nodes", {{{"node", hostile_}, {"host", hostile_}, {"live", true}}}}}}};
  }

  // A verb's answer as deferctl reads it; its bytes are looked at on the way.
  Json Answer(const std::string& verb, const Json& args) {
    const absl::StatusOr<Json> answer = api_.Handle(verb, args, {.uid = 0});
    const Json sent =
        answer.ok() ? *answer : Json{{"error", std::string(answer.status().message())}};
    for (const std::string& text : {Dump(sent), DumpPretty(sent)}) {
      EXPECT_EQ(WhyUnsafe(text), "") << verb << " as JSON";
    }
    EXPECT_EQ(absl::StrSplit(Dump(sent), '\n').begin()->size(), Dump(sent).size())
        << verb << ": the protocol has one answer a line";
    Json read = Json::parse(Dump(sent), nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(read.is_discarded()) << verb;
    EXPECT_FALSE(read.contains(kForged)) << verb;
    return read;
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
  static void ExpectOneMail(const std::string& mail) {
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

  const std::string& hostile_ = GetParam().bytes;
  std::ostringstream log_;
  const std::shared_ptr<spdlog::logger> logger_;
  ManualClock clock_{At(absl::Minutes(5))};
  std::unique_ptr<CaseTable> cases_;
  const Settings settings_;
  Limiter limiter_;
  std::unique_ptr<LocalStore> store_;
  std::unique_ptr<LedgerReader> reader_;
  Metrics metrics_;
  Journal journal_;
  Committer committer_;
  Freshness freshness_{kMorning};
  Gate gate_;
  AdminApi api_;
};

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
