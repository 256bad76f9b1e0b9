// The floor of a question with libevent's bufferevents in place of bare system calls: what
// SocketServer would pay at least if it were made of them.

#ifndef DEFERD_TESTS_BENCH_QUESTION_BUFFERS_H_
#define DEFERD_TESTS_BENCH_QUESTION_BUFFERS_H_

namespace deferd {

// Answers "pass" to every line of the clients of the listening, non-blocking `listen_fd`, until
// `stop_fd` is readable.
void ServeBuffers(int listen_fd, int stop_fd);

}  // namespace deferd

#endif  // DEFERD_TESTS_BENCH_QUESTION_BUFFERS_H_
