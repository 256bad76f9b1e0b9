#include "limiter/attempt_handler.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "limiter/counting/side_windows.h"
#include "policy/refusal_text.h"
#include "policy/smart_host.h"

namespace deferd {

void AttemptHandler::Record(const EventBatch& batch) {
  parts_->ReadClock();
  parts_->happened.AddLines(batch.counts);
  for (size_t i = 0; i < batch.size(); ++i) {
    const LogEvent& event = batch[i];
    if (event.kind == LogEvent::Kind::kAttempt) {
      RecordAttempt(event.attempt);
      continue;
    }
    if (event.kind == LogEvent::Kind::kCompleted) {
      parts_->contributions.Forget(event.attempt.message);
      parts_->accepted.TakeAwaited(event.attempt.message.id);
    }
    const bool at_rcpt = event.kind == LogEvent::Kind::kShown &&
                         event.attempt.outcome == Outcome::kRejectedRecipient;
    if (at_rcpt && RecordRejected(event.attempt)) continue;
    if (event.kind == LogEvent::Kind::kAccepted) {
      RecordAccepted(event.attempt, /*arrived=*/false);
      continue;
    }
    if (parts_->options.keep) RecordMessage(event, at_rcpt);
    if (!parts_->settings.policy->JudgesSent()) continue;
    if (event.kind == LogEvent::Kind::kArrived && !event.attempt.handed_over) {
      RecordAccepted(event.attempt, /*arrived=*/true);
    } else if (event.kind == LogEvent::Kind::kIdentified) {
      RecordIdentified(event.attempt);
    }
  }
}

// A message counts when it is accepted, so that a queue full of mail does not pass before the first
// delivery is tried. What its recipients are forwarded to is not of its sender's making.
void AttemptHandler::RecordAccepted(const Attempt& attempt, bool arrived) {
  if (!parts_->settings.policy->JudgesSent()) return;
  const bool by_sender = parts_->settings.lists->order.front() == ChargeStep::kSender;
  if (arrived && !attempt.attributed() && !by_sender) return;
  ChargedSubjects charged = Charge(*parts_->settings.lists, attempt.identity, "");
  if (charged.empty() || (arrived && attempt.identity.unclear)) {
    if (arrived) {
      parts_->accepted.Await(attempt.message.id, attempt.time, attempt.recipients);
    }
    return;
  }
  if (attempt.time > parts_->batch_clock + LimiterParts::kMaxAhead) return;
  time_->RecoverIfClockSetBack();
  time_->AdvanceTo(attempt.time);
  if (!parts_->counter.LiveSomewhere(attempt.time)) return;
  SpareHost(&charged);
  const std::string& id = attempt.message.id;
  const bool counts = arrived ? parts_->accepted.TakeArrival(id, attempt.time)
                              : parts_->accepted.TakeQuestion(id, attempt.time);
  // A question has counted the message, and one recipient.
  const int64_t known = counts ? 0 : 1;
  int64_t recipients = (arrived ? std::max<int64_t>(attempt.recipients, 1) : 1) - known;
  if (!arrived && !counts) recipients = 0;
  if (arrived && attempt.recipients == 0 && parts_->settings.policy->JudgesSentRecipients()) {
    MessageRecord& message = parts_->contributions.OfMessage(attempt.message);
    message.sent_recipients = std::max<int64_t>(message.sent_recipients, 1);
    message.recipients.PartAt(0);
    parts_->contributions.Changed(attempt.message, &message, 0);
  }
  if (!counts && recipients == 0) return;
  accounts_->AddSent(charged, attempt.time, counts ? 1 : 0, recipients);
  cases_->JudgeAll(charged, attempt.time, Basis::kSent);
}

// Its sender may become known only after it has arrived. Postfix names a client's login before the
// message is in the queue, and whatever is told of a message later repeats its sender.
void AttemptHandler::RecordIdentified(const Attempt& attempt) {
  const std::optional<int64_t> recipients = parts_->accepted.TakeAwaited(attempt.message.id);
  if (!recipients.has_value() || attempt.handed_over) return;
  Attempt arrived = attempt;
  arrived.recipients = *recipients;
  RecordAccepted(arrived, /*arrived=*/true);
}

// Of an alias that stands for many only the alias is counted: it is what was sent to.
void AttemptHandler::CountRecipient(const Attempt& attempt, const ChargedSubjects& charged,
                                    MessageRecord* message) {
  if (message->sent_recipients == 0 || !parts_->settings.policy->JudgesSentRecipients()) return;
  if (message->sent_to == nullptr) {
    message->sent_to = std::make_unique<absl::flat_hash_set<uint64_t>>();
  }
  message->sent_to->insert(
      RecipientNumber(attempt.original.empty() ? attempt.recipient : attempt.original));
  const auto seen = static_cast<int64_t>(message->sent_to->size());
  if (seen <= message->sent_recipients || !parts_->counter.LiveSomewhere(attempt.time)) return;
  const int64_t more = seen - message->sent_recipients;
  message->sent_recipients = seen;
  parts_->contributions.Changed(attempt.message, message, 0);
  accounts_->AddSent(charged, attempt.time, 0, more);
  cases_->JudgeAll(charged, attempt.time, Basis::kSent);
}

void AttemptHandler::RecordAttempt(const Attempt& attempt) {
  const bool future = attempt.time > parts_->batch_clock + LimiterParts::kMaxAhead;
  if (!future) time_->RecoverIfClockSetBack();
  if (!future) time_->AdvanceTo(attempt.time);

  std::optional<Classification> answer;
  if (attempt.outcome != Outcome::kDelivered && !attempt.bare_expiry) {
    answer = AnswerOf(attempt, nullptr);
  }
  ChargedSubjects charged;
  const bool by_sender = parts_->settings.lists->order.front() == ChargeStep::kSender;
  if (attempt.attributed() || (by_sender && !attempt.identity.sender.empty())) {
    charged = Charge(*parts_->settings.lists, attempt.identity, attempt.original);
  }
  if (charged.empty() || future) {
    if (attempt.bare_expiry) answer = AnswerOf(attempt, nullptr);
    parts_->happened.AddAttempt(&attempt, charged,
                                !charged.empty()               ? LeftOut::kFuture
                                : attempt.identity.made_by_mta ? LeftOut::kMadeByMta
                                : attempt.identity.unclear     ? LeftOut::kUnclear
                                                               : LeftOut::kNobodyCharged,
                                answer.has_value() ? &*answer : nullptr);
    return;
  }

  MessageRecord& message = parts_->contributions.OfMessage(attempt.message);
  const Recipients::Found found = parts_->contributions.OfRecipient(attempt.recipient, &message);
  RecipientRecord& recipient = *found.record;
  LeftOut left_out = WhyLeftOut(*parts_->settings.lists, *parts_->settings.policy, attempt,
                                {.charged = charged,
                                 .answer = answer.has_value() ? &*answer : nullptr,
                                 .previous = recipient.last_left_out});
  recipient.last_left_out = left_out;
  if (attempt.bare_expiry) answer = AnswerOf(attempt, &recipient);
  if (answer.has_value()) {
    recipient.last_class = answer->reply_class;
    recipient.last_scope = answer->scope;
  }
  if (left_out == LeftOut::kCounts && !parts_->counter.LiveSomewhere(attempt.time))
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
    parts_->contributions.Changed(attempt.message, &message, 0);
  }
  const ChargedSubjects& who = by_message ? message.charged : charged;
  if (left_out == LeftOut::kCounts || left_out == LeftOut::kReplyClass ||
      left_out == LeftOut::kIncident) {
    left_out = incidents_->WatchPlace(attempt, who, meant, left_out);
  }
  parts_->happened.AddAttempt(&attempt, who, left_out, meant);
  parts_->contributions.Changed(attempt.message, &message, found.part);
  if (by_message) CountRecipient(attempt, who, &message);
  if (left_out == LeftOut::kCounts) {
    Contribute(attempt, who, meant, &message, &recipient);
  } else if (left_out == LeftOut::kReplyClass || left_out == LeftOut::kIncident) {
    ShowLeftOut(attempt, who, answer->reply_class, &recipient);
  }
}

void AttemptHandler::RecordMessage(const LogEvent& event, bool rejected) {
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
  if (charged) who = Charge(*parts_->settings.lists, event.attempt.identity, "");
  const Classification* const meant = answer.has_value() ? &*answer : nullptr;
  if (!rejected) {
    parts_->happened.AddMessage(&event, std::move(who), meant);
    return;
  }
  LogEvent other = event;
  other.attempt.outcome = Outcome::kRejected;
  parts_->happened.AddMessage(std::move(other), std::move(who), meant);
}

// Strangers who guess addresses are charged to nobody, also where `order` charges every envelope
// sender. What an ACL refuses for another reason (a limit, a block list, deferd's own answer) is no
// rejected recipient.
bool AttemptHandler::RecordRejected(const Attempt& attempt) {
  const Identity& who = attempt.identity;
  const bool by_sender = parts_->settings.lists->order.front() == ChargeStep::kSender;
  if (by_sender && who.login.empty() && who.user.empty()) return false;
  ChargedSubjects charged = Charge(*parts_->settings.lists, who, "");
  if (charged.empty() || IsRefusalText(attempt.reply, parts_->settings.policy->text)) return false;
  const Classification answer = parts_->settings.policy->replies().Classify(
      attempt.reply, {.logged = Permanence::kPermanent});
  if (answer.reply_class != ReplyClass::kInvalidRecipient &&
      answer.reply_class != ReplyClass::kMailboxDisabled &&
      answer.reply_class != ReplyClass::kDnsRouting) {
    return false;
  }
  const bool future = attempt.time > parts_->batch_clock + LimiterParts::kMaxAhead;
  if (!future) time_->RecoverIfClockSetBack();
  if (!future) time_->AdvanceTo(attempt.time);
  SpareHost(&charged);
  const LeftOut left_out = future                                         ? LeftOut::kFuture
                           : !parts_->counter.LiveSomewhere(attempt.time) ? LeftOut::kLate
                                                                          : LeftOut::kCounts;
  parts_->happened.AddAttempt(&attempt, charged, left_out, &answer);
  if (left_out != LeftOut::kCounts) return true;
  accounts_->Add(charged, attempt.time, CountedOutcome::kRejected);
  if (parts_->judge.JudgesRejected()) cases_->JudgeAll(charged, attempt.time, Basis::kRejected);
  return true;
}

// A host is not judged by what a sender did that has a case of its own, or may do as it likes.
void AttemptHandler::SpareHost(ChargedSubjects* charged) const {
  if (charged->size() < 2 || charged->front().subject.kind != SubjectKind::kHost) return;
  const Subject& sender = charged->back().subject;
  const bool shadow = parts_->settings.policy->mode == Mode::kShadow;
  if (parts_->settings.policy->Exempts(sender, parts_->now) ||
      cases_->ExemptionOf(sender).has_value() ||
      parts_->case_table->FindOpen(sender, shadow).has_value()) {
    charged->erase(charged->begin());
  }
}

Classification AttemptHandler::AnswerOf(const Attempt& attempt,
                                        const RecipientRecord* recipient) const {
  const bool deferred = attempt.outcome == Outcome::kDeferred;
  if (!attempt.bare_expiry) {
    Classification answer = parts_->settings.policy->replies().Classify(
        attempt.reply, {.logged = deferred ? Permanence::kTransient : Permanence::kPermanent,
                        .host = attempt.host,
                        .nobody_asked = !attempt.remote});
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

LeftOut AttemptHandler::WhyAnswerLeftOut(const Classification& answer,
                                         const Attempt& attempt) const {
  const bool failure = FailsForGood(answer, attempt.outcome == Outcome::kDeferred);
  if (parts_->settings.policy->CountsAnswer(answer, failure)) return LeftOut::kCounts;
  const bool ours = answer.scope == ReplyScope::kIp || answer.scope == ReplyScope::kServer;
  return ours ? LeftOut::kIncident : LeftOut::kReplyClass;
}

void AttemptHandler::ShowLeftOut(const Attempt& attempt, const ChargedSubjects& charged,
                                 ReplyClass reply_class, RecipientRecord* record) {
  if (parts_->settings.policy->count == CountMode::kOnce && record->left_out == reply_class) return;
  record->left_out = reply_class;
  accounts_->AddLeftOut(charged, attempt.time, CountedAs(attempt.outcome), reply_class);
}

void AttemptHandler::Contribute(const Attempt& attempt, const ChargedSubjects& charged,
                                const Classification* answer, MessageRecord* message,
                                RecipientRecord* record) {
  CountedOutcome outcome = CountedAs(attempt.outcome);
  const bool delivered = outcome == CountedOutcome::kDelivered;
  if (parts_->settings.policy->count == CountMode::kOnce) {
    if (attempt.time < record->last) return;
    record->last = attempt.time;
    if (record->outcome == outcome || (delivered && record->outcome == CountedOutcome::kSurplus)) {
      return;
    }
  }
  const auto diluted = [&](size_t name) {
    parts_->contributions.Changed(attempt.message, message, name / MessageRecord::kNames);
  };
  if (delivered && !message->dilution.Admit(charged.back().subject.id, attempt.recipient,
                                            attempt.host, attempt.host_ip, diluted)) {
    outcome = CountedOutcome::kSurplus;
  }
  const std::optional<ReplyClass> meant =
      answer == nullptr ? std::nullopt : std::optional<ReplyClass>(answer->reply_class);
  if (parts_->settings.policy->count == CountMode::kOnce) {
    if (record->outcome.has_value()) {
      accounts_->TakeOut(charged, record->dated,
                         {*record->outcome, record->counted_class, attempt.recipient});
    }
    if (!record->place.empty()) {
      parts_->incidents.incidents().Remove(record->place, attempt.message, attempt.recipient);
      record->place.clear();
    }
    record->outcome = outcome;
    record->dated = attempt.time;
    record->counted_class = meant;
  }
  accounts_->Add(charged, attempt.time, {outcome, meant, attempt.recipient});
  const std::optional<Incidents::Key> place = parts_->incidents.PlaceOf(attempt, answer);
  if (place.has_value() &&
      parts_->incidents.IsRemembered(*place, charged.back().subject, attempt.time)) {
    record->place = place->second;
    parts_->incidents.incidents().Add(
        *place, {attempt.message, attempt.recipient, charged, attempt.time, outcome,
                 parts_->casebook.number(), meant});
  }
  if (!delivered) cases_->JudgeAll(charged, attempt.time, Basis::kBad);
}

}  // namespace deferd
