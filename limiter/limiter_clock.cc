// The part of the limiter that moves with time.
//
// It also goes on after a clock that was ahead, with the log's stamps, was set right. Then the
// greatest stamp accepted so far lies ahead, all that comes is `late`, and blocks and clearings
// would last until the right time reaches theirs. Steps back of up to kPatience are sat out, since
// they do no harm: stamps of now are within the window still. After a greater one, what bears a
// stamp that has not come yet is forgotten, and cases that began ahead begin now. Counts begin anew
// with it, which Stats::clock_back tells.

#include <algorithm>

#include "limiter/limiter.h"

namespace deferd {

namespace {

// Closed cases are shown for this long at least, and as long as the longest window.
constexpr absl::Duration kKeepClosed = absl::Hours(7 * 24);

}  // namespace

absl::Time Limiter::ShownNow() const { return std::max(clock_->Now(), now_); }

void Limiter::AdvanceTo(absl::Time t) {
  if (t <= now_) return;
  EndCasesDue(t);
  EndIncidentsDue(t);
  now_ = t;
  counter_.AdvanceTo(now_);
  if (now_ - last_sweep_ > counter_.longest() / 2) Forget();
}

void Limiter::Forget() {
  last_sweep_ = now_;
  counter_.ForgetDead();
  clearings_.ForgetBefore(now_ - counter_.longest());
  cases_->ForgetClosed(now_ - std::max(counter_.longest(), kKeepClosed));
  if (rows_ != nullptr) {
    rows_->Expire(ShownNow());
    shared_cases_->ForgetClosed(TooOld(ShownNow()));
  }
  ForgetWhatIsGone();
}

void Limiter::ForgetWhatIsGone() {
  culprit_.ForgetBefore(now_ - counter_.longest(),
                        [&](const Subject& subject)
                            ABSL_NO_THREAD_SAFETY_ANALYSIS { return counter_.Has(subject); });
  if (rows_ == nullptr) return;
  rows_->ForgetWaiting([&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return cases_->FindOpen(subject, /*shadow=*/false).has_value();
  });
}

Events Limiter::Tick(absl::Duration slack) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  EndCasesDue(batch_clock_ - slack);
  EndIncidentsDue(batch_clock_ - slack);
  return TakeEvents();
}

bool Limiter::ClockWasSetBack() const {
  return now_ != absl::InfinitePast() && now_ > batch_clock_ + kMaxAhead + kPatience;
}

void Limiter::ComeBackTo(absl::Time now) {
  clock_back_ = {now, now_ - now};
  now_ = now;
  last_sweep_ = std::min(last_sweep_, now);
  counter_.ComeBackTo(now);
  // What stands in a step that stays, stays.
  absl::Time last_kept = absl::InfiniteFuture();
  for (const StepClock& steps : counter_.lengths()) {
    last_kept = std::min(last_kept, steps.EndOf(steps.StepOf(now)));
  }
  contributions_.ForgetAfter(last_kept);
  for (const Incident& ended : incidents_.incidents().ForgetAfter(now))
    happened_.AddIncident(ended);
  clearings_.BringBackTo(now);
  for (Case& record : cases_->Open()) {
    if (record.since <= now) continue;
    record.until -= record.since - now;
    record.since = now;
    record.judged_at = std::min(record.judged_at, now);
    Changed(CaseChange::kExtended, now, record);
  }
}

}  // namespace deferd
