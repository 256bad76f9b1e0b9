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
                 CaseTable* cases)
    : options_(options),
      clock_(clock),
      cases_(cases),
      settings_(std::move(settings)),
      counter_({.max_subjects = options.max_subjects, .tell_changes = options.keep}, &settings_),
      clearings_(options.keep),
      contributions_(options.max_messages, options.max_recipients, options.keep),
      culprit_(&settings_, &clearings_),
      incidents_(options.keep),
      casebook_(options.node, options.incarnation, cases, options.keep),
      rows_(options.shared ? std::make_unique<RowExchange>(options.node, options.incarnation,
                                                           &counter_, &refused_)
                           : nullptr),
      shared_cases_(options.shared ? std::make_unique<CaseExchange>(cases, &clearings_, &refused_)
                                   : nullptr),
      counts_(&counter_, &clearings_, &culprit_, rows_.get()),
      judge_(&settings_, &culprit_, &counts_),
      batch_clock_(clock->Now()) {}

Events Limiter::Record(const EventBatch& batch) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  happened_.AddLines(batch.counts);
  for (size_t i = 0; i < batch.size(); ++i) {
    const LogEvent& event = batch[i];
    if (event.kind == LogEvent::Kind::kAttempt) {
      RecordAttempt(event.attempt);
      continue;
    }
    if (event.kind == LogEvent::Kind::kCompleted) contributions_.Forget(event.attempt.message);
    const bool at_rcpt = event.kind == LogEvent::Kind::kShown &&
                         event.attempt.outcome == Outcome::kRejectedRecipient;
    if (at_rcpt && RecordRejected(event.attempt)) continue;
    if (options_.keep) RecordMessage(event, at_rcpt);
  }
  return TakeEvents();
}

void Limiter::RecordMessage(const LogEvent& event, bool rejected) {
  const bool shown = event.kind == LogEvent::Kind::kShown;
  const bool charged = shown || event.kind == LogEvent::Kind::kArrived;
  std::optional<Classification> answer;
  const std::string& reply = event.attempt.reply;
  // What is on hold or in the queue has no answer yet, but our own words.
  const Outcome outcome = event.attempt.outcome;
  if (shown && !reply.empty() && outcome != Outcome::kQueued && outcome != Outcome::kHeld) {
    answer = AnswerOf(event.attempt, nullptr);
  }
  ChargedSubjects who;
  if (charged) who = Charge(*settings_.lists, event.attempt.identity, "");
  const Classification* const meant = answer.has_value() ? &*answer : nullptr;
  if (!rejected) {
    happened_.AddMessage(&event, std::move(who), meant);
    return;
  }
  LogEvent other = event;
  other.attempt.outcome = Outcome::kRejected;
  happened_.AddMessage(std::move(other), std::move(who), meant);
}

Events Limiter::TakeEvents() {
  Events events = std::exchange(happened_, Events());
  if (!events.empty()) events.Keep(settings_.policy);
  return events;
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
  const LeftOut left_out = future                                  ? LeftOut::kFuture
                           : !counter_.LiveSomewhere(attempt.time) ? LeftOut::kLate
                                                                   : LeftOut::kCounts;
  happened_.AddAttempt(&attempt, charged, left_out, &answer);
  if (left_out != LeftOut::kCounts) return true;
  Add(charged, attempt.time, CountedOutcome::kRejected);
  if (judge_.JudgesRejected()) JudgeAll(charged, attempt.time, Basis::kRejected);
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
    if (attempt.bare_expiry) answer = AnswerOf(attempt, nullptr);
    happened_.AddAttempt(&attempt, charged,
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
  if (left_out == LeftOut::kCounts && !counter_.LiveSomewhere(attempt.time))
    left_out = LeftOut::kLate;
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
  happened_.AddAttempt(&attempt, who, left_out, meant);
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
      incidents_.incidents().Remove(record->place, attempt.message, attempt.recipient);
      record->place.clear();
    }
    record->outcome = outcome;
    record->dated = attempt.time;
  }
  Add(charged, attempt.time, outcome);
  const std::optional<Incidents::Key> place = incidents_.PlaceOf(attempt, answer);
  if (place.has_value() && incidents_.IsRemembered(*place, charged.back().subject, attempt.time)) {
    record->place = place->second;
    incidents_.incidents().Add(*place, {attempt.message, attempt.recipient, charged, attempt.time,
                                        outcome, casebook_.number()});
  }
  if (!delivered) JudgeAll(charged, attempt.time, Basis::kBad);
}

// After a contribution that may trip a rule.
void Limiter::JudgeAll(const ChargedSubjects& charged, absl::Time since, Basis basis) {
  for (const Charged& one : charged) {
    if (!counter_.Tracks(charged, one)) continue;
    if (Shares(one.subject)) rows_->SetBad(one.subject);
    JudgeSubject(one.subject, now_, since, /*newest=*/false, basis);
  }
}

void Limiter::Add(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome) {
  if (charged.size() == 2 && Culprit::MayBePart(charged.front().subject.kind) &&
      counter_.Tracks(charged, charged.front())) {
    const Subject& part = charged.front().subject;
    const Subject& domain = charged.back().subject;
    if (rows_ != nullptr) rows_->SetPart(domain, part);
    culprit_.Learn(part, domain);
  }
  RoomFor(charged);
  counter_.Add(charged, dated, outcome, &contributed_);
  happened_.AddContributed(&contributed_);
}

void Limiter::TakeOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome) {
  counter_.TakeOut(charged, dated, outcome, &contributed_);
  happened_.AddContributed(&contributed_);
}

void Limiter::AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                         ReplyClass reply_class) {
  RoomFor(charged);
  counter_.AddLeftOut(charged, dated, outcome, reply_class);
}

void Limiter::RoomFor(const ChargedSubjects& charged) {
  if (counter_.HasRoomFor(charged.size())) return;
  const auto is_new = [&](const Charged& one) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return counter_.Tracks(charged, one) && !counter_.Has(one.subject);
  };
  const size_t needed = std::count_if(charged.begin(), charged.end(), is_new);
  if (!counter_.HasRoomFor(needed)) MakeRoom();
}

// Never one with a case, or one whose counts a case has cleared or changed.
void Limiter::MakeRoom() {
  Forget();
  absl::flat_hash_set<Subject> open;
  for (const Case& record : cases_->Open()) open.insert(record.subject);
  counter_.MakeRoom([&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return open.contains(subject) || culprit_.blocked().contains(subject) ||
           clearings_.Find(subject) != nullptr || culprit_.Apart(subject) != nullptr;
  });
  ForgetWhatIsGone();
}

Events Limiter::SetSettings(Settings settings) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  culprit_.KeepWithin(*settings.lists,
                      [&](absl::FunctionRef<void(const Subject&)> keep)
                          ABSL_NO_THREAD_SAFETY_ANALYSIS { counter_.ForEach(keep); });
  settings_ = std::move(settings);
  counter_.UseSettings(now_);
  CloseWhatIsNotEnforced();
  if (rows_ != nullptr) ShareEverything();
  return TakeEvents();
}

Settings Limiter::settings() const {
  MutexLock lock(&mutex_);
  return settings_;
}

std::vector<SubjectCounts> Limiter::Top(size_t limit) const {
  std::vector<SubjectCounts> top;
  {
    MutexLock lock(&mutex_);
    const absl::Time now = ShownNow();
    const absl::Duration window = counter_.first().window();
    auto add = [&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
      const Counts counts =
          counts_.Of(subject, window, now, absl::InfinitePast(), /*shadow=*/false);
      if (counts.total() > 0 || counts.rejected > 0) top.push_back({subject, counts});
    };
    counter_.ForEach(add);
    if (rows_ != nullptr) {
      rows_->ForEachOther([&](const Subject& subject) ABSL_NO_THREAD_SAFETY_ANALYSIS {
        if (!counter_.Has(subject)) add(subject);
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

SubjectReport Limiter::Report(const Subject& asked) const {
  MutexLock lock(&mutex_);
  const Subject subject = AsCharged(*settings_.lists, asked);
  const Policy& policy = *settings_.policy;
  const absl::Time now = ShownNow();
  const StepClock& steps = counter_.first();
  const absl::Time cleared_at = clearings_.After(subject, /*shadow=*/false);
  SubjectReport report;
  report.window = steps.window();
  report.counts = counts_.Of(subject, report.window, now, absl::InfinitePast(), /*shadow=*/false);
  report.left_out = counter_.LeftOutOf(subject, steps.StepOf(now), StepAt(steps, cleared_at));
  if (rows_ != nullptr) {
    report.counts_by_node =
        counts_.ByNode(options_.node, subject, /*shadow=*/false, report.window, report.counts, now);
  }
  const bool alone = StandsAlone(*settings_.lists, subject, culprit_.FirstWithin(subject).id);
  for (const Rule& rule : policy.rules) {
    if (!rule.AppliesTo(subject, alone)) continue;
    const bool shadow = rule.shadow || policy.mode == Mode::kShadow;
    const Counts counts = counts_.Of(subject, rule.window, now, absl::InfinitePast(), shadow);
    const Decision decision = Evaluate(rule, counts);
    const Counts recent = counts_.Of(subject, rule.window, now, now - rule.window / 4, shadow);
    report.rules.push_back({rule, counts, recent, decision.percent, decision.tripped, shadow});
  }
  report.within = culprit_.WithinOf(subject);
  report.exempt = policy.Exempts(subject) ||
                  std::any_of(report.within.begin(), report.within.end(),
                              [&](const Subject& domain) { return policy.Exempts(domain); });
  const bool whole = subject.kind == SubjectKind::kDomain || subject.kind == SubjectKind::kForward;
  report.hosted = !whole || IsHosted(*settings_.lists, subject.id);
  report.may_be_blocked = judge_.MayBeBlocked(subject);
  report.policy_shadow = policy.mode == Mode::kShadow;
  report.parts = culprit_.PartsAmong(cases_->Open(), subject);
  report.cleared_at = cleared_at;
  return report;
}

Limiter::Stats Limiter::stats() const {
  MutexLock lock(&mutex_);
  return {.subjects = counter_.size(),
          .messages = contributions_.size(),
          .evicted = contributions_.evicted(),
          .now = now_,
          .evicted_subjects = counter_.evicted(),
          .evicted_places = incidents_.incidents().evicted(),
          .clock_back = clock_back_};
}

}  // namespace deferd
