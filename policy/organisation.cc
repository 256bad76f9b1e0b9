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

}  // namespace deferd
