// Makes a failing story short: the shortest list of steps that one finds by taking steps out, such
// that what is left still fails (Zeller's delta debugging), and then smaller numbers.

#ifndef DEFERD_TESTS_SIM_SHRINK_H_
#define DEFERD_TESTS_SIM_SHRINK_H_

#include <functional>

#include "tests/sim/story.h"

namespace deferd::sim {

// `fails` runs a story, and must be true of `story`. At most `tries` runs.
Story Shrunk(Story story, const std::function<bool(const Story&)>& fails, int tries = 2'000);

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_SHRINK_H_
