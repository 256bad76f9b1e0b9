// What happens in one run of the simulation: how many nodes there are, how they are configured, and
// a list of steps. A story is a plain value; running it twice does the same twice.
//
// Each step carries all that it needs, so a story with some steps taken out is a story again: that
// is how a failing one is made short (shrink.h). As text a step is a line "VERB NODE A B C", so
// people can read a story, change it and keep it as a test (tests/testdata/sim).

#ifndef DEFERD_TESTS_SIM_STORY_H_
#define DEFERD_TESTS_SIM_STORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace deferd::sim {

enum class Verb : uint8_t {
  // Time.
  kAdvance,  // all clocks, by A seconds
  kStep,     // somebody sets the machine's clock: A seconds on, or back if B (one machine alone)
  // The MTA's log. Domains are numbers; an outcome is 0 delivered, 1 deferred, 2 failed.
  kMail,   // a message of domain A: B % 3 and B / 3 % 3 are the outcomes of two recipients (one, if
           // B >= 9), written C seconds late
  kRetry,  // the deferred recipient number A (counted around) gets outcome B, C seconds late
  kSubmit,    // a message of domain A, after the question whether it may be sent; its outcome is B
  kRotate,    // in way A, of RotateWay
  kReopen,    // after a rename the MTA goes on in a new file
  kCompress,  // the youngest rotated file
  kHalfLine,  // the MTA's next line reaches the file in two parts; this is the first
  kAhead,     // a line stamped A seconds after the clock
  // deferd.
  kLook,    // reads the log and counts it; A: commits each batch
  kCommit,  // A: durable
  kTick,
  kQueue,  // reads the MTA's queue and carries out what is decided
  // A person. A domain; a block for B seconds.
  kBlock,
  kUnblock,
  // Troubles of a node.
  kKill,     // kill -9, then started again
  kPower,    // the power fails: what was not synced is on the disk in part, as A says
  kRestart,  // stopped with its last batch stored, then started again
  kDisk,     // the A-th write from now on fails: B is the SimDisk::Fault
  kHeal,     // the disk is well again
  kMtaDown,  // A is 1: the MTA refuses orders; 2: listing its queue hangs; 0: it is well
  kFlip,     // stopped, bit A of the database flips, started again
  kSink,     // A is 0: who hears of notices takes them; 1: hangs; 2: refuses for good; 3: for now
  // Sharing.
  kShare,       // the publisher and the case follower work
  kRedis,       // A is the SharedTrouble that every call meets, 0: none
  kLoseAnswer,  // the node's A-th call from now on is carried out, its answer is lost
  kFlush,       // Redis forgets everything
  kReplicate,   // the replica is what the master is now
  kFailOver,    // the replica becomes the master: what came since kReplicate is lost
  kSplit,       // nodes from A on reach only the other half, which becomes a master of its own
  kHealSplit,   // all nodes reach the first half; the other one's data is lost
  kEvict,       // Redis forgets its key number A (counted around)
};
inline constexpr int kVerbs = 33;

enum RotateWay { kRename, kRenameKeepWriting, kCopyTruncate, kDated, kRotateWays };

struct Step {
  Verb verb = Verb::kAdvance;
  int node = 0;
  int a = 0;
  int b = 0;
  int c = 0;

  friend bool operator==(const Step&, const Step&) = default;
};

struct Story {
  uint64_t seed = 0;
  int nodes = 1;
  bool postfix = false;  // the MTA, else Exim
  bool once = true;      // how the policy counts
  int window = 600;      // seconds
  int block_for = 180;
  int domains = 4;
  // By how many seconds the clocks of nodes that share differ: behind, right and ahead in turn.
  int skew = 0;
  std::vector<Step> steps;
};

struct StoryShape {
  int nodes = 0;  // 0: the seed decides
  int steps = 0;  // 0: likewise
};
Story MakeStory(uint64_t seed, const StoryShape& shape = {});

std::string StepText(const Step& step);
std::string StoryText(const Story& story);
// InvalidArgument names the line.
absl::StatusOr<Story> ParseStory(absl::string_view text);

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_STORY_H_
