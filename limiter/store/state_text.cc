#include "limiter/store/state_text.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "limiter/store/shared_store.h"
#include "nlohmann/json.hpp"
#include "policy/json_limits.h"
#include "policy/text.h"

namespace deferd {

namespace {

using Json = nlohmann::json;

// What other nodes may put. They write no fractions.
constexpr JsonLimits kSharedCaseLimits = {
    .max_bytes = 256 << 10, .max_depth = 6, .max_values = 20'000};
constexpr JsonLimits kSharedReceiptLimits = {
    .max_bytes = 1 << 20, .max_depth = 4, .max_values = 20'000};
constexpr size_t kMostSharedAttempts = 500;
constexpr int64_t kLongestShared = 366 * 86400;  // seconds, of a window
constexpr int64_t kMostCounted = int64_t{1} << 40;
constexpr int64_t kMostSteps = 1'000'000;  // of a level, of extensions
constexpr size_t kMostText = 4'096;        // bytes of a name or a reason
constexpr int64_t kMostParts = 1 << 20;    // of a message

// Infinite times are null.
Json Micros(absl::Time t) {
  if (t == absl::InfinitePast() || t == absl::InfiniteFuture()) return nullptr;
  return absl::ToUnixMicros(t);
}

absl::Time TimeOf(const Json& json, absl::Time otherwise) {
  return json.is_null() ? otherwise : absl::FromUnixMicros(json.get<int64_t>());
}

absl::Time TimeAt(const Json& json, const char* key, absl::Time otherwise) {
  auto it = json.find(key);
  return it == json.end() ? otherwise : TimeOf(*it, otherwise);
}

// JSON that other nodes read; a log's bytes may be no UTF-8.
std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

struct UnknownValue : std::out_of_range {
  using std::out_of_range::out_of_range;
};

// A number that stands for one of `count` enumerators.
template <typename Enum>
Enum EnumOf(const Json& json, int count) {
  const int64_t number = json.get<int64_t>();
  if (number < 0 || number >= count) throw UnknownValue("a value that this deferd does not know");
  return static_cast<Enum>(number);
}

Json SubjectJson(const Subject& subject) {
  return Json::array({static_cast<int>(subject.kind), subject.id});
}

Subject SubjectOf(const Json& json) {
  return {EnumOf<SubjectKind>(json.at(0), kSubjectKinds), json.at(1).get<std::string>()};
}

Json ChargedJson(const ChargedSubjects& charged) {
  Json list = Json::array();
  for (const Charged& one : charged) list.push_back({SubjectJson(one.subject), one.hosted});
  return list;
}

ChargedSubjects ChargedOf(const Json& json) {
  ChargedSubjects charged;
  for (const Json& one : json) {
    charged.push_back({SubjectOf(one.at(0)), one.at(1).get<bool>()});
  }
  return charged;
}

// -1 is none.
int ClassNumber(const std::optional<ReplyClass>& reply_class) {
  return reply_class.has_value() ? static_cast<int>(*reply_class) : -1;
}

std::optional<ReplyClass> ClassOf(const Json& json) {
  if (json.get<int>() < 0) return std::nullopt;
  return EnumOf<ReplyClass>(json, kReplyClasses);
}

std::string Bytes(const Json& json) {
  std::string text;
  Json::to_msgpack(json, text);
  return text;
}

// nlohmann-json and EnumOf throw where the shape is another than expected; it ends here.
template <typename T>
absl::StatusOr<T> Parse(absl::string_view text, const char* what,
                        const std::function<T(const Json&)>& read) {
  try {
    return read(Json::from_msgpack(text.begin(), text.end()));
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat("stored ", what, " is damaged: ", error.what()));
  }
}

bool HasFraction(const Json& json) {
  if (json.is_number_float()) return true;
  return json.is_structured() && std::any_of(json.begin(), json.end(), HasFraction);
}

// Text that another node wrote. DataLoss: nobody can have meant it. Unimplemented: it has a value
// that a later deferd may know.
template <typename T>
absl::StatusOr<T> ParseShared(absl::string_view text, const char* what, const JsonLimits& limits,
                              const std::function<T(const Json&)>& read) {
  if (!JsonWithinLimits(text, limits)) {
    return absl::DataLossError(absl::StrCat(what, ": too large or nested too deeply"));
  }
  const Json json = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || HasFraction(json)) {
    return absl::DataLossError(absl::StrCat(what, ": no JSON of a deferd"));
  }
  try {
    return read(json);
  } catch (const UnknownValue& error) {
    return absl::UnimplementedError(absl::StrCat(what, ": ", error.what()));
  } catch (const std::exception& error) {
    return absl::DataLossError(absl::StrCat(what, ": ", error.what()));
  }
}

// Older versions read the first three.
Json CountsJson(const Counts& counts) {
  Json json = {counts.delivered, counts.deferred, counts.failed};
  if (counts.surplus > 0 || counts.rejected > 0) json.push_back(counts.surplus);
  if (counts.rejected > 0) json.push_back(counts.rejected);
  return json;
}

Counts CountsOf(const Json& json) {
  return {json.at(0).get<int64_t>(), json.at(1).get<int64_t>(), json.at(2).get<int64_t>(),
          json.size() > 3 ? json.at(3).get<int64_t>() : 0,
          json.size() > 4 ? json.at(4).get<int64_t>() : 0};
}

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
               {"percent", record.percent},
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
                    if (counts.surplus > 0 || counts.rejected > 0) {
                      nodes.back().push_back(counts.surplus);
                    }
                    if (counts.rejected > 0) nodes.back().push_back(counts.rejected);
                  }
                  return nodes;
                }()}};
  if (record.decided_at.has_value()) json["decided_at"] = Micros(*record.decided_at);
  if (record.rejected) json["rejected"] = true;
  if (record.held_order != HeldOrder::kNone) {
    json["held_order"] = static_cast<int>(record.held_order);
  }
  if (record.overruled.has_value()) {
    const PersonsWord& word = *record.overruled;
    json["overruled"] = {word.blocked, word.by, word.reason, Micros(word.at)};
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
  record.rejected = json.value("rejected", false);
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
    record.counts_by_node.emplace_back(
        one.at(0).get<std::string>(),
        Counts{one.at(1).get<int64_t>(), one.at(2).get<int64_t>(), one.at(3).get<int64_t>(),
               one.size() > 4 ? one.at(4).get<int64_t>() : 0,
               one.size() > 5 ? one.at(5).get<int64_t>() : 0});
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
  return record;
}

Case StoredCaseOf(const Json& json) { return CaseOf(json, SubjectOf(json.at("subject"))); }

// What is calculated with and shown later; others may have put anything.
bool IsSane(const Case& record) {
  const auto counted = [](const Counts& counts) {
    return std::min({counts.delivered, counts.deferred, counts.failed}) >= 0 &&
           std::max({counts.delivered, counts.deferred, counts.failed}) <= kMostCounted &&
           counts.surplus >= 0 && counts.surplus <= counts.delivered && counts.rejected >= 0 &&
           counts.rejected <= kMostCounted;
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
  if (!within(record.min_bad, kMostCounted) || !within(record.percent, 100) ||
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

Json RowsJson(const std::vector<LedgerRow>& rows) {
  Json list = Json::array();
  for (const LedgerRow& row : rows) {
    list.push_back({{"row", row.row},
                    {"time", Micros(row.time)},
                    {"node", row.node},
                    {"message_id", row.message_id},
                    {"arrival", Micros(row.arrival)},
                    {"subject", row.subject},
                    {"narrower", row.narrower},
                    {"sender", row.sender},
                    {"login", row.login},
                    {"user", row.user},
                    {"mail_subject", row.mail_subject},
                    {"recipient", row.recipient},
                    {"router", row.router},
                    {"transport", row.transport},
                    {"host", row.host},
                    {"host_ip", row.host_ip},
                    {"outcome", static_cast<int>(row.outcome)},
                    {"left_out", static_cast<int>(row.left_out)},
                    {"reply_class", row.reply_class},
                    {"reply", row.reply}});
    // A digest of rows without one is as it was before there were any.
    if (!row.original.empty()) list.back()["original"] = row.original;
  }
  return list;
}

std::vector<LedgerRow> RowsOf(const Json& json) {
  std::vector<LedgerRow> rows;
  for (const Json& one : json) {
    LedgerRow& row = rows.emplace_back();
    row.row = one.at("row").get<int64_t>();
    row.time = TimeAt(one, "time", absl::InfinitePast());
    row.arrival = TimeAt(one, "arrival", absl::InfinitePast());
    row.outcome = EnumOf<Outcome>(one.at("outcome"), kOutcomes);
    row.left_out = EnumOf<LeftOut>(one.at("left_out"), kLeftOutReasons);
    const std::pair<const char*, std::string*> kTexts[] = {
        {"node", &row.node},           {"message_id", &row.message_id},
        {"subject", &row.subject},     {"narrower", &row.narrower},
        {"sender", &row.sender},       {"login", &row.login},
        {"user", &row.user},           {"mail_subject", &row.mail_subject},
        {"recipient", &row.recipient}, {"router", &row.router},
        {"transport", &row.transport}, {"host", &row.host},
        {"host_ip", &row.host_ip},     {"reply_class", &row.reply_class},
        {"reply", &row.reply},         {"original", &row.original}};
    for (const auto& [name, field] : kTexts) *field = one.value(name, "");
  }
  return rows;
}

}  // namespace

std::string NameOf(const Subject& subject) {
  return absl::StrCat(SubjectKindName(subject.kind), ":", subject.id);
}

std::string NameOf(const MessageKey& key, size_t part) {
  const std::string name = absl::StrCat(key.id, " ", absl::ToUnixMicros(key.arrival));
  return part == 0 ? name : absl::StrCat(name, " ", part);
}

std::string ContributionText(const MessageKey& key, const MessageRecord& record, size_t part) {
  Json recipients = Json::array();
  for (const auto& [name, recipient] : record.recipients.PartAt(part).entries) {
    const int outcome = recipient.outcome.has_value() ? static_cast<int>(*recipient.outcome) : -1;
    recipients.push_back({name, outcome, Micros(recipient.dated), Micros(recipient.last),
                          static_cast<int>(recipient.last_left_out),
                          ClassNumber(recipient.last_class), static_cast<int>(recipient.last_scope),
                          ClassNumber(recipient.left_out), recipient.place});
  }
  Json diluting = Json::array();
  record.dilution.ForEach(part * MessageRecord::kNames, (part + 1) * MessageRecord::kNames,
                          [&](uint64_t name, int32_t count) {
                            diluting.push_back({name, count});
                          });
  Json json = {{"id", key.id},
               {"arrival", Micros(key.arrival)},
               {"recipients", std::move(recipients)},
               {"diluting", std::move(diluting)}};
  if (part == 0) {
    json["charged"] = ChargedJson(record.charged);
  } else {
    json["part"] = part;
  }
  return Bytes(json);
}

absl::StatusOr<MessagePart> ParseContribution(absl::string_view text) {
  return Parse<MessagePart>(text, "contribution", [](const Json& json) {
    MessagePart result;
    result.message.id = json.at("id").get<std::string>();
    result.message.arrival = TimeOf(json.at("arrival"), absl::InfinitePast());
    const int64_t part = json.value("part", int64_t{0});
    if (part < 0 || part > kMostParts) throw UnknownValue("the number of a part is out of range");
    result.part = static_cast<size_t>(part);
    if (part == 0) result.charged = ChargedOf(json.at("charged"));
    for (const Json& one : json.at("recipients")) {
      auto& [name, recipient] = result.recipients.emplace_back();
      name = one.at(0).get<std::string>();
      if (one.at(1).get<int>() >= 0)
        recipient.outcome = EnumOf<CountedOutcome>(one.at(1), kCountedOutcomes);
      recipient.dated = TimeOf(one.at(2), absl::InfinitePast());
      recipient.last = TimeOf(one.at(3), absl::InfinitePast());
      recipient.last_left_out = EnumOf<LeftOut>(one.at(4), kLeftOutReasons);
      if (one.size() < 9) continue;  // of a version that knew no classes
      recipient.last_class = ClassOf(one.at(5));
      recipient.last_scope = EnumOf<ReplyScope>(one.at(6), kReplyScopes);
      recipient.left_out = ClassOf(one.at(7));
      recipient.place = one.at(8).get<std::string>();
    }
    for (const Json& one : json.value("diluting", Json::array())) {
      result.diluting.emplace_back(one.at(0).get<uint64_t>(), one.at(1).get<int32_t>());
    }
    return result;
  });
}

std::string CaseText(const Case& record) { return Bytes(CaseValue(record)); }

absl::StatusOr<Case> ParseCase(absl::string_view text) {
  return Parse<Case>(text, "case", StoredCaseOf);
}

std::string SharedCaseText(const Case& record) {
  Json json = CaseValue(record);
  json.erase("subject");
  json.erase("shadow");
  json.erase("rev");
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

std::string NameOf(const Incidents::Key& key) {
  return absl::StrCat(ReplyScopeName(key.first), " ", key.second);
}

std::string PlaceText(const Incidents::Key& key, const Place& place) {
  Json failing = Json::array();
  for (const Witness& one : place.failing) {
    failing.push_back({SubjectJson(one.subject), Micros(one.time), one.identity, one.known});
  }
  Json incident = nullptr;
  if (place.incident.has_value()) {
    incident = {{"class", static_cast<int>(place.incident->reply_class)},
                {"reply", place.incident->reply},
                {"since", Micros(place.incident->since)},
                {"last", Micros(place.incident->last)},
                {"attempts", place.incident->attempts},
                {"subjects", Json(place.incident->subjects)},
                {"witnesses", Json(place.incident->witnesses)},
                {"taken_out_at", Micros(place.incident->taken_out_at)},
                {"taken_out_from", Micros(place.incident->taken_out_from)}};
  }
  Json contributions = Json::array();
  for (const PlaceContribution& one : place.contributions) {
    contributions.push_back({one.message.id, Micros(one.message.arrival), one.recipient,
                             ChargedJson(one.charged), Micros(one.dated),
                             static_cast<int>(one.outcome), one.cases_before});
  }
  return Bytes({{"scope", static_cast<int>(key.first)},
                {"where", key.second},
                {"failing", std::move(failing)},
                {"last", Micros(place.last)},
                {"recovered", place.recovered},
                {"incident", std::move(incident)},
                {"contributions", std::move(contributions)}});
}

absl::StatusOr<std::pair<Incidents::Key, Place>> ParsePlace(absl::string_view text) {
  return Parse<std::pair<Incidents::Key, Place>>(text, "incident", [](const Json& json) {
    std::pair<Incidents::Key, Place> result;
    auto& [key, place] = result;
    key = {EnumOf<ReplyScope>(json.at("scope"), kReplyScopes), json.at("where").get<std::string>()};
    for (const Json& one : json.at("failing")) {
      if (one.size() < 4) continue;  // of a version that asked for no proof
      place.failing.push_back({SubjectOf(one.at(0)), one.at(2).get<std::string>(),
                               TimeOf(one.at(1), absl::InfinitePast()), one.at(3).get<bool>()});
    }
    place.last = TimeAt(json, "last", absl::InfinitePast());
    place.recovered = json.at("recovered").get<int>();
    const Json& open = json.at("incident");
    if (!open.is_null()) {
      Incident& incident = place.incident.emplace();
      incident.scope = key.first;
      incident.where = key.second;
      incident.reply_class = EnumOf<ReplyClass>(open.at("class"), kReplyClasses);
      incident.reply = open.at("reply").get<std::string>();
      incident.since = TimeAt(open, "since", absl::InfinitePast());
      incident.last = TimeAt(open, "last", absl::InfinitePast());
      incident.attempts = open.at("attempts").get<int64_t>();
      for (const Json& subject : open.at("subjects")) {
        incident.subjects.insert(subject.get<std::string>());
      }
      for (const Json& witness : open.value("witnesses", Json::array())) {
        incident.witnesses.push_back(witness.get<std::string>());
      }
      // Versions before kept neither.
      incident.taken_out_at = TimeAt(open, "taken_out_at", absl::InfinitePast());
      incident.taken_out_from = TimeAt(open, "taken_out_from", absl::InfinitePast());
    }
    for (const Json& one : json.at("contributions")) {
      place.contributions.push_back(
          {{one.at(0).get<std::string>(), TimeOf(one.at(1), absl::InfinitePast())},
           one.at(2).get<std::string>(),
           ChargedOf(one.at(3)),
           TimeOf(one.at(4), absl::InfinitePast()),
           EnumOf<CountedOutcome>(one.at(5), kCountedOutcomes),
           one.at(6).get<int64_t>()});
    }
    return result;
  });
}

std::string LedgerRowsText(const std::vector<LedgerRow>& rows) { return Bytes(RowsJson(rows)); }

absl::StatusOr<std::vector<LedgerRow>> ParseLedgerRows(absl::string_view text) {
  return Parse<std::vector<LedgerRow>>(text, "receipt",
                                       [](const Json& json) { return RowsOf(json); });
}

std::string ReceiptText(const Receipt& receipt) {
  return Bytes({{"rule", receipt.rule},
                {"min_bad", receipt.min_bad},
                {"percent_limit", receipt.percent_limit},
                {"window", absl::ToInt64Seconds(receipt.window)},
                {"policy_hash", receipt.policy_hash},
                {"counts", CountsJson(receipt.counts)},
                {"percent", receipt.percent},
                {"tripping_row", receipt.tripping_row},
                {"complete", receipt.complete},
                {"recounted", CountsJson(receipt.recounted)},
                {"total", receipt.total},
                {"digest", receipt.digest},
                {"sure", receipt.sure},
                {"rejected", receipt.rejected},
                {"rows", RowsJson(receipt.rows)}});
}

absl::StatusOr<Receipt> ParseReceipt(absl::string_view text) {
  return Parse<Receipt>(text, "receipt", [](const Json& json) {
    Receipt receipt;
    receipt.rule = json.at("rule").get<std::string>();
    receipt.min_bad = json.at("min_bad").get<int64_t>();
    receipt.percent_limit = json.at("percent_limit").get<int>();
    receipt.window = absl::Seconds(json.at("window").get<int64_t>());
    receipt.policy_hash = json.at("policy_hash").get<std::string>();
    receipt.counts = CountsOf(json.at("counts"));
    receipt.percent = json.at("percent").get<int>();
    receipt.tripping_row = json.at("tripping_row").get<int64_t>();
    receipt.complete = json.at("complete").get<bool>();
    receipt.recounted = CountsOf(json.at("recounted"));
    receipt.total = json.at("total").get<int64_t>();
    receipt.digest = json.at("digest").get<std::string>();
    receipt.sure = json.value("sure", false);
    receipt.rejected = json.value("rejected", false);
    receipt.rows = RowsOf(json.at("rows"));
    return receipt;
  });
}

std::string SharedReceiptText(const std::vector<LedgerRow>& rows) { return Line(RowsJson(rows)); }

absl::StatusOr<std::vector<LedgerRow>> ParseSharedReceipt(absl::string_view text) {
  return ParseShared<std::vector<LedgerRow>>(text, "receipt of another node", kSharedReceiptLimits,
                                             [](const Json& json) {
                                               if (json.size() > kMostSharedAttempts)
                                                 throw std::length_error("too many attempts");
                                               return RowsOf(json);
                                             });
}

std::string ClearingText(const Subject& subject, const Cleared& cleared) {
  Json within = Json::array();
  for (const Subject& domain : cleared.within) within.push_back(SubjectJson(domain));
  return Bytes({{"subject", SubjectJson(subject)},
                {"enforced", Micros(cleared.enforced)},
                {"shadow", Micros(cleared.shadow)},
                {"apart", Micros(cleared.apart)},
                {"within", std::move(within)}});
}

absl::StatusOr<std::pair<Subject, Cleared>> ParseClearing(absl::string_view text) {
  return Parse<std::pair<Subject, Cleared>>(text, "clearing", [](const Json& json) {
    Cleared cleared = {.enforced = TimeAt(json, "enforced", absl::InfinitePast()),
                       .shadow = TimeAt(json, "shadow", absl::InfinitePast())};
    cleared.apart = TimeAt(json, "apart", cleared.enforced);
    for (const Json& domain : json.value("within", Json::array())) {
      cleared.within.push_back(SubjectOf(domain));
    }
    return std::make_pair(SubjectOf(json.at("subject")), std::move(cleared));
  });
}

std::string FactsText(const LimiterFacts& facts) {
  Json windows = Json::array();
  for (const auto& [length, since] : facts.windows) {
    windows.push_back({absl::ToInt64Seconds(length), Micros(since)});
  }
  Json kinds = Json::array();
  for (const auto& [kind, since] : facts.kinds) {
    kinds.push_back({static_cast<int>(kind), Micros(since)});
  }
  return Bytes({{"now", Micros(facts.now)},
                {"last_sweep", Micros(facts.last_sweep)},
                {"case_number", facts.case_number},
                {"windows", std::move(windows)},
                {"kinds", std::move(kinds)},
                {"clock_back_at", Micros(facts.clock_back_at)},
                {"clock_back_by", absl::ToInt64Seconds(facts.clock_back_by)}});
}

absl::StatusOr<LimiterFacts> ParseFacts(absl::string_view text) {
  return Parse<LimiterFacts>(text, "limiter state", [](const Json& json) {
    LimiterFacts facts;
    facts.now = TimeAt(json, "now", absl::InfinitePast());
    facts.last_sweep = TimeAt(json, "last_sweep", absl::InfinitePast());
    facts.case_number = json.at("case_number").get<int64_t>();
    facts.clock_back_at = TimeAt(json, "clock_back_at", absl::InfinitePast());
    facts.clock_back_by = absl::Seconds(json.value("clock_back_by", int64_t{0}));
    for (const Json& one : json.at("windows")) {
      facts.windows.emplace_back(absl::Seconds(one.at(0).get<int64_t>()),
                                 TimeOf(one.at(1), absl::InfinitePast()));
    }
    for (const Json& one : json.at("kinds")) {
      facts.kinds.emplace_back(EnumOf<SubjectKind>(one.at(0), kSubjectKinds),
                               TimeOf(one.at(1), absl::InfinitePast()));
    }
    return facts;
  });
}

}  // namespace deferd
