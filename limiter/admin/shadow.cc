#include "limiter/admin/shadow.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/admin/track.h"
#include "policy/evaluate.h"
#include "policy/subject.h"
#include "policy/text.h"
#include "policy/toml_reader.h"

namespace deferd {

namespace {

constexpr size_t kSampled = 3;

struct RuleTally {
  int64_t cases = 0, right = 0, wrong = 0;
  std::set<std::string> subjects;
};

// All in shadow, newest first.
std::vector<Case> ShadowCases(const CaseTable& cases) {
  std::vector<Case> found;
  for (Case& record : cases.Open()) {
    if (record.shadow) found.push_back(std::move(record));
  }
  for (Case& record : cases.Closed(CaseTable::kMaxHistory)) {
    if (record.shadow) found.push_back(std::move(record));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Case& a, const Case& b) { return a.since > b.since; });
  return found;
}

Json SentJson(const std::optional<Receipt>& receipt) {
  if (!receipt.has_value()) return nullptr;
  std::set<std::string> messages;
  Json sample = Json::array();
  for (const LedgerRow& row : receipt->rows) {
    const bool fresh = messages.insert(row.message_id).second;
    if (!fresh || sample.size() == kSampled) continue;
    sample.push_back({{"time", FormatUtc(row.time)},
                      {"id", row.message_id},
                      {"sender", row.sender},
                      {"recipient", row.recipient},
                      {"mail_subject", row.mail_subject},
                      {"reply", row.reply}});
  }
  return {
      {"attempts", receipt->total}, {"messages", messages.size()}, {"sample", std::move(sample)}};
}

}  // namespace

int64_t NumberOf(const ShadowMark& mark) {
  return (mark.right ? 1 : -1) * absl::ToUnixSeconds(mark.at);
}

ShadowMark MarkOf(int64_t number) { return {number > 0, absl::FromUnixSeconds(std::abs(number))}; }

Json ShadowReportJson(const CaseTable& cases,
                      const std::function<std::optional<Receipt>(const Case&)>& receipt,
                      const ShadowMarks& marks, absl::Time since) {
  Json list = Json::array();
  std::map<std::string, RuleTally> tallies;
  for (const Case& record : ShadowCases(cases)) {
    const bool open = record.state != CaseState::kClosed;
    if (!open && record.closed_at < since) continue;
    RuleTally& tally = tallies[record.rule];
    ++tally.cases;
    tally.subjects.insert(record.subject.ToString());
    const auto mark = marks.find(record.id);
    if (mark != marks.end()) ++(mark->second.right ? tally.right : tally.wrong);
    list.push_back({{"id", record.id},
                    {"subject", record.subject.ToString()},
                    {"rule", record.rule},
                    {"since", FormatUtc(record.since)},
                    {"until", FormatUtc(open ? record.until : record.closed_at)},
                    {"open", open},
                    {"count", record.bad()},
                    {"of", record.bad_of()},
                    {"counts", std::string(record.measure.Name())},
                    {"min_bad", record.min_bad},
                    {"percent", record.percent},
                    {"action", record.action.ToString()},
                    {"verdict", mark == marks.end()  ? Json(nullptr)
                                : mark->second.right ? Json("right")
                                                     : Json("wrong")},
                    {"sent", SentJson(receipt(record))}});
  }
  Json rules = Json::array();
  for (const auto& [rule, tally] : tallies) {
    const int64_t marked = tally.right + tally.wrong;
    rules.push_back(
        {{"rule", rule},
         {"cases", tally.cases},
         {"subjects", tally.subjects.size()},
         {"right", tally.right},
         {"wrong", tally.wrong},
         {"right_percent", marked == 0 ? Json(nullptr) : Json(100 * tally.right / marked)}});
  }
  return {{"since", FormatUtc(since)}, {"rules", std::move(rules)}, {"cases", std::move(list)}};
}

absl::StatusOr<Case> FindShadowCase(const CaseTable& cases, absl::string_view name) {
  absl::StatusOr<Subject> subject = Subject::Parse(name);
  for (Case& record : ShadowCases(cases)) {
    if (record.id == name || (subject.ok() && record.subject == *subject)) return std::move(record);
  }
  return absl::NotFoundError(
      absl::StrCat(Quoted(name),
                   ": no case in shadow of that name; deferctl shadow report lists "
                   "them"));
}

}  // namespace deferd
