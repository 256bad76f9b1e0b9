#include "limiter/recorder.h"

#include <chrono>
#include <optional>
#include <utility>

namespace deferd {

namespace {
constexpr size_t kQueuedBatches = 64;
constexpr absl::Duration kTick = absl::Milliseconds(200);
constexpr absl::Duration kSlack = absl::Seconds(2);
}  // namespace

Recorder::Recorder(Limiter* limiter, Tick tick)
    : limiter_(limiter),
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

void Recorder::Stop() {
  queue_.Close();
  if (thread_.joinable()) thread_.join();
}

void Recorder::Run() {
  auto last_tick = std::chrono::steady_clock::now();
  while (true) {
    std::optional<std::unique_ptr<EventBatch>> batch = queue_.Pop(kTick);
    if (batch.has_value()) {
      limiter_->Record(**batch);
      pending_.fetch_sub(1);
    } else if (queue_.closed()) {
      return;
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - last_tick < absl::ToChronoMilliseconds(kTick)) continue;
    last_tick = now;
    // A line may be written a moment after its own stamp; a case is not enforced after its end
    // anyway.
    if (tick_(pending())) limiter_->Tick(kSlack);
  }
}

}  // namespace deferd
