#include "limiter/store/ledger_filter.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy/subject.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr int kNumberBits = 21;
constexpr int64_t kNumbers = int64_t{1} << kNumberBits;
constexpr int64_t kFirstMillisecond = -2'208'988'800'000;  // 1900-01-01
constexpr int64_t kLastMillisecond = 4'102'444'799'999;    // 2099-12-31

enum KeyKind : unsigned char { kSubject, kDomain, kSender, kRecipient, kMessage, kHost, kOutcome };

// FNV-1a, and a last mix, since buckets go by the high bits. Stored: must never change.
uint32_t KeyOf(KeyKind kind, absl::string_view text) {
  uint64_t hash = (0xcbf29ce484222325u ^ kind) * 0x100000001b3u;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(c)))) *
           0x100000001b3u;
  }
  hash ^= hash >> 32;
  hash *= 0xd6e8feb86659fd93u;
  return static_cast<uint32_t>(hash >> 32);
}

uint32_t KeyOfOutcome(Outcome outcome) {
  const char text = static_cast<char>(outcome);
  return KeyOf(kOutcome, absl::string_view(&text, 1));
}

void AddKey(KeyKind kind, absl::string_view text, LedgerKeys* keys) {
  if (!text.empty()) keys->push_back(KeyOf(kind, text));
}

// `subject` is the domain itself, which is found by the domain's key.
bool IsDomain(absl::string_view subject) {
  return absl::StartsWith(subject, "[") || !absl::StrContains(subject, ':');
}

absl::string_view DomainOf(absl::string_view subject, absl::string_view sender) {
  if (!subject.empty()) {
    if (IsDomain(subject)) return subject;
    const size_t colon = subject.find(':');
    if (subject.substr(0, colon) == SubjectKindName(SubjectKind::kForward)) {
      return subject.substr(colon + 1);
    }
    const size_t at = subject.rfind('@');
    if (at != absl::string_view::npos && at > colon) return subject.substr(at + 1);
  }
  const size_t at = sender.rfind('@');
  return at == absl::string_view::npos ? absl::string_view() : sender.substr(at + 1);
}

bool Same(absl::string_view lower, absl::string_view text) {
  return absl::EqualsIgnoreCase(lower, text);
}

absl::string_view DomainPart(absl::string_view address) {
  const size_t at = address.rfind('@');
  return at == absl::string_view::npos ? absl::string_view() : address.substr(at + 1);
}

bool Holds(absl::string_view text, absl::string_view lower) {
  return !text.empty() && absl::StrContains(absl::AsciiStrToLower(text), lower);
}

// "5.7" is held by "550 5.7.1 no"; neither it nor "550" by "15.7 of 5503".
bool HoldsCode(absl::string_view reply, absl::string_view code) {
  const auto in_number = [](char c) { return absl::ascii_isdigit(c) || c == '.'; };
  for (size_t at = reply.find(code); at != absl::string_view::npos; at = reply.find(code, at + 1)) {
    const size_t end = at + code.size();
    const bool begins = at == 0 || !in_number(reply[at - 1]);
    const bool ends = end == reply.size() || !absl::ascii_isdigit(reply[end]);
    // A reply code is no part of an enhanced one, nor of an IP address.
    const bool whole = absl::StrContains(code, '.') || end == reply.size() || reply[end] != '.' ||
                       end + 1 == reply.size() || !absl::ascii_isdigit(reply[end + 1]);
    if (begins && ends && whole) return true;
  }
  return false;
}

}  // namespace

absl::Time ToMillisecond(absl::Time time) {
  if (time == absl::InfinitePast() || time == absl::InfiniteFuture()) return time;
  return absl::FromUnixMillis(absl::ToUnixMillis(time));
}

int64_t LedgerRowKey(absl::Time time, int64_t number) {
  const int64_t millisecond =
      std::clamp(absl::ToUnixMillis(time), kFirstMillisecond, kLastMillisecond);
  return millisecond * kNumbers + (number & (kNumbers - 1));
}

absl::Time TimeOfRowKey(int64_t row) { return absl::FromUnixMillis(row >> kNumberBits); }

int64_t FirstRowKey(absl::Time time) {
  if (time > absl::FromUnixMillis(kLastMillisecond)) return std::numeric_limits<int64_t>::max();
  const int64_t key = LedgerRowKey(time, 0);
  return TimeOfRowKey(key) < time ? key + kNumbers : key;
}

std::string LedgerDomain(absl::string_view subject, absl::string_view sender) {
  return absl::AsciiStrToLower(DomainOf(subject, sender));
}

absl::Status LedgerIsOff() {
  return absl::FailedPreconditionError(
      "no ledger of attempts is kept; give a time as keep under [ledger] in deferd's "
      "configuration, "
      "and restart it");
}

absl::Status NoReceipt(absl::string_view case_id) {
  return absl::NotFoundError(absl::StrCat(Quoted(case_id), ": no receipt is stored for this case"));
}

void KeysOf(const LedgerRow& row, LedgerKeys* keys) {
  keys->clear();
  if (!IsDomain(row.subject)) AddKey(kSubject, row.subject, keys);
  const absl::string_view domain = DomainOf(row.subject, row.sender);
  AddKey(kDomain, domain, keys);
  if (!IsDomain(row.narrower)) {
    AddKey(kSubject, row.narrower, keys);
  } else if (!Same(domain, row.narrower)) {
    AddKey(kDomain, row.narrower, keys);
  }
  AddKey(kSender, row.sender, keys);
  AddKey(kRecipient, row.recipient, keys);
  if (!Same(row.recipient, row.original)) AddKey(kRecipient, row.original, keys);
  AddKey(kMessage, row.message_id, keys);
  AddKey(kHost, row.host, keys);
  if (!Same(row.host, row.host_ip)) AddKey(kHost, row.host_ip, keys);
  // Most are delivered: a list of them would be nearly one of all rows.
  if (row.outcome != Outcome::kDelivered) keys->push_back(KeyOfOutcome(row.outcome));
}

LedgerFilter::LedgerFilter(const LedgerQuery& query, absl::string_view hashed_recipient)
    : query_(query), hashed_recipient_(absl::AsciiStrToLower(hashed_recipient)) {
  first_row_ = FirstRowKey(query.since);
  end_row_ = std::min(query.before, FirstRowKey(query.until));
  for (std::string* text :
       {&query_.subject, &query_.domain, &query_.about, &query_.sender, &query_.recipient,
        &query_.message_id, &query_.host, &query_.recipient_domain, &query_.address_part,
        &query_.code, &query_.reply_class, &query_.mail_subject}) {
    absl::AsciiStrToLower(text);
  }
  const auto add = [&](KeyKind kind, absl::string_view text) {
    if (!text.empty()) keys_.push_back({KeyOf(kind, text)});
  };
  add(kMessage, query_.message_id);
  add(kRecipient, query_.recipient);
  if (!query_.recipient.empty()) AddKey(kRecipient, hashed_recipient_, &keys_.back());
  add(kSender, query_.sender);
  add(IsDomain(query_.subject) ? kDomain : kSubject, query_.subject);
  add(kDomain, query_.domain);
  add(IsDomain(query_.about) ? kDomain : kSubject, query_.about);
  add(kHost, query_.host);
  LedgerKeys outcomes;
  for (const Outcome outcome : query_.outcomes) {
    if (outcome == Outcome::kDelivered) return;
    outcomes.push_back(KeyOfOutcome(outcome));
  }
  if (!outcomes.empty()) keys_.push_back(outcomes);
}

bool LedgerFilter::Matches(const LedgerRow& row) const {
  const LedgerQuery& q = query_;
  return row.row >= first_row_ && row.row < end_row_ &&
         (q.subject.empty() || Same(q.subject, row.subject) || Same(q.subject, row.narrower)) &&
         (q.domain.empty() || Same(q.domain, DomainOf(row.subject, row.sender))) &&
         (q.about.empty() || IsAbout(row)) && (q.sender.empty() || Same(q.sender, row.sender)) &&
         (q.recipient.empty() || IsRecipient(row.recipient) || IsRecipient(row.original)) &&
         (q.message_id.empty() || Same(q.message_id, row.message_id)) &&
         (q.host.empty() || Same(q.host, row.host) || Same(q.host, row.host_ip)) &&
         MatchesOutcome(row.outcome) && MatchesWithoutKeys(row);
}

bool LedgerFilter::MatchesOutcome(Outcome outcome) const {
  const std::vector<Outcome>& wanted = query_.outcomes;
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), outcome) != wanted.end();
}

bool LedgerFilter::IsAbout(const LedgerRow& row) const {
  return Same(query_.about, row.subject) || Same(query_.about, row.narrower) ||
         Same(query_.about, DomainOf(row.subject, row.sender));
}

bool LedgerFilter::IsRecipient(absl::string_view recipient) const {
  return Same(query_.recipient, recipient) ||
         (!hashed_recipient_.empty() && Same(hashed_recipient_, recipient));
}

bool LedgerFilter::MatchesWithoutKeys(const LedgerRow& row) const {
  const LedgerQuery& q = query_;
  return (q.recipient_domain.empty() || Same(q.recipient_domain, DomainPart(row.recipient)) ||
          Same(q.recipient_domain, DomainPart(row.original))) &&
         (q.address_part.empty() || Holds(row.sender, q.address_part) ||
          Holds(row.recipient, q.address_part) || Holds(row.original, q.address_part)) &&
         (q.code.empty() || HoldsCode(row.reply, q.code)) &&
         (q.reply_class.empty() || Same(q.reply_class, row.reply_class)) &&
         (q.mail_subject.empty() || Holds(row.mail_subject, q.mail_subject));
}

}  // namespace deferd
