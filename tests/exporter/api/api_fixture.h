// An API with tokens of every role and scope, and a daemon that notes what it is asked.

#ifndef DEFERD_TESTS_EXPORTER_API_API_FIXTURE_H_
#define DEFERD_TESTS_EXPORTER_API_API_FIXTURE_H_

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "exporter/api/web_api.h"
#include "limiter/port/clock.h"
#include "tests/status_matchers.h"

namespace deferd {

class ApiFixture : public testing::Test {
 protected:
  ApiFixture() {
    const std::string path = testing::TempDir() + "/api_tokens.json";
    std::filesystem::remove(path);
    tokens_ = std::make_unique<TokenBook>(path);
    caller_ = std::make_unique<Caller>(
        [this](const std::string& verb, const Json& args, const std::string& person) {
          called_.push_back({verb, args, person});
          return answer_;
        });
    api_ = std::make_unique<WebApi>(WebApi::Parts{
        .tokens = tokens_.get(), .clock = &clock_, .caller = caller_.get(), .version = "1.2"});
  }

  std::string AddToken(absl::string_view name, TokenRole role,
                       const std::vector<std::string>& domains = {},
                       absl::Time expires = absl::InfiniteFuture()) {
    return *tokens_->Add(name, role, domains, clock_.Now(), "test", expires);
  }

  HttpReply Ask(const std::string& secret, const std::string& method, const std::string& path,
                const std::string& query = "", const std::string& body = "") {
    clock_.Advance(absl::Seconds(1));  // no test but that of the rate is about the rate
    return Done(
        api_->Answer({.method = method,
                      .path = absl::StrCat(kApiRoot, path),
                      .query = query,
                      .authorization = secret.empty() ? "" : absl::StrCat("Bearer ", secret),
                      .content_type = method == "POST" ? "application/json" : "",
                      .body = body}));
  }
  // With the work done that the server leaves to another thread.
  static HttpReply Done(HttpReply reply) { return reply.work ? reply.work() : reply; }
  static Json JsonOf(const HttpReply& reply) {
    return Json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
  }

  struct Called {
    std::string verb;
    Json args;
    std::string person;
  };
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  std::unique_ptr<TokenBook> tokens_;
  std::vector<Called> called_;
  absl::StatusOr<Json> answer_ = Json::object();
  std::unique_ptr<Caller> caller_;
  std::unique_ptr<WebApi> api_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_EXPORTER_API_API_FIXTURE_H_
