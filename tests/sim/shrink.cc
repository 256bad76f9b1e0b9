#include "tests/sim/shrink.h"

#include <algorithm>
#include <utility>

namespace deferd::sim {

Story Shrunk(Story story, const std::function<bool(const Story&)>& fails, int tries) {
  const auto keep_if_fails = [&](Story candidate) {
    if (tries-- <= 0 || !fails(candidate)) return false;
    story = std::move(candidate);
    return true;
  };
  for (size_t chunk = std::max<size_t>(1, story.steps.size() / 2); tries > 0;) {
    bool any = false;
    // From the end: what follows the failure goes first.
    for (size_t end = story.steps.size(); end > 0 && tries > 0;) {
      const size_t begin = end > chunk ? end - chunk : 0;
      Story without = story;
      without.steps.erase(without.steps.begin() + static_cast<std::ptrdiff_t>(begin),
                          without.steps.begin() + static_cast<std::ptrdiff_t>(end));
      any = keep_if_fails(std::move(without)) || any;
      end = std::min(begin, story.steps.size());
    }
    if (any) continue;
    if (chunk == 1) break;
    chunk /= 2;
  }
  for (size_t i = 0; i < story.steps.size(); ++i) {
    for (int Step::*number : {&Step::c, &Step::b, &Step::a, &Step::node}) {
      for (int smaller : {0, 1, story.steps[i].*number / 2}) {
        if (smaller >= story.steps[i].*number) continue;
        Story simpler = story;
        simpler.steps[i].*number = smaller;
        if (keep_if_fails(std::move(simpler))) break;
      }
    }
  }
  return story;
}

}  // namespace deferd::sim
