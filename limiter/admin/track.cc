#include "limiter/admin/track.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/admin/page_text.h"
#include "policy/domain_name.h"
#include "policy/duration.h"
#include "policy/subject.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxLimit = 10'000;
constexpr size_t kLifeLimit = 1'000;

constexpr Outcome kAllOutcomes[] = {Outcome::kDelivered, Outcome::kDeferred,  Outcome::kFailed,
                                    Outcome::kExpired,   Outcome::kQueued,    Outcome::kHeld,
                                    Outcome::kRejected,  Outcome::kDiscarded, Outcome::kFiltered,
                                    Outcome::kArchived};

absl::StatusOr<std::string> Text(const Json& args, const char* name) {
  auto it = args.find(name);
  if (it == args.end() || it->is_null()) return std::string();
  if (!it->is_string())
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a string"));
  return it->get<std::string>();
}

absl::StatusOr<int64_t> Whole(const Json& args, const char* name, int64_t otherwise) {
  auto it = args.find(name);
  if (it == args.end() || it->is_null()) return otherwise;
  if (!it->is_number_integer() || it->get<int64_t>() < 0) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": expected a whole number from 0 up"));
  }
  return it->get<int64_t>();
}

// A queue id: letters, digits and dashes alone, no word of a domain.
bool LooksLikeId(absl::string_view text) {
  return text.size() >= 6 && std::all_of(text.begin(), text.end(),
                                         [](char c) { return absl::ascii_isalnum(c) || c == '-'; });
}

// What stands alone on the command line, told by its form. An address may be of either side, which
// is two queries.
absl::StatusOr<std::vector<LedgerQuery>> QueriesFor(const std::string& what, LedgerQuery query) {
  if (what.empty()) return std::vector<LedgerQuery>{std::move(query)};
  if (LooksLikeId(what)) {
    query.message_id = what;
    return std::vector<LedgerQuery>{std::move(query)};
  }
  absl::StatusOr<Subject> subject = Subject::Parse(what);
  if (subject.ok() && subject->kind != SubjectKind::kDomain) {
    query.subject = subject->ToString();
    return std::vector<LedgerQuery>{std::move(query)};
  }
  if (absl::StrContains(what, '@')) {
    LedgerQuery sent = query, received = std::move(query);
    sent.sender = received.recipient = what;
    return std::vector<LedgerQuery>{std::move(sent), std::move(received)};
  }
  if (!subject.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(what), " is no domain, address, message id or KIND:ID"));
  }
  query.domain = subject->id;
  return std::vector<LedgerQuery>{std::move(query)};
}

absl::StatusOr<LedgerQuery> ReadFilters(const Json& args, absl::Time now) {
  LedgerQuery query;
  std::string domain, outcome, since, until;
  const std::pair<const char*, std::string*> kTexts[] = {
      {"domain", &domain},       {"sender", &query.sender}, {"recipient", &query.recipient},
      {"id", &query.message_id}, {"host", &query.host},     {"outcome", &outcome},
      {"since", &since},         {"until", &until}};
  for (const auto& [name, to] : kTexts) {
    absl::StatusOr<std::string> text = Text(args, name);
    if (!text.ok()) return text.status();
    *to = *std::move(text);
  }
  if (!domain.empty()) {
    absl::StatusOr<DomainName> name = DomainName::Parse(domain);
    if (!name.ok()) return name.status();
    query.domain = name->text();
  }
  absl::StatusOr<std::vector<Outcome>> outcomes = ParseOutcomes(outcome);
  if (!outcomes.ok()) return outcomes.status();
  query.outcomes = *std::move(outcomes);
  for (const auto& [text, to] :
       {std::pair(&since, &query.since), std::pair(&until, &query.until)}) {
    if (text->empty()) continue;
    absl::StatusOr<absl::Time> when = ParseWhen(*text, now);
    if (!when.ok()) return when.status();
    *to = *when;
  }
  absl::StatusOr<int64_t> limit = Whole(args, "limit", 50);
  if (!limit.ok()) return limit.status();
  query.limit = *limit == 0 ? kMaxLimit : std::min<size_t>(*limit, kMaxLimit);
  absl::StatusOr<int64_t> before = Whole(args, "before", 0);
  if (!before.ok()) return before.status();
  if (*before > 0) query.before = *before;
  return query;
}

}  // namespace

absl::StatusOr<absl::Time> ParseWhen(absl::string_view text, absl::Time now) {
  absl::StatusOr<absl::Duration> ago = ParseDuration(absl::StripSuffix(text, " ago"));
  if (ago.ok()) return now - *ago;
  absl::Time time;
  std::string error;
  for (const char* format : {absl::RFC3339_full, "%Y-%m-%d %H:%M:%E*S", "%Y-%m-%d %H:%M",
                             "%Y-%m-%dT%H:%M:%E*S", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, absl::UTCTimeZone(), &time, &error)) return time;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(text), " is no time; write how long ago (2h, 7d), or 2026-11-22 10:00 (UTC)"));
}

absl::StatusOr<std::vector<Outcome>> ParseOutcomes(absl::string_view text) {
  std::vector<Outcome> outcomes;
  for (absl::string_view word : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    word = absl::StripAsciiWhitespace(word);
    if (absl::EqualsIgnoreCase(word, "all")) return std::vector<Outcome>();
    const size_t before = outcomes.size();
    const bool bad = absl::EqualsIgnoreCase(word, "bad");
    for (Outcome one : kAllOutcomes) {
      // What is expired has failed, to everybody who asks.
      const absl::string_view name = one == Outcome::kExpired ? "failed" : OutcomeName(one);
      const bool is_bad = name == "failed" || one == Outcome::kDeferred;
      if (absl::EqualsIgnoreCase(word, name) || (bad && is_bad)) outcomes.push_back(one);
    }
    if (outcomes.size() == before) {
      std::vector<std::string> names;
      for (Outcome one : kAllOutcomes) {
        if (one != Outcome::kExpired) names.emplace_back(OutcomeName(one));
      }
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(word), " is no outcome; one of bad, ", absl::StrJoin(names, ", ")));
    }
  }
  return outcomes;
}

Json LedgerRowJson(const LedgerRow& row) {
  const bool expired = row.outcome == Outcome::kExpired;
  return {
      {"time", FormatUtc(row.time)},
      {"node", row.node},
      {"id", row.message_id},
      {"sender", row.sender},
      {"subject", row.subject},
      {"recipient", row.recipient},
      {"host", row.host},
      {"outcome", std::string(expired ? "failed" : OutcomeName(row.outcome))},
      {"class", row.reply_class},
      {"reply", row.reply},
      {"expired", expired},
      {"left_out", row.left_out == LeftOut::kCounts ? Json(nullptr)
                                                    : Json(std::string(LeftOutName(row.left_out)))},
      {"ip", row.host_ip},
      {"narrower", row.narrower},
      {"login", row.login},
      {"user", row.user},
      {"mail_subject", row.mail_subject},
      {"router", row.router},
      {"transport", row.transport},
      {"arrival",
       row.arrival == absl::InfinitePast() ? Json(nullptr) : Json(FormatUtc(row.arrival))},
      {"row", absl::StrCat(row.row)}};
}

absl::StatusOr<Json> Track(const LedgerSearch& search, const Json& args, absl::Time now) {
  absl::StatusOr<LedgerQuery> filters = ReadFilters(args, now);
  if (!filters.ok()) return filters.status();
  absl::StatusOr<std::string> what = Text(args, "what");
  if (!what.ok()) return what.status();
  absl::StatusOr<std::vector<LedgerQuery>> queries = QueriesFor(*what, *filters);
  if (!queries.ok()) return queries.status();
  // A message's life is told whole, from its beginning.
  const bool life = !queries->front().message_id.empty();
  std::vector<LedgerRow> rows;
  for (LedgerQuery& query : *queries) {
    if (life) query.limit = kLifeLimit;
    absl::StatusOr<LedgerPage> page = search(query);
    if (!page.ok()) return page.status();
    rows.insert(rows.end(), page->rows.begin(), page->rows.end());
  }
  auto newer = [](const LedgerRow& a, const LedgerRow& b) { return a.row > b.row; };
  auto same = [](const LedgerRow& a, const LedgerRow& b) { return a.row == b.row; };
  std::sort(rows.begin(), rows.end(), newer);
  rows.erase(std::unique(rows.begin(), rows.end(), same), rows.end());
  if (!life && rows.size() > filters->limit) rows.resize(filters->limit);
  if (life) std::reverse(rows.begin(), rows.end());
  Json result = Json::array();
  for (const LedgerRow& row : rows) result.push_back(LedgerRowJson(row));
  return result;
}

std::string TrackPage(const Json& rows) {
  if (rows.empty()) return "nothing found\n";
  std::string out;
  for (const Json& row : rows) {
    const std::string sender = Field(row, "sender");
    const std::string recipient = Field(row, "recipient");
    std::string head = absl::StrCat(ShortTime(Field(row, "time")), "  ", Field(row, "outcome"),
                                    Flag(row, "expired") ? " (given up)" : "", "  ",
                                    sender.empty() ? "<>" : sender);
    if (!recipient.empty()) absl::StrAppend(&head, " -> ", recipient);
    absl::StrAppend(&out, Wrapped("", head));
    std::string host = Field(row, "host");
    if (!Field(row, "ip").empty()) absl::StrAppend(&host, " [", Field(row, "ip"), "]");
    const std::string reply = Field(row, "reply");
    if (!host.empty() || !reply.empty()) {
      absl::StrAppend(&out, Wrapped("    ", absl::StrCat(host, host.empty() ? "" : ": ", reply)));
    }
    std::string facts = absl::StrCat("id ", Field(row, "id").empty() ? "-" : Field(row, "id"));
    if (!Field(row, "login").empty()) absl::StrAppend(&facts, ", login ", Field(row, "login"));
    if (!Field(row, "user").empty()) absl::StrAppend(&facts, ", user ", Field(row, "user"));
    if (!Field(row, "subject").empty()) absl::StrAppend(&facts, ", of ", Field(row, "subject"));
    if (!Field(row, "left_out").empty()) {
      absl::StrAppend(&facts, ", not counted: ", Field(row, "left_out"));
    }
    if (!Field(row, "mail_subject").empty()) {
      absl::StrAppend(&facts, ", \"", Field(row, "mail_subject"), "\"");
    }
    absl::StrAppend(&out, Wrapped("    ", facts));
  }
  return out;
}

}  // namespace deferd
