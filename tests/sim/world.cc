#include "tests/sim/world.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/port/clock.h"
#include "policy/policy_file.h"
#include "tests/limiter/store/memory_shared_store.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_node.h"

namespace deferd::sim {

namespace {

const absl::Time kBegin = absl::FromUnixSeconds(1'795'334'400);  // 2026-11-22 08:00:00 UTC

Settings SettingsOf(const Story& story) {
  const std::string toml = absl::StrCat(
      "profile = \"cpanel\"\ncount = \"", story.once ? "once" : "attempts",
      "\"\n[rule.r]\nmin_bad = ", kMinBad, "\npercent = ", kPercent, "\nwindow = \"",
      story.window / 60, "m\"\nblock_for = \"", story.block_for / 60, "m\"\naction = \"hold\"\n");
  absl::StatusOr<Policy> policy = ParsePolicy(toml, "sim.toml");
  if (!policy.ok()) std::abort();
  return {std::make_shared<Policy>(*std::move(policy)), std::make_shared<ChargeLists>()};
}

class World {
 public:
  World(const Story& story, const std::string& folder)
      : story_(story), clock_(kBegin), server_(&clock_), replica_(&clock_), other_half_(&clock_) {
    const Settings settings = SettingsOf(story);
    for (int i = 0; i < story.nodes; ++i) {
      clocks_.push_back(
          std::make_unique<NodeClock>(&clock_, absl::Seconds((i % 3 - 1) * story.skew)));
      std::function<MemorySharedServer*()> server;
      if (story.nodes > 1) {
        server = [this, i] { return i >= split_at_ ? &other_half_ : &server_; };
      }
      nodes_.push_back(std::make_unique<SimNode>(i, story, folder, settings, &disk_,
                                                 clocks_.back().get(), server));
      // From its first position on a follower finds whatever is rotated.
      nodes_.back()->Look(/*commit_each=*/false);
      nodes_.back()->Commit(/*durable=*/true);
    }
  }

  Outcome Run() {
    for (size_t i = 0; i < story_.steps.size() && FirstWrong().empty(); ++i) {
      Do(story_.steps[i]);
      if (std::string wrong = FirstWrong(); !wrong.empty()) return {wrong, i};
      LookForFalseBlocks();
      for (auto& node : nodes_) node->Check();
      if (std::string wrong = FirstWrong(); !wrong.empty()) return {wrong, i};
    }
    if (FirstWrong().empty()) Settle();
    if (FirstWrong().empty()) CheckQuiet();
    if (FirstWrong().empty()) Drain();
    if (FirstWrong().empty() && nodes_.size() == 1) Hear();
    return {FirstWrong(), story_.steps.size()};
  }

 private:
  void Do(const Step& step) {
    SimNode& node = *nodes_[static_cast<size_t>(step.node) % nodes_.size()];
    const absl::Time now = node.Now();
    const bool shares = nodes_.size() > 1;
    switch (step.verb) {
      case Verb::kAdvance:
        for (auto& one : nodes_) ReopenIfOld(one.get(), absl::Seconds(step.a));
        clock_.Advance(absl::Seconds(step.a));
        break;
      case Verb::kStep:
        if (!shares) StepClock(&node, step.b != 0 ? -step.a : step.a);
        break;
      case Verb::kMail: {
        std::vector<int> outcomes = {step.b % 3};
        if (step.b < 9) outcomes.push_back(step.b / 3 % 3);
        node.log().Send(step.a % story_.domains, outcomes, now - absl::Seconds(step.c));
        break;
      }
      case Verb::kRetry:
        node.log().Retry(step.a, step.b % 3, now - absl::Seconds(step.c));
        break;
      case Verb::kSubmit:
        node.Submit(step.a % story_.domains, step.b % 3);
        break;
      case Verb::kRotate:
        // Rotated files are ordered by their last modification: the manual's limits say so.
        if (node.Now() < node.clock().latest()) break;
        // A file that is cut before its first line was read looks like one that only grew: the
        // manual's limits say so.
        if (step.a % kRotateWays == kCopyTruncate &&
            node.model().lines <= node.log().file_begins()) {
          node.Look(/*commit_each=*/false);
        }
        node.log().Rotate(static_cast<RotateWay>(step.a % kRotateWays));
        break;
      case Verb::kReopen:
        node.log().Reopen();
        break;
      case Verb::kCompress:
        // What came and was compressed between two looks is a gap, and said to be one.
        if (node.model().lines < node.log().file_begins()) node.Look(/*commit_each=*/false);
        node.log().Compress();
        break;
      case Verb::kHalfLine:
        node.log().SplitNextLine();
        break;
      case Verb::kAhead:
        // Nodes whose clocks differ have a test of their own (sharing_test.cc).
        if (shares) break;
        node.log().Send(step.b % story_.domains, {2}, now + absl::Seconds(step.a));
        break;
      case Verb::kLook:
        node.Look(step.a != 0);
        break;
      case Verb::kCommit:
        node.Commit(step.a != 0);
        break;
      case Verb::kTick:
        node.Tick();
        break;
      case Verb::kQueue:
        node.LookAtQueue();
        break;
      case Verb::kBlock:
        node.Block(step.a % story_.domains, absl::Seconds(step.b));
        break;
      case Verb::kUnblock:
        node.Unblock(step.a % story_.domains);
        break;
      case Verb::kKill:
        node.Kill();
        break;
      case Verb::kPower:
        node.LosePower(static_cast<uint64_t>(step.a));
        break;
      case Verb::kRestart:
        node.Restart();
        break;
      case Verb::kDisk:
        disk_.FailAt(node.disk_prefix(), step.a, static_cast<SimDisk::Fault>(step.b % 4));
        break;
      case Verb::kHeal:
        disk_.Heal(node.disk_prefix());
        break;
      case Verb::kMtaDown:
        node.mta_down = step.a == 1;
        node.mta_hangs = step.a == 2;
        break;
      case Verb::kSink:
        node.sink_trouble = step.a;
        break;
      case Verb::kFlip:
        node.Flip(static_cast<uint64_t>(step.a));
        break;
      case Verb::kShare:
        if (shares) node.Share();
        break;
      case Verb::kRedis:
        server_.SetTrouble(static_cast<SharedTrouble>(step.a % kSharedTroubles));
        other_half_.SetTrouble(static_cast<SharedTrouble>(step.a % kSharedTroubles));
        break;
      case Verb::kLoseAnswer:
        node.line().until_lost = step.a;
        break;
      case Verb::kFlush:
        server_.Flush();
        break;
      case Verb::kReplicate:
        replica_.Replicate(server_);
        replicated_ = true;
        break;
      case Verb::kFailOver:
        if (replicated_) server_.TakeOver(replica_);
        break;
      case Verb::kSplit:
        if (split_at_ < kWhole) break;
        other_half_.TakeOver(server_);
        server_.TakeOver(other_half_);
        split_at_ = step.a;
        break;
      case Verb::kHealSplit:
        HealSplit();
        break;
      case Verb::kEvict: {
        const std::vector<std::string> keys = server_.Keys();
        if (!keys.empty()) server_.Forget(keys[static_cast<size_t>(step.a) % keys.size()]);
        break;
      }
    }
  }

  // A renamed file is read on for ten minutes.
  void ReopenIfOld(SimNode* node, absl::Duration later) {
    if (clock_.Elapsed() + later - node->log().rotated_at() > absl::Minutes(9)) {
      node->log().Reopen();
    }
  }

  // Back at most so far that nothing is forgotten: beyond that counts begin anew
  // (clock_back_test.cc).
  void StepClock(SimNode* node, int seconds) {
    absl::Duration by = absl::Seconds(seconds);
    if (node->model().now() != absl::InfinitePast()) {
      const absl::Duration most =
          node->Now() + Limiter::kMaxAhead + Limiter::kPatience - node->model().now();
      by = std::max(by, -std::max(most, absl::ZeroDuration()));
    }
    node->clock().Step(by);
  }

  void HealSplit() {
    if (split_at_ == kWhole) return;
    split_at_ = kWhole;
    other_half_.TakeOver(server_);  // its connections end
  }

  // A rule's block needs that many bad attempts in the logs of all nodes.
  void LookForFalseBlocks() {
    for (auto& node : nodes_) {
      for (const Case& record : node->TakeOpened()) {
        if (record.history) history_.insert(NumberOf(record));
        int64_t written = 0;
        const absl::Time from = node->Truly(record.judged_at) - absl::Seconds(story_.window);
        for (auto& one : nodes_) written += Written(*one, record, one->Here(from));
        if (written < record.counts.bad() || record.counts.bad() < kMinBad) {
          node->Wrong(absl::StrCat("false block: ", record.subject.ToString(), " with ",
                                   record.counts.bad(), " bad, the logs have ", written));
        }
      }
    }
  }

  int NumberOf(const Case& record) const {
    int domain = 0;
    while (DomainName(domain) != record.subject.id) ++domain;
    return domain;
  }

  // Bad attempts of the case's domain in all that was written, from then on.
  int64_t Written(SimNode& node, const Case& record, absl::Time from) {
    std::vector<std::pair<int, int>> seen;
    for (const Truth& line : node.log().truth()) {
      if (line.kind != Truth::Kind::kAttempt || line.outcome == 0) continue;
      if (DomainName(line.domain) != record.subject.id) continue;
      if (line.time < from) continue;
      const std::pair<int, int> who = {line.message, line.recipient};
      if (story_.once && std::find(seen.begin(), seen.end(), who) != seen.end()) continue;
      seen.push_back(who);
    }
    return static_cast<int64_t>(seen.size());
  }

  std::string FirstWrong() const {
    for (const auto& node : nodes_) {
      if (!node->wrong().empty()) return absl::StrCat("node ", node->name(), ": ", node->wrong());
    }
    return "";
  }

  // Everything is well again, and everybody has done what there is to do.
  void Settle() {
    server_.SetTrouble(SharedTrouble::kNone);
    other_half_.SetTrouble(SharedTrouble::kNone);
    HealSplit();
    for (auto& node : nodes_) {
      disk_.Heal(node->disk_prefix());
      node->mta_down = node->mta_hangs = false;
      node->sink_trouble = 0;
      node->line().until_lost = 0;
      node->log().FinishLine();
      node->log().Reopen();
    }
    // Longer than a case follower's pause between two readings of all cases.
    for (int round = 0; round < 4 && FirstWrong().empty(); ++round) {
      Round();
      clock_.Advance(absl::Seconds(16));
    }
    Round();
    Round();
  }

  void Round() {
    for (auto& node : nodes_) {
      if (!FirstWrong().empty()) return;
      node->Look(/*commit_each=*/false);
      node->Commit(/*durable=*/true);
      node->Tick();
      if (nodes_.size() > 1) node->Share();
      node->Commit(/*durable=*/false);
      node->Check();
      LookForFalseBlocks();
    }
  }

  void CheckQuiet() {
    for (auto& node : nodes_) {
      if (node->model().lines != node->log().truth().size()) {
        node->Wrong(
            absl::StrCat(node->model().lines, " lines were read of ", node->log().truth().size()));
      }
      const std::string problem = node->committer().status().problem;
      const bool damage = node->flipped() && absl::StrContains(problem, "is damaged");
      if (!problem.empty() && !damage) {
        node->Wrong(absl::StrCat("counts cannot be saved though the disk is well: ", problem));
      }
    }
    for (int domain = 0; domain < story_.domains; ++domain) CheckDomain(domain);
  }

  void CheckDomain(int domain) {
    const Subject subject = {SubjectKind::kDomain, DomainName(domain)};
    Model::Word last = {.at = absl::InfinitePast()};
    const SimNode* by = nullptr;
    bool either = false;  // by two people at once, on two nodes, or one of them not saved
    for (auto& node : nodes_) {
      for (const Model::Word& word : node->model().words) {
        const absl::Time at = node->Truly(word.at);
        // Of one machine the order holds, whatever its clock said.
        if (word.domain != domain || (at < last.at && by != node.get())) continue;
        either = at == last.at && (either || by != node.get());
        last = word;
        last.at = at;
        last.until = node->Truly(word.until);
        by = node.get();
      }
    }
    if (nodes_.size() > 1) {
      CheckShared(domain, subject);
      for (auto& node : nodes_) {
        for (const Model::Word& word : node->unsaved_words()) {
          either = either || (word.domain == domain && node->Truly(word.at) >= last.at);
        }
      }
    }
    if (either) return;
    for (auto& node : nodes_) {
      const std::optional<Case> open = node->Enforced(domain);
      // A block ends by the clock or by the log, whichever is ahead.
      absl::Time shown = clock_.Now();
      for (auto& one : nodes_) shown = std::max(shown, one->Truly(one->model().now()));
      if (last.blocked && last.until > shown && !(open.has_value() && open->manual)) {
        node->Wrong(absl::StrCat(subject.id, ": a person's block is not in force"));
      }
      if (last.at == absl::InfinitePast() || last.blocked || !open.has_value()) continue;
      int64_t since = 0;
      for (auto& one : nodes_) {
        // A clock that was ahead when they came was set back since.
        const absl::Time newest = std::max(one->Now(), one->model().now());
        since += one->model().EverBad(domain, one->Here(last.at), newest);
      }
      if (open->manual || open->bad() > since) {
        node->Wrong(absl::StrCat(subject.id, ": an unblock did not win: ", open->bad(),
                                 " bad, since then there were ", since));
      }
    }
  }

  void CheckShared(int domain, const Subject& subject) {
    // One from before the window clears nothing any more, and is forgotten.
    const auto cleared = [&](SimNode& node) {
      const absl::Time at = node.Truly(node.limiter().Report(subject).cleared_at);
      return at < clock_.Now() - absl::Seconds(story_.window) ? absl::InfinitePast() : at;
    };
    for (auto& node : nodes_) {
      node->Refresh(domain);
      const Counts sum = SumAfter(domain, cleared(*node));
      const Counts counts = node->limiter().Report(subject).counts;
      if (!(counts == sum)) {
        node->Wrong(absl::StrCat(subject.id, ": ", counts.delivered, " + ", counts.bad(),
                                 " bad of all nodes, expected ", sum.delivered, " + ", sum.bad()));
      }
      // A case that was over when it was found is its node's alone, and so is what it clears.
      if (!history_.contains(domain) && cleared(*node) != cleared(*nodes_[0])) {
        node->Wrong(absl::StrCat(subject.id, ": cleared at another time than elsewhere"));
      }
      if (node->Enforced(domain).has_value() != nodes_[0]->Enforced(domain).has_value()) {
        node->Wrong(absl::StrCat(subject.id, ": blocked on some nodes only"));
      }
      // However many of all deliveries there ever were still counted, it would trip. Unless a case
      // has ended: its end is judged by what that node knew of the others then.
      Counts hardest = {.failed = sum.bad()};
      for (auto& one : nodes_) hardest.delivered += Delivered(*one, domain);
      if (node->model().Trips(hardest) && !node->cases().FindOpen(subject, false).has_value() &&
          !EndedLately(subject)) {
        node->Wrong(absl::StrCat(subject.id, ": ", sum.bad(), " bad of ", hardest.total(),
                                 " and no block"));
      }
    }
  }

  bool EndedLately(const Subject& subject) {
    const absl::Time lately = clock_.Now() - absl::Seconds(story_.window);
    for (auto& node : nodes_) {
      for (const Case& record : node->cases().Closed(1'000)) {
        if (record.subject == subject && node->Truly(record.closed_at) > lately) return true;
      }
    }
    return false;
  }

  Counts SumAfter(int domain, absl::Time cleared) {
    Counts sum;
    for (auto& node : nodes_) {
      const absl::Time shown = std::max(node->Now(), node->model().now());
      sum += node->model().CountsAfter(domain, shown, node->Here(cleared));
    }
    return sum;
  }

  static int64_t Delivered(SimNode& node, int domain) {
    return std::count_if(
        node.log().truth().begin(), node.log().truth().end(), [&](const Truth& line) {
          return line.kind == Truth::Kind::kAttempt && line.outcome == 0 && line.domain == domain;
        });
  }

  // No more mail comes: every block ends, and all that is held leaves, or somebody is told.
  void Drain() {
    const absl::Duration hop =
        absl::Seconds(std::max(30, std::min(story_.window, story_.block_for) / 4));
    absl::Time until = clock_.Now() + absl::Minutes(20) +
                       4 * absl::Seconds(std::max(story_.window, story_.block_for));
    for (auto& node : nodes_) {
      for (const Case& record : node->cases().Open()) {
        if (!record.manual) continue;
        until = std::max(until, node->Truly(record.until) + absl::Minutes(20));
      }
    }
    bool waited = false;
    while (FirstWrong().empty()) {
      Round();
      bool quiet = true;
      for (auto& node : nodes_) {
        node->LookAtQueue();
        quiet = quiet && node->cases().Open().empty() && node->HeldInSilence().empty();
      }
      if (quiet) return;
      // Mail whose case was lost with the disk is overdue, and shown, when hold_max is over.
      const bool over = clock_.Now() > until;
      if (over && std::exchange(waited, true)) break;
      clock_.Advance(over ? absl::Hours(7) : hop);
    }
    for (auto& node : nodes_) {
      for (const Case& record : node->cases().Open()) {
        node->Wrong(absl::StrCat(record.subject.ToString(), ": its block does not end"));
      }
      if (!node->HeldInSilence().empty()) {
        node->Wrong(absl::StrCat("mail is held, and nobody is told: ",
                                 absl::StrJoin(node->HeldInSilence(), " ")));
      }
    }
  }

  // The sink takes everything again: in the time of the longest pause each notice is heard.
  void Hear() {
    SimNode& node = *nodes_[0];
    for (int i = 0; i < 100 && node.unheard() > 0; ++i) {
      clock_.Advance(absl::Minutes(20));
      node.Tick();
    }
    if (node.unheard() > 0) node.Wrong(absl::StrCat(node.unheard(), " notices are not sent"));
    node.CheckHeard();
  }

  static constexpr int kWhole = 1'000;

  const Story& story_;
  ManualClock clock_;
  SimDisk disk_;
  MemorySharedServer server_;
  MemorySharedServer replica_;
  MemorySharedServer other_half_;
  int split_at_ = kWhole;
  bool replicated_ = false;
  std::set<int> history_;  // domains with a case that was over when it was found
  std::vector<std::unique_ptr<NodeClock>> clocks_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
};

}  // namespace

Outcome Run(const Story& story, const std::string& folder) {
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  Outcome outcome;
  {
    World world(story, folder);
    outcome = world.Run();
  }
  std::filesystem::remove_all(folder);
  return outcome;
}

}  // namespace deferd::sim
