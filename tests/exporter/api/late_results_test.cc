#include "exporter/api/late_results.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace deferd {
namespace {

class LateResultsTest : public testing::Test {
 protected:
  // An act whose body has so many bytes.
  std::string Add(size_t bytes) {
    auto outcome = std::make_shared<LateOutcome>();
    outcome->Set(200, "\"" + std::string(bytes, 'x') + "\"");
    return late_.Add(token_, outcome, now_);
  }
  bool Has(const std::string& id) { return late_.Find(id, token_, now_).has_value(); }

  Token token_{.name = "panel", .hash = "h"};
  LateResults::TimePoint now_{};
  LateResults late_;
};

TEST_F(LateResultsTest, AreForgottenAfterAnHour) {
  const std::string id = Add(10);
  now_ += LateResults::kKept - std::chrono::seconds(1);
  EXPECT_TRUE(Has(id));
  now_ += std::chrono::seconds(1);
  EXPECT_FALSE(Has(id));
}

TEST_F(LateResultsTest, TheOldestMakeRoomForTheBytesOfTheNewest) {
  const std::string first = Add(LateResults::kMostBytes / 2), second = Add(10);
  EXPECT_TRUE(Has(first));
  const std::string third = Add(LateResults::kMostBytes / 2);
  EXPECT_FALSE(Has(first));
  EXPECT_TRUE(Has(second));
  EXPECT_TRUE(Has(third));
  const std::string large = Add(2 * LateResults::kMostBytes);
  EXPECT_FALSE(Has(third));
  EXPECT_TRUE(Has(large)) << "the newest one always";
}

TEST_F(LateResultsTest, WhatRunsTakesNoRoomUntilItEnds) {
  auto running = std::make_shared<LateOutcome>();
  const std::string first = late_.Add(token_, running, now_);
  const std::string second = Add(LateResults::kMostBytes - 100);
  EXPECT_TRUE(Has(first));
  running->Set(200, "\"" + std::string(200, 'x') + "\"");
  EXPECT_FALSE(Has(first));
  EXPECT_TRUE(Has(second));
}

}  // namespace
}  // namespace deferd
