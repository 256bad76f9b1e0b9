// Any bytes as requests to the API and to the console, without a token and with one: an answer of
// a known code, whose headers are one line each and whose JSON is JSON. Lines of the input are the
// method, path, query, Accept, cookie, Last-Event-ID and content type; the rest is the body.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "exporter/api/form.h"
#include "exporter/api/web_api.h"
#include "exporter/console/console.h"
#include "exporter/exposition.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"
#include "tests/fuzz/fuzzing.h"

namespace deferd {
namespace {

// A server whose daemon gives the arguments back. One for all inputs: its rates are part of it.
class Server {
 public:
  Server() : tokens_(std::make_unique<TokenBook>(TokenFile())) {
    secret_ = *tokens_->Add("all", TokenRole::kAdmin, {}, clock_.Now(), "fuzz");
    narrow_ = *tokens_->Add("one", TokenRole::kViewer, {"a.example"}, clock_.Now(), "fuzz");
  }

  void Ask(HttpRequest request) {
    for (const std::string* secret : {&secret_, &narrow_}) {
      request.authorization = absl::StrCat("Bearer ", *secret);
      request.cookie = Cookie(*secret);
      AskBoth(request);
    }
    request.authorization = request.cookie = request.body;
    AskBoth(request);
  }

 private:
  // The book looks at its file again, so this stays until the end.
  static const std::string& TokenFile() {
    static const auto* const path =
        new std::string(absl::StrCat("/tmp/web_request_fuzz.", getpid()));
    unlink(path->c_str());
    std::atexit([] { unlink(path->c_str()); });
    return *path;
  }
  // Of a session that is logged in.
  std::string Cookie(const std::string& secret) {
    clock_.Advance(absl::Seconds(1));
    const std::string key = CookieOf(console_.Answer({.path = "/login"}));
    return CookieOf(console_.Answer({
        .method = "POST",
        .path = "/login",
        .content_type = "application/x-www-form-urlencoded",
        .body = absl::StrCat("key=", key.substr(key.find('=') + 1), "&token=", secret),
        .cookie = key,
    }));
  }
  static std::string CookieOf(const HttpReply& reply) {
    for (const auto& [name, value] : reply.headers) {
      if (name == "Set-Cookie") return value.substr(0, value.find(';'));
    }
    std::abort();
  }
  void AskBoth(const HttpRequest& request) {
    clock_.Advance(absl::Seconds(1));
    Check(api_.Answer(request));
    Check(console_.Answer(request));
  }
  static void Check(HttpReply reply) {
    if (reply.work) reply = reply.work();
    Require(reply.code >= 200 && reply.code < 600);
    for (const auto& [name, value] : reply.headers) {
      Require(name.find_first_of("\r\n") == std::string::npos);
      Require(value.find_first_of("\r\n") == std::string::npos);
    }
    if (absl::EndsWith(reply.type, "json") && !reply.next) {
      Require(Json::accept(reply.body));
    }
  }

  ManualClock clock_{absl::FromUnixSeconds(1'764'000'000)};
  std::unique_ptr<TokenBook> tokens_;
  std::string secret_, narrow_;
  Caller caller_{[](const std::string& verb, const Json& args,
                    const std::string& person) -> absl::StatusOr<Json> {
    if (args.contains("fail")) return absl::NotFoundError(Dump(args));
    Json one = {{"verb", verb}, {"args", args}, {"person", person}, {"subject", "a.example"}};
    return verb == "why" || verb == "history" || verb == "status" ? one : Json::array({one});
  }};
  WebApi api_{{.tokens = tokens_.get(), .clock = &clock_, .caller = &caller_, .version = "1"}};
  Console console_{{.tokens = tokens_.get(), .clock = &clock_, .caller = &caller_}};
};

// What is read is written and read again alike.
void ReadForm(absl::string_view text) {
  const std::optional<Form> form = Form::Parse(text);
  if (!form.has_value()) return;
  for (const auto& [name, value] : form->fields()) {
    Require(form->Get(name) == value && form->Has(name, value));
    Require(name.find('\0') == std::string::npos && value.find('\0') == std::string::npos);
  }
}

}  // namespace
}  // namespace deferd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static auto* const server = new deferd::Server;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  deferd::ReadForm(bytes);
  std::vector<std::string> lines = absl::StrSplit(bytes, absl::MaxSplits('\n', 7));
  lines.resize(8);
  deferd::WantedExposition(lines[3]);
  server->Ask({.method = lines[0],
               .path = lines[1],
               .query = lines[2],
               .content_type = lines[6],
               .body = lines[7],
               .accept = lines[3],
               .cookie = lines[4],
               .last_event_id = lines[5]});
  return 0;
}
