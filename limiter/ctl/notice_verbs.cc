#include "limiter/ctl/notice_verbs.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/localrpc/admin_client.h"

namespace deferd {

namespace {

constexpr absl::Duration kLimit = absl::Seconds(60);  // a test waits for the sink's time-out

struct NoticeArguments {
  VerbOptions options;
  std::string name;
  std::string id;
};

absl::StatusOr<std::string> Call(const NoticeArguments& args, const Json& request,
                                 std::string (*page)(const Json&)) {
  absl::StatusOr<Json> result = CallDaemon(*args.options.socket, "notice", request, kLimit);
  if (!result.ok()) return result.status();
  return *args.options.json ? DumpPretty(*result) : page(*result);
}

// Not as a list of one pair, which compilers take for different things.
Json Request(const char* action, const char* key = nullptr, const std::string& value = "") {
  Json request = Json::object();
  request["do"] = action;
  if (key != nullptr) request[key] = value;
  return request;
}

// "admins delivered, hook pending after 3 attempts: refused".
std::string Deliveries(const Json& notice) {
  std::vector<std::string> items;
  for (const Json& one : At(notice, "deliveries")) {
    const int64_t attempts = Number(one, "attempts");
    const std::string error = Field(one, "error"), state = Field(one, "state");
    std::string item = absl::StrCat(Field(one, "sink"), " ", state);
    if (attempts > 1) absl::StrAppend(&item, " after ", attempts, " attempts");
    if (!error.empty() && state != "delivered") absl::StrAppend(&item, ": ", error);
    items.push_back(std::move(item));
  }
  return items.empty() ? "no sink hears of it" : absl::StrJoin(items, "; ");
}

std::string SentPage(const Json& result) {
  return absl::StrCat("[notice.", Field(result, "sent"), "] accepted a test notice\n");
}

std::string SchemaPage(const Json& result) { return DumpPretty(result); }

std::string RetriedPage(const Json& result) {
  return absl::StrCat(Number(result, "retried"), " tried again now: deferctl notice list\n");
}

}  // namespace

std::string NoticesPage(const Json& notices) {
  if (notices.empty()) return "no notice is kept\n";
  std::string page;
  for (const Json& one : notices) {
    const std::string subject = Field(one, "subject");
    absl::StrAppend(&page, Field(one, "time").substr(0, 16), "Z  ", Field(one, "event"), "  ",
                    subject.empty() ? "this server" : subject, "  [", Field(one, "id"), "]\n    ",
                    Deliveries(one), "\n");
  }
  return page;
}

std::string NoticePage(const Json& notice) {
  return absl::StrCat(NoticesPage(Json::array({notice})), DumpPretty(At(notice, "facts")));
}

void AddNoticeVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen) {
  auto args = std::make_shared<NoticeArguments>();
  args->options = options;
  CLI::App* notice = app->add_subcommand("notice", "show, test and retry notices to people");
  notice->require_subcommand(1);
  notice->fallthrough();
  const auto verb = [&](const char* name, const char* help,
                        std::function<absl::StatusOr<std::string>()> run) {
    CLI::App* sub = notice->add_subcommand(name, help);
    sub->fallthrough();
    sub->callback([chosen, run = std::move(run)] { *chosen = run; });
    return sub;
  };
  verb("test", "send a test notice by one [notice.NAME]",
       [args] { return Call(*args, Request("test", "name", args->name), SentPage); })
      ->add_option("NAME", args->name, "as in deferd.toml")
      ->required();
  verb("list", "list notices and who has heard them",
       [args] { return Call(*args, Request("list"), NoticesPage); });
  verb("show", "show all that is known of one notice",
       [args] { return Call(*args, Request("show", "id", args->id), NoticePage); })
      ->add_option("ID", args->id, "as in notice list")
      ->required();
  verb("schema", "print the JSON schema of an event, for webhooks and commands",
       [args] { return Call(*args, Request("schema"), SchemaPage); });
  verb("retry", "send dead notices again", [args] {
    return Call(*args, Request("retry", "id", args->id), RetriedPage);
  })->add_option("ID", args->id, "one of them; without it, all");
}

}  // namespace deferd
