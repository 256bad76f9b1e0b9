#include "limiter/evidence/recount.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/counting/window.h"
#include "policy/dilution.h"
#include "policy/left_out.h"

namespace deferd {

namespace {

constexpr size_t kPage = 2'000;
constexpr int64_t kNumbers = int64_t{1} << 21;  // LedgerRowKey: rows are numbered modulo this

const std::vector<Outcome> kOutcomesThatCount = {Outcome::kDelivered, Outcome::kDeferred,
                                                 Outcome::kFailed, Outcome::kExpired,
                                                 Outcome::kRejectedRecipient};
// Arrivals, and what a person released.
const std::vector<Outcome> kOutcomesThatAreSent = {Outcome::kQueued};

// How many rows were written between `row` and `tripping_row`; negative of later ones.
int64_t ReadBefore(int64_t row, int64_t tripping_row) {
  const int64_t distance = ((tripping_row - row) % kNumbers + kNumbers) % kNumbers;
  return distance < kNumbers / 2 ? distance : distance - kNumbers;
}

absl::Status Append(LedgerQuery query, size_t limit, LedgerReader* ledger, Recount* recount,
                    std::vector<LedgerRow>* rows) {
  query.limit = kPage;
  size_t read = 0;
  while (true) {
    absl::StatusOr<LedgerPage> page = ledger->Search(query);
    if (!page.ok()) return page.status();
    read += page->rows.size();
    rows->insert(rows->end(), page->rows.begin(), page->rows.end());
    if (page->next == 0) return absl::OkStatus();
    if (read >= limit) break;
    query.before = page->next;
  }
  recount->complete = false;
  recount->missing =
      absl::StrCat("only the newest ", limit, " attempts of the window were counted");
  return absl::OkStatus();
}

// Whether it is one of those that the rule counts.
bool IsJudged(const Measure& measure, const LedgerRow& row) {
  if (measure.sent()) return row.outcome == Outcome::kQueued;
  if (measure.rejected()) return row.outcome == Outcome::kRejectedRecipient;
  if (row.outcome == Outcome::kDelivered || row.outcome == Outcome::kRejectedRecipient)
    return false;
  if (measure.classes.empty()) return true;
  const std::optional<ReplyClass> meant = ParseReplyClass(row.reply_class);
  return meant.has_value() && measure.classes.Has(*meant);
}

bool SameCounted(Outcome a, Outcome b) { return CountedAs(a) == CountedAs(b); }

}  // namespace

absl::StatusOr<Recount> CountAgain(const Case& record, int64_t tripping_row, LedgerReader* ledger) {
  const bool once = record.once;
  Recount recount;
  const StepClock steps(record.window);
  const int64_t now_step = steps.StepOf(record.judged_at);
  const absl::Time begin = steps.EndOf(now_step - StepClock::kSteps) + absl::Seconds(1);
  const absl::Time end = steps.EndOf(now_step) + absl::Seconds(1);
  LedgerQuery query;
  query.subject = record.subject.ToString();
  query.outcomes = record.measure.sent() ? kOutcomesThatAreSent : kOutcomesThatCount;
  query.since = begin;
  query.until = end;
  std::vector<LedgerRow> rows;
  absl::Status read = Append(query, Recount::kMaxRows, ledger, &recount, &rows);
  if (!read.ok()) return read;
  const auto later = [&](const LedgerRow& row) { return ReadBefore(row.row, tripping_row) < 0; };
  rows.erase(std::remove_if(rows.begin(), rows.end(), later), rows.end());

  // What was tried before the window may have given an outcome then, which now does not count.
  std::set<std::pair<std::string, absl::Time>> older;
  for (const LedgerRow& row : rows) {
    if (row.outcome == Outcome::kRejectedRecipient || row.outcome == Outcome::kQueued) continue;
    // The same of what it has diluted already.
    if (row.arrival < begin && (once || row.outcome == Outcome::kDelivered)) {
      older.emplace(row.message_id, row.arrival);
    }
  }
  if (!older.empty()) {
    absl::StatusOr<absl::Time> oldest = ledger->OldestTime();
    if (!oldest.ok()) return oldest.status();
    const bool dropped = std::any_of(older.begin(), older.end(),
                                     [&](const auto& message) { return message.second < *oldest; });
    if (dropped) {
      recount.complete = false;
      recount.missing = "what was tried before the window is not in the ledger any more";
    }
  }
  int looked_up = 0;
  for (const auto& [id, arrival] : older) {
    if (++looked_up > Recount::kMaxOlderMessages) {
      recount.complete = false;
      recount.missing = "too many messages were in the queue before the window";
      break;
    }
    LedgerQuery life = query;
    life.since = arrival;
    life.until = begin;
    life.message_id = id;
    read = Append(life, kPage, ledger, &recount, &rows);
    if (!read.ok()) return read;
  }

  std::sort(rows.begin(), rows.end(), [&](const LedgerRow& a, const LedgerRow& b) {
    return ReadBefore(a.row, tripping_row) > ReadBefore(b.row, tripping_row);
  });
  struct Current {
    std::optional<size_t> row;  // that it is dated at
    absl::Time last = absl::InfinitePast();
  };
  std::map<std::tuple<std::string, absl::Time, std::string>, Current> contributions;
  std::vector<size_t> each;      // counting attempts
  std::vector<size_t> rejected;  // and arrivals: each counts
  std::map<std::pair<std::string, absl::Time>, Dilution> dilutions;
  std::vector<bool> surplus(rows.size());
  const auto admit = [&](size_t i) {
    const LedgerRow& row = rows[i];
    if (row.outcome != Outcome::kDelivered) return;
    Dilution& dilution = dilutions[{row.message_id, row.arrival}];
    surplus[i] = !dilution.Admit(row.subject, row.recipient, row.host, row.host_ip);
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    const LedgerRow& row = rows[i];
    if (row.left_out != LeftOut::kCounts) continue;
    const bool apart =
        std::find(record.apart.begin(), record.apart.end(), row.narrower) != record.apart.end();
    if (apart && !row.narrower.empty()) continue;
    const bool released = absl::StartsWith(row.reply, kReleasedPrefix) ||
                          absl::StartsWith(row.reply, kFormerReleasedPrefix);
    if (row.outcome == Outcome::kQueued && released) continue;
    if (row.outcome == Outcome::kRejectedRecipient || row.outcome == Outcome::kQueued) {
      rejected.push_back(i);
      continue;
    }
    each.push_back(i);
    if (!once) {
      admit(i);
      continue;
    }
    Current& one = contributions[{row.message_id, row.arrival, row.recipient}];
    if (row.time < one.last) continue;
    one.last = row.time;
    if (one.row.has_value() && SameCounted(rows[*one.row].outcome, row.outcome)) continue;
    one.row = i;
    admit(i);
  }
  if (once) {
    each.clear();
    for (const auto& [key, one] : contributions) {
      if (one.row.has_value()) each.push_back(*one.row);
    }
  }
  each.insert(each.end(), rejected.begin(), rejected.end());
  std::sort(each.begin(), each.end());
  const int64_t after_step = record.counted_after == absl::InfinitePast()
                                 ? now_step - StepClock::kSteps
                                 : steps.StepOf(record.counted_after);
  std::set<std::string> to;
  for (auto it = each.rbegin(); it != each.rend(); ++it) {
    LedgerRow& row = rows[*it];
    const int64_t step = steps.StepOf(row.time);
    if (!steps.Live(step, now_step) || step <= after_step) continue;
    const bool cleared =
        std::any_of(record.apart_until.begin(), record.apart_until.end(), [&](const auto& part) {
          return part.first == row.narrower && step <= steps.StepOf(part.second);
        });
    if (cleared) continue;
    recount.counts.Add(row.outcome == Outcome::kQueued ? CountedOutcome::kSent
                                                       : CountedAs(row.outcome));
    if (surplus[*it]) ++recount.counts.surplus;
    if (!IsJudged(record.measure, row)) continue;
    if (!record.measure.classes.empty()) ++recount.counts.classed;
    if (record.min_recipients > 0) to.insert(absl::AsciiStrToLower(row.recipient));
    recount.bad.push_back(std::move(row));
  }
  recount.counts.recipients = static_cast<int64_t>(to.size());
  return recount;
}

}  // namespace deferd
