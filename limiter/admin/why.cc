#include "limiter/admin/why.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/admin/near_subjects.h"
#include "policy/evaluate.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

constexpr size_t kMaxRows = 2'000;   // of the ledger, the newest
constexpr size_t kMaxShown = 5;      // of each list
constexpr size_t kMaxAttempts = 50;  // of the very messages
constexpr size_t kMaxSample = 300;   // bytes of an answer

// How much each of several names caused, the most first.
Json Ranked(const std::map<std::string, int64_t>& counts) {
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [name, count] : counts) ranked.emplace_back(-count, name);
  std::sort(ranked.begin(), ranked.end());
  Json list = Json::array();
  for (const auto& [minus, name] : ranked) {
    if (list.size() == kMaxShown) break;
    list.push_back({{"name", name}, {"bad", -minus}});
  }
  return list;
}

struct Answers {
  int64_t counted = 0;
  int64_t left_out = 0;
  std::string sample;  // the newest
};

Json AnswersJson(const std::map<std::string, Answers>& answers) {
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [name, one] : answers) ranked.emplace_back(-one.counted - one.left_out, name);
  std::sort(ranked.begin(), ranked.end());
  Json list = Json::array();
  for (const auto& [minus, name] : ranked) {
    if (list.size() == kMaxShown) break;
    const Answers& one = answers.at(name);
    const ReplyClassInfo& info = InfoOf(ParseReplyClass(name).value_or(ReplyClass::kUnclassified));
    list.push_back({{"class", name},
                    {"count", one.counted},
                    {"left_out", one.left_out},
                    {"meaning", std::string(info.meaning)},
                    {"side", std::string(info.side)},
                    {"advice", std::string(info.advice)},
                    {"sample", one.sample}});
  }
  return list;
}

// What local programs claimed of themselves when they handed in `messages`, with how many bad ones
// each caused. `query` found the attempts; a message can be as much older as its retries take.
std::map<std::string, int64_t> ClaimsOf(const LedgerSearch& search, LedgerQuery query,
                                        const std::map<std::string, int64_t>& messages) {
  std::map<std::string, int64_t> claims;
  if (messages.empty()) return claims;
  query.outcomes = {Outcome::kQueued};
  query.since -= absl::Hours(24);
  absl::StatusOr<LedgerPage> page = search(query);
  if (!page.ok()) return claims;
  for (const LedgerRow& row : page->rows) {
    absl::string_view claim = row.reply;
    const auto caused = messages.find(row.message_id);
    if (caused == messages.end() || !absl::ConsumePrefix(&claim, kClaimPrefix)) continue;
    claims[std::string(claim)] += caused->second;
  }
  return claims;
}

// What the ledger says of the bad attempts from `since` to `until`, each message and recipient once
// with its newest.
Json CausesJson(const LedgerSearch& search, const Subject& subject, absl::Time since,
                absl::Time until) {
  LedgerQuery query;
  query.subject = subject.ToString();
  query.outcomes = {Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired};
  query.since = since;
  query.until = until;
  query.limit = kMaxRows;
  absl::StatusOr<LedgerPage> page = search(query);
  if (!page.ok()) return {{"problem", std::string(page.status().message())}};
  std::map<std::string, int64_t> senders, logins, scripts;
  std::map<std::string, int64_t> messages;  // of users: how many bad ones each caused
  std::map<std::string, Answers> answers;
  std::set<std::pair<std::string, std::string>> seen;
  Json attempts = Json::array();
  for (const LedgerRow& row : page->rows) {
    const bool counts = row.left_out == LeftOut::kCounts;
    const bool by_answer =
        row.left_out == LeftOut::kReplyClass || row.left_out == LeftOut::kIncident;
    if (!counts && !by_answer) continue;
    if (!seen.emplace(row.message_id, row.recipient).second) continue;
    if (!row.reply_class.empty()) {
      Answers& one = answers[row.reply_class];
      ++(counts ? one.counted : one.left_out);
      if (one.sample.empty()) one.sample = std::string(CutUtf8(row.reply, kMaxSample));
    }
    if (!counts) continue;
    ++senders[row.sender.empty() ? "<>" : row.sender];
    if (!row.login.empty()) ++logins[row.login];
    if (!row.user.empty()) {
      ++scripts[row.user];
      ++messages[row.message_id];
    }
    if (attempts.size() < kMaxAttempts) attempts.push_back(LedgerRowJson(row));
  }
  return {{"since", FormatUtc(since)},
          {"until", FormatUtc(until)},
          {"all", page->next == 0},  // false: there are more than were looked at
          {"senders", Ranked(senders)},
          {"logins", Ranked(logins)},
          {"users", Ranked(scripts)},
          {"answers", AnswersJson(answers)},
          {"claimed", Ranked(ClaimsOf(search, query, messages))},
          {"attempts", std::move(attempts)}};
}

Json RulesJson(const SubjectReport& report, absl::Time now) {
  Json rules = Json::array();
  for (const SubjectReport::RuleReport& one : report.rules) {
    const std::optional<absl::Time> when =
        one.tripped || one.rule.off()
            ? std::nullopt
            : WhenReached(one.rule, one.counts, one.recent, one.rule.window / 4, now);
    rules.push_back({{"name", one.rule.name},
                     {"min_bad", one.rule.min_bad},
                     {"percent", one.rule.percent},
                     {"tripped", one.tripped},
                     {"off", one.rule.off()},
                     {"shadow", one.shadow},
                     {"window", deferd::FormatDuration(one.rule.window)},
                     {"bad", one.counts.bad()},
                     {"bad_percent", one.percent},
                     {"bad_missing", std::max<int64_t>(0, one.rule.min_bad - one.counts.bad())},
                     {"at_this_pace", when.has_value() ? Json(FormatUtc(*when)) : Json(nullptr)}});
  }
  return rules;
}

Json ReceiptJson(const Case& record, const std::optional<Receipt>& receipt) {
  const StepClock steps(record.window);
  const int64_t now_step = steps.StepOf(record.judged_at);
  Json attempts = Json::array();
  if (receipt.has_value()) {
    std::vector<LedgerRow> rows = receipt->rows;
    rows.insert(rows.end(), receipt->others.begin(), receipt->others.end());
    std::stable_sort(rows.begin(), rows.end(),
                     [](const LedgerRow& a, const LedgerRow& b) { return a.time > b.time; });
    for (const LedgerRow& row : rows) attempts.push_back(LedgerRowJson(row));
  }
  return {{"counts", CountsJson(record.counts)},
          {"rule",
           {{"name", record.rule},
            {"min_bad", record.min_bad},
            {"percent", record.percent_limit},
            {"window", deferd::FormatDuration(record.window)},
            {"action", record.action.ToString()}}},
          {"share",
           absl::StrCat(record.counts.bad(), " bad of ",
                        record.counts.total() - record.counts.surplus, " (", record.percent, "%)")},
          {"window_begin", FormatUtc(steps.EndOf(now_step - StepClock::kSteps) + absl::Seconds(1))},
          {"window_end", FormatUtc(record.since)},
          {"counted_after", record.counted_after == absl::InfinitePast()
                                ? Json(nullptr)
                                : Json(FormatUtc(record.counted_after))},
          {"apart", record.apart},
          {"once", record.once},
          {"policy_hash", record.policy_hash},
          {"attempts", std::move(attempts)},
          {"attempts_total",
           receipt.has_value() ? Json(receipt->total + receipt->others.size()) : Json(nullptr)},
          {"digest", receipt.has_value() ? Json(receipt->digest) : Json(nullptr)}};
}

}  // namespace

std::optional<absl::Time> WhenReached(const Rule& rule, const Counts& counts, const Counts& recent,
                                      absl::Duration over, absl::Time now) {
  if (recent.bad() == 0) return std::nullopt;
  const double minutes = absl::ToDoubleMinutes(over);
  const int64_t last = absl::ToInt64Minutes(rule.window);
  for (int64_t minute = 1; minute <= last; ++minute) {
    const auto grown = [&](int64_t have, int64_t lately) {
      return have + static_cast<int64_t>(static_cast<double>(lately * minute) / minutes);
    };
    const Counts then = {.delivered = grown(counts.delivered, recent.delivered),
                         .deferred = grown(counts.deferred, recent.deferred),
                         .failed = grown(counts.failed, recent.failed)};
    if (Evaluate(rule, then).tripped) return now + absl::Minutes(minute);
  }
  return std::nullopt;
}

Json WhyJson(const WhyParts& parts, const Subject& subject, absl::Time now) {
  const SubjectReport report = parts.limiter->Report(subject);
  Json window = CountsJson(report.counts);
  Json left_out = Json::object();
  for (const auto& [reply_class, count] : report.left_out) {
    left_out[std::string(ReplyClassName(reply_class))] = count;
  }
  window["left_out"] = std::move(left_out);
  if (!report.counts_by_node.empty()) {
    window["by_node"] = Json::object();
    for (const auto& [node, counts] : report.counts_by_node) {
      window["by_node"][node] = CountsJson(counts);
    }
  }

  std::optional<Case> open = parts.cases->FindOpen(subject, /*shadow=*/false);
  if (!open.has_value()) open = parts.cases->FindOpen(subject, /*shadow=*/true);
  Json case_json = nullptr;
  std::string state = "ok";
  absl::Time since = now - report.window, until = now + absl::Minutes(5);
  if (open.has_value()) {
    if (!open->shadow) state = std::string(CaseStateName(open->state));
    case_json = CaseJson(*open);
    if (!open->manual) {
      case_json["receipt"] = ReceiptJson(*open, parts.receipt(*open));
      since = std::max(open->since - open->window, open->counted_after);
      until = open->since + absl::Seconds(1);
    }
  }
  std::vector<Incident> incidents = parts.limiter->ShownIncidents();
  incidents.erase(std::remove_if(incidents.begin(), incidents.end(),
                                 [&](const Incident& one) {
                                   return !one.subjects.contains(subject.ToString());
                                 }),
                  incidents.end());
  if (!open.has_value()) since = std::max(since, report.cleared_at);
  Json events = Json::array();
  for (const CaseEvent& event : parts.cases->EventsOf(subject, 10)) {
    events.push_back(CaseEventJson(event));
    if (event.change == CaseChange::kAdopted && event.record.overruled.has_value()) {
      events.push_back(OverruledJson(*event.record.overruled));
    }
  }
  const bool seen = EverSeen(parts, subject);
  return Json{{"subject", subject.ToString()},
              {"state", state},
              {"seen", seen},
              {"near", seen ? std::vector<std::string>() : NearSubjects(parts, subject)},
              {"window", window},
              {"rules", RulesJson(report, now)},
              {"case", case_json},
              {"causes", CausesJson(parts.search, subject, since, until)},
              {"incidents", IncidentsJson(incidents, /*ended=*/false)},
              {"exempt", report.exempt},
              {"cleared_at", report.cleared_at == absl::InfinitePast()
                                 ? Json(nullptr)
                                 : Json(FormatUtc(report.cleared_at))},
              {"events", events}};
}

absl::StatusOr<Json> VerifyJson(const WhyParts& parts, LedgerReader* ledger,
                                const Subject& subject) {
  std::optional<Case> record;
  for (bool shadow : {true, false}) {
    std::optional<Case> open = parts.cases->FindOpen(subject, shadow);
    if (open.has_value() && !open->manual) record = std::move(open);
  }
  if (!record.has_value()) {  // the newest that is over
    for (const Case& closed : parts.cases->Closed(CaseTable::kMaxHistory)) {
      if (closed.subject != subject || closed.manual) continue;
      record = closed;
      break;
    }
  }
  if (!record.has_value()) {
    return absl::NotFoundError(absl::StrCat(
        subject.ToString(), ": no rule has blocked it, so there is nothing to verify"));
  }
  std::optional<Receipt> receipt = parts.receipt(*record);
  if (!receipt.has_value() || receipt->digest.empty()) {
    return absl::NotFoundError(
        absl::StrCat(subject.ToString(), ": case ", record->id,
                     " has no receipt: none is kept without a ledger, or it was taken away"));
  }
  absl::StatusOr<Verification> verified =
      VerifyReceipt(*record, *receipt, *parts.limiter->settings().policy, ledger);
  if (!verified.ok()) return verified.status();
  Json recounted = CountsJson(verified->recounted);
  recounted["percent"] = verified->recounted.judged_percent();  // to be compared with the verdict's
  return Json{{"subject", subject.ToString()},
              {"case", record->id},
              {"finding", std::string(FindingName(verified->finding))},
              {"verdict",
               {{"rule", record->rule},
                {"count", record->counts.bad()},
                {"min_bad", record->min_bad},
                {"percent", record->percent},
                {"percent_limit", record->percent_limit}}},
              {"recounted", std::move(recounted)},
              {"remarks", verified->remarks}};
}

}  // namespace deferd
