#include "limiter/ctl/policy_suggest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/cases/case_table.h"
#include "limiter/ctl/read_ahead.h"
#include "limiter/ctl/replay_input.h"
#include "limiter/events.h"
#include "limiter/limiter.h"
#include "limiter/port/clock.h"
#include "policy/counts.h"

namespace deferd {

namespace {

constexpr std::array<int64_t, 7> kMinBad = {3, 5, 10, 20, 50, 100, 200};
constexpr std::array<int, 8> kPercents = {10, 20, 30, 40, 50, 60, 70, 80};
constexpr int64_t kStep = 60;  // seconds; sixty of them are the window
constexpr int64_t kSteps = 60;
constexpr int64_t kLiftedWithin = 24 * kSteps;  // of a block

bool IsSpamClass(ReplyClass reply_class) {
  return reply_class == ReplyClass::kContent || reply_class == ReplyClass::kPolicy ||
         reply_class == ReplyClass::kReputation;
}

// One change of a subject's window.
struct Change {
  int64_t at = 0;    // step of the attempt
  int64_t step = 0;  // of the contribution that is added or taken out
  CountedOutcome outcome = CountedOutcome::kDelivered;
  int delta = 1;
  bool spam = false;
};

// The changes of all subjects of one kind.
class ChangeLog : public Observer {
 public:
  explicit ChangeLog(SubjectKind kind) : kind_(kind) {}

  void OnAttempt(const Attempt& attempt, const ChargedSubjects& /*charged*/, LeftOut /*left_out*/,
                 const Classification* answer) override {
    ++attempts_;
    if (attempt.time > last_) last_ = attempt.time;
    if (attempt.time < first_) first_ = attempt.time;
    step_ = absl::ToUnixSeconds(attempt.time) / kStep;
    spam_ = answer != nullptr && IsSpamClass(answer->reply_class);
    recipient_ = absl::StrCat(attempt.message.id, "\n", attempt.recipient);
  }

  void OnContribution(const Subject& subject, CountedOutcome outcome, int delta) override {
    if (subject.kind != kind_ || outcome == CountedOutcome::kRejected) return;
    Change change{step_, step_, outcome, delta, spam_};
    // What is taken out stands where this recipient's last contribution was.
    auto& [step, spam] = contributed_[{subject, recipient_}];
    if (delta < 0) {
      change.step = step;
      change.spam = spam;
    } else {
      step = step_;
      spam = spam_;
    }
    changes_[subject].push_back(change);
  }

  const absl::flat_hash_map<Subject, std::vector<Change>>& changes() const { return changes_; }
  int64_t attempts() const { return attempts_; }
  // Of the whole log; at least one.
  double days() const { return std::max(1.0, absl::ToDoubleHours(last_ - first_) / 24); }

 private:
  const SubjectKind kind_;
  absl::flat_hash_map<Subject, std::vector<Change>> changes_;
  absl::flat_hash_map<std::pair<Subject, std::string>, std::pair<int64_t, bool>> contributed_;
  std::string recipient_;
  int64_t step_ = 0;
  bool spam_ = false;
  int64_t attempts_ = 0;
  absl::Time first_ = absl::InfiniteFuture();
  absl::Time last_ = absl::InfinitePast();
};

struct Cell {
  int64_t min_bad = 0;
  int percent = 0;
  int64_t blocks = 0;
  int64_t bad = 0, spam = 0;  // behind the blocks
  int64_t subjects = 0;
  int64_t lifted = 0;  // a person lifted a block of the subject at about that time
};

struct StepCounts {
  Counts counts;
  int64_t spam = 0;
};

void AddTo(const Change& change, StepCounts* to) {
  to->counts.Add(change.outcome, change.delta);
  const bool bad =
      change.outcome == CountedOutcome::kDeferred || change.outcome == CountedOutcome::kFailed;
  if (bad && change.spam) to->spam += change.delta;
}

// Judges one subject by every cell. `lifted`: when a person lifted a block of it.
void JudgeSubject(const std::vector<Change>& changes, const std::vector<int64_t>& lifted,
                  std::vector<Cell>* cells) {
  std::map<int64_t, StepCounts> window;
  std::vector<int64_t> blocked_until(cells->size(), 0), cleared(cells->size(), 0);
  std::vector<bool> hit(cells->size(), false);
  for (const Change& change : changes) {
    while (!window.empty() && window.begin()->first <= change.at - kSteps) {
      window.erase(window.begin());
    }
    if (change.step > change.at - kSteps) AddTo(change, &window[change.step]);
    const bool bad =
        change.outcome == CountedOutcome::kDeferred || change.outcome == CountedOutcome::kFailed;
    if (!bad || change.delta < 0) continue;
    for (size_t i = 0; i < cells->size(); ++i) {
      Cell& cell = (*cells)[i];
      if (change.at < blocked_until[i]) continue;
      StepCounts sum;
      for (auto it = window.upper_bound(cleared[i]); it != window.end(); ++it) {
        sum.counts += it->second.counts;
        sum.spam += it->second.spam;
      }
      if (sum.counts.bad() < cell.min_bad || sum.counts.judged_percent() < cell.percent) continue;
      ++cell.blocks;
      if (absl::c_any_of(lifted, [&](int64_t at) {
            return at >= change.at && at < change.at + kLiftedWithin;
          })) {
        ++cell.lifted;
      }
      cell.bad += sum.counts.bad();
      cell.spam += sum.spam;
      blocked_until[i] = change.at + kSteps;
      cleared[i] = change.at + 1;  // the burst that caused it does not prolong it
      hit[i] = true;
    }
  }
  for (size_t i = 0; i < cells->size(); ++i) (*cells)[i].subjects += hit[i] ? 1 : 0;
}

}  // namespace

std::vector<LiftedBlock> LiftedBlocks(const Json& blocks) {
  std::vector<LiftedBlock> lifted;
  for (const Json& record : blocks) {
    if (Flag(record, "manual") || Flag(record, "shadow") || !record.contains("closed_by")) continue;
    Case closed;
    SetCloser(Field(record, "closed_by"), &closed);
    absl::StatusOr<Subject> subject = Subject::Parse(Field(record, "subject"));
    LiftedBlock one;
    if (closed.ending != Ending::kPerson || !subject.ok() ||
        !absl::ParseTime(absl::RFC3339_full, Field(record, "closed_at"), &one.at, nullptr)) {
      continue;
    }
    one.subject = *std::move(subject);
    lifted.push_back(std::move(one));
  }
  return lifted;
}

absl::StatusOr<Json> SuggestLimits(const ReplayOptions& options, SubjectKind kind) {
  absl::StatusOr<std::unique_ptr<ReplayInput>> input = ReplayInput::Open(options);
  if (!input.ok()) return input.status();
  ReadAhead ahead(input->get());
  return SuggestLimits(
      options, kind,
      [&](EventBatch* batch) {
        absl::StatusOr<bool> more = ahead.Next(batch);
        if (options.progress) options.progress(ahead.done());
        return more;
      },
      nullptr);
}

absl::StatusOr<Json> SuggestLimits(const ReplayOptions& options, SubjectKind kind,
                                   const NextEvents& next, const std::vector<LiftedBlock>* lifted) {
  // Only counted: a block would take a part out of its domain, which each cell decides for itself.
  // The rule is there so that the kind is counted.
  Policy policy = *options.policy;
  Rule counted;
  counted.name = "counted";
  counted.kind = kind;
  policy.rules = {std::move(counted)};
  policy.index = nullptr;
  const SystemClock clock;
  CaseTable cases;
  Limiter limiter(
      {.node = "suggest", .max_messages = 10'000'000, .max_recipients = 40'000'000},
      {std::make_shared<Policy>(std::move(policy)), std::make_shared<ChargeLists>(options.lists)},
      &clock, &cases);
  ChangeLog log(kind);
  EventBatch batch;
  for (bool more = true; more;) {
    absl::StatusOr<bool> read = next(&batch);
    if (!read.ok()) return read.status();
    more = *read;
    limiter.Record(batch).Notify(&log);
  }

  std::vector<Cell> cells;
  for (const int64_t min_bad : kMinBad) {
    for (const int percent : kPercents) cells.push_back({.min_bad = min_bad, .percent = percent});
  }
  absl::flat_hash_map<Subject, std::vector<int64_t>> lifted_at;
  if (lifted != nullptr) {
    for (const LiftedBlock& one : *lifted) {
      lifted_at[one.subject].push_back(absl::ToUnixSeconds(one.at) / kStep);
    }
  }
  for (const auto& [subject, changes] : log.changes()) {
    JudgeSubject(changes, lifted_at[subject], &cells);
  }
  Json out = Json::array();
  for (const Cell& cell : cells) {
    out.push_back(
        {{"min_bad", cell.min_bad},
         {"percent", cell.percent},
         {"blocks", cell.blocks},
         {"per_day", static_cast<double>(cell.blocks) / log.days()},
         {"subjects", cell.subjects},
         {"lifted_percent", lifted == nullptr || cell.blocks == 0
                                ? Json(nullptr)
                                : Json(100 * cell.lifted / cell.blocks)},
         {"spam_percent", cell.bad == 0 ? Json(nullptr) : Json(100 * cell.spam / cell.bad)}});
  }
  return Json{{"kind", std::string(SubjectKindName(kind))},
              {"days", log.days()},
              {"attempts", log.attempts()},
              {"subjects", log.changes().size()},
              {"cells", std::move(out)}};
}

std::string SuggestPage(const Json& suggestion) {
  const Json& cells = suggestion["cells"];
  double most = 0;
  for (const Json& cell : cells) most = std::max(most, cell["per_day"].get<double>());
  std::string out = absl::StrFormat(
      "%d attempts of %d subjects of kind %s in %.1f days, in windows of 1h.\n\n"
      "Blocks a day, by N (min_bad, down) and X (percent, across); in brackets the share\n"
      "of the bad deliveries behind them that was refused as spam or for reputation.\n\n%5s",
      Number(suggestion, "attempts"), Number(suggestion, "subjects"), Field(suggestion, "kind"),
      suggestion["days"].get<double>(), "N");
  for (const int percent : kPercents) absl::StrAppendFormat(&out, "%8d%%", percent);
  std::string plot = "\n";
  size_t i = 0;
  for (const int64_t min_bad : kMinBad) {
    absl::StrAppendFormat(&out, "\n%5d", min_bad);
    absl::StrAppendFormat(&plot, "%5d  ", min_bad);
    for (size_t column = 0; column < kPercents.size(); ++column, ++i) {
      const Json& cell = cells[i];
      const auto per_day = cell["per_day"].get<double>();
      const Json& spam = cell["spam_percent"];
      absl::StrAppendFormat(
          &out, "%9s",
          absl::StrCat(absl::StrFormat("%.*f", per_day < 10 ? 1 : 0, per_day),
                       spam.is_null() ? "" : absl::StrFormat("(%d)", spam.get<int64_t>())));
      constexpr absl::string_view kShades = " .:-=+*#%@";
      // By the logarithm, or one bad cell would leave all others white.
      const size_t shade =
          per_day <= 0
              ? 0
              : 1 + static_cast<size_t>(std::lround(std::log1p(per_day) / std::log1p(most) *
                                                    static_cast<double>(kShades.size() - 2)));
      absl::StrAppend(&plot, std::string(4, kShades[std::min(shade, kShades.size() - 1)]));
    }
    absl::StrAppend(&plot, "\n");
  }
  if (std::any_of(cells.begin(), cells.end(),
                  [](const Json& cell) { return cell["lifted_percent"].is_number(); })) {
    out += "\n\nOf these blocks the share, in percent, that a person lifted within a day:\n";
    for (size_t j = 0; j < cells.size(); ++j) {
      if (j % kPercents.size() == 0) {
        absl::StrAppendFormat(&out, "\n%5d", kMinBad[j / kPercents.size()]);
      }
      const Json& share = cells[j]["lifted_percent"];
      absl::StrAppendFormat(
          &out, "%9s", share.is_null() ? std::string("-") : absl::StrCat(share.get<int64_t>()));
    }
  }
  absl::StrAppend(&plot, "       ");
  for (const int percent : kPercents) absl::StrAppendFormat(&plot, "%3d%%", percent);
  return absl::StrCat(out, "\n", plot, "\n");
}

}  // namespace deferd
