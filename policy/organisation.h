// Whose a mail server is, by its name: the domain that somebody registered.
//
// "mx2.mail.example.co.uk" is example.co.uk's: the longest public suffix and one label more, by the
// Public Suffix List (publicsuffix.org) that libpsl brings. Pure; safe from any thread.

#ifndef DEFERD_POLICY_ORGANISATION_H_
#define DEFERD_POLICY_ORGANISATION_H_

#include <string>

#include "absl/strings/string_view.h"

namespace deferd {

// In lower case. A name that is no more than a public suffix, a single label and an address are
// their own organisation.
std::string OrganisationOf(absl::string_view host);

// Whether it is a suffix such as "com" or "co.uk", under which others register domains, by the
// list's part that registries keep. An unknown top-level name ("localhost") is none.
bool IsPublicSuffix(absl::string_view domain);

}  // namespace deferd

#endif  // DEFERD_POLICY_ORGANISATION_H_
