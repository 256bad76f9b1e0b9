#include "limiter/queue/queue_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/log.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kBusy = absl::Seconds(2);
constexpr absl::Duration kQuiet = absl::Minutes(1);
constexpr int kRest = 10;  // multiple of the time that the last look took
constexpr absl::Duration kLongestRest = absl::Minutes(2);
constexpr size_t kIdsAtOnce = 100;
constexpr size_t kShownFailures = 20;

}  // namespace

QueueKeeper::QueueKeeper(const MailQueue* queue, const Gate* gate, const CaseTable* cases,
                         HeldMail* held, Remember remember)
    : queue_(queue),
      cases_(cases),
      parts_({.gate = gate,
              .cases = cases,
              .held = held,
              .grave = [queue](const Case& record) { return queue->GraveOf(record); },
              .outcome = [queue](const std::vector<std::string>& ids,
                                 absl::Time since) { return queue->OutcomeOf(ids, since); },
              .remember = std::move(remember)}),
      net_(gate, cases, held) {}

void QueueKeeper::Start(const std::map<std::string, int64_t>& remembered) {
  holder_ = std::make_unique<Holder>(parts_, remembered);
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

void QueueKeeper::Wake() {
  MutexLock lock(&mutex_);
  wake_ = true;
  changed_.NotifyAll();
}

std::map<std::string, std::string> QueueKeeper::LookNow(const std::vector<std::string>& ids,
                                                        absl::Duration limit) {
  const absl::Duration end = queue_->Elapsed() + limit;
  MutexLock lock(&mutex_);
  const int64_t look = looks_begun_ + 1;
  wake_ = true;
  changed_.NotifyAll();
  while (looks_done_ < look && !stopping_) {
    const absl::Duration left = end - queue_->Elapsed();
    if (left <= absl::ZeroDuration()) break;
    changed_.WaitFor(&mutex_, left);
  }
  std::map<std::string, std::string> not_done;
  for (const std::string& id : ids) {
    const auto found = not_done_.find(id);
    if (found != not_done_.end()) not_done[id] = found->second.why;
  }
  return not_done;
}

void QueueKeeper::OnCase(CaseChange /*change*/, const Case& record) {
  if (!record.shadow && !record.history) Wake();
}

bool QueueKeeper::Stopping() const {
  MutexLock lock(&mutex_);
  return stopping_;
}

void QueueKeeper::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      ++looks_begun_;
      wake_ = false;  // this look sees whatever the wake was about
    }
    const absl::Duration began = queue_->Elapsed();
    Report(Look());
    const absl::Duration done = queue_->Elapsed();
    const absl::Duration took = done - began;
    const bool busy = cases_->AnyOpen() || !holder_->held().empty() || net_.waiting();
    // A slow look is repeated rarely, even if much changes.
    const absl::Duration next =
        done + (busy ? std::clamp(took * kRest, kBusy, kLongestRest) : kQuiet);
    const absl::Duration soon = done + took;
    MutexLock lock(&mutex_);
    looks_done_ = looks_begun_;
    changed_.NotifyAll();
    while (!stopping_) {
      const absl::Duration left = (wake_ ? soon : next) - queue_->Elapsed();
      if (left <= absl::ZeroDuration()) break;
      changed_.WaitFor(&mutex_, left);
    }
    if (stopping_) return;
  }
}

absl::Status QueueKeeper::Look() {
  absl::StatusOr<std::vector<QueuedMail>> queue = queue_->List();
  if (!queue.ok()) {
    // The sender table matters most when the queue is too long to be listed.
    Carry(net_.Decide({}, *queue_->settings().lists, queue_->Now()), {}).IgnoreError();
    return queue.status();
  }
  const Settings settings = queue_->settings();
  const QueueOrders orders =
      holder_->Decide(*queue, *settings.policy, *settings.lists, queue_->Now());
  ForgetResolvedFailures(*queue);
  {
    MutexLock lock(&mutex_);
    held_ = holder_->held();
  }
  absl::Status carried = Carry(net_.Decide(*queue, *settings.lists, queue_->Now()), orders.hold);
  carried.Update(Carry(orders, *queue));
  const std::string away = queue_->helpers().problem();
  if (!away.empty()) carried.Update(absl::UnavailableError(away));
  return carried;
}

// Sent at every look: the helper empties the table if deferd stops sending it.
absl::Status QueueKeeper::Carry(const NetOrders& orders, const std::vector<std::string>& to_hold) {
  absl::StatusOr<Json> answer =
      queue_->Call("defer", {{"domains", orders.domains}, {"users", orders.users}});
  const std::string problem(answer.status().message());
  bool news = false;
  {
    MutexLock lock(&mutex_);
    if (answer.ok()) {
      sender_table_ = answer->is_object() ? answer->value("table", Json(nullptr)) : Json(nullptr);
    }
    news = problem != sender_table_problem_;
    sender_table_problem_ = problem;
  }
  if (news && !answer.ok()) spdlog::warn("queue: Postfix's sender table: {}", problem);
  if (!answer.ok()) return absl::OkStatus();
  net_.Written(orders, queue_->Now());
  std::vector<std::string> retry;
  for (const std::string& id : orders.retry) {
    if (std::find(to_hold.begin(), to_hold.end(), id) == to_hold.end()) retry.push_back(id);
  }
  if (retry.empty()) return absl::OkStatus();
  spdlog::info("queue: retrying {} messages that the sender table had deferred, the first is {}",
               retry.size(), retry.front());
  return queue_->Call("try", {{"ids", retry}}).status();
}

absl::Status QueueKeeper::Carry(const QueueOrders& orders, const std::vector<QueuedMail>& queue) {
  absl::flat_hash_map<std::string, const QueuedMail*> by_id;
  for (const QueuedMail& mail : queue) by_id[mail.id] = &mail;
  struct Task {
    const std::vector<std::string>* ids;
    const char* verb;  // null: nothing to do
    Outcome outcome;
    const char* words;  // for the ledger; null: recorded once the queue shows it
  };
  const std::string released = absl::StrCat(kReleasedPrefix, "deferd");
  // Returns and makes room before more messages are held.
  const Task kTasks[] = {
      {&orders.now_held, nullptr, Outcome::kHeld, "held by deferd: its sender is blocked"},
      {&orders.give_back, "give_back", Outcome::kRejected,
       "returned to its sender by deferd: it was held for too long"},
      {&orders.hold, "hold", Outcome::kHeld, nullptr},
      {&orders.release, "release", Outcome::kQueued, released.c_str()}};
  for (const Task& task : kTasks) {
    for (size_t begin = 0; begin < task.ids->size() && !Stopping(); begin += kIdsAtOnce) {
      const size_t end = std::min(task.ids->size(), begin + kIdsAtOnce);
      std::vector<std::string> ids;
      std::vector<QueuedMail> mail;
      for (size_t i = begin; i < end; ++i) {
        ids.push_back((*task.ids)[i]);
        mail.push_back(*by_id.at(ids.back()));
      }
      if (task.verb != nullptr) {
        absl::StatusOr<Json> answer = queue_->Call(task.verb, {{"ids", ids}});
        if (!answer.ok()) return answer.status();
        const std::map<std::string, std::string> not_done = NotDone(task.verb, ids, *answer);
        mail.erase(std::remove_if(mail.begin(), mail.end(),
                                  [&](const QueuedMail& one) { return not_done.contains(one.id); }),
                   mail.end());
        if (!mail.empty()) {
          spdlog::info("queue: order {} carried out for {} messages, the first is {}", task.verb,
                       mail.size(), mail.front().id);
        }
      }
      if (task.words != nullptr) queue_->Record(mail, task.outcome, task.words);
    }
  }
  return absl::OkStatus();
}

std::map<std::string, std::string> QueueKeeper::NotDone(const std::string& verb,
                                                        const std::vector<std::string>& ids,
                                                        const Json& answer) {
  std::map<std::string, std::string> not_done;
  const auto found = answer.find("not_done");
  if (found != answer.end() && found->is_object()) {
    for (const std::string& id : ids) {
      if (found->contains(id)) not_done[id] = PrintableUtf8(QueueField(*found, id));
    }
  }
  const absl::Time now = queue_->Now();
  for (const auto& [id, why] : not_done) holder_->NotDone(id, now);
  MutexLock lock(&mutex_);
  for (const std::string& id : ids) {
    const auto failed = not_done.find(id);
    if (failed == not_done.end()) {
      not_done_.erase(id);
      continue;
    }
    ++failures_;
    Failure& failure = not_done_[id];
    if (failure.order != verb) failure = {.order = verb, .since = now};
    failure.why = failed->second;
    // Log the first failure only.
    if (failure.times++ == 0)
      spdlog::warn("queue: order {} not carried out for message {}: {}", verb, id, failure.why);
  }
  return not_done;
}

void QueueKeeper::ForgetResolvedFailures(const std::vector<QueuedMail>& queue) {
  MutexLock lock(&mutex_);
  if (not_done_.empty()) return;
  std::map<std::string, Failure> still;
  for (const QueuedMail& mail : queue) {
    const auto found = not_done_.find(mail.id);
    // The order is obsolete, or somebody else carried it out.
    if (found == not_done_.end() || mail.held == (found->second.order == "hold")) continue;
    still.insert(*found);
  }
  not_done_ = std::move(still);
}

void QueueKeeper::Report(const absl::Status& looked) {
  const std::string problem(looked.message());
  {
    MutexLock lock(&mutex_);
    if (problem == problem_) return;
    problem_ = problem;
  }
  if (problem.empty()) {
    spdlog::info("queue: deferd-queue is reachable again");
  } else {
    spdlog::warn("queue: {}; queued mail is neither held nor released until it answers", problem);
  }
}

Json QueueKeeper::StatusJson() const {
  MutexLock lock(&mutex_);
  Json held = Json::array();
  int64_t messages = 0, overdue = 0;
  for (const HeldSubject& one : held_) {
    messages += one.messages;
    overdue += one.overdue;
    held.push_back(
        {{"subject", one.subject.id.empty() ? Json(nullptr) : Json(one.subject.ToString())},
         {"messages", one.messages},
         {"overdue", one.overdue},
         {"blocked", one.blocked},
         {"waits_for", one.waits_for}});
  }
  Json not_done = Json::array();
  for (const auto& [id, failure] : not_done_) {
    if (not_done.size() == kShownFailures) break;
    not_done.push_back({{"id", id},
                        {"order", failure.order},
                        {"times", failure.times},
                        {"since", FormatUtc(failure.since)},
                        {"why", failure.why}});
  }
  return {{"helper", queue_->helpers().names()},
          {"helpers", queue_->helpers().StatusJson()},
          {"problem", problem_.empty() ? Json(nullptr) : Json(problem_)},
          {"messages", messages},
          {"overdue", overdue},
          {"held", std::move(held)},
          {"not_done", std::move(not_done)},
          {"not_done_total", not_done_.size()},
          {"sender_table", sender_table_},
          {"sender_table_problem",
           sender_table_problem_.empty() ? Json(nullptr) : Json(sender_table_problem_)}};
}

QueueKeeper::Numbers QueueKeeper::numbers() const {
  MutexLock lock(&mutex_);
  Numbers numbers = {.not_done = static_cast<int64_t>(not_done_.size()), .failures = failures_};
  for (const HeldSubject& one : held_) {
    numbers.held += one.messages;
    numbers.overdue += one.overdue;
    numbers.oldest = std::min(numbers.oldest, one.oldest);
  }
  return numbers;
}

}  // namespace deferd
