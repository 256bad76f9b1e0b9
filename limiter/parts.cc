#include "limiter/parts.h"

#include <algorithm>
#include <utility>

namespace deferd {

namespace {

// So long closed cases are told to others.
constexpr absl::Duration kTellClosed = absl::Hours(7 * 24);
// Room for the events of the next batch, at most.
constexpr size_t kReserved = 4096;

}  // namespace

LimiterParts::LimiterParts(const LimiterOptions& limiter_options, Settings chosen,
                           const Clock* its_clock, CaseTable* table)
    : options(limiter_options),
      clock(its_clock),
      case_table(table),
      settings(std::move(chosen)),
      counter({.max_subjects = options.max_subjects, .track_changes = options.keep}, &settings),
      clearings(options.keep),
      contributions(options.max_messages, options.max_recipients, options.keep),
      culprit(&settings, &clearings),
      incidents(options.keep),
      casebook(options.node, options.incarnation, table, options.keep),
      rows(options.shared ? std::make_unique<RowExchange>(options.node, options.incarnation,
                                                          &counter, &refused)
                          : nullptr),
      row_check(options.shared ? std::make_unique<RowCheck>(options.node, &counter, rows.get())
                               : nullptr),
      shared_cases(options.shared ? std::make_unique<CaseExchange>(table, &clearings, &refused)
                                  : nullptr),
      counts(&counter, &clearings, &culprit, rows.get()),
      judge(&settings, &culprit, &counts),
      batch_clock(clock->Now()),
      clock_lead(batch_clock - absl::UnixEpoch() - clock->Elapsed()) {}

LimiterParts::~LimiterParts() = default;

absl::Time LimiterParts::ShownNow() const { return std::max(clock->Now(), now); }

bool LimiterParts::Shares(const Subject& subject) const {
  return rows != nullptr && !IsLoopbackHost(subject);
}

void LimiterParts::SetClockOffset(absl::Duration offset, bool exact) {
  const bool moved = rows->SetOffset(offset, exact);
  shared_cases->SetOffset(rows->CaseOffset());
  if (moved) ShareEverything();
}

void LimiterParts::ReadClock() {
  // Less is measured with the next heartbeat.
  constexpr absl::Duration kSet = absl::Seconds(5);
  const absl::Duration before = clock->Elapsed();
  batch_clock = clock->Now();
  if (rows == nullptr || clock->Elapsed() - before > absl::Seconds(1)) return;
  const absl::Duration lead = batch_clock - absl::UnixEpoch() - before;
  const absl::Duration set = lead - std::exchange(clock_lead, lead);
  if (absl::AbsDuration(set) < kSet) return;
  if (rows->measured()) {
    SetClockOffset(rows->measured_offset() - set, /*exact=*/true);
  } else {
    shared_cases->ClockSet(set);
  }
}

void LimiterParts::ShareSubject(const Subject& subject) {
  rows->Wait(subject, culprit.FirstWithin(subject));
}

void LimiterParts::ShareEverything() {
  counter.ForEach([&](const Subject& subject) {
    if (Shares(subject)) ShareSubject(subject);
  });
  Wake();
}

void LimiterParts::ShareSaved(const std::vector<Subject>& subjects,
                              const std::vector<CaseEvent>& events, bool saved) {
  bool any = false;
  if (saved) {
    for (const Subject& subject : subjects) {
      if (!Shares(subject)) continue;
      ShareSubject(subject);
      any = true;
    }
  }
  for (const CaseEvent& event : events) any = shared_cases->Saved(event.record) || any;
  if (any) Wake();
}

void LimiterParts::Wake() {
  if (wake) wake();
}

absl::Time LimiterParts::TooOld(absl::Time as_of) const {
  return as_of - std::max(counter.longest(), kTellClosed);
}

void LimiterParts::KeepWithin(const ChargeLists& next) {
  culprit.KeepWithin(next,
                     [&](absl::FunctionRef<void(const Subject&)> keep) { counter.ForEach(keep); });
}

Events LimiterParts::TakeEvents() {
  Events events = std::exchange(happened, Events());
  if (!events.empty()) {
    events.Keep(settings.policy);
    happened.Reserve(std::min(events.size(), kReserved));  // the next batch is as large as this one
  }
  return events;
}

}  // namespace deferd
