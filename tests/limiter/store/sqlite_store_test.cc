// What only a store on a disk can meet: faults, damage, other formats, other processes.

#include "limiter/store/sqlite_store.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/sqlite.h"
#include "tests/limiter/store/faulty_disk.h"
#include "tests/limiter/store/faulty_store.h"
#include "tests/limiter/store/memory_store.h"
#include "tests/limiter/store/store_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using Fault = FaultyDisk::Fault;

const LedgerQuery kAll = {.limit = 10'000};

// Segments begin and are dropped, runs are merged, commits are durable or not.
constexpr LedgerOptions kSmall = {.keep = absl::Hours(2), .segment_rows = 20};

std::vector<StoreBatch> Batches(int n, int max_rows = 12) {
  RandomBatches random(42);
  std::vector<StoreBatch> batches;
  for (int i = 0; i < n; ++i) batches.push_back(random.Next(max_rows));
  return batches;
}

class SqliteStoreTest : public testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<LocalStore>> Open(const LedgerOptions& options = {}) {
    return OpenSqliteStore(path_, kNode, options);
  }
  // As a person would, beside the store.
  void Sql(const std::string& sql) {
    auto db = Database::Open(path_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    ASSERT_THAT(db, IsOk());
    ASSERT_THAT((*db)->Execute(sql), IsOk());
  }
  // Takes the file back to the format of before the checksums.
  void DropChecksums() {
    for (const char* table :
         {"fact", "log", "log_file", "open_message", "window", "left_out", "contribution",
          "clearing", "place", "block_case", "receipt", "case_event"}) {
      Sql(absl::StrCat("ALTER TABLE ", table, " DROP COLUMN crc"));
    }
    Sql("PRAGMA user_version = 3");
  }
  std::string Bytes() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void SetBytes(const std::string& bytes) {
    Remove();
    std::ofstream(path_, std::ios::binary) << bytes;
  }
  // A file of before is not there.
  void Remove() {
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + suffix);
  }

  TempFolder folder_;
  const std::string path_ = folder_.File("state.db");
};

TEST_F(SqliteStoreTest, FilesAreNotForEveryone) {
  const mode_t mask = umask(0);
  auto store = Open();
  umask(mask);
  ASSERT_THAT(store, IsOk());
  ASSERT_THAT((*store)->Commit({.facts = {{"a", "1"}}}), IsOk());
  for (const char* suffix : {"", "-wal"}) {
    struct stat file = {};
    ASSERT_EQ(stat((path_ + suffix).c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0640u) << suffix;
  }
  EXPECT_GT((*store)->stats().bytes, 4096);
}

// Deleted rows stay in SQLite's pages as a rule.
TEST_F(SqliteStoreTest, WhatIsForgottenIsOffTheDisk) {
  auto store = Open();
  ASSERT_THAT(store, IsOk());
  StoreBatch batch = {.receipts = {{"case", "about secret-person@a.example"}}, .now = Noon()};
  for (int i = 0; i < 200; ++i) {
    LedgerRow& row = batch.ledger.emplace_back();
    row.row = LedgerRowKey(Noon(), i + 1);
    row.sender = i % 2 == 0 ? "secret-person@a.example" : "other-person@a.example";
  }
  ASSERT_THAT((*store)->Commit(batch), IsOk());
  absl::StatusOr<ForgetStep> step = (*store)->ForgetRows(
      *(*store)->MakeForgetFilter("secret-person@a.example"), {}, 10'000, /*only_count=*/false);
  ASSERT_THAT(step, IsOk());
  EXPECT_EQ(step->matched, 100);
  ASSERT_THAT((*store)->Commit(
                  {.receipts = {{"case", "-"}}, .now = Noon(), .durable = true, .overwrite = true}),
              IsOk());
  EXPECT_EQ(Bytes().find("secret-person"), std::string::npos);
  EXPECT_NE(Bytes().find("other-person"), std::string::npos);
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0u);
}

TEST_F(SqliteStoreTest, NewerFormatIsRefused) {
  ASSERT_THAT(Open(), IsOk());
  Sql("PRAGMA user_version = 99");
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               AllOf(StartsWith(path_), HasSubstr("newer deferd (format 99"))));
}

// One message's contributions in one row.
TEST_F(SqliteStoreTest, FormatOfBeforePartsIsBroughtUp) {
  ASSERT_THAT((*Open())->Commit({.contributions = {{"m 1", "text"}}}), IsOk());
  Sql("PRAGMA user_version = 4");
  for (int start = 0; start < 2; ++start) {
    auto store = Open();
    ASSERT_THAT(store, IsOk());
    EXPECT_EQ(ContentsOf(store->get()).contributions.at("m 1"), "text");
  }
}

TEST_F(SqliteStoreTest, FormatOfBeforeTheJournalIsBroughtUp) {
  ASSERT_THAT((*Open())->Commit({.positions = {{"log", {.files = {{}}, .gaps = 2}}}}), IsOk());
  DropChecksums();
  Sql("ALTER TABLE log DROP COLUMN cursor; PRAGMA user_version = 2");
  auto store = Open();
  ASSERT_THAT(store, IsOk());
  EXPECT_EQ(ContentsOf(store->get()).positions.at("log"), (LogPosition{.files = {{}}, .gaps = 2}));
  ASSERT_THAT((*store)->Commit({.positions = {{"log", {.cursor = "s=1", .gaps = 2}}}}), IsOk());
  EXPECT_EQ(ContentsOf(store->get()).positions.at("log"),
            (LogPosition{.cursor = "s=1", .gaps = 2}));
}

TEST_F(SqliteStoreTest, AnotherProgramsDatabaseIsRefused) {
  Sql("CREATE TABLE album (title TEXT)");
  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("another program")));
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsDataLoss) {
  std::ofstream(path_) << std::string(10'000, 'x');
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss,
                               AllOf(StartsWith(path_), HasSubstr("move it aside"))));
}

TEST_F(SqliteStoreTest, MissingTableIsDataLoss) {
  ASSERT_THAT(Open(), IsOk());
  Sql("DROP TABLE window");
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("move it aside")));
}

TEST_F(SqliteStoreTest, FolderInItsPlaceOrNoFolder) {
  std::filesystem::create_directory(path_);
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith(path_)));
  const std::string nowhere = folder_.File("missing/state.db");
  EXPECT_THAT(OpenSqliteStore(nowhere, kNode, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith(nowhere)));
}

TEST_F(SqliteStoreTest, ReadOnlyIsRefused) {
  ASSERT_THAT(Open(), IsOk());
  FaultyDisk disk;
  disk.MountReadOnly();
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               AllOf(StartsWith(path_), HasSubstr("may not be written"))));
}

TEST_F(SqliteStoreTest, AnotherWriterIsWaitedForButNotForEver) {
  auto store = Open();
  ASSERT_THAT(store, IsOk());
  auto other = Database::Open(path_, SQLITE_OPEN_READWRITE);
  ASSERT_THAT((*other)->Execute("BEGIN IMMEDIATE"), IsOk());
  EXPECT_THAT((*store)->Commit({.facts = {{"a", "1"}}}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("another process")));
  ASSERT_THAT((*other)->Execute("ROLLBACK"), IsOk());
  EXPECT_THAT((*store)->Commit({.facts = {{"a", "1"}}}), IsOk());
}

// Not how it is run (state_dir is locked), but nothing is lost or half done.
TEST_F(SqliteStoreTest, TwoStoresOnOneFileTakeTurns) {
  auto one = Open(kSmall);
  auto two = Open(kSmall);
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(two, IsOk());
  const auto memory = NewMemoryStore(kNode, kSmall);
  bool first = false;
  for (const StoreBatch& batch : Batches(40)) {
    ASSERT_THAT((first ? *one : *two)->Commit(batch), IsOk());
    ASSERT_THAT(memory->Commit(batch), IsOk());
    first = !first;
  }
  EXPECT_TRUE(ContentsOf(one->get()) == ContentsOf(memory.get()));
  EXPECT_TRUE(FindAll(one->get()) == FindAll(memory.get()));
  EXPECT_TRUE(FindAll(two->get()) == FindAll(memory.get()));
}

TEST_F(SqliteStoreTest, ReadersNeverHoldUpACommit) {
  auto store = Open(kSmall);
  ASSERT_THAT(store, IsOk());
  const std::vector<StoreBatch> batches = Batches(60);
  for (int i = 0; i < 20; ++i) ASSERT_THAT((*store)->Commit(batches[i]), IsOk());
  const std::vector<LedgerRow> before = FindAll(store->get());
  auto reader = Database::Open(path_, SQLITE_OPEN_READONLY);
  ASSERT_THAT((*reader)->Execute("BEGIN"), IsOk());
  auto rows = (*reader)->Number("SELECT count(*) FROM ledger_segment");
  ASSERT_THAT(rows, IsOk());
  for (int i = 20; i < 60; ++i) ASSERT_THAT((*store)->Commit(batches[i]), IsOk());
  EXPECT_GT((*store)->stats().dropped_segments, 0);
  EXPECT_EQ((*reader)->Number("SELECT count(*) FROM ledger_segment").value_or(-1), *rows);
}

TEST_F(SqliteStoreTest, SlowSearchEndsAtItsDeadline) {
  LedgerOptions options;
  options.search_deadline = absl::ZeroDuration();
  auto store = Open(options);
  ASSERT_THAT(store, IsOk());
  for (const StoreBatch& batch : Batches(20)) ASSERT_THAT((*store)->Commit(batch), IsOk());
  EXPECT_THAT((*store)->NewReader()->Search({}),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("narrow it by")));
}

TEST_F(SqliteStoreTest, ADroppedSegmentsPagesAreUsedAgain) {
  auto store = Open({.keep = absl::Hours(8), .segment_rows = 1'000});
  ASSERT_THAT(store, IsOk());
  RandomBatches random(3);
  absl::Time now = Noon();
  int64_t greatest = 0;
  for (int i = 0; i < 120; ++i) {
    StoreBatch batch;
    batch.now = now += absl::Minutes(20);
    for (int j = 0; j < 300; ++j) {
      batch.ledger.push_back(random.Row());
      batch.ledger.back().row = LedgerRowKey(now, i * 300 + j + 1);
    }
    ASSERT_THAT((*store)->Commit(batch), IsOk());
    const auto size = static_cast<int64_t>(std::filesystem::file_size(path_));
    if (i < 60) greatest = std::max(greatest, size);
  }
  EXPECT_LT(static_cast<int64_t>(std::filesystem::file_size(path_)), greatest * 5 / 4);
}

// Every write of a run fails in turn. The batch is then not half in, the same store takes it again,
// and in the end all is as if nothing had happened.
class DiskFaults : public SqliteStoreTest, public testing::WithParamInterface<Fault> {
 protected:
  // False when the run was over before the fault.
  bool RunWithFaultAt(int64_t n, const std::vector<StoreBatch>& batches) {
    Remove();
    FaultyDisk disk;
    const auto memory = NewMemoryStore(kNode, kSmall);
    auto store = Open(kSmall);
    EXPECT_THAT(store, IsOk());
    if (!store.ok()) return false;
    disk.FailAt(n, GetParam());
    for (const StoreBatch& batch : batches) {
      absl::Status status = (*store)->Commit(batch);
      if (!status.ok()) {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, StartsWith(path_)));
        EXPECT_TRUE(disk.failed());
        EXPECT_TRUE(ContentsOf(store->get()) == ContentsOf(memory.get()));
        EXPECT_TRUE(FindAll(store->get(), kAll) == FindAll(memory.get(), kAll));
        disk.Heal();
        EXPECT_THAT((*store)->Commit(batch), IsOk());
      }
      EXPECT_THAT(memory->Commit(batch), IsOk());
    }
    store->reset();  // writes what is left of the log of changes into the file
    disk.Heal();
    store = Open(kSmall);
    EXPECT_THAT(store, IsOk());
    if (store.ok()) ExpectSame(store->get(), memory.get());
    return disk.failed();
  }
};

TEST_P(DiskFaults, EveryWriteInTurn) {
  const std::vector<StoreBatch> batches = Batches(14);
  int64_t n = 1;
  while (RunWithFaultAt(n, batches)) {
    ASSERT_FALSE(HasFailure()) << "at write " << n;
    ++n;
  }
  EXPECT_GT(n, 200);
}

// Enough for the log of changes to be written back while commits go on.
TEST_P(DiskFaults, WhileTheFileIsWrittenBack) {
  const std::vector<StoreBatch> batches = Batches(40, 600);
  int64_t n = 1;
  while (RunWithFaultAt(n, batches)) {
    ASSERT_FALSE(HasFailure()) << "at write " << n;
    n += 2'503;
  }
  EXPECT_GT(n, 5'000);
}

std::string FaultName(const testing::TestParamInfo<Fault>& info) {
  switch (info.param) {
    case Fault::kFull:
      return "Full";
    case Fault::kFullOnce:
      return "FullOnce";
    case Fault::kBroken:
      return "Broken";
    case Fault::kBrokenOnce:
      return "BrokenOnce";
    case Fault::kKilled:
      break;
  }
  return "Killed";
}

INSTANTIATE_TEST_SUITE_P(Faults, DiskFaults,
                         testing::Values(Fault::kFull, Fault::kFullOnce, Fault::kBroken,
                                         Fault::kBrokenOnce),
                         FaultName);

// Opening and making the tables fails as a whole, and works once there is room.
TEST_F(SqliteStoreTest, DiskFullWhileOpening) {
  for (int64_t n = 1;; ++n) {
    Remove();
    FaultyDisk disk;
    disk.FailAt(n, Fault::kFull);
    auto store = Open();
    if (store.ok() && !disk.failed()) break;
    if (!store.ok()) {
      EXPECT_THAT(store, StatusIs(absl::StatusCode::kUnavailable, StartsWith(path_)));
    }
    disk.Heal();
    if (store.ok()) store->reset();
    store = Open();
    ASSERT_THAT(store, IsOk()) << "at write " << n;
    ASSERT_THAT((*store)->Commit({.facts = {{"a", "1"}}}), IsOk());
  }
}

// kill -9 at every write: what was acknowledged is there, and every batch whole or not at all.
TEST_F(SqliteStoreTest, KilledAtEveryWrite) {
  const std::vector<StoreBatch> batches = Batches(10);
  auto* acknowledged = static_cast<int*>(
      mmap(nullptr, sizeof(int), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(acknowledged, MAP_FAILED);
  bool killed = true;
  for (int64_t n = 1; killed; ++n) {
    Remove();
    *acknowledged = 0;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      FaultyDisk disk;
      disk.FailAt(n, Fault::kKilled);
      auto store = Open(kSmall);
      if (!store.ok()) _exit(1);
      for (const StoreBatch& batch : batches) {
        if (!(*store)->Commit(batch).ok()) _exit(1);
        ++*acknowledged;
      }
      store->reset();
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    ASSERT_TRUE(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));

    auto store = Open(kSmall);
    ASSERT_THAT(store, IsOk()) << "at write " << n;
    const auto memory = NewMemoryStore(kNode, kSmall);
    int done = 0;
    for (; done < *acknowledged; ++done) ASSERT_THAT(memory->Commit(batches[done]), IsOk());
    // The last write of a commit may have been done before the answer.
    const StoreContents contents = ContentsOf(store->get());
    if (!(contents == ContentsOf(memory.get())) && done < static_cast<int>(batches.size())) {
      ASSERT_THAT(memory->Commit(batches[done++]), IsOk());
    }
    for (; done < static_cast<int>(batches.size()); ++done) {
      ASSERT_THAT((*store)->Commit(batches[done]), IsOk());
      ASSERT_THAT(memory->Commit(batches[done]), IsOk());
    }
    ExpectSame(store->get(), memory.get());
    ASSERT_FALSE(HasFailure()) << "at write " << n;
  }
  munmap(acknowledged, sizeof(int));
}

TEST_F(SqliteStoreTest, DamageIsAnErrorOrHarmless) {
  {
    auto store = Open(kSmall);
    ASSERT_THAT(store, IsOk());
    for (const StoreBatch& batch : Batches(40)) ASSERT_THAT((*store)->Commit(batch), IsOk());
  }
  std::ifstream in(path_, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const StoreBatch more = Batches(41).back();
  std::mt19937 random(5);
  int errors = 0;
  for (int round = 0; round < 400; ++round) {
    std::string bad = good;
    const size_t flips = round % 2 == 0 ? 1 : 200;
    for (size_t i = 0; i < flips; ++i) {
      bad[random() % (round % 4 < 2 ? bad.size() : 4096)] = static_cast<char>(random());
    }
    if (round % 10 == 9) bad.resize(random() % bad.size());
    Remove();
    std::ofstream(path_, std::ios::binary) << bad;
    const auto check = [&](const absl::Status& status) {
      if (status.ok()) return;
      ++errors;
      EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsUnavailable(status) ||
                  absl::IsFailedPrecondition(status))
          << status;
    };
    LedgerOptions options = kSmall;
    options.search_deadline = absl::Seconds(1);
    auto store = Open(options);
    check(store.status());
    if (!store.ok()) continue;
    StoreContents contents;
    check((*store)->Load(&contents));
    check((*store)->NewReader()->Search({}).status());
    check((*store)->NewReader()->Search({.domain = "shop1.example"}).status());
    check((*store)->Commit(more));
  }
  EXPECT_GT(errors, 50);
}

// A file is never shorter than its header but by damage, which SQLite takes for a new one.
TEST_F(SqliteStoreTest, CutOffIsDataLossNotAFreshStart) {
  {
    auto store = Open();
    ASSERT_THAT(store, IsOk());
    ASSERT_THAT((*store)->Commit({.clearings = {{"bad.example", "x"}}}), IsOk());
  }
  const std::string good = Bytes();
  for (const size_t size : {0, 1, 15, 99, 100, 511, 512, 4095, 4096, 8192, 12'288}) {
    SetBytes(good.substr(0, size));
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged"))) << size;
  }
}

// Byte 18 of the header is the version that a writer needs (https://sqlite.org/fileformat2.html).
TEST_F(SqliteStoreTest, AHeaderThatForbidsWritingIsDamageFromTheStart) {
  { ASSERT_THAT(Open(), IsOk()); }
  std::string bytes = Bytes();
  for (const char version : {'\3', '\x42', '\xff'}) {
    bytes[18] = version;
    SetBytes(bytes);
    EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
  }
}

TEST_F(SqliteStoreTest, FormatOfBeforeChecksumsIsBroughtUp) {
  const auto memory = NewMemoryStore(kNode, kSmall);
  {
    auto store = Open(kSmall);
    ASSERT_THAT(store, IsOk());
    for (const StoreBatch& batch : Batches(20)) {
      ASSERT_THAT((*store)->Commit(batch), IsOk());
      ASSERT_THAT(memory->Commit(batch), IsOk());
    }
  }
  DropChecksums();
  for (int round = 0; round < 2; ++round) {
    auto store = Open(kSmall);
    ASSERT_THAT(store, IsOk());
    ExpectSame(store->get(), memory.get());
  }
}

TEST_F(SqliteStoreTest, DamagedRowsAreNamed) {
  StoreBatch batch = {.windows = {{{SubjectKind::kLogin, "ann@shop.example"}, absl::Hours(1), "r"}},
                      .cases = {{"0a1b2c3d-1-1", "case"}, {"0a1b2c3d-1-2", "case"}},
                      .now = Noon()};
  ASSERT_THAT((*Open())->Commit(batch), IsOk());
  ASSERT_THAT(Open(), IsOk());
  Sql("UPDATE block_case SET text = 'Case' WHERE name = '0a1b2c3d-1-2';"
      "UPDATE window SET seconds = 7200");
  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("table window: 1 row does not match the checksum "
                                       "(1 ann@shop.example 7200)"),
                             HasSubstr("table block_case: 1 row"), HasSubstr("(0a1b2c3d-1-2)"))));
}

// One bit of the file: what is loaded is as it was stored, or is said to be damaged. So too what is
// loaded after a further commit, which may go by what the bit misled it to.
TEST_F(SqliteStoreTest, AFlippedBitIsFoundOrHarmless) {
  const std::vector<StoreBatch> batches = Batches(31, 3);
  const auto memory = NewMemoryStore(kNode, kSmall);
  {
    auto store = Open(kSmall);
    ASSERT_THAT(store, IsOk());
    for (int i = 0; i < 30; ++i) {
      ASSERT_THAT((*store)->Commit(batches[i]), IsOk());
      ASSERT_THAT(memory->Commit(batches[i]), IsOk());
    }
  }
  const StoreContents before = ContentsOf(memory.get());
  ASSERT_THAT(memory->Commit(batches[30]), IsOk());
  const StoreContents after = ContentsOf(memory.get());
  const std::string good = Bytes();
  std::mt19937 random(11);
  constexpr int kRounds = 400;
  int found = 0;
  for (int round = 0; round < kRounds; ++round) {
    // Of the header each eighth time, whose few bytes mislead most; else not of empty space.
    size_t at = random() % (round % 8 == 0 ? 100 : good.size());
    while (good[at] == 0 && at > 100) at = random() % good.size();
    const int bit = static_cast<int>(random() % 8);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
    SetBytes(bad);
    SCOPED_TRACE(absl::StrCat("byte ", at, " bit ", bit));
    for (const StoreContents* right : {&before, &after}) {
      auto store = Open(kSmall);
      StoreContents contents;
      absl::Status status = store.status();
      if (store.ok()) status = (*store)->Load(&contents);
      if (!status.ok()) {
        ++found;
        EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsFailedPrecondition(status)) << status;
        break;
      }
      ASSERT_TRUE(contents == *right);
      if (right == &after) break;
      status = (*store)->Commit(batches[30]);
      if (status.ok()) continue;
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      ++found;
      break;
    }
  }
  EXPECT_GT(found, kRounds / 10);
  EXPECT_LT(found, kRounds);
}

// The log of changes is the file that is being written when a machine dies.
TEST_F(SqliteStoreTest, ADamagedLogOfChangesTakesNoPersonsDecision) {
  auto store = Open();
  ASSERT_THAT(store, IsOk());
  RandomBatches random(5);
  for (int i = 0; i < 20; ++i) {
    StoreBatch batch = random.Next();
    batch.durable = false;
    batch.cases.clear();
    ASSERT_THAT((*store)->Commit(batch), IsOk());
  }
  ASSERT_THAT((*store)->Commit({.cases = {{"case", "blocked"}}, .durable = true}), IsOk());
  // A search holds up the log while the next decision is stored; with the first commit after it,
  // all is written back.
  auto search = Database::Open(path_, SQLITE_OPEN_READONLY);
  ASSERT_THAT(search, IsOk());
  ASSERT_THAT((*search)->Execute("BEGIN"), IsOk());
  ASSERT_THAT((*search)->Number("SELECT count(*) FROM fact"), IsOk());
  ASSERT_THAT((*store)->Commit({.cases = {{"later", "blocked"}}, .durable = true}), IsOk());
  EXPECT_GT(std::filesystem::file_size(path_ + "-wal"), 0u);
  search->reset();
  ASSERT_THAT((*store)->Commit({.facts = {{"a", "1"}}}), IsOk());
  EXPECT_EQ(std::filesystem::file_size(path_ + "-wal"), 0u);

  for (int i = 0; i < 20; ++i) {
    StoreBatch batch = random.Next();
    batch.durable = false;
    batch.cases.clear();
    ASSERT_THAT((*store)->Commit(batch), IsOk());
  }
  // What a kill -9 leaves now.
  const auto read = [](const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string file = read(path_), log = read(path_ + "-wal");
  ASSERT_GT(log.size(), 100'000u);
  store->reset();
  int opened = 0;
  for (int damage = 0; damage < 150; ++damage) {
    std::string damaged = log;
    const auto at = static_cast<size_t>(random.Below(static_cast<int>(log.size())));
    if (damage % 3 == 0) damaged.resize(at);
    if (damage % 3 == 1) damaged[at] = static_cast<char>(damaged[at] ^ (1 << random.Below(8)));
    if (damage % 3 == 2) damaged.replace(at, 600, 600, '\0');
    SetBytes(file);
    std::ofstream(path_ + "-wal", std::ios::binary) << damaged;
    auto again = Open();
    if (!again.ok()) continue;  // it is told
    ++opened;
    const auto cases = ContentsOf(again->get()).cases;
    ASSERT_EQ(cases.count("case"), 1u) << damage;
    ASSERT_EQ(cases.count("later"), 1u) << damage;
  }
  EXPECT_GT(opened, 100);
}

TEST(FaultyStore, FailsOnCue) {
  FaultyStore store(NewMemoryStore(kNode, {}));
  store.FailCommits(1);
  EXPECT_THAT(store.Commit({.facts = {{"a", "1"}}}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("full")));
  EXPECT_TRUE(ContentsOf(&store).facts.empty());
  EXPECT_THAT(store.Commit({.facts = {{"a", "1"}}}), IsOk());
  EXPECT_EQ(ContentsOf(&store).facts.size(), 1u);
  EXPECT_EQ(store.commits(), 2);
}

}  // namespace
}  // namespace deferd
