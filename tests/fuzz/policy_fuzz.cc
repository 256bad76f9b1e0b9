// Any bytes as a policy, a domain, a subject and a reply: no crash, and what parses comes back.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/domain_name.h"
#include "policy/policy_file.h"
#include "policy/refusal_text.h"
#include "policy/subject.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  deferd::ParsePolicy(text, "fuzz.toml").IgnoreError();
  deferd::IsRefusalText(text, text);

  absl::StatusOr<deferd::DomainName> domain = deferd::DomainName::Parse(text);
  if (domain.ok()) {
    absl::StatusOr<deferd::DomainName> again = deferd::DomainName::Parse(domain->text());
    if (!again.ok() || *again != *domain) std::abort();
  }
  absl::StatusOr<deferd::Subject> subject = deferd::Subject::Parse(text);
  if (subject.ok()) {
    absl::StatusOr<deferd::Subject> again = deferd::Subject::Parse(subject->ToString());
    if (!again.ok() || *again != *subject) std::abort();
  }
  return 0;
}
