#include "limiter/port/connection_shares.h"

#include <memory>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace deferd {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Shares = ConnectionShares;

constexpr Shares::Limits kLimits = {
    .most = 10, .reserved = 3, .per_peer = 5, .evict_after = milliseconds(100)};
constexpr int64_t kMta = 100, kEve = 1000, kBob = 1001;

// A door: opens what is admitted, closes what is evicted.
class Door {
 public:
  explicit Door(const Shares::Limits& limits = kLimits) : shares_(limits) {}

  // The connection that went, -1: none; -2: refused.
  int Open(int64_t peer) {
    const Shares::Entry entry = shares_.Admit(peer, peer == kMta, now_);
    if (!entry.admitted) return -2;
    int gone = -1;
    if (entry.evict != nullptr) {
      for (size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i].get() == entry.evict) gone = static_cast<int>(i);
      }
      Close(gone);
    }
    slots_.push_back(std::make_unique<Shares::Slot>());
    shares_.Add(slots_.back().get(), peer, peer == kMta, now_);
    return gone;
  }
  void Close(int i) {
    shares_.Remove(slots_[i].get());
    slots_[i].reset();
  }
  void Use(int i) { shares_.Used(slots_[i].get(), now_); }
  void Wait(std::chrono::milliseconds time) { now_ += time; }

  Shares shares_;
  Shares::TimePoint now_{seconds(1000)};
  std::vector<std::unique_ptr<Shares::Slot>> slots_;
};

TEST(ConnectionShares, APeerBeyondItsShareLosesItsOwnIdlest) {
  Door door;
  EXPECT_EQ(door.Open(kBob), -1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(door.Open(kEve), -1);  // 1 to 5
  EXPECT_EQ(door.Open(kEve), -2) << "all are new";
  door.Wait(milliseconds(100));
  door.Use(1);
  EXPECT_EQ(door.Open(kEve), 2) << "the one that was of use longest ago, not bob's";
  EXPECT_EQ(door.shares_.size(), 6);
}

TEST(ConnectionShares, TheReserveIsTheMtasAlone) {
  Door door;
  for (int i = 0; i < 5; ++i) EXPECT_EQ(door.Open(kEve), -1);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(door.Open(kBob), -1);
  EXPECT_EQ(door.Open(kBob), -2) << "seven are for others";
  for (int i = 0; i < 3; ++i) EXPECT_EQ(door.Open(kMta), -1);
  EXPECT_EQ(door.Open(kMta), -2);
  door.Wait(seconds(1));
  EXPECT_EQ(door.Open(kMta), 0) << "eve's, who has the most";
  EXPECT_EQ(door.Open(kBob), 1) << "all are taken: eve's next one goes";
}

TEST(ConnectionShares, AnMtasConnectionNeverGoes) {
  Door door;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(door.Open(kMta), -1);
  door.Wait(seconds(1000));
  EXPECT_EQ(door.Open(kEve), -2);
  EXPECT_EQ(door.Open(kMta), -2);
  EXPECT_EQ(door.shares_.Idlest(door.now_), nullptr);
}

TEST(ConnectionShares, WithoutSharesAndEvictionTheLimitIsAllThereIs) {
  Door door({.most = 3});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(door.Open(kEve), -1);
  door.Wait(seconds(1000));
  EXPECT_EQ(door.Open(kBob), -2);
  door.Close(1);
  EXPECT_EQ(door.Open(kBob), -1);
}

// Whatever users do, the limits hold, and an MTA with less than its reserve is always admitted.
TEST(ConnectionShares, RandomUsers) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    Door door;
    std::vector<int64_t> owner;
    for (int step = 0; step < 500; ++step) {
      door.Wait(milliseconds(random() % 40));
      std::vector<int> open;
      int mta = 0;
      for (size_t i = 0; i < door.slots_.size(); ++i) {
        if (door.slots_[i] == nullptr) continue;
        open.push_back(static_cast<int>(i));
        mta += owner[i] == kMta;
      }
      if (!open.empty() && random() % 4 == 0) {
        const int i = open[random() % open.size()];
        random() % 2 ? door.Use(i) : door.Close(i);
        continue;
      }
      const int64_t peer = random() % 5 == 0 ? kMta : kEve + static_cast<int64_t>(random() % 3);
      const int result = door.Open(peer);
      if (result != -2) owner.push_back(peer);
      if (result >= 0) {
        EXPECT_NE(owner[result], kMta);
      }
      if (peer == kMta && mta < 3) {
        EXPECT_NE(result, -2) << "the reserve was taken";
      }
      EXPECT_LE(door.shares_.size(), 10);
    }
  }
}

}  // namespace
}  // namespace deferd
