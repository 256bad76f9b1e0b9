#include "limiter/recorder.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace deferd {

namespace {
constexpr size_t kQueuedBatches = 64;
constexpr absl::Duration kTick = absl::Milliseconds(200);
constexpr absl::Duration kSlack = absl::Seconds(2);
constexpr size_t kCommitEvents = 50'000;
}  // namespace

Recorder::Recorder(Committer* committer, Tick tick)
    : committer_(committer),
      tick_(std::move(tick)),
      queue_(kQueuedBatches),
      thread_([this] { Run(); }) {}

Recorder::~Recorder() { Stop(); }

bool Recorder::Submit(std::unique_ptr<EventBatch> batch) {
  pending_.fetch_add(1);
  if (queue_.Push(std::move(batch))) return true;
  pending_.fetch_sub(1);
  return false;
}

bool Recorder::TrySubmit(std::unique_ptr<EventBatch> batch) {
  pending_.fetch_add(1);
  if (queue_.TryPush(std::move(batch))) return true;
  pending_.fetch_sub(1);
  return false;
}

void Recorder::Stop() {
  queue_.Close();
  if (thread_.joinable()) thread_.join();
}

void Recorder::Run() {
  auto last_tick = std::chrono::steady_clock::now();
  auto not_before = last_tick;  // the next commit
  size_t events = 0;            // counted and not committed
  while (true) {
    std::optional<std::unique_ptr<EventBatch>> batch = queue_.Pop(kTick);
    if (batch.has_value()) {
      committer_->Record(**batch);
      events += (*batch)->size() + 1;
      pending_.fetch_sub(1);
    }
    const bool ending = !batch.has_value() && queue_.closed();
    const auto now = std::chrono::steady_clock::now();
    const bool tick = now - last_tick >= absl::ToChronoMilliseconds(kTick);
    // A line may be written a moment after its own stamp; a case is not enforced after its end
    // anyway.
    if (tick && !ending && tick_(pending())) committer_->Tick(kSlack);
    if (tick) last_tick = now;
    // A commit that failed is tried again after a while: its changes wait, counting does not.
    const bool due = ending || tick || (events > 0 && (pending() == 0 || events > kCommitEvents));
    if (due && (ending || now >= not_before)) {
      const bool committed = committer_->Commit().ok();  // told by its status
      const auto after = std::chrono::steady_clock::now();
      not_before = committed ? after
                             : after + std::max<std::chrono::steady_clock::duration>(
                                           std::chrono::seconds(1), 5 * (after - now));
      events = 0;
    }
    if (ending) return;
  }
}

}  // namespace deferd
