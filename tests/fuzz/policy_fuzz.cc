// Any bytes as a policy, as the lists and replies in files that it names, as a domain, a subject
// and a reply: no crash, and what parses comes back.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

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
  constexpr absl::string_view kLists =
      "[tag.t]\ndomains = [\"/list\"]\n[exempt.e]\ndomains = [\"/list\"]\nreason = \"r\"\n"
      "[rule.r]\nlogins = [\"/list\"]\nexcept = [\"/list\"]\nmin_bad = 5\npercent = 50\n";
  absl::StatusOr<deferd::Policy> policy = deferd::ParsePolicy(
      kLists, "fuzz.toml",
      [&](const std::string&) -> absl::StatusOr<std::string> { return std::string(text); });
  if (!policy.ok() && policy.status().message().empty()) std::abort();
  deferd::Policy with_replies = deferd::BuiltInPolicy();
  deferd::AddReplies(text, "replies.toml", &with_replies).IgnoreError();

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
