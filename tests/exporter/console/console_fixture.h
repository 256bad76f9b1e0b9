// A console with tokens of every role and scope over a daemon that answers as it is told.

#ifndef DEFERD_TESTS_EXPORTER_CONSOLE_CONSOLE_FIXTURE_H_
#define DEFERD_TESTS_EXPORTER_CONSOLE_CONSOLE_FIXTURE_H_

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <sstream>
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
    std::filesystem::remove(path_);
    tokens_ = std::make_unique<TokenBook>(path_);
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
                       const std::vector<std::string>& domains = {},
                       absl::Time expires = absl::InfiniteFuture()) {
    return *tokens_->Add(name, role, domains, clock_.Now(), "test", expires);
  }

  HttpReply Answer(HttpRequest request) {
    clock_.Advance(absl::Seconds(1));  // no test but that of the rate is about the rate
    HttpReply reply = console_->Answer(request);
    return reply.work ? reply.work() : reply;
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
  // What a browser sends back of a reply's cookie.
  static std::string CookieOf(const HttpReply& reply) {
    const std::string set = HeaderOf(reply, "Set-Cookie");
    return set.substr(0, set.find(';'));
  }
  // Sends the log-in's form as a browser that has just loaded it.
  HttpReply SendLogin(const std::string& fields, bool secure = false,
                      const std::string& more_cookies = "") {
    const std::string cookie = CookieOf(Answer({.path = "/login", .secure = secure}));
    return Answer({.method = "POST",
                   .path = "/login",
                   .content_type = "application/x-www-form-urlencoded",
                   .body = absl::StrCat("key=", cookie.substr(cookie.find('=') + 1), "&", fields),
                   .cookie = absl::StrCat(cookie, more_cookies),
                   .secure = secure});
  }
  // The session's cookie; "" if the token was refused.
  std::string Login(const std::string& secret) {
    return CookieOf(SendLogin(absl::StrCat("token=", EscapeUrl(secret))));
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

  // The file of tokens, as somebody with an editor sees it.
  std::string TokensText() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  void PutTokensText(const std::string& text) const {
    std::ofstream(path_ + ".edited") << text;
    std::filesystem::rename(path_ + ".edited", path_);
  }
  void EditTokens(const std::function<void(Json*)>& edit) const {
    Json file = Json::parse(TokensText());
    for (Json& token : file["tokens"]) edit(&token);
    PutTokensText(file.dump());
  }

  const std::string path_ = testing::TempDir() + "/console_tokens.json";
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
