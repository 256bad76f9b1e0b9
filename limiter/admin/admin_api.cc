#include "limiter/admin/admin_api.h"

#include <pwd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

constexpr size_t kMaxReason = 500;
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

// "10 bad of 12 (83%)": the share with its denominator.
std::string ShareText(const Case& record) {
  return absl::StrCat(record.counts.bad(), " bad of ", record.counts.total(), " (", record.percent,
                      "%)");
}

// "root", "alice", or "uid 1000" where the name is not known.
std::string PersonName(const Peer& peer) {
  if (peer.uid < 0) return "unknown";
  std::vector<char> buffer(16 << 10);
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(static_cast<uid_t>(peer.uid), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : absl::StrCat("uid ", peer.uid);
}

}  // namespace

absl::StatusOr<Json> AdminApi::Handle(const std::string& verb, const Json& args,
                                      const Peer& peer) const {
  struct Verb {
    const char* name;
    absl::StatusOr<Json> (AdminApi::*handle)(const Json&, const Peer&) const;
  };
  static constexpr Verb kVerbs[] = {
      {"status", &AdminApi::Status},
      {"check", &AdminApi::Check},
      {"why", &AdminApi::Why},
      {"blocks", &AdminApi::Blocks},
      {"block", &AdminApi::Block},
      {"unblock", &AdminApi::Unblock},
      {"top", &AdminApi::Top},
      {"policy", &AdminApi::ShowPolicy},
      {"reload", &AdminApi::Reload},
      {"track", &AdminApi::TrackDelivery},
      {"incidents", &AdminApi::Incidents},
  };
  for (const Verb& known : kVerbs) {
    if (verb == known.name) return (this->*known.handle)(args, peer);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("verb '", verb.substr(0, 40), "' is not known to this daemon"));
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
  const GateAnswer answer = parts_.gate->Ask(*subject, source);
  const Freshness::State freshness = parts_.freshness->Get();
  const double age =
      freshness.causes.empty() ? 0 : absl::ToDoubleSeconds(parts_.clock->Now() - freshness.since);
  return Json{{"subject", subject->ToString()},
              {"verdict", std::string(VerdictName(answer.verdict))},
              {"text", answer.text},
              {"unchecked", answer.unchecked},
              {"causes", freshness.causes},
              {"age_seconds", age},
              {"source", std::string(SourceName(source))},
              {"case", answer.cause.has_value() ? CaseJson(*answer.cause) : Json(nullptr)}};
}

absl::StatusOr<Json> AdminApi::Why(const Json& args, const Peer&) const {
  absl::StatusOr<Subject> subject = SubjectArg(args);
  if (!subject.ok()) return subject.status();
  if (parts_.refresh) parts_.refresh(&*subject);
  const SubjectReport report = parts_.limiter->Report(*subject);

  Json window = CountsJson(report.counts);
  Json left_out = Json::object();
  for (const auto& [reply_class, count] : report.left_out) {
    left_out[std::string(ReplyClassName(reply_class))] = count;
  }
  window["left_out"] = std::move(left_out);
  Json rules = Json::array();
  for (const SubjectReport::RuleReport& rule : report.rules) {
    rules.push_back({{"name", rule.rule.name},
                     {"min_bad", rule.rule.min_bad},
                     {"percent", rule.rule.percent},
                     {"tripped", rule.tripped},
                     {"off", rule.rule.off()},
                     {"shadow", rule.shadow},
                     {"window", deferd::FormatDuration(rule.rule.window)},
                     {"bad", rule.counts.bad()},
                     {"bad_percent", rule.percent}});
  }

  std::optional<Case> open = parts_.cases->FindOpen(*subject, /*shadow=*/false);
  if (!open.has_value()) open = parts_.cases->FindOpen(*subject, /*shadow=*/true);
  Json case_json = nullptr;
  std::string state = "ok";
  if (open.has_value()) {
    if (!open->shadow) state = std::string(CaseStateName(open->state));
    case_json = CaseJson(*open);
    Json attempts = Json::array();
    for (const LedgerRow& row : parts_.receipt(*open)) attempts.push_back(LedgerRowJson(row));
    case_json["receipt"] = {{"counts", CountsJson(open->counts)},
                            {"min_bad", open->min_bad},
                            {"percent_limit", open->percent_limit},
                            {"window_begin", FormatUtc(open->since - open->window)},
                            {"window_end", FormatUtc(open->since)},
                            {"policy_hash", open->policy_hash},
                            {"rule", case_json["rule"]},
                            {"share", ShareText(*open)},
                            {"attempts", std::move(attempts)}};
  }
  std::vector<Incident> incidents = parts_.limiter->ShownIncidents();
  incidents.erase(std::remove_if(incidents.begin(), incidents.end(),
                                 [&](const Incident& one) {
                                   return !one.subjects.contains(subject->ToString());
                                 }),
                  incidents.end());
  Json events = Json::array();
  for (const CaseEvent& event : parts_.cases->EventsOf(*subject, 10)) {
    events.push_back(CaseEventJson(event));
  }
  return Json{{"subject", subject->ToString()},
              {"state", state},
              {"window", window},
              {"rules", rules},
              {"case", case_json},
              {"incidents", IncidentsJson(incidents, /*ended=*/false)},
              {"exempt", report.exempt},
              {"cleared_at", report.cleared_at == absl::InfinitePast()
                                 ? Json(nullptr)
                                 : Json(FormatUtc(report.cleared_at))},
              {"events", events}};
}

absl::StatusOr<Json> AdminApi::Blocks(const Json& args, const Peer&) const {
  Json blocks = Json::array();
  for (const Case& record : parts_.cases->Open()) blocks.push_back(CaseJson(record));
  if (args.contains("all") && args["all"] == true) {
    for (const Case& record : parts_.cases->Closed(1000)) blocks.push_back(CaseJson(record));
  }
  return blocks;
}

absl::StatusOr<Json> AdminApi::Block(const Json& args, const Peer& peer) const {
  absl::StatusOr<Subject> subject = SubjectArg(args);
  if (!subject.ok()) return subject.status();
  absl::StatusOr<std::string> length = StringArg(args, "for");
  if (!length.ok()) return length.status();
  absl::StatusOr<absl::Duration> duration = ParseDuration(*length);
  if (!duration.ok()) return duration.status();
  if (*duration > kLongestBlock) {
    return absl::InvalidArgumentError("--for: at most 365 days (8760h)");
  }
  absl::StatusOr<std::string> reason = ReasonArg(args);
  if (!reason.ok()) return reason.status();
  return Saved(parts_.limiter->Block(*subject, *duration, PersonName(peer), *reason));
}

absl::StatusOr<Json> AdminApi::Unblock(const Json& args, const Peer& peer) const {
  absl::StatusOr<Subject> subject = SubjectArg(args);
  if (!subject.ok()) return subject.status();
  absl::StatusOr<std::string> reason = ReasonArg(args);
  if (!reason.ok()) return reason.status();
  absl::StatusOr<Case> ended = parts_.limiter->Unblock(*subject, PersonName(peer), *reason);
  if (!ended.ok()) return ended.status();
  return Saved(*ended);
}

Json AdminApi::Saved(const Case& record) const {
  Json json = CaseJson(record);
  absl::Status saved = parts_.save();
  json["not_saved"] = saved.ok() ? Json(nullptr) : Json(std::string(saved.message()));
  const absl::Status shared = parts_.share ? parts_.share(record.subject) : absl::OkStatus();
  json["not_shared"] = shared.ok() ? Json(nullptr) : Json(std::string(shared.message()));
  return json;
}

absl::StatusOr<Json> AdminApi::TrackDelivery(const Json& args, const Peer&) const {
  return Track(parts_.search, args, parts_.clock->Now());
}

absl::StatusOr<Json> AdminApi::Incidents(const Json& args, const Peer&) const {
  return IncidentsJson(parts_.limiter->ShownIncidents(),
                       args.contains("all") && args["all"] == true);
}

absl::StatusOr<Json> AdminApi::Top(const Json& args, const Peer&) const {
  absl::StatusOr<int64_t> limit = IntegerArg(args, "limit", 20);
  if (!limit.ok()) return limit.status();
  if (parts_.refresh) parts_.refresh(nullptr);
  Json top = Json::array();
  for (const SubjectCounts& one : parts_.limiter->Top(static_cast<size_t>(*limit))) {
    top.push_back(SubjectCountsJson(one));
  }
  return top;
}

absl::StatusOr<Json> AdminApi::ShowPolicy(const Json&, const Peer&) const {
  return parts_.policy();
}

absl::StatusOr<Json> AdminApi::Reload(const Json&, const Peer& peer) const {
  spdlog::info("reload asked for by {}", PersonName(peer));
  absl::Status reloaded = parts_.reload();
  if (!reloaded.ok()) return reloaded;
  return parts_.policy();
}

}  // namespace deferd
