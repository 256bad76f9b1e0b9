#include "policy/domain_name.h"

#include <idn2.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxName = 253;
// More UTF-8 than this cannot become a name that is short enough; libidn2's time grows with it.
constexpr size_t kMaxUtf8 = 4 * kMaxName;

// What each byte of a name becomes; 0 for those that no name has.
constexpr std::array<char, 256> kNameChars = [] {
  std::array<char, 256> chars{};
  for (int c = 'a'; c <= 'z'; ++c) {
    chars[c] = static_cast<char>(c);
    chars[c - 'a' + 'A'] = static_cast<char>(c);
  }
  for (int c = '0'; c <= '9'; ++c) chars[c] = static_cast<char>(c);
  for (char c : {'-', '_', '.'}) chars[static_cast<unsigned char>(c)] = c;
  return chars;
}();

absl::Status NoDomain(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(text), " is not a domain: ", why, "; example: example.com"));
}

// Checks and lower-cases `name`, which may have one trailing dot. Returns what is wrong with it, or
// nothing.
absl::string_view ToLowerName(absl::string_view name, std::string* lower) {
  absl::ConsumeSuffix(&name, ".");
  if (name.empty()) return "it is empty";
  lower->resize(name.size());
  size_t label = 0;  // bytes of the present label so far
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = kNameChars[static_cast<unsigned char>(name[i])];
    (*lower)[i] = c;
    if (c == '\0') return "only letters, digits, '-', '_' and '.' can be in it";
    if (c != '.') {
      if (c == '-' && label == 0) return "a label begins with '-'";
      if (++label > kMaxLabel) return "a label is longer than 63 bytes";
      continue;
    }
    if (label == 0) return "a label is empty";
    if (name[i - 1] == '-') return "a label ends with '-'";
    label = 0;
  }
  if (label == 0) return "a label is empty";
  if (name.back() == '-') return "a label ends with '-'";
  if (name.size() > kMaxName) return "it is longer than 253 bytes";
  return "";
}

absl::string_view ToLowerLiteral(absl::string_view literal, std::string* lower) {
  if (literal.size() < 3 || literal.back() != ']') return "an address literal is [ADDRESS]";
  if (literal.size() > kMaxName) return "it is longer than 253 bytes";
  for (char c : literal.substr(1, literal.size() - 2)) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != ':' && c != '-') {
      return "an address literal holds only letters, digits, '.', ':' and '-'";
    }
  }
  *lower = absl::AsciiStrToLower(literal);
  return "";
}

bool IsAscii(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isascii(static_cast<unsigned char>(c)); });
}

// IDNA2008 with the mapping of UTS 46, so that every spelling that browsers take for one name is
// one.
absl::StatusOr<std::string> ToAscii(absl::string_view text) {
  if (text.size() > kMaxUtf8) return NoDomain(text, "it is longer than 253 bytes");
  if (absl::StrContains(text, '\0')) return NoDomain(text, "it has a zero byte");
  char* converted = nullptr;
  const int result = idn2_to_ascii_8z(std::string(text).c_str(), &converted,
                                      IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  if (result != IDN2_OK) return NoDomain(text, idn2_strerror(result));
  std::unique_ptr<char, void (*)(void*)> owned(converted, idn2_free);
  return std::string(converted);
}

}  // namespace

absl::StatusOr<DomainName> DomainName::Parse(absl::string_view text) {
  std::string lower;
  const bool literal = absl::StartsWith(text, "[");
  absl::string_view wrong = literal ? ToLowerLiteral(text, &lower) : ToLowerName(text, &lower);
  if (!wrong.empty() && !literal && !IsAscii(text)) {
    absl::StatusOr<std::string> ascii = ToAscii(text);
    if (!ascii.ok()) return ascii.status();
    wrong = ToLowerName(*ascii, &lower);
  }
  if (!wrong.empty()) return NoDomain(text, wrong);
  return DomainName(std::move(lower));
}

absl::StatusOr<DomainName> DomainName::OfAddress(absl::string_view address) {
  const size_t at = address.rfind('@');
  if (at == absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(address), " is not an address: the '@' is missing (example: bob@example.com)"));
  }
  return Parse(address.substr(at + 1));
}

absl::StatusOr<DomainPattern> DomainPattern::Parse(absl::string_view text) {
  absl::string_view name = text;
  const bool below = absl::ConsumePrefix(&name, "*.");
  absl::StatusOr<DomainName> domain = DomainName::Parse(name);
  if (!domain.ok() || (below && absl::StartsWith(name, "["))) {
    if (!absl::StrContains(text, '*')) return domain.status();
    return absl::InvalidArgumentError(absl::StrCat(
        Quoted(text),
        " is not a pattern; write example.com, or *.example.com for all names below it"));
  }
  return DomainPattern(below, domain->text());
}

bool DomainPattern::Matches(absl::string_view domain) const {
  if (!below_) return domain == name_;
  return domain.size() > name_.size() + 1 && absl::EndsWith(domain, name_) &&
         domain[domain.size() - name_.size() - 1] == '.';
}

std::string DomainPattern::ToString() const { return below_ ? absl::StrCat("*.", name_) : name_; }

DomainSet::DomainSet(std::initializer_list<DomainPattern> patterns) {
  for (const DomainPattern& pattern : patterns) push_back(pattern);
}

void DomainSet::push_back(DomainPattern pattern) {
  patterns_.push_back(std::move(pattern));
  if (patterns_.size() <= kCompared) return;
  if (names_.empty()) {
    for (const DomainPattern& listed : patterns_) AddName(listed);
  } else {
    AddName(patterns_.back());
  }
}

void DomainSet::AddName(const DomainPattern& pattern) {
  Listed& listed = names_[pattern.name()];
  (pattern.below() ? listed.below : listed.itself) = true;
}

void DomainSet::clear() {
  patterns_.clear();
  names_.clear();
}

bool DomainSet::Matches(absl::string_view domain) const {
  if (names_.empty()) {
    return std::any_of(patterns_.begin(), patterns_.end(),
                       [&](const DomainPattern& pattern) { return pattern.Matches(domain); });
  }
  auto found = names_.find(domain);
  if (found != names_.end() && found->second.itself) return true;
  for (size_t dot = domain.find('.'); dot != absl::string_view::npos;
       dot = domain.find('.', dot + 1)) {
    found = names_.find(domain.substr(dot + 1));
    if (found != names_.end() && found->second.below) return true;
  }
  return false;
}

}  // namespace deferd
