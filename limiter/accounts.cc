#include "limiter/accounts.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"

namespace deferd {

void Accounts::LearnPart(const ChargedSubjects& charged) {
  if (charged.size() == 2 && Culprit::MayBePart(charged.front().subject.kind) &&
      parts_->counter.Tracks(charged, charged.front())) {
    const Subject& part = charged.front().subject;
    const Subject& domain = charged.back().subject;
    if (parts_->rows != nullptr) parts_->rows->SetPart(domain, part);
    parts_->culprit.Learn(part, domain);
  }
}

void Accounts::Add(const ChargedSubjects& charged, absl::Time dated, const Contribution& one) {
  LearnPart(charged);
  RoomFor(charged);
  parts_->counter.Add(charged, dated, one, &parts_->contributed);
  parts_->happened.AddContributed(&parts_->contributed);
}

void Accounts::AddSent(const ChargedSubjects& charged, absl::Time dated, int64_t messages,
                       int64_t recipients) {
  LearnPart(charged);
  RoomFor(charged);
  Contribution sent = CountedOutcome::kSent;
  sent.count = messages;
  if (messages > 0) parts_->counter.Add(charged, dated, sent, nullptr);
  sent = CountedOutcome::kSentRecipient;
  sent.count = recipients;
  if (recipients > 0) parts_->counter.Add(charged, dated, sent, nullptr);
}

void Accounts::TakeOut(const ChargedSubjects& charged, absl::Time dated, const Contribution& one) {
  parts_->counter.TakeOut(charged, dated, one, &parts_->contributed);
  parts_->happened.AddContributed(&parts_->contributed);
}

void Accounts::AddLeftOut(const ChargedSubjects& charged, absl::Time dated, CountedOutcome outcome,
                          ReplyClass reply_class) {
  RoomFor(charged);
  parts_->counter.AddLeftOut(charged, dated, outcome, reply_class);
}

void Accounts::RoomFor(const ChargedSubjects& charged) {
  if (parts_->counter.HasRoomFor(charged.size())) return;
  const auto is_new = [&](const Charged& one) {
    return parts_->counter.Tracks(charged, one) && !parts_->counter.Has(one.subject);
  };
  const size_t needed = std::count_if(charged.begin(), charged.end(), is_new);
  if (!parts_->counter.HasRoomFor(needed)) MakeRoom();
}

// Never one with a case, or one whose counts a case has cleared or changed.
void Accounts::MakeRoom() {
  time_->Forget();
  absl::flat_hash_set<Subject> open;
  for (const Case& record : parts_->case_table->Open()) open.insert(record.subject);
  parts_->counter.MakeRoom([&](const Subject& subject) {
    return open.contains(subject) || parts_->culprit.blocked().contains(subject) ||
           parts_->clearings.Find(subject) != nullptr || parts_->culprit.Apart(subject) != nullptr;
  });
  time_->ForgetWhatIsGone();
}

}  // namespace deferd
