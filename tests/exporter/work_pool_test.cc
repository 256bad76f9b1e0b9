#include "exporter/work_pool.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/limiter/port/socket_client.h"

namespace deferd {
namespace {

class WorkPoolTest : public testing::Test {
 protected:
  ~WorkPoolTest() override { Open(); }

  // Work that waits until Open.
  int64_t Submit(const std::string& owner) {
    return pool_.Submit(owner, [this] {
      MutexLock lock(&mutex_);
      ++begun_;
      while (!open_) opened_.Wait(&mutex_);
    });
  }
  void Open() {
    MutexLock lock(&mutex_);
    open_ = true;
    opened_.NotifyAll();
  }
  int Begun() {
    MutexLock lock(&mutex_);
    return begun_;
  }

  Mutex mutex_;
  CondVar opened_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  int begun_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<int> rung_{0};
  WorkPool pool_{{.threads = 3, .of_one = 2, .waiting = 6, .waiting_of_one = 4},
                 [this] { ++rung_; }};
};

TEST_F(WorkPoolTest, OneOwnerLeavesAThreadToOthers) {
  for (int i = 0; i < 2; ++i) EXPECT_NE(Submit("greedy"), 0);
  EXPECT_TRUE(Eventually([this] { return Begun() == 2; }));
  for (int i = 0; i < 3; ++i) EXPECT_NE(Submit("greedy"), 0);
  EXPECT_NE(Submit("other"), 0);
  EXPECT_TRUE(Eventually([this] { return Begun() == 3; }));
  Open();
  EXPECT_TRUE(Eventually([this] { return rung_ == 6; }));
}

TEST_F(WorkPoolTest, WhatWaitsIsBounded) {
  Submit("greedy");
  Submit("greedy");
  ASSERT_TRUE(Eventually([this] { return Begun() == 2; }));
  for (int i = 0; i < 4; ++i) EXPECT_NE(Submit("greedy"), 0);
  EXPECT_EQ(Submit("greedy"), 0) << "its own share";
  EXPECT_NE(Submit("a"), 0);
  ASSERT_TRUE(Eventually([this] { return Begun() == 3; }));
  EXPECT_NE(Submit("b"), 0);
  EXPECT_NE(Submit("c"), 0);
  EXPECT_EQ(Submit("d"), 0) << "all together";
}

TEST_F(WorkPoolTest, WhatHasNotBegunCanBeCancelled) {
  const int64_t first = Submit("a"), second = Submit("a"), third = Submit("a");
  ASSERT_TRUE(Eventually([this] { return Begun() == 2; }));
  EXPECT_FALSE(pool_.Cancel(first));
  EXPECT_TRUE(pool_.Cancel(third));
  EXPECT_FALSE(pool_.Cancel(third));
  EXPECT_FALSE(pool_.Cancel(999));
  Open();
  ASSERT_TRUE(Eventually([this] { return rung_ == 2; }));
  std::vector<int64_t> done = pool_.TakeDone();
  std::sort(done.begin(), done.end());
  EXPECT_EQ(done, (std::vector<int64_t>{first, second}));
  EXPECT_TRUE(pool_.TakeDone().empty());
  EXPECT_EQ(Begun(), 2);
}

TEST_F(WorkPoolTest, EndsWithoutWhatWaits) {
  std::atomic<bool> go{false}, begun{false};  // outlive the pool, whose threads look at them
  std::atomic<int> done{0};
  {
    WorkPool pool({.threads = 1, .of_one = 1, .waiting = 9, .waiting_of_one = 9}, [] {});
    pool.Submit("a", [&] {
      begun = true;
      while (!go) std::this_thread::yield();
      ++done;
    });
    EXPECT_TRUE(Eventually([&] { return begun.load(); }));
    for (int i = 0; i < 5; ++i) pool.Submit("a", [&] { ++done; });
    go = true;
  }
  EXPECT_GE(done, 1);
  EXPECT_LE(done, 6);
}

}  // namespace
}  // namespace deferd
