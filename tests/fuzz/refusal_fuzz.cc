// Any subject and counts as a refusal: one short line of printable ASCII that is known again as
// ours, also where a remote server's answer holds it. Any bytes as a reply and as a template.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "policy/policy.h"
#include "policy/refusal_text.h"
#include "policy/subject.h"
#include "tests/fuzz/fuzzing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  deferd::FindRefusal(bytes);
  deferd::CheckRefusalTemplate(bytes).IgnoreError();
  const absl::StatusOr<deferd::Subject> subject = deferd::Subject::Parse(bytes);
  if (!subject.ok()) return 0;
  const deferd::Policy policy;
  const deferd::Measure measures[] = {
      {},
      {},
      {deferd::Measure::What::kRejected},
      deferd::ParseMeasure("bad_of_classes", {"content", "policy", "tls", "network"})};
  for (int form = 0; form < 4; ++form) {
    const deferd::Refusal refusal = {.subject = *subject,
                                     .bad = static_cast<int64_t>(size) * 7,
                                     .min_bad = 5,
                                     .percent = form * 33,
                                     .until = absl::FromUnixSeconds(1'764'000'000),
                                     .by_person = form == 1,
                                     .measure = measures[form]};
    for (deferd::Verdict verdict :
         {deferd::Verdict::kHold, deferd::Verdict::kReject, deferd::Verdict::kDiscard}) {
      const std::string text = deferd::RefusalText(policy, refusal, verdict);
      deferd::Require(!text.empty() && text.size() <= deferd::kMaxRefusalText);
      for (const char c : text) deferd::Require(c >= ' ' && c <= '~');
      deferd::Require(deferd::IsRefusalText(text));
      deferd::Require(deferd::FindRefusal(absl::StrCat("550 5.7.1 ", text)).has_value());
    }
  }
  return 0;
}
