// The limiter against an exact oracle: a plain list of everything that happened, searched anew for
// every question. Slow, obvious, and written from the contract alone.

#include <map>
#include <ostream>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/limiter.h"
#include "policy/dilution.h"
#include "policy/left_out.h"
#include "policy/toml_reader.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

class Oracle {
 public:
  Oracle(absl::Duration window, bool once, int64_t min_bad, int percent, absl::Duration block_for)
      : step_(absl::ToInt64Seconds(window) / 60),
        once_(once),
        min_bad_(min_bad),
        percent_(percent),
        block_for_(block_for) {}

  struct Block {
    std::string domain;
    absl::Time since, until;
    int64_t bad;
    int percent;
    bool open;
    friend bool operator==(const Block&, const Block&) = default;
  };

  void Feed(const std::string& domain, const std::string& message, const std::string& recipient,
            absl::Time time, int outcome, bool counts, absl::Time clock) {
    if (time > clock + absl::Minutes(5)) return;
    if (time > now_) {
      EndBlocks(time);
      now_ = time;
    }
    if (!counts || !Live(StepOf(time), StepOf(now_))) return;
    std::vector<Entry>& entries = entries_[domain];
    if (once_) {
      // The newest of this recipient's counted attempts decides.
      for (const Entry& e : entries) {
        if (e.message == message && e.recipient == recipient && e.last > time) return;
      }
      Entry* current = nullptr;
      for (Entry& e : entries) {
        if (e.message == message && e.recipient == recipient && e.current) current = &e;
      }
      if (current != nullptr) {
        current->last = time;
        if (current->outcome == outcome) return;
        current->current = false;
        if (Live(current->step, StepOf(now_))) current->taken_out = true;
      }
    }
    // All recipients are of one domain: so many of one message dilute.
    int64_t diluting = 0;
    for (const Entry& e : entries) {
      if (e.message == message && e.outcome == 0) ++diluting;
    }
    const bool surplus = outcome == 0 && diluting >= Dilution::kMost;
    entries.push_back({message, recipient, StepOf(time), time, outcome, true, false, surplus});
    if (outcome != 0) Judge(domain, time);
  }

  void Forget(const std::string& message) {
    for (auto& [domain, entries] : entries_) {
      for (Entry& e : entries) {
        if (e.message == message) e.message = absl::StrCat("forgotten ", e.message);
      }
    }
  }

  void Unblock(const std::string& domain, absl::Time clock) {
    for (Block& b : blocks_) {
      if (b.domain == domain && b.open) {
        b.open = false;
        // Attempts that are stamped ahead of the clock are cleared too, as far as stamps may be.
        const absl::Time latest = std::min(std::max(clock, now_), clock + absl::Minutes(15));
        cleared_[domain] = std::max(cleared_[domain], latest);
      }
    }
  }

  void Tick(absl::Time clock) { EndBlocks(clock); }

  Counts CountsOf(const std::string& domain, absl::Time now) const {
    return CountsAfter(domain, now, absl::UnixEpoch());
  }
  const std::vector<Block>& blocks() const { return blocks_; }
  bool Open(const std::string& domain) const {
    for (const Block& b : blocks_) {
      if (b.domain == domain && b.open) return true;
    }
    return false;
  }
  absl::Time now() const { return now_; }

 private:
  struct Entry {
    std::string message, recipient;
    int64_t step;  // of the time that it is dated
    absl::Time last;
    int outcome;  // 0 delivered, 1 deferred, 2 failed
    bool current;
    bool taken_out;
    bool surplus;
  };

  int64_t StepOf(absl::Time t) const { return absl::ToUnixSeconds(t) / step_; }
  bool Live(int64_t step, int64_t now) const { return step >= now - 59 && step <= now; }

  Counts CountsAfter(const std::string& domain, absl::Time now, absl::Time after) const {
    auto it = cleared_.find(domain);
    if (it != cleared_.end()) after = std::max(after, it->second);
    Counts counts;
    const auto entries = entries_.find(domain);
    if (entries == entries_.end()) return counts;
    const int64_t now_step = StepOf(now), after_step = StepOf(after);
    for (const Entry& e : entries->second) {
      if (e.taken_out || !Live(e.step, now_step) || e.step <= after_step) continue;
      if (e.outcome == 0) ++counts.delivered;
      if (e.surplus) ++counts.surplus;
      if (e.outcome == 1) ++counts.deferred;
      if (e.outcome == 2) ++counts.failed;
    }
    return counts;
  }

  bool Trips(const Counts& c) const {
    const int64_t total = c.total() - c.surplus;
    return c.bad() >= min_bad_ && 200 * c.bad() + total >= 2 * total * percent_;
  }

  void Judge(const std::string& domain, absl::Time since) {
    if (Open(domain)) return;
    const Counts counts = CountsOf(domain, now_);
    if (!Trips(counts)) return;
    blocks_.push_back(
        {domain, since, since + block_for_, counts.bad(), counts.judged_percent(), true});
  }

  void EndBlocks(absl::Time t) {
    while (true) {
      Block* due = nullptr;
      for (Block& b : blocks_) {
        if (b.open && b.until <= t && (due == nullptr || b.until < due->until)) due = &b;
      }
      if (due == nullptr) return;
      const absl::Time after = absl::FromUnixSeconds((StepOf(due->since) + 2) * step_ - 1);
      if (Trips(CountsAfter(due->domain, due->until, after))) {
        due->until += block_for_;
      } else {
        due->open = false;
        cleared_[due->domain] = std::max(cleared_[due->domain], after);
      }
    }
  }

  const int64_t step_;
  const bool once_;
  const int64_t min_bad_;
  const int percent_;
  const absl::Duration block_for_;
  absl::Time now_ = absl::InfinitePast();
  std::map<std::string, std::vector<Entry>> entries_;  // by domain; a message is of one
  std::map<std::string, absl::Time> cleared_;
  std::vector<Block> blocks_;
};

struct ModelCase {
  const char* window;
  const char* block_for;
  bool once;
  bool clock_steps;
  bool restarts;
  uint32_t seed;

  // For test names and messages.
  friend void PrintTo(const ModelCase& p, std::ostream* out) {
    *out << p.window << "_" << p.block_for << (p.once ? "_once" : "_attempts")
         << (p.clock_steps ? "_clocksteps" : "") << (p.restarts ? "_restarts" : "");
  }
};

class LimiterModel : public testing::TestWithParam<ModelCase> {};

TEST_P(LimiterModel, EqualsThePlainList) {
  const ModelCase& p = GetParam();
  const absl::Duration window = *deferd::ParseDuration(p.window);
  const absl::Duration block_for = *deferd::ParseDuration(p.block_for);
  constexpr int64_t kMinBad = 4;
  constexpr int kPercent = 40;
  Oracle oracle(window, p.once, kMinBad, kPercent, block_for);
  LimiterFixture f(absl::StrCat("count = \"", p.once ? "once" : "attempts",
                                "\"\n[rule.r]\nmin_bad = 4\npercent = 40\nwindow = \"", p.window,
                                "\"\nblock_for = \"", p.block_for, "\"\n"),
                   kMorning, /*ledger=*/false);

  std::mt19937 random(p.seed);
  auto upto = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  const int64_t step = absl::ToInt64Seconds(window) / 60;
  absl::Time clock = kMorning;
  bool ahead = false;
  int opened = 0;
  bool calm = false;
  // A short window needs a longer stream until cases have ended and opened again.
  const int operations = window < absl::Minutes(5) ? 12'000 : 3'000;
  for (int i = 0; i < operations; ++i) {
    if (upto(3) == 0) clock += absl::Seconds(upto(2 * step + 2));
    // Steps that are sat out; clock_back_test.cc has greater ones.
    if (p.clock_steps && upto(150) == 0) {
      clock += absl::Minutes(ahead ? -7 : 7);
      ahead = !ahead;
    }
    f.clock_.Set(clock);
    const std::string domain = absl::StrCat("d", upto(4), ".example");
    const std::string message = absl::StrCat(domain, "-m", upto(25));
    const int64_t kind = upto(100);
    if (kind < 3) {
      oracle.Forget(message);
      f.Complete(message);
    } else if (kind < 4) {
      const bool was_open = oracle.Open(domain);
      oracle.Unblock(domain, clock);
      EXPECT_EQ(f.committer_->Unblock({SubjectKind::kDomain, domain}, "root", "").ok(), was_open);
    } else if (kind < 6) {
      oracle.Tick(clock);
      f.committer_->Tick();
    } else {
      // Mostly around now; sometimes late, sometimes ahead of the clock.
      absl::Time time = clock - absl::Seconds(upto(step * 3 + 1));
      if (upto(20) == 0) time = clock - absl::Seconds(upto(step * 70));
      if (upto(20) == 0) time = clock + absl::Seconds(upto(step * 2 + 1));
      if (upto(1'000) == 0) time = clock + absl::Seconds(upto(400));
      // Bad and calm phases in turn, so that cases end and open again.
      if (upto(400) == 0) calm = !calm;
      const int outcome = calm && upto(10) != 0 ? 0 : static_cast<int>(upto(3));
      const bool counts = upto(10) != 0;
      const std::string recipient = absl::StrCat("r", upto(3), "@x");
      Attempt attempt = LimiterFixture::MakeAttempt(
          domain, time,
          outcome == 0   ? Outcome::kDelivered
          : outcome == 1 ? Outcome::kDeferred
                         : (upto(2) == 0 ? Outcome::kFailed : Outcome::kExpired),
          message, recipient);
      attempt.remote = counts;
      attempt.transport = counts ? "smtp" : "local";  // on this host, whatever became of it
      oracle.Feed(domain, message, recipient, time, outcome, counts, clock);
      f.Feed(attempt);
    }

    // What was committed, some of it only at the second try, is all that another limiter needs.
    if (p.restarts && upto(30) == 0) {
      f.store_->FailCommits(static_cast<int>(upto(2)));
      const bool committed = f.committer_->Commit().ok();
      if (committed && upto(3) == 0) f.Start();
    }

    const absl::Time shown = std::max(clock, oracle.now());
    for (int d = 0; d < 4; ++d) {
      const std::string name = absl::StrCat("d", d, ".example");
      ASSERT_EQ(f.CountsNow(name), oracle.CountsOf(name, shown)) << name << " after op " << i;
      ASSERT_EQ(f.OpenCase(name).has_value(), oracle.Open(name)) << name << " after op " << i;
    }
  }
  // Every case that ever was, in the order of opening.
  std::vector<Oracle::Block> seen;
  std::map<std::string, size_t> index;
  for (const SeenCase& one : f.observer_.cases_) {
    const Case& c = one.record;
    if (one.change == CaseChange::kOpened) {
      index[c.id] = seen.size();
      seen.push_back({});
      ++opened;
    }
    seen[index[c.id]] = {c.subject.id,   c.since,   c.until,
                         c.counts.bad(), c.percent, c.state == CaseState::kBlocked};
  }
  EXPECT_EQ(seen, oracle.blocks());
  EXPECT_GT(opened, 3) << "a stream that opens nothing shows nothing";
}

std::vector<ModelCase> ModelCases() {
  std::vector<ModelCase> cases;
  uint32_t seed = 1;
  for (const char* window : {"1m", "10m", "1h", "5h", "7d"}) {
    for (bool once : {true, false}) {
      for (bool clock_steps : {false, true}) {
        for (const char* block_for : {"3m", "1h"}) {
          cases.push_back({window, block_for, once, clock_steps, clock_steps, seed++});
        }
      }
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Streams, LimiterModel, testing::ValuesIn(ModelCases()),
                         [](const auto& parameters) {
                           return testing::PrintToString(parameters.param);
                         });

}  // namespace
}  // namespace deferd
