#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/charge.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kIpv4 = 4;
constexpr size_t kIpv6 = 16;

// An address in network order. IPv4 mapped into IPv6, as dual-stack sockets show it, becomes IPv4.
struct Address {
  unsigned char bytes[kIpv6];
  size_t size = 0;  // 0: no address

  explicit Address(absl::string_view text) {
    static constexpr unsigned char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    char terminated[INET6_ADDRSTRLEN] = {};
    if (text.size() >= sizeof(terminated)) return;
    std::memcpy(terminated, text.data(), text.size());
    if (inet_pton(AF_INET, terminated, bytes) == 1) {
      size = kIpv4;
    } else if (inet_pton(AF_INET6, terminated, bytes) == 1) {
      size = kIpv6;
      if (std::memcmp(bytes, kMapped, sizeof(kMapped)) == 0) {
        std::memmove(bytes, bytes + sizeof(kMapped), kIpv4);
        size = kIpv4;
      }
    }
  }
};

bool SamePrefix(const unsigned char* a, const char* b, int bits) {
  const int whole = bits / 8;
  if (std::memcmp(a, b, whole) != 0) return false;
  const int rest = bits % 8;
  return rest == 0 || ((a[whole] ^ static_cast<unsigned char>(b[whole])) >> (8 - rest)) == 0;
}

// "192.0.2.300" is a mistyped address and not the name that its characters would allow.
bool LooksLikeAddress(absl::string_view name) {
  absl::ConsumeSuffix(&name, ".");
  const absl::string_view last = name.substr(name.rfind('.') + 1);
  return std::all_of(last.begin(), last.end(),
                     [](char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); });
}

absl::Status NoHost(absl::string_view entry) {
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(entry),
                   " is not a host; write an address such as 192.0.2.1, a network such as "
                   "2001:db8::/32, or a host name"));
}

}  // namespace

absl::Status HostList::Add(absl::string_view entry) {
  const size_t slash = entry.find('/');
  const absl::string_view written = entry.substr(0, slash);
  const Address address(written);
  if (address.size != 0) {
    // The length of a network that is written in mapped form counts from the front of IPv6.
    const int mapped = address.size == kIpv4 && absl::StrContains(written, ':') ? 96 : 0;
    const int bits = static_cast<int>(8 * address.size);
    int prefix = bits + mapped;
    if (slash != absl::string_view::npos) {
      const absl::string_view length = entry.substr(slash + 1);
      if (length.empty() || length.size() > 3 || !absl::SimpleAtoi(length, &prefix) ||
          !absl::ascii_isdigit(static_cast<unsigned char>(length.front()))) {
        return NoHost(entry);
      }
    }
    if (prefix < mapped || prefix > bits + mapped) return NoHost(entry);
    networks_.push_back(
        {std::string(reinterpret_cast<const char*>(address.bytes), address.size), prefix - mapped});
    return absl::OkStatus();
  }
  absl::StatusOr<DomainName> name = DomainName::Parse(entry);
  if (!name.ok() || absl::StartsWith(entry, "[") || LooksLikeAddress(name->text())) {
    return NoHost(entry);
  }
  names_.push_back(name->text());
  return absl::OkStatus();
}

bool HostList::ContainsAddress(absl::string_view ip) const {
  if (networks_.empty() || ip.empty()) return false;
  const Address address(ip);
  if (address.size == 0) return false;
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    return network.bytes.size() == address.size &&
           SamePrefix(address.bytes, network.bytes.data(), network.prefix);
  });
}

bool HostList::ContainsName(absl::string_view name) const {
  absl::ConsumeSuffix(&name, ".");
  return std::any_of(names_.begin(), names_.end(), [&](const std::string& listed) {
    return absl::EqualsIgnoreCase(listed, name);
  });
}

}  // namespace deferd
