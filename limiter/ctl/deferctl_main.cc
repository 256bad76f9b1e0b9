// deferctl: one table of verbs. Exit status: 0 done, 1 failed, 2 usage. Errors go to stderr.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "limiter/admin/explain.h"
#include "limiter/admin/record.h"
#include "limiter/config/config.h"
#include "limiter/ctl/admin_pages.h"
#include "limiter/ctl/doctor.h"
#include "limiter/ctl/exempt_verbs.h"
#include "limiter/ctl/link_verbs.h"
#include "limiter/ctl/notice_verbs.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/policy_verbs.h"
#include "limiter/ctl/progress.h"
#include "limiter/ctl/queue_verbs.h"
#include "limiter/ctl/remote.h"
#include "limiter/ctl/replay.h"
#include "limiter/ctl/replay_arguments.h"
#include "limiter/ctl/reply_verbs.h"
#include "limiter/ctl/shadow_verbs.h"
#include "limiter/ctl/state_verbs.h"
#include "limiter/ctl/stats_page.h"
#include "limiter/ctl/token_verbs.h"
#include "limiter/ctl/tool_verbs.h"
#include "limiter/ctl/track_page.h"
#include "limiter/ctl/verb.h"
#include "limiter/ctl/why_page.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/localrpc/admin_session.h"
#include "limiter/port/clock.h"
#include "policy/evaluate.h"
#include "policy/policy_file.h"
#include "policy/refusal_text.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {
namespace {

constexpr int kFailed = 1;
constexpr char kSubjectHelp[] = "example.com, login:bob@example.com, local:web@HOST, ...";
constexpr int kUsage = 2;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "deferctl: %s\n", std::string(status.message()).c_str());
  return kFailed;
}

int FailUsage(const std::string& message) {
  std::fprintf(stderr, "deferctl: %s\n", message.c_str());
  return kUsage;
}

int Print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return written && std::fflush(stdout) == 0 ? 0 : kFailed;
}

// What the command line said.
struct Arguments {
  std::string socket = kAdminSocket;
  RemoteDaemon remote;
  AskDaemon ask;
  bool json = false;
  bool utc = false;
  std::string subject;
  std::string source;
  std::string duration;
  std::string reason;
  bool all = false;
  bool verify = false;
  bool force = false;
  bool release = false, keep = false;
  std::string by;
  int64_t limit = 20;
  DoctorOptions doctor;
  std::string format;
  std::string policy;
  std::string charge;
  std::string timezone;
  std::string config;
  std::vector<std::string> logs;
  std::string file;
  std::string reply;
  std::string wrong;
  bool yes = false;
  struct {
    std::string what, domain, sender, recipient, id, host, outcome, since, until;
    std::string to_domain, address, code, reply_class, mail_subject;
    bool attempts = false;
    int64_t limit = 50;
    int64_t before = 0;
  } track;
};

using PageOf = std::function<std::string(const Json&)>;

// A verb that the daemon answers: its result as JSON or as a page.
int CallAndPrint(const Arguments& args, const std::string& verb, const Json& request,
                 const PageOf& page) {
  absl::StatusOr<Json> result = args.ask(verb, request, kDaemonLimit);
  if (!result.ok()) return Fail(result.status());
  return Print(args.json ? DumpPretty(*result) : page(*result));
}

int RunStatus(const Arguments& a) { return CallAndPrint(a, "status", Json::object(), StatusPage); }
int RunReload(const Arguments& a) {
  return CallAndPrint(a, "reload", {{"force", a.force}}, ReloadedPage);
}
int RunCheck(const Arguments& a) {
  return CallAndPrint(a, "check", {{"subject", a.subject}, {"source", a.source}}, CheckPage);
}
int RunWhy(const Arguments& a) {
  return CallAndPrint(
      a, "why", {{"subject", a.subject}, {"verify", a.verify}},
      a.verify ? PageOf(VerifyPage) : [&a](const Json& why) { return WhyPage(why, a.all); });
}
int RunBlocks(const Arguments& a) {
  return CallAndPrint(a, "blocks", {{"all", a.all}, {"since", MeantTime(a.track.since)}},
                      BlocksPage);
}
int RunIncidents(const Arguments& a) {
  return CallAndPrint(a, "incidents", {{"all", a.all}}, IncidentsPage);
}
int RunTop(const Arguments& a) { return CallAndPrint(a, "top", {{"limit", a.limit}}, TopPage); }
int RunBlock(const Arguments& a) {
  return CallAndPrint(
      a, "block", {{"subject", a.subject}, {"for", a.duration}, {"reason", a.reason}}, BlockedPage);
}
int RunUnblock(const Arguments& a) {
  return CallAndPrint(a, "unblock",
                      {{"subject", a.subject},
                       {"reason", a.reason},
                       {"held", a.release ? "release"
                                : a.keep  ? "keep"
                                          : ""}},
                      UnblockedPage);
}

int RunTrack(const Arguments& args) {
  const auto& t = args.track;
  const Json request = {{"what", t.what},
                        {"domain", t.domain},
                        {"sender", t.sender},
                        {"recipient", t.recipient},
                        {"id", t.id},
                        {"host", t.host},
                        {"outcome", t.outcome},
                        {"to_domain", t.to_domain},
                        {"address", t.address},
                        {"code", t.code},
                        {"class", t.reply_class},
                        {"mail_subject", t.mail_subject},
                        {"since", MeantTime(t.since)},
                        {"until", MeantTime(t.until)},
                        {"limit", t.limit},
                        {"recipients", !args.json && !t.attempts},
                        {"before", t.before}};
  absl::StatusOr<Json> rows = args.ask("track", request, kDaemonLimit);
  if (!rows.ok()) return Fail(rows.status());
  if (args.json) return Print(DumpPretty(*rows));
  if (rows->empty()) return Print(NothingFound(request));
  const bool life = !t.id.empty() || std::any_of(rows->begin(), rows->end(), [](const Json& row) {
    return row.contains("decisive");
  });
  std::string page =
      absl::StrCat(life ? LifePage(*rows) : TrackPage(*rows), "times are ", PageZone(), "\n");
  const Json& last = rows->back();
  const bool full = t.limit > 0 && rows->size() == static_cast<size_t>(t.limit);
  const std::string next = last.contains("tries") || life ? Field(last, "next")
                           : full                         ? Field(last, "row")
                                                          : "";
  if (!next.empty()) absl::StrAppend(&page, "older ones: the same with --before ", next, "\n");
  return Print(page);
}

int RunStats(const Arguments& a) {
  return CallAndPrint(a, "stats",
                      {{"subject", a.subject},
                       {"by", a.by},
                       {"since", MeantTime(a.track.since)},
                       {"until", MeantTime(a.track.until)},
                       {"limit", a.limit}},
                      StatsPage);
}

// Lines of JSON, as many in one request as its line may hold. A mistake ends it: what stands before
// its line is recorded, what stands behind is not.
int RunRecord(const Arguments& args) {
  constexpr size_t kRequest = AdminSession::kMaxLine * 3 / 4;
  std::ifstream file;
  if (args.file != "-") file.open(args.file);
  std::istream& in = args.file == "-" ? std::cin : file;
  if (!in) return Fail(absl::NotFoundError(absl::StrCat(args.file, ": cannot be read")));
  int64_t number = 0, recorded = 0;
  Json records = Json::array();
  size_t size = 0;
  const auto send = [&]() -> absl::Status {
    if (records.empty()) return absl::OkStatus();
    absl::StatusOr<Json> result =
        CallDaemon(args.socket, "record", {{"records", std::move(records)}}, kDaemonLimit);
    records = Json::array();
    size = 0;
    if (result.ok()) recorded += Number(*result, "recorded");
    return result.status();
  };
  std::string line;
  while (std::getline(in, line)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Json record = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    EventBatch unused;
    absl::Status status = record.is_discarded() ? absl::InvalidArgumentError("not JSON")
                                                : AddRecord(record, SystemClock().Now(), &unused);
    if (status.ok() && size + line.size() > kRequest) status = send();
    if (!status.ok()) {
      send().IgnoreError();
      return Fail(
          absl::Status(status.code(), absl::StrCat(args.file, ":", number, ": ", status.message(),
                                                   "; ", recorded, " were recorded")));
    }
    size += Dump(record).size() + 1;
    records.push_back(std::move(record));
  }
  absl::Status status = send();
  if (!status.ok()) return Fail(status);
  return Print(args.json ? DumpPretty({{"recorded", recorded}})
                         : absl::StrCat(recorded, " attempts recorded\n"));
}

int RunDoctor(const Arguments& args) {
  DoctorOptions options = args.doctor;
  options.socket = args.socket;
  const Json findings = Diagnose(Gather(options, SystemClock().Now()));
  const int printed = Print(args.json ? DumpPretty(findings) : DoctorPage(findings));
  return printed != 0 ? printed : DoctorExit(findings);
}

int RunReplay(const Arguments& args) {
  absl::StatusOr<ReplayOptions> options = ReplayOptionsFor(args.format, args.logs, args.config);
  if (!options.ok()) return Fail(options.status());
  absl::Status set = SetZoneAndCharge(args.timezone, args.charge, &*options);
  if (!set.ok()) return FailUsage(std::string(set.message()));
  absl::StatusOr<LoadedPolicy> policy = LoadPolicy(args.policy);
  if (!policy.ok()) return Fail(policy.status());
  options->policy = policy->policy;
  options->progress = ProgressBar();
  absl::StatusOr<Json> result = Replay(*options);
  if (!result.ok()) return Fail(result.status());
  const int printed = Print(args.json ? DumpPretty(*result) : ReplayPage(*result));
  return IsNoSuchLog(*result) ? 1 : printed;
}

// The policy of the command line, or else the daemon's own.
absl::StatusOr<LoadedPolicy> CorrectedPolicy(const Arguments& args) {
  if (!args.policy.empty()) return LoadPolicy(args.policy);
  absl::StatusOr<Config> config = LoadConfig("/etc/deferd/deferd.toml");
  if (!config.ok()) return config.status();
  return LoadPolicy(config->policy_path);
}

int RunWrong(const Arguments& args) {
  absl::StatusOr<LoadedPolicy> policy = CorrectedPolicy(args);
  if (!policy.ok()) return Fail(policy.status());
  absl::StatusOr<Correction> correction = CorrectionOf(*policy->policy, args.wrong, args.reply);
  if (!correction.ok()) return Fail(correction.status());
  if (!args.yes) {
    if (args.json) return FailUsage("--json asks nothing: give --yes as well");
    Print(absl::StrCat(correction->table, "\nAdd this to ", correction->path, "? [y/N] "));
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "Y" && answer != "yes") return Print("nothing was changed\n");
  }
  if (absl::Status added = AddCorrection(*correction); !added.ok()) return Fail(added);
  if (args.json) {
    return Print(DumpPretty({{"file", correction->path}, {"table", correction->table}}));
  }
  return Print(absl::StrCat(args.yes ? correction->table : "", "added to ", correction->path,
                            "; deferctl reload puts it in force\n"));
}

int RunRepliesExport(const Arguments& args) {
  absl::StatusOr<LoadedPolicy> policy = LoadPolicy(args.policy);
  if (!policy.ok()) return Fail(policy.status());
  constexpr int64_t kRows = 2000;
  ReplyExport replies(&policy->policy->replies());
  int64_t before = 0;
  while (true) {
    absl::StatusOr<Json> rows = CallDaemon(args.socket, "track",
                                           {{"outcome", "bad"},
                                            {"since", MeantTime(args.track.since)},
                                            {"until", MeantTime(args.track.until)},
                                            {"limit", kRows},
                                            {"before", before}},
                                           kDaemonLimit);
    if (!rows.ok()) return Fail(rows.status());
    for (const Json& row : *rows) replies.Add(row);
    if (rows->size() < static_cast<size_t>(kRows) ||
        !absl::SimpleAtoi(Field(rows->back(), "row"), &before)) {
      break;
    }
  }
  return Print(args.json ? DumpPretty(replies.ToJson()) : replies.Text());
}

int RunExplain(const Arguments& args) {
  if (!args.wrong.empty()) return RunWrong(args);
  absl::StatusOr<LoadedPolicy> policy = LoadPolicy(args.policy);
  if (!policy.ok()) return Fail(policy.status());
  const absl::Status status = Explain(
      policy->policy->replies(), args.reply, args.json, std::cin, [](const std::string& answer) {
        return Print(answer) == 0 ? absl::OkStatus() : absl::UnavailableError("cannot write");
      });
  return status.ok() ? 0 : Fail(status);
}

int RunPolicyCheck(const Arguments& args) {
  absl::StatusOr<LoadedPolicy> loaded = LoadPolicy(args.file);
  if (!loaded.ok()) {
    if (!args.json) return Fail(loaded.status());
    Print(DumpPretty({{"ok", false}, {"error", std::string(loaded.status().message())}}));
    return kFailed;
  }
  const std::string warning = RefusalTextWarning(loaded->policy->text);
  if (args.json) {
    Json result = {{"ok", true}, {"warnings", Json::array()}};
    if (!warning.empty()) result["warnings"].push_back(warning);
    result.update(PolicyJson(*loaded));
    return Print(DumpPretty(result));
  }
  std::string out = absl::StrFormat("%s: ok, mode %s, %d %s\n", loaded->policy->path,
                                    ModeName(loaded->policy->mode), loaded->policy->rules.size(),
                                    loaded->policy->rules.size() == 1 ? "rule" : "rules");
  if (!warning.empty()) absl::StrAppend(&out, "  warning: ", warning, "\n");
  if (loaded->policy->rules.empty()) out += "  no rules: nothing is ever blocked by itself\n";
  for (const Rule& rule : loaded->policy->rules) {
    if (rule.off()) {
      absl::StrAppend(&out, "  rule ", rule.name, ": off, since it gives no percent\n");
    } else {
      absl::StrAppendFormat(
          &out, "  rule %s: %s%s within %s: %s for %s%s%s\n", rule.name, deferd::LimitsText(rule),
          rule.any_share ? "," : "", deferd::FormatDuration(rule.window), rule.action.ToString(),
          deferd::FormatDuration(rule.block_for),
          rule.owner_release ? ", its owner may release it" : "", rule.shadow ? " (shadow)" : "");
    }
  }
  return Print(out);
}

// Of the verbs that the HTTP API does not have: whether deferd must be here.
bool NeedsDaemon(absl::string_view verb) {
  return verb != "explain" && verb != "replay" && verb != "completion";
}

// Whether the option is on the command line, not only in the environment.
bool IsTyped(int argc, char** argv, absl::string_view option) {
  for (int i = 1; i < argc; ++i) {
    absl::string_view word = argv[i];
    if (word == "--") return false;
    if (absl::ConsumePrefix(&word, option) && (word.empty() || word[0] == '=')) return true;
  }
  return false;
}

// A verb's place on the command line.
using Run = int (*)(const Arguments&);

int Main(int argc, char** argv) {
  Arguments args;
  Run run = nullptr;
  // CLI11 says no more of a word that is no verb than that a verb is missing.
  const bool word = argc > 1 && argv[1][0] != '-';
  CLI::App app{"deferctl asks and tells deferd. Subjects: example.com, login:bob@example.com, ...",
               "deferctl"};
  app.set_version_flag("--version", std::string("deferctl ") + DEFERD_VERSION);
  CLI::Option* const socket =
      app.add_option("--socket", args.socket, "deferd's admin socket, or the readers' socket")
          ->envname("DEFERD_SOCKET")
          ->capture_default_str();
  CLI::Option* const url =
      app.add_option(
             "--url", args.remote.url,
             "use the HTTP API of another server's deferd, such as https://mail.example.net")
          ->envname("DEFERD_URL");
  app.add_option("--token-file", args.remote.token_file, "a file with the token for --url")
      ->envname("DEFERD_TOKEN_FILE");
  app.add_option("--ca-file", args.remote.ca_file,
                 "who may have signed the certificate of --url (PEM); default: the system's "
                 "authorities")
      ->envname("DEFERD_CA_FILE");
  app.add_flag("--json", args.json, "print JSON");
  app.add_flag("--utc", args.utc,
               "show and accept times in UTC instead of this machine's time zone");
  app.require_subcommand(1);
  app.fallthrough();

  auto verb = [&](CLI::App* parent, const char* name, const char* help, Run todo) {
    CLI::App* sub = parent->add_subcommand(name, help);
    sub->fallthrough();
    sub->footer("deferctl's options --json, --utc and --socket may follow the verb.");
    if (todo != nullptr) sub->callback([&run, todo] { run = todo; });
    return sub;
  };
  verb(&app, "status", "show the daemon's state: policy, logs, blocks", RunStatus);
  CLI::App* check = verb(&app, "check", "show the answer that an MTA would get", RunCheck);
  check->add_option("SUBJECT", args.subject, kSubjectHelp)->required();
  check->add_option("--source", args.source, "submission (default), local, queued or relay");
  CLI::App* why =
      verb(&app, "why", "show who caused a block, whose fault it is and what to do", RunWhy);
  why->add_option("SUBJECT", args.subject,
                  "example.com, login:bob@example.com, ..., or the id of a case")
      ->required();
  why->add_flag("--all", args.all, "also show the evidence, answers, counts and record");
  why->add_flag("--verify", args.verify, "count the block's evidence again from the ledger");
  CLI::App* blocks = verb(&app, "blocks", "list blocked subjects", RunBlocks);
  blocks->add_flag("--all", args.all, "also list ended blocks");
  blocks->add_option(
      "--since", args.track.since,
      "also list blocks that ended since then: how long ago (30d), or \"2026-11-22 10:00\"");
  CLI::App* incidents =
      verb(&app, "incidents", "list delivery problems that no sender caused", RunIncidents);
  incidents->add_flag("--all", args.all, "also list ended incidents");
  CLI::App* block = verb(&app, "block", "block a subject manually", RunBlock);
  block->add_option("SUBJECT", args.subject, absl::StrCat(kSubjectHelp, " or \"*.example.com\""))
      ->required();
  block->add_option("--for", args.duration, "duration: 30m, 2h, 7d; ever: until it is unblocked")
      ->required();
  block->add_option("--reason", args.reason, "recorded with the block; owners read it in notices")
      ->required();
  CLI::App* unblock = verb(&app, "unblock", "end a block and start counting again", RunUnblock);
  unblock->add_option("SUBJECT", args.subject, kSubjectHelp)->required();
  unblock->add_option("--reason", args.reason,
                      "recorded with the unblock; owners read it in notices");
  CLI::Option* release =
      unblock->add_flag("--release", args.release, "release all mail that is held for the subject");
  unblock->add_flag("--keep", args.keep, "keep the mail held until queue release or discard")
      ->excludes(release);
  CLI::App* top = verb(&app, "top", "list subjects with the most bad deliveries now", RunTop);
  top->add_option("--limit", args.limit, "maximum number; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000'000));
  CLI::App* track = verb(&app, "track", "search delivery attempts (Track Delivery)", RunTrack);
  track->add_option(
      "WHAT", args.track.what,
      "a domain, @DOMAIN of either side, an address or part of one, a message id, login:NAME");
  track->add_option("--domain", args.track.domain, "the charged domain, or the sender's domain");
  track->add_option("--sender", args.track.sender, "the envelope sender");
  track->add_option("--recipient", args.track.recipient,
                    "the final address, or the address before an alias");
  track->add_option("--to-domain", args.track.to_domain, "the recipient's domain");
  track->add_option("--address", args.track.address, "part of the sender's or recipient's address");
  track->add_option("--code", args.track.code,
                    "code of the reply: 550, 5.7.1, or 5.7 for all 5.7.x");
  track->add_option("--class", args.track.reply_class,
                    "class of the reply: mailbox_full, spam, ...");
  track->add_option("--subject", args.track.mail_subject,
                    "part of the Subject: line, if the ledger stores subjects");
  track->add_option("--id", args.track.id, "all records of one message, oldest first");
  track->add_option("--host", args.track.host, "name or address of the remote server");
  track->add_option(
      "--outcome", args.track.outcome,
      "bad, in-progress (or unknown), blocked, or some of delivered,deferred,failed,expired,queued,"
      "held,rejected,rejected_recipient,discarded,filtered,archived");
  track->add_option("--since", args.track.since, "how long ago (2h), or \"2026-11-22 10:00\"");
  track->add_option("--until", args.track.until, "as --since");
  track->add_flag("--attempts", args.track.attempts,
                  "list every attempt instead of one line per recipient with its outcome");
  track->add_option("--limit", args.track.limit, "maximum number; 0: 10000")
      ->capture_default_str()
      ->check(CLI::Range(0, 10'000));
  track->add_option("--before", args.track.before, "the last row of the previous page");
  CLI::App* stats =
      verb(&app, "stats", "count messages, recipients and attempts by sender", RunStats);
  stats->add_option("SUBJECT", args.subject, "only this subject, by sender; default: all subjects");
  stats->add_option("--by", args.by, "subject or sender");
  stats->add_option("--since", args.track.since,
                    "how long ago (2h), or \"2026-11-22 10:00\"; default: one day ago");
  stats->add_option("--until", args.track.until, "as --since; default: now");
  stats->add_option("--limit", args.limit, "maximum number; 0: all")
      ->capture_default_str()
      ->check(CLI::Range(0, 1'000'000'000));
  CLI::App* record =
      verb(&app, "record", "count attempts of another mail server from JSON lines", RunRecord);
  record->add_option("FILE", args.file, "one JSON object per line; -: standard input")->required();
  record->footer(
      "Required: id (of the message, the same for all its attempts), recipient, outcome\n"
      "(delivered, deferred, failed, expired; or, shown but not counted: queued, held,\n"
      "rejected, discarded, filtered, archived). Optional: time (RFC 3339; default now), arrival,\n"
      "sender, login, user (a local system user), client (the IP address that submitted it),\n"
      "original (the recipient before forwarding), host, ip, transport, reply, and true or\n"
      "false: local (a delivery on this host), made_by_mta, completed (last attempt of the "
      "message).");
  Verb page_verb;
  const VerbOptions options = {
      .socket = &args.socket, .ask = &args.ask, .url = &args.remote.url, .json = &args.json};
  AddExemptVerbs(&app, options, &page_verb);
  AddShadowVerbs(&app, options, &page_verb);
  AddQueueVerbs(&app, options, &page_verb);
  AddNoticeVerbs(&app, options, &page_verb);
  AddStateVerbs(&app, options, DEFERD_VERSION, &page_verb);
  AddTokenVerbs(&app, options, &page_verb);
  AddLinkVerbs(&app, options, &page_verb);
  AddToolVerbs(&app, options, DEFERD_VERSION, &page_verb);
  CLI::App* doctor =
      verb(&app, "doctor", "check this installation and advise what to do", RunDoctor);
  doctor->add_option("--exim", args.doctor.exim, "path of the Exim binary, if not the usual one");
  doctor->add_option("--exim-config", args.doctor.exim_configs,
                     "Exim configuration file to check (exim -C); may be repeated");
  doctor->add_option("--postfix", args.doctor.postfix, "directory of Postfix's postconf");
  doctor->add_option("--postfix-config", args.doctor.postfix_configs,
                     "Postfix configuration directory to check (postconf -c); may be repeated");
  CLI::App* replay = verb(&app, "replay", "count a whole log without a daemon", RunReplay);
  replay->add_option("LOG", args.logs, "files, plain or .gz; -: standard input")->required();
  replay->add_option("--format", args.format, "mail server of the log; default: detected")
      ->check(CLI::IsMember({"exim", "postfix"}));
  replay->add_option("--policy", args.policy, "policy file; default: the built-in policy");
  replay->add_option("--charge", args.charge,
                     "who is charged: a list of login,user,relay; or sender alone");
  replay->add_option("--timezone", args.timezone,
                     "time zone of stamps without one; default: this machine's");
  replay->add_option("--config", args.config, "take [charge] and timezone from this deferd.toml");
  CLI::App* explain = verb(&app, "explain", "explain the meaning of a server's reply", RunExplain);
  explain->add_option("TEXT", args.reply, "the reply; -: read one per line from standard input")
      ->required();
  explain->add_option("--policy", args.policy, "also use this policy's [reply.NAME] patterns");
  explain
      ->add_option("--wrong", args.wrong,
                   "the right class: adds the wording to the policy's [replies] file")
      ->type_name("CLASS");
  explain->add_flag("--yes", args.yes, "with --wrong: do not ask for confirmation");
  CLI::App* replies = verb(&app, "replies", "export replies that need a label", nullptr);
  replies->require_subcommand(1);
  CLI::App* exported = verb(
      replies, "export", "uncertain and unclassified replies, without names, most frequent first",
      RunRepliesExport);
  exported->add_option("--policy", args.policy, "also use this policy's [reply.NAME] patterns");
  exported->add_option("--since", args.track.since, "2h (ago), or \"2026-11-22 10:00\"");
  exported->add_option("--until", args.track.until, "as --since");
  CLI::App* policy = verb(&app, "policy", "check, show, compare or import a policy", nullptr);
  policy->require_subcommand(1);
  CLI::App* policy_check =
      verb(policy, "check", "report all errors of a policy file", RunPolicyCheck);
  policy_check->add_option("FILE", args.file, "policy file; -: standard input")->required();
  AddPolicyVerbs(policy, options, &page_verb);
  verb(&app, "reload", "reload configuration and policy", RunReload)
      ->add_flag("--force", args.force, "also if reload_guard refuses the change");

  try {
    app.parse(argc, argv);
  } catch (const CLI::RequiredError& error) {
    const auto named = [&](const CLI::App* sub) { return sub->check_name(argv[1]); };
    if (word && app.get_subcommands(named).empty()) {
      return FailUsage(
          absl::StrCat("unknown verb ", Quoted(argv[1]), "; deferctl --help lists all verbs"));
    }
    return app.exit(error) == 0 ? 0 : kUsage;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (socket->count() == 0) args.socket = UsualSocket();
  // What was typed wins over the environment.
  const bool typed_socket = IsTyped(argc, argv, "--socket"),
             typed_url = IsTyped(argc, argv, "--url");
  if (typed_socket && typed_url) return FailUsage("--socket and --url: give one of them");
  const bool both = std::getenv("DEFERD_SOCKET") != nullptr && std::getenv("DEFERD_URL") != nullptr;
  if (both && !typed_socket && !typed_url) {
    return FailUsage(
        "DEFERD_SOCKET and DEFERD_URL are both set: unset one, or give --socket or --url");
  }
  if (typed_socket) args.remote.url.clear();
  const std::string chosen = app.get_subcommands().front()->get_name();
  // An empty variable of a script must not mean this server.
  if (url->count() > 0 && !typed_socket && args.remote.url.empty())
    return FailUsage("--url: is empty; leave it out for this server");
  if (!args.remote.url.empty() && !IsRemoteVerb(chosen) && NeedsDaemon(chosen)) {
    return FailUsage(absl::StrCat(chosen, ": works on the server itself only, without --url"));
  }
  args.remote.waits = [](const std::string& text) {
    std::fprintf(stderr, "deferctl: %s\n", text.c_str());
  };
  args.ask = [&args](const std::string& verb_name, const Json& request, absl::Duration limit) {
    return args.remote.url.empty() ? CallDaemon(args.socket, verb_name, request, limit)
                                   : CallRemote(args.remote, verb_name, request, limit);
  };
  const absl::TimeZone zone = args.utc ? absl::UTCTimeZone() : absl::LocalTimeZone();
  ShowTimesIn(zone, SystemClock().Now());
  ShowPagesAs(StyleOfOutput(STDOUT_FILENO));
  // Pages expect the JSON types of this version.
  try {
    if (!page_verb) return run(args);
    absl::StatusOr<std::string> page = page_verb();
    return page.ok() ? Print(*page) : Fail(page.status());
  } catch (const Json::exception&) {
    return Fail(absl::FailedPreconditionError(
        absl::StrCat(args.remote.url.empty() ? args.socket : args.remote.url,
                     ": the answer does not have the format of this deferctl version (",
                     DEFERD_VERSION, "); is deferd of the same version?")));
  }
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
