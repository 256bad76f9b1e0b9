// What a question costs: SocketServer with EximSession, answering from a table of 100,000 domains,
// beside a bare epoll loop that answers without looking (question_floor.h) and the same made of
// libevent's bufferevents (question_buffers.h), in turns in one run.
// Ratios hold between machines, the numbers do not. Takes about half a minute.

#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "limiter/hook/exim_session.h"
#include "limiter/port/listener.h"
#include "limiter/port/mutex.h"
#include "limiter/port/socket_server.h"
#include "tests/bench/question_buffers.h"
#include "tests/bench/question_client.h"
#include "tests/bench/question_floor.h"
#include "tests/bench/short.h"

namespace deferd {
namespace {

constexpr int kDomains = 100'000;
constexpr int kQuestions = 4096;
const int kRounds = ShortRun() ? 1 : 3;
const std::chrono::milliseconds kTurn(ShortRun() ? 30 : 1000);

std::string DomainOf(int i) { return absl::StrCat("customer-", i, ".example.com"); }

class Table {
 public:
  Table() {
    MutexLock lock(&mutex_);
    for (int i = 0; i < kDomains; ++i) verdicts_[DomainOf(i)] = Verdict::kPass;
  }
  Answer For(const Question& question) const {
    const absl::string_view login = question.identity.login;
    MutexLock lock(&mutex_);
    const auto found = verdicts_.find(login.substr(login.rfind('@') + 1));
    return {.verdict = found == verdicts_.end() ? Verdict::kHold : found->second};
  }

 private:
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, Verdict> verdicts_ ABSL_GUARDED_BY(mutex_);
};

// About 120 bytes each.
std::vector<std::string> Questions() {
  std::vector<std::string> questions;
  for (int i = 0; i < kQuestions; ++i) {
    const std::string domain = DomainOf(i * (kDomains / kQuestions));
    questions.push_back(absl::StrCat("check\tsender=newsletter@", domain, "\tlogin=newsletter@",
                                     domain, "\thost=192.0.2.", i % 256, "\tsource=submission\n"));
  }
  return questions;
}

double ThreadCpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& t) { return t.tv_sec + t.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Listener OpenOrDie(const std::string& path) {
  absl::StatusOr<Listener> listener = Listener::Open(absl::StrCat("unix:", path), {});
  if (listener.ok()) return *std::move(listener);
  std::fprintf(stderr, "%s\n", listener.status().ToString().c_str());
  std::exit(1);
}

struct Result {
  double per_second = 0;
  double p50 = 0;
  double p99 = 0;
  double cpu_micros = 0;
};

// One round: `serve` in a thread of its own, which `stop` ends.
template <typename Serve, typename Stop>
Result Measure(const LoadOptions& options, const std::vector<std::string>& questions, Serve serve,
               Stop stop) {
  double cpu = 0;
  std::thread server([&] {
    const double before = ThreadCpuSeconds();
    serve();
    cpu = ThreadCpuSeconds() - before;
  });
  const Load load = AskInALoop(options, questions);
  stop();
  server.join();
  if (load.failed) {
    std::fprintf(stderr, "the server did not answer as it should\n");
    std::exit(1);
  }
  return {.per_second = load.answers / load.seconds,
          .p50 = load.p50_micros,
          .p99 = load.p99_micros,
          .cpu_micros = cpu * 1e6 / load.answers};
}

Result MeasureFloor(const LoadOptions& options, const std::vector<std::string>& questions,
                    void (*serve)(int listen_fd, int stop_fd)) {
  const Listener listener = OpenOrDie(options.path);
  const int stop_fd = eventfd(0, EFD_CLOEXEC);
  const Result result = Measure(
      options, questions, [&] { serve(listener.fd(), stop_fd); },
      [&] { eventfd_write(stop_fd, 1); });
  close(stop_fd);
  return result;
}

Result MeasureDeferd(const LoadOptions& options, const std::vector<std::string>& questions,
                     const Table& table) {
  absl::StatusOr<std::unique_ptr<SocketServer>> server = SocketServer::Create();
  int64_t answered = 0;
  absl::Duration longest;
  const SocketServer::Options served = {.idle = absl::InfiniteDuration(),
                                        .max_connections = 30'000};
  const absl::Status status = (*server)->Listen(OpenOrDie(options.path), served, [&](const Peer&) {
    return std::make_unique<EximSession>(
        [&table](const Question& question) { return table.For(question); },
        [&](const Answer&, absl::Duration took) {
          ++answered;
          longest = std::max(longest, took);
        },
        nullptr);
  });
  if (!status.ok()) std::exit(1);
  return Measure(
      options, questions, [&] { (*server)->Run(); },
      [&] { (*server)->Stop(absl::ZeroDuration()); });
}

// As many as the machine allows; each has two ends in this process.
int IdleOnes() {
  rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const int most = files.rlim_cur > 30'000 ? 10'000 : static_cast<int>(files.rlim_cur) / 3;
  return ShortRun() ? most / 10 : most;
}

Result Median(const std::vector<Result>& rounds) {
  const auto median = [&](double Result::*field) {
    std::vector<double> values;
    for (const Result& round : rounds) values.push_back(round.*field);
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  return {median(&Result::per_second), median(&Result::p50), median(&Result::p99),
          median(&Result::cpu_micros)};
}

void Print(const char* who, const LoadOptions& options, const Result& result, double ratio) {
  const std::string what = options.idle > 0 ? absl::StrCat("kept, ", options.idle, " idle")
                           : options.kept   ? "kept"
                                            : "one question";
  std::printf("%-7s %5d %-16s %9.0f %8.1f %8.1f %8.2f %7.2f\n", who, options.connections,
              what.c_str(), result.per_second, result.p50, result.p99, result.cpu_micros, ratio);
}

int Run() {
  std::string folder = (std::filesystem::temp_directory_path() / "question_benchXXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const Table table;
  const std::vector<std::string> questions = Questions();
  std::printf("question of %zu bytes, medians of %d rounds\n", questions[0].size(), kRounds);
  std::printf("server  conns                      req/s   p50 us   p99 us  cpu us/q   ratio\n");
  const struct {
    int connections;
    bool kept;
    int idle;
  } kLoads[] = {{1, true, 0}, {8, true, 0}, {64, true, 0}, {8, false, 0}, {64, true, IdleOnes()}};
  for (const auto& load : kLoads) {
    const LoadOptions options{.path = folder + "/q.sock",
                              .connections = load.connections,
                              .idle = load.idle,
                              .kept = load.kept,
                              .length = kTurn};
    std::vector<Result> floor, buffers, deferd;
    for (int i = 0; i < kRounds; ++i) {
      floor.push_back(MeasureFloor(options, questions, ServeFloor));
      buffers.push_back(MeasureFloor(options, questions, ServeBuffers));
      deferd.push_back(MeasureDeferd(options, questions, table));
    }
    const Result bare = Median(floor);
    const Result ours = Median(deferd);
    Print("floor", options, bare, 1);
    const Result buffered = Median(buffers);
    Print("buffers", options, buffered, buffered.per_second / bare.per_second);
    Print("deferd", options, ours, ours.per_second / bare.per_second);
  }
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace deferd

int main() {
  std::signal(SIGPIPE, SIG_IGN);  // bufferevents write to clients that are gone
  return deferd::Run();
}
