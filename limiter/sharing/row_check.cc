#include "limiter/sharing/row_check.h"

#include <algorithm>

namespace deferd {

// Of the windows in which the subject has something now: other rows may be over.
void RowCheck::AddKeys(const Subject& subject, absl::Time now, std::vector<RowKey>* keys) const {
  if (!counter_->Has(subject) || rows_->Waits(subject)) return;
  for (size_t i = 0; i < counter_->lengths().size(); ++i) {
    const int64_t now_step = counter_->lengths()[i].StepOf(now);
    if (counter_->Sum(subject, i, now_step, now_step - StepClock::kSteps).nothing()) continue;
    if (counter_->FindSide(subject, i) == nullptr) {
      keys->push_back({subject, counter_->lengths()[i].window()});
      continue;
    }
    for (RowKey& key : rows_->KeysOf(subject, i)) keys->push_back(std::move(key));
  }
}

std::vector<RowKey> RowCheck::Take(absl::Time now, absl::FunctionRef<bool(const Subject&)> shares) {
  std::vector<RowKey> keys;
  for (const Subject& subject : missed_) AddKeys(subject, now, &keys);
  if (turn_.empty()) {
    counter_->ForEach([&](const Subject& subject) {
      if (shares(subject)) turn_.push_back(subject);
    });
    at_once_ = std::clamp((turn_.size() + kBeats - 1) / kBeats, kFewest, kMost);
  }
  for (size_t i = 0; i < at_once_ && !turn_.empty(); ++i) {
    AddKeys(turn_.back(), now, &keys);
    turn_.pop_back();
  }
  return keys;
}

std::vector<Subject> RowCheck::Answered(absl::Span<const RowKey> keys,
                                        absl::Span<const RowAnswer> answers) {
  absl::flat_hash_set<Subject> missed;
  for (size_t i = 0; i < keys.size() && i < answers.size(); ++i) {
    if (!answers[i].status.ok() || rows_->Waits(keys[i].subject)) continue;
    const bool there = std::any_of(answers[i].rows.begin(), answers[i].rows.end(),
                                   [&](const SharedRow& row) { return row.node == node_; });
    if (!there) missed.insert(keys[i].subject);
  }
  std::vector<Subject> gone;
  for (const Subject& subject : missed) {
    if (missed_.contains(subject)) gone.push_back(subject);
  }
  for (const Subject& subject : gone) missed.erase(subject);
  missed_ = std::move(missed);
  lost_ += static_cast<int64_t>(gone.size());
  return gone;
}

}  // namespace deferd
