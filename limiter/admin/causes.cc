#include "limiter/admin/causes.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "policy/counts.h"
#include "policy/organisation.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxRows = 2'000;     // of the ledger, the newest
constexpr size_t kMaxLooked = 20'000;  // for what is left out
constexpr size_t kMaxShown = 5;        // of each list of names
constexpr size_t kMaxAttempts = 50;    // of the very messages
constexpr size_t kMaxSample = 300;     // bytes of an answer

using MessageAndRecipient = std::pair<std::string, std::string>;

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

// What the arrivals of `messages` say besides, with how many bad deliveries each message caused:
// what a local program claimed of itself, and the message's own Subject: line. `query` found the
// attempts; a message can be as much older as its retries take.
struct Arrivals {
  std::map<std::string, int64_t> claims, mail_subjects;
};
Arrivals ArrivalsOf(const LedgerSearch& search, LedgerQuery query,
                    const std::map<std::string, int64_t>& messages) {
  Arrivals arrivals;
  if (messages.empty()) return arrivals;
  query.outcomes = {Outcome::kQueued};
  query.since -= absl::Hours(24);
  query.before = LedgerQuery().before;
  absl::StatusOr<LedgerPage> page = search(query);
  if (!page.ok()) return arrivals;
  for (const LedgerRow& row : page->rows) {
    const auto caused = messages.find(row.message_id);
    if (caused == messages.end()) continue;
    absl::string_view claim = row.reply;
    if (!row.user.empty() && absl::ConsumePrefix(&claim, kClaimPrefix)) {
      arrivals.claims[std::string(claim)] += caused->second;
    }
    if (!row.mail_subject.empty()) arrivals.mail_subjects[row.mail_subject] += caused->second;
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

Json CausesJson(const LedgerSearch& search, const Subject& subject,
                const std::vector<Incident>& incidents, const CountedApart& apart, absl::Time since,
                absl::Time until, bool once) {
  LedgerQuery query;
  query.subject = subject.ToString();
  query.outcomes = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired};
  query.since = since;
  query.until = until;
  query.limit = kMaxRows;
  std::map<std::string, int64_t> senders, logins, scripts;
  std::map<std::string, int64_t> messages;  // how many bad deliveries each caused
  std::map<Sender, Sent> by_sender;
  std::map<std::string, Answers> answers;
  std::set<std::string> recipients, destinations;
  std::set<MessageAndRecipient> seen;
  Json attempts = Json::array();
  const auto add = [&](const LedgerRow& row) {
    const LeftOut left_out = LeftOutNow(row, incidents);
    const bool counts = left_out == LeftOut::kCounts;
    const bool by_answer = left_out == LeftOut::kReplyClass || left_out == LeftOut::kIncident;
    if ((!counts && !by_answer) || (counts && IsApart(apart, row))) return;
    if (once && !seen.emplace(row.message_id, row.recipient).second) return;
    if (!IsBad(row.outcome)) {
      if (counts) ++by_sender[SenderOf(row)].counts.delivered;
      return;
    }
    const std::string organisation = OrganisationOf(row.host.empty() ? row.host_ip : row.host);
    if (!organisation.empty()) destinations.insert(organisation);
    if (!row.reply_class.empty()) {
      Answers& one = answers[row.reply_class];
      ++(counts ? one.counted : one.left_out);
      if (one.sample.empty()) one.sample = std::string(CutUtf8(row.reply, kMaxSample));
      if (!organisation.empty()) ++one.hosts[organisation];
      one.recipients.insert(row.recipient);
    }
    Sent& sent = by_sender[SenderOf(row)];
    if (!counts) {
      ++sent.left_out;
      return;
    }
    sent.counts.Add(CountedAs(row.outcome));
    ++senders[row.sender.empty() ? "<>" : row.sender];
    if (!row.login.empty()) ++logins[row.login];
    if (!row.user.empty()) ++scripts[row.user];
    ++messages[row.message_id];
    recipients.insert(row.recipient);
    if (attempts.size() < kMaxAttempts) attempts.push_back(LedgerRowJson(row));
  };
  bool all = true;
  for (size_t looked = 0;;) {
    absl::StatusOr<LedgerPage> page = search(query);
    if (!page.ok()) return {{"problem", std::string(page.status().message())}};
    for (const LedgerRow& row : page->rows) add(row);
    looked += page->rows.size();
    if (page->next == 0) break;
    if (looked >= kMaxLooked) {
      all = false;
      break;
    }
    query.before = page->next;
  }
  const Arrivals arrivals = ArrivalsOf(search, query, messages);
  return {{"since", FormatUtc(since)},
          {"until", FormatUtc(until)},
          {"all", all},  // false: there are more than were looked at
          {"who", SendersJson(by_sender)},
          {"senders", Ranked(senders, "bad")},
          {"logins", Ranked(logins, "bad")},
          {"users", Ranked(scripts, "bad")},
          {"answers", AnswersJson(answers)},
          {"claimed", Ranked(arrivals.claims, "bad")},
          {"mail_subjects", Ranked(arrivals.mail_subjects, "bad")},
          {"recipients", recipients.size()},
          {"destinations", destinations.size()},
          {"attempts", std::move(attempts)}};
}

Json LeftOutJson(const LedgerSearch& search, const Subject& subject,
                 const std::vector<Incident>& incidents, const CountedApart& apart,
                 absl::Time since, absl::Time until, bool once) {
  const std::string name = subject.ToString();
  LedgerQuery query;
  // What is charged to nobody is found by its sender's domain.
  (subject.kind == SubjectKind::kDomain ? query.domain : query.subject) = name;
  query.outcomes = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired};
  query.since = since;
  query.until = until;
  query.limit = kMaxRows;
  Tally counted;
  std::map<LeftOut, Tally> tallies;
  std::map<std::string, Tally> tallies_apart;
  std::set<MessageAndRecipient> seen;
  size_t looked = 0;
  bool all = true;
  while (true) {
    absl::StatusOr<LedgerPage> page = search(query);
    if (!page.ok()) return {{"problem", std::string(page.status().message())}};
    for (const LedgerRow& row : page->rows) {
      if (!row.subject.empty() && row.subject != name && row.narrower != name) continue;
      if (once && !seen.emplace(row.message_id, row.recipient).second) continue;
      const LeftOut left_out = LeftOutNow(row, incidents);
      const bool is_apart = left_out == LeftOut::kCounts && IsApart(apart, row);
      Tally& tally = is_apart                       ? tallies_apart[row.narrower]
                     : left_out == LeftOut::kCounts ? counted
                                                    : tallies[left_out];
      tally.counts.Add(CountedAs(row.outcome));
      if (!row.reply_class.empty()) ++tally.classes[row.reply_class];
    }
    looked += page->rows.size();
    if (page->next == 0) break;
    if (looked >= kMaxLooked) {
      all = false;
      break;
    }
    query.before = page->next;
  }
  Json reasons = Json::array();
  for (const auto& [reason, tally] : tallies) {
    reasons.push_back(
        TallyJson(std::string(LeftOutName(reason)), std::string(LeftOutMeaning(reason)), tally));
  }
  for (const auto& [part, tally] : tallies_apart) {
    reasons.push_back(TallyJson(
        "counted apart",
        absl::StrCat("count for ", part, " alone, which is or was blocked by itself"), tally));
  }
  return {{"all", all},
          {"counted",
           {{"delivered", counted.counts.delivered},
            {"deferred", counted.counts.deferred},
            {"failed", counted.counts.failed}}},
          {"reasons", std::move(reasons)}};
}

}  // namespace deferd
