#include "limiter/admin/forget.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/types/span.h"
#include "limiter/port/log.h"
#include "limiter/store/forget_filter.h"
#include "policy/subject.h"

namespace deferd {

namespace {

constexpr auto kCall = std::chrono::seconds(1);  // the admin door waits as long
constexpr size_t kCasesAtOnce = 200;

// The subject's or address's own form.
absl::StatusOr<std::string> WhatArg(const Json& args) {
  if (!args.contains("what") || !args["what"].is_string()) {
    return absl::InvalidArgumentError("what: expected a subject or an address");
  }
  const std::string what(absl::StripAsciiWhitespace(args["what"].get<std::string>()));
  if (IsBareAddress(what)) return absl::AsciiStrToLower(what);
  absl::StatusOr<Subject> subject = Subject::Parse(what);
  if (!subject.ok()) return subject.status();
  return subject->ToString();
}

int64_t NumberIn(const Json& from, const char* name) {
  return from.is_object() && from.contains(name) && from[name].is_number_integer()
             ? from[name].get<int64_t>()
             : 0;
}

// Cases whose own name is what is to be forgotten.
int64_t CasesNamed(const CaseTable& cases, const std::string& what) {
  const bool address = IsBareAddress(what);
  const auto named = [&](const Case& record) {
    const std::string subject = record.subject.ToString();
    return address ? NamesWhole(subject, what) : absl::AsciiStrToLower(subject) == what;
  };
  return absl::c_count_if(cases.Open(), named) +
         absl::c_count_if(cases.Closed(CaseTable::kMaxHistory), named);
}

// Also one that speaks of others too: it is too old to be of use soon.
bool NoticeNames(const Notice& notice, const std::string& what) {
  if (absl::AsciiStrToLower(notice.subject) == what || notice.domain == what) return true;
  for (const std::string* text : {&notice.id, &notice.subject, &notice.thread, &notice.facts}) {
    if (NamesWhole(*text, what)) return true;
  }
  return absl::c_any_of(notice.deliveries, [&](const auto& one) {
    return NamesWhole(one.second.error, what) || NamesWhole(one.second.left, what);
  });
}

}  // namespace

absl::StatusOr<Json> ForgetSome(Committer* committer, const CaseTable& cases, const Json& args,
                                const std::string& person) {
  absl::StatusOr<std::string> what = WhatArg(args);
  if (!what.ok()) return what.status();
  const bool only_count = args.contains("dry_run") && args["dry_run"] == true;
  const Json from = args.contains("from") ? args["from"] : Json(nullptr);
  const auto end = std::chrono::steady_clock::now() + kCall;
  absl::StatusOr<ForgetFilter> filter = committer->BeginForget(*what);
  if (!filter.ok()) return filter.status();
  ForgetStep step;
  if (from.is_object()) step.next = {NumberIn(from, "segment"), NumberIn(from, "row")};
  int64_t attempts = NumberIn(from, "attempts");
  do {
    absl::StatusOr<ForgetStep> next = committer->ForgetRows(*filter, step.next, only_count);
    if (!next.ok()) return next.status();
    step = *next;
    attempts += step.matched;
  } while (!step.done && std::chrono::steady_clock::now() < end);
  Json result = {{"what", *what},        {"dry_run", only_count},
                 {"done", step.done},    {"progress", step.progress},
                 {"attempts", attempts}, {"next", nullptr}};
  if (!step.done) {
    result["next"] = {
        {"segment", step.next.segment}, {"row", step.next.row}, {"attempts", attempts}};
    return result;
  }
  result["notices"] = committer->ForgetNotices(
      [&](const Notice& notice) { return NoticeNames(notice, *what); }, only_count);
  std::vector<Case> all = cases.Open();
  absl::c_move(cases.Closed(CaseTable::kMaxHistory), std::back_inserter(all));
  Committer::ForgottenReceipts forgotten;
  for (size_t at = 0; at < all.size() || at == 0; at += kCasesAtOnce) {
    const absl::Span<const Case> some =
        absl::MakeConstSpan(all).subspan(std::min(at, all.size()), kCasesAtOnce);
    absl::StatusOr<Committer::ForgottenReceipts> part =
        committer->ForgetInReceipts(*filter, some, only_count);
    if (!part.ok()) return part.status();
    forgotten.receipts += part->receipts;
    forgotten.attempts += part->attempts;
  }
  result["receipts"] = forgotten.receipts;
  result["receipt_attempts"] = forgotten.attempts;
  result["kept_cases"] = CasesNamed(cases, *what);
  if (!only_count) {
    spdlog::info(
        "forget requested by {}: {} attempts removed from the ledger, {} from {} receipts, {} "
        "notices; what was forgotten is not recorded",
        person, attempts, forgotten.attempts, forgotten.receipts, NumberIn(result, "notices"));
  }
  return result;
}

}  // namespace deferd
