// How many replies a second one core classifies, beside its floor in the same run.
//
// The floor reads the same bytes and does the least that classifying takes: it makes small letters
// and searches one literal by one RE2 (a DFA, as the classifier's). "repeated" is the same replies
// over and over; in "all new" a number in each makes it one that was never seen. They take the
// replies of the test data in turns; medians of CPU times are printed. `classify_bench [ROUNDS]`.

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"
#include "policy/reply/classify.h"
#include "re2/re2.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return t.tv_sec + t.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int Main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 400;
  std::ifstream in(deferd::TestData("replies/real.tsv"));
  std::vector<std::string> replies;
  size_t bytes = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    replies.push_back(line.substr(0, line.find('\t')));
    bytes += replies.back().size();
  }
  double begin = CpuSeconds();
  const auto classifier = ReplyClassifier::Create();
  if (!classifier.ok() || replies.empty()) return 1;
  const double made = CpuSeconds() - begin;
  const RE2 literal("such user", RE2::Latin1);

  size_t sum = 0;
  begin = CpuSeconds();
  for (const std::string& reply : replies) sum += (*classifier)->Classify(reply).code;
  const double first = CpuSeconds() - begin;
  std::vector<double> floor_seconds, classify_seconds, new_seconds;
  int number = 0;
  std::string numbered;
  for (int turn = 0; turn < 5; ++turn) {
    begin = CpuSeconds();
    for (int round = 0; round < rounds; ++round) {
      for (const std::string& reply : replies) {
        sum += RE2::PartialMatch(absl::AsciiStrToLower(reply), literal);
      }
    }
    floor_seconds.push_back(CpuSeconds() - begin);
    begin = CpuSeconds();
    for (int round = 0; round < rounds; ++round) {
      for (const std::string& reply : replies) sum += (*classifier)->Classify(reply).code;
    }
    classify_seconds.push_back(CpuSeconds() - begin);
    begin = CpuSeconds();
    for (int round = 0; round < std::max(1, rounds / 10); ++round) {
      for (const std::string& reply : replies) {
        numbered = reply;
        numbered += ' ';
        numbered += std::to_string(++number);
        sum += (*classifier)->Classify(numbered).code;
      }
    }
    new_seconds.push_back((CpuSeconds() - begin) / std::max(1, rounds / 10) * rounds);
  }
  auto median = [](std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  const double count = static_cast<double>(rounds) * replies.size();
  const double floor = median(floor_seconds);
  const double classify = median(classify_seconds);
  std::printf("%zu replies of %zu bytes on average (checksum %zu)\n", replies.size(),
              bytes / replies.size(), sum);
  std::printf("built in %.0f ms, first pass %.1f ms\n", made * 1e3, first * 1e3);
  std::printf("%-36s %12s %14s\n", "", "replies/s", "ns per reply");
  std::printf("%-36s %12.0f %14.0f\n", "floor: small letters, one RE2 literal", count / floor,
              floor / count * 1e9);
  std::printf("%-36s %12.0f %14.0f\n", "classify, repeated", count / classify,
              classify / count * 1e9);
  const double fresh = median(new_seconds);
  std::printf("%-36s %12.0f %14.0f\n", "classify, all new", count / fresh, fresh / count * 1e9);
  std::printf("ratio to the floor: %.2f (CPU time, median of 5 in turns)\n", floor / classify);
  return 0;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
