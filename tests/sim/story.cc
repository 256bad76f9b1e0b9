#include "tests/sim/story.h"

#include <array>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace deferd::sim {

namespace {

constexpr std::array<absl::string_view, kVerbs> kNames = {
    "advance",   "step",      "mail",  "retry",      "submit",  "rotate",      "reopen",
    "compress",  "half-line", "ahead", "look",       "commit",  "tick",        "queue",
    "block",     "unblock",   "kill",  "power",      "restart", "disk",        "heal",
    "mta",       "flip",      "sink",  "share",      "redis",   "lose-answer", "flush",
    "replicate", "fail-over", "split", "heal-split", "evict"};

// How often a step of each kind is drawn. A story draws its own weights besides, so that some have
// many crashes and some have none.
struct Weight {
  Verb verb;
  int weight;
  bool shared = false;  // only where there are several nodes
};
constexpr Weight kWeights[] = {{Verb::kAdvance, 200},
                               {Verb::kStep, 6},
                               {Verb::kMail, 400},
                               {Verb::kRetry, 100},
                               {Verb::kSubmit, 60},
                               {Verb::kRotate, 25},
                               {Verb::kReopen, 25},
                               {Verb::kCompress, 15},
                               {Verb::kHalfLine, 15},
                               {Verb::kAhead, 3},
                               {Verb::kLook, 250},
                               {Verb::kCommit, 120},
                               {Verb::kTick, 60},
                               {Verb::kQueue, 60},
                               {Verb::kBlock, 8},
                               {Verb::kUnblock, 20},
                               {Verb::kKill, 20},
                               {Verb::kPower, 12},
                               {Verb::kRestart, 8},
                               {Verb::kDisk, 20},
                               {Verb::kHeal, 20},
                               {Verb::kMtaDown, 10},
                               {Verb::kFlip, 4},
                               {Verb::kSink, 12},
                               {Verb::kShare, 250, true},
                               {Verb::kRedis, 30, true},
                               {Verb::kLoseAnswer, 25, true},
                               {Verb::kFlush, 6, true},
                               {Verb::kReplicate, 20, true},
                               {Verb::kFailOver, 6, true},
                               {Verb::kSplit, 6, true},
                               {Verb::kHealSplit, 12, true}};

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}
  int UpTo(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  bool OneIn(int n) { return UpTo(n) == 0; }

 private:
  std::mt19937_64 random_;
};

Step Filled(Verb verb, const Story& story, bool calm, Draw* draw) {
  Step step = {.verb = verb, .node = draw->UpTo(story.nodes)};
  const auto outcome = [&] { return calm && !draw->OneIn(10) ? 0 : draw->UpTo(3); };
  const auto late = [&] {
    if (draw->OneIn(20)) return draw->UpTo(story.window * 5 / 4);
    return draw->OneIn(3) ? draw->UpTo(story.window / 20 + 1) : 0;
  };
  switch (verb) {
    case Verb::kAdvance:
      step.a = draw->OneIn(15) ? draw->UpTo(story.window) : 1 + draw->UpTo(story.window / 30 + 1);
      break;
    case Verb::kStep:
      step.a = 1 + draw->UpTo(draw->OneIn(2) ? 1'000 : story.window);
      step.b = draw->UpTo(2);
      break;
    case Verb::kMail:
      step.a = draw->UpTo(story.domains);
      step.b = outcome() + 3 * outcome() + (draw->OneIn(2) ? 9 : 0);
      step.c = late();
      break;
    case Verb::kRetry:
      step.a = draw->UpTo(1000);
      step.b = outcome();
      step.c = late();
      break;
    case Verb::kSubmit:
      step.a = draw->UpTo(story.domains);
      step.b = outcome();
      break;
    case Verb::kRotate:
      step.a = draw->UpTo(kRotateWays);
      break;
    case Verb::kAhead:
      step.a = 1 + draw->UpTo(900);
      step.b = draw->UpTo(story.domains);
      break;
    case Verb::kLook:
      step.a = draw->OneIn(3) ? 1 : 0;
      break;
    case Verb::kCommit:
      step.a = draw->OneIn(5) ? 1 : 0;
      break;
    case Verb::kBlock:
      step.a = draw->UpTo(story.domains);
      step.b = 1 + draw->UpTo(story.block_for * 3);
      break;
    case Verb::kUnblock:
      step.a = draw->UpTo(story.domains);
      break;
    case Verb::kPower:
      step.a = draw->UpTo(1 << 20);
      break;
    case Verb::kDisk:
      step.a = 1 + draw->UpTo(30);
      step.b = draw->UpTo(4);
      break;
    case Verb::kMtaDown:
      step.a = draw->UpTo(3);
      break;
    case Verb::kSink:
      step.a = draw->UpTo(4);
      break;
    case Verb::kFlip:
      step.a = draw->UpTo(1 << 30);
      break;
    case Verb::kRedis: {
      // gone, slow, read-only, full, loading, not saving; half of the time it is well again.
      constexpr int kTroubles[] = {1, 2, 3, 4, 5, 8};
      step.a = draw->OneIn(2) ? 0 : kTroubles[draw->UpTo(6)];
      break;
    }
    case Verb::kLoseAnswer:
      step.a = 1 + draw->UpTo(6);
      break;
    case Verb::kSplit:
      step.a = 1 + draw->UpTo(std::max(1, story.nodes - 1));
      break;
    default:
      break;
  }
  return step;
}

// Drawn apart, so that every other step of a seed stays what it is.
void AddEvictions(Story* story) {
  Draw draw(story->seed * 0x9E3779B97F4A7C15u + 2);
  if (story->nodes == 1 || draw.OneIn(4)) return;
  for (int left = draw.UpTo(8); left > 0; --left) {
    const int at = draw.UpTo(static_cast<int>(story->steps.size()) + 1);
    const Step step = {.verb = Verb::kEvict, .a = draw.UpTo(1000)};
    story->steps.insert(story->steps.begin() + at, step);
  }
}

}  // namespace

Story MakeStory(uint64_t seed, const StoryShape& shape) {
  Draw draw(seed * 0x9E3779B97F4A7C15u + 1);
  Story story;
  story.seed = seed;
  // Half of the stories are of one machine, where the oracle is exact.
  story.nodes = draw.OneIn(2) ? 1 : 2 + draw.UpTo(4);
  if (shape.nodes > 0) story.nodes = shape.nodes;
  story.postfix = draw.OneIn(3);
  story.once = !draw.OneIn(4);
  constexpr int kWindows[] = {60, 600, 3600};
  story.window = kWindows[draw.UpTo(3)];
  story.block_for = draw.OneIn(2) ? story.window : 180;
  story.domains = 1 + draw.UpTo(4);
  // Whole steps of any window: so the sums of all nodes are exact.
  if (story.nodes > 1 && draw.OneIn(3)) story.skew = 60 * (1 + draw.UpTo(10));
  const int steps = shape.steps > 0 ? shape.steps : 50 + draw.UpTo(300);

  std::vector<Weight> weights;
  int sum = 0;
  for (Weight one : kWeights) {
    if (one.shared && story.nodes == 1) continue;
    // Troubles come in bunches, or not at all.
    if (one.weight <= 30) one.weight *= draw.UpTo(4);
    weights.push_back(one);
    sum += one.weight;
  }
  bool calm = false;
  for (int i = 0; i < steps; ++i) {
    if (draw.OneIn(80)) calm = !calm;
    int at = draw.UpTo(sum);
    for (const Weight& one : weights) {
      at -= one.weight;
      if (at >= 0) continue;
      story.steps.push_back(Filled(one.verb, story, calm, &draw));
      break;
    }
  }
  AddEvictions(&story);
  return story;
}

std::string StepText(const Step& step) {
  return absl::StrCat(kNames[static_cast<int>(step.verb)], " ", step.node, " ", step.a, " ", step.b,
                      " ", step.c);
}

std::string StoryText(const Story& story) {
  std::string text = absl::StrCat("seed ", story.seed, "\nnodes ", story.nodes, "\npostfix ",
                                  story.postfix ? 1 : 0, "\nonce ", story.once ? 1 : 0, "\nwindow ",
                                  story.window, "\nblock_for ", story.block_for, "\ndomains ",
                                  story.domains, "\nskew ", story.skew, "\n");
  for (const Step& step : story.steps) absl::StrAppend(&text, StepText(step), "\n");
  return text;
}

absl::StatusOr<Story> ParseStory(absl::string_view text) {
  Story story;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const auto bad = [&](absl::string_view why) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", why, ": ", line));
    };
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    std::vector<int64_t> numbers;
    for (size_t i = 1; i < words.size(); ++i) {
      uint64_t value = 0;
      if (!absl::SimpleAtoi(words[i], &value)) return bad("not a number");
      numbers.push_back(static_cast<int64_t>(value));
    }
    if (numbers.size() == 1) {
      const int value = static_cast<int>(numbers[0]);
      if (words[0] == "seed")
        story.seed = static_cast<uint64_t>(numbers[0]);
      else if (words[0] == "nodes")
        story.nodes = value;
      else if (words[0] == "postfix")
        story.postfix = value != 0;
      else if (words[0] == "once")
        story.once = value != 0;
      else if (words[0] == "window")
        story.window = value;
      else if (words[0] == "block_for")
        story.block_for = value;
      else if (words[0] == "domains")
        story.domains = value;
      else if (words[0] == "skew")
        story.skew = value;
      else
        return bad("unknown setting");
      continue;
    }
    if (numbers.size() != 4) return bad("a step is a verb and four numbers");
    Step step = {Verb::kAdvance, static_cast<int>(numbers[0]), static_cast<int>(numbers[1]),
                 static_cast<int>(numbers[2]), static_cast<int>(numbers[3])};
    int verb = 0;
    while (verb < kVerbs && kNames[verb] != words[0]) ++verb;
    if (verb == kVerbs) return bad("unknown verb");
    step.verb = static_cast<Verb>(verb);
    story.steps.push_back(step);
  }
  return story;
}

}  // namespace deferd::sim
