#include "limiter/app/totals.h"

#include <string>

namespace deferd {

void Totals::OnLines(const LineCounts& counts) {
  MutexLock lock(&mutex_);
  lines_ += counts;
}

void Totals::OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                       const Classification* /*answer*/) {
  MutexLock lock(&mutex_);
  if (attempt.outcome == Outcome::kRejectedRecipient) {
    ++rejected_recipients_;
    return;
  }
  ++left_out_[static_cast<size_t>(left_out)];
  if (!charged.empty()) {
    const SubjectKind narrowest = charged.front().subject.kind;
    const bool host = narrowest == SubjectKind::kHost;  // shown only if nobody else is charged
    ++charged_[static_cast<size_t>(host ? charged.back().subject.kind : narrowest)];
  } else if (left_out != LeftOut::kMadeByMta) {
    ++nobody_;
  }
}

void Totals::BeginCharging() {
  MutexLock lock(&mutex_);
  charged_ = {};
  nobody_ = 0;
  left_out_ = {};
}

void Totals::OnQuestion(Mta mta, Source source, absl::Time now) {
  MutexLock lock(&mutex_);
  ++asked_[static_cast<size_t>(mta)][static_cast<size_t>(source)];
  ++questions_;
  last_question_ = now;
}

std::array<std::array<int64_t, kSources>, kMtas> Totals::asked() const {
  MutexLock lock(&mutex_);
  return asked_;
}

Json Totals::LinesJson() const {
  MutexLock lock(&mutex_);
  return {{"lines", lines_.lines},
          {"attempts", lines_.attempts},
          {"not_mine", lines_.not_mine},
          {"rejected", lines_.rejected},
          {"rejected_recipients", rejected_recipients_},
          {"malformed", lines_.malformed}};
}

Json Totals::ChargedJson() const {
  MutexLock lock(&mutex_);
  Json json = Json::object();
  for (int kind = 0; kind < kSubjectKinds; ++kind) {
    json[std::string(SubjectKindName(static_cast<SubjectKind>(kind)))] = charged_[kind];
  }
  json["nobody"] = nobody_;
  return json;
}

Json Totals::LeftOutJson() const {
  MutexLock lock(&mutex_);
  Json json = Json::object();
  for (int reason = 1; reason < kLeftOutReasons; ++reason) {
    json[std::string(LeftOutName(static_cast<LeftOut>(reason)))] = left_out_[reason];
  }
  return json;
}

Json Totals::QuestionsJson() const {
  MutexLock lock(&mutex_);
  return {{"answered", questions_},
          {"last", last_question_ == absl::InfinitePast() ? Json(nullptr)
                                                          : Json(FormatUtc(last_question_))}};
}

}  // namespace deferd
