// Any bytes as what `postconf`, `postconf -M` and `exim -bP config` print: every fault has a
// remedy. A NUL parts main.cf's settings from master.cf's.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/ctl/mta_wiring.h"

namespace {

void Check(const deferd::Wiring& wiring) {
  for (const auto* faults : {&wiring.faults, &wiring.doubts}) {
    for (const deferd::WiringFault& fault : *faults) {
      if (fault.what.empty() || fault.remedy.empty()) std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  const size_t cut = bytes.find('\0');
  const deferd::PostfixConfig postfix = {
      .main = std::string(bytes.substr(0, cut)),
      .master = cut == absl::string_view::npos ? "" : std::string(bytes.substr(cut + 1))};
  // Exim's ACLs may stand in files.
  const deferd::EximConfig exim = {.text = std::string(bytes),
                                   .files = {{"/etc/exim4/acl", postfix.master}}};
  const std::vector<std::string> doors = {"/run/deferd/policy.sock", "127.0.0.1:10040"};
  Check(deferd::PostfixWiring(postfix, doors));
  Check(deferd::EximWiring(exim, doors));
  return 0;
}
