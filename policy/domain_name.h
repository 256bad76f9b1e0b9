// A mail domain in canonical form: lower case, IDN as A-label, no trailing dot.
//
// Two spellings of one domain must never be two subjects, so Parse is the only way to create one.
// It accepts the text after the last '@' of an address:
//   - names: RFC 5321 section 4.1.2 (LDH labels; also '_', which real mail domains use), at most 63
//     bytes per label and 253 in all; UTF-8 names become A-labels (IDNA2008, mapped as in UTS 46);
//   - address literals: "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 section 4.1.3), kept as
//   written,
//     in lower case.
// An immutable value type; safe to share between threads.

#ifndef DEFERD_POLICY_DOMAIN_NAME_H_
#define DEFERD_POLICY_DOMAIN_NAME_H_

#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace deferd {

class DomainName {
 public:
  // InvalidArgument, worded for the person who typed the text, if it is not a domain.
  static absl::StatusOr<DomainName> Parse(absl::string_view text);

  // The domain of a mail address: the text after the last '@' (a quoted local part may hold
  // others). InvalidArgument if there is none.
  static absl::StatusOr<DomainName> OfAddress(absl::string_view address);

  const std::string& text() const { return text_; }

  friend bool operator==(const DomainName&, const DomainName&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const DomainName& name) {
    return H::combine(std::move(h), name.text_);
  }

 private:
  explicit DomainName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// A list entry: "example.com" (this domain) or "*.example.com" (every name below it, not itself).
// Used by rules, exemptions and the set of hosted domains.
class DomainPattern {
 public:
  static absl::StatusOr<DomainPattern> Parse(absl::string_view text);
  bool Matches(absl::string_view domain) const;  // `domain` in DomainName's form
  std::string ToString() const;

  bool below() const { return below_; }              // "*.name"
  const std::string& name() const { return name_; }  // in DomainName's form

  friend bool operator==(const DomainPattern&, const DomainPattern&) = default;

 private:
  DomainPattern(bool below, std::string name) : below_(below), name_(std::move(name)) {}
  bool below_;
  std::string name_;
};

// Many patterns at once, in the order of their listing: a look-up takes a few hash probes, however
// many there are, since it runs for every attempt and a hosting machine lists thousands of domains.
class DomainSet {
 public:
  DomainSet() = default;
  DomainSet(std::initializer_list<DomainPattern> patterns);

  void push_back(DomainPattern pattern);
  void clear();
  bool empty() const { return patterns_.empty(); }
  size_t size() const { return patterns_.size(); }
  std::vector<DomainPattern>::const_iterator begin() const { return patterns_.begin(); }
  std::vector<DomainPattern>::const_iterator end() const { return patterns_.end(); }
  bool Matches(absl::string_view domain) const;  // `domain` in DomainName's form
  friend bool operator==(const DomainSet& a, const DomainSet& b) {
    return a.patterns_ == b.patterns_;
  }

 private:
  static constexpr size_t kCompared = 8;  // so many are compared one by one

  struct Listed {
    bool itself = false;
    bool below = false;
  };
  void AddName(const DomainPattern& pattern);

  std::vector<DomainPattern> patterns_;
  absl::flat_hash_map<std::string, Listed> names_;  // empty while there are few
};

}  // namespace deferd

#endif  // DEFERD_POLICY_DOMAIN_NAME_H_
