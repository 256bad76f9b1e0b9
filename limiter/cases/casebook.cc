#include "limiter/cases/casebook.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

template <typename T>
void PutInFront(std::vector<T> first, std::vector<T>* list) {
  first.insert(first.end(), std::make_move_iterator(list->begin()),
               std::make_move_iterator(list->end()));
  *list = std::move(first);
}

}  // namespace

std::string Casebook::NextId() { return absl::StrCat(node_, "-", incarnation_, "-", ++number_); }

Case Casebook::Open(const Subject& subject, const Policy& policy, const Decision& decision,
                    bool shadow, absl::Time since, absl::Time clock) {
  const Rule& rule = *decision.rule;
  Case record{JudgementOf(decision, policy)};
  record.id = NextId();
  record.subject = subject;
  record.shadow = shadow;
  record.soft = rule.cutoff > 0 && !decision.beyond;
  record.action = rule.action;
  if (record.soft) {
    for (Verdict& verdict : record.action.by_source) verdict = std::min(verdict, Verdict::kHold);
  }
  record.since = since;
  record.until = since + rule.block_for;
  record.history = record.until <= clock;
  record.by = "rule";
  record.once = policy.count == CountMode::kOnce;
  return record;
}

Case Casebook::Block(const Subject& subject, const Policy& policy, absl::Time since,
                     absl::Time until, const std::string& by, const std::string& reason) {
  Case record;
  record.id = NextId();
  record.subject = subject;
  record.manual = true;
  record.since = since;
  record.until = until;
  record.by = by;
  record.reason = reason;
  record.policy_hash = policy.hash;
  record.action = policy.ActionOfBlock(subject);
  return record;
}

Case Casebook::Exempt(const Subject& subject, const Policy& policy, absl::Time since,
                      absl::Time until, const std::string& by, const std::string& reason) {
  Case record = Block(subject, policy, since, until, by, reason);
  record.action.by_source.fill(Verdict::kPass);
  record.held_order = HeldOrder::kRelease;  // what was held for it goes
  return record;
}

Case Casebook::Extended(Case record, const Rule& rule, absl::Time clock) {
  record.until += rule.block_for;
  record.history = record.history && record.until <= clock;
  ++record.extended;
  ++record.level;
  return record;
}

Case Casebook::Closed(Case record, absl::Time at, Ending ending, std::string reason,
                      std::string by) {
  record.state = CaseState::kClosed;
  record.closed_at = at;
  record.ending = ending;
  record.closed_by = std::move(by);
  record.closed_reason = std::move(reason);
  return record;
}

void Casebook::Put(CaseChange change, absl::Time time, const Case& record) {
  table_->Put(change, time, record);
  if (keep_) events_.push_back({time, change, record});
  next_until_ = table_->EarliestUntil();
}

std::optional<Case> Casebook::NextDue(absl::Time t) const {
  return t < next_until_ ? std::nullopt : table_->NextDue(t);
}

std::optional<int64_t> Casebook::NumberOf(const Case& record) const {
  int64_t number = 0;
  if (!absl::StartsWith(record.id, absl::StrCat(node_, "-")) ||
      !absl::SimpleAtoi(record.id.substr(record.id.rfind('-') + 1), &number)) {
    return std::nullopt;
  }
  return number;
}

std::vector<std::string> Casebook::TakeForgotten() {
  for (std::string& id : table_->TakeForgotten()) forgotten_.push_back(std::move(id));
  return std::exchange(forgotten_, {});
}

void Casebook::PutBack(std::vector<CaseEvent> events, std::vector<std::string> forgotten) {
  PutInFront(std::move(events), &events_);
  PutInFront(std::move(forgotten), &forgotten_);
}

void Casebook::Restore(std::vector<Case> cases, std::vector<CaseEvent> events) {
  table_->Restore(std::move(cases), std::move(events));
  next_until_ = table_->EarliestUntil();
}

}  // namespace deferd
