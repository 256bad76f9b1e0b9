#include "limiter/sharing/case_follower.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace deferd {

namespace {
constexpr absl::Duration kWait = absl::Seconds(1);
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);
}  // namespace

void CaseFollower::Start() {
  thread_ = std::thread([this] { Run(); });
}

void CaseFollower::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    stop_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void CaseFollower::Run() {
  absl::Duration pause = kFirstPause;
  while (true) {
    const bool ok = Round(kWait).ok();
    MutexLock lock(&mutex_);
    if (stopping_) return;
    if (ok) {
      pause = kFirstPause;
      continue;
    }
    stop_.WaitFor(&mutex_, pause);
    if (stopping_) return;
    pause = std::min(2 * pause, kLongestPause);
  }
}

absl::Status CaseFollower::Round(absl::Duration wait) {
  absl::Status status = DoRound(wait);
  MutexLock lock(&mutex_);
  status_.problem = std::string(status.message());
  if (status.ok()) status_.heard = clock_->Elapsed();
  return status;
}

absl::Status CaseFollower::DoRound(absl::Duration wait) {
  const bool anew = resync_.exchange(false) || !store_->connected();
  if (anew || clock_->Elapsed() - merged_ >= kMergeEvery) {
    absl::Status merged = anew ? store_->Connect() : absl::OkStatus();
    if (merged.ok()) merged = MergeAll();
    if (!merged.ok()) {
      // The place in the stream may be that of another store.
      if (anew) resync_.store(true);
      return merged;
    }
  }
  absl::StatusOr<CasesFollowed> followed = store_->FollowCases(last_, wait);
  if (!followed.ok()) return followed.status();
  last_ = std::move(followed->last);
  AddDamaged(&followed->cases);
  if (followed->cases.empty()) return absl::OkStatus();
  exchange_->MergeCases(followed->cases, /*all=*/false);
  MutexLock lock(&mutex_);
  status_.followed += static_cast<int64_t>(followed->cases.size());
  return absl::OkStatus();
}

absl::Status CaseFollower::MergeAll() {
  absl::Status measured = MeasureOffset();
  // Where the nodes' master is silent, that of the cases may not be.
  if (!measured.ok() && !offset_known_) return measured;
  // The end of the stream first: what is put between the two is read twice, not never.
  absl::StatusOr<std::string> last = store_->LastCase();
  if (!last.ok()) return last.status();
  absl::StatusOr<std::vector<SharedCase>> cases = store_->ReadCases();
  if (!cases.ok()) return cases.status();
  AddDamaged(&*cases);
  exchange_->MergeCases(*cases, /*all=*/true);
  last_ = *std::move(last);
  merged_ = clock_->Elapsed();
  MutexLock lock(&mutex_);
  ++status_.merges;
  status_.heard = merged_;
  return absl::OkStatus();
}

// Not left to the publisher, which may not be able to write just then.
absl::Status CaseFollower::MeasureOffset() {
  const absl::Duration before = clock_->Elapsed();
  absl::StatusOr<absl::Time> time = store_->ReadTime();
  if (!time.ok()) return time.status();
  exchange_->SetClockOffset(ClockOffset(clock_->Elapsed() - before, *time, clock_->Now()));
  offset_known_ = true;
  return absl::OkStatus();
}

// They are told with the others, so that whoever knows the true ones puts them again.
void CaseFollower::AddDamaged(std::vector<SharedCase>* cases) {
  for (SharedCase& one : store_->TakeDamagedCases()) cases->push_back(std::move(one));
}

void CaseFollower::Resync() { resync_.store(true); }

CaseFollower::Status CaseFollower::status() const {
  MutexLock lock(&mutex_);
  return status_;
}

}  // namespace deferd
