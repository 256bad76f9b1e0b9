// A closed-loop client: each connection asks, waits for the answer, asks again. One thread, epoll.

#ifndef DEFERD_TESTS_BENCH_QUESTION_CLIENT_H_
#define DEFERD_TESTS_BENCH_QUESTION_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace deferd {

struct LoadOptions {
  std::string path;  // of the server's unix socket
  int connections = 1;
  bool kept = true;  // false: a connection for each question, half-closed as readsocket does
  std::chrono::milliseconds length{1000};
};

struct Load {
  int64_t answers = 0;
  double seconds = 0;
  double p50_micros = 0;
  double p99_micros = 0;
  bool failed = false;  // the server hung up or answered otherwise than "pass"
};

Load AskInALoop(const LoadOptions& options, const std::vector<std::string>& questions);

}  // namespace deferd

#endif  // DEFERD_TESTS_BENCH_QUESTION_CLIENT_H_
