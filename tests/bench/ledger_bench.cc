// What the local store costs, beside a plain table with the same indexes in the same run.
//
// Attempts as a busy hosting machine has them: 10,000 sending domains (Zipf), 50,000 senders, a new
// recipient and message id for nearly each, 300 hosts, replies of about 80 bytes; committed in
// batches of 1,000 to 64,000 with the windows that they change and a position. Then searches among
// all of them, with the file in memory and not, the drop of a segment, and the load of a million
// windows. Files are in a temporary folder that is removed. `ledger_bench [ROWS [FLOOR_ROWS]]`.

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/sqlite.h"
#include "limiter/store/sqlite_store.h"
#include "tests/bench/short.h"

namespace deferd {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr int kDomains = 10'000;
constexpr int kSenders = 50'000;
constexpr int kHosts = 300;

double Seconds(SteadyClock::duration time) { return std::chrono::duration<double>(time).count(); }

double CpuSeconds() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <typename T>
T Must(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    exit(1);
  }
  return *std::move(result);
}

void Must(const absl::Status& status) {
  if (!status.ok()) Must<int>(status);
}

class Attempts {
 public:
  // `rows` in all will be spread over six days.
  explicit Attempts(int64_t rows) : step_(absl::Hours(144) / static_cast<double>(rows)) {
    double sum = 0;
    for (int i = 1; i <= kDomains; ++i) zipf_.push_back(sum += 1.0 / i);
  }

  static std::string Domain(int i) { return absl::StrCat("customer-", i, ".example"); }
  static std::string Recipient(int64_t number) {
    return absl::StrCat("recipient.", number * 7919 % 1'000'003, ".", number, "@far-",
                        number % 20'000, ".example");
  }
  static std::string MessageId(int64_t number) {
    return absl::StrCat("1t", absl::Hex(number * 2'654'435'761 % 4'294'967'291, absl::kZeroPad8),
                        "-00000001-AbC");
  }

  StoreBatch Next(int64_t rows) {
    StoreBatch batch;
    absl::flat_hash_set<int> changed;
    for (int64_t i = 0; i < rows; ++i) {
      LedgerRow& row = batch.ledger.emplace_back();
      ++number_;
      now_ += step_;
      const int domain = ZipfDomain();
      const int host = Below(kHosts);
      changed.insert(domain);
      row.time = now_;
      row.row = LedgerRowKey(row.time, number_);
      row.message_id = MessageId(number_);
      row.arrival = row.time - absl::Seconds(Below(30));
      row.subject = Domain(domain);
      row.sender = absl::StrCat("user", Below(kSenders / kDomains), "@", row.subject);
      row.narrower = absl::StrCat("login:", row.sender);
      row.login = row.sender;
      row.recipient = Recipient(number_);
      row.router = "dnslookup";
      row.transport = "remote_smtp";
      row.host = absl::StrCat("mx", host, ".provider.example");
      row.host_ip = absl::StrCat("192.0.", host / 256, ".", host % 256);
      const int outcome = Below(100);
      row.outcome = outcome < 80   ? Outcome::kDelivered
                    : outcome < 94 ? Outcome::kDeferred
                                   : Outcome::kFailed;
      if (outcome == 99) row.outcome = Outcome::kRejected;
      row.reply_class = outcome < 80 ? "" : "greylisting";
      row.reply = absl::StrCat("451 4.7.1 <", row.recipient, ">: please try again, id ", number_);
    }
    for (const int domain : changed) {
      batch.windows.push_back({{SubjectKind::kDomain, Domain(domain)},
                               absl::Hours(1),
                               std::string(60, static_cast<char>('a' + number_ % 26))});
    }
    batch.positions = {{"/var/log/exim4/mainlog", {.files = {{.offset = number_}}}}};
    batch.now = now_;
    return batch;
  }

  int64_t number() const { return number_; }
  absl::Time now() const { return now_; }
  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

 private:
  int ZipfDomain() {
    const double at = std::uniform_real_distribution<double>(0, zipf_.back())(random_);
    return static_cast<int>(std::lower_bound(zipf_.begin(), zipf_.end(), at) - zipf_.begin());
  }

  std::mt19937 random_{1};
  std::vector<double> zipf_;
  const absl::Duration step_;
  absl::Time now_ = absl::FromUnixSeconds(1'795'348'800);
  int64_t number_ = 0;
};

// Commits `rows` attempts; batches of `batch_rows`, or of 1,000 to 64,000 where that is 0. What
// makes the rows is not in the time.
struct Rate {
  double per_second = 0;
  double last_per_second = 0;  // of the last tenth
  double cpu_micros = 0;       // per attempt
  double slowest_commit = 0;   // seconds
};

Rate Measure(int64_t rows, int64_t batch_rows, Attempts* attempts,
             const std::function<void(const StoreBatch&)>& commit) {
  Rate rate;
  double spent = 0, cpu = 0, last_spent = 0;
  int64_t done = 0, last = 0;
  while (done < rows) {
    int64_t size = batch_rows == 0 ? int64_t{1'000} << attempts->Below(7) : batch_rows;
    size = std::min(size, rows - done);
    const StoreBatch batch = attempts->Next(size);
    const double cpu_before = CpuSeconds();
    const auto begin = SteadyClock::now();
    commit(batch);
    const double took = Seconds(SteadyClock::now() - begin);
    cpu += CpuSeconds() - cpu_before;
    spent += took;
    rate.slowest_commit = std::max(rate.slowest_commit, took);
    done += size;
    if (done > rows - rows / 10) {
      last_spent += took;
      last += size;
    }
  }
  rate.per_second = static_cast<double>(rows) / spent;
  rate.last_per_second = static_cast<double>(last) / last_spent;
  rate.cpu_micros = cpu * 1e6 / static_cast<double>(rows);
  return rate;
}

void Print(const char* what, int64_t rows, const Rate& rate, double bytes) {
  std::printf("%-44s %9ld %9.0f %9.0f %8.1f %8.0f %7.0f\n", what, static_cast<long>(rows),
              rate.per_second, rate.last_per_second, rate.cpu_micros, rate.slowest_commit * 1e3,
              bytes / static_cast<double>(rows));
  std::fflush(stdout);
}

// One table, one index for each thing that is looked up.
class Floor {
 public:
  explicit Floor(const std::string& path)
      : db_(Must(Database::Open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE))) {
    Must(db_->Execute(
        "PRAGMA secure_delete = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
        "PRAGMA cache_size = -65536;"
        "CREATE TABLE ledger (row INTEGER PRIMARY KEY, time, message_id, arrival, subject,"
        " narrower, sender, login, recipient, router, transport, host, host_ip, outcome,"
        " reply_class, reply)"));
    for (const char* column : {"time", "message_id", "subject", "narrower", "sender", "recipient",
                               "host", "host_ip", "outcome"}) {
      Must(db_->Execute(absl::StrCat("CREATE INDEX by_", column, " ON ledger (", column, ")")));
    }
    insert_ = Must(
        db_->Prepare("INSERT INTO ledger VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                     "?)"));
  }

  void Commit(const StoreBatch& batch) {
    Must(db_->Execute("BEGIN IMMEDIATE"));
    for (const LedgerRow& row : batch.ledger) {
      Must(insert_.Run(absl::ToUnixMillis(row.time), row.message_id,
                       absl::ToUnixMillis(row.arrival), row.subject, row.narrower, row.sender,
                       row.login, row.recipient, row.router, row.transport, row.host, row.host_ip,
                       static_cast<int>(row.outcome), row.reply_class, row.reply));
    }
    Must(db_->Execute("COMMIT"));
  }

 private:
  std::unique_ptr<Database> db_;
  Statement insert_;
};

// Forgets what the system keeps of the file in memory.
void ForgetPages(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  fdatasync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
}

void Searches(LocalStore* store, const std::string& copy, int64_t rows) {
  const absl::Time now = Must(store->NewReader()->Search({.limit = 1})).rows.front().time;
  const int64_t some = rows / 3;
  const std::vector<std::pair<const char*, LedgerQuery>> queries = {
      {"domain, the busiest", {.domain = Attempts::Domain(0)}},
      {"domain, a rare one", {.domain = Attempts::Domain(kDomains - 1)}},
      {"domain that never sent", {.domain = "nobody.example"}},
      {"recipient", {.recipient = Attempts::Recipient(some)}},
      {"recipient never seen", {.recipient = "nobody@far.example"}},
      {"message id", {.message_id = Attempts::MessageId(some)}},
      {"message id never seen", {.message_id = "1tNONE-00000001-AbC"}},
      {"busiest domain, one host, rejected",
       {.domain = Attempts::Domain(0),
        .host = "mx7.provider.example",
        .outcomes = {Outcome::kRejected}}},
      {"outcome that never came", {.outcomes = {Outcome::kHeld}}},
      {"newest fifty", {}},
      {"why: the bad ones of the busiest, 1 h",
       {.subject = Attempts::Domain(0),
        .outcomes = {Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired},
        .since = now - absl::Hours(1),
        .limit = 2'000}},
      {"why --verify: a page of the busiest, 1 h",
       {.subject = Attempts::Domain(0),
        .outcomes = {Outcome::kDelivered, Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired},
        .since = now - absl::Hours(1),
        .limit = 2'000}},
  };
  std::printf("\n%-44s %9s %9s %9s\n", "search", "rows", "warm ms", "cold ms");
  for (const auto& [name, query] : queries) {
    size_t found = 0;
    const auto time = [&, &q = query] {
      const std::unique_ptr<LedgerReader> reader = store->NewReader();
      const auto begin = SteadyClock::now();
      found = Must(reader->Search(q)).rows.size();
      return Seconds(SteadyClock::now() - begin) * 1e3;
    };
    ForgetPages(copy);
    const double cold = time();
    std::vector<double> warm;
    for (int i = 0; i < 5; ++i) warm.push_back(time());
    std::sort(warm.begin(), warm.end());
    std::printf("%-44s %9zu %9.1f %9.1f\n", name, found, warm[2], cold);
  }
}

void DropOne(LocalStore* store, const LedgerOptions& options, absl::Time first) {
  const int64_t before = store->stats().ledger_rows;
  StoreBatch batch;
  batch.now = first + options.keep;
  int hours = 0;
  double took = 0;
  while (store->stats().dropped_segments == 0 && hours++ < 200) {
    batch.now += absl::Hours(1);
    const auto begin = SteadyClock::now();
    Must(store->Commit(batch));
    took = Seconds(SteadyClock::now() - begin);
  }
  std::printf("\ndropping %ld segment of %ld rows: %.0f ms\n",
              static_cast<long>(store->stats().dropped_segments),
              static_cast<long>(before - store->stats().ledger_rows), took * 1e3);
}

class CountingVisitor : public StateVisitor {
 public:
  absl::Status OnPosition(SourcePosition) override { return absl::OkStatus(); }
  absl::Status OnOpenMessage(std::string, OpenMessage) override { return absl::OkStatus(); }
  absl::Status OnWindow(StoredWindow window) override {
    windows += window.row.empty() ? 0 : 1;
    return absl::OkStatus();
  }
  absl::Status OnContribution(StoredText) override { return absl::OkStatus(); }
  absl::Status OnClearing(StoredText) override { return absl::OkStatus(); }
  absl::Status OnPlace(StoredText) override { return absl::OkStatus(); }
  absl::Status OnNotice(StoredText) override { return absl::OkStatus(); }
  absl::Status OnCase(StoredText) override { return absl::OkStatus(); }
  absl::Status OnEvent(StoredCaseEvent) override { return absl::OkStatus(); }
  absl::Status OnFact(StoredText) override { return absl::OkStatus(); }

  int64_t windows = 0;
};

// A start with all of the ledger there.
void OpenAgain(const std::string& path, const LedgerOptions& options) {
  const auto open = [&] {
    CountingVisitor visitor;
    const auto begin = SteadyClock::now();
    const std::unique_ptr<LocalStore> store = Must(OpenSqliteStore(path, "0a1b2c3d", options));
    Must(store->Load(&visitor));
    return Seconds(SteadyClock::now() - begin);
  };
  ForgetPages(path);
  const double cold = open();
  const double warm = open();
  std::printf(
      "\na ledger of %.1f GB: opened and loaded in %.3f s, in %.3f s when nothing is cached\n",
      static_cast<double>(std::filesystem::file_size(path)) / 1e9, warm, cold);
}

void LoadWindows(const std::string& path) {
  const int64_t windows = ShortRun() ? 10'000 : 1'000'000;
  std::unique_ptr<LocalStore> store = Must(OpenSqliteStore(path, "0a1b2c3d", {.enabled = false}));
  StoreBatch batch;
  for (int64_t i = 0; i < windows; ++i) {
    batch.windows.push_back({{SubjectKind::kDomain, Attempts::Domain(static_cast<int>(i))},
                             absl::Hours(1),
                             std::string(37, 'x')});
  }
  auto begin = SteadyClock::now();
  Must(store->Commit(batch));
  const double written = Seconds(SteadyClock::now() - begin);
  store.reset();
  CountingVisitor visitor;
  begin = SteadyClock::now();
  store = Must(OpenSqliteStore(path, "0a1b2c3d", {.enabled = false}));
  Must(store->Load(&visitor));
  std::printf("%ld windows: stored in %.2f s, opened and loaded in %.2f s\n",
              static_cast<long>(visitor.windows), written, Seconds(SteadyClock::now() - begin));
}

int Main(int argc, char** argv) {
  const int64_t rows = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  const int64_t floor_rows = argc > 2 ? std::atoll(argv[2]) : std::min<int64_t>(rows, 2'000'000);
  std::string folder = std::filesystem::temp_directory_path().string() + "/ledger_bench.XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const auto size = [&](const std::string& path) {
    return static_cast<double>(std::filesystem::file_size(path));
  };
  std::printf("%-44s %9s %9s %9s %8s %8s %7s\n", "commit", "attempts", "per s", "last 10th",
              "CPU us", "max ms", "bytes");
  {
    const std::string path = folder + "/floor.db";
    Floor floor(path);
    Attempts attempts(floor_rows);
    const Rate rate =
        Measure(floor_rows, 0, &attempts, [&](const StoreBatch& batch) { floor.Commit(batch); });
    Print("floor: one table, nine indexes", floor_rows, rate, size(path));
  }
  std::filesystem::remove(folder + "/floor.db");

  const auto measure = [&](const char* what, const std::string& path, const LedgerOptions& options,
                           int64_t count, int64_t batch_rows) {
    std::unique_ptr<LocalStore> store = Must(OpenSqliteStore(path, "0a1b2c3d", options));
    Attempts attempts(count);
    const Rate rate = Measure(count, batch_rows, &attempts,
                              [&](const StoreBatch& batch) { Must(store->Commit(batch)); });
    Print(what, count, rate, size(path));
    return store;
  };
  const int64_t fewer = std::min<int64_t>(rows, 1'000'000);
  measure("ledger off", folder + "/off.db", {.enabled = false}, rows, 0);
  measure("ledger off, batches of 1,000", folder + "/off1.db", {.enabled = false}, fewer, 1'000);
  const LedgerOptions options = {.max_bytes = int64_t{64} << 30};
  measure("ledger, batches of 100", folder + "/on0.db", options, fewer / 10, 100);
  measure("ledger, batches of 1,000", folder + "/on1.db", options, fewer, 1'000);
  LedgerOptions hashed = options;
  hashed.hash_recipients = true;
  measure("ledger, recipients hashed", folder + "/hash.db", hashed, fewer, 0);
  for (const char* done : {"/off.db", "/off1.db", "/on0.db", "/on1.db", "/hash.db"}) {
    std::filesystem::remove(folder + done);
  }
  const std::string path = folder + "/state.db";
  std::unique_ptr<LocalStore> store = measure("ledger", path, options, rows, 0);
  Searches(store.get(), path, rows);
  store.reset();
  OpenAgain(path, options);
  store = Must(OpenSqliteStore(path, "0a1b2c3d", options));
  DropOne(store.get(), options, absl::FromUnixSeconds(1'795'348'800));
  store.reset();
  LoadWindows(folder + "/windows.db");
  std::filesystem::remove_all(folder);
  return 0;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
