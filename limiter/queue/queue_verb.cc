#include "limiter/queue/queue_verb.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/admin/track_args.h"
#include "limiter/port/log.h"
#include "limiter/queue/holder.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr int kMaxLooked = 1000;
constexpr int64_t kSampled = 5;
constexpr absl::Duration kSampleLimit = absl::Seconds(5);  // the longest time that unblock may wait

// The selected messages.
struct Choice {
  std::string subject, sender, mail_subject, id;
  absl::Time since = absl::InfinitePast();
  bool held = false;
  bool nobody = false;  // messages whose sender is not known
};

// A queue id has a digit or an upper case letter, and no dot.
bool LooksLikeId(absl::string_view text) {
  const auto id_char = [](char c) { return absl::ascii_isalnum(c) || c == '-'; };
  const auto telling = [](char c) { return absl::ascii_isdigit(c) || absl::ascii_isupper(c); };
  return text.size() >= 6 && std::all_of(text.begin(), text.end(), id_char) &&
         std::any_of(text.begin(), text.end(), telling);
}

absl::StatusOr<Choice> ReadChoice(const Json& args, absl::Time now) {
  Choice choice;
  std::string subject, since;
  for (const auto& [name, to] : {std::pair("subject", &subject), std::pair("since", &since),
                                 std::pair("sender", &choice.sender), std::pair("id", &choice.id),
                                 std::pair("mail_subject", &choice.mail_subject)}) {
    absl::StatusOr<std::string> text = TextArg(args, name);
    if (!text.ok()) return text.status();
    *to = *std::move(text);
  }
  if (subject == "nobody") {
    choice.nobody = true;
  } else if (choice.id.empty() && LooksLikeId(subject)) {
    choice.id = subject;
  } else if (!subject.empty()) {
    absl::StatusOr<Subject> parsed = Subject::Parse(subject);
    if (!parsed.ok()) return parsed.status();
    choice.subject = parsed->ToString();
  }
  if (!since.empty()) {
    absl::StatusOr<absl::Time> when = ParseWhen(since, now);
    if (!when.ok()) return when.status();
    choice.since = *when;
  }
  choice.held = Flag(args, "held");
  return choice;
}

bool Matches(const MailQueue& queue, const Choice& choice, const QueuedMail& mail) {
  if (choice.held && !mail.held) return false;
  if (!choice.id.empty() && mail.id != choice.id) return false;
  if (choice.nobody && !mail.charged.empty()) return false;
  if (!choice.sender.empty() && !absl::EqualsIgnoreCase(mail.sender, choice.sender)) return false;
  if (mail.arrival < choice.since) return false;
  if (!choice.subject.empty() &&
      std::none_of(mail.charged.begin(), mail.charged.end(),
                   [&](const Charged& one) { return one.subject.ToString() == choice.subject; })) {
    return false;
  }
  // Last, because it needs a lookup in the ledger.
  return choice.mail_subject.empty() ||
         absl::StrContains(absl::AsciiStrToLower(queue.SubjectLineOf(mail)),
                           absl::AsciiStrToLower(choice.mail_subject));
}

absl::StatusOr<std::vector<QueuedMail>> Chosen(const MailQueue& queue, const Choice& choice) {
  absl::StatusOr<std::vector<QueuedMail>> all = queue.List();
  if (!all.ok()) return all.status();
  std::vector<QueuedMail> chosen;
  for (QueuedMail& mail : *all) {
    if (Matches(queue, choice, mail)) chosen.push_back(std::move(mail));
  }
  return chosen;
}

std::string SubjectOf(const QueuedMail& mail) {
  return mail.charged.empty() ? "" : mail.charged.back().subject.ToString();
}

Json MailJson(const QueuedMail& mail) {
  Json subject = nullptr;
  if (!mail.charged.empty()) subject = SubjectOf(mail);
  return {{"id", mail.id},
          {"state", mail.held     ? "held"
                    : mail.frozen ? "frozen"
                                  : "queued"},
          {"subject", std::move(subject)},
          {"sender", mail.sender},
          {"login", mail.identity.login},
          {"user", mail.identity.user},
          {"recipients", mail.recipients},
          {"arrival",
           mail.arrival == absl::InfinitePast() ? Json(nullptr) : Json(FormatUtc(mail.arrival))},
          {"size", mail.size},
          {"helper", mail.helper},
          {"problem", mail.problem.empty() ? Json(nullptr) : Json(mail.problem)}};
}

Json MailsJson(const std::vector<QueuedMail>& mails) {
  Json list = Json::array();
  for (const QueuedMail& mail : mails) list.push_back(MailJson(mail));
  return list;
}

// Groups by age have an order of their own: this list's.
constexpr std::pair<absl::Duration, const char*> kAges[] = {
    {absl::Hours(1), "less than 1 hour"},
    {absl::Hours(4), "1 to 4 hours"},
    {absl::Hours(24), "4 to 24 hours"},
    {absl::Hours(5 * 24), "1 to 5 days"},
    {absl::InfiniteDuration(), "more than 5 days"}};

std::string AgeOf(const QueuedMail& mail, absl::Time now) {
  if (mail.arrival == absl::InfinitePast()) return "";
  for (const auto& [most, words] : kAges) {
    if (now - mail.arrival < most) return words;
  }
  return "";
}

size_t AgeRank(const std::string& name) {
  size_t rank = 0;
  while (rank < std::size(kAges) && name != kAges[rank].second) ++rank;
  return rank;
}

absl::StatusOr<Json> Grouped(const MailQueue& queue, const std::vector<QueuedMail>& mails,
                             const std::string& by) {
  std::map<std::string, std::pair<int64_t, int64_t>> groups;  // messages, held ones
  int looked = 0;
  for (const QueuedMail& mail : mails) {
    std::vector<std::string> names;
    if (by == "subject") {
      names.push_back(SubjectOf(mail));
    } else if (by == "login") {
      names.push_back(mail.identity.login);
    } else if (by == "script") {
      // Each lookup reads the ledger, and other clients of the admin socket wait.
      const bool looked_up = ++looked <= kMaxLooked;
      names.push_back(looked_up ? queue.ScriptOf(mail) : mail.identity.user);
    } else if (by == "to") {
      names = mail.recipients;
      if (names.empty()) names.emplace_back();
    } else if (by == "reason") {
      names.push_back(mail.held                ? "held"
                      : mail.frozen            ? "frozen"
                      : ++looked <= kMaxLooked ? queue.ReasonOf(mail)
                                               : "");
    } else if (by == "age") {
      names.push_back(AgeOf(mail, queue.Now()));
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "by: ", Quoted(by), " is not supported (use subject, script, login, to, reason or age)"));
    }
    for (const std::string& name : names) {
      auto& [messages, held] = groups[name];
      ++messages;
      held += mail.held ? 1 : 0;
    }
  }
  Json list = Json::array();
  for (const auto& [name, counts] : groups) {
    list.push_back({{"name", name}, {"messages", counts.first}, {"held", counts.second}});
  }
  std::stable_sort(list.begin(), list.end(), [&](const Json& a, const Json& b) {
    if (by == "age") {
      return AgeRank(a["name"].get<std::string>()) < AgeRank(b["name"].get<std::string>());
    }
    return a["messages"] > b["messages"];
  });
  return list;
}

// Removes or redirects one message; whether deferd may is the helper's decision.
absl::StatusOr<Json> TakeOut(const MailQueue& queue, const Choice& choice, const std::string& verb,
                             const Json& args, const std::string& person) {
  const bool redirect = verb == "redirect";
  absl::StatusOr<std::string> address = TextArg(args, "address");
  if (!address.ok()) return address.status();
  if (choice.id.empty() || (redirect && address->empty())) {
    return absl::InvalidArgumentError(redirect ? "redirect: name the message (id) and the address"
                                               : "discard: name the message (id)");
  }
  Choice one;
  one.id = choice.id;
  absl::StatusOr<std::vector<QueuedMail>> mails = Chosen(queue, one);
  if (!mails.ok()) return mails.status();
  if (mails->empty()) {
    return absl::NotFoundError(absl::StrCat(choice.id, " is not in the queue"));
  }
  const Json request = redirect ? Json{{"id", choice.id}, {"address", *address}}
                                : Json{{"ids", Json::array({choice.id})}};
  absl::StatusOr<Json> answer = queue.Call(verb, request);
  if (!answer.ok()) return answer.status();
  const std::string why = Field(At(*answer, "not_done"), choice.id.c_str());
  if (!why.empty()) return absl::FailedPreconditionError(absl::StrCat(choice.id, ": ", why));
  const std::string done = redirect ? absl::StrCat("redirected to ", *address) : "discarded";
  queue.Record(*mails, redirect ? Outcome::kQueued : Outcome::kDiscarded,
               absl::StrCat(done, " by ", person));
  spdlog::info("queue: {} {} by {}", choice.id, PrintableUtf8(done), person);
  return Json::object();
}

absl::StatusOr<Json> Release(const QueueVerbParts& parts, const Choice& choice, bool dry_run,
                             const std::string& person) {
  if (choice.subject.empty() && choice.id.empty() && !choice.nobody) {
    return absl::InvalidArgumentError(
        "release: name a sender (example.com, login:bob@example.com, nobody) or a message "
        "id; deferctl queue --held lists the held messages");
  }
  absl::StatusOr<std::vector<QueuedMail>> all = Chosen(*parts.queue, choice);
  if (!all.ok()) return all.status();
  std::vector<QueuedMail> mails;
  std::vector<std::string> ids;
  for (QueuedMail& mail : *all) {
    const std::optional<Case> record = LastCaseOf(mail, *parts.cases);
    const bool ours = record.has_value() ? HeldByDeferd(mail, *record, *parts.held) : mail.ours;
    if (!mail.held || !ours) continue;
    ids.push_back(mail.id);
    mails.push_back(std::move(mail));
  }
  if (dry_run || mails.empty()) return MailsJson(mails);
  parts.held->Release(ids);
  parts.queue->Record(mails, Outcome::kQueued, absl::StrCat(kReleasedPrefix, person));
  spdlog::info("queue: {} messages released by {}", ids.size(), person);
  const std::map<std::string, std::string> not_done = parts.release(ids);
  Json list = MailsJson(mails);
  for (Json& one : list) {
    const auto found = not_done.find(one["id"].get<std::string>());
    if (found != not_done.end()) one["not_done"] = found->second;
  }
  return list;
}

// Records what root's deferctl made the helper do: "messages" as `list` returned them. The log may
// already have reported their removal.
absl::StatusOr<Json> Recorded(const MailQueue& queue, const Json& args, const std::string& person) {
  absl::StatusOr<std::string> what = TextArg(args, "what");
  if (!what.ok()) return what.status();
  absl::StatusOr<std::string> address = TextArg(args, "to");
  if (!address.ok()) return address.status();
  const Json messages = args.value("messages", Json::array());
  std::vector<QueuedMail> mails;
  for (const Json& one : messages) {
    if (!one.is_object()) continue;
    QueuedMail& mail = mails.emplace_back();
    for (const auto& [name, to] :
         {std::pair("id", &mail.id), std::pair("sender", &mail.identity.sender),
          std::pair("login", &mail.identity.login), std::pair("user", &mail.identity.user)}) {
      absl::StatusOr<std::string> text = TextArg(one, name);
      if (!text.ok()) return text.status();
      *to = *std::move(text);
    }
    absl::StatusOr<std::string> arrival = TextArg(one, "arrival");
    if (arrival.ok() && !arrival->empty()) {
      absl::ParseTime(absl::RFC3339_full, *arrival, &mail.arrival, nullptr);
    }
  }
  if (mails.empty() || (*what != "discarded" && *what != "redirected")) {
    return absl::InvalidArgumentError(
        "recorded: expected \"messages\", and \"what\" = discarded or redirected");
  }
  queue.Record(
      mails, *what == "discarded" ? Outcome::kDiscarded : Outcome::kQueued,
      absl::StrCat(*what, address->empty() ? "" : absl::StrCat(" to ", *address), " by ", person));
  spdlog::info("queue: {} messages {} by {}", mails.size(), *what, person);
  return Json::object();
}

}  // namespace

Json HeldForSubject(const QueueVerbParts& parts, const Subject& subject) {
  absl::StatusOr<std::vector<QueuedMail>> queue = parts.queue->List(kSampleLimit);
  if (!queue.ok()) return {{"messages", nullptr}, {"problem", queue.status().message()}};
  int64_t messages = 0;
  Json sample = Json::array();
  for (const QueuedMail& mail : *queue) {
    if (!mail.held) continue;
    const std::optional<Case> record = LastCaseOf(mail, *parts.cases);
    if (!record.has_value() || record->subject != subject ||
        !HeldByDeferd(mail, *record, *parts.held)) {
      continue;
    }
    if (messages++ < kSampled) sample.push_back(MailJson(mail));
  }
  return {{"messages", messages}, {"sample", std::move(sample)}};
}

absl::StatusOr<Json> QueueVerb(const QueueVerbParts& parts, const Json& args,
                               const std::string& person) {
  const MailQueue& queue = *parts.queue;
  absl::StatusOr<std::string> what = TextArg(args, "do");
  if (!what.ok()) return what.status();
  absl::StatusOr<Choice> choice = ReadChoice(args, queue.Now());
  if (!choice.ok()) return choice.status();
  if (*what == "list") {
    absl::StatusOr<std::vector<QueuedMail>> mails = Chosen(queue, *choice);
    if (!mails.ok()) return mails.status();
    absl::StatusOr<std::string> by = TextArg(args, "by");
    if (!by.ok()) return by.status();
    return by->empty() ? MailsJson(*mails) : Grouped(queue, *mails, *by);
  }
  if (*what == "release") {
    return Release(parts, *choice, Flag(args, "dry_run"), person);
  }
  if (*what == "recorded") return Recorded(queue, args, person);
  if (*what == "discard" || *what == "redirect") {
    return TakeOut(queue, *choice, *what, args, person);
  }
  absl::Status done = absl::InvalidArgumentError(
      "queue: unknown action (expected list, release, requeue, flush, discard, redirect or "
      "recorded)");
  if (*what == "flush") done = queue.Call("flush", Json::object()).status();
  if (*what == "requeue") done = queue.Call("requeue", {{"id", choice->id}}).status();
  if (!done.ok()) return done;
  spdlog::info("queue: {} {} by {}", *what, choice->id, person);
  return Json::object();
}

}  // namespace deferd
