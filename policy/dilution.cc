#include "policy/dilution.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"

namespace deferd {

namespace {

// FNV-1a. Stored: must never change.
class Name {
 public:
  explicit Name(char kind) { Add(absl::string_view(&kind, 1)); }

  Name& Add(absl::string_view text) {
    for (const char c : text) Byte(absl::ascii_tolower(static_cast<unsigned char>(c)));
    Byte(0);
    return *this;
  }
  uint64_t value() const { return value_; }

 private:
  void Byte(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3u; }

  uint64_t value_ = 0xcbf29ce484222325u;
};

// The network's bytes, or nothing of what is no address.
absl::string_view NetworkOf(absl::string_view address, in6_addr* bytes) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.empty() || address.size() >= sizeof(text)) return "";
  std::memcpy(text, address.data(), address.size());
  const char* const begin = reinterpret_cast<const char*>(bytes);
  if (inet_pton(AF_INET, text, bytes) == 1) return absl::string_view(begin, 3);
  if (inet_pton(AF_INET6, text, bytes) == 1) return absl::string_view(begin, 6);
  return "";
}

}  // namespace

bool Dilution::Admit(absl::string_view subject, absl::string_view recipient, absl::string_view host,
                     absl::string_view host_ip) {
  const absl::string_view domain = recipient.substr(recipient.rfind('@') + 1);
  const uint64_t to = Name('d').Add(subject).Add(domain).value();
  uint64_t by = 0;
  if (!host.empty() || !host_ip.empty()) {
    in6_addr bytes;
    const absl::string_view network = NetworkOf(host_ip, &bytes);
    by = Name('s').Add(subject).Add(network.empty() ? host : network).value();
  }
  if (first_to_ == 0 && admitted_.empty()) {
    first_to_ = to;
    first_by_ = by;
    return true;
  }
  for (uint64_t* first : {&first_to_, &first_by_}) {
    if (*first != 0) ++admitted_[std::exchange(*first, 0)];
  }
  if (admitted_[to] >= kMost || (by != 0 && admitted_[by] >= kMost)) return false;
  ++admitted_[to];
  if (by != 0) ++admitted_[by];
  return true;
}

void Dilution::ForEach(absl::FunctionRef<void(uint64_t name, int32_t count)> tell) const {
  for (const uint64_t first : {first_to_, first_by_}) {
    if (first != 0) tell(first, 1);
  }
  for (const auto& [name, count] : admitted_) tell(name, count);
}

}  // namespace deferd
