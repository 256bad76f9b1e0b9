#include "limiter/store/forget_filter.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "limiter/store/ledger_filter.h"

namespace deferd {

namespace {

// Of the local part of an address, or of a domain.
bool InName(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         absl::StrContains("!#$%&'*+-/=?^_`{|}~.", absl::string_view(&c, 1)) ||
         static_cast<unsigned char>(c) >= 0x80;
}

// An address may end a sentence, and be quoted or the value of a word before it.
bool Joins(absl::string_view text, size_t at, bool before) {
  const char c = text[at];
  if (!InName(c)) return false;
  if (before) return c != '=' && c != '\'' && c != '`';
  if (c != '.') return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  return at + 1 < text.size() && absl::ascii_isalnum(static_cast<unsigned char>(text[at + 1]));
}

absl::string_view DomainOf(absl::string_view address) {
  const size_t at = address.rfind('@');
  return at == absl::string_view::npos ? absl::string_view() : address.substr(at + 1);
}

}  // namespace

bool NamesWhole(absl::string_view text, absl::string_view name) {
  if (name.empty() || text.size() < name.size()) return false;
  const std::string lowered = absl::AsciiStrToLower(text);
  const absl::string_view lower = lowered;
  for (size_t at = lower.find(name); at != absl::string_view::npos; at = lower.find(name, at + 1)) {
    const size_t end = at + name.size();
    if ((at == 0 || !Joins(lower, at - 1, true)) &&
        (end == lower.size() || !Joins(lower, end, false))) {
      return true;
    }
  }
  return false;
}

bool IsBareAddress(absl::string_view what) {
  const size_t at = what.rfind('@');
  return at != absl::string_view::npos && at > 0 &&
         !absl::StrContains(what.substr(0, what.find('@')), ':');
}

ForgetFilter::ForgetFilter(absl::string_view what, absl::string_view hashed)
    : what_(absl::AsciiStrToLower(what)),
      hashed_(absl::AsciiStrToLower(hashed)),
      address_(IsBareAddress(what)) {
  absl::string_view login = what_;
  if (absl::ConsumePrefix(&login, "login:")) login_ = std::string(login);
}

bool ForgetFilter::Matches(const LedgerRow& row) const {
  return address_ ? MatchesAddress(row) : MatchesSubject(row);
}

bool ForgetFilter::MatchesAddress(const LedgerRow& row) const {
  for (const std::string* text :
       {&row.sender, &row.login, &row.user, &row.recipient, &row.original, &row.subject,
        &row.narrower, &row.reply, &row.mail_subject, &row.message_id}) {
    if (NamesWhole(*text, what_)) return true;
  }
  if (hashed_.empty()) return false;
  for (const std::string* text : {&row.recipient, &row.original, &row.reply}) {
    if (absl::StrContains(absl::AsciiStrToLower(*text), hashed_)) return true;
  }
  return false;
}

bool ForgetFilter::MatchesSubject(const LedgerRow& row) const {
  if (absl::EqualsIgnoreCase(row.subject, what_) || absl::EqualsIgnoreCase(row.narrower, what_)) {
    return true;
  }
  if (!login_.empty()) return absl::EqualsIgnoreCase(row.login, login_);
  if (absl::StrContains(what_, ':')) return false;
  return LedgerDomain(row.subject, row.sender) == what_ ||
         absl::EqualsIgnoreCase(DomainOf(row.sender), what_);
}

}  // namespace deferd
