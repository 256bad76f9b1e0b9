#include "limiter/limiter.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy/refusal_text.h"
#include "policy/smart_host.h"

namespace deferd {

namespace {

// Closed cases are shown for this long at least, and as long as the longest window.
constexpr absl::Duration kKeepClosed = absl::Hours(7 * 24);

CountedOutcome Counted(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDelivered:
      return CountedOutcome::kDelivered;
    case Outcome::kDeferred:
      return CountedOutcome::kDeferred;
    default:
      return CountedOutcome::kFailed;
  }
}

}  // namespace

Limiter::Limiter(const LimiterOptions& options, Settings settings, const Clock* clock,
                 CaseTable* cases, Observer* observer)
    : options_(options),
      clock_(clock),
      cases_(cases),
      observer_(observer),
      settings_(std::move(settings)),
      shared_(options.shared ? std::make_unique<SharedState>(options.node, options.incarnation)
                             : nullptr),
      contributions_(options.max_messages, options.max_recipients, options.keep),
      incidents_(options.keep),
      batch_clock_(clock->Now()) {
  for (absl::Duration window : settings_.policy->Windows()) {
    window_clocks_.push_back({StepClock(window), 0, absl::InfinitePast()});
  }
  UsePolicy(*settings_.policy);
  std::fill(std::begin(tracked_since_), std::end(tracked_since_), absl::InfinitePast());
}

void Limiter::UsePolicy(const Policy& policy) {
  bool was_tracked[kSubjectKinds];
  std::copy(std::begin(tracked_), std::end(tracked_), was_tracked);
  std::fill(std::begin(tracked_), std::end(tracked_), false);
  std::fill(std::begin(tracked_alone_), std::end(tracked_alone_), false);
  any_rule_[false] = any_rule_[true] = judges_rejected_ = false;
  for (const Rule& rule : policy.rules) {
    (rule.unhosted ? tracked_alone_ : tracked_)[static_cast<int>(rule.kind)] = true;
    any_rule_[rule.shadow || policy.mode == Mode::kShadow] = true;
    judges_rejected_ = judges_rejected_ || rule.rejected;
  }
  for (int kind = 0; kind < kSubjectKinds; ++kind) {
    if (tracked_[kind] && !was_tracked[kind]) tracked_since_[kind] = now_;
  }
}

void Limiter::Record(const EventBatch& batch) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  if (observer_ != nullptr) observer_->OnLines(batch.counts);
  for (size_t i = 0; i < batch.size(); ++i) {
    const LogEvent& event = batch[i];
    if (event.kind == LogEvent::Kind::kAttempt) {
      RecordAttempt(event.attempt);
      continue;
    }
    if (event.kind == LogEvent::Kind::kCompleted) contributions_.Forget(event.attempt.message);
    if (event.attempt.outcome == Outcome::kRejectedRecipient &&
        event.kind == LogEvent::Kind::kShown) {
      if (RecordRejected(event.attempt)) continue;
      LogEvent rejected = event;
      rejected.attempt.outcome = Outcome::kRejected;
      TellMessage(rejected);
      continue;
    }
    TellMessage(event);
  }
}

void Limiter::TellMessage(const LogEvent& event) {
  if (observer_ == nullptr || !options_.keep) return;
  const bool shown = event.kind == LogEvent::Kind::kShown;
  const bool charged = shown || event.kind == LogEvent::Kind::kArrived;
  std::optional<Classification> answer;
  const std::string& reply = event.attempt.reply;
  // What is on hold or in the queue has no answer yet, but our own words.
  const Outcome outcome = event.attempt.outcome;
  if (shown && !reply.empty() && outcome != Outcome::kQueued && outcome != Outcome::kHeld) {
    answer = AnswerOf(event.attempt, nullptr);
  }
  observer_->OnMessage(
      event, charged ? Charge(*settings_.lists, event.attempt.identity, "") : ChargedSubjects(),
      answer.has_value() ? &*answer : nullptr);
}

// Strangers who guess addresses are charged to nobody, also where `order` charges every envelope
// sender. What an ACL refuses for another reason (a limit, a block list, deferd's own answer) is no
// rejected recipient.
bool Limiter::RecordRejected(const Attempt& attempt) {
  const Identity& who = attempt.identity;
  const bool by_sender = settings_.lists->order.front() == ChargeStep::kSender;
  if (by_sender && who.login.empty() && who.user.empty()) return false;
  ChargedSubjects charged = Charge(*settings_.lists, who, "");
  if (charged.empty() || IsRefusalText(attempt.reply, settings_.policy->text)) return false;
  const Classification answer =
      settings_.policy->replies().Classify(attempt.reply, {.logged = Permanence::kPermanent});
  if (answer.reply_class != ReplyClass::kInvalidRecipient &&
      answer.reply_class != ReplyClass::kMailboxDisabled &&
      answer.reply_class != ReplyClass::kDnsRouting) {
    return false;
  }
  const bool future = attempt.time > batch_clock_ + kMaxAhead;
  if (!future && ClockWasSetBack()) ComeBackTo(batch_clock_);
  if (!future) AdvanceTo(attempt.time);
  SpareHost(&charged);
  const LeftOut left_out = future                         ? LeftOut::kFuture
                           : !LiveSomewhere(attempt.time) ? LeftOut::kLate
                                                          : LeftOut::kCounts;
  if (observer_ != nullptr) observer_->OnAttempt(attempt, charged, left_out, &answer);
  if (left_out != LeftOut::kCounts) return true;
  Add(charged, attempt.time, CountedOutcome::kRejected);
  if (judges_rejected_) JudgeAll(charged, attempt.time, Basis::kRejected);
  return true;
}

void Limiter::RecordAttempt(const Attempt& attempt) {
  const bool future = attempt.time > batch_clock_ + kMaxAhead;
  if (!future && ClockWasSetBack()) ComeBackTo(batch_clock_);
  if (!future) AdvanceTo(attempt.time);

  std::optional<Classification> answer;
  if (attempt.outcome != Outcome::kDelivered && !attempt.bare_expiry) {
    answer = AnswerOf(attempt, nullptr);
  }
  ChargedSubjects charged;
  const bool by_sender = settings_.lists->order.front() == ChargeStep::kSender;
  if (attempt.attributed() || (by_sender && !attempt.identity.sender.empty())) {
    charged = Charge(*settings_.lists, attempt.identity, attempt.original);
  }
  if (charged.empty() || future) {
    if (observer_ == nullptr) return;
    if (attempt.bare_expiry) answer = AnswerOf(attempt, nullptr);
    observer_->OnAttempt(attempt, charged,
                         !charged.empty()               ? LeftOut::kFuture
                         : attempt.identity.made_by_mta ? LeftOut::kMadeByMta
                         : attempt.identity.unclear     ? LeftOut::kUnclear
                                                        : LeftOut::kNobodyCharged,
                         answer.has_value() ? &*answer : nullptr);
    return;
  }

  MessageRecord& message = contributions_.OfMessage(attempt.message);
  const Recipients::Found found = contributions_.OfRecipient(attempt.recipient, &message);
  RecipientRecord& recipient = *found.record;
  LeftOut left_out = WhyLeftOut(*settings_.lists, *settings_.policy, attempt,
                                {.charged = charged,
                                 .answer = answer.has_value() ? &*answer : nullptr,
                                 .previous = recipient.last_left_out});
  recipient.last_left_out = left_out;
  if (attempt.bare_expiry) answer = AnswerOf(attempt, &recipient);
  if (answer.has_value()) {
    recipient.last_class = answer->reply_class;
    recipient.last_scope = answer->scope;
  }
  if (left_out == LeftOut::kCounts && !LiveSomewhere(attempt.time)) left_out = LeftOut::kLate;
  const Classification* const meant = answer.has_value() ? &*answer : nullptr;
  if (left_out == LeftOut::kCounts && meant != nullptr) {
    left_out = WhyAnswerLeftOut(*meant, attempt);
  }
  // A forward's subject depends on the recipient, every other one on the message alone.
  const bool by_message = charged.back().subject.kind != SubjectKind::kForward;
  if (by_message && message.charged.empty()) {
    SpareHost(&charged);
    message.charged = std::move(charged);
    contributions_.Changed(attempt.message, &message, 0);
  }
  const ChargedSubjects& who = by_message ? message.charged : charged;
  if (left_out == LeftOut::kCounts || left_out == LeftOut::kReplyClass ||
      left_out == LeftOut::kIncident) {
    left_out = WatchPlace(attempt, who, meant, left_out);
  }
  if (observer_ != nullptr) observer_->OnAttempt(attempt, who, left_out, meant);
  contributions_.Changed(attempt.message, &message, found.part);
  if (left_out == LeftOut::kCounts) {
    Contribute(attempt, who, meant, &message, &recipient);
  } else if (left_out == LeftOut::kReplyClass || left_out == LeftOut::kIncident) {
    ShowLeftOut(attempt, who, answer->reply_class, &recipient);
  }
}

// A host is not judged by what a sender did that has a case of its own, or may do as it likes.
void Limiter::SpareHost(ChargedSubjects* charged) const {
  if (charged->size() < 2 || charged->front().subject.kind != SubjectKind::kHost) return;
  const Subject& sender = charged->back().subject;
  const bool shadow = settings_.policy->mode == Mode::kShadow;
  if (settings_.policy->Exempts(sender) || cases_->FindOpen(sender, shadow).has_value()) {
    charged->erase(charged->begin());
  }
}

Classification Limiter::AnswerOf(const Attempt& attempt, const RecipientRecord* recipient) const {
  const bool deferred = attempt.outcome == Outcome::kDeferred;
  if (!attempt.bare_expiry) {
    Classification answer = settings_.policy->replies().Classify(
        attempt.reply, {.logged = deferred ? Permanence::kTransient : Permanence::kPermanent,
                        .host = attempt.host});
    if (RefusesOurLogin(attempt, answer)) {
      answer.reply_class = ReplyClass::kLocal;
      answer.scope = ReplyScope::kServer;
    }
    return answer;
  }
  Classification answer;
  answer.reply_class = ReplyClass::kNetwork;  // RFC 3463 puts X.4.7, delivery time expired, there
  answer.scope = InfoOf(answer.reply_class).scope;
  if (recipient != nullptr && recipient->last_class.has_value()) {
    answer.reply_class = *recipient->last_class;
    answer.scope = recipient->last_scope;
  }
  answer.permanence = deferred ? Permanence::kTransient : Permanence::kPermanent;
  return answer;
}

LeftOut Limiter::WhyAnswerLeftOut(const Classification& answer, const Attempt& attempt) const {
  const bool failure = FailsForGood(answer, attempt.outcome == Outcome::kDeferred);
  if (settings_.policy->CountsAnswer(answer, failure)) return LeftOut::kCounts;
  const bool ours = answer.scope == ReplyScope::kIp || answer.scope == ReplyScope::kServer;
  return ours ? LeftOut::kIncident : LeftOut::kReplyClass;
}

void Limiter::ShowLeftOut(const Attempt& attempt, const ChargedSubjects& charged,
                          ReplyClass reply_class, RecipientRecord* record) {
  if (settings_.policy->count == CountMode::kOnce && record->left_out == reply_class) return;
  record->left_out = reply_class;
  AddLeftOut(charged, attempt.time, Counted(attempt.outcome), reply_class);
}

void Limiter::AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                         ReplyClass reply_class) {
  const WindowClock& clock = window_clocks_.front();
  const int64_t step = clock.steps.StepOf(dated);
  if (!clock.steps.Live(step, clock.now_step)) return;
  for (const Charged& one : charged) {
    if (!Tracks(charged, one)) continue;
    SubjectState& state = StateOf(one.subject);
    if (state.left_out == nullptr) state.left_out = std::make_unique<LeftOutWindows>();
    state.left_out->Of(reply_class)->Add(step, outcome, clock.now_step);
    SubjectChanged(one.subject, &state);
  }
}

void Limiter::Contribute(const Attempt& attempt, const ChargedSubjects& charged,
                         const Classification* answer, MessageRecord* message,
                         RecipientRecord* record) {
  CountedOutcome outcome = Counted(attempt.outcome);
  const bool delivered = outcome == CountedOutcome::kDelivered;
  if (settings_.policy->count == CountMode::kOnce) {
    if (attempt.time < record->last) return;
    record->last = attempt.time;
    if (record->outcome == outcome || (delivered && record->outcome == CountedOutcome::kSurplus)) {
      return;
    }
  }
  const auto diluted = [&](size_t name) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    contributions_.Changed(attempt.message, message, name / MessageRecord::kNames);
  };
  if (delivered && !message->dilution.Admit(charged.back().subject.id, attempt.recipient,
                                            attempt.host, attempt.host_ip, diluted)) {
    outcome = CountedOutcome::kSurplus;
  }
  if (settings_.policy->count == CountMode::kOnce) {
    if (record->outcome.has_value()) TakeOut(charged, record->dated, *record->outcome);
    if (!record->place.empty()) {
      incidents_.Remove(record->place, attempt.message, attempt.recipient);
      record->place.clear();
    }
    record->outcome = outcome;
    record->dated = attempt.time;
  }
  Add(charged, attempt.time, outcome);
  const std::optional<Incidents::Key> place = PlaceOf(attempt, answer);
  if (place.has_value() && IsRemembered(*place, charged.back().subject, attempt.time)) {
    record->place = place->second;
    incidents_.Add(
        *place, {attempt.message, attempt.recipient, charged, attempt.time, outcome, case_number_});
  }
  if (!delivered) JudgeAll(charged, attempt.time, Basis::kBad);
}

void Limiter::JudgeAll(const ChargedSubjects& charged, absl::Time since, Basis basis) {
  for (const Charged& one : charged) {
    if (!Tracks(charged, one)) continue;
    if (shared_ != nullptr && !IsLoopbackHost(one.subject)) {
      shared_->subjects[one.subject].bad = true;
    }
    Judge(one.subject, now_, since, /*newest=*/false, basis);
  }
}

void Limiter::Add(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome) {
  LearnWithin(charged);
  for (const Charged& one : charged) {
    if (!Tracks(charged, one)) continue;
    SubjectState& state = StateOf(one.subject);
    for (size_t i = 0; i < window_clocks_.size(); ++i) {
      const WindowClock& clock = window_clocks_[i];
      const int64_t step = clock.steps.StepOf(dated);
      if (!clock.steps.Live(step, clock.now_step)) continue;
      state.windows[i].Add(step, outcome, clock.now_step);
      SubjectChanged(one.subject, &state);
      if (i == 0 && observer_ != nullptr) observer_->OnContribution(one.subject, outcome, +1);
    }
  }
}

void Limiter::TakeOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome) {
  for (const Charged& one : charged) {
    if (!Tracks(charged, one)) continue;
    // What was added before a reload brought this kind or this window is not in it.
    const bool widest = &one == &charged.back();
    if (!widest && dated < tracked_since_[static_cast<int>(one.subject.kind)]) continue;
    auto found = subjects_.find(one.subject);
    if (found == subjects_.end()) continue;
    SubjectState& state = found->second;
    for (size_t i = 0; i < window_clocks_.size(); ++i) {
      const WindowClock& clock = window_clocks_[i];
      const int64_t step = clock.steps.StepOf(dated);
      if (dated < clock.since || !clock.steps.Live(step, clock.now_step)) continue;
      if (!state.windows[i].Remove(step, outcome)) continue;
      SubjectChanged(one.subject, &state);
      if (i == 0 && observer_ != nullptr) observer_->OnContribution(one.subject, outcome, -1);
    }
  }
}

bool Limiter::Tracks(const ChargedSubjects& all, const Charged& one) const {
  const int kind = static_cast<int>(one.subject.kind);
  if (&one == &all.back() || tracked_[kind]) return true;
  return tracked_alone_[kind] && StandsAlone(*settings_.lists, one.subject, all.back().subject.id);
}

bool Limiter::LiveSomewhere(absl::Time t) const {
  return std::any_of(window_clocks_.begin(), window_clocks_.end(), [&](const WindowClock& clock) {
    return clock.steps.Live(clock.steps.StepOf(t), clock.now_step);
  });
}

void Limiter::AdvanceTo(absl::Time t) {
  if (t <= now_) return;
  EndCasesDue(t);
  EndIncidentsDue(t);
  now_ = t;
  absl::Duration longest;
  for (WindowClock& clock : window_clocks_) {
    clock.now_step = clock.steps.StepOf(now_);
    longest = std::max(longest, clock.steps.window());
  }
  if (now_ - last_sweep_ > longest / 2) ForgetDeadSubjects();
}

void Limiter::ForgetDeadSubjects() {
  last_sweep_ = now_;
  for (auto it = subjects_.begin(); it != subjects_.end();) {
    SubjectState& state = it->second;
    bool dead = true;
    for (size_t i = 0; i < window_clocks_.size(); ++i) {
      const WindowClock& clock = window_clocks_[i];
      state.windows[i].Expire(clock.now_step);
      dead = dead && state.windows[i].empty();
    }
    if (state.left_out != nullptr) {
      state.left_out->Expire(window_clocks_.front().now_step);
      dead = dead && state.left_out->empty();
    }
    if (dead) {
      ForgetSubject(it->first, state);
      subjects_.erase(it++);
    } else {
      ++it;
    }
  }
  absl::Duration longest;
  for (const WindowClock& clock : window_clocks_) {
    longest = std::max(longest, clock.steps.window());
  }
  for (auto it = cleared_.begin(); it != cleared_.end();) {
    const Cleared& cleared = it->second;
    const bool over = std::max({cleared.enforced, cleared.shadow, cleared.apart}) < now_ - longest;
    if (over && options_.keep) changes_.clearings.push_back(it->first);
    if (over) {
      cleared_.erase(it++);
    } else {
      ++it;
    }
  }
  ForgetParts(now_ - longest);
  cases_->ForgetClosed(now_ - std::max(longest, kKeepClosed));
  if (shared_ != nullptr) ForgetShared();
  ForgetWaiting();
}

void Limiter::SetSettings(Settings settings) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  KeepWithin(*settings.lists);
  settings_ = std::move(settings);
  UsePolicy(*settings_.policy);
  std::vector<WindowClock> clocks;
  std::vector<std::optional<size_t>> was_at;  // index among the old windows
  for (absl::Duration window : settings_.policy->Windows()) {
    auto old = std::find_if(window_clocks_.begin(), window_clocks_.end(),
                            [&](const WindowClock& c) { return c.steps.window() == window; });
    if (old != window_clocks_.end()) {
      was_at.push_back(old - window_clocks_.begin());
      clocks.push_back(*old);
    } else {
      was_at.push_back(std::nullopt);
      StepClock steps(window);
      clocks.push_back({steps, now_ == absl::InfinitePast() ? 0 : steps.StepOf(now_), now_});
    }
  }
  const absl::Duration first_was = window_clocks_.front().steps.window();
  for (auto& [subject, state] : subjects_) {
    for (const WindowClock& old : window_clocks_) {
      const bool stays = std::any_of(clocks.begin(), clocks.end(), [&](const WindowClock& clock) {
        return clock.steps.window() == old.steps.window();
      });
      if (options_.keep && !stays) {
        changes_.stale_windows.push_back({subject, old.steps.window(), ""});
      }
    }
    // What is left out is told of the first rule's window.
    if (state.left_out != nullptr && first_was != clocks.front().steps.window()) {
      if (options_.keep) changes_.stale_windows.push_back({subject, first_was, "", true});
      state.left_out.reset();
    }
    absl::InlinedVector<Window, 1> windows(clocks.size());
    for (size_t i = 0; i < clocks.size(); ++i) {
      if (was_at[i].has_value()) windows[i] = std::move(state.windows[*was_at[i]]);
    }
    state.windows = std::move(windows);
  }
  window_clocks_ = std::move(clocks);
  CloseWhatIsNotEnforced();
  if (shared_ != nullptr) ShareEverything();
}

Settings Limiter::settings() const {
  MutexLock lock(&mutex_);
  return settings_;
}

absl::Time Limiter::ShownNow() const { return std::max(clock_->Now(), now_); }

std::vector<SubjectCounts> Limiter::Top(size_t limit) const {
  std::vector<SubjectCounts> top;
  {
    MutexLock lock(&mutex_);
    const absl::Time now = ShownNow();
    const StepClock& steps = window_clocks_.front().steps;
    const int64_t now_step = steps.StepOf(now);
    auto add = [&](const Subject& subject, const Window* window) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      if (apart_.contains(subject)) {
        const Counts counts =
            CountsOf(subject, steps.window(), now, absl::InfinitePast(), /*shadow=*/false);
        if (counts.total() > 0 || counts.rejected > 0) top.push_back({subject, counts});
        return;
      }
      auto cleared = cleared_.find(subject);
      const int64_t after =
          cleared == cleared_.end() || cleared->second.enforced == absl::InfinitePast()
              ? std::numeric_limits<int64_t>::min()
              : steps.StepOf(cleared->second.enforced);
      Counts counts;
      if (window != nullptr) counts = window->Sum(now_step, after);
      if (shared_ != nullptr) {
        counts += shared_->Others(subject, steps.window(), now_step, after);
      }
      if (counts.total() > 0 || counts.rejected > 0) top.push_back({subject, counts});
    };
    for (const auto& [subject, state] : subjects_) add(subject, &state.windows.front());
    if (shared_ != nullptr) {
      shared_->ForEachOther([&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        if (!subjects_.contains(subject)) add(subject, nullptr);
      });
    }
  }
  auto worse = [](const SubjectCounts& a, const SubjectCounts& b) {
    if (a.counts.bad() != b.counts.bad()) return a.counts.bad() > b.counts.bad();
    if (a.counts.total() != b.counts.total()) return a.counts.total() < b.counts.total();
    return std::tie(a.subject.id, a.subject.kind) < std::tie(b.subject.id, b.subject.kind);
  };
  if (limit == 0 || limit >= top.size()) {
    std::sort(top.begin(), top.end(), worse);
  } else {
    std::partial_sort(top.begin(), top.begin() + limit, top.end(), worse);
    top.resize(limit);
  }
  return top;
}

std::vector<std::pair<ReplyClass, int64_t>> Limiter::LeftOutOf(const Subject& subject,
                                                               absl::Time now) const {
  auto state = subjects_.find(subject);
  if (state == subjects_.end() || state->second.left_out == nullptr) return {};
  const StepClock& steps = window_clocks_.front().steps;
  auto cleared = cleared_.find(subject);
  const int64_t after =
      cleared == cleared_.end() || cleared->second.enforced == absl::InfinitePast()
          ? std::numeric_limits<int64_t>::min()
          : steps.StepOf(cleared->second.enforced);
  return state->second.left_out->Sum(steps.StepOf(now), after);
}

SubjectReport Limiter::Report(const Subject& asked) const {
  MutexLock lock(&mutex_);
  const Subject subject = AsCharged(*settings_.lists, asked);
  const Policy& policy = *settings_.policy;
  const absl::Time now = ShownNow();
  SubjectReport report;
  report.window = window_clocks_.front().steps.window();
  report.counts =
      CountsOf(subject, window_clocks_.front().steps.window(), now, absl::InfinitePast(), false);
  report.left_out = LeftOutOf(subject, now);
  if (shared_ != nullptr) {
    report.counts_by_node = CountsByNode(subject, /*shadow=*/false,
                                         window_clocks_.front().steps.window(), report.counts, now);
  }
  const bool alone = StandsAlone(*settings_.lists, subject, FirstWithin(subject).id);
  for (const Rule& rule : policy.rules) {
    if (!rule.AppliesTo(subject, alone)) continue;
    const bool shadow = rule.shadow || policy.mode == Mode::kShadow;
    const Counts counts = CountsOf(subject, rule.window, now, absl::InfinitePast(), shadow);
    const Decision decision = Evaluate(rule, counts);
    const Counts recent = CountsOf(subject, rule.window, now, now - rule.window / 4, shadow);
    report.rules.push_back({rule, counts, recent, decision.percent, decision.tripped, shadow});
  }
  report.within = WithinOf(subject);
  report.exempt = policy.Exempts(subject) ||
                  std::any_of(report.within.begin(), report.within.end(),
                              [&](const Subject& domain) { return policy.Exempts(domain); });
  const bool whole = subject.kind == SubjectKind::kDomain || subject.kind == SubjectKind::kForward;
  report.hosted = !whole || IsHosted(*settings_.lists, subject.id);
  report.may_be_blocked = MayBeBlocked(subject);
  report.policy_shadow = policy.mode == Mode::kShadow;
  report.parts = OpenPartsOf(subject);
  auto cleared = cleared_.find(subject);
  if (cleared != cleared_.end()) report.cleared_at = cleared->second.enforced;
  return report;
}

Limiter::Stats Limiter::stats() const {
  MutexLock lock(&mutex_);
  return {.subjects = subjects_.size(),
          .messages = contributions_.size(),
          .evicted = contributions_.evicted(),
          .now = now_,
          .evicted_subjects = evicted_subjects_,
          .evicted_places = incidents_.evicted(),
          .clock_back = clock_back_};
}

}  // namespace deferd
