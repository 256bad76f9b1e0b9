#include "exporter/api/web_api.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "limiter/admin/admin_api.h"
#include "tests/exporter/api/api_fixture.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

class WebApiTest : public ApiFixture {
 protected:
  static std::string PathOf(const Resource& resource, absl::string_view subject) {
    return absl::StrReplaceAll(resource.path, {{"{subject}", subject}});
  }
  // What it requires, and no more.
  static std::string BodyOf(const Resource& resource) {
    if (absl::string_view(resource.method) != "POST") return "";
    Json body = Json::object();
    for (const Parameter& one : resource.parameters) {
      if (one.required) body[one.name] = "x";
    }
    return body.dump();
  }
  static std::string QueryOf(const Resource& resource) {
    std::string query;
    if (absl::string_view(resource.method) != "GET") return query;
    for (const Parameter& one : resource.parameters) {
      if (one.required) absl::StrAppend(&query, query.empty() ? "" : "&", one.name, "=x");
    }
    return query;
  }
  static Json AnswerOf(const Resource& resource) {
    if (absl::string_view(resource.verb) == "history") return {{"subjects", Json::object()}};
    return resource.scope == ResourceScope::kListed ? Json::array() : Json::object();
  }
};

TEST_F(WebApiTest, EveryResourceWithEveryRoleAndScope) {
  int checked = 0;
  for (TokenRole role : {TokenRole::kViewer, TokenRole::kSupport, TokenRole::kAdmin}) {
    const std::string name(TokenRoleName(role));
    const std::string all = AddToken(name, role);
    const std::string scoped = AddToken(name + "-scoped", role, {"a.example"});
    for (const Resource& resource : Resources()) {
      answer_ = AnswerOf(resource);
      const bool allowed = role >= LeastRole(resource);
      for (bool is_scoped : {false, true}) {
        for (const std::string subject : {"a.example", "b.example"}) {
          const std::string what = absl::StrCat(resource.method, " ", resource.path, " by ", name,
                                                is_scoped ? " (scoped)" : "", " for ", subject);
          called_.clear();
          const bool seen =
              !is_scoped || (resource.scope == ResourceScope::kSubject && subject == "a.example") ||
              resource.scope == ResourceScope::kListed || resource.scope == ResourceScope::kAnyone;
          const HttpReply reply =
              Ask(is_scoped ? scoped : all, resource.method, PathOf(resource, subject),
                  QueryOf(resource), BodyOf(resource));
          EXPECT_EQ(reply.code, allowed && seen ? 200 : 403) << what << reply.body;
          EXPECT_EQ(called_.size(), allowed && seen ? 1u : 0u) << what;
          if (!called_.empty()) {
            EXPECT_EQ(called_[0].verb, resource.verb) << what;
            EXPECT_EQ(called_[0].person, absl::StrCat("token:", name, is_scoped ? "-scoped" : ""));
          }
          ++checked;
        }
      }
      EXPECT_EQ(Ask("", resource.method, PathOf(resource, "a.example")).code, 401);
    }
  }
  EXPECT_GE(checked, 350);
}

// A verb that changes something is nothing for a viewer, whatever the table of resources says.
TEST_F(WebApiTest, RolesFollowTheDaemonsOwnTable) {
  for (const Resource& resource : Resources()) {
    bool known = false;
    for (const AdminApi::VerbInfo& verb : AdminApi::Verbs()) known |= verb.name == resource.verb;
    EXPECT_TRUE(known) << resource.verb;
    EXPECT_EQ(LeastRole(resource) == TokenRole::kViewer,
              absl::string_view(resource.method) == "GET")
        << resource.path;
  }
}

TEST_F(WebApiTest, RefusesBadTokens) {
  const std::string good = AddToken("panel", TokenRole::kAdmin);
  clock_.Advance(absl::Seconds(1));
  for (const std::string& header :
       {std::string(), std::string("Bearer"), std::string("Bearer "), good, "Basic " + good,
        "Bearer  " + good, "Bearer " + good + "x", "Bearer " + good.substr(0, good.size() - 1)}) {
    const HttpReply reply = api_->Answer({.path = "/api/v1/status", .authorization = header});
    EXPECT_EQ(reply.code, 401) << header;
    EXPECT_EQ(reply.type, "application/problem+json");
    EXPECT_THAT(reply.body, Not(HasSubstr(good.substr(0, 20))));
  }
  ASSERT_TRUE(tokens_->Revoke("panel").ok());
  EXPECT_EQ(Ask(good, "GET", "/status").code, 401);
  EXPECT_TRUE(called_.empty());
}

TEST_F(WebApiTest, AnExpiredTokenIsRefusedAndToldSo) {
  const std::string secret =
      AddToken("panel", TokenRole::kAdmin, {}, clock_.Now() + absl::Minutes(1));
  EXPECT_EQ(Ask(secret, "GET", "/status").code, 200);
  const HttpReply stream = api_->Answer({.path = "/api/v1/events",
                                         .authorization = "Bearer " + secret,
                                         .accept = "text/event-stream"});
  answer_ = Json::array();
  EXPECT_TRUE(stream.next().has_value());
  // One that waits for a worker meanwhile.
  const HttpReply waiting =
      api_->Answer({.path = "/api/v1/status", .authorization = "Bearer " + secret});
  clock_.Advance(absl::Minutes(1));
  EXPECT_FALSE(stream.next().has_value());
  called_.clear();
  EXPECT_EQ(Done(waiting).code, 401);
  const HttpReply reply = Ask(secret, "GET", "/status");
  EXPECT_EQ(reply.code, 401);
  EXPECT_EQ(JsonOf(reply)["detail"],
            "this token expired at 2023-11-14T22:14:20Z; ask the administrator for a new one");
  EXPECT_TRUE(called_.empty());
}

TEST_F(WebApiTest, StrangersAreSlowedDownAndStopNoToken) {
  const std::string good = AddToken("panel", TokenRole::kViewer);
  int refused = 0;
  for (int i = 0; i < 200; ++i) {
    refused += api_->Answer({.path = "/api/v1/status", .authorization = "Bearer x"}).code == 429;
  }
  EXPECT_GE(refused, 185) << "the same again";
  int others = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string guess = absl::StrCat("Bearer ", i);
    others += api_->Answer({.path = "/api/v1/status", .authorization = guess}).code == 429;
  }
  EXPECT_GE(others, 150);
  EXPECT_LT(others, 175) << "one client did not use up what others have";
  EXPECT_EQ(Done(api_->Answer({.path = "/api/v1/status", .authorization = "Bearer " + good})).code,
            200);
}

TEST_F(WebApiTest, ATokenHasARate) {
  const HttpRequest one = {.path = "/api/v1/status",
                           .authorization = "Bearer " + AddToken("one", TokenRole::kViewer)};
  const HttpRequest two = {.path = "/api/v1/status",
                           .authorization = "Bearer " + AddToken("two", TokenRole::kViewer)};
  for (int i = 0; i < TokenRates::kBurst; ++i) EXPECT_EQ(api_->Answer(one).code, 200);
  EXPECT_EQ(api_->Answer(one).code, 429);
  EXPECT_EQ(Done(api_->Answer(two)).code, 200) << "the rate is each token's own";
  clock_.Advance(absl::Seconds(1));
  for (int i = 0; i < TokenRates::kRate; ++i) EXPECT_EQ(api_->Answer(one).code, 200);
  EXPECT_EQ(api_->Answer(one).code, 429);
}

TEST_F(WebApiTest, ListsShowAScopedTokenItsOwnOnly) {
  const std::string scoped = AddToken("reseller", TokenRole::kViewer, {"a.example"});
  answer_ = Json::array({Json{{"subject", "b.example"}, {"bad", 9}},
                         Json{{"subject", "a.example"}, {"bad", 5}}, Json{{"bad", 4}},
                         Json{{"subject", "login:bob@a.example"}, {"bad", 3}}});
  EXPECT_EQ(JsonOf(Ask(scoped, "GET", "/blocks")).size(), 2u);
  const Json top = JsonOf(Ask(scoped, "GET", "/subjects", "limit=7"));
  ASSERT_EQ(top.size(), 2u);
  EXPECT_EQ(top[0]["subject"], "a.example");
  EXPECT_EQ(called_.back().args["domains"], Json::array({"a.example"}))
      << "the limit is of its own, which may be the last of many";
}

TEST_F(WebApiTest, ThePageOfAScopedTokenNamesNobodyElse) {
  const std::string scoped = AddToken("reseller", TokenRole::kViewer, {"a.example"});
  answer_ = Json{{"subject", "a.example"},
                 {"near", Json::array({"b.example"})},
                 {"within", Json::array({"c.example"})},
                 {"incidents", Json::array({"d.example"})}};
  EXPECT_THAT(Ask(scoped, "GET", "/subjects/a.example").body, Not(HasSubstr("b.example")));
  EXPECT_THAT(Ask(scoped, "GET", "/subjects/a.example").body, Not(HasSubstr("c.example")));
  EXPECT_THAT(Ask(scoped, "GET", "/subjects/a.example").body, Not(HasSubstr("d.example")));
}

TEST_F(WebApiTest, AttemptsComeInPages) {
  const std::string token = AddToken("panel", TokenRole::kViewer);
  const std::string scoped = AddToken("reseller", TokenRole::kViewer, {"a.example"});
  answer_ = Json::array(
      {Json{{"subject", "a.example"}, {"row", "9"}}, Json{{"subject", "b.example"}, {"row", "8"}}});
  Json page = JsonOf(Ask(token, "GET", "/attempts", "limit=2&what=%40x.example&recipients=false"));
  EXPECT_EQ(page["items"].size(), 2u);
  EXPECT_EQ(page["next"], "8");
  EXPECT_EQ(called_.back().args["what"], "@x.example");
  EXPECT_EQ(called_.back().args["recipients"], false);
  EXPECT_EQ(JsonOf(Ask(token, "GET", "/attempts", "limit=3"))["next"], nullptr);
  page = JsonOf(Ask(scoped, "GET", "/subjects/a.example/attempts", "limit=2"));
  EXPECT_EQ(page["items"].size(), 1u);
  EXPECT_EQ(page["next"], "8") << "further pages may hold rows that it sees";
  EXPECT_EQ(called_.back().args["subject"], "a.example") << "and not what only bears its name";
  Ask(token, "GET", "/subjects/a.example/attempts");
  EXPECT_EQ(called_.back().args["domain"], "a.example");
  Ask(scoped, "GET", "/subjects/login:bob@a.example/attempts");
  EXPECT_EQ(called_.back().args["subject"], "login:bob@a.example");
  for (const char* limit : {"limit=0", "limit=1001", "limit=-1", "limit=x"}) {
    EXPECT_EQ(Ask(token, "GET", "/attempts", limit).code, 400) << limit;
  }
}

TEST_F(WebApiTest, AHistoryOfAllShowsAScopedTokenItsOwn) {
  const std::string scoped = AddToken("reseller", TokenRole::kViewer, {"a.example"});
  answer_ = Json{{"subjects", {{"a.example", 1}, {"b.example", 2}, {"login:x@a.example", 3}}}};
  const Json seen = JsonOf(Ask(scoped, "GET", "/history", "by=subject"))["subjects"];
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_FALSE(seen.contains("b.example"));
  answer_ = Json{{"delivered", {1}}};
  EXPECT_EQ(Ask(scoped, "GET", "/history").code, 403) << "it counts everybody's";
}

TEST_F(WebApiTest, AMessageOfOthersIsNotShown) {
  const std::string scoped = AddToken("reseller", TokenRole::kViewer, {"a.example"});
  answer_ = Json::array({Json{{"id", "1abc"}, {"subject", "b.example"}}});
  EXPECT_EQ(JsonOf(Ask(scoped, "GET", "/messages", "id=1abc"))["items"], Json::array());
  EXPECT_EQ(Ask(scoped, "GET", "/messages").code, 400) << "which message";
}

TEST_F(WebApiTest, EventsComeAsAList) {
  const std::string scoped = AddToken("reseller", TokenRole::kViewer, {"a.example"});
  answer_ = Json::array({Json{{"seq", 5}, {"type", "case"}, {"subject", "b.example"}},
                         Json{{"seq", 6}, {"type", "case"}, {"subject", "a.example"}},
                         Json{{"seq", 7}, {"type", "incident"}}});
  const Json seen = JsonOf(Ask(scoped, "GET", "/events", "after=4"));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0]["seq"], 6);
  EXPECT_EQ(called_.back().args["after"], 4);
}

TEST_F(WebApiTest, EventsComeAsAStreamUntilTheTokenIsRevoked) {
  const std::string secret = AddToken("panel", TokenRole::kViewer);
  answer_ = Json::array({Json{{"seq", 7}, {"type", "case"}, {"subject", "x\n\nevent: y"}}});
  const HttpReply reply = api_->Answer({.path = "/api/v1/events",
                                        .authorization = "Bearer " + secret,
                                        .accept = "text/event-stream",
                                        .last_event_id = "6"});
  EXPECT_EQ(reply.type, "text/event-stream");
  ASSERT_TRUE(reply.next);
  const std::string first = reply.next().value_or("");
  EXPECT_EQ(called_.back().args["after"], 6);
  EXPECT_THAT(first, testing::StartsWith("id: 7\nevent: case\ndata: {"));
  EXPECT_THAT(first, testing::EndsWith("}\n\n"));
  EXPECT_THAT(first, Not(HasSubstr("\nevent: y"))) << "a text ends no event";
  answer_ = Json::array();
  int comments = 0;
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(called_.back().args["after"], i == 0 ? 6 : 7);
    const std::optional<std::string> next = reply.next();
    ASSERT_TRUE(next.has_value());
    comments += next->empty() ? 0 : 1;
  }
  EXPECT_EQ(comments, 2) << "now and then, to find out whether somebody reads";
  ASSERT_TRUE(tokens_->Revoke("panel").ok());
  EXPECT_FALSE(reply.next().has_value());
  EXPECT_EQ(api_->Answer({.path = "/api/v1/events",
                          .authorization = "Bearer " + AddToken("p2", TokenRole::kViewer),
                          .accept = "text/event-stream",
                          .last_event_id = "x"})
                .code,
            400);
}

TEST_F(WebApiTest, AStreamEndsWithTheRightsThatItBeganWith) {
  answer_ = Json::array();
  const std::string secret = AddToken("panel", TokenRole::kViewer);
  const HttpReply reply = api_->Answer({.path = "/api/v1/events",
                                        .authorization = "Bearer " + secret,
                                        .accept = "text/event-stream"});
  ASSERT_TRUE(reply.next);
  EXPECT_TRUE(reply.next().has_value());
  const std::string path = testing::TempDir() + "/api_tokens.json";
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  std::ofstream(path + ".edited") << absl::StrReplaceAll(
      text.str(), {{"\"domains\": []", "\"domains\": [\"a.example\"]"}});
  std::filesystem::rename(path + ".edited", path);
  EXPECT_FALSE(reply.next().has_value());
  EXPECT_EQ(Ask(secret, "GET", "/status").code, 403) << "and it sees its domain alone";
}

// A stream of a token for few domains must not look at everybody's events again and again.
TEST_F(WebApiTest, AStreamLooksAtEachEventOnce) {
  const std::string scoped = AddToken("reseller", TokenRole::kViewer, {"a.example"});
  answer_ = Json::array();
  for (size_t i = 1; i <= Caller::kMaxNews + 3; ++i) {
    answer_->push_back({{"seq", i}, {"type", "case"}, {"subject", "b.example"}});
  }
  const HttpReply reply = api_->Answer({.path = "/api/v1/events",
                                        .authorization = "Bearer " + scoped,
                                        .accept = "text/event-stream"});
  ASSERT_TRUE(reply.next);
  EXPECT_EQ(reply.next(), "");
  reply.next();
  EXPECT_EQ(called_.back().args["after"], Caller::kMaxNews) << "some at a time";
}

TEST_F(WebApiTest, WithoutReadableTokensItSaysWhy) {
  const std::string secret = AddToken("panel", TokenRole::kViewer);
  const std::string path = testing::TempDir() + "/api_tokens.json";
  std::filesystem::rename(path, path + ".aside");
  std::ofstream(path) << "{";
  for (const std::string& one : {secret, std::string("x"), std::string()}) {
    const HttpReply reply = Ask(one, "GET", "/status");
    EXPECT_EQ(reply.code, 503);
    EXPECT_THAT(reply.body, HasSubstr("file of tokens cannot be read"));
  }
  EXPECT_EQ(Ask("", "GET", "/openapi.json").code, 200);
  EXPECT_TRUE(called_.empty());
  std::filesystem::rename(path + ".aside", path);
  EXPECT_EQ(Ask(secret, "GET", "/status").code, 200) << "without a restart";
}

TEST_F(WebApiTest, ARequestThatWaitedIsOfATokenThatMayStill) {
  const HttpReply reply =
      api_->Answer({.method = "POST",
                    .path = "/api/v1/reload",
                    .authorization = "Bearer " + AddToken("a", TokenRole::kAdmin),
                    .content_type = "application/json"});
  ASSERT_TRUE(reply.work);
  ASSERT_THAT(tokens_->Revoke("a"), IsOk());
  EXPECT_EQ(reply.work().code, 401);
  EXPECT_TRUE(called_.empty());
}

// What takes too long is answered, and says whether to ask again.
TEST_F(WebApiTest, ALateAnswerSaysWhatBecameOfTheRequest) {
  const std::string token = AddToken("panel", TokenRole::kAdmin);
  const auto late = [&](const std::string& method, const std::string& path, bool begun) {
    const HttpReply reply =
        api_->Answer({.method = method,
                      .path = path,
                      .authorization = "Bearer " + token,
                      .content_type = method == "POST" ? "application/json" : ""});
    EXPECT_TRUE(reply.late);
    return reply.late ? reply.late(begun) : HttpReply{.code = 0};
  };
  EXPECT_EQ(late("GET", "/api/v1/attempts", true).code, 504);
  EXPECT_EQ(late("POST", "/api/v1/reload", true).code, 202);
  EXPECT_THAT(late("POST", "/api/v1/reload", true).body, HasSubstr("do not send it again"));
  EXPECT_EQ(late("POST", "/api/v1/reload", false).code, 503);
  EXPECT_THAT(late("POST", "/api/v1/reload", false).body, HasSubstr("nothing was done"));
  EXPECT_TRUE(called_.empty());
}

TEST_F(WebApiTest, ALateActHasAnAddressForItsResult) {
  const std::string token = AddToken("panel", TokenRole::kAdmin),
                    other = AddToken("other", TokenRole::kAdmin);
  const auto begun = [&] {
    return api_->Answer({.method = "POST",
                         .path = "/api/v1/reload",
                         .authorization = "Bearer " + token,
                         .content_type = "application/json"});
  };
  const auto location_of = [](const HttpReply& reply) -> std::string {
    for (const auto& [name, value] : reply.headers) {
      if (name == "Location") return value.substr(std::string(kApiRoot).size());
    }
    return "";
  };
  const HttpReply act = begun(), failing = begun();
  const HttpReply late = act.late(/*begun=*/true);
  const std::string at = location_of(late), failed_at = location_of(failing.late(true));
  EXPECT_EQ(late.code, 202);
  EXPECT_EQ(JsonOf(late)["result"], kApiRoot + at);
  EXPECT_EQ(JsonOf(Ask(token, "GET", at))["status"], "running");
  EXPECT_EQ(Ask(other, "GET", at).code, 404) << "of another token";
  EXPECT_EQ(Ask("", "GET", at).code, 401);
  EXPECT_EQ(Ask(token, "GET", at + "x").code, 404);
  EXPECT_EQ(Ask(token, "GET", "/late/").code, 404);
  EXPECT_EQ(Ask(token, "POST", at).code, 405);
  answer_ = Json{{"changed", 3}};
  act.work();
  answer_ = absl::FailedPreconditionError("the file has a mistake");
  failing.work();
  const Json done = JsonOf(Ask(token, "GET", at));
  EXPECT_EQ(done["status"], "done");
  EXPECT_EQ(done["code"], 200);
  EXPECT_EQ(done["result"]["changed"], 3);
  const Json failed = JsonOf(Ask(token, "GET", failed_at));
  EXPECT_EQ(failed["status"], "failed");
  EXPECT_EQ(failed["code"], 409);
  EXPECT_EQ(failed["result"]["detail"], "the file has a mistake");
  clock_.Advance(absl::Hours(24 * 365));
  EXPECT_EQ(Ask(token, "GET", at).code, 200) << "setting the clock forgets nothing";
}

TEST_F(WebApiTest, TheDescriptionHasTheAddressOfLateResults) {
  const Json api = OpenApi("1");
  EXPECT_TRUE(api["paths"].contains("/api/v1/late/{id}"));
  EXPECT_EQ(api["paths"]["/api/v1/reload"]["post"]["responses"]["202"]["$ref"],
            "#/components/responses/Late");
  EXPECT_TRUE(api["components"]["responses"]["Late"]["headers"].contains("Location"));
  EXPECT_FALSE(api["paths"]["/api/v1/status"]["get"]["responses"].contains("202"));
}

// What is checked is what is asked for.
TEST_F(WebApiTest, AScopeCannotBeTalkedAround) {
  const std::string scoped = AddToken("reseller", TokenRole::kAdmin, {"a.example"});
  for (const char* path :
       {"/subjects/A.EXAMPLE", "/subjects/a.example.", "/subjects/a%2eexample"}) {
    EXPECT_EQ(Ask(scoped, "GET", path).code, 200) << path;
    EXPECT_EQ(called_.back().args["subject"], "a.example");
  }
  called_.clear();
  for (const char* path : {"/subjects/b.example", "/subjects/b.example%00a.example",
                           "/subjects/a.example/../b.example", "/subjects/%2e%2e",
                           "/subjects/a.example%2F..%2Fb.example", "/subjects/local:a.example",
                           "/subjects/", "/subjects//check", "/subjects/a.example/", "/%73tatus",
                           "//status", "/subjects/b.example?subject=a.example"}) {
    EXPECT_NE(Ask(scoped, "GET", path).code, 200) << path;
  }
  EXPECT_EQ(Ask(scoped, "GET", "/subjects/a.example", "subject=b.example").code, 400);
  for (const char* query : {"domain=b.example", "what=b.example", "what=%40b.example", "row=1",
                            "domains=b.example", "charged=b.example"}) {
    EXPECT_EQ(Ask(scoped, "GET", "/subjects/a.example/attempts", query).code, 400) << query;
  }
  EXPECT_EQ(
      Ask(scoped, "POST", "/subjects/a.example/unblock", "", R"({"subject": "b.example"})").code,
      400);
  EXPECT_TRUE(called_.empty());
}

TEST_F(WebApiTest, RefusesWhatItDoesNotUnderstand) {
  const std::string token = AddToken("panel", TokenRole::kAdmin);
  for (const std::string& body :
       {std::string("{"), std::string("[]"), std::string("7"), std::string(R"({"reson": "x"})"),
        std::string(R"({"for": 3, "reason": "x"})"), std::string(R"({"for": "1h"})"),
        std::string(R"({"for": null, "reason": "x"})"), std::string(2000, '[')}) {
    EXPECT_EQ(Ask(token, "POST", "/subjects/a.example/block", "", body).code, 400) << body;
  }
  for (const char* query : {"limit=1&limit=2", "limt=1", "limit=%zz", "limit=%4", "a=%00", "=1"}) {
    EXPECT_EQ(Ask(token, "GET", "/subjects", query).code, 400) << query;
  }
  EXPECT_EQ(Ask(token, "GET", "/nothing").code, 404);
  EXPECT_EQ(Ask(token, "DELETE", "/status").code, 405);
  EXPECT_EQ(Ask(token, "GET", "/subjects/a.example/block").code, 405);
  EXPECT_EQ(api_->Answer({.method = "POST",
                          .path = "/api/v1/reload",
                          .authorization = "Bearer " + token,
                          .content_type = "text/plain"})
                .code,
            415)
      << "which a form of another site could send";
  EXPECT_TRUE(called_.empty());
}

TEST_F(WebApiTest, ErrorsOfVerbsAreProblems) {
  const std::string token = AddToken("panel", TokenRole::kAdmin);
  const std::map<absl::StatusCode, int> codes = {
      {absl::StatusCode::kInvalidArgument, 400},    {absl::StatusCode::kNotFound, 404},
      {absl::StatusCode::kFailedPrecondition, 409}, {absl::StatusCode::kUnavailable, 503},
      {absl::StatusCode::kDeadlineExceeded, 504},   {absl::StatusCode::kInternal, 500}};
  for (const auto& [code, status] : codes) {
    answer_ = absl::Status(code, "it says \"so\"\x1b[2J");
    const HttpReply reply = Ask(token, "GET", "/status");
    EXPECT_EQ(reply.code, status);
    EXPECT_EQ(reply.type, "application/problem+json");
    const Json problem = JsonOf(reply);
    EXPECT_EQ(problem["status"], status);
    EXPECT_EQ(problem["title"], reply.reason);
    EXPECT_THAT(problem["detail"].get<std::string>(), HasSubstr("it says"));
    EXPECT_THAT(reply.body, Not(HasSubstr("\x1b")));
  }
}

// A client that knows the description alone can call everything, and nothing else is there.
TEST_F(WebApiTest, TheDescriptionIsTheServer) {
  const HttpReply reply = Ask("", "GET", "/openapi.json");
  ASSERT_EQ(reply.code, 200);
  const Json document = JsonOf(reply);
  EXPECT_EQ(document["openapi"], "3.1.0");
  EXPECT_EQ(document["info"]["version"], "1.2");
  const std::map<std::string, std::string> tokens = {
      {"viewer", AddToken("v", TokenRole::kViewer)},
      {"support", AddToken("s", TokenRole::kSupport)},
      {"admin", AddToken("a", TokenRole::kAdmin)}};
  std::set<std::string> ids;
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      const std::string id = operation["operationId"].get<std::string>();
      EXPECT_TRUE(ids.insert(id).second) << id;
      if (id == "getLate") continue;  // ALateActHasAnAddressForItsResult
      answer_ = Json::array();
      if (path == "/api/v1/subjects/{subject}") answer_ = Json::object();
      std::string query;
      Json body = Json::object();
      const auto example = [](const Json& schema) {
        return schema["type"] == "integer"   ? Json(7)
               : schema["type"] == "boolean" ? Json(true)
                                             : Json("text");
      };
      for (const Json& parameter : operation["parameters"]) {
        if (parameter["in"] != "query") continue;
        const Json value = example(parameter["schema"]);
        query += (query.empty() ? "" : "&") + parameter["name"].get<std::string>() + "=" +
                 (value.is_string() ? value.get<std::string>() : value.dump());
      }
      if (operation.contains("requestBody")) {
        const Json& schema = operation["requestBody"]["content"]["application/json"]["schema"];
        for (const auto& [name, property] : schema["properties"].items()) {
          body[name] = example(property);
        }
      }
      const std::string below =
          absl::StrReplaceAll(path.substr(sizeof(kApiRoot) - 1), {{"{subject}", "a.example"}});
      const bool post = method == "post";
      EXPECT_EQ(Ask(tokens.at(operation["x-deferd-role"].get<std::string>()), post ? "POST" : "GET",
                    below, query, post ? body.dump() : "")
                    .code,
                200)
          << method << " " << path << "?" << query << " " << body;
    }
  }
  EXPECT_EQ(ids.size(), Resources().size() + 1);
  for (const char* id : {"getSubject", "getSubjects", "getSubjectAttempts", "postSubjectUnblock",
                         "postExemptionsRemove", "getAttempts"}) {
    EXPECT_EQ(ids.count(id), 1u) << id;
  }
  EXPECT_EQ(document["servers"][0]["url"], "/");
  // Each schema that is named is there, and each that is there is named.
  std::set<std::string> named;
  const std::string before = "#/components/schemas/";
  for (size_t at = reply.body.find(before); at != std::string::npos;
       at = reply.body.find(before, at + 1)) {
    const size_t begin = at + before.size();
    named.insert(reply.body.substr(begin, reply.body.find('"', begin) - begin));
  }
  std::set<std::string> there;
  for (const auto& [name, schema] : document["components"]["schemas"].items()) there.insert(name);
  EXPECT_EQ(named, there);
}

}  // namespace
}  // namespace deferd
