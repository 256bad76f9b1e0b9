// The client of question_client.h as a program, for benchmarks that need another process.
//
//   question_load PATH_OR_PORT CONNECTIONS SECONDS ANSWER END [once] < QUESTION
//
// QUESTION is sent again and again, with {n} in it replaced by a number below 4096. ANSWER is how
// each answer must begin, END how it ends; "": with the connection. once: a connection for each.
// Prints answers a second, and the median and the 99th percentile in microseconds.

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/bench/question_client.h"

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr,
                 "usage: question_load PATH_OR_PORT CONNECTIONS SECONDS ANSWER END [once]\n");
    return 2;
  }
  const std::string question{std::istreambuf_iterator<char>(std::cin), {}};
  std::vector<std::string> questions;
  for (int n = 0; n < 4096; ++n) {
    questions.push_back(absl::StrReplaceAll(question, {{"{n}", absl::StrCat(n)}}));
  }
  deferd::LoadOptions options = {.path = argv[1], .connections = std::atoi(argv[2])};
  options.length = std::chrono::milliseconds(static_cast<int>(std::atof(argv[3]) * 1000));
  options.kept = argc == 6;
  if (!absl::CUnescape(argv[4], &options.answer) ||
      !absl::CUnescape(argv[5], &options.answer_end)) {
    std::fprintf(stderr, "ANSWER or END has an escape that C does not know\n");
    return 2;
  }
  const deferd::Load load = deferd::AskInALoop(options, questions);
  if (load.failed) {
    std::fprintf(stderr, "the server did not answer as it should\n");
    return 1;
  }
  std::printf("%.0f %.1f %.1f\n", load.answers / load.seconds, load.p50_micros, load.p99_micros);
  return 0;
}
