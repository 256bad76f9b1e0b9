// The stored form of a receipt and of its attempts, and the form of these that other nodes read.

#ifndef DEFERD_LIMITER_STORE_RECEIPT_CODEC_H_
#define DEFERD_LIMITER_STORE_RECEIPT_CODEC_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/evidence/receipt.h"
#include "limiter/store/ledger.h"

namespace deferd {

std::string LedgerRowsText(const std::vector<LedgerRow>& rows);
absl::StatusOr<std::vector<LedgerRow>> ParseLedgerRows(absl::string_view text);

std::string ReceiptText(const Receipt& receipt);
absl::StatusOr<Receipt> ParseReceipt(absl::string_view text);

// JSON, for other nodes to read.
std::string SharedReceiptText(const std::vector<LedgerRow>& rows);
absl::StatusOr<std::vector<LedgerRow>> ParseSharedReceipt(absl::string_view text);

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_RECEIPT_CODEC_H_
