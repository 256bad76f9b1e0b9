// Any bytes as a reply: classified twice alike, whatever is in them.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "policy/reply/classify.h"
#include "policy/reply/reply_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const deferd::ReplyClassifier* const kClassifier =
      deferd::ReplyClassifier::Create().value().release();
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const deferd::Classification first = kClassifier->Classify(bytes);
  const deferd::Classification second = kClassifier->Classify(bytes);
  if (first.rule != second.rule || first.code != second.code) std::abort();
  const bool failure = first.code >= 400 && first.code <= 599;
  if (first.code != 0 && first.code != deferd::kSuccessCode && !failure) std::abort();
  // The same bytes as a table of rules.
  (void)deferd::ParseReplyRules(bytes);
  return 0;
}
