#include "limiter/ctl/policy_diff.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "limiter/cases/case_table.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/read_ahead.h"
#include "limiter/ctl/replay_input.h"
#include "limiter/events.h"
#include "limiter/limiter.h"
#include "limiter/port/clock.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kShown = 50;

struct Block {
  Case record;
  // Of the attempt that tripped the rule.
  std::string message, recipient, reply;
  Outcome outcome = Outcome::kFailed;
};

// The enforced blocks of one policy, by subject.
class BlockLog : public Observer {
 public:
  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut /*left_out*/,
                 const Classification* /*answer*/) override {
    ++attempts_;
    last_ = &attempt;
    for (const Charged& one : charged) judged_.insert(one.subject);
  }

  void OnCase(CaseChange change, const Case& record) override {
    if (record.shadow) return;
    std::vector<Block>& blocks = blocks_[record.subject.ToString()];
    if (change == CaseChange::kOpened) {
      Block& block = blocks.emplace_back();
      block.record = record;
      if (last_ == nullptr) return;
      block.message = last_->message.id;
      block.recipient = last_->recipient;
      block.reply = last_->reply;
      block.outcome = last_->outcome;
      return;
    }
    for (Block& one : blocks) {
      if (one.record.id == record.id) one.record = record;
    }
  }

  const absl::btree_map<std::string, std::vector<Block>>& blocks() const { return blocks_; }
  int64_t attempts() const { return attempts_; }
  size_t judged() const { return judged_.size(); }

 private:
  absl::btree_map<std::string, std::vector<Block>> blocks_;
  absl::flat_hash_set<Subject> judged_;
  int64_t attempts_ = 0;
  const Attempt* last_ = nullptr;  // lives as long as its batch
};

// One policy at work.
struct Side {
  Side(const Policy& policy, PolicyModes modes, const ReplayOptions& options, const Clock* clock)
      : limiter({.node = "diff", .max_messages = 10'000'000, .max_recipients = 40'000'000},
                {Taken(policy, modes), std::make_shared<ChargeLists>(options.lists)}, clock,
                &cases) {}

  static std::shared_ptr<const Policy> Taken(Policy policy, PolicyModes modes) {
    if (modes == PolicyModes::kEnforce) policy.mode = Mode::kEnforce;
    return std::make_shared<Policy>(std::move(policy));
  }

  CaseTable cases;
  Limiter limiter;
  BlockLog log;
};

absl::Duration BlockedFor(const std::vector<Block>& blocks) {
  absl::Duration sum;
  for (const Block& one : blocks) {
    sum += std::max(absl::ZeroDuration(), one.record.until - one.record.since);
  }
  return sum;
}

Json BlocksJson(const std::vector<Block>& blocks) {
  Json out = Json::array();
  for (const Block& one : blocks) {
    const Case& record = one.record;
    out.push_back({{"rule", record.rule},
                   {"since", FormatUtc(record.since)},
                   {"until", FormatUtc(record.until)},
                   {"count", record.bad()},
                   {"min_bad", record.min_bad},
                   {"percent", record.percent}});
  }
  return out;
}

// The message that made the difference: of the first block that only one of the two has.
Json MessageJson(const std::vector<Block>& some, const std::vector<Block>& others) {
  for (const Block& one : some) {
    const bool both = absl::c_any_of(others, [&](const Block& other) {
      return other.record.since == one.record.since && other.record.rule == one.record.rule;
    });
    if (both) continue;
    return {{"time", FormatUtc(one.record.since)},
            {"id", one.message},
            {"recipient", one.recipient},
            {"outcome", std::string(OutcomeName(one.outcome))},
            {"reply", one.reply}};
  }
  return nullptr;
}

// nullptr: nothing differs.
Json SubjectDiff(const std::string& subject, const std::vector<Block>& before,
                 const std::vector<Block>& after) {
  const absl::Duration was = BlockedFor(before), is = BlockedFor(after);
  const char* change = before.empty()  ? "newly blocked"
                       : after.empty() ? "newly free"
                       : is > was      ? "longer"
                       : is < was      ? "shorter"
                                       : nullptr;
  if (change == nullptr) return nullptr;
  const bool more = is > was;
  Json message = more ? MessageJson(after, before) : MessageJson(before, after);
  return {{"subject", subject},
          {"change", change},
          {"old", BlocksJson(before)},
          {"new", BlocksJson(after)},
          {"old_seconds", absl::ToInt64Seconds(was)},
          {"new_seconds", absl::ToInt64Seconds(is)},
          {"message", std::move(message)}};
}

Json PolicyName(const Policy& policy) {
  return {
      {"path", policy.path}, {"hash", policy.hash}, {"mode", std::string(ModeName(policy.mode))}};
}

std::string BlockText(const Json& block) {
  return absl::StrCat("rule ", Field(block, "rule"), ", ", Number(block, "count"), " of ",
                      Number(block, "min_bad"), " at ", Number(block, "percent"), "%, ",
                      ZonedMinute(Field(block, "since")), " to ",
                      ZonedMinute(Field(block, "until")));
}

}  // namespace

Json RuleChanges(const Policy& before, const Policy& after) {
  Json changes = Json::array();
  for (const Rule& rule : after.rules) {
    const Rule* const was = before.FindRule(rule.name);
    if (was != nullptr && SameRule(*was, rule)) continue;
    changes.push_back({{"name", rule.name}, {"change", was == nullptr ? "new" : "changed"}});
  }
  for (const Rule& rule : before.rules) {
    if (after.FindRule(rule.name) == nullptr) {
      changes.push_back({{"name", rule.name}, {"change", "gone"}});
    }
  }
  return changes;
}

absl::StatusOr<Json> DiffPolicies(const ReplayOptions& options,
                                  const std::shared_ptr<const Policy>& after) {
  if (options.paths.empty()) return DiffPolicies(options, after, NextEvents());
  ReplayOptions reading = options;
  reading.arrivals = after->JudgesSent();
  absl::StatusOr<std::unique_ptr<ReplayInput>> input = ReplayInput::Open(reading);
  if (!input.ok()) return input.status();
  ReadAhead ahead(input->get());
  return DiffPolicies(options, after, [&](EventBatch* batch) {
    absl::StatusOr<bool> more = ahead.Next(batch);
    if (options.progress) options.progress(ahead.done());
    return more;
  });
}

absl::StatusOr<Json> DiffPolicies(const ReplayOptions& options,
                                  const std::shared_ptr<const Policy>& after,
                                  const NextEvents& next, PolicyModes modes) {
  const SystemClock clock;
  Side old_side(*options.policy, modes, options, &clock);
  Side new_side(*after, modes, options, &clock);
  EventBatch batch;
  for (bool more = static_cast<bool>(next); more;) {
    absl::StatusOr<bool> read = next(&batch);
    if (!read.ok()) return read.status();
    more = *read;
    for (Side* side : {&old_side, &new_side}) side->limiter.Record(batch).Notify(&side->log);
  }

  absl::btree_map<std::string, std::pair<std::vector<Block>, std::vector<Block>>> both;
  for (const auto& [subject, blocks] : old_side.log.blocks()) both[subject].first = blocks;
  for (const auto& [subject, blocks] : new_side.log.blocks()) both[subject].second = blocks;
  Json subjects = Json::array();
  int64_t newly_blocked = 0, newly_free = 0, longer = 0, shorter = 0;
  for (const auto& [subject, blocks] : both) {
    Json one = SubjectDiff(subject, blocks.first, blocks.second);
    if (one.is_null()) continue;
    const std::string change = Field(one, "change");
    ++(change == "newly blocked" ? newly_blocked
       : change == "newly free"  ? newly_free
       : change == "longer"      ? longer
                                 : shorter);
    subjects.push_back(std::move(one));
  }
  const auto altered = static_cast<double>(subjects.size());
  const auto judged = static_cast<double>(std::max<size_t>(1, new_side.log.judged()));
  return Json{{"old", PolicyName(*options.policy)},
              {"new", PolicyName(*after)},
              {"rules", RuleChanges(*options.policy, *after)},
              {"attempts", new_side.log.attempts()},
              {"judged", new_side.log.judged()},
              {"newly_blocked", newly_blocked},
              {"newly_free", newly_free},
              {"longer", longer},
              {"shorter", shorter},
              {"altered_percent", 100 * altered / judged},
              {"subjects", std::move(subjects)}};
}

std::string PolicyDiffPage(const Json& diff) {
  std::string out;
  for (const Json& rule : At(diff, "rules")) {
    absl::StrAppend(&out, "rule ", Field(rule, "name"), ": ", Field(rule, "change"), "\n");
  }
  if (At(diff, "rules").empty()) out += "no rule differs\n";
  const Json& before = At(diff, "old");
  const Json& after = At(diff, "new");
  if (Field(before, "mode") != Field(after, "mode")) {
    absl::StrAppend(&out, "mode: ", Field(after, "mode"), ", was ", Field(before, "mode"),
                    " (below, both as if enforced)\n");
  }
  if (Number(diff, "attempts") == 0) return out;
  absl::StrAppend(&out, "\n", Number(diff, "attempts"), " attempts of ", Number(diff, "judged"),
                  " subjects: ", Number(diff, "newly_blocked"), " newly blocked, ",
                  Number(diff, "newly_free"), " newly free, ", Number(diff, "longer"),
                  " blocked for longer, ", Number(diff, "shorter"), " for a shorter time\n");
  size_t shown = 0;
  for (const Json& one : At(diff, "subjects")) {
    if (++shown > kShown) {
      absl::StrAppend(&out, "\n... and ", At(diff, "subjects").size() - kShown,
                      " more (--json has all)\n");
      break;
    }
    absl::StrAppend(&out, "\n", Field(one, "subject"), ": ", Field(one, "change"), "\n");
    for (const Json& block : At(one, "old")) out += Wrapped("  old: ", BlockText(block));
    for (const Json& block : At(one, "new")) out += Wrapped("  new: ", BlockText(block));
    const Json& message = At(one, "message");
    if (message.is_null()) continue;
    out +=
        Wrapped("  by:  ",
                absl::StrCat("message ", Field(message, "id"), " to ", Field(message, "recipient"),
                             ", ", Field(message, "outcome"), ": ", Field(message, "reply")));
  }
  return out;
}

}  // namespace deferd
