// Who gets in, what a form needs, and what surrounds every page.

#include "exporter/console/console.h"

#include <string>

#include "tests/exporter/console/console_fixture.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

using ConsoleTest = ConsoleFixture;

constexpr const char* kPaths[] = {"/",        "/subject", "/track",        "/track.csv",
                                  "/message", "/queue",   "/destinations", "/explain",
                                  "/policy",  "/live",    "/nothing"};

TEST_F(ConsoleTest, ShowsNothingToStrangers) {
  for (const char* path : kPaths) {
    for (const char* cookie : {"", "deferd_session=", "deferd_session=x", "x"}) {
      const HttpReply reply = Answer({.path = path, .cookie = cookie});
      EXPECT_EQ(reply.code, 303) << path;
      EXPECT_EQ(HeaderOf(reply, "Location"), "/login");
    }
  }
  EXPECT_EQ(Post("/act", "do=flush").code, 303);
  EXPECT_TRUE(called_.empty());
}

TEST_F(ConsoleTest, TheCookieIsForThisSiteAlone) {
  const std::string secret = AddToken("desk", TokenRole::kViewer);
  const HttpReply plain = SendLogin("token=" + EscapeUrl(secret));
  EXPECT_EQ(plain.code, 303);
  const std::string cookie = HeaderOf(plain, "Set-Cookie");
  EXPECT_THAT(cookie, HasSubstr("; Path=/; HttpOnly; SameSite=Strict"));
  EXPECT_THAT(cookie, Not(HasSubstr("Secure")));
  EXPECT_THAT(cookie, Not(HasSubstr(secret)));
  const HttpReply tls = SendLogin("token=" + EscapeUrl(secret), /*secure=*/true);
  EXPECT_THAT(HeaderOf(tls, "Set-Cookie"), HasSubstr("__Host-deferd_session="));
  EXPECT_THAT(HeaderOf(tls, "Set-Cookie"), HasSubstr("; Secure"));
}

TEST_F(ConsoleTest, ASessionEnds) {
  const std::string secret = AddToken("desk", TokenRole::kViewer);
  const auto is_in = [&](const std::string& cookie) {
    return Answer({.path = "/", .cookie = cookie}).code == 200;
  };
  std::string cookie = Login(secret);
  EXPECT_TRUE(is_in(cookie));
  clock_.Advance(Sessions::kIdle);
  EXPECT_FALSE(is_in(cookie)) << "idle";
  cookie = Login(secret);
  for (absl::Duration used; used < Sessions::kLongest; used += absl::Minutes(30)) {
    clock_.Advance(absl::Minutes(30));
    if (used < Sessions::kLongest - absl::Hours(1)) {
      EXPECT_TRUE(is_in(cookie));
    }
  }
  EXPECT_FALSE(is_in(cookie)) << "however busy";
  cookie = Login(secret);
  EXPECT_EQ(Post("/logout", "csrf=" + Csrf(cookie), cookie).code, 303);
  EXPECT_FALSE(is_in(cookie)) << "logged out";
  cookie = Login(secret);
  ASSERT_THAT(tokens_->Revoke("desk"), IsOk());
  EXPECT_FALSE(is_in(cookie)) << "revoked";
}

TEST_F(ConsoleTest, FailuresAreSlowedDownAndStopNoToken) {
  const std::string secret = AddToken("desk", TokenRole::kViewer);
  const std::string login = CookieOf(Answer({.path = "/login"}));
  const auto refused = [&](const std::string& guess) {
    int count = 0;
    for (int i = 0; i < 100; ++i) {
      const std::string token = guess.empty() ? absl::StrCat("deferd_", i) : guess;
      count += console_
                   ->Answer({.method = "POST",
                             .path = "/login",
                             .content_type = "application/x-www-form-urlencoded",
                             .body = absl::StrCat("key=", login.substr(login.find('=') + 1),
                                                  "&token=", token),
                             .cookie = login})
                   .code == 429;
    }
    return count;
  };
  EXPECT_GE(refused("deferd_old"), 95) << "one that was revoked";
  const int others = refused("");
  EXPECT_GE(others, 85);
  EXPECT_LT(others, 99) << "the one did not use up what others have";
  EXPECT_NE(Login(secret), "");
}

// Another site could log a reader in to a session of its author, and read what he does there.
TEST_F(ConsoleTest, ALogInIsOfTheFormThatWasLoaded) {
  const std::string body = "token=" + EscapeUrl(AddToken("desk", TokenRole::kAdmin));
  EXPECT_EQ(Post("/login", body).code, 403);
  EXPECT_EQ(Post("/login", body + "&key=").code, 403);
  EXPECT_EQ(Post("/login", body + "&key=", "deferd_login=").code, 403);
  EXPECT_EQ(Post("/login", body + "&key=x", "deferd_login=y").code, 403);
  EXPECT_EQ(Post("/login", body + "&key=x", "deferd_session=x").code, 403);
  EXPECT_EQ(SendLogin(body).code, 303);
}

TEST_F(ConsoleTest, ALogInEndsTheSessionBeforeAndTakesNoneThatIsBrought) {
  const std::string fields = "token=" + EscapeUrl(AddToken("desk", TokenRole::kAdmin));
  const std::string first = Login(fields.substr(6));
  const auto is_in = [&](const std::string& cookie) {
    return Answer({.path = "/policy", .cookie = cookie}).code == 200;
  };
  ASSERT_TRUE(is_in(first));
  const std::string second = CookieOf(SendLogin(fields, false, "; " + first));
  EXPECT_NE(first, second);
  EXPECT_FALSE(is_in(first));
  EXPECT_TRUE(is_in(second));
  EXPECT_NE(CookieOf(SendLogin(fields, false, "; deferd_session=mine")), "deferd_session=mine");
}

TEST_F(ConsoleTest, EveryFormIsRefusedFromElsewhere) {
  const std::string cookie = Login(AddToken("desk", TokenRole::kAdmin));
  const std::string csrf = Csrf(cookie);
  called_.clear();
  const struct {
    const char *site, *origin;
    bool own;
  } kCases[] = {{"cross-site", "", false},
                {"same-site", "https://deferd.example", false},
                {"same-origin", "https://deferd.example", true},
                {"", "https://deferd.example", true},
                {"", "https://deferd.example:443", true},
                {"", "https://DEFERD.example", true},
                {"", "", true},
                {"", "null", false},
                {"", "https://evil.example", false},
                {"", "https://deferd.example.evil.example", false},
                {"", "https://deferd.example:8443", false},
                {"", "file://deferd.example", false}};
  for (const auto& one : kCases) {
    for (const char* path : {"/act", "/login", "/logout", "/nothing"}) {
      if (one.own && std::string(path) == "/logout") continue;  // ends the session
      const HttpReply reply = Answer({.method = "POST",
                                      .path = path,
                                      .content_type = "application/x-www-form-urlencoded",
                                      .body = "do=flush&csrf=" + csrf,
                                      .cookie = cookie,
                                      .fetch_site = one.site,
                                      .origin = one.origin,
                                      .host = "deferd.example"});
      const bool refused = reply.body == "this form is not a form of this console\n";
      EXPECT_EQ(refused, !one.own) << path << " " << one.site << " " << one.origin;
    }
  }
}

TEST_F(ConsoleTest, AnExpiredTokenEndsItsSessionsAndLivePages) {
  const std::string secret =
      AddToken("desk", TokenRole::kAdmin, {}, clock_.Now() + absl::Minutes(30));
  const std::string cookie = Login(secret);
  const HttpReply live = Answer({.path = "/live", .cookie = cookie});
  ASSERT_TRUE(live.next);
  EXPECT_TRUE(live.next().has_value());
  EXPECT_EQ(Answer({.path = "/", .cookie = cookie}).code, 200);
  clock_.Advance(absl::Minutes(30));
  EXPECT_FALSE(live.next().has_value());
  EXPECT_EQ(Answer({.path = "/", .cookie = cookie}).code, 303);
  const HttpReply login = SendLogin("token=" + EscapeUrl(secret));
  EXPECT_EQ(login.code, 401);
  EXPECT_THAT(login.body, HasSubstr("has expired"));
}

TEST_F(ConsoleTest, ATokenEndsItsSessionsAndLivePagesAtOnce) {
  for (const char* how : {"revoked", "less", "fewer"}) {
    const std::string secret = AddToken(how, TokenRole::kAdmin);
    const std::string cookie = Login(secret),
                      other = Login(AddToken(absl::StrCat(how, "2"), TokenRole::kViewer));
    const HttpReply live = Answer({.path = "/live", .cookie = cookie});
    ASSERT_TRUE(live.next);
    EXPECT_TRUE(live.next().has_value());
    if (std::string(how) == "revoked") {
      ASSERT_THAT(tokens_->Revoke(how), IsOk());
    } else {
      EditTokens([&](Json* token) {
        if ((*token)["name"] != how) return;
        if (std::string(how) == "less") (*token)["role"] = "viewer";
        if (std::string(how) == "fewer") (*token)["domains"] = Json::array({"a.example"});
      });
    }
    EXPECT_FALSE(live.next().has_value()) << how;
    EXPECT_EQ(Answer({.path = "/", .cookie = cookie}).code, 303) << how;
    EXPECT_EQ(Answer({.path = "/", .cookie = other}).code, 200) << how;
  }
}

TEST_F(ConsoleTest, ASessionDoesNotComeBackWithItsToken) {
  const std::string cookie = Login(AddToken("desk", TokenRole::kAdmin));
  const std::string before = TokensText();
  ASSERT_THAT(tokens_->Revoke("desk"), IsOk());
  EXPECT_EQ(Answer({.path = "/login"}).code, 200);
  PutTokensText(before);  // a backup
  EXPECT_EQ(Answer({.path = "/", .cookie = cookie}).code, 303);
}

TEST_F(ConsoleTest, WithoutTokensItSaysThatNobodyGetsIn) {
  const std::string cookie = Login(AddToken("desk", TokenRole::kAdmin));
  const std::string before = TokensText();
  PutTokensText("{");
  for (const char* path : {"/", "/login", "/subject"}) {
    EXPECT_EQ(Answer({.path = path, .cookie = cookie}).code, 503) << path;
  }
  EXPECT_EQ(SendLogin("token=x").code, 503);
  PutTokensText(before);
  EXPECT_EQ(Answer({.path = "/", .cookie = cookie}).code, 200) << "and all is as it was";
}

TEST_F(ConsoleTest, OneTokenCannotEndTheSessionsOfOthers) {
  const std::string other = Login(AddToken("other", TokenRole::kViewer));
  const std::string secret = AddToken("desk", TokenRole::kViewer);
  for (size_t i = 0; i < Sessions::kMaxOfOne + 5; ++i) ASSERT_NE(Login(secret), "");
  EXPECT_EQ(Answer({.path = "/", .cookie = other}).code, 200);
}

TEST_F(ConsoleTest, AFormIsOfItsSession) {
  const std::string cookie = Login(AddToken("desk", TokenRole::kAdmin));
  const std::string other = Login(AddToken("other", TokenRole::kAdmin));
  const std::string block = "&do=block&subject=a.example&for=1h&reason=spam";
  called_.clear();
  EXPECT_EQ(Post("/act", block.substr(1), cookie).code, 403) << "none";
  EXPECT_EQ(Post("/act", "csrf=" + block, cookie).code, 403) << "empty";
  const std::string others = Csrf(other), own = Csrf(cookie);
  ASSERT_NE(own, others);
  called_.clear();
  EXPECT_EQ(Post("/act", "csrf=" + others + block, cookie).code, 403) << "another session's";
  EXPECT_EQ(Post("/logout", "csrf=" + others, cookie).code, 403) << "another session's";
  EXPECT_EQ(
      Answer({.method = "GET", .path = "/act", .query = "csrf=" + own + block, .cookie = cookie})
          .code,
      404)
      << "a link";
  for (const char* site : {"cross-site", "same-site"}) {
    EXPECT_EQ(Answer({.method = "POST",
                      .path = "/act",
                      .content_type = "application/x-www-form-urlencoded",
                      .body = "csrf=" + own + block,
                      .cookie = cookie,
                      .fetch_site = site})
                  .code,
              403);
  }
  EXPECT_EQ(Answer({.method = "POST",
                    .path = "/act",
                    .content_type = "text/plain",
                    .body = "csrf=" + own + block,
                    .cookie = cookie})
                .code,
            403);
  EXPECT_TRUE(called_.empty());
  EXPECT_EQ(Post("/act", "csrf=" + own + block, cookie).code, 303);
  ASSERT_EQ(called_.size(), 1u);
  EXPECT_EQ(called_[0].verb, "block");
  EXPECT_EQ(called_[0].args["subject"], "a.example");
  EXPECT_EQ(called_[0].person, "token:desk");
}

TEST_F(ConsoleTest, EveryActAsksTheApiWhoMay) {
  const struct {
    std::string form;
    TokenRole least;
    bool scoped;
  } kActs[] = {{"do=unblock&subject=a.example", TokenRole::kSupport, true},
               {"do=block&subject=a.example&for=1h&reason=x", TokenRole::kAdmin, true},
               {"do=exempt&subject=a.example&for=24h&reason=x", TokenRole::kAdmin, false},
               {"do=unexempt&subject=a.example", TokenRole::kAdmin, false},
               {"do=release&subject=a.example", TokenRole::kSupport, false},
               {"do=requeue&id=1abc-000", TokenRole::kSupport, false},
               {"do=flush", TokenRole::kSupport, false},
               {"do=reload", TokenRole::kAdmin, false}};
  for (TokenRole role : {TokenRole::kViewer, TokenRole::kSupport, TokenRole::kAdmin}) {
    for (bool scoped : {false, true}) {
      const std::string name =
          absl::StrCat(std::string(TokenRoleName(role)), scoped ? "-scoped" : "");
      const std::string cookie = Login(AddToken(
          name, role, scoped ? std::vector<std::string>{"a.example"} : std::vector<std::string>{}));
      const std::string csrf = Csrf(cookie);
      for (const auto& act : kActs) {
        called_.clear();
        const int code = Post("/act", absl::StrCat("csrf=", csrf, "&", act.form), cookie).code;
        const bool may = role >= act.least && (act.scoped || !scoped);
        EXPECT_EQ(code, may ? 303 : 403) << name << " " << act.form;
        EXPECT_EQ(called_.size(), may ? 1u : 0u) << name << " " << act.form;
      }
    }
  }
}

TEST_F(ConsoleTest, NothingFromElsewhereRunsInAPage) {
  const std::string cookie = Login(AddToken("desk", TokenRole::kAdmin));
  for (const char* path : kPaths) {
    const HttpReply reply = Answer({.path = path, .cookie = cookie});
    const std::string policy = HeaderOf(reply, "Content-Security-Policy");
    EXPECT_THAT(policy, HasSubstr("default-src 'none'")) << path;
    EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'")) << path;
    EXPECT_THAT(policy, Not(HasSubstr("unsafe"))) << path;
    for (const char* inline_code : {"<script>", " onclick", " style=", "<style"}) {
      EXPECT_THAT(reply.body, Not(HasSubstr(inline_code))) << path;
    }
  }
}

TEST_F(ConsoleTest, AZoneIsANameAlone) {
  const std::string secret = AddToken("desk", TokenRole::kViewer);
  const auto zone_of = [&](const std::string& zone) {
    return PageText(CookieOf(SendLogin(absl::StrCat("token=", EscapeUrl(secret), "&zone=", zone))),
                    "/");
  };
  EXPECT_THAT(zone_of("Asia%2FTokyo"), HasSubstr("Times in JST"));
  for (const char* odd : {"", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "file%3Ax", "Nowhere"}) {
    EXPECT_THAT(zone_of(odd), HasSubstr("Times in UTC")) << odd;
  }
}

}  // namespace
}  // namespace deferd
