#include "limiter/store/backup.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "limiter/store/sqlite.h"
#include "limiter/store/sqlite_store.h"
#include "limiter/store/state_dir.h"
#include "tests/limiter/store/store_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class BackupTest : public testing::Test {
 protected:
  static std::string Dir(const TempFolder& folder) { return folder.path(); }

  // A store in `dir` that holds `n` random batches, as a daemon of that node leaves it.
  static std::unique_ptr<LocalStore> Filled(const std::string& dir, int n, unsigned seed = 7) {
    auto store = *OpenSqliteStore(StatePath(dir), kNode, {});
    RandomBatches random(seed);
    for (int i = 0; i < n; ++i) EXPECT_THAT(store->Commit(random.Next()), IsOk());
    return store;
  }
  static std::unique_ptr<LocalStore> Opened(const std::string& dir) {
    auto store = OpenSqliteStore(StatePath(dir), kNode, {});
    EXPECT_THAT(store, IsOk());
    return *std::move(store);
  }
  absl::StatusOr<BackupInfo> Backup(const std::string& dir, const std::string& file) {
    return WriteBackup(dir, "", file, "1.2.3", Noon(), [this](double done) {
      EXPECT_GE(done, progress_);
      progress_ = done;
    });
  }
  static absl::StatusOr<RestoredBackup> Restore(const std::string& file, const std::string& dir) {
    return RestoreBackup(file, dir, "", Noon(), {});
  }
  static void SetIdentity(const std::string& dir, const std::string& node, int64_t incarnation) {
    ASSERT_THAT(WriteIdentity(dir, {node, incarnation}), IsOk());
  }
  static std::string Bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  static std::vector<std::string> Files(const std::string& dir) {
    std::vector<std::string> names;
    for (const auto& one : std::filesystem::directory_iterator(dir)) {
      names.push_back(one.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TempFolder from_, to_, out_;
  const std::string file_ = out_.File("backup");
  double progress_ = 0;
};

TEST_F(BackupTest, HoldsAllOfOneCommitWhileTheStoreGoesOn) {
  SetIdentity(from_.path(), kNode, 3);
  auto store = Filled(from_.path(), 30);
  absl::StatusOr<BackupInfo> made = Backup(from_.path(), file_);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(progress_, 1);
  EXPECT_EQ(made->attempts, store->stats().ledger_rows);
  auto as_it_was = Filled(out_.path(), 30);  // the same seed
  ASSERT_THAT(store->Commit({.facts = {{"later", "1"}}}), IsOk());

  ASSERT_THAT(Restore(file_, to_.path()), IsOk());
  ExpectSame(as_it_was.get(), Opened(to_.path()).get());
}

TEST_F(BackupTest, IsForNobodyElseAndNeverOverwrites) {
  auto store = Filled(from_.path(), 1);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  struct stat file = {};
  ASSERT_EQ(stat(file_.c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  const std::string before = Bytes(file_);
  EXPECT_THAT(Backup(from_.path(), file_),
              StatusIs(absl::StatusCode::kAlreadyExists, StartsWith(file_)));
  EXPECT_EQ(Bytes(file_), before);
  EXPECT_THAT(Files(out_.path()), testing::ElementsAre("backup"));
}

TEST_F(BackupTest, TokensAndTheKeyOfOwnersLinksCome) {
  auto store = Filled(from_.path(), 1);
  const std::string key = absl::StrCat(absl::string_view("k\0ey\xff", 5), " of owners' links");
  std::ofstream(from_.File("tokens.json")) << "{\"tokens\": []}";
  std::ofstream(from_.File("owner-links.key"), std::ios::binary) << key;
  std::ofstream(from_.File("policy.toml")) << "x";
  absl::StatusOr<BackupInfo> made = Backup(from_.path(), file_);
  ASSERT_THAT(made, IsOk());
  EXPECT_THAT(made->files, testing::ElementsAre("tokens.json", "owner-links.key"));

  absl::StatusOr<RestoredBackup> restored = Restore(file_, to_.path());
  ASSERT_THAT(restored, IsOk());
  EXPECT_THAT(restored->put_back, testing::ElementsAre("tokens.json", "owner-links.key"));
  EXPECT_EQ(Bytes(to_.File("tokens.json")), "{\"tokens\": []}");
  EXPECT_EQ(Bytes(to_.File("owner-links.key")), key);
  for (const char* name : {"tokens.json", "owner-links.key"}) {
    struct stat file = {};
    ASSERT_EQ(stat(to_.File(name).c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777, 0600u) << name;
  }
  EXPECT_THAT(Files(to_.path()), Not(testing::Contains("policy.toml")));
  EXPECT_THAT(Bytes(to_.File("state.db")), Not(HasSubstr("of owners' links"))) << "a secret";

  // What is there may know of a token that was revoked since.
  std::ofstream(to_.File("tokens.json")) << "{}";
  std::filesystem::remove(to_.File("owner-links.key"));
  restored = Restore(file_, to_.path());
  ASSERT_THAT(restored, IsOk());
  EXPECT_THAT(restored->info.files, testing::SizeIs(2));
  EXPECT_THAT(restored->put_back, testing::ElementsAre("owner-links.key"));
  EXPECT_EQ(Bytes(to_.File("tokens.json")), "{}");
}

TEST_F(BackupTest, AFailureLeavesNoFile) {
  EXPECT_THAT(Backup(from_.path(), file_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("state.db")));
  auto store = Filled(from_.path(), 1);
  EXPECT_THAT(Backup(from_.path(), out_.File("none/backup")), Not(IsOk()));
  EXPECT_THAT(Files(out_.path()), IsEmpty());
}

TEST_F(BackupTest, ADamagedStateMakesNoBackup) {
  Filled(from_.path(), 3);
  {
    auto db = Database::Open(StatePath(from_.path()), SQLITE_OPEN_READWRITE);
    ASSERT_THAT((*db)->Execute("INSERT INTO fact VALUES ('forged', 'x', 1)"), IsOk());
  }
  EXPECT_THAT(Backup(from_.path(), file_),
              StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr("fact"), HasSubstr(file_))));
  EXPECT_THAT(Files(out_.path()), IsEmpty());
}

TEST_F(BackupTest, TheFormerStateIsKept) {
  SetIdentity(from_.path(), kNode, 1);
  auto store = Filled(from_.path(), 5);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  ASSERT_THAT(store->Commit({.facts = {{"later", "1"}}}), IsOk());
  const StoreContents later = ContentsOf(store.get());
  store.reset();

  absl::StatusOr<RestoredBackup> restored = Restore(file_, from_.path());
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(restored->kept, from_.File("state.db.before-restore-20261122T120000Z"));
  EXPECT_EQ(ContentsOf(Opened(from_.path()).get()).facts.count("later"), 0u);
  auto kept = OpenSqliteStore(restored->kept, kNode, {});
  ASSERT_THAT(kept, IsOk());
  EXPECT_EQ(ContentsOf(kept->get()), later);
}

TEST_F(BackupTest, RestoresOfOneSecondKeepAStateEach) {
  SetIdentity(from_.path(), kNode, 1);
  auto store = Filled(from_.path(), 5);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  store.reset();
  const std::string first = from_.File("state.db.before-restore-20261122T120000Z");
  for (const std::string& kept : {first, first + "-2", first + "-3"}) {
    absl::StatusOr<RestoredBackup> restored = Restore(file_, from_.path());
    ASSERT_THAT(restored, IsOk());
    EXPECT_EQ(restored->kept, kept);
    EXPECT_THAT(OpenSqliteStore(kept, kNode, {}), IsOk());
  }
}

// What a killed daemon left in its log of changes is part of its state.
TEST_F(BackupTest, TheFormerStateIsKeptWithItsLogOfChanges) {
  SetIdentity(from_.path(), kNode, 1);
  auto store = Filled(from_.path(), 5);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  ASSERT_THAT(store->Commit({.facts = {{"later", "1"}}}), IsOk());
  const StoreContents later = ContentsOf(store.get());
  std::filesystem::create_directory(to_.File("killed"));
  const std::string killed = to_.File("killed");
  for (const char* suffix : {"", "-wal"}) {
    std::filesystem::copy(StatePath(from_.path()) + suffix, StatePath(killed) + suffix);
  }
  absl::StatusOr<RestoredBackup> restored = Restore(file_, killed);
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(ContentsOf(OpenSqliteStore(restored->kept, kNode, {})->get()), later);
}

// As the manual said before there were backups: both files copied.
TEST_F(BackupTest, APlainCopyCanBeRestored) {
  auto store = Filled(from_.path(), 5);
  for (const char* suffix : {"", "-wal"}) {
    std::filesystem::copy(StatePath(from_.path()) + suffix, file_ + suffix);
  }
  SetIdentity(to_.path(), "22222222", 5);
  absl::StatusOr<RestoredBackup> restored = Restore(file_, to_.path());
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(restored->info.node, "");
  EXPECT_EQ(ReadIdentity(to_.path(), "")->node, "22222222");
  ExpectSame(store.get(), Opened(to_.path()).get());
}

TEST_F(BackupTest, ARunningDaemonIsNotReplaced) {
  auto store = Filled(from_.path(), 2);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  auto running = StateDir::Open(to_.path());
  ASSERT_THAT(running, IsOk());
  EXPECT_THAT(Restore(file_, to_.path()),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("systemctl stop")));
}

TEST_F(BackupTest, WhatIsNoBackupIsRefusedAndNothingChanges) {
  auto store = Filled(from_.path(), 3);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  const std::string good = Bytes(file_);
  Filled(to_.path(), 2, 99);
  SetIdentity(to_.path(), kNode, 1);
  const StoreContents before = ContentsOf(Opened(to_.path()).get());

  std::string flipped = good;
  for (size_t at = 5000; at < flipped.size(); at += 97) flipped[at] ^= 1;
  const struct {
    const char* name;
    std::string bytes;
  } kBad[] = {{"empty", ""},
              {"text", std::string(5000, 'x')},
              {"cut off", good.substr(0, good.size() / 2)},
              {"flipped bits", flipped}};
  for (const auto& bad : kBad) {
    std::ofstream(file_, std::ios::binary) << bad.bytes;
    absl::StatusOr<RestoredBackup> restored = Restore(file_, to_.path());
    EXPECT_THAT(restored, Not(IsOk())) << bad.name;
    EXPECT_THAT(std::string(restored.status().message()), StartsWith(file_)) << bad.name;
    EXPECT_THAT(std::string(restored.status().message()), Not(HasSubstr("move it aside")));
  }
  EXPECT_THAT(Restore(out_.File("none"), to_.path()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
  EXPECT_EQ(ContentsOf(Opened(to_.path()).get()), before);
  for (const std::string& name : Files(to_.path())) {
    EXPECT_THAT(name, Not(HasSubstr("restor"))) << "nothing is left over";
  }
}

TEST_F(BackupTest, ANewerFormatIsRefused) {
  auto store = Filled(from_.path(), 1);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  ASSERT_THAT((*Database::Open(file_, SQLITE_OPEN_READWRITE))->Execute("PRAGMA user_version = 99"),
              IsOk());
  EXPECT_THAT(Restore(file_, to_.path()), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                   HasSubstr("newer deferd (format 99")));
}

TEST_F(BackupTest, AnotherNodesStateIsRefused) {
  SetIdentity(from_.path(), "11111111", 4);
  auto store = Filled(from_.path(), 1);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  SetIdentity(to_.path(), "22222222", 9);
  EXPECT_THAT(Restore(file_, to_.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("11111111"), HasSubstr("22222222"), HasSubstr("/node"))));
  EXPECT_EQ(ReadIdentity(to_.path(), "")->incarnation, 9);
}

// Its disk was lost: it goes on as who it was, and other nodes must believe it more than what it
// told them before.
TEST_F(BackupTest, ANewDiskContinuesTheNode) {
  SetIdentity(from_.path(), "11111111", 4);
  auto store = Filled(from_.path(), 1);
  ASSERT_THAT(Backup(from_.path(), file_), IsOk());
  ASSERT_THAT(Restore(file_, to_.path()), IsOk());
  EXPECT_EQ(ReadIdentity(to_.path(), "")->node, "11111111");
  EXPECT_GT(ReadIdentity(to_.path(), "")->incarnation, 100);

  SetIdentity(from_.path(), "11111111", 9);
  store.reset();
  ASSERT_THAT(Restore(file_, from_.path()), IsOk());
  EXPECT_EQ(ReadIdentity(from_.path(), "")->incarnation, 9);
}

}  // namespace
}  // namespace deferd
