#include "limiter/store/ledger_index.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/schema.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int64_t kSegment = 7;

// One segment's index, and a plain multimap that says what it should hold.
class LedgerIndexTest : public testing::Test {
 protected:
  LedgerIndexTest() {
    const std::string path =
        absl::StrCat(testing::TempDir(), "/",
                     testing::UnitTest::GetInstance()->current_test_info()->name(), ".ledger");
    std::remove(path.c_str());
    auto db = OpenForWriting(path);
    EXPECT_THAT(db, IsOk());
    db_ = *std::move(db);
    EXPECT_THAT(db_->Execute(LedgerIndexTable(kSegment)), IsOk());
  }

  // A commit of one row for each element, with these keys.
  void Commit(const std::vector<std::vector<uint32_t>>& rows) {
    std::vector<Posting> postings;
    const int64_t first = next_row_;
    for (const std::vector<uint32_t>& keys : rows) {
      for (const uint32_t key : keys) {
        postings.push_back({key, next_row_});
        expected_[key].insert(next_row_);
      }
      ++next_row_;
    }
    std::shuffle(postings.begin(), postings.end(), random_);
    EXPECT_THAT(AddLedgerRun(db_.get(), kSegment, static_cast<int64_t>(rows.size()), first,
                             next_row_ - 1, &postings),
                IsOk());
  }

  std::vector<LedgerRun> Runs() {
    absl::StatusOr<std::vector<LedgerRun>> runs = ReadLedgerRuns(db_.get(), kSegment);
    EXPECT_THAT(runs, IsOk());
    return runs.ok() ? *runs : std::vector<LedgerRun>();
  }

  // In all runs together.
  std::vector<int64_t> Find(const std::vector<LedgerKeys>& keys) {
    absl::StatusOr<LedgerIndexReader> reader = LedgerIndexReader::Open(db_.get(), kSegment);
    EXPECT_THAT(reader, IsOk());
    std::vector<int64_t> all;
    if (!reader.ok()) return all;
    for (const LedgerRun& run : Runs()) {
      absl::StatusOr<std::vector<int64_t>> rows = reader->Find(run, keys);
      EXPECT_THAT(rows, IsOk());
      if (rows.ok()) all.insert(all.end(), rows->begin(), rows->end());
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  std::unique_ptr<Database> db_;
  std::map<uint32_t, std::set<int64_t>> expected_;
  std::mt19937 random_{1};
  int64_t next_row_ = 100;
};

TEST_F(LedgerIndexTest, FindsTheRowsOfAKey) {
  Commit({{1, 0xFFFFFFFF}, {2}, {1}});
  EXPECT_THAT(Find({{1}}), ElementsAre(100, 102));
  EXPECT_THAT(Find({{0xFFFFFFFF}}), ElementsAre(100)) << "the last bucket";
  EXPECT_THAT(Find({{3}}), IsEmpty());
}

TEST_F(LedgerIndexTest, EachElementAsksForOneOfItsKeys) {
  Commit({{1, 10}, {2, 10}, {3, 10}, {1, 11}});
  EXPECT_THAT(Find({{1, 2}}), ElementsAre(100, 101, 103)) << "either";
  EXPECT_THAT(Find({{1, 2}, {10}}), ElementsAre(100, 101)) << "and";
  EXPECT_THAT(Find({{1}, {2}}), IsEmpty());
  EXPECT_THAT(Find({{10, 10}}), ElementsAre(100, 101, 102)) << "none twice";
}

TEST_F(LedgerIndexTest, OtherSegmentsAreNotTouched) {
  ASSERT_THAT(db_->Execute(LedgerIndexTable(8)), IsOk());
  std::vector<Posting> postings = {{1, 5}};
  ASSERT_THAT(AddLedgerRun(db_.get(), 8, 1, 5, 5, &postings), IsOk());
  Commit({{1}});
  EXPECT_THAT(Find({{1}}), ElementsAre(100));
  EXPECT_THAT(ReadLedgerRuns(db_.get(), 8).value(), SizeIs(1));
}

TEST_F(LedgerIndexTest, SmallRunsAreMerged) {
  for (uint32_t i = 0; i < 15; ++i) Commit({{i, 1000}});
  EXPECT_THAT(Runs(), SizeIs(15));
  Commit({{15, 1000}});
  ASSERT_THAT(Runs(), SizeIs(1));
  const LedgerRun merged = Runs()[0];
  EXPECT_EQ(merged.rows, 16);
  EXPECT_EQ(merged.level, 1);
  EXPECT_EQ(merged.first_row, 100);
  EXPECT_EQ(merged.last_row, 115);
  EXPECT_THAT(Find({{1000}}), SizeIs(16));
  EXPECT_THAT(Find({{9}}), ElementsAre(109));
  EXPECT_EQ(db_->Number("SELECT count(*) FROM ledger_index_7").value(), merged.buckets)
      << "nothing is left of what was merged";
}

// Whatever is committed, each row is found by each of its keys, once.
TEST_F(LedgerIndexTest, HoldsWhatWasCommittedThroughAllMerges) {
  std::uniform_int_distribution<uint32_t> any;
  for (int commit = 0; commit < 300; ++commit) {
    std::vector<std::vector<uint32_t>> rows(1 + any(random_) % 40);
    for (std::vector<uint32_t>& keys : rows) {
      // Some keys are popular, most are rare.
      keys = {any(random_) % 5, any(random_) % 1000 * 4'000'000, any(random_)};
    }
    Commit(rows);
  }
  EXPECT_LT(Runs().size(), 50u);
  int64_t rows = 0;
  for (const LedgerRun& run : Runs()) rows += run.rows;
  EXPECT_EQ(rows, next_row_ - 100);
  for (const auto& [key, expected] : expected_) {
    if (key > 5 && any(random_) % 20 != 0) continue;  // all the popular ones, some of the rest
    ASSERT_EQ(Find({{key}}), std::vector<int64_t>(expected.begin(), expected.end())) << key;
  }
}

TEST_F(LedgerIndexTest, ADamagedBucketIsNoticedWhenItIsMerged) {
  for (uint32_t i = 0; i < 15; ++i) Commit({{i}});
  ASSERT_THAT(
      db_->Execute("UPDATE ledger_index_7 SET postings = x'0102' WHERE id = (SELECT max(id) "
                   "FROM ledger_index_7)"),
      IsOk());
  std::vector<Posting> postings = {{15, 115}};
  EXPECT_EQ(AddLedgerRun(db_.get(), kSegment, 1, 115, 115, &postings).code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace deferd
