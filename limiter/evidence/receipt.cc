#include "limiter/evidence/receipt.h"

#include <openssl/evp.h>

#include <algorithm>
#include <functional>
#include <map>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "limiter/counting/side_windows.h"
#include "limiter/evidence/recount.h"
#include "limiter/store/receipt_codec.h"
#include "policy/evaluate.h"
#include "policy/text.h"

namespace deferd {

namespace {

std::string DigestOf(const std::vector<LedgerRow>& rows) {
  const std::string text = LedgerRowsText(rows);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1) return "";
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest), size});
}

std::string CountsText(const Counts& counts) {
  return absl::StrCat(
      counts.delivered, " delivered, ", counts.deferred, " deferred, ", counts.failed, " failed",
      counts.surplus == 0 ? ""
                          : absl::StrCat(" (", counts.surplus,
                                         " of the delivered beyond what one message may dilute)"),
      counts.rejected == 0 ? "" : absl::StrCat(", ", counts.rejected, " recipients rejected"));
}

std::string RowText(const LedgerRow& row) {
  return absl::StrCat("the attempt of ", row.message_id, " to ", row.recipient);
}

// Collects what is found; the worst decides.
class Remarks {
 public:
  explicit Remarks(Verification* result) : result_(result) {}

  void Contradicted(std::string what) { Add(Finding::kContradicted, std::move(what)); }
  void Incomplete(std::string what) { Add(Finding::kIncomplete, std::move(what)); }

 private:
  void Add(Finding finding, std::string what) {
    result_->finding = std::max(result_->finding, finding);
    result_->remarks.push_back(std::move(what));
  }

  Verification* const result_;
};

void CompareRule(const Case& record, const Receipt& receipt, const Policy& policy,
                 Remarks* remarks) {
  if (!SameLimits(receipt, record)) {
    remarks->Contradicted("the rule in the case is not the one in its receipt");
  }
  if (receipt.counts != record.counts || receipt.percent != record.percent) {
    remarks->Contradicted(absl::StrCat("the case says ", CountsText(record.counts),
                                       ", its receipt ", CountsText(receipt.counts)));
  }
  const Decision decision = Evaluate(RuleOf(receipt), receipt.counts);
  if (!decision.tripped) {
    remarks->Contradicted(absl::StrCat("the counts in the receipt (", CountsText(receipt.counts),
                                       ") do not reach the rule's limits"));
  } else if (decision.percent != receipt.percent) {
    remarks->Contradicted(absl::StrCat("the counts in the receipt are ", decision.percent,
                                       "%, not ", receipt.percent, "%"));
  }
  if (policy.hash != record.policy_hash) return;  // another policy, which says nothing about it
  const Rule* same = policy.FindRule(record.rule);
  if (same == nullptr) {
    remarks->Contradicted(
        absl::StrCat("rule ", record.rule, " is not in the policy that it names"));
  } else if (!SameLimits(record, JudgementOf(Evaluate(*same, receipt.counts), policy))) {
    remarks->Contradicted(
        absl::StrCat("rule ", record.rule, " has other limits in the policy that it names"));
  }
}

// `found` is what the ledger has now.
void CompareRows(const Receipt& receipt, const std::vector<LedgerRow>& found, Remarks* remarks) {
  std::map<int64_t, const LedgerRow*> by_key;
  for (const LedgerRow& row : found) by_key[row.row] = &row;
  for (const LedgerRow& row : receipt.rows) {
    auto it = by_key.find(row.row);
    if (it == by_key.end()) {
      remarks->Contradicted(absl::StrCat(RowText(row),
                                         " is missing in the ledger, or does not "
                                         "count there any more"));
    } else if (!(*it->second == row)) {
      remarks->Contradicted(absl::StrCat(RowText(row), " was changed in the ledger"));
    }
  }
  // Beyond those that the receipt holds whole, the digest tells.
  if (static_cast<int64_t>(receipt.rows.size()) == receipt.total) {
    for (const LedgerRow& row : found) {
      const bool known = std::any_of(receipt.rows.begin(), receipt.rows.end(),
                                     [&](const LedgerRow& other) { return other.row == row.row; });
      if (!known) {
        remarks->Contradicted(
            absl::StrCat(RowText(row), " was added to the ledger, or taken out of the receipt"));
      }
    }
  } else if (static_cast<int64_t>(found.size()) != receipt.total) {
    remarks->Contradicted(absl::StrCat("the ledger has ", found.size(),
                                       " bad attempts, the receipt was made of ", receipt.total));
  }
}

bool TripsOnSureAnswers(const Case& record, const Recount& recount, const Policy& policy) {
  // What the mail server itself said of a recipient is sure.
  if (record.measure.rejected()) return Evaluate(RuleOf(record), recount.counts).tripped;
  if (record.measure.sent()) return true;
  const ClassSet classes = record.measure.classes;
  Counts sure;
  absl::flat_hash_set<uint64_t> recipients;
  for (const LedgerRow& row : recount.bad) {
    const bool deferred = row.outcome == Outcome::kDeferred;
    const Classification answer = policy.replies().Classify(
        row.reply,
        {.logged = deferred ? Permanence::kTransient : Permanence::kPermanent, .host = row.host});
    if (!policy.SurelyCounts(answer, FailsForGood(answer, deferred), classes)) continue;
    sure.Add(CountedAs(row.outcome));
    recipients.insert(RecipientNumber(row.recipient));
  }
  Counts counts = recount.counts;
  counts.recipients = record.min_recipients > 0 ? static_cast<int64_t>(recipients.size()) : 0;
  if (classes.empty()) {
    counts.deferred = sure.deferred;
    counts.failed = sure.failed;
  } else {
    // The others are in what the share is taken of, whatever they mean.
    counts.classed = sure.bad();
  }
  return Evaluate(RuleOf(record), counts).tripped;
}

// What is to be found in this node's ledger, where the counts are those of several nodes.
Counts CountsHere(const Case& record, const Counts& recounted,
                  const std::vector<LedgerRow>& found) {
  for (const auto& [node, counts] : record.counts_by_node) {
    if (found.empty() || found.front().node != node) continue;
    Counts here = counts;
    // These are not told by node.
    here.classed = recounted.classed;
    here.recipients = recounted.recipients;
    return here;
  }
  return record.counts;
}

// Of what is sent only that is read again.
bool SameJudged(const Measure& measure, const Counts& a, const Counts& b) {
  return measure.sent() ? measure.Of(a).bad() == measure.Of(b).bad() : a == b;
}

}  // namespace

absl::string_view FindingName(Finding finding) {
  switch (finding) {
    case Finding::kConfirmed:
      return "confirmed";
    case Finding::kIncomplete:
      return "incomplete";
    case Finding::kContradicted:
      return "contradicted";
  }
  return "unknown";
}

absl::StatusOr<Receipt> GatherReceipt(const Case& record, int64_t tripping_row,
                                      const Policy& policy, LedgerReader* ledger) {
  absl::StatusOr<Recount> recount = CountAgain(record, tripping_row, ledger);
  if (!recount.ok()) return recount.status();
  Receipt receipt{static_cast<const Judgement&>(record)};
  receipt.tripping_row = tripping_row;
  receipt.complete = recount->complete;
  receipt.recounted = recount->counts;
  receipt.total = static_cast<int64_t>(recount->bad.size());
  receipt.digest = DigestOf(recount->bad);
  receipt.sure = TripsOnSureAnswers(record, *recount, policy);
  receipt.rows = std::move(recount->bad);
  if (receipt.rows.size() > Receipt::kMaxRows) receipt.rows.resize(Receipt::kMaxRows);
  return receipt;
}

absl::StatusOr<Verification> VerifyReceipt(const Case& record, const Receipt& receipt,
                                           const Policy& policy, LedgerReader* ledger) {
  Verification result;
  Remarks remarks(&result);
  CompareRule(record, receipt, policy, &remarks);
  absl::StatusOr<Recount> recount = CountAgain(record, receipt.tripping_row, ledger);
  if (!recount.ok()) return recount.status();
  result.recounted = recount->counts;

  // Retention drops whole segments, the oldest first: what is older than the ledger is not missing.
  absl::StatusOr<absl::Time> oldest = ledger->OldestTime();
  if (!oldest.ok()) return oldest.status();
  if (*oldest > record.since - record.window) {
    remarks.Incomplete(
        absl::StrCat("the ledger begins after the evidence does, at ",
                     absl::FormatTime("%Y-%m-%d %H:%M:%S", *oldest, absl::UTCTimeZone()), " UTC"));
    return result;
  }
  absl::StatusOr<absl::Time> forgotten = ledger->ForgottenUntil();
  if (!forgotten.ok()) return forgotten.status();
  if (*forgotten >= record.since - record.window) {
    remarks.Incomplete("attempts of that time were removed by deferctl forget");
    return result;
  }
  if (!receipt.complete || !recount->complete) {
    remarks.Incomplete(recount->missing.empty() ? "not all of the evidence was in the ledger"
                                                : recount->missing);
    return result;
  }
  const size_t before = result.remarks.size();
  CompareRows(receipt, recount->bad, &remarks);
  if (result.remarks.size() == before && DigestOf(recount->bad) != receipt.digest) {
    remarks.Contradicted("attempts that the receipt knows by their digest were changed");
  }
  if (recount->counts != receipt.recounted) {
    remarks.Contradicted(absl::StrCat("the ledger counts to ", CountsText(recount->counts),
                                      "; when the receipt was made, it was ",
                                      CountsText(receipt.recounted)));
  } else if (!SameJudged(record.measure, recount->counts,
                         CountsHere(record, recount->counts, recount->bad))) {
    // Attempts that an incident took out of the counts are in the ledger still; what never reached
    // it, or was counted by other nodes, is not.
    remarks.Incomplete(absl::StrCat("the ledger counts to ", CountsText(recount->counts),
                                    ", the case to ", CountsText(receipt.counts)));
  }
  return result;
}

}  // namespace deferd
