// How long a start takes, and how much memory, with many open messages in many logs.
//
// Each log has as many messages as a reader remembers at most, written as an Exim that defers them
// would. Measured: the state is opened and loaded, readers are made from it, the first question is
// answered by the table. The floor is the same messages' ids in a hash table, read from a file with
// their lines. `start_bench [LOGS [MESSAGES]]`.

#include <stdlib.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/committer.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/log_set.h"
#include "limiter/limiter.h"
#include "limiter/store/sqlite_store.h"
#include "policy/policy_file.h"
#include "tests/bench/resident.h"

namespace deferd {
namespace {

using Steady = std::chrono::steady_clock;

double Since(Steady::time_point begin) {
  return std::chrono::duration<double>(Steady::now() - begin).count();
}

// All that a start restores.
class Node {
 public:
  Node(const std::string& path, const Clock* clock) : clock_(clock) {
    auto opened = OpenSqliteStore(path, "0a1b2c3d", {.enabled = false});
    if (!opened.ok()) std::abort();
    store_ = *std::move(opened);
    limiter_ = std::make_unique<Limiter>(
        LimiterOptions{.node = "0a1b2c3d", .max_messages = 20'000'000, .keep = true}, settings_,
        clock_, &cases_);
    committer_ = std::make_unique<Committer>(CommitterOptions{.ledger = false}, limiter_.get(),
                                             store_.get(), clock_);
    if (!committer_->Load().ok()) std::abort();
    for (auto& [source, kept] : committer_->TakeSources()) {
      SourceState state = {std::move(kept.position), std::move(kept.open_messages)};
      readers_[source] = RestoredReader(source, &state, NewReader);
    }
  }

  static std::unique_ptr<LogReader> NewReader() {
    return NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = true});
  }

  // A log of `messages` messages that wait.
  void Fill(const std::string& source, int messages, std::ofstream* lines) {
    std::unique_ptr<LogReader> reader = NewReader();
    EventBatch batch;
    const std::string stamp =
        absl::FormatTime("%Y-%m-%d %H:%M:%S", clock_->Now(), absl::UTCTimeZone());
    for (int n = 0; n < messages; ++n) {
      const std::string id = absl::StrFormat("1aB%03d-0%05d-Zz", n / 100'000, n % 100'000);
      const std::string who = absl::StrCat("bob@d", n % 10'000, ".example");
      for (const std::string& line :
           {absl::StrCat(stamp, " ", id, " <= ", who, " H=(pc) [192.0.2.7] P=esmtpsa A=plain:", who,
                         " S=1200"),
            absl::StrCat(stamp, " ", id, " == r@m", n, ".test R=dnslookup T=remote_smtp defer ",
                         "(-46) H=mx.m", n, ".test [203.0.113.9]: 450 4.7.1 later")}) {
        reader->ReadLine(line, &batch);
        *lines << line << '\n';
      }
      if (n % 10'000 != 9'999 && n + 1 < messages) continue;
      batch.position = SourcePosition{source, {.reader = reader->SaveState()}};
      committer_->Record(batch);
      if (!committer_->Commit().ok()) std::abort();
      batch.Clear();
    }
  }

  bool Answers() const {
    Freshness fresh(clock_->Now());
    const Gate gate(&cases_, &fresh, clock_, settings_);
    Identity identity;
    identity.login = identity.sender = "bob@d1.example";
    return gate.Check(identity, Source::kSubmission).verdict == Verdict::kPass;
  }

  size_t open_messages() const {
    size_t sum = 0;
    for (const auto& [source, reader] : readers_) sum += reader->open_messages();
    return sum;
  }

 private:
  const Clock* const clock_;
  // Nothing is blocked: the messages are what this is about.
  const Settings settings_ = {std::make_shared<Policy>([] {
                                Policy policy = BuiltInPolicy();
                                policy.mode = Mode::kShadow;
                                return policy;
                              }()),
                              std::make_shared<ChargeLists>()};
  CaseTable cases_;
  std::unique_ptr<LocalStore> store_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Committer> committer_;
  std::map<std::string, std::unique_ptr<LogReader>> readers_;
};

// Seconds and megabytes of a table from id to line.
void Floor(const std::string& path, double* seconds, double* megabytes) {
  const double before = ResidentMegabytes();
  const auto begin = Steady::now();
  absl::flat_hash_map<std::string, std::string> table;
  std::ifstream lines(path);
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    table[absl::StrCat(line.substr(20, 17), number++ / 2)] = line;
  }
  *seconds = Since(begin);
  *megabytes = ResidentMegabytes() - before;
}

int Main(int argc, char** argv) {
  const int logs = argc > 1 ? std::atoi(argv[1]) : 1;
  const int messages = argc > 2 ? std::atoi(argv[2]) : 1'000'000;
  std::string folder = (std::filesystem::temp_directory_path() / "start_benchXXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const std::string state = folder + "/state.db";
  const SystemClock clock;
  {
    std::ofstream lines(folder + "/lines");
    Node node(state, &clock);
    for (int log = 0; log < logs; ++log) {
      node.Fill(absl::StrCat("/var/log/exim4/mainlog", log), messages, &lines);
    }
  }
  double floor_seconds = 0, floor_megabytes = 0;
  Floor(folder + "/lines", &floor_seconds, &floor_megabytes);
  const double before = ResidentMegabytes();
  const auto begin = Steady::now();
  const Node node(state, &clock);
  const bool answers = node.Answers();
  std::printf(
      "%zu open messages in %d logs, state.db of %.0f MB: started in %.2f s, %.0f MB; their lines "
      "in a hash table %.2f s, %.0f MB\n",
      node.open_messages(), logs, static_cast<double>(std::filesystem::file_size(state)) / 1e6,
      Since(begin), ResidentMegabytes() - before, floor_seconds, floor_megabytes);
  std::filesystem::remove_all(folder);
  return answers && node.open_messages() == static_cast<size_t>(logs) * messages ? 0 : 1;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
