// Rows spread over several stores, one of which may be gone.

#include "limiter/store/sharded_store.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/port/clock.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/window_row.h"
#include "tests/limiter/store/many_rows.h"
#include "tests/limiter/store/memory_shared_store.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::HasSubstr;

TEST(ShardOfTest, IsPartOfTheStoredFormat) {
  // Nodes of all versions must find the same store: these never change.
  EXPECT_EQ(ShardOf("bad.example", 1), 0u);
  std::string found;
  for (int i = 0; i < 16; ++i) {
    absl::StrAppend(&found, ShardOf(absl::StrCat("domain-", i, ".example"), 3));
  }
  EXPECT_EQ(found, "2001210020201002");
}

TEST(ShardOfTest, SpreadsEvenlyAndMovesLittle) {
  constexpr int kDomains = 30'000;
  std::map<size_t, int> of_three;
  int moved = 0;
  for (int i = 0; i < kDomains; ++i) {
    const std::string domain = absl::StrCat("customer-", i, ".example");
    const size_t before = ShardOf(domain, 3);
    const size_t after = ShardOf(domain, 4);
    ++of_three[before];
    if (before != after) {
      ++moved;
      EXPECT_EQ(after, 3u) << "only to the new one";
    }
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(of_three[i], kDomains / 3, kDomains / 60) << i;
  EXPECT_NEAR(moved, kDomains / 4, kDomains / 60);
}

class ShardedStoreTest : public ::testing::Test {
 protected:
  static size_t ShardOfKey(int i) { return ShardOf(SlotOf(KeyOf(i).subject), 3); }

  std::unique_ptr<SharedStore> Store(const std::string& node) {
    std::vector<Shard> shards;
    for (int i = 0; i < 3; ++i) {
      shards.push_back({absl::StrCat("shard-", i), servers_[i].NewStore({.node = node})});
    }
    auto store = NewShardedStore(std::move(shards));
    EXPECT_THAT(store->Connect(), IsOk());
    return store;
  }

  static NodeClaim Claim() { return {"session", "holder", {"log"}, "{}"}; }

  SystemClock clock_;
  MemorySharedServer servers_[3] = {MemorySharedServer{&clock_}, MemorySharedServer{&clock_},
                                    MemorySharedServer{&clock_}};
};

TEST_F(ShardedStoreTest, EveryDomainIsInItsStoreAndTheCasesInTheFirst) {
  auto store = Store("aaaaaaaa");
  PutAll(store.get(), 1);
  const SharedCase record = {KeyOf(0).subject, false, 1, false, "{}"};
  EXPECT_TRUE(store->PutCase(record)->written);
  for (size_t shard = 0; shard < 3; ++shard) {
    auto alone = servers_[shard].NewStore({.node = "bbbbbbbb"});
    ASSERT_THAT(alone->Connect(), IsOk());
    EXPECT_EQ(alone->ReadCases()->size(), shard == 0 ? 1u : 0u);
    for (int i = 0; i < 30; ++i) {
      const std::vector<RowKey> keys = {KeyOf(i)};
      EXPECT_EQ((*alone->ReadRows(keys))[0].rows.size(), ShardOfKey(i) == shard ? 1u : 0u) << i;
    }
  }
}

TEST_F(ShardedStoreTest, WithoutOneItsDomainsAloneHaveTrouble) {
  auto store = Store("aaaaaaaa");
  absl::StatusOr<Beat> beat = store->SayBeat(Claim());
  ASSERT_THAT(beat.status(), IsOk());
  EXPECT_THAT(beat->missing, IsOk());
  const std::string generation = beat->generation;
  PutAll(store.get(), 1);

  servers_[1].SetTrouble(SharedTrouble::kGone);
  for (int round = 0; round < 2; ++round) {
    const std::vector<RowAnswer> answers = PutAll(store.get(), 2 + round);
    for (int i = 0; i < 30; ++i) {
      if (ShardOfKey(i) == 1) {
        EXPECT_EQ(TroubleOf(answers[i].status), SharedTrouble::kGone);
        EXPECT_THAT(std::string(answers[i].status.message()), HasSubstr("shard-1"));
      } else {
        EXPECT_THAT(answers[i].status, IsOk());
        EXPECT_EQ(answers[i].rows.size(), 1u);
      }
    }
    EXPECT_TRUE(store->connected());
    beat = store->SayBeat(Claim());
    ASSERT_THAT(beat.status(), IsOk()) << "the others go on";
    EXPECT_EQ(TroubleOf(beat->missing), SharedTrouble::kGone);
    EXPECT_THAT(std::string(beat->missing.message()), HasSubstr("gone: shard-1: "));
    EXPECT_EQ(beat->generation, generation);
  }

  servers_[1].SetTrouble(SharedTrouble::kNone);
  beat = store->SayBeat(Claim());
  ASSERT_THAT(beat.status(), IsOk());
  EXPECT_THAT(beat->missing, IsOk()) << "it is tried again with each beat";
  EXPECT_NE(beat->generation, generation) << "so that everything is put again";
  for (const RowAnswer& answer : PutAll(store.get(), 5)) EXPECT_THAT(answer.status, IsOk());
}

TEST_F(ShardedStoreTest, AStoreThatWasEmptiedIsAnotherGeneration) {
  auto store = Store("aaaaaaaa");
  const std::string generation = store->SayBeat(Claim())->generation;
  EXPECT_EQ(store->SayBeat(Claim())->generation, generation);
  servers_[2].Flush();
  EXPECT_NE(store->SayBeat(Claim())->generation, generation);
}

TEST_F(ShardedStoreTest, WithoutTheFirstNothingIsShared) {
  auto store = Store("aaaaaaaa");
  servers_[0].SetTrouble(SharedTrouble::kGone);
  absl::Status gone = store->SayBeat(Claim()).status();
  EXPECT_EQ(TroubleOf(gone), SharedTrouble::kGone);
  EXPECT_THAT(std::string(gone.message()), HasSubstr("shard-0"));
  EXPECT_FALSE(store->connected());
}

TEST_F(ShardedStoreTest, OneThatIsMissingFromTheStartIsFoundLater) {
  servers_[2].SetTrouble(SharedTrouble::kSlow);
  auto store = Store("aaaaaaaa");
  absl::StatusOr<Beat> beat = store->SayBeat(Claim());
  ASSERT_THAT(beat.status(), IsOk());
  EXPECT_EQ(TroubleOf(beat->missing), SharedTrouble::kSlow);
  std::vector<RowKey> told;
  PutAll(store.get(), 1);
  EXPECT_EQ(TroubleOf(store->ForEachKey(absl::Hours(1),
                                        [&](std::vector<RowKey> some) {
                                          told.insert(told.end(), some.begin(), some.end());
                                        })),
            SharedTrouble::kSlow);
  int others = 0;
  for (int i = 0; i < 30; ++i) others += ShardOfKey(i) != 2;
  EXPECT_EQ(told.size(), static_cast<size_t>(others));
}

}  // namespace
}  // namespace deferd
