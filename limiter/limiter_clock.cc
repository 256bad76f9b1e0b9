// The part of the limiter that goes on after a clock that was ahead, with the log's stamps, was set
// right.
//
// Then the greatest stamp accepted so far lies ahead, all that comes is `late`, and blocks and
// clearings would last until the right time reaches theirs. Steps back of up to kPatience are sat
// out, since they do no harm: stamps of now are within the window still. After a greater one, what
// bears a stamp that has not come yet is forgotten, and cases that began ahead begin now. Counts
// begin anew with it, which Stats::clock_back tells.

#include <algorithm>

#include "limiter/limiter.h"

namespace deferd {

bool Limiter::ClockWasSetBack() const {
  return now_ != absl::InfinitePast() && now_ > batch_clock_ + kMaxAhead + kPatience;
}

void Limiter::ComeBackTo(absl::Time now) {
  clock_back_ = {now, now_ - now};
  now_ = now;
  last_sweep_ = std::min(last_sweep_, now);
  for (WindowClock& clock : window_clocks_) {
    clock.now_step = clock.steps.StepOf(now);
    clock.since = std::min(clock.since, now);
  }
  for (absl::Time& since : tracked_since_) since = std::min(since, now);
  for (auto& [subject, state] : subjects_) {
    bool ahead = false;
    for (size_t i = 0; i < window_clocks_.size(); ++i) {
      ahead = state.windows[i].DropAfter(window_clocks_[i].now_step) || ahead;
    }
    if (state.left_out != nullptr) {
      ahead = state.left_out->DropAfter(window_clocks_.front().now_step) || ahead;
    }
    if (ahead) SubjectChanged(subject, &state);
  }
  // What stands in a step that stays, stays.
  absl::Time last_kept = absl::InfiniteFuture();
  for (const WindowClock& clock : window_clocks_) {
    last_kept = std::min(last_kept, clock.steps.EndOf(clock.now_step));
  }
  contributions_.ForgetAfter(last_kept);
  for (const Incident& ended : incidents_.ForgetAfter(now)) TellIncident(ended);
  for (auto& [subject, cleared] : cleared_) {
    if (std::max({cleared.enforced, cleared.shadow, cleared.apart}) <= now) continue;
    for (absl::Time* one : {&cleared.enforced, &cleared.shadow, &cleared.apart}) {
      *one = std::min(*one, now);
    }
    if (options_.keep) changes_.clearings.push_back(subject);
  }
  for (Case& record : cases_->Open()) {
    if (record.since <= now) continue;
    record.until -= record.since - now;
    record.since = now;
    record.judged_at = std::min(record.judged_at, now);
    Changed(CaseChange::kExtended, now, record);
  }
}

}  // namespace deferd
