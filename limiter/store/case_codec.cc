#include "limiter/store/case_codec.h"

#include <algorithm>

#include "limiter/store/codec.h"
#include "limiter/store/shared_store.h"

namespace deferd {

using namespace codec;  // NOLINT: what every codec is written in

namespace {

// What other nodes may put. They write no fractions.
constexpr JsonLimits kSharedCaseLimits = {
    .max_bytes = 256 << 10, .max_depth = 6, .max_values = 20'000};
constexpr int64_t kLongestShared = 366 * 86400;  // seconds, of a window
constexpr int64_t kMostCounted = int64_t{1} << 40;
constexpr int64_t kMostSteps = 1'000'000;  // of a level, of extensions
constexpr size_t kMostText = 4'096;        // bytes of a name or a reason

Json CaseValue(const Case& record) {
  Json json = {{"id", record.id},
               {"subject", SubjectJson(record.subject)},
               {"within", SubjectJson(record.within)},
               {"state", static_cast<int>(record.state)},
               {"manual", record.manual},
               {"shadow", record.shadow},
               {"history", record.history},
               {"action",
                [&] {
                  Json verdicts = Json::array();
                  for (Verdict verdict : record.action.by_source) {
                    verdicts.push_back(static_cast<int>(verdict));
                  }
                  return verdicts;
                }()},
               {"rule", record.rule},
               {"counts", CountsJson(record.counts)},
               {"min_bad", record.min_bad},
               // Of what was sent it may be more: it is calculated again.
               {"percent", std::min(record.percent, 100)},
               {"percent_limit", record.percent_limit},
               {"window", absl::ToInt64Seconds(record.window)},
               {"policy_hash", record.policy_hash},
               {"since", Micros(record.since)},
               {"until", Micros(record.until)},
               {"closed_at", Micros(record.closed_at)},
               {"by", record.by},
               {"reason", record.reason},
               {"closed_by", CloserOf(record)},
               {"closed_reason", record.closed_reason},
               {"extended", record.extended},
               {"judged_at", Micros(record.judged_at)},
               {"counted_after", Micros(record.counted_after)},
               {"apart", record.apart},
               {"apart_until",
                [&] {
                  Json parts = Json::array();
                  for (const auto& [part, until] : record.apart_until) {
                    parts.push_back({part, Micros(until)});
                  }
                  return parts;
                }()},
               {"once", record.once},
               {"rev", record.rev},
               {"level", record.level},
               {"cleared_at", Micros(record.cleared_at)},
               {"by_node", [&] {
                  Json nodes = Json::array();
                  for (const auto& [node, counts] : record.counts_by_node) {
                    nodes.push_back({node, counts.delivered, counts.deferred, counts.failed});
                    AppendRest(counts, &nodes.back());
                  }
                  return nodes;
                }()}};
  if (record.decided_at.has_value()) json["decided_at"] = Micros(*record.decided_at);
  if (record.measure.rejected()) json["rejected"] = true;
  // Fields that versions before do not know, and leave out.
  if (record.measure != Measure() && !record.measure.rejected()) {
    json["measure"] = {std::string(record.measure.Name()), record.measure.classes.Names()};
  }
  if (record.min_recipients > 0) json["min_recipients"] = record.min_recipients;
  if (record.soft) json["soft"] = true;
  if (record.held_order != HeldOrder::kNone) {
    json["held_order"] = static_cast<int>(record.held_order);
  }
  if (record.overruled.has_value()) {
    const PersonsWord& word = *record.overruled;
    json["overruled"] = {word.blocked, word.by, word.reason, Micros(word.at)};
  }
  if (record.clock_offset.has_value()) {
    json["clock_offset"] = absl::ToInt64Seconds(*record.clock_offset);
  }
  return json;
}

Case CaseOf(const Json& json, Subject subject) {
  Case record;
  record.id = json.at("id").get<std::string>();
  record.subject = std::move(subject);
  record.within = SubjectOf(json.at("within"));
  record.state = EnumOf<CaseState>(json.at("state"), 3);
  record.manual = json.value("manual", false);
  record.shadow = json.value("shadow", false);
  record.history = json.value("history", false);
  size_t source = 0;
  for (const Json& verdict : json.at("action")) {
    if (source == record.action.by_source.size()) break;
    record.action.by_source[source++] = EnumOf<Verdict>(verdict, kVerdicts);
  }
  record.rule = json.value("rule", "");
  record.counts = CountsOf(json.at("counts"));
  record.min_bad = json.value("min_bad", int64_t{0});
  if (json.value("rejected", false)) record.measure.what = Measure::What::kRejected;
  const auto measure = json.find("measure");
  if (measure != json.end() && measure->is_array()) {
    record.measure = ParseMeasure(measure->at(0).get<std::string>(),
                                  measure->at(1).get<std::vector<std::string>>());
  }
  record.min_recipients = json.value("min_recipients", int64_t{0});
  record.soft = json.value("soft", false);
  record.percent = json.value("percent", 0);
  record.percent_limit = json.value("percent_limit", 0);
  record.window = absl::Seconds(json.value("window", int64_t{3600}));
  record.policy_hash = json.value("policy_hash", "");
  record.since = TimeAt(json, "since", absl::InfinitePast());
  record.until = TimeAt(json, "until", absl::InfinitePast());
  record.closed_at = TimeAt(json, "closed_at", absl::InfiniteFuture());
  record.by = json.value("by", "");
  record.reason = json.value("reason", "");
  SetCloser(json.value("closed_by", ""), &record);
  record.closed_reason = json.value("closed_reason", "");
  record.held_order = EnumOf<HeldOrder>(json.value("held_order", Json(0)), 3);
  record.extended = json.value("extended", 0);
  record.judged_at = TimeAt(json, "judged_at", record.since);
  record.counted_after = TimeAt(json, "counted_after", absl::InfinitePast());
  record.once = json.value("once", true);
  record.apart = json.value("apart", std::vector<std::string>());
  for (const Json& one : json.value("apart_until", Json::array())) {
    record.apart_until.emplace_back(one.at(0).get<std::string>(),
                                    TimeOf(one.at(1), absl::InfinitePast()));
  }
  record.rev = json.value("rev", int64_t{0});
  record.level = json.value("level", 0);
  record.cleared_at = TimeAt(json, "cleared_at", absl::InfinitePast());
  for (const Json& one : json.value("by_node", Json::array())) {
    record.counts_by_node.emplace_back(one.at(0).get<std::string>(),
                                       CountsOf(Json(one.begin() + 1, one.end())));
  }
  record.decided_at.reset();
  if (json.contains("decided_at")) {
    record.decided_at = TimeAt(json, "decided_at", absl::InfinitePast());
  }
  const auto overruled = json.find("overruled");
  if (overruled != json.end() && overruled->is_array()) {
    record.overruled = PersonsWord{
        overruled->at(0).get<bool>(), overruled->at(1).get<std::string>(),
        overruled->at(2).get<std::string>(), TimeOf(overruled->at(3), absl::InfinitePast())};
  }
  if (record.measure.sent()) {
    record.percent = JudgedPercent(record.measure, record.counts, record.min_bad);
  }
  return record;
}

Case StoredCaseOf(const Json& json) {
  Case record = CaseOf(json, SubjectOf(json.at("subject")));
  if (const auto offset = json.find("clock_offset"); offset != json.end()) {
    record.clock_offset = absl::Seconds(offset->get<int64_t>());
  }
  return record;
}

// What is calculated with and shown later; others may have put anything.
bool IsSane(const Case& record) {
  const auto counted = [](const Counts& counts) {
    return std::min({counts.delivered, counts.deferred, counts.failed}) >= 0 &&
           std::max({counts.delivered, counts.deferred, counts.failed}) <= kMostCounted &&
           counts.surplus >= 0 && counts.surplus <= counts.delivered &&
           std::min({counts.rejected, counts.sent, counts.sent_recipients, counts.classed,
                     counts.recipients}) >= 0 &&
           std::max({counts.rejected, counts.sent, counts.sent_recipients, counts.classed,
                     counts.recipients}) <= kMostCounted;
  };
  const auto within = [](int64_t number, int64_t most) { return number >= 0 && number <= most; };
  const int64_t window = absl::ToInt64Seconds(record.window);
  if (window < 60 || window % 60 != 0 || window > kLongestShared) return false;
  if (record.since <= absl::UnixEpoch() || record.until < record.since ||
      record.until == absl::InfiniteFuture()) {
    return false;
  }
  if (!counted(record.counts) || record.counts_by_node.size() > kMostRows) return false;
  for (const auto& [node, counts] : record.counts_by_node) {
    if (!counted(counts) || node.size() > kMostText) return false;
  }
  if (!within(record.min_bad, kMostCounted) || !within(record.min_recipients, kMostCounted) ||
      !within(record.percent, record.measure.sent() ? kMostSteps : 100) ||
      !within(record.percent_limit, 100) || !within(record.level, kMostSteps) ||
      !within(record.extended, kMostSteps)) {
    return false;
  }
  for (const std::string* text :
       {&record.id, &record.within.id, &record.rule, &record.policy_hash, &record.by,
        &record.reason, &record.closed_by, &record.closed_reason}) {
    if (text->size() > kMostText) return false;
  }
  return true;
}

}  // namespace

std::string CaseText(const Case& record) { return Bytes(CaseValue(record)); }

absl::StatusOr<Case> ParseCase(absl::string_view text) {
  return Parse<Case>(text, "case", StoredCaseOf);
}

std::string SharedCaseText(const Case& record) {
  Json json = CaseValue(record);
  json.erase("subject");
  json.erase("shadow");
  json.erase("rev");
  json.erase("clock_offset");
  return Line(json);
}

absl::StatusOr<Case> ParseSharedCase(absl::string_view text, const Subject& subject, bool shadow) {
  return ParseShared<Case>(text, "case of another node", kSharedCaseLimits, [&](const Json& json) {
    Case record = CaseOf(json, subject);
    record.shadow = shadow;
    if (!IsSane(record)) throw std::domain_error("a value is out of range");
    return record;
  });
}

std::string CaseEventText(const CaseEvent& event) {
  return Bytes({{"time", Micros(event.time)},
                {"change", static_cast<int>(event.change)},
                {"case", CaseValue(event.record)}});
}

absl::StatusOr<CaseEvent> ParseCaseEvent(absl::string_view text) {
  return Parse<CaseEvent>(text, "case event", [](const Json& json) {
    return CaseEvent{TimeOf(json.at("time"), absl::InfinitePast()),
                     EnumOf<CaseChange>(json.at("change"), kCaseChanges),
                     StoredCaseOf(json.at("case"))};
  });
}

}  // namespace deferd
