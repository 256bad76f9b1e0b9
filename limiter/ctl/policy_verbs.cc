#include "limiter/ctl/policy_verbs.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/admin/exemptions.h"
#include "limiter/config/config.h"
#include "limiter/ctl/cpanel_import.h"
#include "limiter/ctl/ledger_input.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/policy_diff.h"
#include "limiter/ctl/policy_schema.h"
#include "limiter/ctl/policy_suggest.h"
#include "limiter/ctl/progress.h"
#include "limiter/ctl/replay.h"
#include "limiter/ctl/replay_arguments.h"
#include "limiter/localrpc/admin_client.h"
#include "limiter/port/clock.h"
#include "limiter/port/host_name.h"
#include "policy/duration.h"
#include "policy/evaluate.h"
#include "policy/policy_file.h"
#include "policy/rules_for.h"
#include "policy/text.h"

namespace deferd {

namespace {

struct PolicyArguments {
  VerbOptions options;
  std::string subject, policy, config, before, after, dir, format, charge, timezone, guard, since;
  std::string kind = "domain";
  std::vector<std::string> logs;
  bool built_in = false;
};

// A file's text, whose lines stay lines.
std::string PrintableLines(absl::string_view text) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(text, '\n')) lines.push_back(PrintableUtf8(line));
  return absl::StrJoin(lines, "\n");
}

Json RuleJson(const Rule& rule) {
  Json domains = Json::array();
  for (const DomainPattern& pattern : rule.who.listed.domains) {
    domains.push_back(pattern.ToString());
  }
  Json tags = Json::array();
  for (const auto& tag : rule.who.tags) tags.push_back(tag->name);
  return {{"name", rule.name},
          {"min_bad", rule.min_bad},
          {"counts", std::string(rule.measure.Name())},
          {"classes", rule.measure.classes.Names()},
          {"min_recipients", rule.min_recipients == 0 ? Json(nullptr) : Json(rule.min_recipients)},
          {"cutoff", rule.cutoff == 0 ? Json(nullptr) : Json(rule.cutoff)},
          {"percent", rule.percent == 0 ? Json(nullptr) : Json(rule.percent)},
          {"any_share", rule.any_share},
          {"warn_at", rule.warn_at == 0 ? Json(nullptr) : Json(rule.warn_at)},
          {"window", deferd::FormatDuration(rule.window)},
          {"block_for", deferd::FormatDuration(rule.block_for)},
          {"action", rule.action.ToString()},
          {"shadow", rule.shadow},
          {"kind", std::string(SubjectKindName(rule.kind))},
          {"unhosted", rule.unhosted},
          {"owner_release", rule.owner_release},
          {"domains", std::move(domains)},
          {"tags", std::move(tags)},
          {"instead_of", rule.instead_of}};
}

// The policy in force, with the lists that it names as they are now.
absl::StatusOr<LoadedPolicy> InForce(const PolicyArguments& args) {
  absl::StatusOr<Json> asked =
      CallDaemon(*args.options.socket, "policy", Json::object(), kDaemonLimit);
  if (!asked.ok()) return asked.status();
  const std::string toml = asked->value("toml", "");
  absl::StatusOr<Policy> policy = ParsePolicy(toml, Field(*asked, "path"), ReadTextFile);
  if (!policy.ok()) return policy.status();
  return LoadedPolicy{std::make_shared<Policy>(*std::move(policy)), toml, ""};
}

absl::StatusOr<std::string> ShowSubject(const PolicyArguments& args) {
  absl::StatusOr<Subject> subject = Subject::Parse(args.subject);
  if (!subject.ok()) return subject.status();
  absl::StatusOr<LoadedPolicy> policy = args.built_in         ? LoadPolicy("")
                                        : args.policy.empty() ? InForce(args)
                                                              : LoadPolicy(args.policy);
  if (!policy.ok()) return policy.status();
  ChargeLists lists;
  lists.host = HostName();
  if (!args.config.empty()) {
    absl::StatusOr<Config> config = LoadConfig(args.config);
    if (!config.ok()) return config.status();
    lists = config->charge;
  }
  const Json json =
      SubjectRulesJson(*policy->policy, lists, AsCharged(lists, *subject), SystemClock().Now());
  return *args.options.json ? DumpPretty(json) : SubjectRulesPage(json);
}

absl::StatusOr<std::string> Show(const PolicyArguments& args) {
  if (!args.subject.empty()) return ShowSubject(args);
  if (args.built_in || !args.policy.empty()) {
    absl::StatusOr<LoadedPolicy> loaded = LoadPolicy(args.policy);
    if (!loaded.ok()) return loaded.status();
    return *args.options.json ? DumpPretty(PolicyJson(*loaded)) : PrintableLines(loaded->toml);
  }
  absl::StatusOr<Json> result =
      CallDaemon(*args.options.socket, "policy", Json::object(), kDaemonLimit);
  if (!result.ok()) return result.status();
  return *args.options.json ? DumpPretty(*result) : PrintableLines(result->value("toml", ""));
}

absl::StatusOr<ReplayOptions> OptionsOf(const PolicyArguments& args) {
  absl::StatusOr<ReplayOptions> options = ReplayOptionsFor(args.format, args.logs, args.config);
  if (!options.ok()) return options;
  absl::Status set = SetZoneAndCharge(args.timezone, args.charge, &*options);
  if (!set.ok()) return set;
  return options;
}

// "7d", or a time.
absl::StatusOr<absl::Time> SinceOf(const std::string& text, absl::Time now) {
  absl::StatusOr<absl::Duration> ago = ParseDuration(text);
  if (ago.ok()) return now - *ago;
  absl::Time since;
  if (absl::ParseTime(absl::RFC3339_full, MeantTime(text), &since, nullptr)) return since;
  return absl::InvalidArgumentError(
      absl::StrCat("--since is ", Quoted(text), "; give 7d, or \"2026-11-22 10:00\""));
}

// What the daemon's ledger has since --since; with `options` set for it.
absl::StatusOr<LedgerInput> LedgerSince(const PolicyArguments& args, ReplayOptions* options) {
  const absl::Time now = SystemClock().Now();
  absl::StatusOr<absl::Time> since = SinceOf(args.since, now);
  if (!since.ok()) return since.status();
  options->lists.local = true;  // what the ledger gives did count
  return LedgerInput(
      [socket = *args.options.socket](const Json& request) {
        return CallDaemon(socket, "track", request, kDaemonLimit);
      },
      *since, now);
}

absl::StatusOr<Json> DiffByLedger(const PolicyArguments& args, ReplayOptions options,
                                  const std::shared_ptr<const Policy>& after) {
  absl::StatusOr<LedgerInput> ledger = LedgerSince(args, &options);
  if (!ledger.ok()) return ledger.status();
  return DiffPolicies(options, after, [&](EventBatch* batch) { return ledger->Next(batch); });
}

// By the daemon's ledger and what became of its blocks.
absl::StatusOr<Json> SuggestByLedger(const PolicyArguments& args, ReplayOptions options,
                                     SubjectKind kind) {
  absl::StatusOr<LedgerInput> ledger = LedgerSince(args, &options);
  if (!ledger.ok()) return ledger.status();
  absl::StatusOr<Json> blocks =
      CallDaemon(*args.options.socket, "blocks", {{"all", true}}, kDaemonLimit);
  if (!blocks.ok()) return blocks.status();
  const std::vector<LiftedBlock> lifted = LiftedBlocks(*blocks);
  return SuggestLimits(
      options, kind, [&](EventBatch* batch) { return ledger->Next(batch); }, &lifted);
}

absl::StatusOr<std::string> Diff(const PolicyArguments& args) {
  absl::StatusOr<LoadedPolicy> before = LoadPolicy(args.before);
  if (!before.ok()) return before.status();
  absl::StatusOr<LoadedPolicy> after = LoadPolicy(args.after);
  if (!after.ok()) return after.status();
  double guard = 100;
  if (!args.guard.empty()) {
    absl::StatusOr<double> percent = ParsePercent("--guard", args.guard);
    if (!percent.ok()) return percent.status();
    guard = *percent;
  }
  absl::StatusOr<ReplayOptions> options = OptionsOf(args);
  if (!options.ok()) return options.status();
  options->policy = before->policy;
  options->progress = ProgressBar();
  absl::StatusOr<Json> diff = args.since.empty() ? DiffPolicies(*options, after->policy)
                                                 : DiffByLedger(args, *options, after->policy);
  if (!diff.ok()) return diff.status();
  const double altered = diff->value("altered_percent", 0.0);
  if (altered > guard) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the change alters %.1f%% of the subjects, more than %g%%: %d newly blocked, %d newly "
        "free, %d longer, %d shorter; without --guard they are listed",
        altered, guard, Number(*diff, "newly_blocked"), Number(*diff, "newly_free"),
        Number(*diff, "longer"), Number(*diff, "shorter")));
  }
  return *args.options.json ? DumpPretty(*diff) : PolicyDiffPage(*diff);
}

absl::StatusOr<std::string> Suggest(const PolicyArguments& args) {
  absl::StatusOr<LoadedPolicy> policy = LoadPolicy(args.policy);
  if (!policy.ok()) return policy.status();
  absl::StatusOr<SubjectKind> kind = ParseSubjectKind(args.kind);
  if (!kind.ok()) return kind.status();
  absl::StatusOr<ReplayOptions> options = OptionsOf(args);
  if (!options.ok()) return options.status();
  options->policy = policy->policy;
  options->progress = ProgressBar();
  if (args.logs.empty() && args.since.empty()) {
    return absl::InvalidArgumentError("give logs, or --since 7d for the daemon's ledger");
  }
  absl::StatusOr<Json> suggestion =
      args.since.empty() ? SuggestLimits(*options, *kind) : SuggestByLedger(args, *options, *kind);
  if (!suggestion.ok()) return suggestion.status();
  return *args.options.json ? DumpPretty(*suggestion) : SuggestPage(*suggestion);
}

absl::StatusOr<std::string> Import(const PolicyArguments& args) {
  absl::StatusOr<CpanelImport> import = ImportCpanel(args.dir);
  if (!import.ok()) return import.status();
  // Never hand out what the daemon would not take.
  absl::StatusOr<Policy> policy = ParsePolicy(import->policy, "import-cpanel");
  if (!policy.ok()) return policy.status();
  if (!*args.options.json) return import->policy;
  return DumpPretty({{"toml", import->policy}, {"not_carried_over", import->not_carried_over}});
}

absl::StatusOr<std::string> Schema(const PolicyArguments& /*args*/) {
  return DumpPretty(PolicySchema());
}

}  // namespace

Json PolicyJson(const LoadedPolicy& loaded) {
  const Policy& policy = *loaded.policy;
  Json rules = Json::array();
  for (const Rule& rule : policy.rules) rules.push_back(RuleJson(rule));
  return {{"path", policy.path},
          {"hash", policy.hash},
          {"mode", std::string(ModeName(policy.mode))},
          {"profile", policy.profile == Profile::kCpanel ? "cpanel" : "fair"},
          {"count", policy.count == CountMode::kOnce ? "once" : "attempts"},
          {"rules", std::move(rules)},
          {"toml", loaded.toml}};
}

Json SubjectRulesJson(const Policy& policy, const ChargeLists& lists, const Subject& subject,
                      absl::Time now) {
  const std::string within = DomainByLists(lists, subject);
  const bool alone = StandsAlone(lists, subject, within);
  Json rules = Json::array();
  for (const RuleReason& reason : RuleReasons(policy, subject, alone, within)) {
    rules.push_back({{"name", reason.rule->name},
                     {"line", reason.rule->line},
                     {"limits", reason.rule->off() ? "" : deferd::LimitsText(*reason.rule)},
                     {"counts", std::string(reason.rule->measure.Name())},
                     {"classes", reason.rule->measure.classes.Names()},
                     {"judges", reason.judges},
                     {"why", reason.why}});
  }
  Json exempt = PolicyExemptionJson(policy, subject, within, now);
  return {{"subject", subject.ToString()},
          {"within", within.empty() || within == subject.id ? Json(nullptr) : Json(within)},
          {"policy", policy.path},
          {"mode", std::string(ModeName(policy.mode))},
          {"exempt", std::move(exempt)},
          {"rules", std::move(rules)}};
}

std::string SubjectRulesPage(const Json& json) {
  std::string out = absl::StrCat(Field(json, "subject"), " by ", Field(json, "policy"), ", mode ",
                                 Field(json, "mode"), "\n");
  if (!Field(json, "within").empty()) {
    absl::StrAppend(&out, "part of ", Field(json, "within"), "\n");
  }
  const Json& exempt = At(json, "exempt");
  if (!exempt.is_null()) {
    std::string why = Field(exempt, "name");
    if (!Field(exempt, "reason").empty()) {
      absl::StrAppend(&why, " (line ", Number(exempt, "line"), "): ", Field(exempt, "reason"));
    }
    if (!Field(exempt, "by").empty()) absl::StrAppend(&why, ", by ", Field(exempt, "by"));
    if (!Field(exempt, "until").empty()) {
      absl::StrAppend(&why, ", until ", ZonedMinute(Field(exempt, "until")));
    }
    out += Wrapped("EXEMPT: ", absl::StrCat(why, "; counted, never blocked by a rule"));
  }
  std::vector<std::vector<std::string>> rows = {{"LINE", "RULE", "JUDGES", "WHY"}};
  for (const Json& rule : At(json, "rules")) {
    const bool judges = Flag(rule, "judges");
    rows.push_back({absl::StrCat(Number(rule, "line")), Field(rule, "name"), judges ? "yes" : "no",
                    judges ? absl::StrCat(Field(rule, "why"), "; ", Field(rule, "limits"))
                           : Field(rule, "why")});
  }
  return absl::StrCat(out, "\n", rows.size() == 1 ? "the policy has no rules\n" : Table(rows));
}

void AddPolicyVerbs(CLI::App* policy, const VerbOptions& options, Verb* chosen) {
  auto args = std::make_shared<PolicyArguments>();
  args->options = options;
  using Run = absl::StatusOr<std::string> (*)(const PolicyArguments&);
  const auto verb = [&](const char* name, const char* help, Run run) {
    return AddVerb(
        policy, name, help, [args, run] { return run(*args); }, chosen);
  };
  CLI::App* show = verb("show", "the policy in force, or which of its rules judge SUBJECT", Show);
  show->add_option("SUBJECT", args->subject, "example.com, login:bob@example.com, ...");
  show->add_flag("--default", args->built_in, "the built-in one");
  show->add_option("--policy", args->policy, "a policy file");
  show->add_option("--config", args->config, "take [charge] from this deferd.toml");
  CLI::App* diff = verb("diff", "what another policy would have done with the same logs", Diff);
  diff->add_option("OLD", args->before, "a policy file")->required();
  diff->add_option("NEW", args->after, "a policy file")->required();
  diff->add_option("LOG", args->logs, "logs, plain or .gz; without them only rules are compared");
  diff->add_option("--since", args->since, "the daemon's ledger in place of logs: 7d, or a time")
      ->excludes("LOG");
  diff->add_option("--guard", args->guard,
                   "fail if more of the subjects than this are altered: 5%");
  CLI::App* suggest =
      verb("suggest", "blocks a day by min_bad and percent, from logs of the past or the ledger",
           Suggest);
  suggest->add_option("LOG", args->logs, "logs, plain or .gz");
  suggest
      ->add_option("--since", args->since,
                   "the daemon's ledger in place of logs, and what people unblocked: 7d, or a time")
      ->excludes("LOG");
  suggest->add_option("--kind", args->kind, "whom to judge: domain, login, account ...")
      ->capture_default_str();
  suggest->add_option("--policy", args->policy, "whose [classes] and count; the built-in one");
  for (CLI::App* sub : {diff, suggest}) {
    sub->add_option("--format", args->format, "mail server of the log; default: detected")
        ->check(CLI::IsMember({"exim", "postfix"}));
    sub->add_option("--charge", args->charge,
                    "who is charged: a list of login,user,relay; or sender alone");
    sub->add_option("--timezone", args->timezone,
                    "time zone of stamps without one; default: this machine's");
    sub->add_option("--config", args->config, "take [charge] and timezone from this deferd.toml");
  }
  verb("schema", "the JSON schema of a policy file, for editors", Schema);
  CLI::App* import =
      verb("import-cpanel", "cPanel's limits as a policy, and what has no counterpart", Import);
  import->add_option("DIR", args->dir, "a copy of /var/cpanel and /etc/userdomains")->required();
}

}  // namespace deferd
