// Two customers of one server: a token for the domains of the one learns nothing of the other, by
// no resource, role, parameter or page, over a limiter that holds both.

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "exporter/api/event_log.h"
#include "exporter/api/web_api.h"
#include "exporter/console/console.h"
#include "exporter/console/html.h"
#include "gmock/gmock.h"
#include "limiter/admin/admin_api.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kOwn[] = "alpha.hosted.example";
constexpr char kForeign[] = "bravo.hosted.example";
constexpr char kNobody[] = "zzzzz.hosted.example";
// All that is the other's has one of these in it, also what people write about him.
constexpr const char* kMarks[] = {"bravo", "victim"};

constexpr char kPolicy[] = R"(
[rule.r]
min_bad = 3
percent = 50
[exempt.for-bravo]
reason = "bravo pays for it"
by = "a friend of bravo"
domains = ["echo.hosted.example", "bravo2.hosted.example"]
)";

class TenantsTest : public testing::Test, protected LimiterFixture {
 protected:
  TenantsTest()
      : LimiterFixture(kPolicy, At(absl::Minutes(2))),
        gate_(cases_.get(), &freshness_, &clock_, limiter_->settings()),
        daemon_(
            {.limiter = limiter_.get(),
             .committer = committer_.get(),
             .cases = cases_.get(),
             .gate = &gate_,
             .freshness = &freshness_,
             .clock = &clock_,
             .status =
                 [] {
                   return Json{{"held", kForeign}, {"version", "1"}};
                 },
             .policy =
                 [] {
                   return Json{{"toml", kForeign}, {"mode", "x"}};
                 },
             .reload = [](bool) { return absl::OkStatus(); },
             .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
             .save = [this] { return committer_->Commit(/*durable=*/true); },
             .receipt = [this](const Case& record) { return committer_->ReceiptOf(record); },
             .ledger = reader_.get(),
             .queue = [](const Json&, const std::string&) -> absl::StatusOr<Json> {
               return Json::array({Json{{"subject", kForeign}, {"id", "x"}}});
             },
             .events = [this](int64_t after) { return event_log_.After(after); },
             .held = {.of =
                          [](const Subject&) {
                            return Json{{"messages", 1},
                                        {"sample", Json::array({Json{{"subject", kForeign}}})}};
                          },
                      .stays_for = [](const Case&, int64_t) { return std::string(); },
                      .seen =
                          [] {
                            return Json{
                                {"problem", "victim: cannot be read"},
                                {"held", Json::array({Json{{"subject", kForeign}, {"messages", 1}},
                                                      Json{{"subject", kOwn}, {"messages", 2}}})}};
                          }}}),
        caller_([this](const std::string& verb, const Json& args, const std::string& person) {
          absl::StatusOr<Json> answer = daemon_.Handle(verb, args, {.name = person});
          if (answer.ok() && grown_) Grow(&*answer);
          return answer;
        }) {
    std::filesystem::remove(path_);
    tokens_ = std::make_unique<TokenBook>(path_);
    api_ = std::make_unique<WebApi>(WebApi::Parts{
        .tokens = tokens_.get(), .clock = &clock_, .caller = &caller_, .version = "1"});
    console_ = std::make_unique<Console>(
        Console::Parts{.tokens = tokens_.get(), .clock = &clock_, .caller = &caller_});
    freshness_.Set({"/var/log/victim.log: cannot be read"}, clock_.Now());
    Populate();
  }

  void Populate() {
    for (int i = 0; i < 4; ++i) {
      Feed(MakeAttempt(kOwn, At(absl::Minutes(1)), Outcome::kFailed, absl::StrCat("own-", i),
                       "anna@far.example"));
      Attempt other = MakeAttempt(kForeign, At(absl::Minutes(1)), Outcome::kFailed,
                                  absl::StrCat("bravo-", i), "victim@far.example");
      other.host = "mx.victim.example";
      other.reply = "550 5.1.1 victim is unknown";
      Feed(other);
    }
    // Deferred messages of both.
    Feed(MakeAttempt(kOwn, At(absl::Minutes(1)), Outcome::kDeferred, "shared-000001",
                     "otto@far.example"));
    Feed(MakeAttempt(kForeign, At(absl::Minutes(1)), Outcome::kDeferred, "shared-000002",
                     "victim2@far.example"));
    Feed("echo.hosted.example", absl::Minutes(1), Outcome::kFailed);
    committer_->Block(*Subject::Parse("*.hosted.example"), absl::Hours(1), "bravo's boss",
                      "all of bravo");
    committer_->Block(*Subject::Parse(absl::StrCat("login:bob@", kForeign)), absl::Hours(1),
                      "token:bravo", "victim");
    EXPECT_THAT(committer_->Commit(true), IsOk());
    for (const Case& record : cases_->Open()) event_log_.OnCase(CaseChange::kOpened, record);
    EXPECT_TRUE(OpenCase(kOwn).has_value());
    EXPECT_TRUE(OpenCase(kForeign).has_value());
  }

  // A later version's verbs say more.
  static void Grow(Json* answer) {
    const auto grow = [](Json* object) {
      if (object->is_object()) (*object)["a_new_field"] = "victim";
    };
    grow(answer);
    for (Json& one : *answer) {
      if (answer->is_array()) grow(&one);
    }
    for (const char* name :
         {"case", "window", "causes", "held", "exemption", "left_out", "history"}) {
      if (answer->is_object() && answer->contains(name)) grow(&(*answer)[name]);
    }
  }

  std::string AddToken(const std::string& name, TokenRole role,
                       const std::vector<std::string>& domains) {
    return *tokens_->Add(name, role, domains, clock_.Now(), "test");
  }
  static std::vector<std::string> OwnDomains() {
    return {kOwn, "echo.hosted.example", "brav.hosted.example"};
  }

  HttpReply Ask(const std::string& secret, const Resource& resource, const std::string& subject,
                const std::string& query, const std::string& body) {
    clock_.Advance(absl::Milliseconds(100));  // keeps within the rate
    HttpReply reply = api_->Answer(
        {.method = resource.method,
         .path = absl::StrCat(
             kApiRoot, absl::StrReplaceAll(resource.path, {{"{subject}", EscapeUrl(subject)}})),
         .query = query,
         .authorization = "Bearer " + secret,
         .content_type = absl::string_view(resource.method) == "POST" ? "application/json" : "",
         .body = body});
    return reply.work ? reply.work() : reply;
  }

  // Each parameter by itself, and those that are required.
  static std::vector<std::string> QueriesOf(const Resource& resource) {
    const std::vector<std::pair<std::string, std::vector<std::string>>> kValues = {
        {"what", {kForeign, "victim%40far.example", "bravo-1"}},
        {"id", {"bravo-1", "own-1", "shared-000001", "shared-000002", "none-000001"}},
        {"text", {"550+5.1.1+unknown"}},
        {"by", {"subject", "sender", "login"}},
        {"limit", {"0", "1", "1000"}},
        {"since", {"7d"}},
        {"sender", {"%40bravo.hosted.example", "bob%40bravo.hosted.example"}},
        {"address", {"victim", "example"}},
        {"recipient", {"victim%40far.example"}},
        {"subject", {kForeign}},
        {"outcome", {"bad", "failed", "in-progress"}}};
    std::string required;
    std::vector<std::string> queries;
    for (const Parameter& one : resource.parameters) {
      if (!one.required) continue;
      for (const auto& [name, values] : kValues) {
        if (name == one.name) required = absl::StrCat(name, "=", values.front());
      }
    }
    queries.push_back(required);
    for (const Parameter& one : resource.parameters) {
      if (one.type == ParameterType::kFlag) queries.push_back(absl::StrCat(one.name, "=true"));
      for (const auto& [name, values] : kValues) {
        if (name != one.name) continue;
        for (const std::string& value : values) queries.push_back(absl::StrCat(name, "=", value));
      }
    }
    return queries;
  }

  static std::string Marks(const std::string& text) {
    for (const char* mark : kMarks) {
      const size_t at = text.find(mark);
      if (at != std::string::npos) return text.substr(at > 200 ? at - 200 : 0, 400);
    }
    return "";
  }

  const std::string path_ = testing::TempDir() + "/tenants_tokens.json";
  const std::unique_ptr<LedgerReader> reader_ = store_->NewReader();
  Freshness freshness_{kMorning};
  Gate gate_;
  EventLog event_log_{&clock_};
  bool grown_ = false;
  AdminApi daemon_;
  Caller caller_;
  std::unique_ptr<TokenBook> tokens_;
  std::unique_ptr<WebApi> api_;
  std::unique_ptr<Console> console_;
};

TEST_F(TenantsTest, NoAnswerToAScopedTokenHoldsAByteOfTheOther) {
  int shown_to_all = 0, own_answers = 0;
  for (TokenRole role : {TokenRole::kViewer, TokenRole::kSupport, TokenRole::kAdmin}) {
    const std::string name(TokenRoleName(role));
    const std::string all = AddToken(name, role, {});
    const std::string own = AddToken(name + "-own", role, OwnDomains());
    for (const Resource& resource : Resources()) {
      if (absl::string_view(resource.method) != "GET") continue;
      const std::vector<std::string> subjects =
          resource.names_subject()
              ? std::vector<std::string>{kOwn, "login:bob@alpha.hosted.example",
                                         "echo.hosted.example", "brav.hosted.example",
                                         "forward:alpha.hosted.example"}
              : std::vector<std::string>{""};
      for (const std::string& subject : subjects) {
        for (const std::string& query : QueriesOf(resource)) {
          const std::string what =
              absl::StrCat(name, " ", resource.path, " ", subject, " ?", query);
          shown_to_all += !Marks(Ask(all, resource, subject, query, "").body).empty();
          for (const bool grown : {false, true}) {
            grown_ = grown;
            const HttpReply reply = Ask(own, resource, subject, query, "");
            EXPECT_EQ(Marks(reply.body), "") << what;
            for (const auto& [header, value] : reply.headers) EXPECT_EQ(Marks(value), "") << what;
            own_answers += reply.code == 200 && absl::StrContains(reply.body, "alpha.hosted");
          }
          grown_ = false;
        }
      }
    }
  }
  EXPECT_GE(shown_to_all, 60) << "what is hidden is there";
  EXPECT_GE(own_answers, 100) << "what is the token's own is shown";
}

// Neither by the code nor by the words.
TEST_F(TenantsTest, ASubjectOfTheOtherIsAsOneThatIsNotThere) {
  for (TokenRole role : {TokenRole::kViewer, TokenRole::kSupport, TokenRole::kAdmin}) {
    const std::string own = AddToken(std::string(TokenRoleName(role)), role, OwnDomains());
    for (const Resource& resource : Resources()) {
      const bool post = absl::string_view(resource.method) == "POST";
      for (const char* form : {"%s", "login:bob@%s", "forward:%s", "script:/home/x@%s",
                               "local:x@%s", "*.%s", "host:192.0.2.1", "account:%s"}) {
        const auto reply_for = [&](const char* domain) {
          const std::string subject = absl::StrReplaceAll(form, {{"%s", domain}});
          Json body = Json::object();
          for (const Parameter& one : resource.parameters) {
            const std::string parameter = one.name;
            if (parameter == "subject" || parameter == "case") body[parameter] = subject;
            if (parameter == "for") body[parameter] = "1h";
            if (parameter == "reason") body[parameter] = "x";
            if (parameter == "id") body[parameter] = "bravo-1";
          }
          const HttpReply reply = Ask(own, resource, subject, "", post ? body.dump() : "");
          return absl::StrCat(reply.code, " ",
                              absl::StrReplaceAll(reply.body, {{domain, "DOMAIN"}}));
        };
        if (!resource.names_subject() && !post) continue;
        const std::string found = reply_for(kForeign);
        EXPECT_EQ(found.substr(0, 3), "403") << resource.path << " " << form << found;
        EXPECT_EQ(found, reply_for(kNobody)) << resource.path << " " << form;
      }
    }
  }
  for (const char* subject : {kForeign, "login:bob@bravo.hosted.example", "*.hosted.example"}) {
    EXPECT_TRUE(cases_->FindOpen(*Subject::Parse(subject), /*shadow=*/false).has_value())
        << subject << " is as it was";
  }
}

// Neither by the code nor by the words; a case of its own is as good as its subject.
TEST_F(TenantsTest, ACaseOfTheOtherIsAsOneThatIsNotThere) {
  const std::string mine = OpenCase(kOwn)->id, others = OpenCase(kForeign)->id;
  const std::string nobodys = "0badcafe-1-99", elsewhere = "be9fa491-1-4";
  for (TokenRole role : {TokenRole::kViewer, TokenRole::kSupport, TokenRole::kAdmin}) {
    const std::string name(TokenRoleName(role));
    const std::string own = AddToken(name, role, OwnDomains());
    const std::string all = AddToken(name + "-all", role, {});
    for (const Resource& resource : Resources()) {
      if (!resource.names_subject()) continue;
      const bool post = absl::string_view(resource.method) == "POST";
      const auto reply_for = [&](const std::string& secret, const std::string& id) {
        Json body = Json::object();
        for (const Parameter& one : resource.parameters) {
          if (one.required) body[one.name] = one.name == std::string("for") ? "1h" : "x";
        }
        const HttpReply reply = Ask(secret, resource, id, "", post ? body.dump() : "");
        return absl::StrCat(reply.code, " ", absl::StrReplaceAll(reply.body, {{id, "CASE"}}));
      };
      const std::string found = reply_for(own, others);
      EXPECT_EQ(found, reply_for(own, nobodys)) << resource.path;
      EXPECT_EQ(found, reply_for(own, elsewhere)) << resource.path;
      EXPECT_EQ(Marks(found), "");
      if (role < LeastRole(resource)) {
        EXPECT_THAT(found, testing::StartsWith("403 ")) << resource.path;
        continue;
      }
      EXPECT_THAT(found, testing::StartsWith("404 ")) << resource.path;
      EXPECT_THAT(reply_for(all, nobodys), testing::StartsWith("404 ")) << resource.path;
      if (!post) {
        EXPECT_THAT(reply_for(own, mine), testing::StartsWith("200 ")) << resource.path;
        EXPECT_THAT(reply_for(all, others), testing::StartsWith("200 ")) << resource.path;
      }
    }
  }
  EXPECT_TRUE(OpenCase(kForeign).has_value());
  const std::string support = AddToken("anna", TokenRole::kSupport, OwnDomains());
  const Resource& unblock = ResourceAt("POST", "/subjects/{subject}/unblock");
  EXPECT_EQ(Ask(support, unblock, mine, "", "{}").code, 200);
  EXPECT_FALSE(OpenCase(kOwn).has_value());
  const Json why =
      Json::parse(Ask(support, ResourceAt("GET", "/subjects/{subject}"), mine, "", "").body);
  EXPECT_EQ(why["named_case"]["id"], mine);
  EXPECT_EQ(why["named_case"]["closed_by"], "token:anna");
}

TEST_F(TenantsTest, AnActOnItsOwnTellsNothingOfTheOther) {
  const std::string own = AddToken("boss", TokenRole::kAdmin, OwnDomains());
  grown_ = true;
  for (const char* subject : {kOwn, "brav.hosted.example", "login:*@alpha.hosted.example",
                              "login:bob@alpha.hosted.example", "echo.hosted.example"}) {
    for (const char* path : {"/subjects/{subject}/unblock", "/subjects/{subject}/block",
                             "/subjects/{subject}/unblock"}) {
      const bool block = absl::EndsWith(path, "/block");
      const HttpReply reply = Ask(own, ResourceAt("POST", path), subject, "",
                                  block ? R"({"for":"1h","reason":"mine"})" : "{}");
      EXPECT_EQ(Marks(reply.body), "") << subject << path;
      if (subject == std::string(kOwn)) {
        EXPECT_EQ(reply.code, 200) << path << reply.body;
      }
    }
  }
  EXPECT_TRUE(OpenCase(kForeign).has_value());
}

TEST_F(TenantsTest, AStreamOfAScopedTokenHoldsItsOwnEvents) {
  const HttpReply reply =
      api_->Answer({.path = "/api/v1/events",
                    .authorization = "Bearer " + AddToken("own", TokenRole::kViewer, OwnDomains()),
                    .accept = "text/event-stream"});
  ASSERT_TRUE(reply.next);
  const std::string text = reply.next().value_or("");
  EXPECT_THAT(text, HasSubstr(kOwn));
  EXPECT_EQ(Marks(text), "");
}

// What is the token's own is still worth reading.
TEST_F(TenantsTest, ItsOwnPageSaysWhoAndWhat) {
  const std::string own = AddToken("own", TokenRole::kViewer, OwnDomains());
  const std::string why = Ask(own, ResourceAt("GET", "/subjects/{subject}"), kOwn, "", "").body;
  for (const char* words : {"bob@alpha.hosted.example", "anna@far.example", "\"rules\"",
                            "\"stopped_by\"", "\"receipt\""}) {
    EXPECT_THAT(why, HasSubstr(words));
  }
  const Json other = Json::parse(
      Ask(own, ResourceAt("GET", "/subjects/{subject}"), "brav.hosted.example", "", "").body);
  ASSERT_EQ(other["stopped_by"].size(), 1u) << "the block of *.hosted.example";
  EXPECT_EQ(other["stopped_by"][0]["subject"], nullptr);
  EXPECT_TRUE(other["stopped_by"][0].contains("until"));
}

TEST_F(TenantsTest, NoPageOfAScopedSessionHoldsAByteOfTheOther) {
  for (TokenRole role : {TokenRole::kViewer, TokenRole::kSupport, TokenRole::kAdmin}) {
    const std::string secret = AddToken(std::string(TokenRoleName(role)), role, OwnDomains());
    const auto ask = [&](HttpRequest request) {
      clock_.Advance(absl::Milliseconds(100));
      HttpReply reply = console_->Answer(request);
      return reply.work ? reply.work() : reply;
    };
    const auto cookie_of = [](const HttpReply& reply) {
      for (const auto& [name, value] : reply.headers) {
        if (name == "Set-Cookie") return value.substr(0, value.find(';'));
      }
      return std::string();
    };
    const std::string login = cookie_of(ask({.path = "/login"}));
    const std::string cookie = cookie_of(
        ask({.method = "POST",
             .path = "/login",
             .content_type = "application/x-www-form-urlencoded",
             .body = absl::StrCat("key=", login.substr(login.find('=') + 1), "&token=", secret),
             .cookie = login}));
    ASSERT_NE(cookie, "");
    const std::pair<const char*, const char*> kPages[] = {
        {"/", ""},
        {"/subject", "name=alpha.hosted.example"},
        {"/subject", "name=login:bob@alpha.hosted.example"},
        {"/subject", "name=brav.hosted.example"},
        {"/subject", "name=0badcafe-1-1"},
        {"/subject", "name=0badcafe-1-2"},
        {"/subject", "name=0badcafe-1-3"},
        {"/subject", "name=0badcafe-1-4"},
        {"/subject", "name=echo.hosted.example"},
        {"/track", "subject=alpha.hosted.example"},
        {"/track", "subject=alpha.hosted.example&id=shared-000001"},
        {"/track", "subject=alpha.hosted.example&id=shared-000002"},
        {"/track.csv", "subject=alpha.hosted.example"},
        {"/track.csv", ""},
        {"/message", "id=shared-000001"},
        {"/message", "id=shared-000002"},
        {"/message", "id=own-1"},
        {"/queue", ""},
        {"/destinations", ""},
        {"/explain", "text=550+5.1.1"},
        {"/policy", ""}};
    int own = 0;
    for (const auto& [path, query] : kPages) {
      const HttpReply reply = ask({.path = path, .query = query, .cookie = cookie});
      EXPECT_EQ(Marks(reply.body), "") << path << "?" << query;
      own += absl::StrContains(reply.body, "anna@far.example");
    }
    EXPECT_GE(own, 4);
    // A name that a person types stands on the page; nothing else tells whether it is there.
    for (const char* path : {"/subject", "/track", "/track.csv"}) {
      const auto page = [&](const char* name) {
        clock_.Advance(absl::Seconds(2));
        const HttpReply reply =
            console_->Answer({.path = path,
                              .query = absl::StrCat("name=", name, "&subject=", name),
                              .cookie = cookie});
        const HttpReply done = reply.work ? reply.work() : reply;
        const std::string text = absl::StrReplaceAll(done.body, {{name, "NAME"}});
        return absl::StrCat(done.code, " ", text.substr(0, text.find("As of")));
      };
      EXPECT_EQ(page(kForeign), page(kNobody)) << path;
      EXPECT_EQ(page(OpenCase(kForeign)->id.c_str()), page("0badcafe-1-99")) << path;
    }
  }
}

}  // namespace
}  // namespace deferd
