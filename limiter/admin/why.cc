#include "limiter/admin/why.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/admin/causes.h"
#include "limiter/admin/exemptions.h"
#include "limiter/admin/history.h"
#include "limiter/admin/near_subjects.h"
#include "limiter/admin/value_json.h"
#include "policy/evaluate.h"
#include "policy/forecast.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

// `blocked`: a case of its own is open, which a rule that is reached would not change.
Json RulesJson(const SubjectReport& report, bool blocked, absl::Time now) {
  Json rules = Json::array();
  for (const SubjectReport::RuleReport& one : report.rules) {
    const std::optional<absl::Time> when =
        one.tripped || one.rule.off() || blocked || !report.may_be_blocked
            ? std::nullopt
            : WhenReached(one.rule, one.counts, one.recent, one.rule.window / 4, now);
    const int64_t bad = Judged(one.rule, one.counts).bad();
    rules.push_back({{"name", one.rule.name},
                     {"counts", std::string(one.rule.measure.Name())},
                     {"classes", one.rule.measure.classes.Names()},
                     {"min_recipients", one.rule.min_recipients},
                     {"recipients", one.counts.recipients},
                     {"min_bad", one.rule.min_bad},
                     {"percent", one.rule.percent},
                     {"tripped", one.tripped},
                     {"off", one.rule.off()},
                     {"shadow", one.shadow},
                     {"window", deferd::FormatDuration(one.rule.window)},
                     {"bad", bad},
                     {"bad_percent", one.percent},
                     {"bad_missing", std::max<int64_t>(0, one.rule.min_bad - bad)},
                     {"at_this_pace", when.has_value() ? Json(FormatUtc(*when)) : Json(nullptr)}});
  }
  return rules;
}

// Whose attempts a domain's counts are without: of those blocked now, and of those whose case
// ended, up to when it was cleared.
CountedApart ApartNow(const WhyParts& parts, const Subject& subject, const SubjectReport& report) {
  CountedApart apart;
  if (subject.kind != SubjectKind::kDomain) return apart;
  const StepClock steps(report.window);
  for (const Case& record : parts.cases->Closed(CaseTable::kMaxHistory)) {
    if (record.within != subject || record.shadow) continue;
    const absl::Time cleared = parts.limiter->Report(record.subject).cleared_at;
    if (cleared == absl::InfinitePast()) continue;
    apart[record.subject.ToString()] = steps.EndOf(steps.StepOf(cleared));
  }
  for (const Case& record : report.parts) {
    if (!record.shadow) apart[record.subject.ToString()] = absl::InfiniteFuture();
  }
  return apart;
}

// The same, of a case's counts.
CountedApart ApartOf(const Case& record) {
  const StepClock steps(record.window);
  CountedApart apart;
  for (const auto& [part, until] : record.apart_until) {
    apart[part] = steps.EndOf(steps.StepOf(until));
  }
  for (const std::string& part : record.apart) apart[part] = absl::InfiniteFuture();
  return apart;
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
            {"classes", record.measure.classes.Names()},
            {"percent", record.percent_limit},
            {"window", deferd::FormatDuration(record.window)},
            {"action", record.action.ToString()}}},
          {"share", absl::StrCat(record.bad(), " ", record.measure.Words(), " of ", record.bad_of(),
                                 " (", record.percent, "%)")},
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

// {id, state, shadow, since} of the newest case of its subject that is later than it; null: none.
Json NewerCaseJson(const CaseTable& cases, const Case& named) {
  std::optional<Case> newest;
  const auto consider = [&](const Case& record) {
    if (record.subject != named.subject || record.id == named.id || record.exempts() ||
        record.since < std::min(named.closed_at, named.until)) {
      return;
    }
    if (!newest.has_value() || record.since > newest->since) newest = record;
  };
  for (const Case& record : cases.Closed(CaseTable::kMaxHistory)) consider(record);
  for (bool shadow : {true, false}) {
    const std::optional<Case> open = cases.FindOpen(named.subject, shadow);
    if (open.has_value()) consider(*open);
  }
  if (!newest.has_value()) return nullptr;
  return {{"id", newest->id},
          {"state", std::string(CaseStateName(newest->state))},
          {"shadow", newest->shadow},
          {"since", FormatUtc(newest->since)}};
}

Json NamedCaseJson(const WhyParts& parts, const Case& named) {
  Json json = CaseJson(named);
  if (!named.manual) json["receipt"] = ReceiptJson(named, parts.receipt(named));
  return json;
}

}  // namespace

Json WhyJson(const WhyParts& parts, const Subject& subject, absl::Time now,
             const std::optional<Case>& named, bool history) {
  const SubjectReport report = parts.limiter->Report(subject);
  Json window = CountsJson(report.counts);
  Json left_out = Json::object();
  for (const auto& [reply_class, count] : report.left_out) {
    left_out[std::string(ReplyClassName(reply_class))] = count;
  }
  window["left_out"] = std::move(left_out);
  if (!report.counts_by_node.empty()) {
    window["by_node"] = ByNodeJson(report.counts_by_node);
  }

  std::optional<Case> open = parts.cases->FindOpen(subject, /*shadow=*/false);
  if (open.has_value() && open->exempts()) open.reset();
  if (!open.has_value()) open = parts.cases->FindOpen(subject, /*shadow=*/true);
  Json case_json = nullptr;
  absl::Time since = now - report.window, until = now + absl::Minutes(5);
  if (open.has_value()) {
    case_json = CaseJson(*open);
    if (!open->manual) {
      case_json["receipt"] = ReceiptJson(*open, parts.receipt(*open));
    }
  }
  // Whose causes are told.
  const bool other = named.has_value() && !(open.has_value() && open->id == named->id);
  const std::optional<Case>& told = other && !named->manual ? named : open;
  const bool by_rule = told.has_value() && !told->manual;
  if (by_rule) {
    since = std::max(told->since - told->window, told->counted_after);
    until = told->since + absl::Seconds(1);
  }
  std::vector<Incident> incidents = parts.limiter->ShownIncidents();
  incidents.erase(std::remove_if(incidents.begin(), incidents.end(),
                                 [&](const Incident& one) {
                                   return !one.subjects.contains(subject.ToString());
                                 }),
                  incidents.end());
  if (!told.has_value()) since = std::max(since, report.cleared_at);
  Json events = Json::array();
  for (const CaseEvent& event : parts.cases->EventsOf(subject, 10)) {
    events.push_back(CaseEventJson(event));
    if (event.change == CaseChange::kAdopted && event.record.overruled.has_value()) {
      events.push_back(OverruledJson(*event.record.overruled));
    }
  }
  const bool seen = EverSeen(parts, subject);
  const CountedApart apart = ApartNow(parts, subject, report);
  const CountedApart apart_then = by_rule ? ApartOf(*told) : apart;
  std::vector<std::string> within;
  for (const Subject& domain : report.within) within.push_back(domain.ToString());
  const bool once = parts.limiter->settings().policy->count == CountMode::kOnce;
  RowPass pass(subject.ToString());
  Causes causes_seen({.subject = subject,
                      .incidents = &incidents,
                      .apart = apart_then,
                      .since = since,
                      .until = until,
                      .once = once});
  causes_seen.JoinIn(&pass);
  // An attempt may be stamped later than the clock.
  NotCounted not_counted({.subject = subject,
                          .incidents = &incidents,
                          .apart = apart,
                          .since = std::max(now - report.window, report.cleared_at),
                          .until = now + Limiter::kMaxAhead,
                          .once = once});
  not_counted.JoinIn(&pass);
  SubjectHistory day(now - SubjectHistory::kUsualTime, now, SubjectHistory::kUsualSteps);
  if (history) day.JoinIn(subject.ToString(), &pass);
  const absl::Status passed = pass.Run(parts.search);
  Json causes = causes_seen.ToJson(passed, parts.search);
  Json fault = FaultJson(causes, subject, incidents,
                         told.has_value() ? told->counts.rejected : report.counts.rejected);
  Json left_out_json = not_counted.ToJson(passed);
  if (report.rules.empty() && !within.empty() && left_out_json.contains("counted")) {
    // What is counted for a domain alone has no window of its own.
    const Json& counted = left_out_json["counted"];
    const Counts counts = {.delivered = counted["delivered"].get<int64_t>(),
                           .deferred = counted["deferred"].get<int64_t>(),
                           .failed = counted["failed"].get<int64_t>(),
                           .rejected = report.counts.rejected};
    window.update(CountsJson(counts));
  }
  Json why = {{"subject", subject.ToString()},
              {"state", "ok"},
              {"seen", seen},
              {"near", seen ? std::vector<std::string>() : NearSubjects(parts, subject)},
              {"within", within},
              {"window", window},
              {"window_length", deferd::FormatDuration(report.window)},
              {"rules", RulesJson(report, open.has_value() && !open->shadow, now)},
              {"case", case_json},
              {"named_case", named.has_value() ? NamedCaseJson(parts, *named) : Json(nullptr)},
              {"newer_case", other ? NewerCaseJson(*parts.cases, *named) : Json(nullptr)},
              {"fault", std::move(fault)},
              {"causes", std::move(causes)},
              {"left_out", std::move(left_out_json)},
              {"incidents", IncidentsJson(incidents, /*ended=*/false)},
              {"exempt", report.exempt},
              {"exemption", ExemptionJson(report, *parts.limiter->settings().policy, subject, now)},
              {"hosted", report.hosted},
              {"policy_shadow", report.policy_shadow},
              {"cleared_at", report.cleared_at == absl::InfinitePast()
                                 ? Json(nullptr)
                                 : Json(FormatUtc(report.cleared_at))},
              {"events", events}};
  if (history && passed.ok()) why["history"] = day.ToJson();
  why.update(StopsJson({.limiter = parts.limiter,
                        .gate = parts.gate,
                        .queue = parts.queue,
                        .postfix_defers = parts.postfix_defers},
                       subject, report));
  return why;
}

absl::StatusOr<Json> VerifyJson(const WhyParts& parts, LedgerReader* ledger, const Subject& subject,
                                const std::optional<Case>& named) {
  std::optional<Case> record = named;
  for (bool shadow : {true, false}) {
    if (named.has_value()) break;
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
  if (!record.has_value() || record->manual) {
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
  // To be compared with the verdict's.
  recounted["percent"] = JudgedPercent(record->measure, verified->recounted, record->min_bad);
  return Json{{"subject", subject.ToString()},
              {"case", record->id},
              {"finding", std::string(FindingName(verified->finding))},
              {"verdict",
               {{"rule", record->rule},
                {"count", record->bad()},
                {"counts", std::string(record->measure.Name())},
                {"classes", record->measure.classes.Names()},
                {"min_bad", record->min_bad},
                {"percent", record->percent},
                {"percent_limit", record->percent_limit}}},
              {"recounted", std::move(recounted)},
              {"remarks", verified->remarks}};
}

}  // namespace deferd
