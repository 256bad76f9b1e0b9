#include "limiter/admin/causes.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/counts.h"
#include "policy/organisation.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxArrivals = 2'000;  // the newest
constexpr size_t kMaxLooked = 20'000;   // of the attempts, likewise
constexpr size_t kMaxShown = 5;         // of each list of names
constexpr size_t kMaxAttempts = 50;     // of the very messages
constexpr size_t kMaxSample = 300;      // bytes of an answer

// Messages and recipients, each pair by one text.
using Seen = absl::flat_hash_set<std::string>;

// Whether no newer attempt of this message and recipient was seen.
bool IsNewest(const LedgerRow& row, Seen* seen) {
  return seen->insert(absl::StrCat(row.message_id, "\n", row.recipient)).second;
}

// How much each of several names caused, the most first; `count`: the field's name.
Json Ranked(const std::map<std::string, int64_t>& counts, const char* count) {
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [name, number] : counts) ranked.emplace_back(-number, name);
  std::sort(ranked.begin(), ranked.end());
  Json list = Json::array();
  for (const auto& [minus, name] : ranked) {
    if (list.size() == kMaxShown) break;
    list.push_back({{"name", name}, {count, -minus}});
  }
  return list;
}

struct Answers {
  int64_t counted = 0;
  int64_t left_out = 0;
  std::string sample;                    // the newest
  std::map<std::string, int64_t> hosts;  // by the organisation that answered
  std::set<std::string> recipients;
};

// One who sent: by what is proven, else by the address.
struct Sender {
  std::string kind;
  std::string name;
  friend auto operator<=>(const Sender&, const Sender&) = default;
};
Sender SenderOf(const LedgerRow& row) {
  if (!row.login.empty()) return {"login", row.login};
  if (!row.user.empty()) return {"user", row.user};
  return {"sender", row.sender.empty() ? "<>" : row.sender};
}

// With what they have now, the most bad first, then the most delivered.
struct Sent {
  Counts counts;
  int64_t left_out = 0;  // bad ones
};
Json SendersJson(const std::map<Sender, Sent>& senders) {
  std::vector<std::pair<const Sender*, const Sent*>> ranked;
  for (const auto& [sender, sent] : senders) ranked.emplace_back(&sender, &sent);
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    const Sent &x = *a.second, &y = *b.second;
    return std::tuple(x.counts.bad(), x.left_out, x.counts.delivered) >
           std::tuple(y.counts.bad(), y.left_out, y.counts.delivered);
  });
  Json list = Json::array();
  for (const auto& [sender, sent] : ranked) {
    const Counts& counts = sent->counts;
    if (list.size() == kMaxShown) break;
    list.push_back({{"kind", sender->kind},
                    {"name", sender->name},
                    {"delivered", counts.delivered},
                    {"deferred", counts.deferred},
                    {"failed", counts.failed},
                    {"bad", counts.bad()},
                    {"left_out", sent->left_out}});
  }
  return list;
}

Json AnswersJson(const std::map<std::string, Answers>& answers) {
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [name, one] : answers) ranked.emplace_back(-one.counted - one.left_out, name);
  std::sort(ranked.begin(), ranked.end());
  Json list = Json::array();
  for (const auto& [minus, name] : ranked) {
    const Answers& one = answers.at(name);
    const ReplyClassInfo& info = InfoOf(ParseReplyClass(name).value_or(ReplyClass::kUnclassified));
    list.push_back({{"class", name},
                    {"count", one.counted},
                    {"left_out", one.left_out},
                    {"meaning", std::string(info.meaning)},
                    {"side", std::string(info.side)},
                    {"advice", std::string(info.advice)},
                    {"hosts", Ranked(one.hosts, "count")},
                    {"recipients", one.recipients.size()},
                    {"recipient", one.recipients.empty() ? "" : *one.recipients.begin()},
                    {"sample", one.sample}});
  }
  return list;
}

// A message with bad deliveries.
struct Caused {
  absl::Time arrival;
  int64_t bad = 0;
};

// What the arrivals of `messages` say besides, with how many bad deliveries each message caused:
// what a local program claimed of itself, and the message's own Subject: line. `query` found the
// attempts; a message can be as much older as its retries take.
struct Arrivals {
  std::map<std::string, int64_t> claims, mail_subjects;
};
Arrivals ArrivalsOf(const LedgerSearch& search, LedgerQuery query,
                    const std::map<std::string, Caused>& messages) {
  Arrivals arrivals;
  if (messages.empty()) return arrivals;
  absl::Time oldest = absl::InfiniteFuture();
  for (const auto& [id, caused] : messages) oldest = std::min(oldest, caused.arrival);
  query.outcomes = {Outcome::kQueued};
  query.since = std::max(query.since - absl::Hours(24), oldest);
  query.limit = kMaxArrivals;
  absl::StatusOr<LedgerPage> page = search(query);
  if (!page.ok()) return arrivals;
  for (const LedgerRow& row : page->rows) {
    const auto caused = messages.find(row.message_id);
    if (caused == messages.end()) continue;
    absl::string_view claim = row.reply;
    if (!row.user.empty() && absl::ConsumePrefix(&claim, kClaimPrefix)) {
      arrivals.claims[std::string(claim)] += caused->second.bad;
    }
    if (!row.mail_subject.empty()) arrivals.mail_subjects[row.mail_subject] += caused->second.bad;
  }
  return arrivals;
}

bool IsBad(Outcome outcome) {
  return outcome == Outcome::kDeferred || outcome == Outcome::kFailed ||
         outcome == Outcome::kExpired;
}

struct Tally {
  Counts counts;
  std::map<std::string, int64_t> classes;
};

Json TallyJson(std::string reason, std::string meaning, const Tally& tally) {
  return {{"reason", std::move(reason)},         {"meaning", std::move(meaning)},
          {"delivered", tally.counts.delivered}, {"deferred", tally.counts.deferred},
          {"failed", tally.counts.failed},       {"classes", Json(tally.classes)}};
}

bool IsApart(const CountedApart& apart, const LedgerRow& row) {
  const auto part = apart.find(row.narrower);
  return part != apart.end() && row.time <= part->second;
}

}  // namespace

LeftOut LeftOutNow(const LedgerRow& row, const std::vector<Incident>& incidents) {
  if (row.left_out != LeftOut::kCounts || incidents.empty() || !IsBad(row.outcome)) {
    return row.left_out;
  }
  const std::optional<ReplyClass> reply_class = ParseReplyClass(row.reply_class);
  if (!reply_class.has_value()) return row.left_out;
  const Classification answer = {.reply_class = *reply_class, .scope = InfoOf(*reply_class).scope};
  const std::string organisation = OrganisationOf(row.host.empty() ? row.host_ip : row.host);
  for (const Incident& one : incidents) {
    if (one.subjects.contains(row.subject) &&
        Incidents::TookOut(one, answer, organisation, row.time)) {
      return LeftOut::kIncident;
    }
  }
  return row.left_out;
}

absl::string_view LeftOutMeaning(LeftOut reason) {
  switch (reason) {
    case LeftOut::kCounts:
      return "counts";
    case LeftOut::kNobodyCharged:
      return "bear the domain as sender but are charged to nobody: no login, local user or trusted "
             "relay host is proven (mail from outside, or forged)";
    case LeftOut::kMadeByMta:
      return "bounces that the mail server made itself";
    case LeftOut::kNoRemoteHost:
      return "on this host: a local mailbox does not count as a delivery to others ([charge] local "
             "= true counts "
             "it)";
    case LeftOut::kInternalHost:
      return "handed over to a host of yours ([charge] internal_hosts)";
    case LeftOut::kOwnRefusal:
      return "refused by deferd itself";
    case LeftOut::kLate:
      return "too old to count when the log was read";
    case LeftOut::kFuture:
      return "dated more than five minutes after this machine's clock";
    case LeftOut::kReplyClass:
      return "answers of a class that the policy leaves out";
    case LeftOut::kUnclear:
      return "may be somebody else's mail that a filter at a relay host handed back";
    case LeftOut::kIncident:
      return "trouble of a server, not of the sender (deferctl incidents --all)";
  }
  return "";
}

struct Causes::Tallies {
  std::map<std::string, int64_t> senders, logins, scripts;
  std::map<std::string, Caused> messages;
  std::map<Sender, Sent> by_sender;
  std::map<std::string, Answers> answers;
  std::set<std::string> recipients, destinations;
  Seen seen;
  Json attempts = Json::array();
};

Causes::Causes(RowsAsked asked) : asked_(std::move(asked)), tallies_(std::make_unique<Tallies>()) {}
Causes::~Causes() = default;

LedgerQuery Causes::Query() const {
  LedgerQuery query;
  query.subject = asked_.subject.ToString();
  query.outcomes = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired};
  query.since = asked_.since;
  query.until = asked_.until;
  return query;
}

void Causes::JoinIn(RowPass* pass) {
  all_ = pass->Add(Query(), kMaxLooked, [this](const LedgerRow& row) { Look(row); });
}

void Causes::Look(const LedgerRow& row) {
  Tallies& t = *tallies_;
  const LeftOut left_out = LeftOutNow(row, *asked_.incidents);
  const bool counts = left_out == LeftOut::kCounts;
  const bool by_answer = left_out == LeftOut::kReplyClass || left_out == LeftOut::kIncident;
  if ((!counts && !by_answer) || (counts && IsApart(asked_.apart, row))) return;
  if (asked_.once && !IsNewest(row, &t.seen)) return;
  if (!IsBad(row.outcome)) {
    if (counts) ++t.by_sender[SenderOf(row)].counts.delivered;
    return;
  }
  const std::string organisation = OrganisationOf(row.host.empty() ? row.host_ip : row.host);
  if (!organisation.empty()) t.destinations.insert(organisation);
  if (!row.reply_class.empty()) {
    Answers& one = t.answers[row.reply_class];
    ++(counts ? one.counted : one.left_out);
    if (one.sample.empty()) one.sample = std::string(CutUtf8(row.reply, kMaxSample));
    if (!organisation.empty()) ++one.hosts[organisation];
    one.recipients.insert(row.recipient);
  }
  Sent& sent = t.by_sender[SenderOf(row)];
  if (!counts) {
    ++sent.left_out;
    return;
  }
  sent.counts.Add(CountedAs(row.outcome));
  ++t.senders[row.sender.empty() ? "<>" : row.sender];
  if (!row.login.empty()) ++t.logins[row.login];
  if (!row.user.empty()) ++t.scripts[row.user];
  Caused& caused = t.messages.try_emplace(row.message_id, Caused{row.arrival}).first->second;
  caused.arrival = std::min(caused.arrival, row.arrival);  // ids can come again
  ++caused.bad;
  t.recipients.insert(row.recipient);
  if (t.attempts.size() < kMaxAttempts) t.attempts.push_back(LedgerRowJson(row));
}

Json Causes::ToJson(const absl::Status& passed, const LedgerSearch& search) const {
  if (!passed.ok()) return {{"problem", std::string(passed.message())}};
  const Tallies& t = *tallies_;
  const Arrivals arrivals = ArrivalsOf(search, Query(), t.messages);
  return {{"since", FormatUtc(asked_.since)},
          {"until", FormatUtc(asked_.until)},
          {"all", *all_},  // false: there are more than were looked at
          {"who", SendersJson(t.by_sender)},
          {"senders", Ranked(t.senders, "bad")},
          {"logins", Ranked(t.logins, "bad")},
          {"users", Ranked(t.scripts, "bad")},
          {"answers", AnswersJson(t.answers)},
          {"claimed", Ranked(arrivals.claims, "bad")},
          {"mail_subjects", Ranked(arrivals.mail_subjects, "bad")},
          {"recipients", t.recipients.size()},
          {"destinations", t.destinations.size()},
          {"attempts", t.attempts}};
}

struct NotCounted::Tallies {
  Tally counted;
  std::map<LeftOut, Tally> by_reason;
  std::map<std::string, Tally> apart;
  Seen seen;
};

NotCounted::NotCounted(RowsAsked asked)
    : asked_(std::move(asked)), tallies_(std::make_unique<Tallies>()) {}
NotCounted::~NotCounted() = default;

void NotCounted::JoinIn(RowPass* pass) {
  LedgerQuery query;
  // What is charged to nobody is found by its sender's domain.
  (asked_.subject.kind == SubjectKind::kDomain ? query.domain : query.subject) =
      asked_.subject.ToString();
  query.outcomes = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired};
  query.since = asked_.since;
  query.until = asked_.until;
  all_ =
      pass->Add(query, kMaxLooked, [this, name = asked_.subject.ToString()](const LedgerRow& row) {
        if (row.subject.empty() || row.subject == name || row.narrower == name) Look(row);
      });
}

void NotCounted::Look(const LedgerRow& row) {
  Tallies& t = *tallies_;
  if (asked_.once && !IsNewest(row, &t.seen)) return;
  const LeftOut left_out = LeftOutNow(row, *asked_.incidents);
  const bool is_apart = left_out == LeftOut::kCounts && IsApart(asked_.apart, row);
  Tally& tally = is_apart                       ? t.apart[row.narrower]
                 : left_out == LeftOut::kCounts ? t.counted
                                                : t.by_reason[left_out];
  tally.counts.Add(CountedAs(row.outcome));
  if (!row.reply_class.empty()) ++tally.classes[row.reply_class];
}

Json NotCounted::ToJson(const absl::Status& passed) const {
  if (!passed.ok()) return {{"problem", std::string(passed.message())}};
  const Tallies& t = *tallies_;
  Json reasons = Json::array();
  for (const auto& [reason, tally] : t.by_reason) {
    reasons.push_back(
        TallyJson(std::string(LeftOutName(reason)), std::string(LeftOutMeaning(reason)), tally));
  }
  for (const auto& [part, tally] : t.apart) {
    reasons.push_back(TallyJson(
        "counted apart",
        absl::StrCat("count for ", part, " alone, which is or was blocked by itself"), tally));
  }
  return {{"all", *all_},
          {"counted",
           {{"delivered", t.counted.counts.delivered},
            {"deferred", t.counted.counts.deferred},
            {"failed", t.counted.counts.failed}}},
          {"reasons", std::move(reasons)}};
}

}  // namespace deferd
