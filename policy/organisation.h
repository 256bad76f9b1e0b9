// The organisation that operates a mail server: its registered domain.
//
// "mx2.mail.example.co.uk" belongs to example.co.uk: the longest public suffix plus one label,
// according to libpsl's Public Suffix List (publicsuffix.org). Pure; safe from any thread.

#ifndef DEFERD_POLICY_ORGANISATION_H_
#define DEFERD_POLICY_ORGANISATION_H_

#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

// In lower case. A public suffix, a single label and an address are their own organisation.
std::string OrganisationOf(absl::string_view host);

// Whether the name is a suffix such as "com" or "co.uk" under which others register domains,
// according to the list's ICANN section. An unknown top-level name ("localhost") is not.
bool IsPublicSuffix(absl::string_view domain);

}  // namespace deferd

#endif  // DEFERD_POLICY_ORGANISATION_H_
