// Whether a benchmark is to run for a moment only, so that a test sees that it works. Its figures
// mean nothing then. Set by DEFERD_BENCH_SHORT in the environment (run.py --short).

#ifndef DEFERD_TESTS_BENCH_SHORT_H_
#define DEFERD_TESTS_BENCH_SHORT_H_

#include <cstdlib>

namespace deferd {

inline bool ShortRun() { return std::getenv("DEFERD_BENCH_SHORT") != nullptr; }

}  // namespace deferd

#endif  // DEFERD_TESTS_BENCH_SHORT_H_
