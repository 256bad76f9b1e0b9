#include "limiter/counting/counter.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <tuple>

namespace deferd {

namespace {

constexpr int64_t kAllSteps = std::numeric_limits<int64_t>::min();

// Of a subject that may be forgotten; what goes first is least.
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

Counter::Counter(const CounterOptions& options, const Settings* settings)
    : options_(options), settings_(settings) {
  for (absl::Duration length : settings_->policy->Windows()) {
    lengths_.emplace_back(length);
    now_steps_.push_back(0);
    since_.push_back(absl::InfinitePast());
  }
  UseRules(absl::InfinitePast());
  UseAsked(absl::InfinitePast());
  std::fill(std::begin(tracked_since_), std::end(tracked_since_), absl::InfinitePast());
}

void Counter::UseRules(absl::Time now) {
  bool was_tracked[kSubjectKinds];
  std::copy(std::begin(tracked_), std::end(tracked_), was_tracked);
  std::fill(std::begin(tracked_), std::end(tracked_), false);
  std::fill(std::begin(tracked_alone_), std::end(tracked_alone_), false);
  for (const Rule& rule : settings_->policy->rules) {
    (rule.unhosted ? tracked_alone_ : tracked_)[static_cast<int>(rule.kind)] = true;
  }
  for (int kind = 0; kind < kSubjectKinds; ++kind) {
    if (tracked_[kind] && !was_tracked[kind]) tracked_since_[kind] = now;
  }
}

void Counter::Asked::SetSince(const Asked& before, absl::Time now) {
  for (int i = 0; i < kReplyClasses; ++i) {
    const auto one = static_cast<ReplyClass>(i);
    classes_since[i] = before.classes.Has(one) ? before.classes_since[i] : now;
    recipients_of_since[i] = before.recipients_of.Has(one) ? before.recipients_of_since[i] : now;
  }
  recipients_since = before.recipients ? before.recipients_since : now;
}

void Counter::UseAsked(absl::Time now) {
  const std::vector<Asked> before = std::exchange(asked_, {});
  for (const StepClock& length : lengths_) asked_.emplace_back().window = length.window();
  for (const Rule& rule : settings_->policy->rules) {
    if (rule.off()) continue;
    Asked& asked = asked_[*IndexOf(rule.window)];
    asked.classes.Add(rule.measure.classes);
    if (rule.min_recipients == 0) continue;
    asked.recipients = asked.recipients || rule.measure.classes.empty();
    asked.recipients_of.Add(rule.measure.classes);
  }
  for (Asked& asked : asked_) {
    const auto was = std::find_if(before.begin(), before.end(),
                                  [&](const Asked& one) { return one.window == asked.window; });
    asked.SetSince(was == before.end() ? Asked() : *was, now);
  }
  // What is not asked for any more is not kept up to date either: should it be asked for again, it
  // begins anew.
  for (auto& [subject, state] : subjects_) {
    for (size_t i = 0; state.side != nullptr && i < lengths_.size(); ++i) {
      SideWindows& side = (*state.side)[i];
      ClassWindows kept;
      side.counted.ForEach([&](ReplyClass one, const Window& window) {
        if (asked_[i].classes.Has(one)) *kept.Of(one) = window;
      });
      side.counted = std::move(kept);
      if (!asked_[i].recipients) side.recipients = {};
      side.recipients_by_class.KeepOnly(asked_[i].recipients_of);
    }
  }
}

void Counter::AddSide(const Asked& asked, absl::Time dated, int64_t step, int64_t now_step,
                      const Contribution& one, SideWindows* side) {
  if (asked.recipients && dated > asked.recipients_since) {
    side->recipients.Add(step, RecipientNumber(one.recipient), now_step);
  }
  if (!one.reply_class.has_value()) return;
  const auto number = static_cast<size_t>(*one.reply_class);
  if (asked.classes.Has(*one.reply_class) && dated > asked.classes_since[number]) {
    side->counted.Of(*one.reply_class)->Add(step, one.outcome, now_step);
  }
  if (asked.recipients_of.Has(*one.reply_class) && dated > asked.recipients_of_since[number]) {
    side->recipients_by_class.Add(step, RecipientNumber(one.recipient, *one.reply_class), now_step);
  }
}

void Counter::RemoveSide(const Asked& asked, absl::Time dated, int64_t step,
                         const Contribution& one, SideWindows* side) {
  if (asked.recipients && dated > asked.recipients_since) {
    side->recipients.Remove(step, RecipientNumber(one.recipient));
  }
  if (!one.reply_class.has_value()) return;
  const auto number = static_cast<size_t>(*one.reply_class);
  if (asked.classes.Has(*one.reply_class) && dated > asked.classes_since[number]) {
    Window* const window = side->counted.Find(*one.reply_class);
    if (window != nullptr) window->Remove(step, one.outcome);
  }
  if (asked.recipients_of.Has(*one.reply_class) && dated > asked.recipients_of_since[number]) {
    side->recipients_by_class.Remove(step, RecipientNumber(one.recipient, *one.reply_class));
  }
}

SideWindows* Counter::SideOf(State* state, size_t window) {
  if (state->side == nullptr) {
    state->side = std::make_unique<std::vector<SideWindows>>(lengths_.size());
  }
  return &(*state->side)[window];
}

void Counter::UseSettings(absl::Time now) {
  UseRules(now);
  std::vector<StepClock> lengths;
  std::vector<int64_t> now_steps;
  std::vector<absl::Time> since;
  std::vector<std::optional<size_t>> was_at;
  for (absl::Duration length : settings_->policy->Windows()) {
    was_at.push_back(IndexOf(length));
    lengths.emplace_back(length);
    if (was_at.back().has_value()) {
      now_steps.push_back(now_steps_[*was_at.back()]);
      since.push_back(since_[*was_at.back()]);
    } else {
      now_steps.push_back(now == absl::InfinitePast() ? 0 : lengths.back().StepOf(now));
      since.push_back(now);
    }
  }
  std::vector<absl::Duration> gone;
  for (size_t i = 0; i < lengths_.size(); ++i) {
    if (std::find(was_at.begin(), was_at.end(), i) == was_at.end()) {
      gone.push_back(lengths_[i].window());
    }
  }
  const absl::Duration first_was = first().window();
  for (auto& [subject, state] : subjects_) {
    if (options_.track_changes) {
      for (absl::Duration length : gone) stale_.push_back({subject, length});
    }
    if (state.side != nullptr) {
      if (options_.track_changes) {
        for (absl::Duration length : gone) stale_.push_back({subject, length, true});
      }
      // What is left out is told of the first rule's window.
      if (first_was != lengths.front().window()) state.side->front().left_out = {};
      std::vector<SideWindows> side(lengths.size());
      for (size_t i = 0; i < lengths.size(); ++i) {
        if (was_at[i].has_value()) side[i] = std::move((*state.side)[*was_at[i]]);
      }
      *state.side = std::move(side);
      Changed(subject, &state);
    }
    absl::InlinedVector<Window, 1> windows(lengths.size());
    for (size_t i = 0; i < lengths.size(); ++i) {
      if (was_at[i].has_value()) windows[i] = std::move(state.windows[*was_at[i]]);
    }
    state.windows = std::move(windows);
  }
  lengths_ = std::move(lengths);
  now_steps_ = std::move(now_steps);
  since_ = std::move(since);
  UseAsked(now);
}

void Counter::AdvanceTo(absl::Time now) {
  for (size_t i = 0; i < lengths_.size(); ++i) now_steps_[i] = lengths_[i].StepOf(now);
}

void Counter::ForgetDead() {
  absl::erase_if(subjects_, [&](auto& entry) {
    State& state = entry.second;
    bool dead = true;
    for (size_t i = 0; i < lengths_.size(); ++i) {
      state.windows[i].Expire(now_step(i));
      dead = dead && state.windows[i].empty();
    }
    for (size_t i = 0; state.side != nullptr && i < lengths_.size(); ++i) {
      (*state.side)[i].Expire(now_step(i));
      dead = dead && (*state.side)[i].empty();
    }
    if (dead) Gone(entry.first, state);
    return dead;
  });
  ForgetWaiting();
}

void Counter::ComeBackTo(absl::Time now) {
  AdvanceTo(now);
  for (absl::Time& since : since_) since = std::min(since, now);
  for (absl::Time& since : tracked_since_) since = std::min(since, now);
  for (auto& [subject, state] : subjects_) {
    bool ahead = false;
    for (size_t i = 0; i < lengths_.size(); ++i) {
      ahead = state.windows[i].DropAfter(now_step(i)) || ahead;
    }
    for (size_t i = 0; state.side != nullptr && i < lengths_.size(); ++i) {
      ahead = (*state.side)[i].DropAfter(now_step(i)) || ahead;
    }
    if (ahead) Changed(subject, &state);
  }
}

bool Counter::Tracks(const ChargedSubjects& all, const Charged& one) const {
  const int kind = static_cast<int>(one.subject.kind);
  if (&one == &all.back() || tracked_[kind]) return true;
  return tracked_alone_[kind] && StandsAlone(*settings_->lists, one.subject, all.back().subject.id);
}

bool Counter::InKind(const ChargedSubjects& all, const Charged& one, absl::Time dated) const {
  return &one == &all.back() || dated > tracked_since_[static_cast<int>(one.subject.kind)];
}

bool Counter::LiveSomewhere(absl::Time t) const {
  for (size_t i = 0; i < lengths_.size(); ++i) {
    if (lengths_[i].Live(lengths_[i].StepOf(t), now_step(i))) return true;
  }
  return false;
}

void Counter::Add(const ChargedSubjects& charged, absl::Time dated, const Contribution& added,
                  std::vector<Contributed>* told) {
  for (const Charged& one : charged) {
    if (!Tracks(charged, one) || !InKind(charged, one, dated)) continue;
    State& state = StateOf(one.subject);
    for (size_t i = 0; i < lengths_.size(); ++i) {
      const int64_t step = lengths_[i].StepOf(dated);
      if (dated <= since_[i] || !lengths_[i].Live(step, now_step(i))) continue;
      state.windows[i].Add(step, added.outcome, now_step(i), added.count);
      Changed(one.subject, &state);
      if (i == 0 && told != nullptr) told->push_back({one.subject, added.outcome, +1});
      if (!added.bad() || !asked_[i].Wants(added)) continue;
      AddSide(asked_[i], dated, step, now_step(i), added, SideOf(&state, i));
    }
  }
}

void Counter::TakeOut(const ChargedSubjects& charged, absl::Time dated, const Contribution& taken,
                      std::vector<Contributed>* told) {
  for (const Charged& one : charged) {
    if (!Tracks(charged, one) || !InKind(charged, one, dated)) continue;
    auto found = subjects_.find(one.subject);
    if (found == subjects_.end()) continue;
    State& state = found->second;
    for (size_t i = 0; i < lengths_.size(); ++i) {
      const int64_t step = lengths_[i].StepOf(dated);
      if (dated <= since_[i] || !lengths_[i].Live(step, now_step(i))) continue;
      if (!state.windows[i].Remove(step, taken.outcome)) continue;
      Changed(one.subject, &state);
      if (i == 0 && told != nullptr) told->push_back({one.subject, taken.outcome, -1});
      if (!taken.bad() || state.side == nullptr) continue;
      RemoveSide(asked_[i], dated, step, taken, &(*state.side)[i]);
    }
  }
}

void Counter::AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                         ReplyClass reply_class) {
  const int64_t step = first().StepOf(dated);
  if (!first().Live(step, now_step(0))) return;
  for (const Charged& one : charged) {
    if (!Tracks(charged, one)) continue;
    State& state = StateOf(one.subject);
    SideOf(&state, 0)->left_out.Of(reply_class)->Add(step, outcome, now_step(0));
    Changed(one.subject, &state);
  }
}

void Counter::MakeRoom(absl::FunctionRef<bool(const Subject&)> kept) {
  const size_t wanted = options_.max_subjects - options_.max_subjects / 10;
  if (subjects_.size() <= wanted) return;
  // The least limit of each kind of measure, in the order of Measure::What.
  constexpr Measure::What kAll[] = {Measure::What::kBad, Measure::What::kRejected,
                                    Measure::What::kSentMessages, Measure::What::kSentRecipients};
  std::array<int64_t, std::size(kAll)> least;
  least.fill(std::numeric_limits<int64_t>::max());
  for (const Rule& rule : settings_->policy->rules) {
    int64_t& limit = least[static_cast<size_t>(rule.measure.what)];
    if (!rule.off()) limit = std::min(limit, rule.min_bad);
  }
  std::vector<Rank> ranks;
  ranks.reserve(subjects_.size());
  for (const auto& [subject, state] : subjects_) {
    if (kept(subject)) continue;
    Rank& rank = ranks.emplace_back();
    rank.subject = &subject;
    for (size_t i = 0; i < lengths_.size(); ++i) {
      const Counts counts = state.windows[i].Sum(now_step(i), kAllSteps);
      for (const Measure::What what : kAll) {
        const int64_t limit = least[static_cast<size_t>(what)];
        rank.near = rank.near || Measure{what, {}}.Of(counts).bad() >= limit - limit / 2;
      }
      rank.total = std::max({rank.total, counts.total(), counts.rejected, counts.sent});
      const int64_t seconds = absl::ToInt64Seconds(lengths_[i].window()) / StepClock::kSteps;
      rank.newest = std::max(rank.newest, state.windows[i].newest_step() * seconds);
    }
  }
  const size_t going = std::min(subjects_.size() - wanted, ranks.size());
  std::nth_element(ranks.begin(), ranks.begin() + static_cast<ptrdiff_t>(going), ranks.end());
  for (size_t i = 0; i < going; ++i) {
    auto found = subjects_.find(*ranks[i].subject);
    Gone(found->first, found->second);
    subjects_.erase(found);
  }
  evicted_ += static_cast<int64_t>(going);
  ForgetWaiting();
}

absl::Duration Counter::longest() const {
  absl::Duration longest;
  for (const StepClock& one : lengths_) longest = std::max(longest, one.window());
  return longest;
}

std::optional<size_t> Counter::IndexOf(absl::Duration length) const {
  for (size_t i = 0; i < lengths_.size(); ++i) {
    if (lengths_[i].window() == length) return i;
  }
  return std::nullopt;
}

Counts Counter::Sum(const Subject& subject, size_t window, int64_t now_step,
                    int64_t after_step) const {
  const Window* found = Find(subject, window);
  return found == nullptr ? Counts() : found->Sum(now_step, after_step);
}

std::vector<std::pair<ReplyClass, int64_t>> Counter::LeftOutOf(const Subject& subject,
                                                               int64_t now_step,
                                                               int64_t after_step) const {
  const SideWindows* found = FindSide(subject, 0);
  if (found == nullptr) return {};
  return found->left_out.Sum(now_step, after_step);
}

int64_t Counter::SumOf(const Subject& subject, size_t window, ClassSet classes, int64_t now_step,
                       int64_t after_step) const {
  const SideWindows* found = FindSide(subject, window);
  int64_t sum = 0;
  if (found == nullptr) return sum;
  found->counted.ForEach([&](ReplyClass one, const Window& counted) {
    if (classes.Has(one)) sum += counted.Sum(now_step, after_step).bad();
  });
  return sum;
}

const Window* Counter::Find(const Subject& subject, size_t window) const {
  auto found = subjects_.find(subject);
  return found == subjects_.end() ? nullptr : &found->second.windows[window];
}

const SideWindows* Counter::FindSide(const Subject& subject, size_t window) const {
  auto found = subjects_.find(subject);
  if (found == subjects_.end() || found->second.side == nullptr) return nullptr;
  return &(*found->second.side)[window];
}

void Counter::ForEach(absl::FunctionRef<void(const Subject&)> tell) const {
  for (const auto& [subject, state] : subjects_) tell(subject);
}

Counter::State& Counter::StateOf(const Subject& subject) {
  State& state = subjects_[subject];
  if (state.windows.empty()) state.windows.resize(lengths_.size());
  return state;
}

void Counter::Changed(const Subject& subject, State* state) {
  if (!options_.track_changes || state->changed) return;
  state->changed = true;
  changed_.push_back(subject);
}

void Counter::Gone(const Subject& subject, const State& state) {
  if (options_.track_changes && state.stored) gone_.push_back(subject);
}

// While the disk is full everything that changed waits. Of what is forgotten by then nothing need
// be told: the store does not have it, or `gone_` says so.
void Counter::ForgetWaiting() {
  changed_.erase(std::remove_if(changed_.begin(), changed_.end(),
                                [&](const Subject& subject) { return !Has(subject); }),
                 changed_.end());
}

void Counter::SetCollected(const Subject& subject) {
  auto found = subjects_.find(subject);
  if (found != subjects_.end()) found->second.changed = false;
}

void Counter::SetStored(const std::vector<Subject>& subjects) {
  for (const Subject& subject : subjects) {
    auto found = subjects_.find(subject);
    if (found != subjects_.end()) found->second.stored = true;
  }
}

void Counter::PutBack(std::vector<Subject> changed, std::vector<Subject> gone,
                      std::vector<Stale> stale) {
  for (const Subject& subject : changed) {
    auto found = subjects_.find(subject);
    if (found != subjects_.end()) found->second.changed = true;
  }
  changed_.insert(changed_.begin(), changed.begin(), changed.end());
  gone_.insert(gone_.begin(), gone.begin(), gone.end());
  stale_.insert(stale_.begin(), stale.begin(), stale.end());
}

Window* Counter::RestoreWindow(const Subject& subject, absl::Duration length) {
  const std::optional<size_t> window = IndexOf(length);
  if (!window.has_value()) return nullptr;
  State& state = StateOf(subject);
  state.stored = true;
  return &state.windows[*window];
}

SideWindows* Counter::RestoreSide(const Subject& subject, absl::Duration length) {
  const std::optional<size_t> window = IndexOf(length);
  if (!window.has_value()) return nullptr;
  State& state = StateOf(subject);
  state.stored = true;
  return SideOf(&state, *window);
}

std::vector<std::pair<absl::Duration, absl::Time>> Counter::LengthsSince() const {
  std::vector<std::pair<absl::Duration, absl::Time>> since;
  for (size_t i = 0; i < lengths_.size(); ++i) since.emplace_back(lengths_[i].window(), since_[i]);
  return since;
}

std::vector<std::pair<SubjectKind, absl::Time>> Counter::KindsSince() const {
  std::vector<std::pair<SubjectKind, absl::Time>> since;
  for (int kind = 0; kind < kSubjectKinds; ++kind) {
    if (tracked_[kind] || tracked_alone_[kind]) {
      since.emplace_back(static_cast<SubjectKind>(kind), tracked_since_[kind]);
    }
  }
  return since;
}

void Counter::RestoreSince(absl::Time now,
                           const std::vector<std::pair<absl::Duration, absl::Time>>& lengths,
                           const std::vector<std::pair<SubjectKind, absl::Time>>& kinds) {
  UseAsked(now);
  std::fill(since_.begin(), since_.end(), now);
  for (const auto& [length, since] : lengths) {
    if (const std::optional<size_t> window = IndexOf(length)) since_[*window] = since;
  }
  std::fill(std::begin(tracked_since_), std::end(tracked_since_), now);
  for (const auto& [kind, since] : kinds) tracked_since_[static_cast<int>(kind)] = since;
}

}  // namespace deferd
