#include "limiter/admin/owner_evidence.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "limiter/admin/causes.h"
#include "limiter/evidence/recount.h"
#include "policy/owner_release.h"

namespace deferd {
namespace {

constexpr size_t kPageOfRows = 2'000;
constexpr size_t kMostRows = 20'000;
constexpr char kNotAllKnown[] = "not all answers of the receiving servers are known here";

bool FailedOrDeferred(Outcome outcome) {
  return outcome == Outcome::kDeferred || outcome == Outcome::kFailed ||
         outcome == Outcome::kExpired;
}

// Every attempt of the subject since then, newest first. nullopt: not all can be read.
std::optional<std::vector<LedgerRow>> AllRows(LedgerReader* ledger, const Subject& subject,
                                              absl::Time since) {
  LedgerQuery query;
  query.subject = subject.ToString();
  query.outcomes = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired};
  query.since = since;
  query.limit = kPageOfRows;
  std::vector<LedgerRow> rows;
  while (true) {
    absl::StatusOr<LedgerPage> page = ledger->Search(query);
    if (!page.ok()) return std::nullopt;
    rows.insert(rows.end(), page->rows.begin(), page->rows.end());
    if (page->next == 0) return rows;
    if (rows.size() >= kMostRows) return std::nullopt;
    query.before = page->next;
  }
}

// Whether the ledger still has everything from then on.
bool ReachesBackTo(absl::Time since, LedgerReader* ledger) {
  const absl::StatusOr<absl::Time> oldest = ledger->OldestTime();
  const absl::StatusOr<absl::Time> forgotten = ledger->ForgottenUntil();
  return oldest.ok() && *oldest <= since && forgotten.ok() && *forgotten < since;
}

// Whether the ledger of this node has all that the case counts: where nodes share, the others'
// answers are in their own ledgers.
bool HasWholeCase(const OwnerEvidenceParts& parts, const Case& record) {
  const std::optional<Receipt> receipt = parts.receipt(record);
  if (!receipt.has_value() || !receipt->complete) return false;
  const absl::StatusOr<Recount> recount = CountAgain(record, receipt->tripping_row, parts.ledger);
  return recount.ok() && recount->complete && recount->counts.bad() >= record.counts.bad();
}

// Whether other nodes may have got answers that are not known here.
bool OthersMayKnowMore(const OwnerEvidenceParts& parts, const Case& record,
                       const SubjectReport& report, absl::Time now) {
  // They tell only counts, of the last window. Where the subject's mail went out at all, answers
  // that do not count, as about spam from that server, are known there alone.
  if (record.rev > 0 && now - record.since > report.window) return true;
  const auto elsewhere = [&](const auto& one) {
    return one.first != parts.node && !one.second.nothing();
  };
  return std::any_of(report.counts_by_node.begin(), report.counts_by_node.end(), elsewhere);
}

// By class, of rows that are newest first. `once`: each message and recipient with its newest.
std::vector<AnswersToRelease> AnswersIn(const std::vector<LedgerRow>& rows,
                                        const std::vector<Incident>& incidents, bool once,
                                        absl::Time until) {
  std::map<std::pair<ReplyClass, bool>, AnswersToRelease> answers;
  std::set<std::pair<std::string, std::string>> seen;
  for (const LedgerRow& row : rows) {
    if (row.time >= until) continue;
    const LeftOut left_out = LeftOutNow(row, incidents);
    const bool counts = left_out == LeftOut::kCounts;
    if (!counts && left_out != LeftOut::kReplyClass && left_out != LeftOut::kIncident) continue;
    if (once && !seen.emplace(row.message_id, row.recipient).second) continue;
    if (!FailedOrDeferred(row.outcome)) continue;
    const ReplyClass reply_class =
        ParseReplyClass(row.reply_class).value_or(ReplyClass::kUnclassified);
    const bool permanent = row.outcome != Outcome::kDeferred;
    AnswersToRelease& one = answers[{reply_class, permanent}];
    one.reply_class = reply_class;
    one.permanent = permanent;
    ++(counts ? one.counted : one.left_out);
  }
  std::vector<AnswersToRelease> list;
  for (const auto& [key, one] : answers) list.push_back(one);
  return list;
}

std::string WhyRulesForbid(const SubjectReport& report) {
  for (const SubjectReport::RuleReport& one : report.rules) {
    if (one.shadow || !one.tripped) continue;
    if (!one.rule.owner_release || one.rule.measure.what != Measure::What::kBad) {
      return "another limit is exceeded, too";
    }
  }
  return "";
}

std::string WhyRowsForbid(const std::vector<LedgerRow>& rows,
                          const std::vector<Incident>& incidents, const Case& record) {
  // One refusal as spam is one too many, whether it counts or a later attempt went better.
  std::vector<AnswersToRelease> every;
  for (const LedgerRow& row : rows) {
    if (!FailedOrDeferred(row.outcome) || row.left_out == LeftOut::kOwnRefusal) continue;
    const std::optional<ReplyClass> reply_class = ParseReplyClass(row.reply_class);
    if (!reply_class.has_value()) return kNotAllKnown;
    if (*reply_class == ReplyClass::kContent || *reply_class == ReplyClass::kReputation) {
      every.push_back({.reply_class = *reply_class, .counted = 1});
    }
  }
  if (!every.empty()) return std::string(WhyOwnerMayNotRelease(every));
  // What came after the block makes no share of what was before it smaller, nor the other way
  // round.
  const absl::Time then = record.since + absl::Seconds(1);
  for (absl::Time until : {then, absl::InfiniteFuture()}) {
    const absl::string_view clause =
        WhyOwnerMayNotRelease(AnswersIn(rows, incidents, record.once, until));
    if (!clause.empty()) return std::string(clause);
  }
  return "";
}

}  // namespace

std::string WhyOwnerMayNotEnd(const OwnerEvidenceParts& parts, const Case& record, absl::Time now) {
  if (record.extended > 0) return "the block was extended, because mail went on failing";
  if (parts.freshness->unchecked())
    return "this server does not know all of its mail at the moment";
  const SubjectReport report = parts.limiter->Report(record.subject);
  if (std::string clause = WhyRulesForbid(report); !clause.empty()) return clause;
  const absl::Time begin = std::min(record.since, record.judged_at) - record.window;
  if (!ReachesBackTo(begin, parts.ledger) || !HasWholeCase(parts, record) ||
      OthersMayKnowMore(parts, record, report, now)) {
    return kNotAllKnown;
  }
  const std::optional<std::vector<LedgerRow>> rows =
      AllRows(parts.ledger, record.subject, std::max(begin, record.counted_after));
  if (!rows.has_value()) return kNotAllKnown;
  return WhyRowsForbid(*rows, parts.limiter->ShownIncidents(), record);
}

}  // namespace deferd
