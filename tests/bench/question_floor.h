// The floor of a question: a bare epoll loop that answers "pass" to every line without looking at
// it. What any server on this machine must pay; ours is compared with it in the same run.

#ifndef DEFERD_TESTS_BENCH_QUESTION_FLOOR_H_
#define DEFERD_TESTS_BENCH_QUESTION_FLOOR_H_

namespace deferd {

// Serves the listening, non-blocking `listen_fd` until `stop_fd` is readable.
void ServeFloor(int listen_fd, int stop_fd);

}  // namespace deferd

#endif  // DEFERD_TESTS_BENCH_QUESTION_FLOOR_H_
