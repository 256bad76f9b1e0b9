// Every stored value: bytes that were damaged, or that another node wrote, are read or refused;
// what was read is written, and read again, as the same. The first byte says which codec.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "limiter/store/case_codec.h"
#include "limiter/store/clearing_codec.h"
#include "limiter/store/contribution_codec.h"
#include "limiter/store/facts_codec.h"
#include "limiter/store/place_codec.h"
#include "limiter/store/receipt_codec.h"
#include "limiter/store/window_codec.h"

namespace deferd {
namespace {

void Check(bool same) {
  if (!same) std::abort();
}

void Read(uint8_t codec, absl::string_view text) {
  switch (codec % 9) {
    case 0:
      if (const auto record = ParseCase(text); record.ok()) {
        const std::string again = CaseText(*record);
        Check(CaseText(*ParseCase(again)) == again);
      }
      break;
    case 1:
      if (const auto record = ParseSharedCase(text, {SubjectKind::kDomain, "a.example"}, false);
          record.ok()) {
        const std::string again = SharedCaseText(*record);
        const auto read = ParseSharedCase(again, record->subject, false);
        Check(read.ok() && SharedCaseText(*read) == again);
      }
      break;
    case 2:
      if (const auto event = ParseCaseEvent(text); event.ok()) {
        const std::string again = CaseEventText(*event);
        Check(CaseEventText(*ParseCaseEvent(again)) == again);
      }
      break;
    case 3:
      ParseContribution(text).IgnoreError();
      break;
    case 4:
      if (const auto place = ParsePlace(text); place.ok()) {
        const std::string again = PlaceText(place->first, place->second);
        const auto read = ParsePlace(again);
        Check(read.ok() && PlaceText(read->first, read->second) == again);
      }
      break;
    case 5:
      if (const auto receipt = ParseReceipt(text); receipt.ok()) {
        const std::string again = ReceiptText(*receipt);
        Check(ReceiptText(*ParseReceipt(again)) == again);
      }
      break;
    case 6:
      if (const auto rows = ParseSharedReceipt(text); rows.ok()) {
        const std::string again = SharedReceiptText(*rows);
        Check(SharedReceiptText(*ParseSharedReceipt(again)) == again);
      }
      break;
    case 7:
      if (const auto clearing = ParseClearing(text); clearing.ok()) {
        const std::string again = ClearingText(clearing->first, clearing->second);
        const auto read = ParseClearing(again);
        Check(read.ok() && ClearingText(read->first, read->second) == again);
      }
      if (const auto facts = ParseFacts(text); facts.ok()) {
        const std::string again = FactsText(*facts);
        Check(FactsText(*ParseFacts(again)) == again);
      }
      break;
    default: {
      const StepClock steps(absl::Hours(1));
      SideWindows windows;
      ReadSide(text, steps, 1'000'000, &windows).IgnoreError();
      Window window;
      ReadRow(text, steps, 1'000'000, &window).IgnoreError();
    }
  }
}

}  // namespace
}  // namespace deferd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  deferd::Read(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
