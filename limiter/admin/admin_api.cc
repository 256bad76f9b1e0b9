#include "limiter/admin/admin_api.h"

#include <pwd.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/admin/exemptions.h"
#include "limiter/admin/explain.h"
#include "limiter/admin/forget.h"
#include "limiter/admin/history.h"
#include "limiter/admin/near_subjects.h"
#include "limiter/admin/record.h"
#include "limiter/admin/stats.h"
#include "limiter/admin/track_args.h"
#include "limiter/admin/value_json.h"
#include "limiter/admin/why.h"
#include "limiter/port/log.h"
#include "policy/case_id.h"
#include "policy/organisation.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

constexpr size_t kMaxReason = 500;
constexpr size_t kMaxByNode = 100;  // subjects of `top` whose nodes are told apart
constexpr absl::Duration kLongestBlock = absl::Hours(24 * 365);

absl::StatusOr<std::string> StringArg(const Json& args, const char* name) {
  if (!args.contains(name)) return std::string();
  if (!args[name].is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a string"));
  }
  return args[name].get<std::string>();
}

absl::StatusOr<Subject> SubjectArg(const Json& args) {
  absl::StatusOr<std::string> text = StringArg(args, "subject");
  if (!text.ok()) return text.status();
  return Subject::Parse(*text);
}

absl::StatusOr<int64_t> IntegerArg(const Json& args, const char* name, int64_t otherwise) {
  if (!args.contains(name)) return otherwise;
  if (!args[name].is_number_integer() || args[name].get<int64_t>() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a whole number from 0 up"));
  }
  return args[name].get<int64_t>();
}

absl::StatusOr<std::string> ReasonArg(const Json& args) {
  absl::StatusOr<std::string> reason = StringArg(args, "reason");
  if (reason.ok() && reason->size() > kMaxReason) {
    return absl::InvalidArgumentError(
        absl::StrCat("reason: longer than ", kMaxReason, " bytes; say it shorter"));
  }
  return reason;
}

absl::StatusOr<std::string> NeededReason(const Json& args) {
  absl::StatusOr<std::string> reason = ReasonArg(args);
  if (reason.ok() && absl::StripAsciiWhitespace(*reason).empty()) {
    return absl::InvalidArgumentError("--reason: is empty; say why, for the record");
  }
  return reason;
}

// "2h", or one of the words for what only a person ends.
absl::StatusOr<absl::Duration> LengthOf(const std::string& text) {
  for (const char* word : {"ever", "forever", "permanent"}) {
    if (text == word) return kForever;
  }
  absl::StatusOr<absl::Duration> length = ParseDuration(text);
  if (length.ok() && *length > kLongestBlock) {
    return absl::InvalidArgumentError("--for: at most 365 days (8760h), or \"ever\"");
  }
  return length;
}

absl::Status NoSuchCase(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat(
      "no such case: ", id,
      "; compare the id with the refusal (cases that ended long ago are forgotten), or "
      "give the subject, such as example.com"));
}

absl::StatusOr<HeldOrder> HeldOrderArg(const Json& args) {
  absl::StatusOr<std::string> text = StringArg(args, "held");
  if (!text.ok()) return text.status();
  if (text->empty()) return HeldOrder::kNone;
  if (*text == "release") return HeldOrder::kRelease;
  if (*text == "keep") return HeldOrder::kKeep;
  return absl::InvalidArgumentError("held: expected \"release\" or \"keep\"");
}

absl::Status NoQueue() {
  return absl::FailedPreconditionError(
      "this deferd does not see the mail queue; start deferd-queue and name its socket as "
      "[queue] helper in deferd.toml");
}

// "root", "alice", or "uid 1000" where the name is not known.
std::string PersonName(const Peer& peer) {
  if (!peer.name.empty()) return peer.name;
  if (peer.uid < 0) return "unknown";
  std::vector<char> buffer(16 << 10);
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(static_cast<uid_t>(peer.uid), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : absl::StrCat("uid ", peer.uid);
}

}  // namespace

struct AdminApi::Verb {
  const char* name;
  const char* action;  // value of "do"; "": any
  VerbRole role;
  absl::StatusOr<Json> (AdminApi::*handle)(const Json&, const Peer&) const;
};

constexpr AdminApi::Verb AdminApi::kVerbs[] = {
    {"status", "", VerbRole::kReads, &AdminApi::Status},
    {"check", "", VerbRole::kReads, &AdminApi::Check},
    {"why", "", VerbRole::kReads, &AdminApi::Why},
    {"case", "", VerbRole::kReads, &AdminApi::WhoseCase},
    {"blocks", "", VerbRole::kReads, &AdminApi::Blocks},
    {"block", "", VerbRole::kChanges, &AdminApi::Block},
    {"unblock", "", VerbRole::kChanges, &AdminApi::Unblock},
    {"exempt", "list", VerbRole::kReads, &AdminApi::Exempt},
    {"exempt", "", VerbRole::kChanges, &AdminApi::Exempt},
    {"shadow", "report", VerbRole::kReads, &AdminApi::Shadow},
    {"shadow", "", VerbRole::kChanges, &AdminApi::Shadow},
    {"top", "", VerbRole::kReads, &AdminApi::Top},
    // It changes nothing, but keeps the daemon busy for seconds.
    {"policy", "diff", VerbRole::kChanges, &AdminApi::TryPolicy},
    {"policy", "", VerbRole::kReads, &AdminApi::ShowPolicy},
    {"reload", "", VerbRole::kChanges, &AdminApi::Reload},
    {"track", "", VerbRole::kReads, &AdminApi::TrackDelivery},
    {"incidents", "", VerbRole::kReads, &AdminApi::Incidents},
    {"history", "", VerbRole::kReads, &AdminApi::OverTime},
    {"destinations", "", VerbRole::kReads, &AdminApi::ByDestination},
    {"explain", "", VerbRole::kReads, &AdminApi::ExplainAnswer},
    {"events", "", VerbRole::kReads, &AdminApi::Changes},
    {"stats", "", VerbRole::kReads, &AdminApi::SentStats},
    {"record", "", VerbRole::kChanges, &AdminApi::RecordAttempts},
    {"token", "", VerbRole::kChanges, &AdminApi::Token},
    // A link shows a case to whoever has it.
    {"link", "", VerbRole::kChanges, &AdminApi::OwnerLink},
    {"notice", "list", VerbRole::kReads, &AdminApi::Notices},
    {"notice", "show", VerbRole::kReads, &AdminApi::Notices},
    {"notice", "", VerbRole::kChanges, &AdminApi::Notices},
    {"queue", "list", VerbRole::kReads, &AdminApi::Queue},
    {"queue", "", VerbRole::kChanges, &AdminApi::Queue},
    {"forget", "", VerbRole::kChanges, &AdminApi::Forget},
};

std::vector<AdminApi::VerbInfo> AdminApi::Verbs() {
  std::vector<VerbInfo> verbs;
  for (const Verb& known : kVerbs) verbs.push_back({known.name, known.action, known.role});
  return verbs;
}

absl::StatusOr<Json> AdminApi::Handle(const std::string& verb, const Json& args, const Peer& peer,
                                      AdminAccess access) const {
  const auto action = args.is_object() ? args.find("do") : args.end();
  for (const Verb& known : kVerbs) {
    const absl::string_view only = known.action;
    if (verb != known.name ||
        (!only.empty() && (action == args.end() || *action != std::string(only)))) {
      continue;
    }
    if (known.role != VerbRole::kReads && access != AdminAccess::kEverything) {
      return absl::PermissionDeniedError(absl::StrCat(
          verb,
          ": this socket ([admin] readers) only shows; what changes something needs deferd's "
          "admin socket ([admin] socket)"));
    }
    absl::StatusOr<Json> named = WithSubjectOfCase(verb, args);
    if (!named.ok()) return named.status();
    return (this->*known.handle)(AsCharged(*named), peer);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("verb ", Quoted(verb.substr(0, 40)), " is not known to this daemon"));
}

absl::StatusOr<Json> AdminApi::WithSubjectOfCase(const std::string& verb, const Json& args) const {
  Json named = args;
  if (!args.is_object()) return named;
  named.erase("named_case");
  for (const char* key : {"subject", "domain", "what"}) {
    if (key == absl::string_view("what") && verb != "track") continue;  // free text elsewhere
    const std::optional<std::string> id = ParseCaseId(Field(args, key));
    if (!id.has_value()) continue;
    const std::optional<Case> record = parts_.cases->FindById(*id);
    if (!record.has_value()) return NoSuchCase(*id);
    named.erase(key);
    named["subject"] = record->subject.ToString();
    named["named_case"] = record->id;
  }
  return named;
}

// A login or local user that is named without a host is this host's, in every verb.
Json AdminApi::AsCharged(const Json& args) const {
  Json named = args;
  for (const char* key : {"subject", "what"}) {
    if (!args.is_object() || !args.contains(key) || !args[key].is_string()) continue;
    const std::string text = args[key].get<std::string>();
    // To look for by a bare address is to look for whoever sent or received as it.
    if (absl::string_view(key) == "what" && !absl::StrContains(text, ':')) continue;
    absl::StatusOr<Subject> subject = Subject::Parse(text);
    if (!subject.ok() || subject->kind == SubjectKind::kDomain) continue;
    named[key] = deferd::AsCharged(*parts_.limiter->settings().lists, *subject).ToString();
  }
  return named;
}

absl::StatusOr<Json> AdminApi::Status(const Json&, const Peer&) const { return parts_.status(); }

absl::StatusOr<Json> AdminApi::Check(const Json& args, const Peer&) const {
  absl::StatusOr<Subject> subject = SubjectArg(args);
  if (!subject.ok()) return subject.status();
  absl::StatusOr<std::string> source_name = StringArg(args, "source");
  if (!source_name.ok()) return source_name.status();
  Source source = Source::kSubmission;
  if (!source_name->empty()) {
    absl::StatusOr<Source> parsed = ParseSource(*source_name);
    if (!parsed.ok()) return parsed.status();
    source = *parsed;
  }
  const GateAnswer answer = parts_.gate->Check(*subject, source);
  const SubjectReport report = parts_.limiter->Report(*subject);
  Json inside = Json::array();
  for (const Case& part : report.parts) {
    if (!part.shadow) inside.push_back(part.subject.ToString());
  }
  const bool shadow = parts_.cases->FindOpen(*subject, /*shadow=*/true).has_value();
  const Freshness::State freshness = parts_.freshness->Get();
  const double age =
      freshness.causes.empty() ? 0 : absl::ToDoubleSeconds(parts_.clock->Now() - freshness.since);
  return Json{{"subject", subject->ToString()},
              {"verdict", std::string(VerdictName(answer.verdict))},
              {"text", answer.text},
              {"unchecked", answer.unchecked},
              {"hold_limit_reached", answer.hold_is_full},
              {"causes", freshness.causes},
              {"age_seconds", age},
              {"source", std::string(SourceName(source))},
              {"parts", std::move(inside)},
              {"shadow", shadow},
              {"exemption", ExemptionJson(report, *parts_.limiter->settings().policy, *subject,
                                          parts_.clock->Now())},
              {"case", answer.cause.has_value() ? CaseJson(*answer.cause) : Json(nullptr)}};
}

WhyParts AdminApi::PartsOfWhy() const {
  return {.limiter = parts_.limiter,
          .cases = parts_.cases,
          .search = parts_.search,
          .receipt = parts_.receipt,
          .gate = parts_.gate,
          .queue = parts_.held.seen,
          .postfix_defers = parts_.held.postfix_defers};
}

absl::StatusOr<Json> AdminApi::WhoseCase(const Json& args, const Peer&) const {
  absl::StatusOr<std::string> id = StringArg(args, "id");
  if (!id.ok()) return id.status();
  const std::optional<Case> record = parts_.cases->FindById(*id);
  if (!record.has_value()) return NoSuchCase(*id);
  return Json{{"id", record->id}, {"subject", record->subject.ToString()}};
}

absl::StatusOr<Json> AdminApi::Why(const Json& args, const Peer&) const {
  absl::StatusOr<Subject> subject = SubjectArg(args);
  if (!subject.ok()) return subject.status();
  if (parts_.refresh) parts_.refresh(&*subject);
  const WhyParts parts = PartsOfWhy();
  std::optional<Case> named;
  if (args.contains("named_case")) named = parts_.cases->FindById(Field(args, "named_case"));
  if (args.contains("verify") && args["verify"] == true) {
    return VerifyJson(parts, parts_.ledger, *subject, named);
  }
  const bool history = args.contains("history") && args["history"] == true;
  Json why = WhyJson(parts, *subject, parts_.clock->Now(), named, history);
  // Whether the counts can be trusted.
  const Freshness::State freshness = parts_.freshness->Get();
  why["unchecked"] = freshness.causes;
  why["unchecked_since"] =
      freshness.causes.empty() ? Json(nullptr) : Json(FormatUtc(freshness.since));
  return why;
}

absl::StatusOr<Json> AdminApi::Blocks(const Json& args, const Peer&) const {
  absl::StatusOr<std::string> since = TextArg(args, "since");
  if (!since.ok()) return since.status();
  absl::Time begin = absl::InfinitePast();
  if (!since->empty()) {
    absl::StatusOr<absl::Time> time = ParseWhen(*since, parts_.clock->Now());
    if (!time.ok()) return time.status();
    begin = *time;
  }
  Json blocks = Json::array();
  for (const Case& record : parts_.cases->Open()) blocks.push_back(CaseJson(record));
  if ((args.contains("all") && args["all"] == true) || !since->empty()) {
    for (const Case& record : parts_.cases->Closed(CaseTable::kMaxHistory)) {
      if (record.closed_at >= begin) blocks.push_back(CaseJson(record));
    }
  }
  return blocks;
}

// A block of a name that nobody sends as stops nothing, and its author believes that it does.
absl::Status AdminApi::CheckBlockable(const Subject& subject, const Peer& peer) const {
  if (subject.kind != SubjectKind::kDomain && absl::StrContains(subject.id, '*')) {
    return absl::InvalidArgumentError(
        absl::StrCat(subject.ToString(), " names one ", SubjectKindName(subject.kind),
                     " with a '*' in its name; to stop all of a domain block the domain"));
  }
  if (IsPattern(subject)) {
    if (!IsPublicSuffix(subject.id.substr(2))) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        subject.id.substr(2), " is a public suffix, below which others have their domains"));
  }
  if (subject.kind != SubjectKind::kDomain || absl::StartsWith(subject.id, "[")) {
    return absl::OkStatus();
  }
  const bool suffix = IsPublicSuffix(subject.id);
  if ((!suffix && absl::StrContains(subject.id, '.')) || EverSeen(PartsOfWhy(), subject)) {
    return absl::OkStatus();
  }
  if (suffix) {
    return absl::InvalidArgumentError(absl::StrCat(
        subject.id,
        " is a public suffix; a block applies to one domain, not to those below it, so "
        "name the domain itself"));
  }
  // Names others, so it is for people on this machine alone.
  const std::vector<std::string> near =
      peer.name.empty() ? NearSubjects(PartsOfWhy(), subject) : std::vector<std::string>();
  return absl::InvalidArgumentError(absl::StrCat(
      "'", subject.id, "' is not a domain that deferd has seen; ",
      near.empty() ? std::string("a local user is local:NAME@HOST, a login login:NAME@DOMAIN")
                   : absl::StrCat("did you mean ", near.front(), "?")));
}

absl::StatusOr<Json> AdminApi::Block(const Json& args, const Peer& peer) const {
  absl::StatusOr<Subject> subject = SubjectArg(args);
  if (!subject.ok()) return subject.status();
  if (absl::Status sensible = CheckBlockable(*subject, peer); !sensible.ok()) return sensible;
  absl::StatusOr<std::string> length = StringArg(args, "for");
  if (!length.ok()) return length.status();
  absl::StatusOr<absl::Duration> duration = LengthOf(*length);
  if (!duration.ok()) return duration.status();
  absl::StatusOr<std::string> reason = NeededReason(args);
  if (!reason.ok()) return reason.status();
  return Saved(parts_.committer->Block(*subject, *duration, PersonName(peer), *reason));
}

absl::StatusOr<Json> AdminApi::Unblock(const Json& args, const Peer& peer) const {
  absl::StatusOr<Subject> subject = SubjectArg(args);
  if (!subject.ok()) return subject.status();
  absl::StatusOr<std::string> reason = ReasonArg(args);
  if (!reason.ok()) return reason.status();
  absl::StatusOr<HeldOrder> order = HeldOrderArg(args);
  if (!order.ok()) return order.status();
  if (*order != HeldOrder::kNone && !parts_.held.of) return NoQueue();
  // Who names a case means no later one.
  absl::StatusOr<std::string> only_case =
      StringArg(args, args.contains("named_case") ? "named_case" : "case");
  if (!only_case.ok()) return only_case.status();
  // Before the block ends: released mail leaves the queue at once.
  Json held = parts_.held.of ? parts_.held.of(*subject) : Json(nullptr);
  const bool cases_known = CasesKnown();  // before: what comes meanwhile may be a block
  absl::StatusOr<Case> ended =
      parts_.committer->Unblock(*subject, PersonName(peer), *reason, *order, *only_case);
  if (!ended.ok()) return NothingToEnd(*subject, ended.status(), cases_known);
  if (held.is_object()) {
    const int64_t messages = held["messages"].is_number() ? held["messages"].get<int64_t>() : 0;
    held["order"] = *order == HeldOrder::kRelease ? "release"
                    : *order == HeldOrder::kKeep  ? "keep"
                                                  : "";
    held["stays_for"] = parts_.held.stays_for(*ended, messages);
  }
  Json answer = Saved(*ended);
  answer["held"] = std::move(held);
  return answer;
}

// That there is nothing to end is the answer only if neither a restart nor another node's word
// brings it.
absl::Status AdminApi::NothingToEnd(const Subject& subject, absl::Status nothing,
                                    bool cases_known) const {
  if (!absl::IsNotFound(nothing)) return nothing;
  if (!parts_.save().ok()) {
    return absl::UnavailableError(
        absl::StrCat(subject.ToString(),
                     ": nothing to end now, but the state cannot be saved, so a restart may ",
                     "bring back what ended before; deferctl status says why"));
  }
  if (!cases_known) {
    return absl::UnavailableError(
        absl::StrCat(subject.ToString(),
                     ": nothing to end here, but what other nodes have decided is not known ",
                     "now; try again, or do it on another node; deferctl status says why"));
  }
  return nothing;
}

// {"do": "add", "remove" or "list"}.
absl::StatusOr<Json> AdminApi::Exempt(const Json& args, const Peer& peer) const {
  const std::shared_ptr<const Policy> policy = parts_.limiter->settings().policy;
  absl::StatusOr<std::string> what = StringArg(args, "do");
  if (!what.ok()) return what.status();
  if (*what == "list") return ExemptionsJson(*parts_.cases, *policy, parts_.clock->Now());
  absl::StatusOr<std::string> text = StringArg(args, "subject");
  if (!text.ok()) return text.status();
  if (*what == "remove") {
    // Also of a tag that the policy has no more.
    absl::StatusOr<Subject> subject =
        absl::StartsWith(*text, kTagPrefix)
            ? absl::StatusOr<Subject>(Subject{SubjectKind::kDomain, *text})
            : Subject::Parse(*text);
    if (!subject.ok()) return subject.status();
    absl::StatusOr<std::string> reason = ReasonArg(args);
    if (!reason.ok()) return reason.status();
    const bool cases_known = CasesKnown();
    absl::StatusOr<Case> ended =
        parts_.committer->EndExemption(*subject, PersonName(peer), *reason);
    if (!ended.ok()) return NothingToEnd(*subject, ended.status(), cases_known);
    return Saved(*ended, PersonsExemptionJson(*ended));
  }
  if (*what != "add") return absl::InvalidArgumentError("do: expected add, remove or list");
  absl::StatusOr<Subject> subject = ParseExempt(*text, *policy);
  if (!subject.ok()) return subject.status();
  absl::StatusOr<std::string> reason = NeededReason(args);
  if (!reason.ok()) return reason.status();
  absl::StatusOr<std::string> length = StringArg(args, "for");
  if (!length.ok()) return length.status();
  absl::StatusOr<std::string> until = StringArg(args, "until");
  if (!until.ok()) return until.status();
  absl::StatusOr<absl::Duration> duration = LengthOf(length->empty() ? "ever" : *length);
  if (!duration.ok()) return duration.status();
  if (!until->empty()) {
    absl::Time time;
    if (!absl::ParseTime(absl::RFC3339_full, *until, &time, nullptr) ||
        time <= parts_.clock->Now()) {
      return absl::InvalidArgumentError(
          "--until: expected a day or a time to come, such as 2027-01-31");
    }
    duration = std::min(time - parts_.clock->Now(), kForever);
  }
  const Case record = parts_.committer->Exempt(*subject, *duration, PersonName(peer), *reason);
  return Saved(record, PersonsExemptionJson(record));
}

void AdminApi::RestoreMarks(const std::map<std::string, int64_t>& remembered) {
  MutexLock lock(&marks_mutex_);
  for (const auto& [name, number] : remembered) {
    absl::string_view id = name;
    if (absl::ConsumePrefix(&id, kMarkPrefix)) marks_[std::string(id)] = MarkOf(number);
  }
}

// {"do": "report", "right" or "wrong"}.
absl::StatusOr<Json> AdminApi::Shadow(const Json& args, const Peer& peer) const {
  absl::StatusOr<std::string> what = StringArg(args, "do");
  if (!what.ok()) return what.status();
  if (*what == "report") {
    absl::StatusOr<std::string> since = TextArg(args, "since");
    if (!since.ok()) return since.status();
    absl::StatusOr<absl::Time> begin =
        ParseWhen(since->empty() ? "7d" : *since, parts_.clock->Now());
    if (!begin.ok()) return begin.status();
    ShadowMarks marks;
    {
      MutexLock lock(&marks_mutex_);
      marks = marks_;
    }
    return ShadowReportJson(*parts_.cases, parts_.receipt, marks, *begin);
  }
  const bool right = *what == "right";
  if (!right && *what != "wrong") {
    return absl::InvalidArgumentError("do: expected report, right or wrong");
  }
  absl::StatusOr<std::string> name = StringArg(args, "case");
  if (!name.ok()) return name.status();
  absl::StatusOr<std::string> reason = ReasonArg(args);
  if (!reason.ok()) return reason.status();
  absl::StatusOr<Case> record = FindShadowCase(*parts_.cases, *name);
  if (!record.ok()) return record.status();
  const ShadowMark mark = {right, parts_.clock->Now()};
  {
    MutexLock lock(&marks_mutex_);
    marks_[record->id] = mark;
    // The oldest go first.
    if (marks_.size() > CaseTable::kMaxHistory) {
      const auto oldest = absl::c_min_element(
          marks_, [](const auto& a, const auto& b) { return a.second.at < b.second.at; });
      parts_.committer->Remember(absl::StrCat(kMarkPrefix, oldest->first), std::nullopt);
      marks_.erase(oldest);
    }
  }
  parts_.committer->Remember(absl::StrCat(kMarkPrefix, record->id), NumberOf(mark));
  spdlog::info("{}: case {} in shadow is marked {} by {}: {}",
               PrintableUtf8(record->subject.ToString()), record->id, *what, PersonName(peer),
               PrintableUtf8(*reason));
  const absl::Status saved = parts_.save();
  return Json{{"id", record->id},
              {"subject", record->subject.ToString()},
              {"rule", record->rule},
              {"verdict", *what},
              {"not_saved", saved.ok() ? Json(nullptr) : Json(std::string(saved.message()))}};
}

Json AdminApi::Saved(const Case& record) const { return Saved(record, CaseJson(record)); }

Json AdminApi::Saved(const Case& record, Json json) const {
  absl::Status saved = parts_.save();
  json["not_saved"] = saved.ok() ? Json(nullptr) : Json(std::string(saved.message()));
  const absl::Status shared = parts_.share ? parts_.share(record.subject) : absl::OkStatus();
  json["not_shared"] = shared.ok() ? Json(nullptr) : Json(std::string(shared.message()));
  return json;
}

absl::StatusOr<Json> AdminApi::Queue(const Json& args, const Peer& peer) const {
  if (!parts_.queue) return NoQueue();
  return parts_.queue(args, PersonName(peer));
}

absl::StatusOr<Json> AdminApi::Token(const Json& args, const Peer& peer) const {
  if (!parts_.token) return absl::FailedPreconditionError("this deferd keeps no tokens");
  return parts_.token(args, PersonName(peer));
}

absl::StatusOr<Json> AdminApi::OwnerLink(const Json& args, const Peer& peer) const {
  if (!parts_.link) {
    return absl::FailedPreconditionError(
        "there is no owner's page; [api] owner_page in deferd.toml switches it on");
  }
  return parts_.link(args, PersonName(peer));
}

// All of them or, if one has a mistake, none.
absl::StatusOr<Json> AdminApi::RecordAttempts(const Json& args, const Peer&) const {
  if (!args.contains("records") || !args["records"].is_array()) {
    return absl::InvalidArgumentError("records: expected an array");
  }
  EventBatch batch;
  int64_t number = 0;
  for (const Json& record : args["records"]) {
    absl::Status added = AddRecord(record, parts_.clock->Now(), &batch);
    if (!added.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("record ", number, ": ", added.message()));
    }
    ++number;
  }
  absl::Status recorded = parts_.record(batch);
  if (!recorded.ok()) return recorded;
  return Json{{"recorded", number}};
}

absl::StatusOr<Json> AdminApi::Forget(const Json& args, const Peer& peer) const {
  return ForgetSome(parts_.committer, *parts_.cases, args, PersonName(peer));
}

absl::StatusOr<Json> AdminApi::SentStats(const Json& args, const Peer&) const {
  return Stats(parts_.search, *parts_.cases, args, parts_.clock->Now());
}

absl::StatusOr<Json> AdminApi::TrackDelivery(const Json& args, const Peer&) const {
  return Track(parts_.search, args, parts_.clock->Now());
}

absl::StatusOr<Json> AdminApi::Notices(const Json& args, const Peer&) const {
  if (!parts_.notice) return absl::UnimplementedError("this daemon sends no notices");
  return parts_.notice(args);
}

absl::StatusOr<Json> AdminApi::OverTime(const Json& args, const Peer&) const {
  return History(parts_.search, args, parts_.clock->Now());
}

absl::StatusOr<Json> AdminApi::ByDestination(const Json& args, const Peer&) const {
  return Destinations(parts_.search, args, parts_.clock->Now());
}

absl::StatusOr<Json> AdminApi::ExplainAnswer(const Json& args, const Peer&) const {
  absl::StatusOr<std::string> text = TextArg(args, "text");
  if (!text.ok()) return text.status();
  if (absl::StripAsciiWhitespace(*text).empty()) {
    return absl::InvalidArgumentError("text: is empty; give a server's answer");
  }
  const std::shared_ptr<const Policy> policy = parts_.limiter->settings().policy;
  return ExplainJson(*text, policy->replies().Classify(*text));
}

absl::StatusOr<Json> AdminApi::Changes(const Json& args, const Peer&) const {
  absl::StatusOr<int64_t> after = IntegerArg(args, "after", 0);
  if (!after.ok()) return after.status();
  if (!parts_.events) {
    return absl::FailedPreconditionError("this deferd keeps no events; they are for the HTTP API");
  }
  return parts_.events(*after);
}

absl::StatusOr<Json> AdminApi::Incidents(const Json& args, const Peer&) const {
  return IncidentsJson(parts_.limiter->ShownIncidents(),
                       args.contains("all") && args["all"] == true);
}

absl::StatusOr<Json> AdminApi::Top(const Json& args, const Peer&) const {
  absl::StatusOr<int64_t> limit = IntegerArg(args, "limit", 20);
  if (!limit.ok()) return limit.status();
  absl::StatusOr<Confines> confines = Confines::FromArgs(args);
  if (!confines.ok()) return confines.status();
  if (parts_.refresh) parts_.refresh(nullptr);
  const auto most = static_cast<size_t>(*limit);
  const bool nodes = args.contains("nodes") && args["nodes"] == true;
  Json top = Json::array();
  for (const SubjectCounts& one : parts_.limiter->Top(confines->everybody() ? most : 0)) {
    if (!confines->Hold(one.subject)) continue;
    Json json = SubjectCountsJson(one);
    if (nodes && top.size() < kMaxByNode) {
      json["by_node"] = ByNodeJson(parts_.limiter->Report(one.subject).counts_by_node);
    }
    top.push_back(std::move(json));
    if (top.size() == most) break;
  }
  return top;
}

absl::StatusOr<Json> AdminApi::ShowPolicy(const Json&, const Peer&) const {
  return parts_.policy();
}

absl::StatusOr<Json> AdminApi::TryPolicy(const Json& args, const Peer&) const {
  if (!parts_.try_policy) return absl::UnimplementedError("this daemon cannot try a policy");
  absl::StatusOr<std::string> toml = TextArg(args, "toml");
  if (!toml.ok()) return toml.status();
  return parts_.try_policy(*toml);
}

absl::StatusOr<Json> AdminApi::Reload(const Json& args, const Peer& peer) const {
  spdlog::info("reload requested by {}", PersonName(peer));
  absl::Status reloaded = parts_.reload(args.contains("force") && args["force"] == true);
  if (!reloaded.ok()) return reloaded;
  return parts_.policy();
}

}  // namespace deferd
