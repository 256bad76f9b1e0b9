#include "limiter/ctl/remote.h"

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "exporter/api/resources.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::Contains;
using testing::HasSubstr;

RemoteRequest RequestOf(const std::string& verb, const Json& args) {
  absl::StatusOr<RemoteRequest> request = RemoteRequestOf(verb, args);
  EXPECT_THAT(request, IsOk()) << verb;
  return request.value_or(RemoteRequest());
}

struct Mapped {
  std::string verb;
  Json args;
  std::string method, path, body;
};

TEST(Remote, AVerbIsARequestOfTheApi) {
  const std::vector<Mapped> verbs = {
      {"status", Json::object(), "GET", "/api/v1/status", ""},
      {"why",
       {{"subject", "login:bob@shop.example"}, {"verify", false}},
       "GET",
       "/api/v1/subjects/login%3Abob%40shop.example",
       ""},
      {"check",
       {{"subject", "a/b?c#d&e"}, {"source", "local"}},
       "GET",
       "/api/v1/subjects/a%2Fb%3Fc%23d%26e/check?source=local",
       ""},
      {"blocks", {{"all", true}, {"since", ""}}, "GET", "/api/v1/blocks?all=true", ""},
      {"top", {{"limit", 0}}, "GET", "/api/v1/subjects?limit=0", ""},
      {"block",
       {{"subject", "shop.example"}, {"for", "2h"}, {"reason", "a \"test\""}},
       "POST",
       "/api/v1/subjects/shop.example/block",
       R"({"for":"2h","reason":"a \"test\""})"},
      {"unblock",
       {{"subject", "shop.example"}, {"reason", ""}, {"held", ""}},
       "POST",
       "/api/v1/subjects/shop.example/unblock",
       "{}"},
      {"track",
       {{"what", "ann@far.example"}, {"domain", ""}, {"before", 0}, {"limit", 50}},
       "GET",
       "/api/v1/attempts?what=ann%40far.example&limit=50",
       ""},
      {"track",
       {{"domain", "shop.example"}, {"before", 7}},
       "GET",
       "/api/v1/subjects/shop.example/attempts?before=7",
       ""},
      {"stats", {{"subject", ""}, {"by", "sender"}}, "GET", "/api/v1/stats?by=sender", ""},
      {"stats", {{"subject", "shop.example"}}, "GET", "/api/v1/subjects/shop.example/stats", ""},
      {"exempt",
       {{"do", "add"}, {"subject", "shop.example"}, {"reason", "x"}},
       "POST",
       "/api/v1/exemptions",
       R"({"subject":"shop.example","reason":"x"})"},
      {"queue", {{"do", "list"}, {"held", true}}, "GET", "/api/v1/queue?held=true", ""},
  };
  for (const Mapped& one : verbs) {
    const RemoteRequest request = RequestOf(one.verb, one.args);
    EXPECT_EQ(request.method, one.method) << one.verb;
    EXPECT_EQ(request.path, one.path);
    EXPECT_EQ(request.body, one.body) << one.path;
  }
}

// The API's own table says what there is.
TEST(Remote, EachRequestIsAResourceOfTheApi) {
  std::set<std::string> resources;
  for (const Resource& one : Resources()) {
    resources.insert(absl::StrCat(one.method, " ", kApiRoot, one.path));
  }
  int requests = 0;
  for (const Resource& one : Resources()) {
    Json args = Json::object();
    if (*one.action != '\0') args["do"] = one.action;
    if (one.names_subject()) args["subject"] = args["domain"] = "{subject}";
    const absl::StatusOr<RemoteRequest> request = RemoteRequestOf(one.verb, args);
    if (!request.ok()) continue;
    ++requests;
    const std::string path = request->path.substr(0, request->path.find('?'));
    EXPECT_THAT(resources, Contains(absl::StrCat(
                               request->method, " ",
                               absl::StrReplaceAll(path, {{"%7Bsubject%7D", "{subject}"}}))));
  }
  EXPECT_GE(requests, 20);
}

TEST(Remote, WhatTheApiLacksIsForTheServerItself) {
  for (const auto& [verb, args] :
       {std::pair("token", Json{{"do", "list"}}), std::pair("record", Json::object()),
        std::pair("queue", Json{{"do", "hold"}})}) {
    EXPECT_THAT(RemoteRequestOf(verb, args), StatusIs(absl::StatusCode::kInvalidArgument,
                                                      HasSubstr("on the server itself only")));
  }
  EXPECT_TRUE(IsRemoteVerb("why"));
  EXPECT_FALSE(IsRemoteVerb("doctor"));
}

// Before anything is sent.
TEST(Remote, ATokenIsNeededAndGoesOverTlsOnly) {
  const std::string good = testing::TempDir() + "/remote_token", bad = good + "_bad";
  std::ofstream(good) << "deferd_x\n";
  std::ofstream(bad) << "deferd x\n";
  const auto call = [](const RemoteDaemon& daemon) {
    return CallRemote(daemon, "status", Json::object(), absl::Seconds(1));
  };
  EXPECT_THAT(call({.url = "http://mail.example.net", .token_file = good}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("TLS")));
  EXPECT_THAT(call({.url = "http://localhost.example.net", .token_file = good}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("TLS")));
  // A name and a password for another host.
  EXPECT_THAT(call({.url = "http://localhost:80@other.example", .token_file = good}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("more than a host")));
  EXPECT_THAT(call({.url = "mail.example.net", .token_file = good}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not an address")));
  EXPECT_THAT(call({.url = "https://mail.example.net"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--token-file")));
  EXPECT_THAT(call({.url = "https://mail.example.net", .token_file = "/nowhere"}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere")));
  EXPECT_THAT(call({.url = "https://mail.example.net", .token_file = bad}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a token")));
}

}  // namespace
}  // namespace deferd
