#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "exporter/notice/message.h"
#include "limiter/admin/why.h"
#include "limiter/app/running_daemon.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/host_name.h"
#include "limiter/port/log.h"

namespace deferd {

namespace {

constexpr size_t kListed = 200;      // notices that `notice list` shows
constexpr size_t kDigestLines = 20;  // of each kind
constexpr absl::Duration kDay = absl::Hours(24);
constexpr size_t kClassRows = 50'000;  // of the ledger, of a day
constexpr size_t kClassLines = 5;

Json KindsJson(std::map<NoticeKind, std::vector<std::string>> seen) {
  Json kinds = Json::object();
  for (auto& [kind, names] : seen) {
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    const size_t all = names.size();
    names.resize(std::min(all, kDigestLines));
    Json listed = Json::object();
    listed["names"] = names;
    listed["more"] = all - names.size();
    kinds[std::string(InfoOf(kind).name)] = std::move(listed);
  }
  return kinds;
}

// Bad deliveries by the class of the answer; nullopt: the ledger does not reach back, or is none.
std::optional<std::map<std::string, int64_t>> ClassesOf(LedgerReader& reader,
                                                        const std::string& domain, absl::Time since,
                                                        absl::Time until) {
  const absl::StatusOr<LedgerPage> page =
      reader.Search({.domain = domain,
                     .outcomes = {Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired},
                     .since = since,
                     .until = until,
                     .limit = kClassRows});
  if (!page.ok()) return std::nullopt;
  const absl::StatusOr<absl::Time> oldest = reader.OldestTime();
  if (!oldest.ok() || *oldest > since) return std::nullopt;
  std::map<std::string, int64_t> classes;
  for (const LedgerRow& row : page->rows) {
    if (!row.reply_class.empty()) ++classes[row.reply_class];
  }
  return classes;
}

Json ClassesJson(const std::optional<std::map<std::string, int64_t>>& today,
                 const std::optional<std::map<std::string, int64_t>>& before) {
  Json list = Json::array();
  if (!today.has_value()) return list;
  std::vector<std::pair<int64_t, std::string>> ranked;
  for (const auto& [name, count] : *today) ranked.emplace_back(-count, name);
  std::sort(ranked.begin(), ranked.end());
  for (const auto& [count, name] : ranked) {
    if (list.size() == kClassLines) break;
    Json one = {{"class", name}, {"count", -count}, {"before", nullptr}};
    if (before.has_value()) {
      const auto found = before->find(name);
      one["before"] = found == before->end() ? 0 : found->second;
    }
    list.push_back(std::move(one));
  }
  return list;
}

Json DeliveriesJson(const Notice& notice) {
  Json deliveries = Json::array();
  for (const auto& [sink, one] : notice.deliveries) {
    deliveries.push_back(
        {{"sink", sink},
         {"state", std::string(DeliveryStateName(one.state))},
         {"attempts", one.attempts},
         {"next_try", one.state == DeliveryState::kPending && one.next_try > absl::InfinitePast()
                          ? Json(FormatUtc(one.next_try))
                          : Json(nullptr)},
         {"done",
          one.done_at == absl::InfiniteFuture() ? Json(nullptr) : Json(FormatUtc(one.done_at))},
         {"error", one.error}});
  }
  return deliveries;
}

Json NoticeJson(const Notice& notice) {
  return {{"id", notice.id},
          {"event", std::string(InfoOf(notice.kind).name)},
          {"severity", std::string(SeverityName(InfoOf(notice.kind).severity))},
          {"time", FormatUtc(notice.time)},
          {"subject", notice.subject},
          {"deliveries", DeliveriesJson(notice)}};
}

}  // namespace

void RunningDaemon::StartNotices() {
  notice_maker_.SetListeners(!config_.notices.empty());
  notice_reader_ = store_->NewReader();
  NoticeDispatcher::Parts parts;
  parts.outbox = &outbox_;
  parts.clock = &clock_;
  parts.zone = config_.zone;
  parts.sink = {.node = state_dir_->node(),
                .host = HostName(),
                .why = [this](const std::string& subject) { return WhyOf(subject); },
                .link = [this](const Notice& notice, const std::string& address,
                               bool named) { return OwnerLinkFor(notice, address, named); },
                .own_mail = &own_mail_};
  parts.save = [this] { committer_.Commit().IgnoreError(); };
  parts.has_tag = [this](const std::string& subject, const std::string& domain,
                         const std::string& tag) {
    const absl::StatusOr<Subject> parsed = Subject::Parse(subject);
    const Settings settings = limiter_.settings();
    return parsed.ok() && std::any_of(settings.policy->tags.begin(), settings.policy->tags.end(),
                                      [&](const auto& one) {
                                        return one->name == tag &&
                                               one->names.Matches(*parsed, domain);
                                      });
  };
  parts.digest = [this](const std::string& domain, const std::string&) { return Digest(domain); };
  parts.digest_domains = [this] { return DigestDomains(); };
  dispatcher_ = std::make_unique<NoticeDispatcher>(config_.notices, std::move(parts));
  dispatcher_->Start();
}

// True: they were others.
bool RunningDaemon::SetNoticeSinks(const std::vector<NoticeSink>& sinks) {
  if (dispatcher_ == nullptr || sinks == notice_sinks_) return false;
  notice_sinks_ = sinks;
  notice_maker_.SetListeners(!sinks.empty());
  dispatcher_->SetSinks(sinks);
  return true;
}

Json RunningDaemon::WhyOf(const std::string& subject) const {
  const absl::StatusOr<Subject> parsed = Subject::Parse(subject);
  if (!parsed.ok()) return nullptr;
  WhyParts parts;
  parts.limiter = &limiter_;
  parts.cases = &cases_;
  parts.search = [this](const LedgerQuery& query) { return notice_reader_->Search(query); };
  parts.receipt = [this](const Case& record) { return committer_.ReceiptOf(record); };
  parts.gate = &gate_;
  return WhyJson(parts, *parsed, clock_.Now());
}

std::vector<StandingTrouble> RunningDaemon::StandingTroubles(
    const std::vector<FollowerStatus>& sources) const {
  std::vector<StandingTrouble> troubles;
  for (const BlindAlarm& one : reported_blind_) {
    const bool hook = one.kind == BlindAlarm::Kind::kHook;
    troubles.push_back({.key = absl::StrCat("blind-", BlindKindName(one.kind)),
                        .kind = hook ? NoticeKind::kHookNotAsked : NoticeKind::kLogProblem,
                        .what = one.what,
                        .remedy = one.remedy,
                        .subject = ""});
  }
  for (const FollowerStatus& one : sources) {
    if (one.readable && one.problem.empty()) continue;
    troubles.push_back({.key = absl::StrCat("log-", one.path),
                        .kind = NoticeKind::kLogProblem,
                        .what = absl::StrCat(one.path, ": ", one.problem),
                        .remedy = "deferctl doctor",
                        .subject = ""});
  }
  if (const std::string problem = committer_.status().problem; !problem.empty()) {
    troubles.push_back({.key = "store",
                        .kind = NoticeKind::kStoreTrouble,
                        .what = problem,
                        .remedy = "make room on the disk, or repair it; counting goes on in memory",
                        .subject = ""});
  }
  if (sharing_ != nullptr) {
    const std::vector<std::string> causes = sharing_->Causes();
    if (!causes.empty()) {
      troubles.push_back({.key = "shared",
                          .kind = NoticeKind::kSharedTrouble,
                          .what = causes.front(),
                          .remedy = "check Redis and the network: deferctl doctor",
                          .subject = ""});
    }
  }
  {
    MutexLock lock(&policy_mutex_);
    if (!policy_error_.empty()) {
      troubles.push_back({.key = "policy",
                          .kind = NoticeKind::kPolicyRefused,
                          .what = policy_error_,
                          .remedy = "correct the file, then: deferctl reload",
                          .subject = ""});
    }
  }
  if (queue_keeper_ != nullptr) {
    const Json held = queue_keeper_->StatusJson();
    for (const Json& one : At(held, "held")) {
      const std::string why = Field(one, "waits_for"), subject = Field(one, "subject");
      if (why.empty() || subject.empty()) continue;
      troubles.push_back({.key = absl::StrCat("waiting-", subject),
                          .kind = NoticeKind::kWaiting,
                          .what = absl::StrCat(Number(one, "messages"), " messages: ", why),
                          .remedy = "deferctl queue list",
                          .subject = subject});
    }
  }
  return troubles;
}

void RunningDaemon::WatchTroubles(const std::vector<FollowerStatus>& sources) {
  if (dispatcher_ == nullptr || !notice_maker_.listeners()) return;
  for (Notice& notice : trouble_watch_.Look(StandingTroubles(sources), clock_.Now())) {
    // That nothing can be stored cannot wait until it is.
    if (committer_.status().problem.empty()) {
      committer_.Announce(std::move(notice));
    } else {
      outbox_.AddUnstored(std::move(notice));
    }
  }
}

std::vector<std::string> RunningDaemon::DigestDomains() const {
  std::vector<std::string> domains;
  const absl::Time since = clock_.Now() - kDay;
  for (const Notice& one : outbox_.List()) {
    if (one.time < since || one.domain.empty() || one.kind == NoticeKind::kDigest) continue;
    if (std::find(domains.begin(), domains.end(), one.domain) == domains.end()) {
      domains.push_back(one.domain);
    }
  }
  return domains;
}

Json RunningDaemon::Digest(const std::string& domain) const {
  const absl::Time now = clock_.Now();
  std::map<NoticeKind, std::vector<std::string>> seen;
  for (const Notice& one : outbox_.List()) {
    if (one.time < now - kDay || one.kind == NoticeKind::kDigest) continue;
    if (!domain.empty() && one.domain != domain) continue;
    const Json facts = Json::parse(one.facts, nullptr, /*allow_exceptions=*/false);
    const std::string name = one.subject.empty() ? Field(facts, "where") : one.subject;
    seen[one.kind].push_back(name.empty() ? Field(facts, "what") : name);
  }
  Json digest = Json::object();
  if (!seen.empty()) digest["kinds"] = KindsJson(std::move(seen));
  if (queue_keeper_ != nullptr && domain.empty()) {
    const QueueKeeper::Numbers held = queue_keeper_->numbers();
    if (held.held > 0) {
      digest["held"] = {{"messages", held.held}, {"since", FormatUtc(held.oldest)}};
    }
  }
  if (digest.empty()) return nullptr;
  if (domain.empty()) {
    Json top = Json::array();
    for (const SubjectCounts& one : limiter_.Top(5)) {
      if (one.counts.bad() == 0) continue;
      top.push_back({{"subject", one.subject.ToString()},
                     {"bad", one.counts.bad()},
                     {"sent", one.counts.total()}});
    }
    if (!top.empty()) digest["top"] = std::move(top);
  }
  Json classes = ClassesJson(ClassesOf(*notice_reader_, domain, now - kDay, now),
                             ClassesOf(*notice_reader_, domain, now - 8 * kDay, now - 7 * kDay));
  if (!classes.empty()) digest["classes"] = std::move(classes);
  return digest;
}

absl::StatusOr<Json> RunningDaemon::NoticeVerb(const Json& args) {
  if (Field(args, "do") == "schema") return EventSchema();
  if (dispatcher_ == nullptr || !notice_maker_.listeners()) {
    return absl::FailedPreconditionError(
        "deferd.toml has no [notice.NAME]; the manual's page on notices shows how to write one");
  }
  const std::string action = Field(args, "do"), id = Field(args, "id"), name = Field(args, "name");
  if (action == "test") {
    absl::Status sent = dispatcher_->Test(name);
    if (!sent.ok()) return sent;
    Json result = Json::object();
    result["sent"] = name;
    return result;
  }
  if (action == "retry") {
    const int retried = outbox_.Retry(id, clock_.Now());
    if (retried == 0) {
      return absl::NotFoundError(id.empty() ? std::string("no dead notice")
                                            : absl::StrCat(id, ": no dead notice of that id"));
    }
    committer_.Commit(/*durable=*/true).IgnoreError();
    dispatcher_->TryNow();
    Json result = Json::object();
    result["retried"] = retried;
    return result;
  }
  std::vector<Notice> all = outbox_.List();
  if (action == "show") {
    for (const Notice& one : all) {
      if (one.id != id) continue;
      Json json = NoticeJson(one);
      json["facts"] = Json::parse(one.facts, nullptr, /*allow_exceptions=*/false);
      return json;
    }
    return absl::NotFoundError(absl::StrCat(id, ": no such notice"));
  }
  if (action != "list") return absl::InvalidArgumentError("do: list, show, schema, test or retry");
  Json list = Json::array();
  for (auto it = all.rbegin(); it != all.rend() && list.size() < kListed; ++it) {
    list.push_back(NoticeJson(*it));
  }
  return list;
}

Json RunningDaemon::NoticesJson() const {
  if (dispatcher_ == nullptr || !notice_maker_.listeners()) return nullptr;
  const Outbox::Stats stats = outbox_.stats();
  Json sinks = Json::array();
  for (const std::string& name : dispatcher_->names()) sinks.push_back(name);
  return {{"sinks", std::move(sinks)},
          {"pending", stats.pending},
          {"dead", stats.dead},
          {"delivered", stats.delivered},
          {"failed", stats.failed},
          {"oldest",
           stats.oldest == absl::InfiniteFuture() ? Json(nullptr) : Json(FormatUtc(stats.oldest))},
          {"lost", stats.lost}};
}

}  // namespace deferd
