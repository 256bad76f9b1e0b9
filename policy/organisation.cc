#include "policy/organisation.h"

#include <libpsl.h>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"

namespace deferd {

std::string OrganisationOf(absl::string_view host) {
  std::string name = absl::AsciiStrToLower(absl::StripSuffix(host, "."));
  if (name.find_first_not_of("0123456789.") == std::string::npos) return name;  // an address
  const char* registered = psl_registrable_domain(psl_builtin(), name.c_str());
  return registered == nullptr ? name : std::string(registered);
}

bool IsPublicSuffix(absl::string_view domain) {
  const std::string name = absl::AsciiStrToLower(absl::StripSuffix(domain, "."));
  return psl_is_public_suffix2(psl_builtin(), name.c_str(),
                               PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE) != 0;
}

}  // namespace deferd
