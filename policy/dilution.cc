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
                     absl::string_view host_ip, absl::FunctionRef<void(size_t number)> counted) {
  const absl::string_view domain = recipient.substr(recipient.rfind('@') + 1);
  const uint64_t to = Name('d').Add(subject).Add(domain).value();
  uint64_t by = 0;
  if (!host.empty() || !host_ip.empty()) {
    in6_addr bytes;
    const absl::string_view network = NetworkOf(host_ip, &bytes);
    by = Name('s').Add(subject).Add(network.empty() ? host : network).value();
  }
  if (first_to_ == 0 && names_.empty()) {
    first_to_ = to;
    first_by_ = by;
    counted(0);
    if (by != 0) counted(1);
    return true;
  }
  UseMap();
  if (IsFull(to) || (by != 0 && IsFull(by))) return false;
  counted(CountOne(to));
  if (by != 0) counted(CountOne(by));
  return true;
}

bool Dilution::IsFull(uint64_t name) const {
  const auto found = admitted_.find(name);
  return found != admitted_.end() && found->second.count >= kMost;
}

size_t Dilution::CountOne(uint64_t name) {
  const auto [entry, is_new] = admitted_.try_emplace(name);
  if (is_new) {
    entry->second.number = static_cast<uint32_t>(names_.size());
    names_.push_back(name);
  }
  ++entry->second.count;
  return entry->second.number;
}

void Dilution::UseMap() {
  size_t number = 0;
  for (uint64_t* first : {&first_to_, &first_by_}) {
    if (*first != 0) Set(number++, std::exchange(*first, 0), 1);
  }
}

void Dilution::Set(size_t number, uint64_t name, int32_t count) {
  if (number >= names_.size()) names_.resize(number + 1);
  names_[number] = name;
  admitted_[name] = {count, static_cast<uint32_t>(number)};
}

void Dilution::Restore(size_t number, uint64_t name, int32_t count) {
  if (names_.empty() && count == 1 && number < 2) {
    (number == 0 ? first_to_ : first_by_) = name;
    return;
  }
  UseMap();
  Set(number, name, count);
}

void Dilution::ForEach(size_t begin, size_t end,
                       absl::FunctionRef<void(uint64_t name, int32_t count)> tell) const {
  size_t number = 0;
  for (const uint64_t first : {first_to_, first_by_}) {
    if (first != 0 && number >= begin && number < end) tell(first, 1);
    number += first != 0 ? 1 : 0;
  }
  for (number = begin; number < end && number < names_.size(); ++number) {
    const auto found = admitted_.find(names_[number]);
    if (found != admitted_.end()) tell(found->first, found->second.count);
  }
}

}  // namespace deferd
