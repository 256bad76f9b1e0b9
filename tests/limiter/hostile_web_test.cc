// The table of hostile strings through the API's JSON, and the console's pages and CSV.

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "exporter/api/web_api.h"
#include "exporter/console/console.h"
#include "exporter/console/html.h"
#include "re2/re2.h"
#include "tests/limiter/hostile_fixture.h"

namespace deferd {
namespace {

// The mark-up of a page: every tag with the names of its attributes. Attributes must be quoted, and
// a '<' must begin a tag; otherwise the text is among the tags.
std::set<std::string> TagsOf(absl::string_view page) {
  static const RE2* const kTag = new RE2(
      R"(<(/?[a-z][a-z0-9]*|!(?i:doctype) html)((?: [-a-zA-Z0-9:]+(?:="[^"<>]*")?)*) ?/?>)");
  static const RE2* const kValue = new RE2(R"(="[^"<>]*")");
  std::set<std::string> tags;
  for (size_t at = page.find('<'); at != absl::string_view::npos; at = page.find('<', at)) {
    re2::StringPiece rest(page.data() + at, page.size() - at);
    std::string name, attributes;
    if (!RE2::Consume(&rest, *kTag, &name, &attributes)) {
      tags.insert(absl::StrCat("no tag: ", page.substr(at, 80)));
      return tags;
    }
    RE2::GlobalReplace(&attributes, *kValue, "");
    tags.insert(name + attributes);
    at = page.size() - rest.size();
  }
  return tags;
}

// The rows of a CSV file as a spreadsheet reads it.
std::vector<std::vector<std::string>> RowsOf(absl::string_view csv) {
  std::vector<std::vector<std::string>> rows(1, std::vector<std::string>(1));
  bool quoted = false;
  for (size_t i = 0; i < csv.size(); ++i) {
    std::string& cell = rows.back().back();
    if (csv[i] == '"' && quoted && i + 1 < csv.size() && csv[i + 1] == '"') {
      cell.push_back(csv[++i]);
    } else if (csv[i] == '"') {
      quoted = !quoted;
    } else if (csv[i] == ',' && !quoted) {
      rows.back().emplace_back();
    } else if (csv[i] == '\n' && !quoted) {
      rows.emplace_back(1);
    } else if (csv[i] != '\r' || quoted) {
      cell.push_back(csv[i]);
    }
  }
  if (rows.back() == std::vector<std::string>(1)) rows.pop_back();
  return rows;
}

class HostileWebTest : public HostileTest {
 protected:
  HostileWebTest()
      : caller_([this](const std::string& verb, const Json& args, const std::string&) {
          return api_.Handle(verb, args, {.uid = 0});
        }) {
    const std::string path = testing::TempDir() + "/hostile_tokens.json";
    std::filesystem::remove(path);
    tokens_ = std::make_unique<TokenBook>(path);
    secret_ = *tokens_->Add("all", TokenRole::kAdmin, {}, clock_.Now(), "test");
    web_ = std::make_unique<WebApi>(WebApi::Parts{
        .tokens = tokens_.get(), .clock = &clock_, .caller = &caller_, .version = "1"});
    console_ = std::make_unique<Console>(
        Console::Parts{.tokens = tokens_.get(), .clock = &clock_, .caller = &caller_});
    const std::string key = CookieOf(console_->Answer({.path = "/login"}));
    cookie_ = CookieOf(Done(console_->Answer({
        .method = "POST",
        .path = "/login",
        .content_type = "application/x-www-form-urlencoded",
        .body = absl::StrCat("key=", key.substr(key.find('=') + 1), "&token=", secret_),
        .cookie = key,
    })));
  }

  HttpReply Api(const std::string& method, const std::string& path, const std::string& query,
                const std::string& body) {
    return Checked(web_->Answer({.method = method,
                                 .path = absl::StrCat(kApiRoot, path),
                                 .query = query,
                                 .authorization = absl::StrCat("Bearer ", secret_),
                                 .content_type = method == "POST" ? "application/json" : "",
                                 .body = body}));
  }
  HttpReply Page(const std::string& path, const std::string& query) {
    return Checked(console_->Answer({.path = path, .query = query, .cookie = cookie_}));
  }
  static HttpReply Done(HttpReply reply) { return reply.work ? reply.work() : reply; }
  static std::string CookieOf(const HttpReply& reply) {
    for (const auto& [name, value] : reply.headers) {
      if (name == "Set-Cookie") return value.substr(0, value.find(';'));
    }
    return "";
  }
  HttpReply Checked(HttpReply reply) {
    reply = Done(std::move(reply));
    clock_.Advance(absl::Milliseconds(100));  // a token may ask 20 times a second
    for (const auto& [name, value] : reply.headers) {
      EXPECT_EQ(WhyUnsafe(value, /*lines=*/false), "") << name;
    }
    EXPECT_NE(reply.code, 429);
    EXPECT_NE(reply.code, 500) << reply.body;
    return reply;
  }

  Caller caller_;
  std::unique_ptr<TokenBook> tokens_;
  std::string secret_, cookie_;
  std::unique_ptr<WebApi> web_;
  std::unique_ptr<Console> console_;
};

TEST_P(HostileWebTest, TheApiSaysJsonAndItsOwnFieldsAlone) {
  const std::string login = EscapeUrl(absl::StrCat("login:", hostile_, "@a.example"));
  const std::string word = EscapeUrl(hostile_);
  int answered = 0;
  for (const Resource& one : Resources()) {
    const bool post = absl::string_view(one.method) == "POST";
    for (const std::string& subject : {std::string("a.example"), login, word}) {
      const std::string path = absl::StrReplaceAll(one.path, {{"{subject}", subject}});
      if (!one.names_subject() && subject != word) continue;
      std::string query;
      Json body = Json::object();
      for (const Parameter& parameter : one.parameters) {
        const bool whole = parameter.type == ParameterType::kWhole;
        if (parameter.type == ParameterType::kFlag) continue;
        body[parameter.name] = whole ? Json(1) : Json(hostile_);
        absl::StrAppend(&query, query.empty() ? "" : "&", parameter.name, "=", whole ? "1" : word);
      }
      for (const bool bare : {true, false}) {
        const HttpReply reply = Api(one.method, path, post || bare ? "" : query,
                                    post ? (bare ? std::string("{}") : Dump(body)) : "");
        if (reply.next) continue;  // events: each is a line of the journal's table
        const std::string name = absl::StrCat(one.method, " ", path.substr(0, 200));
        EXPECT_EQ(WhyUnsafe(reply.body), "") << name;
        const Json json = Json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
        EXPECT_FALSE(json.is_discarded()) << name;
        EXPECT_FALSE(json.contains(kForged)) << name;
        if (reply.code == 200) ++answered;
      }
    }
  }
  EXPECT_GE(answered, 5);
}

TEST_P(HostileWebTest, APageHasTheConsolesTagsAlone) {
  const std::string login = EscapeUrl(absl::StrCat("login:", hostile_, "@a.example"));
  const std::string word = EscapeUrl(hostile_);
  const std::pair<std::string, std::string> kPages[] = {
      {"/", ""},
      {"/subject", "name=a.example"},
      {"/subject", "name=person.example"},
      {"/subject", "name=over.example"},
      {"/subject", absl::StrCat("name=", login)},
      {"/subject", absl::StrCat("name=", word)},
      {"/track", "subject=a.example"},
      {"/track",
       absl::StrCat("recipient=", word, "&class=", word, "&host=", word, "&since=", word)},
      {"/message", "id=1tXXXX-00000000001-aaaa"},
      {"/message", absl::StrCat("id=", word)},
      {"/queue", absl::StrCat("sender=", word)},
      {"/destinations", ""},
      {"/explain", absl::StrCat("text=", word)},
      {"/policy", ""},
      {absl::StrCat("/", word), ""},
  };
  // What no hostile string may add to: inline script, style, frames, and handlers.
  static const RE2* const kForbidden = new RE2(
      R"(^no tag|^/?(?:img|iframe|object|embed|base|style|link .*onload)| (?:on[a-z]+|style|srcdoc)(?: |$))");
  int pages = 0;
  for (const auto& [path, query] : kPages) {
    SCOPED_TRACE(absl::StrCat(path.substr(0, 100), "?", query.substr(0, 200)));
    const HttpReply reply = Page(path, query);
    std::string lines = reply.body;
    // The policy's text is edited there, line by line.
    if (path == "/policy") RE2::GlobalReplace(&lines, R"((?s)<textarea.*</textarea>)", "");
    EXPECT_EQ(WhyUnsafe(lines), "");
    if (!absl::StartsWith(reply.type, "text/html")) continue;
    ++pages;
    for (const std::string& tag : TagsOf(reply.body)) {
      EXPECT_FALSE(RE2::PartialMatch(tag, *kForbidden)) << tag;
      if (absl::StartsWith(tag, "script")) {
        EXPECT_THAT(tag, testing::HasSubstr(" src")) << tag;
      }
    }
  }
  EXPECT_GE(pages, 13);
}

TEST_P(HostileWebTest, ACsvFileHasItsRowsAndNoFormula) {
  const HttpReply reply = Page("/track.csv", "since=24h");
  ASSERT_EQ(reply.code, 200);
  const std::vector<std::vector<std::string>> rows = RowsOf(reply.body);
  ASSERT_GE(rows.size(), 2u);
  for (const std::vector<std::string>& row : rows) {
    EXPECT_EQ(row.size(), rows[0].size());
    for (const std::string& cell : row) {
      EXPECT_EQ(WhyUnsafe(cell, /*lines=*/false), "");
      // Spreadsheets skip blanks.
      const size_t first = cell.find_first_not_of(" \t");
      if (first == std::string::npos) continue;
      EXPECT_EQ(absl::string_view("=+-@").find(cell[first]), absl::string_view::npos) << cell;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Strings, HostileWebTest, testing::ValuesIn(HostileStrings()),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace deferd
