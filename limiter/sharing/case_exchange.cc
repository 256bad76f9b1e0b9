#include "limiter/sharing/case_exchange.h"

#include <algorithm>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "limiter/cases/decision.h"
#include "limiter/store/case_codec.h"
#include "policy/text.h"

namespace deferd {

namespace {

// Nodes' clocks are less apart than this; what is later was not decided yet.
constexpr absl::Duration kAhead = absl::Hours(1);
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

// A version before rules of other measures writes a case on without what it does not know: the same
// judgement, so what is known here of it stays.
void KeepJudgement(const Case& mine, Case* theirs) {
  const bool same = theirs->id == mine.id && theirs->rule == mine.rule &&
                    theirs->extended == mine.extended && theirs->min_bad == mine.min_bad;
  if (!same || theirs->measure != Measure() || theirs->min_recipients != 0) return;
  if (mine.measure == Measure() && mine.min_recipients == 0) return;
  static_cast<Judgement&>(*theirs) = mine;
  theirs->counts_by_node = mine.counts_by_node;
  theirs->soft = mine.soft && theirs->action == mine.action;
}

bool IsOpen(const Case& record) { return record.state != CaseState::kClosed; }

// When a person who knew `known` decided, `now` by this clock: later than what was known, unless
// that is of a time that no other node takes.
absl::Time DecidedAt(const Case& known, absl::Time now) {
  const absl::Time before = StandingOf(known).decided_at.value_or(absl::InfinitePast());
  return before > now + kAhead ? now : std::max(now, before + absl::Milliseconds(1));
}

// Their word that `record`, a person's too, contradicts.
std::optional<PersonsWord> Contradicted(const std::optional<PersonsWord>& word,
                                        const Case& record) {
  return word.has_value() && word->blocked != IsOpen(record) ? word : std::nullopt;
}

}  // namespace

void CaseExchange::Refuse(const Subject& subject, absl::string_view why) {
  ++refused_->cases;
  refused_->last = absl::StrCat("case of ", Quoted(subject.ToString()), ": ", why);
}

void CaseExchange::SetOffset(absl::Duration offset) {
  if (measured_ && offset_ == offset) return;
  const absl::Duration by = offset_.value_or(offset) - offset;
  for (auto& [name, known] : known_) {
    if (std::exchange(known.measured, true)) {
      Move(&known.record, by);
    } else if (known.decided_measured && known.record.decided_at.has_value()) {
      *known.record.decided_at += by;
    }
    known.decided_measured = true;
  }
  offset_ = offset;
  measured_ = true;
}

void CaseExchange::ClockSet(absl::Duration by) {
  for (auto& [name, known] : known_) {
    if (known.measured) continue;
    const std::optional<absl::Time> decided = known.record.decided_at;
    Move(&known.record, by);
    if (known.decided_measured) known.record.decided_at = decided;
  }
}

void CaseExchange::Stamp(CaseChange change, absl::Time now, Case* record) {
  // Over before it was found: nothing that others must know, but for a person's order.
  if (record->history && !record->manual && change != CaseChange::kUnblocked) return;
  Known& known = known_[{record->subject, record->shadow}];
  record->rev = NextRev(known.record.rev);
  record->cleared_at =
      std::max(known.record.cleared_at, clearings_->After(record->subject, record->shadow));
  if (change == CaseChange::kUnblocked) {
    record->cleared_at = std::max(record->cleared_at, record->closed_at);
  }
  const bool by_person = change == CaseChange::kBlockedByPerson ||
                         change == CaseChange::kUnblocked ||
                         (change == CaseChange::kEnded && record->ending == Ending::kPerson);
  record->decided_at =
      by_person ? DecidedAt(known.record, now) : StandingOf(known.record).decided_at;
  record->overruled.reset();
  // Before the first measurement a clock that was set while this node was down shows only in a
  // decision that would be earlier than what it was made in knowledge of.
  known.measured = measured_;
  known.decided_measured = measured_ || (offset_.has_value() && record->decided_at > now);
  record->clock_offset = measured_ ? offset_ : std::nullopt;
  known.person = by_person || (known.person && (known.waits || known.unsaved));
  // One that was over when it was found is not known before something extends it.
  known.announce =
      change == CaseChange::kOpened ||
      (change == CaseChange::kExtended && (known.announce || known.record.id != record->id));
  known.record = *record;
  known.unsaved = true;
}

bool CaseExchange::Saved(const Case& record) {
  auto found = known_.find({record.subject, record.shadow});
  if (found == known_.end() || !found->second.unsaved) return false;
  if (found->second.record.rev != record.rev) return false;  // changed again meanwhile
  found->second.unsaved = false;
  found->second.waits = true;
  return true;
}

void CaseExchange::Restore(const std::vector<Case>& cases, std::optional<absl::Duration> offset) {
  offset_ = offset;
  for (const Case& record : cases) {
    const bool open = IsOpen(record);
    const bool nobodys = record.history && !PersonDecided(record);
    if (nobodys || (record.rev == 0 && !open) || IsLoopbackHost(record.subject)) continue;
    Known& entry = known_[{record.subject, record.shadow}];
    Case& known = entry.record;
    if (known.rev > record.rev || (known.rev == record.rev && known.rev > 0 && !open)) continue;
    known = record;
    known.rev = std::max<int64_t>(1, known.rev);
    // One that was written before the first measurement of its run belongs to that.
    entry.measured = entry.decided_measured = offset.has_value();
    if (entry.measured) Move(&known, record.clock_offset.value_or(*offset) - *offset);
  }
}

std::vector<SharedCase> CaseExchange::Take(absl::Duration offset, absl::Time too_old) {
  std::vector<SharedCase> cases;
  for (auto& [name, known] : known_) {
    if (!known.waits) continue;
    if (!IsOpen(known.record) && known.record.closed_at < too_old) {
      known.waits = false;
      continue;
    }
    cases.push_back(ToShared(known.record, offset));
    cases.back().seen = known.seen;
  }
  return cases;
}

CaseExchange::Answered CaseExchange::Put(const SharedCase& sent, const CasePutAnswer& answer,
                                         absl::Duration offset, absl::Time now) {
  Answered answered;
  const Name name = {sent.subject, sent.shadow};
  auto found = known_.find(name);
  if (found == known_.end()) return answered;
  Known& known = found->second;
  auto announce = [&] {
    if (std::exchange(known.announce, false)) answered.announce = known.record;
  };
  if (answer.written || answer.now == sent) {
    if (known.record.rev == sent.rev) known.waits = known.person = false;
    known.seen = sent.rev;
    announce();
    return answered;
  }
  if (known.record.rev != sent.rev) return answered;  // changed here again: that is put next
  absl::StatusOr<Case> theirs = FromShared(answer.now, offset, now);
  if (!theirs.ok()) {
    Refuse(sent.subject, theirs.status().message());
    // That of a newer deferd is not ours to undo, unless a person says so.
    const bool nobodys = absl::IsDataLoss(theirs.status());
    known.waits = known.person || nobodys;
    known.seen = answer.now.rev;
    if (known.person && !nobodys) known.record.rev = NextRev(answer.now.rev);
    announce();
    return answered;
  }
  if (WhichWins(StandingOf(known.record), StandingOf(*theirs)) != Winner::kMine) {
    answered.adopted = Adopt(name, *std::move(theirs));
  } else {
    answered.adopted = PutOnTop(&known, *theirs);
    answered.waits = true;
  }
  return answered;
}

Adoption CaseExchange::PutOnTop(Known* known, const Case& theirs) {
  known->seen = theirs.rev;
  Case record = known->record;
  // What a person decided here goes on top of theirs: their case is ended, not forgotten.
  if (known->person && !IsOpen(record)) {
    const bool holds = !IsOpen(theirs) && theirs.cleared_at >= record.cleared_at;
    Case ended = theirs;
    KeepJudgement(record, &ended);
    if (!holds) {
      ended.state = CaseState::kClosed;
      ended.closed_at = record.closed_at;
      ended.ending = record.ending;
      ended.closed_by = record.closed_by;
      ended.closed_reason = record.closed_reason;
      ended.cleared_at = record.cleared_at;
    }
    ended.decided_at = record.decided_at;
    ended.overruled = record.overruled;
    record = std::move(ended);
  }
  const std::optional<PersonsWord> word = Contradicted(WordOf(theirs), record);
  if (known->person && word.has_value()) record.overruled = word;
  record.cleared_at = std::max(record.cleared_at, theirs.cleared_at);
  record.clock_offset = offset_;
  record.rev = NextRev(std::max(known->record.rev, theirs.rev));
  known->record = record;
  known->waits = true;
  const bool shadow = record.shadow;
  const absl::Time clear_at = record.cleared_at;
  return {.record = std::move(record), .clear_at = clear_at, .clear_shadow = shadow};
}

std::optional<Adoption> CaseExchange::Merge(const SharedCase& theirs, absl::Duration offset,
                                            absl::Time now, absl::Time too_old) {
  const Name name = {theirs.subject, theirs.shadow};
  absl::StatusOr<Case> record = FromShared(theirs, offset, now);
  auto found = known_.find(name);
  if (!record.ok()) {
    Refuse(theirs.subject, record.status().message());
    // Who knows the true one puts it in its place.
    if (found != known_.end() && absl::IsDataLoss(record.status())) {
      found->second.seen = std::max<int64_t>(0, theirs.rev);
      found->second.waits = found->second.waits || !found->second.unsaved;
    }
    return std::nullopt;
  }
  if (found == known_.end()) {
    if (!IsOpen(*record) && record->closed_at < too_old) {
      dropped_.emplace_back(name, theirs.rev);
      return std::nullopt;
    }
    return Adopt(name, *std::move(record));
  }
  Known& known = found->second;
  const Winner winner = WhichWins(StandingOf(known.record), StandingOf(*record));
  if (winner == Winner::kNeither && record->id == known.record.id &&
      record->state == known.record.state) {
    known.seen = theirs.rev;
    return std::nullopt;
  }
  if (winner != Winner::kMine) return Adopt(name, *std::move(record));
  // What waits to be put meets theirs then, which is looked at as a whole.
  if (known.waits || known.unsaved) return std::nullopt;
  known.seen = theirs.rev;
  if (theirs.rev >= known.record.rev) known.record.rev = NextRev(theirs.rev);
  known.waits = true;
  return std::nullopt;
}

Adoption CaseExchange::Adopt(const Name& name, Case theirs) {
  const auto& [subject, shadow] = name;
  Known& known = known_[name];
  KeepJudgement(known.record, &theirs);
  const absl::Time cleared_at =
      std::max(known.record.cleared_at, clearings_->After(subject, shadow));
  const int64_t seen = theirs.rev;
  const bool add_clearing = cleared_at > theirs.cleared_at;
  if (add_clearing) theirs.cleared_at = cleared_at;
  // A person's word that was not shared in time is kept beside the one that overrules it.
  const bool untold = known.person && (known.waits || known.unsaved);
  const std::optional<PersonsWord> word =
      untold ? Contradicted(WordOf(known.record), theirs) : std::nullopt;
  if (word.has_value()) theirs.overruled = word;
  const bool add = add_clearing || word.has_value();
  if (add) theirs.rev = NextRev(theirs.rev);
  theirs.clock_offset = offset_;

  Adoption adoption;
  adoption.clear_at = theirs.cleared_at;
  adoption.clear_shadow = shadow || (!IsOpen(theirs) && PersonDecided(theirs));
  // This node's own case of the same trouble gives way, as if it had never been.
  const std::optional<Case> mine = cases_->FindOpen(subject, shadow);
  if (mine.has_value() && mine->id != theirs.id) adoption.gives_way = mine->id;
  adoption.changes =
      IsOpen(theirs) || IsOpen(known.record) || known.record.id != theirs.id || mine.has_value();
  known = {};
  known.record = theirs;
  known.measured = known.decided_measured = true;
  known.seen = seen;
  known.waits = add;
  adoption.record = std::move(theirs);
  return adoption;
}

void CaseExchange::SetAll(const std::vector<SharedCase>& theirs) {
  absl::flat_hash_set<Name> there;
  for (const SharedCase& one : theirs) there.emplace(one.subject, one.shadow);
  for (auto& [name, known] : known_) {
    if (!known.unsaved && !there.contains(name)) known.waits = true;
  }
}

bool CaseExchange::AnyWaits() const {
  return std::any_of(known_.begin(), known_.end(),
                     [](const auto& entry) { return entry.second.waits; });
}

bool CaseExchange::Waits(const Subject& subject) const {
  for (bool shadow : {false, true}) {
    auto known = known_.find({subject, shadow});
    if (known != known_.end() && (known->second.waits || known->second.unsaved)) return true;
  }
  return false;
}

size_t CaseExchange::waiting() const {
  return std::count_if(known_.begin(), known_.end(), [](const auto& entry) {
    return entry.second.waits || entry.second.unsaved;
  });
}

std::vector<Case> CaseExchange::TakeUnannounced() {
  std::vector<Case> cases;
  for (auto& [name, known] : known_) {
    if (std::exchange(known.announce, false)) cases.push_back(known.record);
  }
  return cases;
}

void CaseExchange::ForgetClosed(absl::Time too_old) {
  absl::erase_if(known_, [&](const auto& entry) {
    const Case& record = entry.second.record;
    if (IsOpen(record) || record.closed_at >= too_old) return false;
    dropped_.emplace_back(entry.first, record.rev);
    return true;
  });
}

}  // namespace deferd
