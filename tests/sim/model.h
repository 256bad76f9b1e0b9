// What one node's counts and blocks should be: a plain list of everything that it has read,
// searched anew for every question. Written from the contract alone.
//
// A plain value: the state as of a commit is a copy.

#ifndef DEFERD_TESTS_SIM_MODEL_H_
#define DEFERD_TESTS_SIM_MODEL_H_

#include <map>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "policy/counts.h"
#include "tests/sim/mta_log.h"

namespace deferd::sim {

// What every story's rule says.
inline constexpr int kMinBad = 4;
inline constexpr int kPercent = 40;

class Model {
 public:
  struct Block {
    int domain = 0;
    absl::Time since, until;
    int64_t bad = 0;
    bool open = true;
    bool manual = false;
  };
  // What a person decided here.
  struct Word {
    int domain = 0;
    absl::Time at;
    bool blocked = false;
    absl::Time until;
  };

  // `alone`: blocks are judged too. Those of nodes that share depend on what each knew of the
  // others when, so there only counts are exact.
  Model(absl::Duration window, absl::Duration block_for, bool once, bool alone)
      : window_(window), block_for_(block_for), once_(once), alone_(alone) {}

  // A line is read, at `clock`.
  void Feed(const Truth& line, absl::Time clock);
  void Tick(absl::Time clock) { EndBlocks(clock); }
  void BlockBy(int domain, absl::Time clock, absl::Duration how_long);
  // False: there was no block here.
  bool UnblockBy(int domain, absl::Time clock);
  // Of recipients of the domain, how many ever had a bad outcome dated in [from, to].
  int64_t EverBad(int domain, absl::Time from, absl::Time to) const;

  Counts CountsAfter(int domain, absl::Time shown, absl::Time after) const;
  Counts CountsOf(int domain, absl::Time shown) const;
  const Block* Open(int domain) const;
  absl::Time now() const { return now_; }
  // Every person's decision, also of a node that shares.
  std::vector<Word> words;
  size_t lines = 0;  // of the log read

  int64_t StepOf(absl::Time t) const {
    return absl::ToUnixSeconds(t) / (absl::ToInt64Seconds(window_) / 60);
  }
  bool Trips(const Counts& counts) const;

 private:
  struct Entry {
    int domain, message, recipient, outcome;
    absl::Time dated, last;
    bool current = true;
    bool taken_out = false;
    bool forgotten = false;  // the message has left
  };

  bool Live(absl::Time t, absl::Time shown) const {
    return StepOf(t) >= StepOf(shown) - 59 && StepOf(t) <= StepOf(shown);
  }
  absl::Time AfterBlock(const Block& block) const;
  void EndBlocks(absl::Time t);

  absl::Duration window_, block_for_;
  bool once_;
  bool alone_;
  absl::Time now_ = absl::InfinitePast();
  std::vector<Entry> entries_;
  std::map<int, absl::Time> cleared_;
  std::vector<Block> blocks_;
};

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_MODEL_H_
