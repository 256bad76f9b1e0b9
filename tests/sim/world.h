// Runs a story: nodes, their mail servers, their disks and Redis, in one thread, with a clock that
// only the story moves. The oracle looks after each step, and once more when everything is well
// again and quiet.

#ifndef DEFERD_TESTS_SIM_WORLD_H_
#define DEFERD_TESTS_SIM_WORLD_H_

#include <string>

#include "tests/sim/story.h"

namespace deferd::sim {

struct Outcome {
  std::string wrong;  // empty: every promise was kept
  size_t step = 0;    // after which it showed; the number of steps: in the quiet that followed

  bool ok() const { return wrong.empty(); }
};

// `folder` is made and removed. One story at a time in a process.
Outcome Run(const Story& story, const std::string& folder);

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_WORLD_H_
