#include "limiter/admin/stats.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "limiter/admin/track_args.h"
#include "policy/counts.h"
#include "policy/subject.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxStatsRows = 200'000;
constexpr size_t kStatsPage = 5'000;

struct Totals {
  absl::flat_hash_set<std::string> messages;
  absl::flat_hash_map<std::string, Outcome> recipients;  // of a message; with what they have now
  Counts attempts;
  int64_t rejected = 0;  // recipients refused at RCPT time
  int64_t left_out = 0;  // recipients whose outcome does not count

  Counts Recipients() const {
    Counts counts;
    for (const auto& [name, outcome] : recipients) counts.Add(CountedAs(outcome));
    return counts;
  }
};

// Rows come newest first, so a recipient's first one is what became of it.
void Count(const LedgerRow& row, Totals* totals) {
  const std::string message = absl::StrCat(row.message_id, " ", absl::ToUnixMillis(row.arrival));
  if (row.outcome == Outcome::kRejectedRecipient) {
    ++totals->rejected;
    return;
  }
  totals->messages.insert(message);
  if (row.outcome == Outcome::kQueued) return;
  totals->attempts.Add(CountedAs(row.outcome));
  const bool last =
      totals->recipients.try_emplace(absl::StrCat(message, " ", row.recipient), row.outcome).second;
  if (last && row.left_out != LeftOut::kCounts) ++totals->left_out;
}

Json ThreeJson(const Counts& counts) {
  return {
      {"delivered", counts.delivered}, {"deferred", counts.deferred}, {"failed", counts.failed}};
}

}  // namespace

absl::StatusOr<Json> Stats(const LedgerSearch& search, const CaseTable& cases, const Json& args,
                           absl::Time now) {
  absl::StatusOr<std::string> what = TextArg(args, "subject");
  absl::StatusOr<std::string> by = TextArg(args, "by");
  absl::StatusOr<TimeSpan> span = TimeArgs(args, now);
  absl::StatusOr<int64_t> limit = WholeArg(args, "limit", 20);
  for (const absl::Status& status : {what.status(), by.status(), span.status(), limit.status()}) {
    if (!status.ok()) return status;
  }
  LedgerQuery query;
  if (!what->empty()) {
    absl::StatusOr<Subject> subject = Subject::Parse(*what);
    if (!subject.ok()) return subject.status();
    query.subject = subject->ToString();
  }
  if (by->empty()) *by = what->empty() ? "subject" : "sender";
  if (*by != "subject" && *by != "sender") {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(*by), " is nothing to count by; give subject or sender"));
  }
  query.outcomes = {Outcome::kQueued, Outcome::kDelivered, Outcome::kDeferred,
                    Outcome::kFailed, Outcome::kExpired,   Outcome::kRejectedRecipient};
  query.since = span->since == absl::InfinitePast() ? now - absl::Hours(24) : span->since;
  query.until = span->until;
  query.limit = kStatsPage;

  absl::btree_map<std::string, Totals> totals;
  size_t read = 0;
  bool all = true;
  while (true) {
    absl::StatusOr<LedgerPage> page = search(query);
    if (!page.ok()) return page.status();
    for (const LedgerRow& row : page->rows) {
      const std::string& name = *by == "sender" ? row.sender : row.subject;
      if (name.empty() && *by == "subject") continue;  // charged to nobody
      Count(row, &totals[name.empty() ? "<>" : name]);
    }
    read += page->rows.size();
    if (page->next == 0) break;
    if (read >= kMaxStatsRows) {
      all = false;
      break;
    }
    query.before = page->next;
  }

  std::vector<std::pair<int64_t, Json>> ranked;
  for (const auto& [name, one] : totals) {
    const Counts recipients = one.Recipients();
    Json row = {{*by, name},
                {"messages", one.messages.size()},
                {"recipients", ThreeJson(recipients)},
                {"left_out", one.left_out},
                {"rejected_recipients", one.rejected},
                {"attempts", ThreeJson(one.attempts)}};
    if (*by == "subject") {
      absl::StatusOr<Subject> subject = Subject::Parse(name);
      row["blocked"] = subject.ok() && cases.FindEnforced(*subject, now).has_value();
    }
    ranked.emplace_back(-recipients.bad() - one.rejected, std::move(row));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  if (*limit > 0 && ranked.size() > static_cast<size_t>(*limit)) ranked.resize(*limit);
  Json rows = Json::array();
  for (auto& [minus, row] : ranked) rows.push_back(std::move(row));
  return Json{{"since", FormatUtc(query.since)},
              {"until", FormatUtc(std::min(query.until, now))},
              {"by", *by},
              {"all", all},
              {"rows", std::move(rows)}};
}

}  // namespace deferd
