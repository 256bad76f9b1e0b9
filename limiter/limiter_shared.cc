// The part of the limiter that shares with other nodes.

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "limiter/cases/decision.h"
#include "limiter/limiter.h"
#include "limiter/store/window_text.h"

namespace deferd {

namespace {

// So long closed cases are told to others.
constexpr absl::Duration kTellClosed = absl::Hours(7 * 24);
// Nodes' clocks are less apart than this; what is later was not decided yet.
constexpr absl::Duration kAhead = absl::Hours(1);
constexpr size_t kMostCrowded = 1'000;

void Move(Case* record, absl::Duration by) {
  if (record->decided_at.has_value()) *record->decided_at += by;
  if (record->overruled.has_value()) record->overruled->at += by;
  // Infinite times stay what they are.
  for (absl::Time* time : {&record->since, &record->until, &record->closed_at, &record->cleared_at,
                           &record->judged_at, &record->counted_after}) {
    *time += by;
  }
  for (auto& [part, until] : record->apart_until) until += by;
}

SharedCase ToShared(Case record, absl::Duration offset) {
  Move(&record, offset);
  return {record.subject, record.shadow, record.rev, PersonDecided(record), SharedCaseText(record)};
}

// DataLoss: one that can be nobody's. Unimplemented: perhaps of a later version.
absl::StatusOr<Case> FromShared(const SharedCase& shared, absl::Duration offset, absl::Time now) {
  if (shared.rev < 0) return absl::DataLossError("damaged, or too large");
  absl::StatusOr<Case> record = ParseSharedCase(shared.text, shared.subject, shared.shadow);
  if (!record.ok()) return record;
  record->rev = shared.rev;
  Move(&*record, -offset);
  // One that nothing ends, or after which nothing would count.
  const absl::Time latest = now + kAhead;
  const bool closed = record->state == CaseState::kClosed;
  if (record->since > latest || record->cleared_at > latest || record->counted_after > latest ||
      (closed && record->closed_at > latest) || record->decided_at.value_or(now) > latest) {
    return absl::DataLossError("of a time to come");
  }
  return record;
}

// The first 8 of its 16 hex digits.
uint32_t HashOf(const Policy& policy) {
  uint32_t hash = 0;
  for (size_t i = 0; i < 8 && i < policy.hash.size(); ++i) {
    const char c = policy.hash[i];
    hash = hash << 4 | static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10) % 16;
  }
  return hash;
}

}  // namespace

void Limiter::OnSharedWork(std::function<void()> wake) {
  MutexLock lock(&mutex_);
  shared_->wake = std::move(wake);
}

absl::Duration Limiter::LongestWindow() const {
  absl::Duration longest;
  for (const WindowClock& clock : window_clocks_) longest = std::max(longest, clock.steps.window());
  return longest;
}

SharedState::Waiting& Limiter::ShareSubject(const Subject& subject) {
  SharedState::Waiting& waiting = shared_->subjects[subject];
  if (!std::exchange(waiting.changed, true)) {
    Subject domain = FirstWithin(subject);
    shared_->groups[domain.id.empty() ? subject : std::move(domain)].push_back(subject);
  }
  return waiting;
}

void Limiter::ShareEverything() {
  for (const auto& [subject, state] : subjects_) {
    if (!IsLoopbackHost(subject)) ShareSubject(subject);
  }
  if (shared_->wake) shared_->wake();
}

void Limiter::ShareAll() {
  MutexLock lock(&mutex_);
  ShareEverything();
}

void Limiter::ShareCasesDue(absl::Duration soon) {
  MutexLock lock(&mutex_);
  const absl::Time by = clock_->Now() + soon;
  for (const Case& record : cases_->Open()) {
    if (record.until <= by && !IsLoopbackHost(record.subject)) ShareSubject(record.subject);
  }
  for (const Subject& subject : std::exchange(shared_->refused, {})) ShareSubject(subject);
}

void Limiter::SetClockOffset(absl::Duration offset) {
  MutexLock lock(&mutex_);
  std::vector<StepClock> windows;
  for (const WindowClock& clock : window_clocks_) windows.push_back(clock.steps);
  if (shared_->SetOffset(offset, windows)) ShareEverything();
}

// Called when a commit has ended: only what is stored at home is told to others. A case is told
// also when it could not be stored, since others should not let its subject's mail out meanwhile.
void Limiter::ShareSaved(const Changes& changes, bool saved) {
  bool any = false;
  if (saved) {
    for (const Subject& subject : changes.subjects) {
      if (IsLoopbackHost(subject)) continue;
      ShareSubject(subject);
      any = true;
    }
  }
  for (const CaseEvent& event : changes.events) {
    auto known = shared_->cases.find({event.record.subject, event.record.shadow});
    if (known == shared_->cases.end() || !known->second.unsaved) continue;
    if (known->second.record.rev != event.record.rev) continue;  // changed again meanwhile
    known->second.unsaved = false;
    known->second.waits = any = true;
  }
  if (any && shared_->wake) shared_->wake();
}

// A domain with those of its parts that wait, the parts first; with it also the parts that its
// counts are taken of without.
std::vector<Subject> Limiter::TakeGroup() {
  auto group = shared_->groups.begin();
  const Subject leader = group->first;
  std::vector<Subject> subjects = std::move(group->second);
  shared_->groups.erase(group);
  auto at = std::find(subjects.begin(), subjects.end(), leader);
  if (at == subjects.end()) return subjects;
  subjects.erase(at);
  if (auto parts = apart_.find(leader); parts != apart_.end()) {
    const absl::flat_hash_set<Subject> there(subjects.begin(), subjects.end());
    for (const Subject& part : parts->second) {
      if (!there.contains(part)) subjects.push_back(part);
    }
  }
  subjects.push_back(leader);
  return subjects;
}

// Whoever reads a domain's row must find what is in it in its parts' rows too. So the parts are put
// before their domain, and read once more (which is putting the same row again) after it.
std::vector<RowPut> Limiter::TakeRowsToPut(size_t most) {
  std::vector<RowPut> puts;
  MutexLock lock(&mutex_);
  const uint32_t policy_hash = HashOf(*settings_.policy);
  for (size_t taken = 0; taken < most && !shared_->groups.empty();) {
    const std::vector<Subject> group = TakeGroup();
    const size_t first = puts.size();
    for (const Subject& subject : group) {
      auto state = subjects_.find(subject);
      for (size_t i = 0; i < window_clocks_.size(); ++i) {
        const StepClock& steps = window_clocks_[i].steps;
        WindowRow row;
        if (state != subjects_.end()) {
          row = RowOf(state->second.windows[i], shared_->ShiftOf(steps));
        }
        row.version = shared_->NextVersion();
        row.policy_hash = policy_hash;
        puts.push_back({{subject, steps.window()}, row.version, EncodeWindowRow(row)});
      }
      shared_->being_put[subject] = shared_->subjects[subject];
      shared_->subjects.erase(subject);
    }
    taken += group.size();
    if (group.back().kind != SubjectKind::kDomain) continue;
    const size_t parts_end = first + (group.size() - 1) * window_clocks_.size();
    for (size_t i = first; i < parts_end; ++i) {
      RowPut again = puts[i];
      puts.push_back(std::move(again));
    }
  }
  return puts;
}

void Limiter::RowsNotPut(absl::Span<const RowPut> puts) {
  MutexLock lock(&mutex_);
  for (const RowPut& put : puts) {
    auto being_put = shared_->being_put.find(put.key.subject);
    if (being_put == shared_->being_put.end()) continue;
    SharedState::Waiting& waiting = ShareSubject(put.key.subject);
    waiting.bad = waiting.bad || being_put->second.bad;
    shared_->being_put.erase(being_put);
  }
}

bool Limiter::RowsPut(absl::Span<const RowPut> puts, absl::Span<const RowAnswer> answers) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  shared_->alone = false;
  // The narrowest first, and else in the order put.
  std::vector<Subject> narrow, wide;
  absl::flat_hash_set<Subject> known;
  auto judge_later = [&](const Subject& subject) {
    if (!known.insert(subject).second) return;
    (subject.kind == SubjectKind::kDomain ? wide : narrow).push_back(subject);
  };
  for (size_t i = 0; i < puts.size() && i < answers.size(); ++i) {
    const RowKey& key = puts[i].key;
    auto being_put = shared_->being_put.find(key.subject);
    const bool bad = being_put != shared_->being_put.end() && being_put->second.bad;
    if (!answers[i].status.ok()) {
      shared_->refused.push_back(key.subject);
      if (bad) shared_->subjects[key.subject].bad = true;
      continue;
    }
    const SharedState::RowsNews news = SetRows(key, answers[i]);
    if (news.worse || bad) judge_later(key.subject);
    if (news.put_again || answers[i].crowded) shared_->refused.push_back(key.subject);
  }
  for (const RowPut& put : puts) shared_->being_put.erase(put.key.subject);
  bool opened = false;
  for (const Subject& subject : narrow) opened = JudgeAgain(subject) || opened;
  for (const Subject& subject : wide) {
    opened = JudgeAgain(subject) || opened;
    if (!shared_->unconfirmed.contains(subject)) continue;
    // Once more, with the newest of all its parts, and the cases that others opened of them.
    ShareSubject(subject).bad = true;
    if (auto parts = shared_->parts.find(subject); parts != shared_->parts.end()) {
      for (const Subject& part : parts->second) ShareSubject(part);
    }
    shared_->confirming.insert(subject);
    shared_->wants_cases = true;
  }
  return opened;
}

void Limiter::RowsRead(absl::Span<const RowKey> keys, absl::Span<const RowAnswer> answers) {
  MutexLock lock(&mutex_);
  for (size_t i = 0; i < keys.size() && i < answers.size(); ++i) {
    if (!answers[i].status.ok()) continue;
    if (SetRows(keys[i], answers[i]).put_again) shared_->refused.push_back(keys[i].subject);
  }
}

SharedState::RowsNews Limiter::SetRows(const RowKey& key, const RowAnswer& answer) {
  if (answer.crowded) {  // what is known of the others stays
    if (shared_->crowded.size() < kMostCrowded && shared_->crowded.insert(key.subject).second) {
      shared_->RefuseRow(key, "", "more rows than there can be nodes");
    }
    return {};
  }
  for (const WindowClock& clock : window_clocks_) {
    if (clock.steps.window() != key.window) continue;
    return shared_->SetRows(key, clock.steps, clock.steps.StepOf(ShownNow()), answer.rows);
  }
  return {};
}

std::vector<RowKey> Limiter::RowKeysOf(const Subject& subject) const {
  MutexLock lock(&mutex_);
  std::vector<RowKey> keys;
  auto add = [&](const Subject& one) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    for (const WindowClock& clock : window_clocks_) keys.push_back({one, clock.steps.window()});
  };
  add(subject);
  if (auto parts = apart_.find(subject); parts != apart_.end()) {
    for (const Subject& part : parts->second) add(part);
  }
  return keys;
}

// Other nodes' attempts may be later than the newest in this node's log: as of the clock, then.
bool Limiter::JudgeAgain(const Subject& subject) {
  const int64_t before = case_number_;
  const bool newest = shared_->confirming.erase(subject) > 0;
  shared_->unconfirmed.erase(subject);
  Judge(subject, ShownNow(), ShownNow(), newest, Basis::kAny);
  return case_number_ != before;
}

// A domain whose own node's counts would do is judged at once. Else a part of it may be the culprit
// of whom this node has an older row than of the domain.
bool Limiter::RestsOnOthers(const Subject& subject, const Decision& decision, absl::Time now,
                            bool shadow) const {
  if (shared_ == nullptr || shared_->alone || subject.kind != SubjectKind::kDomain) return false;
  const bool has_parts = tracked_[static_cast<int>(SubjectKind::kLogin)] ||
                         tracked_[static_cast<int>(SubjectKind::kAccount)] ||
                         tracked_[static_cast<int>(SubjectKind::kScript)];
  if (!has_parts) return false;
  const Counts own = CountsOf(subject, decision.rule->window, now, absl::InfinitePast(), shadow,
                              /*own_only=*/true);
  return !Evaluate(*decision.rule, own).tripped;
}

bool Limiter::TakeWantsCases() {
  MutexLock lock(&mutex_);
  return std::exchange(shared_->wants_cases, false);
}

void Limiter::ShareChange(CaseChange change, Case* record) {
  // Over before it was found: nothing that others must know.
  if (record->history && !record->manual) return;
  SharedState::KnownCase& known = shared_->cases[{record->subject, record->shadow}];
  record->rev = NextRev(known.record.rev);
  record->cleared_at = known.record.cleared_at;
  auto cleared = cleared_.find(record->subject);
  if (cleared != cleared_.end()) {
    record->cleared_at = std::max(
        record->cleared_at, record->shadow ? cleared->second.shadow : cleared->second.enforced);
  }
  if (change == CaseChange::kUnblocked) {
    record->cleared_at = std::max(record->cleared_at, record->closed_at);
  }
  if (change == CaseChange::kOpened) {
    record->counts_by_node = CountsByNode(record->subject, record->shadow, record->window,
                                          record->counts, std::max(now_, record->since));
  }
  const bool by_person = change == CaseChange::kBlockedByPerson || change == CaseChange::kUnblocked;
  record->decided_at = by_person ? batch_clock_ : StandingOf(known.record).decided_at;
  record->overruled.reset();
  known.person = by_person || (known.person && (known.waits || known.unsaved));
  known.announce =
      change == CaseChange::kOpened || (known.announce && change == CaseChange::kExtended);
  known.record = *record;
  known.unsaved = true;
}

void Limiter::ShareRestored(const std::vector<Case>& cases) {
  for (const Case& record : cases) {
    const bool open = record.state != CaseState::kClosed;
    if (record.history || (record.rev == 0 && !open) || IsLoopbackHost(record.subject)) continue;
    Case& known = shared_->cases[{record.subject, record.shadow}].record;
    if (known.rev > record.rev || (known.rev == record.rev && known.rev > 0 && !open)) continue;
    known = record;
    known.rev = std::max<int64_t>(1, known.rev);
  }
}

std::vector<SharedCase> Limiter::TakeCasesToPut() {
  MutexLock lock(&mutex_);
  const absl::Time too_old = clock_->Now() - std::max(LongestWindow(), kTellClosed);
  std::vector<SharedCase> cases;
  for (auto& [name, known] : shared_->cases) {
    if (!known.waits) continue;
    const Case& record = known.record;
    if (record.state == CaseState::kClosed && record.closed_at < too_old) {
      known.waits = false;
      continue;
    }
    cases.push_back(ToShared(record, shared_->CaseOffset()));
    cases.back().seen = known.seen;
  }
  return cases;
}

bool Limiter::CasePut(const SharedCase& sent, const CasePutAnswer& answer) {
  MutexLock lock(&mutex_);
  const SharedState::CaseName name = {sent.subject, sent.shadow};
  auto found = shared_->cases.find(name);
  if (found == shared_->cases.end()) return false;
  SharedState::KnownCase& known = found->second;
  if (answer.written || answer.now == sent) {
    if (known.record.rev == sent.rev) known.waits = known.person = false;
    known.seen = sent.rev;
    if (std::exchange(known.announce, false) && observer_ != nullptr) {
      observer_->OnAnnounce(known.record);
    }
    return false;
  }
  if (known.record.rev != sent.rev) return false;  // changed here again: that is put next
  batch_clock_ = clock_->Now();
  absl::StatusOr<Case> theirs = FromShared(answer.now, shared_->CaseOffset(), batch_clock_);
  if (!theirs.ok()) {
    shared_->RefuseCase(sent.subject, theirs.status().message());
    // That of a newer deferd is not ours to undo, unless a person says so.
    const bool nobodys = absl::IsDataLoss(theirs.status());
    known.waits = known.person || nobodys;
    known.seen = answer.now.rev;
    if (known.person && !nobodys) known.record.rev = NextRev(answer.now.rev);
    if (std::exchange(known.announce, false) && observer_ != nullptr) {
      observer_->OnAnnounce(known.record);
    }
    return false;
  }
  if (WhichWins(StandingOf(known.record), StandingOf(*theirs)) != Winner::kMine) {
    Adopt(name, *std::move(theirs));
    return true;
  }
  known.seen = theirs->rev;
  Case record = known.record;
  // What a person decided here goes on top of theirs: their case is ended, not forgotten.
  if (known.person && record.state == CaseState::kClosed) {
    const bool holds =
        theirs->state == CaseState::kClosed && theirs->cleared_at >= record.cleared_at;
    Case ended = *theirs;
    if (!holds) {
      ended.state = CaseState::kClosed;
      ended.closed_at = record.closed_at;
      ended.closed_by = record.closed_by;
      ended.closed_reason = record.closed_reason;
      ended.cleared_at = record.cleared_at;
    }
    ended.decided_at = record.decided_at;
    ended.overruled = record.overruled;
    record = std::move(ended);
  }
  const std::optional<PersonsWord> word = WordOf(*theirs);
  if (known.person && word.has_value() && word->blocked != (record.state != CaseState::kClosed)) {
    record.overruled = word;
  }
  record.cleared_at = std::max(record.cleared_at, theirs->cleared_at);
  record.rev = NextRev(std::max(known.record.rev, theirs->rev));
  known.record = record;
  known.waits = true;
  Clear(record.subject, record.cleared_at, !record.shadow, record.shadow);
  Changed(CaseChange::kAdopted, batch_clock_, record);
  if (shared_->wake) shared_->wake();
  return true;
}

void Limiter::MergeCases(const std::vector<SharedCase>& theirs, bool all) {
  MutexLock lock(&mutex_);
  batch_clock_ = clock_->Now();
  absl::flat_hash_set<SharedState::CaseName> there;
  for (const SharedCase& one : theirs) {
    MergeCase(one);
    if (all) there.emplace(one.subject, one.shadow);
  }
  bool any = false;
  for (auto& [name, known] : shared_->cases) {
    if (all && !known.unsaved && !there.contains(name)) known.waits = true;
    any = any || known.waits;
  }
  if (any && shared_->wake) shared_->wake();
}

void Limiter::MergeCase(const SharedCase& theirs) {
  const SharedState::CaseName name = {theirs.subject, theirs.shadow};
  absl::StatusOr<Case> record = FromShared(theirs, shared_->CaseOffset(), batch_clock_);
  auto found = shared_->cases.find(name);
  if (!record.ok()) {
    shared_->RefuseCase(theirs.subject, record.status().message());
    // Who knows the true one puts it in its place.
    if (found != shared_->cases.end() && absl::IsDataLoss(record.status())) {
      found->second.seen = std::max<int64_t>(0, theirs.rev);
      found->second.waits = found->second.waits || !found->second.unsaved;
    }
    return;
  }
  if (found == shared_->cases.end()) {
    const absl::Time too_old = batch_clock_ - std::max(LongestWindow(), kTellClosed);
    if (record->state == CaseState::kClosed && record->closed_at < too_old) {
      shared_->dropped.emplace_back(name, theirs.rev);
      return;
    }
    Adopt(name, *std::move(record));
    return;
  }
  SharedState::KnownCase& known = found->second;
  const Winner winner = WhichWins(StandingOf(known.record), StandingOf(*record));
  if (winner == Winner::kNeither && record->id == known.record.id &&
      record->state == known.record.state) {
    known.seen = theirs.rev;
    return;
  }
  if (winner != Winner::kMine) {
    Adopt(name, *std::move(record));
    return;
  }
  // What waits to be put meets theirs then, which is looked at as a whole.
  if (known.waits || known.unsaved) return;
  known.seen = theirs.rev;
  if (theirs.rev >= known.record.rev) known.record.rev = NextRev(theirs.rev);
  known.waits = true;
}

void Limiter::Adopt(const SharedState::CaseName& name, Case theirs) {
  SharedState::KnownCase& known = shared_->cases[name];
  const auto& [subject, shadow] = name;
  absl::Time cleared_at = known.record.cleared_at;
  auto cleared = cleared_.find(subject);
  if (cleared != cleared_.end()) {
    cleared_at = std::max(cleared_at, shadow ? cleared->second.shadow : cleared->second.enforced);
  }
  const int64_t seen = theirs.rev;
  const bool add_clearing = cleared_at > theirs.cleared_at;
  if (add_clearing) theirs.cleared_at = cleared_at;
  // A person's word that was not shared in time is kept beside the one that overrules it.
  const std::optional<PersonsWord> word =
      known.person && (known.waits || known.unsaved) ? WordOf(known.record) : std::nullopt;
  const bool overrules = word.has_value() && word->blocked != (theirs.state != CaseState::kClosed);
  if (overrules) theirs.overruled = word;
  const bool add = add_clearing || overrules;
  if (add) theirs.rev = NextRev(theirs.rev);
  const bool open = theirs.state != CaseState::kClosed;
  if (theirs.cleared_at != absl::InfinitePast()) {
    Clear(subject, theirs.cleared_at, !shadow, shadow || (!open && PersonDecided(theirs)));
  }
  // This node's own case of the same trouble gives way, as if it had never been.
  std::optional<Case> mine = cases_->FindOpen(subject, shadow);
  if (mine.has_value() && mine->id != theirs.id) changes_.forgotten_cases.push_back(mine->id);
  const bool known_closed = !open && known.record.state == CaseState::kClosed &&
                            known.record.id == theirs.id && !mine.has_value();
  known = {};
  known.record = theirs;
  known.seen = seen;
  known.waits = add;
  if (!known_closed) Changed(CaseChange::kAdopted, batch_clock_, theirs);
}

bool Limiter::CaseWaits(const Subject& subject) const {
  MutexLock lock(&mutex_);
  for (bool shadow : {false, true}) {
    auto known = shared_->cases.find({subject, shadow});
    if (known == shared_->cases.end()) continue;
    if (known->second.waits || known->second.unsaved) return true;
  }
  return false;
}

void Limiter::GoOnAlone() {
  MutexLock lock(&mutex_);
  shared_->alone = true;
  shared_->confirming.clear();
  for (const Subject& subject : std::exchange(shared_->unconfirmed, {})) {
    Judge(subject, ShownNow(), ShownNow(), /*newest=*/true, Basis::kAny);
  }
  for (auto& [name, known] : shared_->cases) {
    if (std::exchange(known.announce, false) && observer_ != nullptr) {
      observer_->OnAnnounce(known.record);
    }
  }
}

std::vector<std::pair<SharedState::CaseName, int64_t>> Limiter::TakeCasesToDrop() {
  MutexLock lock(&mutex_);
  return std::exchange(shared_->dropped, {});
}

void Limiter::ForgetShared() {
  const absl::Time now = ShownNow();
  shared_->Expire([&](absl::Duration window) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    std::optional<int64_t> step;
    for (const WindowClock& clock : window_clocks_) {
      if (clock.steps.window() == window) step = clock.steps.StepOf(now);
    }
    return step;
  });
  const absl::Time too_old = now - std::max(LongestWindow(), kTellClosed);
  for (auto it = shared_->cases.begin(); it != shared_->cases.end();) {
    const Case& record = it->second.record;
    if (record.state == CaseState::kClosed && record.closed_at < too_old) {
      shared_->dropped.emplace_back(it->first, record.rev);
      shared_->cases.erase(it++);
    } else {
      ++it;
    }
  }
}

Limiter::SharedStats Limiter::shared_stats() const {
  MutexLock lock(&mutex_);
  SharedStats stats;
  stats.waiting_subjects = shared_->subjects.size() + shared_->being_put.size();
  for (const auto& [name, known] : shared_->cases) {
    if (known.waits || known.unsaved) ++stats.waiting_cases;
  }
  stats.unreadable_rows = shared_->unreadable_rows;
  stats.unreadable_cases = shared_->unreadable_cases;
  stats.refused_last = shared_->refused_last;
  return stats;
}

std::vector<RowKey> Limiter::TakeCrowdedRows() {
  MutexLock lock(&mutex_);
  std::vector<RowKey> keys;
  for (const Subject& subject : std::exchange(shared_->crowded, {})) {
    for (const WindowClock& clock : window_clocks_) keys.push_back({subject, clock.steps.window()});
  }
  return keys;
}

}  // namespace deferd
