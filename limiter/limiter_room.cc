// The part of the limiter that keeps the number of subjects within LimiterOptions::max_subjects.
//
// Senders that are never seen again (every mail another invented domain) would fill the memory.
// When there is no room, a tenth of the subjects is forgotten: the emptiest, and of those the ones
// that were seen longest ago. Never one with a case, or one whose counts a case has cleared or
// changed; and one whose bad deliveries reach half of what a rule asks for only after all others.
// So whatever is near a limit keeps its exact counts, however many names come. What is forgotten
// has fewer deliveries than anything that stays; should it come back within the window, it begins
// anew: a rule trips for it later by as many bad ones as were forgotten (less than half of its
// min_bad, unless nine tenths of all subjects are as near), and its share lacks that many
// deliveries.

#include <algorithm>
#include <limits>
#include <tuple>
#include <vector>

#include "limiter/limiter.h"

namespace deferd {

namespace {

// What goes first is least.
struct Rank {
  bool near = false;  // a limit
  int64_t total = 0;
  int64_t newest = 0;  // Unix seconds
  const Subject* subject = nullptr;

  friend bool operator<(const Rank& a, const Rank& b) {
    return std::tie(a.near, a.total, a.newest) < std::tie(b.near, b.total, b.newest);
  }
};

}  // namespace

Limiter::SubjectState& Limiter::StateOf(const Subject& subject) {
  auto found = subjects_.find(subject);
  if (found != subjects_.end()) return found->second;
  if (subjects_.size() >= options_.max_subjects) MakeRoom();
  return NewState(subject);
}

Limiter::SubjectState& Limiter::NewState(const Subject& subject) {
  SubjectState& state = subjects_[subject];
  if (state.windows.empty()) state.windows.resize(window_clocks_.size());
  return state;
}

void Limiter::MakeRoom() {
  ForgetDeadSubjects();
  const size_t wanted = options_.max_subjects - options_.max_subjects / 10;
  if (subjects_.size() <= wanted) return;
  int64_t least_bad = std::numeric_limits<int64_t>::max();
  for (const Rule& rule : settings_.policy->rules) least_bad = std::min(least_bad, rule.min_bad);
  absl::flat_hash_set<Subject> kept = parts_blocked_;
  for (const Case& record : cases_->Open()) kept.insert(record.subject);
  std::vector<Rank> ranks;
  ranks.reserve(subjects_.size());
  for (const auto& [subject, state] : subjects_) {
    if (kept.contains(subject) || cleared_.contains(subject) || apart_.contains(subject)) continue;
    Rank& rank = ranks.emplace_back();
    rank.subject = &subject;
    for (size_t i = 0; i < window_clocks_.size(); ++i) {
      const WindowClock& clock = window_clocks_[i];
      const Counts counts =
          state.windows[i].Sum(clock.now_step, std::numeric_limits<int64_t>::min());
      rank.near = rank.near || counts.bad() >= least_bad - least_bad / 2;
      rank.total = std::max(rank.total, counts.total());
      const int64_t seconds = absl::ToInt64Seconds(clock.steps.window()) / StepClock::kSteps;
      rank.newest = std::max(rank.newest, state.windows[i].newest_step() * seconds);
    }
  }
  const size_t going = std::min(subjects_.size() - wanted, ranks.size());
  std::nth_element(ranks.begin(), ranks.begin() + static_cast<ptrdiff_t>(going), ranks.end());
  for (size_t i = 0; i < going; ++i) {
    auto found = subjects_.find(*ranks[i].subject);
    ForgetSubject(found->first, found->second);
    subjects_.erase(found);
  }
  evicted_subjects_ += static_cast<int64_t>(going);
  ForgetParts(now_ - LongestWindow());
  ForgetWaiting();
}

void Limiter::ForgetSubject(const Subject& subject, const SubjectState& state) {
  if (options_.keep && state.stored) changes_.subjects_gone.push_back(subject);
}

// While the disk is full, or the shared store away, everything that changed waits. Of what is
// forgotten by then nothing need be told: the store does not have it, or subjects_gone says so; and
// a row that other nodes have ends by its time.
void Limiter::ForgetWaiting() {
  const auto gone = [this](const Subject& subject)
                        ABSL_NO_THREAD_SAFETY_ANALYSIS { return !subjects_.contains(subject); };
  const auto idle = [&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return gone(subject) && !cases_->FindOpen(subject, /*shadow=*/false).has_value();
  };
  std::vector<Subject>& changed = changes_.subjects;
  changed.erase(std::remove_if(changed.begin(), changed.end(), gone), changed.end());
  if (shared_ == nullptr || shared_->subjects.size() <= subjects_.size()) return;
  absl::erase_if(shared_->subjects, [&](const auto& entry) { return idle(entry.first); });
  for (auto it = shared_->groups.begin(); it != shared_->groups.end();) {
    std::vector<Subject>& group = it->second;
    group.erase(std::remove_if(group.begin(), group.end(), idle), group.end());
    if (group.empty()) {
      shared_->groups.erase(it++);
    } else {
      ++it;
    }
  }
}

}  // namespace deferd
