#include "limiter/admin/track.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/admin/track_args.h"
#include "limiter/store/ledger_filter.h"
#include "policy/domain_name.h"
#include "policy/message_id.h"
#include "policy/refusal_text.h"
#include "policy/reply/reply_class.h"
#include "policy/subject.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxLimit = 10'000;
constexpr size_t kLifeLimit = 1'000;
constexpr size_t kMaxTrackLooked = 2'000;

constexpr Outcome kAllOutcomes[] = {
    Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed,           Outcome::kExpired,
    Outcome::kQueued,    Outcome::kHeld,     Outcome::kRejected,         Outcome::kDiscarded,
    Outcome::kFiltered,  Outcome::kArchived, Outcome::kRejectedRecipient};

// A queue id: letters, digits and dashes alone, no word of a domain. Exim's has its dashes, and
// Postfix's has capitals or digits alone; a word in small letters is part of a name.
bool LooksLikeId(absl::string_view text) {
  if (IsEximId(text)) return true;
  const bool letters = std::all_of(text.begin(), text.end(),
                                   [](char c) { return absl::ascii_isalnum(c) || c == '-'; });
  const bool small =
      std::any_of(text.begin(), text.end(), [](char c) { return absl::ascii_islower(c); }) &&
      std::none_of(text.begin(), text.end(), [](char c) { return absl::ascii_isupper(c); });
  return text.size() >= 6 && letters && !small;
}

// One word that may stand in an address.
bool IsPartOfName(absl::string_view text) {
  return text.size() >= 2 && text.find_first_of(" \t:\"<>,;@") == text.npos;
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
  // A bare address is whoever sent or received as it, not the login alone.
  if (subject.ok() && subject->kind != SubjectKind::kDomain && absl::StrContains(what, ':')) {
    query.subject = subject->ToString();
    return std::vector<LedgerQuery>{std::move(query)};
  }
  if (absl::StartsWith(what, "@")) {
    absl::StatusOr<DomainName> name = DomainName::Parse(what.substr(1));
    if (!name.ok()) return name.status();
    LedgerQuery sent = query, received = std::move(query);
    sent.domain = received.recipient_domain = name->text();
    return std::vector<LedgerQuery>{std::move(sent), std::move(received)};
  }
  if (absl::StrContains(what, '@')) {
    LedgerQuery sent = query, received = std::move(query);
    sent.sender = received.recipient = what;
    return std::vector<LedgerQuery>{std::move(sent), std::move(received)};
  }
  if (!absl::StrContains(what, '.') && IsPartOfName(what)) {
    query.address_part = what;
    return std::vector<LedgerQuery>{std::move(query)};
  }
  if (!subject.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quoted(what), " is not a domain, address, message id or KIND:ID"));
  }
  query.domain = subject->id;
  return std::vector<LedgerQuery>{std::move(query)};
}

// The outcomes to look for, so that a filter finds all of its rows.
std::vector<Outcome> OutcomesOf(const OutcomeFilter& filter) {
  std::vector<Outcome> outcomes = filter.outcomes;
  if (filter.in_progress) outcomes.push_back(Outcome::kQueued);
  if (filter.blocked) {
    outcomes.insert(outcomes.end(),
                    {Outcome::kHeld, Outcome::kRejected, Outcome::kDiscarded, Outcome::kFailed});
  }
  return outcomes;
}

// "mailbox_full" of that and of "mailbox full"; empty if there is none.
std::string ClassNamed(const std::string& text) {
  const std::string name =
      absl::AsciiStrToLower(absl::StrReplaceAll(text, {{" ", "_"}, {"-", "_"}}));
  return ParseReplyClass(name).has_value() ? name : "";
}

// "550", "5.7.1", and "5.7" for all that begin so.
bool IsReplyCode(absl::string_view text) {
  if (text.empty() || (text[0] != '2' && text[0] != '4' && text[0] != '5')) return false;
  const std::vector<absl::string_view> parts = absl::StrSplit(text, '.');
  const auto digits = [](absl::string_view part, size_t most) {
    return !part.empty() && part.size() <= most &&
           std::all_of(part.begin(), part.end(), [](char c) { return absl::ascii_isdigit(c); });
  };
  if (parts.size() == 1) return text.size() == 3 && digits(text, 3);
  return parts.size() <= 3 && parts[0].size() == 1 &&
         std::all_of(parts.begin() + 1, parts.end(),
                     [&](absl::string_view part) { return digits(part, 3); });
}

std::string AllClasses() {
  std::vector<std::string> names;
  for (const ReplyClassInfo& info : ReplyClassTable()) names.emplace_back(info.name);
  return absl::StrJoin(names, ", ");
}

absl::StatusOr<LedgerQuery> ReadFilters(const Json& args, absl::Time now, OutcomeFilter* filter) {
  LedgerQuery query;
  std::string domain, to_domain, outcome, reply_class;
  const std::pair<const char*, std::string*> kTexts[] = {{"domain", &domain},
                                                         {"sender", &query.sender},
                                                         {"recipient", &query.recipient},
                                                         {"id", &query.message_id},
                                                         {"host", &query.host},
                                                         {"outcome", &outcome},
                                                         {"to_domain", &to_domain},
                                                         {"address", &query.address_part},
                                                         {"code", &query.code},
                                                         {"class", &reply_class},
                                                         {"mail_subject", &query.mail_subject}};
  for (const auto& [name, to] : kTexts) {
    absl::StatusOr<std::string> text = TextArg(args, name);
    if (!text.ok()) return text.status();
    *to = *std::move(text);
  }
  absl::StatusOr<std::string> charged = TextArg(args, "subject");
  if (!charged.ok()) return charged.status();
  if (!charged->empty()) {
    absl::StatusOr<Subject> subject = Subject::Parse(*charged);
    if (!subject.ok()) return subject.status();
    query.subject = subject->ToString();
  }
  // "@far.example" is everybody there.
  if (absl::StartsWith(query.sender, "@") && domain.empty()) {
    domain = std::exchange(query.sender, "").substr(1);
  }
  if (absl::StartsWith(query.recipient, "@") && to_domain.empty()) {
    to_domain = std::exchange(query.recipient, "").substr(1);
  }
  if (!domain.empty()) {
    absl::StatusOr<DomainName> name = DomainName::Parse(domain);
    if (!name.ok()) return name.status();
    query.domain = name->text();
  }
  if (!to_domain.empty()) {
    absl::StatusOr<DomainName> name = DomainName::Parse(to_domain);
    if (!name.ok()) return name.status();
    query.recipient_domain = name->text();
  }
  if (!query.code.empty() && !IsReplyCode(query.code)) {
    return absl::InvalidArgumentError(
        absl::StrCat("code: ", Quoted(query.code),
                     " is not a reply code; write 550, 5.7.1, or 5.7 for all 5.7.x codes"));
  }
  if (!reply_class.empty()) {
    const std::string name = ClassNamed(reply_class);
    if (name.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "class: ", Quoted(reply_class), " is not a reply class; use one of ", AllClasses()));
    }
    query.reply_class = name;
  }
  absl::StatusOr<OutcomeFilter> outcomes = ParseOutcomes(outcome);
  if (!outcomes.ok()) return outcomes.status();
  *filter = *std::move(outcomes);
  query.outcomes = OutcomesOf(*filter);
  absl::StatusOr<TimeSpan> span = TimeArgs(args, now);
  if (!span.ok()) return span.status();
  query.since = span->since;
  query.until = span->until;
  absl::StatusOr<int64_t> limit = WholeArg(args, "limit", 50);
  if (!limit.ok()) return limit.status();
  query.limit = *limit == 0 ? kMaxLimit : std::min<size_t>(*limit, kMaxLimit);
  absl::StatusOr<int64_t> before = WholeArg(args, "before", 0);
  if (!before.ok()) return before.status();
  if (*before > 0) query.before = *before;
  return query;
}

// Whether `row` is of those that its outcome alone does not tell.
absl::StatusOr<bool> Passes(const LedgerSearch& search, const OutcomeFilter& filter,
                            const LedgerRow& row) {
  const auto named = [&] {
    return std::find(filter.outcomes.begin(), filter.outcomes.end(), row.outcome) !=
           filter.outcomes.end();
  };
  if ((!filter.in_progress && !filter.blocked) || named()) return true;
  if (filter.blocked && row.outcome != Outcome::kQueued) {
    return row.outcome != Outcome::kFailed || row.left_out == LeftOut::kOwnRefusal;
  }
  if (!filter.in_progress || row.outcome != Outcome::kQueued) return false;
  for (const absl::string_view prefix : {kReleasedPrefix, kFormerReleasedPrefix}) {
    if (absl::StartsWith(row.reply, prefix)) return false;  // the arrival row shows the subject
  }
  LedgerQuery attempts;
  attempts.message_id = row.message_id;
  attempts.since = row.time;
  attempts.outcomes = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed,
                       Outcome::kExpired};
  attempts.limit = 1;
  absl::StatusOr<LedgerPage> page = search(attempts);
  if (!page.ok()) return page.status();
  return page->rows.empty();
}

// Up to query.limit rows. Where a filter has to look at each row, at most kMaxTrackLooked are.
absl::Status Find(const LedgerSearch& search, const OutcomeFilter& filter, LedgerQuery query,
                  std::vector<LedgerRow>* rows) {
  const size_t wanted = rows->size() + query.limit;
  for (size_t looked = 0; looked < kMaxTrackLooked;) {
    absl::StatusOr<LedgerPage> page = search(query);
    if (!page.ok()) return page.status();
    for (LedgerRow& row : page->rows) {
      ++looked;
      absl::StatusOr<bool> passes = Passes(search, filter, row);
      if (!passes.ok()) return passes.status();
      if (*passes) rows->push_back(std::move(row));
      if (rows->size() == wanted) return absl::OkStatus();
    }
    if (page->next == 0) break;
    query.before = page->next;
  }
  return absl::OkStatus();
}

// The lines that say what became of a message, one of each recipient: its last. Lines without a
// recipient (on hold, refused) speak of all of them, until something else became of one.
std::map<std::string, size_t> LastLines(const std::vector<LedgerRow>& life) {
  std::map<std::string, size_t> now;  // by recipient
  for (size_t i = 0; i < life.size(); ++i) {
    const Outcome outcome = life[i].outcome;
    const auto held = now.find("");
    if (held != now.end() && life[held->second].outcome == Outcome::kHeld) now.erase(held);
    if (outcome != Outcome::kQueued) now[life[i].recipient] = i;
  }
  return now;
}

void MarkDecisive(const std::vector<LedgerRow>& life, Json* rows) {
  const std::map<std::string, size_t> now = LastLines(life);
  for (const auto& [recipient, i] : now) {
    Json& row = (*rows)[i];
    row["decisive"] = true;
    const LedgerRow& line = life[i];
    const std::optional<ReplyClass> reply_class = ParseReplyClass(line.reply_class);
    if (!reply_class.has_value() || line.outcome == Outcome::kDelivered) continue;
    const ReplyClassInfo& info = InfoOf(*reply_class);
    row["meaning"] = std::string(info.meaning);
    row["side"] = std::string(info.side);
    // Nobody tries again what was given up or refused.
    row["advice"] = std::string(AdviceOf(*reply_class, line.outcome == Outcome::kDeferred
                                                           ? Permanence::kTransient
                                                           : Permanence::kPermanent));
  }
}

// Each message's recipients as they are now, with how often each was tried.
class Present {
 public:
  // `whole`: a row that names nobody stands for all recipients of its message. So it is where the
  // Subject: line is searched, which the ledger has with the arrival alone.
  Present(const LedgerSearch& search, bool whole) : search_(search), whole_(whole) {}

  // Adds the recipients that `row`, the newest first, tells of, unless they are listed already.
  absl::Status Add(const LedgerRow& row, Json* list) {
    const std::string message = absl::StrCat(row.message_id, " ", absl::ToUnixMillis(row.arrival));
    if (row.message_id.empty()) {  // refused before it was a message
      list->push_back(LedgerRowJson(row));
      return absl::OkStatus();
    }
    if (!listed_.emplace(message, row.recipient).second) return absl::OkStatus();
    absl::StatusOr<const Life*> life = LifeOf(row, message);
    if (!life.ok()) return life.status();
    for (const auto& [recipient, i] : (*life)->now) {
      const LedgerRow& line = (*life)->rows[i];
      // A line that names nobody stands for those whom nothing newer is known of.
      const bool stands = row.recipient.empty() && (whole_ || line.recipient.empty());
      if (recipient != row.recipient && !stands) continue;
      if (recipient != row.recipient && !listed_.emplace(message, recipient).second) continue;
      Json json = LedgerRowJson(line);
      json["recipient"] = recipient;
      const auto tries = (*life)->tries.find(recipient);
      json["tries"] = tries == (*life)->tries.end() ? 0 : tries->second;
      list->push_back(std::move(json));
    }
    return absl::OkStatus();
  }

 private:
  struct Life {
    std::vector<LedgerRow> rows;  // oldest first
    std::map<std::string, size_t> now;
    std::map<std::string, int64_t> tries;
  };

  absl::StatusOr<const Life*> LifeOf(const LedgerRow& row, const std::string& message) {
    const auto [it, fresh] = lives_.try_emplace(message);
    Life& life = it->second;
    if (!fresh) return &life;
    LedgerQuery query;
    query.message_id = row.message_id;
    query.since = row.arrival;  // what became of it came later
    query.limit = kLifeLimit;
    absl::StatusOr<LedgerPage> page = search_(query);
    if (!page.ok()) return page.status();
    for (auto line = page->rows.rbegin(); line != page->rows.rend(); ++line) {
      if (line->arrival != row.arrival) continue;  // an older message of the same id
      const bool tried = line->outcome == Outcome::kDelivered ||
                         line->outcome == Outcome::kDeferred || line->outcome == Outcome::kFailed ||
                         line->outcome == Outcome::kExpired;
      if (tried) ++life.tries[line->recipient];
      life.rows.push_back(std::move(*line));
    }
    life.now = LastLines(life.rows);
    // What is held waits for all whom it was not delivered to.
    const auto held = life.now.find("");
    if (held != life.now.end() && life.rows[held->second].outcome == Outcome::kHeld) {
      bool named = false;
      for (auto& [recipient, i] : life.now) {
        if (life.rows[i].outcome != Outcome::kDeferred) continue;
        i = held->second;
        named = true;
      }
      if (named) life.now.erase("");
    }
    for (size_t i = life.rows.size(); i-- > 0 && life.now.empty();)
      life.now[""] = i;  // in progress
    return &life;
  }

  const LedgerSearch& search_;
  const bool whole_;
  std::map<std::string, Life> lives_;
  std::set<std::pair<std::string, std::string>> listed_;
};

// What the page that people know calls it.
const char* TypeOf(const LedgerRow& row) {
  switch (row.outcome) {
    case Outcome::kDelivered:
    case Outcome::kArchived:
      return "success";
    case Outcome::kDeferred:
    case Outcome::kHeld:
      return "defer";
    case Outcome::kQueued:
      return "inprogress";
    default:
      return "failure";
  }
}

// What Exim logs of a message that it freezes: nobody here holds it (intake/exim_line.h).
bool IsFrozenByExim(absl::string_view reply) {
  return absl::StartsWith(reply, "Message is frozen") || absl::StartsWith(reply, "frozen by ") ||
         absl::StartsWith(reply, "Frozen (");
}

std::string DomainOfAddress(const std::string& address) {
  const size_t at = address.rfind('@');
  return at == std::string::npos ? "" : address.substr(at + 1);
}

}  // namespace

absl::StatusOr<OutcomeFilter> ParseOutcomes(absl::string_view text) {
  // Other words for outcomes, those of the pages that people know.
  static constexpr std::pair<absl::string_view, absl::string_view> kWords[] = {
      {"success", "delivered"},  {"successes", "delivered"},
      {"sent", "delivered"},     {"defer", "deferred"},
      {"deferring", "deferred"}, {"delayed", "deferred"},
      {"failure", "failed"},     {"failures", "failed"},
      {"error", "failed"},       {"bounced", "failed"},
      {"given-up", "expired"},   {"rejected-recipient", "rejected_recipient"}};
  OutcomeFilter filter;
  for (absl::string_view word : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    word = absl::StripAsciiWhitespace(word);
    if (absl::EqualsIgnoreCase(word, "all")) return OutcomeFilter();
    if (absl::EqualsIgnoreCase(word, "in-progress") || absl::EqualsIgnoreCase(word, "inprogress") ||
        absl::EqualsIgnoreCase(word, "unknown")) {
      filter.in_progress = true;
      continue;
    }
    if (absl::EqualsIgnoreCase(word, "blocked")) {
      filter.blocked = true;
      continue;
    }
    absl::string_view asked = word;
    for (const auto& [other, name] : kWords) {
      if (absl::EqualsIgnoreCase(word, other)) asked = name;
    }
    const size_t before = filter.outcomes.size();
    const bool bad = absl::EqualsIgnoreCase(asked, "bad");
    for (Outcome one : kAllOutcomes) {
      // What is expired has failed, to everybody who asks for what failed.
      const bool failed = one == Outcome::kFailed || one == Outcome::kExpired;
      if (absl::EqualsIgnoreCase(asked, OutcomeName(one)) ||
          (failed && absl::EqualsIgnoreCase(asked, "failed")) ||
          (bad && (failed || one == Outcome::kDeferred))) {
        filter.outcomes.push_back(one);
      }
    }
    if (filter.outcomes.size() == before) {
      std::vector<std::string> names;
      for (Outcome one : kAllOutcomes) names.emplace_back(OutcomeName(one));
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(word), " is not an outcome; use one of bad, ",
                       absl::StrJoin(names, ", "), ", in-progress (or unknown), blocked"));
    }
  }
  return filter;
}

absl::string_view StateOf(const LedgerRow& row) {
  switch (row.outcome) {
    case Outcome::kQueued:
      return "in progress";
    case Outcome::kHeld:
      return IsFrozenByExim(row.reply) ? "frozen" : OutcomeName(row.outcome);
    case Outcome::kFailed:
    case Outcome::kRejected:
    case Outcome::kRejectedRecipient: {
      const bool ours = row.left_out == LeftOut::kOwnRefusal ||
                        (row.host.empty() && FindRefusal(row.reply).has_value());
      if (ours) return "refused by us";
      return row.outcome == Outcome::kFailed ? "failed" : "rejected";
    }
    default:
      return OutcomeName(row.outcome);
  }
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
      {"original", row.original.empty() ? row.recipient : row.original},
      {"host", row.host},
      {"outcome", std::string(expired ? "failed" : OutcomeName(row.outcome))},
      {"class", row.reply_class},
      {"reply", row.reply},
      {"state", std::string(StateOf(row))},
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
      {"row", absl::StrCat(row.row)},
      // The same under the names that scripts written for another system know.
      {"type", TypeOf(row)},
      {"msgid", row.message_id},
      {"message", row.reply},
      {"actionunixtime", absl::ToUnixSeconds(row.time)},
      {"sendunixtime", row.arrival == absl::InfinitePast()
                           ? Json(nullptr)
                           : Json(absl::ToUnixSeconds(row.arrival))},
      {"senderauth", row.login},
      {"domain", LedgerDomain(row.subject, row.sender)},
      {"deliveredto", row.recipient},
      {"deliverydomain", DomainOfAddress(row.recipient)},
      {"transport_is_remote", row.host.empty() && row.host_ip.empty() ? 0 : 1}};
}

absl::StatusOr<Json> Track(const LedgerSearch& search, const Json& args, absl::Time now) {
  OutcomeFilter filter;
  absl::StatusOr<LedgerQuery> filters = ReadFilters(args, now, &filter);
  if (!filters.ok()) return filters.status();
  absl::StatusOr<std::string> what = TextArg(args, "what");
  if (!what.ok()) return what.status();
  if (!what->empty() && !filters->subject.empty()) {
    return absl::InvalidArgumentError("what: not together with a subject");
  }
  absl::StatusOr<std::vector<LedgerQuery>> queries = QueriesFor(*what, *filters);
  if (!queries.ok()) return queries.status();
  // A message's life is told whole, from its beginning.
  const bool life = !queries->front().message_id.empty();
  std::vector<LedgerRow> rows;
  for (LedgerQuery& query : *queries) {
    if (life) query.limit = kLifeLimit;
    absl::Status found = Find(search, filter, query, &rows);
    if (!found.ok()) return found;
  }
  auto newer = [](const LedgerRow& a, const LedgerRow& b) { return a.row > b.row; };
  auto same = [](const LedgerRow& a, const LedgerRow& b) { return a.row == b.row; };
  std::sort(rows.begin(), rows.end(), newer);
  rows.erase(std::unique(rows.begin(), rows.end(), same), rows.end());
  if (!life && rows.size() > filters->limit) rows.resize(filters->limit);
  if (life) std::reverse(rows.begin(), rows.end());
  Json result = Json::array();
  if (!life && args.contains("recipients") && args["recipients"] == true) {
    const bool by_subject_line = !queries->front().mail_subject.empty();
    Present present(search, by_subject_line);
    for (const LedgerRow& row : rows) {
      absl::Status added = present.Add(row, &result);
      if (!added.ok()) return added;
    }
    if (!result.empty() && rows.size() == filters->limit) {
      result.back()["next"] = absl::StrCat(rows.back().row);
    }
    return result;
  }
  for (const LedgerRow& row : rows) result.push_back(LedgerRowJson(row));
  if (life) MarkDecisive(rows, &result);
  return result;
}

}  // namespace deferd
