// Any bytes as what a Redis has under deferd's names ("NAME LF VALUE"), and as its address: what is
// taken is written again alike.

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/store/redis_address.h"
#include "limiter/store/redis_keys.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<deferd::RowKey> key = deferd::ParseRowKey(bytes);
  if (key.ok()) deferd::Require(deferd::ParseRowKey(deferd::RowKeyText(*key)).value() == *key);

  const size_t cut = bytes.find('\n');
  const absl::string_view field = bytes.substr(0, cut);
  const absl::string_view value =
      cut == absl::string_view::npos ? absl::string_view() : bytes.substr(cut + 1);
  const absl::StatusOr<deferd::SharedCase> record = deferd::ParseCaseEntry(field, value);
  if (record.ok()) {
    const auto again = deferd::ParseCaseEntry(deferd::CaseField(record->subject, record->shadow),
                                              deferd::CaseValue(*record));
    deferd::Require(again.ok() && *again == *record);
  }
  deferd::DamagedCase(field);

  const auto address = deferd::RedisAddress::Parse(bytes);
  if (address.ok()) {
    // What people are shown says nothing of user and password.
    deferd::RedisAddress without = *address;
    without.user.clear();
    without.password.clear();
    deferd::Require(address->ToString() == without.ToString());
  }
  return 0;
}
