// The memory of this process.

#ifndef DEFERD_TESTS_BENCH_RESIDENT_H_
#define DEFERD_TESTS_BENCH_RESIDENT_H_

#include <malloc.h>
#include <unistd.h>

#include <cstdio>

namespace deferd {

// Resident, from /proc/self/statm (proc(5)), after what is free was given back.
inline double ResidentMegabytes() {
  malloc_trim(0);
  long pages = 0;
  if (FILE* statm = std::fopen("/proc/self/statm", "r")) {
    if (std::fscanf(statm, "%*s %ld", &pages) != 1) pages = 0;
    std::fclose(statm);
  }
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE)) / 1e6;
}

}  // namespace deferd

#endif  // DEFERD_TESTS_BENCH_RESIDENT_H_
