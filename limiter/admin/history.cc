#include "limiter/admin/history.h"

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/admin/track_args.h"
#include "policy/counts.h"
#include "policy/fault.h"
#include "policy/organisation.h"
#include "policy/reply/reply_class.h"
#include "policy/subject.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr size_t kPage = 5'000;
constexpr size_t kMaxHistoryLooked = 50'000;
constexpr int64_t kMaxSteps = 240;
constexpr size_t kMaxSubjects = 100;
constexpr size_t kMaxHistorySample = 300;

constexpr Outcome kBad[] = {Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired};

// Calls `look` for each row, the newest first; false: there were more than kMaxHistoryLooked, with
// those that were looked at before.
absl::StatusOr<bool> LookAtAll(const LedgerSearch& search, LedgerQuery query, size_t* looked,
                               const std::function<void(const LedgerRow&)>& look) {
  query.limit = kPage;
  while (*looked < kMaxHistoryLooked) {
    absl::StatusOr<LedgerPage> page = search(query);
    if (!page.ok()) return page.status();
    for (const LedgerRow& row : page->rows) look(row);
    *looked += page->rows.size();
    if (page->next == 0) return true;
    query.before = page->next;
  }
  return false;
}

absl::StatusOr<absl::Time> Since(const Json& args, const char* otherwise, absl::Time now) {
  absl::StatusOr<std::string> text = TextArg(args, "since");
  if (!text.ok()) return text.status();
  absl::StatusOr<absl::Time> since = ParseWhen(text->empty() ? otherwise : *text, now);
  if (!since.ok()) return since.status();
  if (*since >= now) return absl::InvalidArgumentError("since: expected a time before now");
  return since;
}

size_t StepAt(absl::Time time, absl::Time since, absl::Time until, size_t steps) {
  const auto size = static_cast<int64_t>(steps);
  const absl::Duration step = (until - since) / size;
  return static_cast<size_t>(std::clamp<int64_t>((time - since) / step, 0, size - 1));
}

// The bad attempts of one subject among many.
struct Steps {
  explicit Steps(size_t size) : deferred(size), failed(size) {}
  void Add(Outcome outcome, size_t step) {
    ++(outcome == Outcome::kDeferred ? deferred : failed)[step];
  }
  std::vector<int64_t> deferred, failed;
};

struct AnswersSeen {
  int64_t count = 0;
  std::string sample;
};

struct Destination {
  Counts counts;
  std::map<std::string, AnswersSeen> answers;  // by class
};

bool NamesUs(const std::string& class_name) {
  const std::optional<ReplyClass> reply_class = ParseReplyClass(class_name);
  if (!reply_class.has_value()) return false;
  const ReplyScope scope = InfoOf(*reply_class).scope;
  return scope == ReplyScope::kIp || scope == ReplyScope::kServer;
}

Json DestinationJson(const std::string& name, const Destination& one) {
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [reply_class, answers] : one.answers) {
    ranked.emplace_back(-answers.count, reply_class);
  }
  std::sort(ranked.begin(), ranked.end());
  Json answers = Json::array();
  for (const auto& [minus, reply_class] : ranked) {
    answers.push_back({{"class", reply_class},
                       {"count", -minus},
                       {"names_us", NamesUs(reply_class)},
                       {"sample", one.answers.at(reply_class).sample}});
  }
  return {{"name", name},
          {"provider", std::string(ProviderName(name))},
          {"delivered", one.counts.delivered},
          {"deferred", one.counts.deferred},
          {"failed", one.counts.failed},
          {"answers", std::move(answers)}};
}

}  // namespace

SubjectHistory::SubjectHistory(absl::Time since, absl::Time until, size_t steps)
    : since_(since), until_(until), delivered_(steps), deferred_(steps), failed_(steps) {}

void SubjectHistory::JoinIn(const std::string& subject, RowPass* pass) {
  LedgerQuery query;
  query.subject = subject;
  query.since = since_;
  query.until = until_;
  query.outcomes.assign(std::begin(kBad), std::end(kBad));
  query.outcomes.push_back(Outcome::kDelivered);
  all_ = pass->Add(query, kMaxHistoryLooked, [this](const LedgerRow& row) {
    std::vector<int64_t>& list = row.outcome == Outcome::kDelivered  ? delivered_
                                 : row.outcome == Outcome::kDeferred ? deferred_
                                                                     : failed_;
    ++list[StepAt(row.time, since_, until_, list.size())];
  });
}

Json SubjectHistory::ToJson() const {
  const absl::Duration step = (until_ - since_) / static_cast<int64_t>(delivered_.size());
  return {{"since", FormatUtc(since_)},
          {"until", FormatUtc(until_)},
          {"step_seconds", absl::ToDoubleSeconds(step)},
          {"all", *all_},
          {"delivered", delivered_},
          {"deferred", deferred_},
          {"failed", failed_}};
}

absl::StatusOr<Json> History(const LedgerSearch& search, const Json& args, absl::Time now) {
  absl::StatusOr<absl::Time> since = Since(args, "24h", now);
  if (!since.ok()) return since.status();
  absl::StatusOr<int64_t> size = WholeArg(args, "steps", SubjectHistory::kUsualSteps);
  if (!size.ok()) return size.status();
  if (*size < 1 || *size > kMaxSteps) {
    return absl::InvalidArgumentError(absl::StrCat("steps: from 1 to ", kMaxSteps));
  }
  absl::StatusOr<std::string> text = TextArg(args, "subject");
  if (!text.ok()) return text.status();
  absl::StatusOr<std::string> by = TextArg(args, "by");
  if (!by.ok()) return by.status();
  if (!by->empty() && *by != "subject") {
    return absl::InvalidArgumentError("by: expected \"subject\"");
  }
  absl::StatusOr<Confines> confines = Confines::FromArgs(args);
  if (!confines.ok()) return confines.status();
  LedgerQuery query;
  if (!text->empty()) {
    absl::StatusOr<Subject> subject = Subject::Parse(*text);
    if (!subject.ok()) return subject.status();
    query.subject = subject->ToString();
  }
  const bool by_subject = !by->empty();
  if (!by_subject && !confines->everybody()) {
    return absl::PermissionDeniedError("this counts the mail of the whole server");
  }
  query.since = *since;
  query.until = now;
  query.outcomes.assign(std::begin(kBad), std::end(kBad));

  const auto steps = static_cast<size_t>(*size);
  if (!by_subject) {
    RowPass pass(query.subject);
    SubjectHistory one(*since, now, steps);
    one.JoinIn(query.subject, &pass);
    absl::Status passed = pass.Run(search);
    if (!passed.ok()) return passed;
    return one.ToJson();
  }
  std::map<std::string, Steps> subjects;
  const auto add = [&](const LedgerRow& row) {
    const size_t at = StepAt(row.time, *since, now, steps);
    for (const std::string& name : {row.subject, row.narrower}) {
      if (name.empty() || (!subjects.contains(name) && subjects.size() >= kMaxSubjects)) continue;
      if (!confines->everybody()) {
        const absl::StatusOr<Subject> subject = Subject::Parse(name);
        if (!subject.ok() || !confines->Hold(*subject)) continue;
      }
      subjects.try_emplace(name, steps).first->second.Add(row.outcome, at);
    }
  };
  size_t looked = 0;
  absl::StatusOr<bool> whole = true;
  if (confines->everybody()) {
    whole = LookAtAll(search, query, &looked, add);
  } else {
    // Each by itself: the newest rows of all may be others' alone.
    for (const std::string& domain : confines->domains()) {
      query.domain = domain;
      const absl::StatusOr<bool> one = LookAtAll(search, query, &looked, add);
      if (!one.ok()) return one.status();
      whole = *whole && *one;
    }
  }
  if (!whole.ok()) return whole.status();
  Json history = {{"since", FormatUtc(*since)},
                  {"until", FormatUtc(now)},
                  {"step_seconds", absl::ToDoubleSeconds((now - *since) / *size)},
                  {"all", *whole}};
  history["subjects"] = Json::object();
  for (const auto& [name, one] : subjects) {
    history["subjects"][name] = {{"deferred", one.deferred}, {"failed", one.failed}};
  }
  return history;
}

absl::StatusOr<Json> Destinations(const LedgerSearch& search, const Json& args, absl::Time now) {
  absl::StatusOr<absl::Time> since = Since(args, "1h", now);
  if (!since.ok()) return since.status();
  absl::StatusOr<int64_t> limit = WholeArg(args, "limit", 50);
  if (!limit.ok()) return limit.status();
  LedgerQuery query;
  query.since = *since;
  query.until = now;
  query.outcomes.assign(std::begin(kBad), std::end(kBad));
  query.outcomes.push_back(Outcome::kDelivered);
  std::map<std::string, Destination> destinations;
  size_t looked = 0;
  absl::StatusOr<bool> whole = LookAtAll(search, query, &looked, [&](const LedgerRow& row) {
    if (row.host.empty() && row.host_ip.empty()) return;  // no server was reached
    Destination& one = destinations[OrganisationOf(row.host.empty() ? row.host_ip : row.host)];
    one.counts.Add(CountedAs(row.outcome));
    if (row.outcome == Outcome::kDelivered || row.reply_class.empty()) return;
    AnswersSeen& answers = one.answers[row.reply_class];
    ++answers.count;
    if (answers.sample.empty()) answers.sample = std::string(CutUtf8(row.reply, kMaxHistorySample));
  });
  if (!whole.ok()) return whole.status();
  std::vector<std::pair<const std::string*, const Destination*>> ranked;
  for (const auto& [name, one] : destinations) ranked.emplace_back(&name, &one);
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    const auto rank = [](const Counts& counts) {
      return std::make_pair(-counts.bad(), -counts.delivered);
    };
    return rank(a.second->counts) < rank(b.second->counts);
  });
  if (*limit > 0 && ranked.size() > static_cast<size_t>(*limit)) {
    ranked.resize(static_cast<size_t>(*limit));
  }
  Json rows = Json::array();
  for (const auto& [name, one] : ranked) rows.push_back(DestinationJson(*name, *one));
  return Json{{"since", FormatUtc(*since)},
              {"until", FormatUtc(now)},
              {"all", *whole},
              {"rows", std::move(rows)}};
}

}  // namespace deferd
