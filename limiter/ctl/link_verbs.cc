#include "limiter/ctl/link_verbs.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/ctl/page_text.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/json.h"

namespace deferd {
namespace {

constexpr absl::Duration kLinkPatience = absl::Seconds(30);

struct LinkArguments {
  VerbOptions options;
  std::string subject;
};

std::string MadePage(const Json& link) {
  return absl::StrCat(Field(link, "link"), "\n\nOpens case ", Field(link, "case"), " of ",
                      Field(link, "subject"), " for whoever has it, until ",
                      ZonedMinute(Field(link, "expires")),
                      ".\nSend it only to an address that the blocked sender cannot read.\n");
}

std::string AllRevokedPage(const Json&) {
  return "revoked: no link that was given out opens anything from now on\n";
}

absl::StatusOr<std::string> CallLink(const LinkArguments& args, Json request,
                                     std::string (*page)(const Json&)) {
  absl::StatusOr<Json> answer = CallDaemon(*args.options.socket, "link", request, kLinkPatience);
  if (!answer.ok()) return answer.status();
  return *args.options.json ? DumpPretty(*answer) : page(*answer);
}

}  // namespace

void AddLinkVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen) {
  auto args = std::make_shared<LinkArguments>();
  args->options = options;
  CLI::App* link = app->add_subcommand("link", "manage the links to owners' pages");
  link->require_subcommand(1);
  link->fallthrough();
  const auto verb = [&](const char* name, const char* help, Verb run) {
    CLI::App* sub = link->add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([chosen, run = std::move(run)] { *chosen = run; });
    return sub;
  };
  CLI::App* make = verb("make", "print a link to the page of a subject's open case", [args] {
    return CallLink(*args, {{"do", "make"}, {"subject", args->subject}}, MadePage);
  });
  make->add_option("SUBJECT", args->subject, "example.com or login:bob@example.com")->required();
  verb("revoke", "revoke all links at once, with a new key", [args] {
    return CallLink(*args, {{"do", "revoke"}}, AllRevokedPage);
  });
}

}  // namespace deferd
