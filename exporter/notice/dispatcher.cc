#include "exporter/notice/dispatcher.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"
#include "policy/subject.h"

namespace deferd {

namespace {

constexpr absl::Duration kLook = absl::Seconds(20);  // at the clock, for digests and quiet hours
constexpr absl::Duration kHour = absl::Hours(1);
constexpr size_t kMostDue = 10'000;       // in one turn
constexpr size_t kThreadsApart = 5;       // more troubles than these at once are a storm
constexpr size_t kMostSubjects = 10'000;  // whose messages are counted

void ForgetOld(std::deque<absl::Time>* times, absl::Time now) {
  while (!times->empty() && times->front() <= now - kHour) times->pop_front();
}

int MinuteOf(absl::Time t, absl::TimeZone zone) {
  const absl::CivilMinute minute = absl::ToCivilMinute(t, zone);
  return minute.hour() * 60 + minute.minute();
}

}  // namespace

NoticeDispatcher::NoticeDispatcher(std::vector<NoticeSink> sinks, Parts parts,
                                   const NewSinkFunction& new_sink)
    : parts_(std::move(parts)), new_sink_(new_sink) {
  auto workers = std::make_shared<Workers>();
  for (NoticeSink& one : sinks) {
    std::shared_ptr<Worker> worker = NewWorker(std::move(one));
    (*workers)[worker->config.name] = std::move(worker);
  }
  MutexLock lock(&mutex_);
  workers_ = std::move(workers);
}

std::shared_ptr<NoticeDispatcher::Worker> NoticeDispatcher::NewWorker(NoticeSink config) const {
  auto worker = std::make_shared<Worker>();
  worker->config = std::move(config);
  worker->sink = new_sink_(worker->config, parts_.sink);
  return worker;
}

std::shared_ptr<const NoticeDispatcher::Workers> NoticeDispatcher::workers() const {
  MutexLock lock(&mutex_);
  return workers_;
}

std::vector<std::string> NoticeDispatcher::names() const {
  std::vector<std::string> names;
  for (const auto& [name, worker] : *workers()) names.push_back(name);
  return names;
}

void NoticeDispatcher::StartWorker(const std::shared_ptr<Worker>& worker) {
  worker->thread = std::thread([this, one = worker.get()] { Run(one); });
}

void NoticeDispatcher::Start() {
  const std::shared_ptr<const Workers> all = workers();
  RememberSent(*all);
  GiveUpUnknown(*all);
  parts_.outbox->OnStored([this] { Wake(); });
  for (const auto& [name, worker] : *all) StartWorker(worker);
  MutexLock lock(&mutex_);
  started_ = true;
}

void NoticeDispatcher::SetSinks(std::vector<NoticeSink> sinks) {
  const std::shared_ptr<const Workers> before = workers();
  auto next = std::make_shared<Workers>();
  std::vector<std::shared_ptr<Worker>> added, retired;
  for (NoticeSink& one : sinks) {
    const auto known = before->find(one.name);
    if (known != before->end() && known->second->config == one) {
      (*next)[one.name] = known->second;
      continue;
    }
    std::shared_ptr<Worker> worker = NewWorker(std::move(one));
    if (known != before->end()) worker->before = known->second;
    (*next)[worker->config.name] = worker;
    added.push_back(std::move(worker));
  }
  for (const auto& [name, worker] : *before) {
    const auto kept = next->find(name);
    if (kept != next->end() && kept->second == worker) continue;
    worker->retired.store(true);
    retired.push_back(worker);
  }
  bool started = false;
  {
    MutexLock lock(&mutex_);
    workers_ = next;
    retired_.insert(retired_.end(), retired.begin(), retired.end());
    started = started_ && !stopping_;
    ++wakes_;
    changed_.NotifyAll();
  }
  GiveUpUnknown(*next);
  if (!started) return;
  for (const std::shared_ptr<Worker>& one : added) StartWorker(one);
}

// On the new worker's thread.
void NoticeDispatcher::AwaitBefore(Worker* worker) const {
  const std::shared_ptr<Worker> before = std::exchange(worker->before, nullptr);
  if (before == nullptr) return;
  if (before->thread.joinable()) before->thread.join();
  // A reload gives nobody more messages.
  worker->sent = std::move(before->sent);
  worker->sent_of = std::move(before->sent_of);
}

void NoticeDispatcher::GiveUpUnknown(const Workers& workers) {
  const absl::Time now = parts_.clock->Now();
  // Nobody else would ever look at what was made while there were sinks.
  if (workers.empty()) {
    parts_.outbox->Route([](const Notice&) { return std::vector<std::string>(); });
  }
  bool any = workers.empty();
  for (const Notice& notice : parts_.outbox->List()) {
    for (const auto& [name, delivery] : notice.deliveries) {
      if (delivery.state != DeliveryState::kPending || workers.contains(name)) continue;
      NoticeDelivery dead = delivery;
      dead.state = DeliveryState::kDead;
      dead.done_at = now;
      dead.error = absl::StrCat("there is no [notice.", name, "] any more");
      parts_.outbox->SetDelivery(notice.id, name, dead, now);
      any = true;
    }
  }
  if (any) parts_.save();
}

void NoticeDispatcher::Wake() {
  MutexLock lock(&mutex_);
  ++wakes_;
  changed_.NotifyAll();
}

void NoticeDispatcher::TryNow() {
  const std::shared_ptr<const Workers> all = workers();
  for (const auto& [name, worker] : *all) worker->try_now.store(true);
  Wake();
}

void NoticeDispatcher::Stop() {
  std::vector<std::shared_ptr<Worker>> all;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
    for (const auto& [name, worker] : *workers_) all.push_back(worker);
  }
  parts_.outbox->OnStored(nullptr);
  // These first: they join those before them.
  for (const std::shared_ptr<Worker>& one : all) {
    if (one->thread.joinable()) one->thread.join();
  }
  {
    MutexLock lock(&mutex_);
    all = std::exchange(retired_, {});
  }
  // The newest first, for the same reason.
  for (auto one = all.rbegin(); one != all.rend(); ++one) {
    if ((*one)->thread.joinable()) (*one)->thread.join();
  }
}

// A restart gives nobody more messages.
void NoticeDispatcher::RememberSent(const Workers& workers) const {
  const absl::Time now = parts_.clock->Now();
  std::map<std::string, std::map<std::string, std::vector<absl::Time>>> sent;
  for (const Notice& notice : parts_.outbox->List()) {
    for (const auto& [name, delivery] : notice.deliveries) {
      if (delivery.state != DeliveryState::kDelivered || delivery.done_at <= now - kHour) continue;
      sent[name][notice.subject].push_back(delivery.done_at);
    }
  }
  for (auto& [name, of_subjects] : sent) {
    const auto worker = workers.find(name);
    if (worker == workers.end()) continue;
    std::vector<absl::Time> all;
    for (auto& [subject, times] : of_subjects) {
      absl::c_sort(times);
      times.erase(std::unique(times.begin(), times.end()), times.end());
      all.insert(all.end(), times.begin(), times.end());
      worker->second->sent_of[subject].assign(times.begin(), times.end());
    }
    absl::c_sort(all);
    all.erase(std::unique(all.begin(), all.end()), all.end());
    worker->second->sent.assign(all.begin(), all.end());
  }
}

std::vector<std::string> NoticeDispatcher::SinksOf(const Notice& notice) const {
  std::vector<std::string> names;
  // Digests and tests name their sink.
  if (notice.kind == NoticeKind::kDigest || notice.kind == NoticeKind::kTest) return names;
  const std::shared_ptr<const Workers> all = workers();
  for (const auto& [name, worker] : *all) {
    const NoticeSink& config = worker->config;
    if (!absl::c_linear_search(config.on, notice.kind)) continue;
    if (!notice.subject.empty()) {
      const absl::StatusOr<Subject> subject = Subject::Parse(notice.subject);
      const bool kind = config.kinds.empty() ||
                        (subject.ok() && absl::c_linear_search(config.kinds, subject->kind));
      const bool tag =
          config.tags.empty() || absl::c_any_of(config.tags, [&](const std::string& one) {
            return parts_.has_tag && parts_.has_tag(notice.subject, notice.domain, one);
          });
      if (!kind || !tag) continue;
    }
    if (worker->sink->KeyOf(notice).empty()) continue;
    names.push_back(name);
  }
  return names;
}

void NoticeDispatcher::Run(Worker* worker) {
  AwaitBefore(worker);
  while (true) {
    int64_t seen = 0;
    {
      MutexLock lock(&mutex_);
      if (stopping_ || worker->retired.load()) return;
      seen = wakes_;
    }
    const absl::Time next = TurnOf(worker, parts_.clock->Now());
    MutexLock lock(&mutex_);
    const absl::Duration wait =
        std::clamp(next - parts_.clock->Now(), absl::Milliseconds(50), kLook);
    if (!stopping_ && wakes_ == seen) changed_.WaitFor(&mutex_, wait);
  }
}

absl::Time NoticeDispatcher::Turn(const std::string& name, absl::Time now) {
  return TurnOf(workers()->at(name).get(), now);
}

absl::Time NoticeDispatcher::TurnOf(Worker* worker, absl::Time now) {
  const std::string& name = worker->config.name;
  parts_.outbox->Route([this](const Notice& notice) { return SinksOf(notice); });
  AddDigests(worker, now);
  if (worker->try_now.exchange(false)) worker->closed_until = absl::InfinitePast();
  // No pause is longer; a later time is of a clock that was set back since.
  if (worker->closed_until > now && worker->closed_until <= now + kHour) {
    return worker->closed_until;
  }
  Round due = parts_.outbox->Due(name, now, kMostDue);
  if (!due.empty()) {
    const absl::Time first = absl::c_min_element(due, [](const Notice& a, const Notice& b) {
                               return a.time < b.time;
                             })->time;
    const absl::Time together = first + worker->config.batch;
    const bool retry = absl::c_any_of(
        due, [&](const Notice& one) { return one.deliveries.at(name).attempts > 0; });
    if (!retry && first <= now && together > now) return together;
    due = LeaveOut(worker, std::move(due), now);
  }
  std::map<std::string, Round> by_key;
  for (Notice& one : due) {
    const std::string& left = one.deliveries.at(name).left;
    const std::string key = left.empty() ? worker->sink->KeyOf(one) : left;
    by_key[key].push_back(std::move(one));
  }
  bool reachable = true;
  for (auto& [key, notices] : by_key) {
    if (!reachable) break;
    std::map<std::string, Round> threads;
    for (const Notice& one : notices) threads[one.thread].push_back(one);
    std::vector<Round> messages;
    if (threads.size() > kThreadsApart && worker->sink->MostTogether() > 1) {
      for (size_t i = 0; i < notices.size(); i += worker->sink->MostTogether()) {
        const size_t end = std::min(notices.size(), i + worker->sink->MostTogether());
        messages.emplace_back(notices.begin() + static_cast<std::ptrdiff_t>(i),
                              notices.begin() + static_cast<std::ptrdiff_t>(end));
      }
    } else {
      for (auto& [thread, of_thread] : threads) messages.push_back(std::move(of_thread));
    }
    for (const Round& message : messages) {
      {
        MutexLock lock(&mutex_);
        if (stopping_ || worker->retired.load()) return now;
      }
      reachable = SendOne(worker, key, message, now);
      if (!reachable) break;
    }
  }
  if (!due.empty()) parts_.save();
  return parts_.outbox->NextDue(name);
}

NoticeDispatcher::Round NoticeDispatcher::LeaveOut(Worker* worker, Round due, absl::Time now) {
  const std::string& name = worker->config.name;
  const absl::Time quiet_until = QuietUntil(worker->config, now);
  Round left, quiet;
  for (Notice& one : due) {
    const NoticeDelivery& delivery = one.deliveries.at(name);
    // What waits behind others that fail has no attempt of its own.
    if (one.time + worker->config.expire <= now &&
        (delivery.attempts > 0 || worker->failures > 0)) {
      NoticeDelivery dead = delivery;
      dead.state = DeliveryState::kDead;
      dead.done_at = now;
      dead.error =
          absl::StrCat("expired: ", delivery.attempts > 0 ? delivery.error : worker->last_error);
      parts_.outbox->SetDelivery(one.id, name, dead, now);
      spdlog::error("notice {} for [notice.{}] was given up: {}", one.id, name, dead.error);
    } else if (quiet_until > now && InfoOf(one.kind).severity != Severity::kCritical) {
      quiet.push_back(std::move(one));
    } else {
      left.push_back(std::move(one));
    }
  }
  Postpone(worker, quiet, quiet_until, now);
  return left;
}

// False: the sink takes nothing now, so that more attempts are of no use.
bool NoticeDispatcher::SendOne(Worker* worker, const std::string& key, const Round& message,
                               absl::Time now) {
  const std::string& name = worker->config.name;
  const std::string& subject = message.back().subject;
  absl::Time again;
  if (!MaySend(worker, subject, now, &again)) {
    Postpone(worker, message, again, now);
    return true;
  }
  std::string left;
  const absl::Status sent = worker->sink->Send(key, message, now, &left);
  const bool for_good = absl::IsInvalidArgument(sent);
  int attempts = 0;
  for (const Notice& one : message) {
    NoticeDelivery delivery = one.deliveries.at(name);
    attempts = ++delivery.attempts;
    delivery.error = std::string(sent.message());
    if (!left.empty()) delivery.left = left;
    delivery.state = sent.ok()  ? DeliveryState::kDelivered
                     : for_good ? DeliveryState::kDead
                                : DeliveryState::kPending;
    if (delivery.state == DeliveryState::kPending) {
      delivery.next_try = now + Pause(delivery.attempts);
    } else {
      delivery.done_at = now;
    }
    parts_.outbox->SetDelivery(one.id, name, delivery, now);
  }
  // At once: what was delivered is not delivered again after a crash.
  parts_.save();
  if (sent.ok()) {
    worker->failures = 0;
    worker->sent.push_back(now);
    if (worker->sent_of.size() > kMostSubjects) worker->sent_of.clear();
    worker->sent_of[subject].push_back(now);
    return true;
  }
  if (for_good) {
    spdlog::error("[notice.{}] refused {}: {}", name, message.back().id, sent.message());
    return true;
  }
  if (attempts == 1) {
    spdlog::warn("[notice.{}] {} is tried again later: {}", name, message.back().id,
                 sent.message());
  }
  if (!absl::IsUnavailable(sent) || !left.empty()) return true;
  // The rest waits with it, without an attempt of its own.
  worker->closed_until = now + Pause(++worker->failures);
  worker->last_error = std::string(sent.message());
  return false;
}

void NoticeDispatcher::Postpone(Worker* worker, const Round& notices, absl::Time until,
                                absl::Time now) {
  for (const Notice& one : notices) {
    NoticeDelivery delivery = one.deliveries.at(worker->config.name);
    delivery.next_try = until;
    parts_.outbox->SetDelivery(one.id, worker->config.name, delivery, now);
  }
}

bool NoticeDispatcher::MaySend(Worker* worker, const std::string& subject, absl::Time now,
                               absl::Time* again) const {
  ForgetOld(&worker->sent, now);
  if (static_cast<int64_t>(worker->sent.size()) >= worker->config.per_hour) {
    *again = worker->sent.front() + kHour;
    return false;
  }
  // A command acts on each event, and the digest is one a day.
  if (worker->config.type == NoticeSink::Type::kCommand || subject.empty()) return true;
  std::deque<absl::Time>& of_subject = worker->sent_of[subject];
  ForgetOld(&of_subject, now);
  if (static_cast<int64_t>(of_subject.size()) < worker->config.per_subject_per_hour) return true;
  *again = of_subject.front() + kHour;
  return false;
}

absl::Time NoticeDispatcher::QuietUntil(const NoticeSink& config, absl::Time now) const {
  const int from = config.quiet_from, until = config.quiet_until;
  const int minute = MinuteOf(now, parts_.zone);
  const bool quiet = from < until ? minute >= from && minute < until
                                  : from != until && (minute >= from || minute < until);
  if (!quiet) return now;
  const int left = (until - minute + 24 * 60) % (24 * 60);
  const absl::CivilMinute start = absl::ToCivilMinute(now, parts_.zone);
  return absl::FromCivil(start + left, parts_.zone);
}

void NoticeDispatcher::AddDigests(Worker* worker, absl::Time now) {
  const NoticeSink& config = worker->config;
  if (!config.digest.has_value() || !parts_.digest) return;
  // From the hour on, for as long as it may have been missed.
  const int late = MinuteOf(now, parts_.zone) - *config.digest;
  if (late < 0 || late >= 60) return;
  const std::string day = absl::FormatTime("%Y-%m-%d", now, parts_.zone);
  std::vector<std::string> domains = {""};
  if (config.ToOwner()) domains = parts_.digest_domains();
  for (const std::string& domain : domains) {
    Notice notice = {.id = absl::StrCat("digest:", day, ":", config.name, ":", domain),
                     .kind = NoticeKind::kDigest,
                     .time = now,
                     .subject = domain,
                     .domain = domain,
                     .thread = absl::StrCat("digest-", config.name, "-", domain),
                     .facts = ""};
    if (parts_.outbox->Has(notice.id)) continue;
    const Json facts = parts_.digest(domain, config.language);
    if (facts.is_null() || worker->sink->KeyOf(notice).empty()) continue;
    notice.facts = Dump(facts);
    notice.routed = true;
    notice.deliveries[config.name] = {};
    parts_.outbox->Add(std::move(notice));
    parts_.save();
  }
}

absl::Status NoticeDispatcher::Test(const std::string& name) {
  const std::shared_ptr<const Workers> all = workers();
  const auto worker = all->find(name);
  if (worker == all->end()) {
    return absl::NotFoundError(absl::StrCat("there is no [notice.", name, "] in deferd.toml"));
  }
  const absl::Time now = parts_.clock->Now();
  const Notice notice = {.id = absl::StrCat("test:", name, ":", absl::ToUnixMicros(now)),
                         .kind = NoticeKind::kTest,
                         .time = now,
                         .subject = "",
                         .domain = parts_.sink.host,
                         .thread = absl::StrCat("test-", name),
                         .facts = "{}",
                         .secret = NewNoticeSecret()};
  // A sink of its own: the worker's belongs to its thread.
  const std::unique_ptr<Sink> sink = NewSink(worker->second->config, parts_.sink);
  std::string left;
  return sink->Send(sink->KeyOf(notice), {notice}, now, &left);
}

absl::Duration NoticeDispatcher::Pause(int attempts) {
  constexpr absl::Duration kFirst = absl::Seconds(15), kLongest = absl::Hours(1);
  absl::Duration pause = kFirst;
  for (int i = 1; i < attempts && pause < kLongest; ++i) pause *= 2;
  return std::min(pause, kLongest);
}

}  // namespace deferd
