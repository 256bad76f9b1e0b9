// A closed-loop client: each connection asks, waits for the answer, asks again. One thread, epoll.

#ifndef DEFERD_TESTS_BENCH_QUESTION_CLIENT_H_
#define DEFERD_TESTS_BENCH_QUESTION_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace deferd {

struct LoadOptions {
  std::string path;  // of the server's unix socket, or a port of this machine
  int connections = 1;
  int idle = 0;      // more connections, that ask nothing
  bool kept = true;  // false: a connection for each question, half-closed as readsocket does
  std::chrono::milliseconds length{1000};
  // How an answer begins, and ends; no end: with the connection, which is not half-closed then.
  std::string answer = "pass\n";
  std::string answer_end = "\n";
};

struct Load {
  int64_t answers = 0;
  double seconds = 0;
  double p50_micros = 0;
  double p99_micros = 0;
  bool failed = false;  // the server hung up or answered otherwise
};

Load AskInALoop(const LoadOptions& options, const std::vector<std::string>& questions);

}  // namespace deferd

#endif  // DEFERD_TESTS_BENCH_QUESTION_CLIENT_H_
