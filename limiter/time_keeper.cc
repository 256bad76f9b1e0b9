#include "limiter/time_keeper.h"

#include <algorithm>

namespace deferd {

namespace {

// Closed cases are shown for this long at least, and as long as the longest window.
constexpr absl::Duration kKeepClosed = absl::Hours(7 * 24);

}  // namespace

void TimeKeeper::AdvanceTo(absl::Time t) {
  if (t <= parts_->now) return;
  EndDue(t);
  parts_->now = t;
  parts_->counter.AdvanceTo(parts_->now);
  if (parts_->now - parts_->last_sweep > parts_->counter.longest() / 2) Forget();
}

void TimeKeeper::EndDue(absl::Time t) {
  cases_->EndDue(t);
  EndIncidentsDue(t);
}

void TimeKeeper::EndIncidentsDue(absl::Time t) {
  const absl::Duration window = parts_->counter.first().window();
  if (t < parts_->incidents.incidents().next_expiry(window)) return;
  for (const Incident& ended : parts_->incidents.incidents().Expire(t, window))
    parts_->happened.AddIncident(ended);
}

void TimeKeeper::Forget() {
  parts_->last_sweep = parts_->now;
  parts_->counter.ForgetDead();
  parts_->warnings.ForgetBefore(parts_->now - parts_->counter.longest());
  parts_->clearings.ForgetBefore(parts_->now - parts_->counter.longest());
  parts_->case_table->ForgetClosed(parts_->now - std::max(parts_->counter.longest(), kKeepClosed));
  if (parts_->rows != nullptr) {
    parts_->rows->Expire(parts_->ShownNow());
    parts_->shared_cases->ForgetClosed(parts_->TooOld(parts_->ShownNow()));
  }
  ForgetWhatIsGone();
}

void TimeKeeper::ForgetWhatIsGone() {
  parts_->culprit.ForgetBefore(
      parts_->now - parts_->counter.longest(),
      [&](const Subject& subject) { return parts_->counter.Has(subject); });
  if (parts_->rows == nullptr) return;
  parts_->rows->ForgetWaiting([&](const Subject& subject) {
    return parts_->case_table->FindOpen(subject, /*shadow=*/false).has_value();
  });
}

void TimeKeeper::RecoverIfClockSetBack() {
  const bool ahead =
      parts_->now != absl::InfinitePast() &&
      parts_->now > parts_->batch_clock + LimiterParts::kMaxAhead + LimiterParts::kPatience;
  if (ahead) ComeBackTo(parts_->batch_clock);
}

void TimeKeeper::ComeBackTo(absl::Time now) {
  parts_->clock_back = {now, parts_->now - now};
  parts_->now = now;
  parts_->last_sweep = std::min(parts_->last_sweep, now);
  parts_->counter.ComeBackTo(now);
  // What stands in a step that stays, stays.
  absl::Time last_kept = absl::InfiniteFuture();
  for (const StepClock& steps : parts_->counter.lengths()) {
    last_kept = std::min(last_kept, steps.EndOf(steps.StepOf(now)));
  }
  parts_->contributions.ForgetAfter(last_kept);
  for (const Incident& ended : parts_->incidents.incidents().ForgetAfter(now))
    parts_->happened.AddIncident(ended);
  parts_->clearings.BringBackTo(now);
  cases_->BringBackTo(now);
}

}  // namespace deferd
