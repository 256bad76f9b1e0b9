// An hour of a very busy server in fast time, with names that never come again: does anything grow?
//
// Exim lines go through the reader, the limiter, the committer and an SQLite store on the disk,
// with the ledger on. After every twelfth of the time a row of the table is printed: resident
// memory, the store's bytes, the time of a question, and how much is remembered. What is bounded by
// a limit (subjects, open messages, the ledger's age) must have reached it by half of the time;
// from there on memory and store may grow by a tenth. Exit 1: something grew by more.
//
//   long_run [ATTEMPTS_PER_SECOND [MINUTES]]     2,000 (20 times a busy server) and 60

#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/committer.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/limiter.h"
#include "limiter/store/sqlite_store.h"
#include "policy/policy_file.h"
#include "tests/bench/resident.h"
#include "tests/bench/short.h"

namespace deferd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr absl::Duration kKeep =
    absl::Minutes(10);  // of the ledger: its age limit shows in the run
constexpr int kRows = 12;
constexpr int kQuestions = 20'000;

struct Row {
  double memory = 0, store = 0, median = 0, p99 = 0;
};

class LongRun {
 public:
  explicit LongRun(const std::string& folder)
      : store_(*OpenSqliteStore(folder + "/state.db", "0badcafe", {.keep = kKeep})) {
    committer_ = std::make_unique<Committer>(CommitterOptions(), &limiter_, store_.get(), &clock_);
    if (!committer_->Load().ok()) std::abort();
    fresh_.Set({}, begin_);
  }

  // One second of the log: each message has a login, a domain and a recipient of its own; one of
  // ten is refused and one deferred, which leaves its message open.
  void Second(int64_t second, int attempts) {
    const absl::Time now = begin_ + absl::Seconds(second);
    clock_.Set(now);
    const std::string stamp = absl::FormatTime("%Y-%m-%d %H:%M:%S", now, absl::UTCTimeZone());
    for (int i = 0; i < attempts; ++i) {
      const int64_t n = next_++;
      const std::string id = absl::StrFormat("1aB%03d-0%05d-Zz", n / 100'000, n % 100'000);
      Line(absl::StrCat(stamp, " ", id, " <= bob@d", n,
                        ".example H=(pc) [192.0.2.7] P=esmtpsa "
                        "A=plain:bob@d",
                        n, ".example S=1200"));
      const std::string where = absl::StrCat("r@m", n, ".test R=dnslookup T=remote_smtp");
      const std::string host =
          absl::StrCat("H=mx.m", n, ".test [203.", n / 250 % 250, ".", n % 250, ".9]");
      const int fate = static_cast<int>(n % 10);
      if (fate == 0) {
        Line(absl::StrCat(stamp, " ", id, " ** ", where, " ", host, ": 550 5.7.1 refused as spam"));
      } else if (fate == 1) {
        Line(absl::StrCat(stamp, " ", id, " == ", where, " defer (-46) ", host,
                          ": 450 4.7.1 later"));
        continue;
      } else {
        Line(absl::StrCat(stamp, " ", id, " => ", where, " ", host, " C=\"250 2.0.0 ok\""));
      }
      Line(absl::StrCat(stamp, " ", id, " Completed"));
    }
    committer_->Record(batch_);
    batch_.Clear();
    committer_->Tick();
    if (!committer_->Commit().ok()) std::abort();
  }

  Row Measure() {
    const Gate gate(&cases_, &fresh_, &clock_, settings_);
    std::vector<double> micros;
    micros.reserve(kQuestions);
    for (int i = 0; i < kQuestions; ++i) {
      Identity identity;
      identity.login = identity.sender = absl::StrCat("bob@d", next_ - i, ".example");
      const auto before = Clock::now();
      (void)gate.Check(identity, Source::kSubmission);
      micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - before).count());
    }
    std::sort(micros.begin(), micros.end());
    return {ResidentMegabytes(), static_cast<double>(store_->stats().bytes) / 1e6,
            micros[kQuestions / 2], micros[kQuestions * 99 / 100]};
  }

  Limiter::Stats stats() const { return limiter_.stats(); }

 private:
  void Line(const std::string& line) { reader_->ReadLine(line, &batch_); }

  const absl::Time begin_ = absl::FromUnixSeconds(1'795'334'400);
  ManualClock clock_{begin_};
  Settings settings_{std::make_shared<Policy>(BuiltInPolicy()), std::make_shared<ChargeLists>()};
  CaseTable cases_;
  Freshness fresh_{begin_};
  std::unique_ptr<LocalStore> store_;
  Limiter limiter_{{.node = "0badcafe",
                    .max_messages = 100'000,
                    .max_recipients = 200'000,
                    .max_subjects = 200'000,
                    .keep = true},
                   settings_,
                   &clock_,
                   &cases_};
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<LogReader> reader_ = NewEximReader(
      {.zone = absl::UTCTimeZone(), .max_open_messages = 100'000, .open_messages = true});
  EventBatch batch_;
  int64_t next_ = 0;
};

int Main(int argc, char** argv) {
  const int attempts = argc > 1 ? std::atoi(argv[1]) : 2'000;
  const int minutes = argc > 2 ? std::atoi(argv[2]) : 60;
  const char* tmp = std::getenv("TMPDIR");
  std::string folder = absl::StrCat(tmp == nullptr ? "/tmp" : tmp, "/deferd_long_run_XXXXXX");
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const auto began = Clock::now();
  std::vector<Row> rows;
  {
    LongRun run(folder);
    std::printf("%d attempts/s for %d minutes, every name new\n", attempts, minutes);
    std::printf("minute  memory MB  store MB  question us p50  p99  subjects  open messages\n");
    for (int64_t second = 1; second <= int64_t{minutes} * 60; ++second) {
      run.Second(second, attempts);
      if (second % (int64_t{minutes} * 60 / kRows) != 0) continue;
      rows.push_back(run.Measure());
      const Row& row = rows.back();
      std::printf("%6.0f  %9.0f  %8.0f  %15.1f  %3.1f  %8zu  %13zu\n",
                  static_cast<double>(second) / 60, row.memory, row.store, row.median, row.p99,
                  run.stats().subjects, run.stats().messages);
      std::fflush(stdout);
    }
  }
  std::filesystem::remove_all(folder);
  std::printf("%.0f s of wall time\n", std::chrono::duration<double>(Clock::now() - began).count());
  const Row& half = rows[kRows / 2 - 1];
  const Row& end = rows.back();
  if (ShortRun()) return 0;  // it grows until the first hour is over
  if (end.memory > 1.1 * half.memory || end.store > 1.1 * half.store) {
    std::printf("WRONG: it grows\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
