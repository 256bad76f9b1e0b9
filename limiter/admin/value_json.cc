#include "limiter/admin/value_json.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "policy/evaluate.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {
std::string Text(absl::string_view text) { return std::string(text); }
}  // namespace

Json CountsJson(const Counts& counts) {
  Json json = {{"delivered", counts.delivered}, {"deferred", counts.deferred},
               {"failed", counts.failed},       {"bad", counts.bad()},
               {"percent", counts.percent()},   {"rejected_recipients", counts.rejected}};
  if (counts.surplus > 0) json["surplus"] = counts.surplus;
  if (counts.sent > 0) json["sent_messages"] = counts.sent;
  if (counts.sent_recipients > 0) json["sent_recipients"] = counts.sent_recipients;
  return json;
}

Json ByNodeJson(const std::vector<std::pair<std::string, Counts>>& counts) {
  Json nodes = Json::object();
  for (const auto& [node, one] : counts) nodes[node] = CountsJson(one);
  return nodes;
}

// A line of the record: a person's word that a later one of another node overruled.
Json OverruledJson(const PersonsWord& word) {
  return {{"time", FormatUtc(word.at)},
          {"change", "overruled"},
          {"by", word.by},
          {"decision", word.blocked ? "blocked" : "unblocked"},
          {"reason", absl::StrCat(word.blocked ? "block" : "unblock",
                                  ", not shared in time: ", word.reason)}};
}

Json CaseJson(const Case& record) {
  Json json = {
      {"id", record.id},
      {"subject", record.subject.ToString()},
      {"state",
       Text(record.exempts() && record.state == CaseState::kBlocked ? "exempt"
                                                                    : CaseStateName(record.state))},
      {"rule", record.manual ? Json(nullptr) : Json(record.rule)},
      {"action", record.action.ToString()},
      {"since", FormatUtc(record.since)},
      {"until", FormatUtc(record.until)},
      {"permanent", record.permanent()},
      {"exempt", record.exempts()},
      {"count", record.bad()},
      {"counts", Text(record.measure.Name())},
      {"classes", record.measure.classes.Names()},
      {"min_bad", record.min_bad},
      {"percent", record.percent},
      {"percent_limit", record.percent_limit},
      {"by", record.by},
      {"reason", record.reason},
      {"manual", record.manual},
      {"shadow", record.shadow},
      {"history", record.history},
      {"extended", record.extended},
      {"delivered", record.counts.delivered},
      {"deferred", record.counts.deferred},
      {"failed", record.counts.failed},
      {"rejected_recipients", record.counts.rejected},
      {"window", deferd::FormatDuration(record.window)},
      {"policy_hash", record.policy_hash},
  };
  if (record.state == CaseState::kClosed) {
    json["closed_at"] = FormatUtc(record.closed_at);
    json["closed_by"] = CloserOf(record);
    json["closed_reason"] = record.closed_reason;
  }
  if (!record.counts_by_node.empty()) json["by_node"] = ByNodeJson(record.counts_by_node);
  if (record.overruled.has_value()) json["overruled"] = OverruledJson(*record.overruled);
  return json;
}

namespace {
// An exemption begins and ends where a block would.
std::string ChangeWord(const CaseEvent& event) {
  if (event.record.exempts() && event.change != CaseChange::kAdopted) {
    return event.change == CaseChange::kBlockedByPerson ? "exempted" : "exemption ended";
  }
  return Text(CaseChangeName(event.change));
}
}  // namespace

Json CaseEventJson(const CaseEvent& event) {
  const Case& record = event.record;
  const bool closed = record.state == CaseState::kClosed;
  return {{"time", FormatUtc(event.time)},
          {"change", ChangeWord(event)},
          {"case", record.id},
          {"by", closed ? CloserOf(record) : record.by},
          {"rule", closed || record.manual ? "" : record.rule},
          {"reason", closed ? record.closed_reason : record.reason},
          {"until", FormatUtc(record.until)},
          {"permanent", record.permanent()},
          {"shadow", record.shadow}};
}

Json IncidentsJson(const std::vector<Incident>& incidents, bool ended) {
  constexpr size_t kNamed = 20;
  Json list = Json::array();
  for (const Incident& incident : incidents) {
    if (!ended && !incident.open()) continue;
    Json subjects = Json::array();
    for (const std::string& subject : incident.subjects) {
      if (subjects.size() == kNamed) break;
      subjects.push_back(subject);
    }
    list.push_back({{"scope", Text(ReplyScopeName(incident.scope))},
                    {"where", incident.where},
                    {"class", Text(ReplyClassName(incident.reply_class))},
                    {"since", FormatUtc(incident.since)},
                    {"last", FormatUtc(incident.last)},
                    {"ended", incident.open() ? Json(nullptr) : Json(FormatUtc(incident.ended))},
                    {"attempts", incident.attempts},
                    {"subject_count", incident.subjects.size()},
                    {"subjects", std::move(subjects)},
                    {"witnesses", incident.witnesses},
                    {"reply", incident.reply}});
  }
  return list;
}

Json SubjectCountsJson(const SubjectCounts& counts) {
  Json json = {{"subject", counts.subject.ToString()}};
  json.update(CountsJson(counts.counts));
  return json;
}

}  // namespace deferd
