#include "limiter/ctl/queue_verbs.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/ctl/page_text.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/clock.h"
#include "limiter/queue/mail_queue.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kQueuePatience = absl::Seconds(40);
constexpr size_t kAtOnce = 50;  // messages of one request, which is a line

struct QueueArguments {
  VerbOptions options;
  std::string subject, sender, mail_subject, since, by, id, address;
  std::string helper;  // empty: the one that listed the message
  bool dry_run = false, held = false;

  Json Choice() const {
    return {{"subject", subject},        {"sender", sender}, {"mail_subject", mail_subject},
            {"since", MeantTime(since)}, {"id", id},         {"held", held}};
  }
};

absl::StatusOr<Json> CallQueue(const QueueArguments& args, const std::string& what, Json request) {
  request["do"] = what;
  return (*args.options.ask)("queue", request, kQueuePatience);
}

// "45s", "12m", "3h", "5d".
std::string Age(const Json& message, absl::Time now) {
  absl::Time arrival;
  if (!absl::ParseTime(absl::RFC3339_full, Field(message, "arrival"), &arrival, nullptr))
    return "?";
  const absl::Duration age = std::max(now - arrival, absl::ZeroDuration());
  for (const auto& [unit, name] : {std::pair(absl::Hours(24), "d"), std::pair(absl::Hours(1), "h"),
                                   std::pair(absl::Minutes(1), "m")}) {
    if (age >= unit) return absl::StrCat(age / unit, name);
  }
  return absl::StrCat(age / absl::Seconds(1), "s");
}

// Whose each is need not be said where one subject was asked for.
std::string MessagesPage(const QueueArguments& args, const Json& messages) {
  if (messages.empty()) return "nothing is queued\n";
  const absl::Time now = SystemClock().Now();
  std::vector<std::vector<std::string>> rows = {{"ID", "STATE", "AGE", "SUBJECT", "SENDER", "TO"}};
  for (const Json& one : messages) {
    const Json& recipients = one["recipients"];
    std::string to = recipients.empty() ? "" : PrintableUtf8(recipients[0].get<std::string>());
    if (recipients.size() > 1) absl::StrAppend(&to, " +", recipients.size() - 1);
    rows.push_back({Field(one, "id"), Field(one, "state"), Age(one, now), Field(one, "subject"),
                    Field(one, "sender"), to});
  }
  if (!args.subject.empty()) {
    for (std::vector<std::string>& row : rows) row.erase(row.begin() + 3);
  }
  return Table(rows);
}

std::string GroupsPage(const Json& groups) {
  if (groups.empty()) return "nothing is queued\n";
  std::vector<std::vector<std::string>> rows = {{"MESSAGES", "HELD", "NAME"}};
  for (const Json& one : groups) {
    const std::string name = Field(one, "name");
    rows.push_back({Field(one, "messages"), Field(one, "held"), name.empty() ? "(none)" : name});
  }
  return Table(rows);
}

absl::StatusOr<std::string> List(const QueueArguments& args) {
  Json request = args.Choice();
  request["by"] = args.by;
  absl::StatusOr<Json> list = CallQueue(args, "list", request);
  if (!list.ok()) return list.status();
  if (*args.options.json) return DumpPretty(*list);
  return args.by.empty() ? MessagesPage(args, *list) : GroupsPage(*list);
}

// The messages, or how many of them, and what became of them.
std::string DonePage(const QueueArguments& args, const Json& messages, const char* done) {
  if (*args.options.json) return DumpPretty({{"messages", messages}, {"dry_run", args.dry_run}});
  const std::string count =
      absl::StrCat(messages.size(), messages.size() == 1 ? " message" : " messages");
  if (args.dry_run) {
    return absl::StrCat(messages.empty() ? "" : MessagesPage(args, messages), count, " would be ",
                        done, "\n");
  }
  return absl::StrCat(count, " ", done, "\n");
}

absl::StatusOr<std::string> Release(const QueueArguments& args) {
  Json request = args.Choice();
  request["dry_run"] = args.dry_run;
  absl::StatusOr<Json> messages = CallQueue(args, "release", request);
  if (!messages.ok()) return messages.status();
  if (messages->empty() && !*args.options.json) {
    return absl::StrCat(
        "no message is held for ", args.subject, "; deferctl queue --held lists held messages",
        args.subject == "nobody" ? "" : ", deferctl queue --by subject counts them by subject",
        "\n");
  }
  Json stuck = Json::array();
  for (const Json& one : *messages) {
    if (!Field(one, "not_done").empty()) stuck.push_back(one);
  }
  if (stuck.empty() || *args.options.json) return DonePage(args, *messages, "released");
  return absl::FailedPreconditionError(absl::StrCat(
      messages->size() - stuck.size(), " messages released; ", stuck.size(),
      " not yet, deferd tries again: ", Field(stuck[0], "id"), ": ", Field(stuck[0], "not_done")));
}

// The helper below acts on this machine's queue, whatever server listed the messages.
absl::Status OnlyHere(const QueueArguments& args) {
  if (args.options.url == nullptr || args.options.url->empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "this is done by root on the server itself: call deferctl there, without --url");
}

// By the helper, and then written down: of those that the mail server has done, which are added to
// `done`. `problem` says why it has not done others.
absl::Status DoAsRoot(const QueueArguments& args, const std::string& verb, const Json& request,
                      const Json& messages, const char* what, Json* done, std::string* problem) {
  // All of one mail server instance.
  const std::string listed_by = messages.empty() ? "" : Field(messages[0], "helper");
  const std::string helper = !args.helper.empty() ? args.helper
                             : !listed_by.empty() ? listed_by
                                                  : std::string(kQueueHelperSocket);
  absl::StatusOr<Json> answer = CallQueueHelper(helper, verb, request);
  if (!answer.ok()) return answer.status();
  const Json not_done = answer->value("not_done", Json::object());
  Json these = Json::array();
  for (const Json& one : messages) {
    const std::string why = Field(not_done, Field(one, "id").c_str());
    if (why.empty()) {
      these.push_back(one);
    } else {
      *problem = absl::StrCat(Field(one, "id"), ": ", why);
    }
  }
  done->insert(done->end(), these.begin(), these.end());
  if (these.empty()) return absl::OkStatus();
  return CallQueue(args, "recorded",
                   {{"messages", these}, {"what", what}, {"to", Field(request, "address")}})
      .status();
}

absl::StatusOr<std::string> Discard(const QueueArguments& args) {
  if (!args.dry_run) {
    if (absl::Status here = OnlyHere(args); !here.ok()) return here;
  }
  absl::StatusOr<Json> messages = CallQueue(args, "list", args.Choice());
  if (!messages.ok()) return messages.status();
  Json discarded = Json::array();
  std::string problem;
  std::stable_sort(messages->begin(), messages->end(), [](const Json& a, const Json& b) {
    return Field(a, "helper") < Field(b, "helper");
  });
  for (size_t begin = 0, end = 0; !args.dry_run && begin < messages->size(); begin = end) {
    while (end < messages->size() && end - begin < kAtOnce &&
           Field((*messages)[end], "helper") == Field((*messages)[begin], "helper")) {
      ++end;
    }
    Json some = Json::array(), ids = Json::array();
    for (size_t i = begin; i < end; ++i) {
      Json one = (*messages)[i];
      ids.push_back(one["id"]);
      one.erase("recipients");
      one.erase("problem");
      some.push_back(std::move(one));
    }
    absl::Status done = DoAsRoot(args, "discard", {{"ids", std::move(ids)}}, some, "discarded",
                                 &discarded, &problem);
    if (!done.ok()) return done;
  }
  if (problem.empty()) return DonePage(args, *messages, "discarded");
  return absl::FailedPreconditionError(
      absl::StrCat(discarded.size(), " of ", messages->size(), " messages discarded; ", problem));
}

absl::StatusOr<std::string> Redirect(const QueueArguments& args) {
  if (absl::Status here = OnlyHere(args); !here.ok()) return here;
  absl::StatusOr<Json> messages = CallQueue(args, "list", {{"id", args.id}});
  if (!messages.ok()) return messages.status();
  if (messages->empty()) {
    return absl::NotFoundError(absl::StrCat(args.id, " is not in the queue"));
  }
  Json redirected = Json::array();
  std::string problem;
  absl::Status done = DoAsRoot(args, "redirect", {{"id", args.id}, {"address", args.address}},
                               *messages, "redirected", &redirected, &problem);
  if (!done.ok()) return done;
  return DonePage(args, *messages, absl::StrCat("redirected to ", args.address).c_str());
}

// A message that failed is not queued any more; its sender has it, and can send it again.
absl::StatusOr<std::string> Requeue(const QueueArguments& args) {
  absl::StatusOr<Json> messages = CallQueue(args, "list", {{"id", args.id}});
  if (!messages.ok()) return messages.status();
  if (messages->empty()) {
    return absl::NotFoundError(absl::StrCat(
        args.id, " is no longer in the queue (deferctl track ", args.id,
        " shows its outcome); a failed message was returned and has to be sent again"));
  }
  absl::StatusOr<Json> done = CallQueue(args, "requeue", {{"id", args.id}});
  if (!done.ok()) return done.status();
  return DonePage(args, *messages, "tried again");
}

absl::StatusOr<std::string> Flush(const QueueArguments& args) {
  absl::StatusOr<Json> done = CallQueue(args, "flush", Json::object());
  if (!done.ok()) return done.status();
  return std::string(*args.options.json ? "{}\n"
                                        : "delivering all queued messages that are not held\n");
}

}  // namespace

void AddQueueVerbs(CLI::App* app, const VerbOptions& options, Verb* chosen) {
  auto args = std::make_shared<QueueArguments>();
  args->options = options;
  using Run = absl::StatusOr<std::string> (*)(const QueueArguments&);
  const auto verb = [&](CLI::App* parent, const char* name, const char* help, Run run) {
    return AddVerb(
        parent, name, help, [args, run] { return run(*args); }, chosen);
  };
  const auto choice = [&args](CLI::App* sub) {
    sub->add_option("--sender", args->sender, "the envelope sender");
    sub->add_option("--subject", args->mail_subject,
                    "part of the Subject: line, if [ledger] subjects = true");
    sub->add_option("--since", args->since, "how long ago (2h), or \"2026-11-22 10:00\"");
  };
  CLI::App* queue = verb(app, "queue", "list the mail queue with the senders", List);
  queue->add_option("SUBJECT", args->subject, "a domain or login:NAME; default: all");
  queue->add_option("--by", args->by, "count by subject, script, login or to");
  queue->add_flag("--held", args->held, "only held messages");
  choice(queue);
  CLI::App* release = verb(queue, "release", "release held messages, even while blocked", Release);
  CLI::App* discard = verb(queue, "discard", "discard messages (root, if allowed)", Discard);
  for (CLI::App* sub : {release, discard}) {
    sub->add_option("SUBJECT", args->subject,
                    "a domain, login:NAME, \"nobody\" (sender not known), or a message id")
        ->required();
    sub->add_flag("--dry-run", args->dry_run, "only show the messages");
    choice(sub);
  }
  verb(queue, "flush", "deliver all queued messages that are not held", Flush);
  CLI::App* requeue = verb(queue, "requeue", "deliver one message at once", Requeue);
  requeue->add_option("ID", args->id)->required();
  CLI::App* redirect = verb(queue, "redirect",
                            "redirect one message to another address (root, if allowed)", Redirect);
  redirect->add_option("ID", args->id)->required();
  redirect->add_option("ADDRESS", args->address)->required();
  for (CLI::App* sub : {discard, redirect}) {
    sub->add_option("--helper", args->helper,
                    "deferd-queue's socket; without it the one that deferd asks");
  }
}

}  // namespace deferd
