#include "limiter/store/redis_keys.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr char kRows[] = "deferd1:w:{";
constexpr char kClasses[] = "deferd1:c:{";
constexpr char kRecipients[] = "deferd1:r:{";
constexpr char kReceipts[] = "deferd1:e:{";
constexpr char kShadow[] = "shadow:";
constexpr size_t kCaseHead = 9;
constexpr size_t kMostName = 1'024;  // bytes of a subject's name

bool IsPart(const Subject& subject) {
  return subject.kind != SubjectKind::kDomain && !subject.DomainPart().empty();
}

// "KIND:ID", where KIND is not domain.
absl::StatusOr<Subject> ParseKindAndId(absl::string_view text) {
  const size_t colon = text.find(':');
  if (colon == absl::string_view::npos) return absl::InvalidArgumentError("no kind");
  absl::StatusOr<SubjectKind> kind = ParseSubjectKind(text.substr(0, colon));
  if (!kind.ok()) return kind.status();
  if (*kind == SubjectKind::kDomain) return absl::InvalidArgumentError("a domain has no kind");
  return Subject{*kind, std::string(text.substr(colon + 1))};
}

// The inverse of CaseField; false if it names no subject, or names one by another name than
// CaseField gives it: a subject has one field.
bool ParseCaseField(absl::string_view name, Subject* subject, bool* shadow) {
  if (name.size() > kMostName) return false;
  absl::string_view field = name;
  *shadow = absl::ConsumePrefix(&field, kShadow);
  absl::StatusOr<Subject> alone = ParseKindAndId(field);
  const size_t slash = field.find('/');
  if (alone.ok()) {
    *subject = *std::move(alone);
  } else if (slash == absl::string_view::npos) {
    *subject = {SubjectKind::kDomain, std::string(field)};
  } else {
    const absl::string_view rest = field.substr(slash + 1);
    const size_t next = rest.find('/');
    if (next == absl::string_view::npos) return false;
    absl::StatusOr<SubjectKind> kind = ParseSubjectKind(rest.substr(0, next));
    if (!kind.ok()) return false;
    *subject = {*kind, std::string(rest.substr(next + 1))};
    if (subject->DomainPart() != field.substr(0, slash)) return false;
  }
  return !subject->id.empty() && CaseField(*subject, *shadow) == name;
}

absl::Status NoRowKey(absl::string_view text) {
  return absl::InvalidArgumentError(absl::StrCat(Quoted(text), " is no key of rows"));
}

}  // namespace

std::string GenerationKeyOf(int number) { return absl::StrCat("deferd1:{nodes-", number, "}:gen"); }

std::string SlotOf(const Subject& subject) {
  const absl::string_view domain = subject.DomainPart();
  if (!domain.empty()) return std::string(domain);
  return absl::StrCat(SubjectKindName(subject.kind), ":", subject.id);
}

std::string RowKeyText(const RowKey& key) {
  const Subject& subject = key.subject;
  const bool recipients = key.counter == RowKey::kRecipients;
  std::string text = absl::StrCat(key.counter.empty() ? kRows
                                  : recipients        ? kRecipients
                                                      : kClasses,
                                  SlotOf(subject), "}:", absl::ToInt64Seconds(key.window));
  if (!key.counter.empty() && !recipients) absl::StrAppend(&text, ":", key.counter);
  if (IsPart(subject)) absl::StrAppend(&text, ":", SubjectKindName(subject.kind), ":", subject.id);
  return text;
}

absl::StatusOr<RowKey> ParseRowKey(absl::string_view text) {
  absl::string_view rest = text;
  if (text.size() > 2 * kMostName || !absl::ConsumePrefix(&rest, kRows)) return NoRowKey(text);
  // The id of a subject of no domain may hold any character; a domain holds no brace.
  absl::StatusOr<Subject> alone = ParseKindAndId(rest);
  const size_t end = alone.ok() ? rest.rfind("}:") : rest.find("}:");
  if (end == absl::string_view::npos || end == 0) return NoRowKey(text);
  const absl::string_view slot = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  const size_t colon = std::min(rest.find(':'), rest.size());
  int64_t seconds = 0;
  if (!absl::SimpleAtoi(rest.substr(0, colon), &seconds) || seconds < 60) return NoRowKey(text);
  RowKey key = {{SubjectKind::kDomain, std::string(slot)}, absl::Seconds(seconds)};
  if (alone.ok()) {
    if (colon != rest.size()) return NoRowKey(text);
    absl::StatusOr<Subject> subject = ParseKindAndId(slot);
    if (!subject.ok()) return NoRowKey(text);
    key.subject = *std::move(subject);
  } else if (colon != rest.size()) {
    absl::StatusOr<Subject> subject = ParseKindAndId(rest.substr(colon + 1));
    if (!subject.ok() || subject->DomainPart() != slot) return NoRowKey(text);
    key.subject = *std::move(subject);
  }
  if (RowKeyText(key) != text) return NoRowKey(text);  // a window has one key
  return key;
}

std::string RowKeyPattern(absl::Duration window) {
  return absl::StrCat("deferd1:w:{*}:", absl::ToInt64Seconds(window), "*");
}

std::string ReceiptKeyText(const Subject& subject, absl::string_view case_id) {
  return absl::StrCat(kReceipts, SlotOf(subject), "}:", case_id);
}

std::string CaseField(const Subject& subject, bool shadow) {
  std::string name = shadow ? kShadow : "";
  if (IsPart(subject)) {
    absl::StrAppend(&name, subject.DomainPart(), "/", SubjectKindName(subject.kind), "/",
                    subject.id);
  } else {
    absl::StrAppend(&name, SlotOf(subject));
  }
  return name;
}

std::string CaseValue(const SharedCase& record) {
  std::string value(kCaseHead, '\0');
  const double rev = static_cast<double>(record.rev);
  uint64_t bits = 0;
  std::memcpy(&bits, &rev, sizeof(bits));
  for (int i = 0; i < 8; ++i) value[i] = static_cast<char>(bits >> (8 * i));
  value[8] = record.manual ? 1 : 0;
  return value + record.text;
}

absl::StatusOr<SharedCase> ParseCaseEntry(absl::string_view field, absl::string_view value) {
  const absl::Status damaged =
      absl::DataLossError(absl::StrCat("the shared case of ", Quoted(field), " is damaged"));
  if (value.size() < kCaseHead || value.size() > kMostCaseBytes) return damaged;
  SharedCase record;
  if (!ParseCaseField(field, &record.subject, &record.shadow)) return damaged;
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits |= uint64_t{static_cast<uint8_t>(value[i])} << (8 * i);
  double rev = 0;
  std::memcpy(&rev, &bits, sizeof(rev));
  if (!(rev >= 0 && rev < static_cast<double>(kMostRev))) return damaged;
  record.rev = static_cast<int64_t>(rev);
  record.manual = value[8] != 0;
  record.text = std::string(value.substr(kCaseHead));
  return record;
}

SharedCase DamagedCase(absl::string_view field) {
  SharedCase damaged;
  damaged.rev = SharedCase::kDamaged;
  if (!ParseCaseField(field, &damaged.subject, &damaged.shadow)) {
    damaged.subject = {SubjectKind::kDomain, PrintableUtf8(CutUtf8(field, kMostName))};
  }
  return damaged;
}

}  // namespace deferd
