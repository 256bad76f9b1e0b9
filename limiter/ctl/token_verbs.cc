#include "limiter/ctl/token_verbs.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/ctl/page_text.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"

namespace deferd {
namespace {

constexpr absl::Duration kTokenPatience = absl::Seconds(30);

struct TokenArguments {
  VerbOptions options;
  std::string name;
  std::string role = "viewer";
  std::vector<std::string> domains;
  std::string expires;
};

std::string ExpiryText(const Json& token) {
  const std::string expires = Field(token, "expires");
  if (expires.empty()) return "never";
  return At(token, "expired") == true ? absl::StrCat("expired ", ZonedMinute(expires))
                                      : ZonedMinute(expires);
}

std::string DomainsOf(const Json& token) {
  std::vector<std::string> names;
  for (const Json& domain : At(token, "domains")) {
    if (domain.is_string()) names.push_back(domain.get<std::string>());
  }
  return names.empty() ? "all" : absl::StrJoin(names, ",");
}

std::string AddedPage(const Json& token) {
  return absl::StrCat(Field(token, "token"), "\n\nThis is the token ", Field(token, "name"),
                      ", role ", Field(token, "role"), ", domains: ", DomainsOf(token),
                      ", expires: ", ExpiryText(token),
                      ".\nCopy it now: deferd stores only a hash of it. Clients send it as\n"
                      "  Authorization: Bearer TOKEN\n");
}

std::string ListPage(const Json& tokens) {
  if (tokens.empty()) return "no tokens\n";
  std::vector<std::vector<std::string>> rows = {
      {"NAME", "ROLE", "CREATED", "EXPIRES", "BY", "DOMAINS"}};
  for (const Json& one : tokens) {
    rows.push_back({Field(one, "name"), Field(one, "role"), Field(one, "created"), ExpiryText(one),
                    Field(one, "by"), DomainsOf(one)});
  }
  return Table(rows);
}

std::string RevokedPage(const Json& token) {
  return absl::StrCat("revoked ", Field(token, "name"), "; it is refused from now on\n");
}

absl::StatusOr<std::string> Call(const TokenArguments& args, const char* what, Json request,
                                 std::string (*page)(const Json&)) {
  request["do"] = what;
  absl::StatusOr<Json> answer = CallDaemon(*args.options.socket, "token", request, kTokenPatience);
  if (!answer.ok()) return answer.status();
  return *args.options.json ? DumpPretty(*answer) : page(*answer);
}

}  // namespace

void AddTokenVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen) {
  auto args = std::make_shared<TokenArguments>();
  args->options = options;
  CLI::App* token = app->add_subcommand("token", "manage the tokens of the HTTP API");
  token->require_subcommand(1);
  token->fallthrough();
  const auto verb = [&](const char* name, const char* help, Verb run) {
    CLI::App* sub = token->add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([chosen, run = std::move(run)] { *chosen = run; });
    return sub;
  };
  // A list that holds nothing is a mistake in a script, and must not give a token for everybody.
  auto named = std::make_shared<CLI::Option*>(nullptr);
  CLI::App* add = verb("add", "create a token and print it once", [args, named] {
    if ((*named)->count() > 0 && args->domains.empty()) {
      return absl::StatusOr<std::string>(
          absl::InvalidArgumentError("--domains: names no domain; leave it out for all"));
    }
    return Call(*args, "add",
                {{"name", args->name},
                 {"role", args->role},
                 {"domains", args->domains},
                 {"expires", MeantTime(args->expires)}},
                AddedPage);
  });
  add->add_option("NAME", args->name, "shown in the record of what was done with the token")
      ->required();
  add->add_option("--role", args->role,
                  "viewer (reads), support (may unblock and release) or admin")
      ->capture_default_str()
      ->check(CLI::IsMember({"viewer", "support", "admin"}));
  *named = add->add_option("--domains", args->domains,
                           "only these domains, separated by commas; default: all")
               ->delimiter(',');
  add->add_option("--expires", args->expires,
                  "refused from then on: 90d from now, or 2027-01-31; default: never");
  verb("list", "list the tokens", [args] { return Call(*args, "list", Json::object(), ListPage); });
  CLI::App* revoke = verb("revoke", "end a token at once", [args] {
    return Call(*args, "revoke", {{"name", args->name}}, RevokedPage);
  });
  revoke->add_option("NAME", args->name, "as in token list")->required();
}

}  // namespace deferd
