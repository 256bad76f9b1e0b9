#include "limiter/app/queue_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"

namespace deferd {

namespace {

constexpr absl::Duration kBusy = absl::Seconds(2);
constexpr absl::Duration kQuiet = absl::Minutes(1);
constexpr int kRest = 10;  // times as long as a look took

}  // namespace

QueueKeeper::QueueKeeper(const MailQueue* queue, const Gate* gate, const CaseTable* cases,
                         HeldMail* held)
    : queue_(queue),
      cases_(cases),
      holder_(
          {.gate = gate,
           .cases = cases,
           .held = held,
           .leading_class = [queue](const Case& record) { return queue->LeadingClassOf(record); },
           .was_held = [queue](const std::string& id) { return queue->WasHeld(id); },
           .outcomes = [queue](const std::vector<std::string>& ids,
                               absl::Time since) { return queue->OutcomesOf(ids, since); }}) {}

void QueueKeeper::Start() {
  thread_ = std::thread([this] { Run(); });
}

void QueueKeeper::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void QueueKeeper::OnCase(CaseChange /*change*/, const Case& record) {
  if (record.shadow || record.history) return;
  MutexLock lock(&mutex_);
  wake_ = true;
  changed_.NotifyAll();
}

void QueueKeeper::Run() {
  while (true) {
    const absl::Time began = queue_->Now();
    Told(Look());
    const absl::Time next = queue_->Now() + UntilNextLook(queue_->Now() - began);
    MutexLock lock(&mutex_);
    while (!stopping_ && !wake_) {
      const absl::Duration left = next - queue_->Now();
      if (left <= absl::ZeroDuration()) break;
      changed_.WaitFor(&mutex_, left);
    }
    if (stopping_) return;
    wake_ = false;
  }
}

absl::Duration QueueKeeper::UntilNextLook(absl::Duration took) const {
  if (!cases_->AnyOpen() && holder_.held().empty()) return kQuiet;
  return std::max(kBusy, took * kRest);
}

absl::Status QueueKeeper::Look() {
  absl::StatusOr<std::vector<QueuedMail>> queue = queue_->List();
  if (!queue.ok()) return queue.status();
  const QueueOrders orders = holder_.Decide(*queue, *queue_->settings().policy, queue_->Now());
  {
    MutexLock lock(&mutex_);
    held_ = holder_.held();
  }
  return Carry(orders, *queue);
}

absl::Status QueueKeeper::Carry(const QueueOrders& orders, const std::vector<QueuedMail>& queue) {
  struct Task {
    const std::vector<std::string>* ids;
    const char* verb;
    Outcome outcome;
    const char* words;
  };
  // Room is made before more is held.
  const Task kTasks[] = {
      {&orders.give_back, "give_back", Outcome::kRejected,
       "given back to its sender by deferd: it was held for too long"},
      {&orders.hold, "hold", Outcome::kHeld, "held by deferd: its sender is blocked"},
      {&orders.release, "release", Outcome::kQueued, "let go by deferd: the block is over"}};
  absl::Status status;
  for (const Task& task : kTasks) {
    if (task.ids->empty()) continue;
    absl::Status done = queue_->Order(task.verb, *task.ids);
    status.Update(done);
    if (!done.ok()) continue;
    const absl::flat_hash_set<std::string> ids(task.ids->begin(), task.ids->end());
    std::vector<QueuedMail> mail;
    for (const QueuedMail& one : queue) {
      if (ids.contains(one.id)) mail.push_back(one);
    }
    queue_->Record(mail, task.outcome, task.words);
    spdlog::info("queue: {} of {} messages, the first {} of {}", task.verb, mail.size(),
                 mail.front().id, mail.front().charged.back().subject.ToString());
  }
  return status;
}

void QueueKeeper::Told(const absl::Status& looked) {
  const std::string problem(looked.message());
  MutexLock lock(&mutex_);
  if (problem == problem_) return;
  problem_ = problem;
  if (problem.empty()) {
    spdlog::info("queue: the helper answers");
  } else {
    spdlog::warn("queue: {}; nothing is held or let go until it does", problem);
  }
}

Json QueueKeeper::StatusJson() const {
  MutexLock lock(&mutex_);
  Json held = Json::array();
  int64_t messages = 0;
  for (const HeldSubject& one : held_) {
    messages += one.messages;
    held.push_back({{"subject", one.subject.ToString()},
                    {"messages", one.messages},
                    {"blocked", one.blocked},
                    {"waits_for", one.waits_for}});
  }
  return {{"helper", queue_->helper()},
          {"problem", problem_.empty() ? Json(nullptr) : Json(problem_)},
          {"messages", messages},
          {"held", std::move(held)}};
}

int64_t QueueKeeper::held_messages() const {
  MutexLock lock(&mutex_);
  int64_t messages = 0;
  for (const HeldSubject& one : held_) messages += one.messages;
  return messages;
}

}  // namespace deferd
