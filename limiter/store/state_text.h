// The limiter's own values as the bytes that a store keeps for it, and back.
//
// MessagePack, since texts from logs may hold any bytes. Unknown keys are ignored and missing ones
// take their defaults, so an older deferd's bytes can be read; DataLoss if they are no MessagePack
// or of another shape.

#ifndef DEFERD_LIMITER_STORE_STATE_TEXT_H_
#define DEFERD_LIMITER_STORE_STATE_TEXT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/cases/case_table.h"
#include "limiter/counting/clearings.h"
#include "limiter/counting/contributions.h"
#include "limiter/evidence/receipt.h"
#include "limiter/judging/incidents.h"
#include "limiter/store/ledger.h"
#include "policy/subject.h"

namespace deferd {

// The name under which a store keeps what belongs to a subject or a message.
std::string NameOf(const Subject& subject);
std::string NameOf(const MessageKey& key, size_t part);

std::string ContributionText(const MessageKey& key, const MessageRecord& record, size_t part);
absl::StatusOr<MessagePart> ParseContribution(absl::string_view text);

std::string CaseText(const Case& record);
absl::StatusOr<Case> ParseCase(absl::string_view text);

// The same as one line of JSON, for other nodes to read. The subject and shadow are not in it: they
// are the record's name there. Bytes that are no UTF-8 are replaced.
std::string SharedCaseText(const Case& record);
absl::StatusOr<Case> ParseSharedCase(absl::string_view text, const Subject& subject, bool shadow);

std::string CaseEventText(const CaseEvent& event);
absl::StatusOr<CaseEvent> ParseCaseEvent(absl::string_view text);

// A place that fails, and what its answers are about.
std::string NameOf(const Incidents::Key& key);
std::string PlaceText(const Incidents::Key& key, const Place& place);
absl::StatusOr<std::pair<Incidents::Key, Place>> ParsePlace(absl::string_view text);

std::string LedgerRowsText(const std::vector<LedgerRow>& rows);
absl::StatusOr<std::vector<LedgerRow>> ParseLedgerRows(absl::string_view text);

std::string ReceiptText(const Receipt& receipt);
absl::StatusOr<Receipt> ParseReceipt(absl::string_view text);

// JSON, for other nodes to read.
std::string SharedReceiptText(const std::vector<LedgerRow>& rows);
absl::StatusOr<std::vector<LedgerRow>> ParseSharedReceipt(absl::string_view text);

std::string ClearingText(const Subject& subject, const Cleared& cleared);
absl::StatusOr<std::pair<Subject, Cleared>> ParseClearing(absl::string_view text);

// What the limiter is between two batches, besides its tables.
struct LimiterFacts {
  absl::Time now = absl::InfinitePast();
  absl::Time last_sweep = absl::InfinitePast();
  int64_t case_number = 0;
  std::vector<std::pair<absl::Duration, absl::Time>> windows;  // length, counted since
  std::vector<std::pair<SubjectKind, absl::Time>> kinds;       // narrower ones, counted since
  absl::Time clock_back_at = absl::InfinitePast();             // it was set back then; never
  absl::Duration clock_back_by;
};
std::string FactsText(const LimiterFacts& facts);
absl::StatusOr<LimiterFacts> ParseFacts(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_STATE_TEXT_H_
