// A console with tokens of every role and scope over a daemon that answers as it is told.

#ifndef DEFERD_TESTS_EXPORTER_CONSOLE_CONSOLE_FIXTURE_H_
#define DEFERD_TESTS_EXPORTER_CONSOLE_CONSOLE_FIXTURE_H_

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/console/console.h"
#include "exporter/console/html.h"
#include "limiter/port/clock.h"
#include "tests/status_matchers.h"

namespace deferd {

class ConsoleFixture : public testing::Test {
 protected:
  ConsoleFixture() {
    const std::string path = testing::TempDir() + "/console_tokens.json";
    std::filesystem::remove(path);
    tokens_ = *TokenBook::Load(path);
    caller_ = std::make_unique<Caller>([this](const std::string& verb, const Json& args,
                                              const std::string& person) -> absl::StatusOr<Json> {
      called_.push_back({verb, args, person});
      const auto answer = answers_.find(verb);
      if (answer != answers_.end()) return answer->second;
      return verb == "why" || verb == "history" || verb == "status" ? Json::object()
                                                                    : Json::array();
    });
    console_ = std::make_unique<Console>(
        Console::Parts{.tokens = tokens_.get(), .clock = &clock_, .caller = caller_.get()});
  }

  std::string AddToken(absl::string_view name, TokenRole role,
                       const std::vector<std::string>& domains = {}) {
    return *tokens_->Add(name, role, domains, clock_.Now(), "test");
  }

  HttpReply Answer(HttpRequest request) {
    clock_.Advance(absl::Seconds(1));  // no test but that of the rate is about the rate
    return console_->Answer(request);
  }
  HttpReply Post(const std::string& path, const std::string& body, const std::string& cookie = "") {
    return Answer({.method = "POST",
                   .path = path,
                   .content_type = "application/x-www-form-urlencoded",
                   .body = body,
                   .cookie = cookie});
  }
  static std::string HeaderOf(const HttpReply& reply, absl::string_view name) {
    for (const auto& [key, value] : reply.headers) {
      if (key == name) return value;
    }
    return "";
  }
  // The cookie as a browser sends it back; "" if the token was refused.
  std::string Login(const std::string& secret) {
    const std::string set =
        HeaderOf(Post("/login", absl::StrCat("token=", EscapeUrl(secret))), "Set-Cookie");
    return set.substr(0, set.find(';'));
  }
  std::string PageText(const std::string& cookie, const std::string& path,
                       const std::string& query = "") {
    return Answer({.path = path, .query = query, .cookie = cookie}).body;
  }
  // What the forms of the session carry.
  std::string Csrf(const std::string& cookie) {
    const std::string page = PageText(cookie, "/");
    const std::string before = "name=\"csrf\" value=\"";
    const size_t at = page.find(before);
    if (at == std::string::npos) return "";
    const size_t begin = at + before.size();
    return page.substr(begin, page.find('"', begin) - begin);
  }

  struct Called {
    std::string verb;
    Json args;
    std::string person;
  };
  ManualClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  std::unique_ptr<TokenBook> tokens_;
  std::vector<Called> called_;
  std::map<std::string, absl::StatusOr<Json>> answers_;  // by verb
  std::unique_ptr<Caller> caller_;
  std::unique_ptr<Console> console_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_EXPORTER_CONSOLE_CONSOLE_FIXTURE_H_
