// kill -9 at named points, while a log grows and is rotated: counts, cases, receipts and ledger end
// as those of an uninterrupted run.
//
// A child process is deferd without its doors: follower, limiter, committer, SQLite store. It kills
// itself at the point that its round is about; the parent writes the log meanwhile. Each point is
// hit kHits times at least, and the hits are printed.

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "limiter/admin/track.h"
#include "limiter/admin/value_json.h"
#include "limiter/committer.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/log_set.h"
#include "limiter/localrpc/json.h"
#include "limiter/store/sqlite_store.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/limiter/store/faulty_disk.h"
#include "tests/limiter/store/forwarding_store.h"
#include "tests/limiter/store/memory_store.h"
#include "tests/limiter/store/store_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

namespace fs = std::filesystem;

constexpr int kHits = 20;
constexpr char kPolicy[] =
    "[rule.r]\nmin_bad = 4\npercent = 30\nwindow = \"10m\"\nblock_for = \"5m\"\n";

enum Point { kBeforeCommit, kInCommit, kAfterCommit, kRotated, kCatchingUp, kPoints, kNone };
constexpr const char* kPointNames[kPoints] = {"before the commit", "in the commit",
                                              "after the commit", "between rotation and checkpoint",
                                              "while reading what was missed"};

[[noreturn]] void Die() {
  kill(getpid(), SIGKILL);
  while (true) pause();
}

// Dies at its point, at the n-th commit that has something to lose.
class DyingStore : public ForwardingStore {
 public:
  DyingStore(std::unique_ptr<LocalStore> store, FaultyDisk* disk, Point point, int nth)
      : ForwardingStore(std::move(store)),
        disk_(disk),
        point_(point),
        left_(nth),
        write_(1 + nth) {}

  absl::Status Commit(const StoreBatch& batch) override {
    bool rotated = false;
    for (const SourcePosition& source : batch.positions) {
      for (const FilePosition& file : source.position.files) rotated = rotated || file.rotated;
    }
    const bool here = !batch.ledger.empty() && point_ != kNone && (point_ != kRotated || rotated);
    if (!here || --left_ >= 0) return ForwardingStore::Commit(batch);
    if (point_ == kInCommit) {
      disk_->FailAt(write_, FaultyDisk::Fault::kKilled);
    } else if (point_ != kAfterCommit) {
      Die();
    }
    absl::Status committed = ForwardingStore::Commit(batch);
    if (point_ == kAfterCommit) Die();
    return committed;
  }

 private:
  FaultyDisk* const disk_;
  const Point point_;
  int left_;
  const int write_;
};

// One run over a store: everything that counts, without the doors.
struct Pipeline {
  Pipeline(LocalStore* store, absl::Time now)
      : clock(now),
        limiter({.node = "0badcafe", .keep = true},
                {LimiterFixture::ParsedPolicy(kPolicy), std::make_shared<ChargeLists>()}, &clock,
                &cases),
        committer({}, &limiter, store, &clock) {}

  ManualClock clock;
  CaseTable cases;
  Limiter limiter;
  Committer committer;
};

// All that people can see of a store, as text.
std::string Everything(LocalStore* store, absl::Time now) {
  Pipeline p(store, now);
  EXPECT_THAT(p.committer.Load(), IsOk());
  std::vector<std::string> lines;
  for (const SubjectCounts& one : p.limiter.Top(0)) {
    lines.push_back(absl::StrCat("counts ", Dump(SubjectCountsJson(one))));
  }
  std::vector<Case> cases = p.cases.Open();
  for (const Case& record : p.cases.Closed(CaseTable::kMaxHistory)) cases.push_back(record);
  for (const Case& record : cases) {
    std::vector<std::string> receipt;
    const Receipt evidence = p.committer.ReceiptOf(record).value_or(Receipt());
    for (const LedgerRow& row : evidence.rows) {
      receipt.push_back(absl::StrCat(row.row));
    }
    lines.push_back(absl::StrCat("case ", Dump(CaseJson(record)), " ", receipt.size(), " ",
                                 absl::StrJoin(receipt, " ")));
  }
  LedgerQuery query;
  query.limit = 500;
  std::unique_ptr<LedgerReader> reader = store->NewReader();
  do {
    absl::StatusOr<LedgerPage> page = reader->Search(query);
    EXPECT_THAT(page, IsOk());
    for (const LedgerRow& row : page->rows) {
      lines.push_back(absl::StrCat("row ", Dump(LedgerRowJson(row))));
    }
    query.before = page->next;
  } while (query.before != 0);
  lines.push_back(absl::StrCat("open messages ", p.limiter.stats().messages));
  std::sort(lines.begin(), lines.end());
  return absl::StrJoin(lines, "\n");
}

class CrashTest : public testing::Test {
 protected:
  CrashTest() { signal(SIGPIPE, SIG_IGN); }  // the child may be dead before it is told

  std::string Path(const std::string& name) const { return folder_.File(name); }
  int UpTo(int n) { return static_cast<int>(random_() % static_cast<uint32_t>(n)); }

  // Lines of the next message: arrival, some attempts, perhaps its completion. Some messages stay
  // open over many others.
  std::string NextLines() {
    const int domain = UpTo(6);
    const std::string id =
        absl::StrFormat("1aB%03d-0%05d-Zz", message_ / 100'000, message_ % 100'000);
    ++message_;
    std::string lines = Line(absl::StrCat(id, " <= bob@d", domain,
                                          ".example H=(pc) [192.0.2.7] P=esmtpsa A=plain:bob@d",
                                          domain, ".example S=1200 for r@there.example"));
    const int fate = domain < 3 ? UpTo(10) : UpTo(40);
    if (fate < 3) {
      waiting_.push_back(id);
      absl::StrAppend(&lines, Deferral(id));
    } else if (fate < 5) {
      absl::StrAppend(&lines, Line(absl::StrCat(id,
                                                " ** r@there.example R=dnslookup T=remote_smtp "
                                                "H=mx.there.example [198.51.100.1]: 550 5.1.1 no "
                                                "such user")));
      absl::StrAppend(&lines, Line(absl::StrCat(id, " Completed")));
    } else {
      absl::StrAppend(&lines, Delivery(id), Line(absl::StrCat(id, " Completed")));
    }
    if (!waiting_.empty() && UpTo(3) == 0) {
      const size_t which = static_cast<size_t>(UpTo(static_cast<int>(waiting_.size())));
      const std::string again = waiting_[which];
      if (UpTo(2) == 0) {
        absl::StrAppend(&lines, Deferral(again));
      } else {
        absl::StrAppend(&lines, Delivery(again), Line(absl::StrCat(again, " Completed")));
        waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(which));
      }
    }
    return lines;
  }
  std::string Line(const std::string& text) {
    if (!absl::EndsWith(text, " Completed")) ++rows_;
    stamp_ += absl::Milliseconds(UpTo(2500));
    return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", stamp_, absl::UTCTimeZone()), " ",
                        text, "\n");
  }
  std::string Deferral(const std::string& id) {
    return Line(absl::StrCat(id,
                             " == r@there.example R=dnslookup T=remote_smtp defer (-44) "
                             "H=mx.there.example [198.51.100.1]: 450 4.1.1 User unknown"));
  }
  std::string Delivery(const std::string& id) {
    return Line(absl::StrCat(id,
                             " => r@there.example R=dnslookup T=remote_smtp H=mx.there.example "
                             "[198.51.100.1] C=\"250 OK\""));
  }

  // In pieces that end anywhere.
  void Write(const std::string& text) {
    written_ += text;
    for (size_t at = 0; at < text.size();) {
      const size_t n = std::min(text.size() - at, static_cast<size_t>(1 + UpTo(300)));
      std::ofstream(Path("mainlog"), std::ios::app) << text.substr(at, n) << std::flush;
      at += n;
    }
  }

  // By rename at any time. By copytruncate only while nobody follows: what is cut off before the
  // follower has read the first line of a file is lost by its nature, and here all must be found.
  void Rotate(bool by_rename) {
    for (int n = rotations_; n >= 1; --n) {
      for (const char* suffix : {"", ".gz"}) {
        const std::string from = Path(absl::StrCat("mainlog.", n, suffix));
        if (fs::exists(from)) fs::rename(from, Path(absl::StrCat("mainlog.", n + 1, suffix)));
      }
    }
    ++rotations_;
    if (by_rename) {
      fs::rename(Path("mainlog"), Path("mainlog.1"));
      std::ofstream(Path("mainlog"), std::ios::app);
    } else {
      fs::copy_file(Path("mainlog"), Path("mainlog.1"));
      fs::resize_file(Path("mainlog"), 0);
    }
    if (UpTo(2) == 0 && fs::exists(Path("mainlog.2"))) Compress("mainlog.2");
  }
  void Compress(const std::string& name) {
    std::ifstream in(Path(name));
    std::stringstream text;
    text << in.rdbuf();
    gzFile out = gzopen(Path(name + ".gz").c_str(), "wb");
    gzwrite(out, text.str().data(), static_cast<unsigned>(text.str().size()));
    gzclose(out);
    fs::last_write_time(Path(name + ".gz"), fs::last_write_time(Path(name)));
    fs::remove(Path(name));
  }

  // The child: follows until the parent has said through `gate` how many rows the ledger will have,
  // and until it has them; or dies at its point.
  void Child(Point point, int nth, size_t batch_events, int commit_every, int gate) {
    FaultyDisk disk;
    auto sqlite = OpenSqliteStore(Path("state.db"), "0badcafe", {});
    if (!sqlite.ok()) {
      std::fprintf(stderr, "%s\n", std::string(sqlite.status().message()).c_str());
      _exit(3);
    }
    DyingStore store(*std::move(sqlite), &disk, point, nth);
    Pipeline p(&store, kMorning + absl::Hours(48));
    if (!p.committer.Load().ok()) _exit(4);
    std::map<std::string, SourceState> known;
    for (auto& [source, kept] : p.committer.TakeSources()) {
      known[source] = {std::move(kept.position), std::move(kept.open_messages)};
    }
    int batches = 0;
    auto logs = LogSet::Start(
        {.patterns = {Path("mainlog")}, .follower = {.batch_events = batch_events}},
        std::move(known),
        [] { return NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = true}); },
        &p.clock,
        [&](std::unique_ptr<EventBatch> batch) {
          p.committer.Record(*batch);
          if (++batches % commit_every == 0) p.committer.Commit().IgnoreError();
          return true;
        });
    int64_t rows = 0;
    if (read(gate, &rows, sizeof(rows)) != sizeof(rows)) _exit(7);
    const absl::Time give_up = SystemClock().Now() + absl::Seconds(20);
    while (store.stats().ledger_rows < rows && SystemClock().Now() < give_up) {
      poll(nullptr, 0, 1);
      p.committer.Commit().IgnoreError();
    }
    if (store.stats().ledger_rows < rows) {
      std::fprintf(stderr, "%d: %d of %d rows\n", getpid(),
                   static_cast<int>(store.stats().ledger_rows), static_cast<int>(rows));
      _exit(8);
    }
    const int64_t gaps = logs->status().empty() ? 0 : logs->status()[0].gaps;
    logs.reset();
    bool saved = p.committer.Commit().ok();
    while (saved && p.committer.ReceiptsDue() > 0) saved = p.committer.Commit().ok();
    _exit(!saved ? 5 : gaps != 0 ? 6 : 0);
  }

  // How the child of one round ended.
  int Round(Point point) {
    const int nth = UpTo(4);
    const size_t sizes[] = {1, 2, 7, 1000};
    const size_t batch_events = sizes[UpTo(4)];
    const int commit_every = 1 + UpTo(4);
    if (point != kNone && UpTo(3) == 0) {
      Messages(UpTo(5));
      Rotate(UpTo(2) == 0);
    }
    if (point == kCatchingUp) Messages(20);
    int gate[2];
    EXPECT_EQ(pipe(gate), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(gate[1]);
      Child(point, nth, batch_events, commit_every, gate[0]);
    }
    close(gate[0]);
    if (point != kNone) Messages(4 + UpTo(8));
    if (point == kRotated || (point != kNone && UpTo(3) == 0)) {
      Rotate(/*by_rename=*/true);
      Messages(4 + UpTo(8));
    }
    const bool told = write(gate[1], &rows_, sizeof(rows_)) == sizeof(rows_);
    EXPECT_TRUE(told || errno == EPIPE);
    close(gate[1]);
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }
  // What is written, in memory and without a crash.
  std::unique_ptr<LocalStore> AtOneGo(size_t batch_events) {
    std::unique_ptr<LocalStore> store = NewMemoryStore("0badcafe", {});
    Pipeline p(store.get(), kMorning + absl::Hours(48));
    EXPECT_THAT(p.committer.Load(), IsOk());
    std::unique_ptr<LogReader> reader =
        NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = true});
    EventBatch batch;
    auto record = [&] {
      batch.position = SourcePosition{.source = "mainlog"};
      p.committer.Record(batch);
      batch.Clear();
      do {
        EXPECT_THAT(p.committer.Commit(), IsOk());
      } while (p.committer.ReceiptsDue() > 0);
    };
    for (absl::string_view line : absl::StrSplit(written_, '\n', absl::SkipEmpty())) {
      reader->ReadLine(line, &batch);
      if (batch.size() >= batch_events) record();
    }
    record();
    return store;
  }
  void Messages(int n) {
    for (int i = 0; i < n; ++i) Write(NextLines());
  }

  const TempFolder folder_;
  // Another stream: DEFERD_SEED=n.
  std::mt19937 random_{static_cast<uint32_t>(
      std::atoi(std::getenv("DEFERD_SEED") == nullptr ? "1" : std::getenv("DEFERD_SEED")))};
  absl::Time stamp_ = kMorning;
  int message_ = 0;
  int64_t rows_ = 0;  // of the ledger, for all that is written
  int rotations_ = 0;
  std::vector<std::string> waiting_;
  std::string written_;  // all lines, in the order written
};

TEST_F(CrashTest, EndsAsAnUninterruptedRun) {
  Messages(3);
  ASSERT_EQ(Round(kNone), 0) << "the first start, of which the others are restarts";
  std::map<Point, int> hits;
  int rounds = 0;
  for (Point point = kBeforeCommit; point < kPoints; point = static_cast<Point>(point + 1)) {
    while (hits[point] < kHits && ++rounds < 1000) {
      const int status = Round(point);
      if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        ++hits[point];
      } else {
        ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
      }
    }
    std::printf("killed %s: %d times\n", kPointNames[point], hits[point]);
    ASSERT_GE(hits[point], kHits);
  }

  const std::unique_ptr<LocalStore> straight = AtOneGo(1000);
  ASSERT_EQ(straight->stats().ledger_rows, rows_);
  const int status = Round(kNone);
  ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;

  auto crashed = OpenSqliteStore(Path("state.db"), "0badcafe", {});
  ASSERT_THAT(crashed, IsOk());
  const std::string expected = Everything(straight.get(), stamp_);
  const std::string got = Everything(crashed->get(), stamp_);
  EXPECT_NE(expected.find("case "), std::string::npos) << "nothing was ever blocked";
  // Line by line: a difference is found at once.
  const std::vector<std::string> e = absl::StrSplit(expected, '\n'), g = absl::StrSplit(got, '\n');
  for (size_t i = 0; i < std::min(e.size(), g.size()); ++i) ASSERT_EQ(g[i], e[i]);
  EXPECT_EQ(g.size(), e.size());
  std::printf("%d rounds, %d rotations, %d messages, %zu facts compared\n", rounds, rotations_,
              message_, e.size());
}

TEST_F(CrashTest, BatchesOfAnySizeGiveTheSame) {
  Messages(500);
  const std::string expected = Everything(AtOneGo(1'000'000).get(), stamp_);
  EXPECT_NE(expected.find("case "), std::string::npos) << "nothing was ever blocked";
  for (size_t size : {1, 2, 7, 1000}) {
    EXPECT_EQ(Everything(AtOneGo(size).get(), stamp_), expected) << "batches of " << size;
  }
}

}  // namespace
}  // namespace deferd
