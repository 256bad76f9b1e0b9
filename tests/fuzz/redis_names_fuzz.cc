// Any bytes as what a Redis has under deferd's names ("NAME LF VALUE"), and as its address: what is
// taken is written again alike.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "limiter/store/redis_address.h"
#include "limiter/store/redis_keys.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<deferd::RowKey> key = deferd::ParseRowKey(bytes);
  if (key.ok()) Require(deferd::ParseRowKey(deferd::RowKeyText(*key)).value() == *key);

  const size_t cut = bytes.find('\n');
  const absl::string_view field = bytes.substr(0, cut);
  const absl::string_view value =
      cut == absl::string_view::npos ? absl::string_view() : bytes.substr(cut + 1);
  const absl::StatusOr<deferd::SharedCase> record = deferd::ParseCaseEntry(field, value);
  if (record.ok()) {
    const auto again = deferd::ParseCaseEntry(deferd::CaseField(record->subject, record->shadow),
                                              deferd::CaseValue(*record));
    Require(again.ok() && *again == *record);
  }
  deferd::DamagedCase(field);

  const auto address = deferd::RedisAddress::Parse(bytes);
  if (address.ok()) {
    Require(address->password.size() < 4 ||
            !absl::StrContains(address->ToString(), absl::StrCat(":", address->password, "@")));
  }
  return 0;
}
