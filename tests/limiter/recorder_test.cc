#include "limiter/recorder.h"

#include "tests/limiter/limiter_fixture.h"

namespace deferd {
namespace {

constexpr char kPolicy[] = "[rule.r]\nmin_bad = 3\npercent = 50\n";

std::unique_ptr<EventBatch> BatchOf(const Attempt& attempt) {
  auto batch = std::make_unique<EventBatch>();
  *batch->Add() = {LogEvent::Kind::kAttempt, attempt};
  return batch;
}

TEST(Recorder, RecordsWhatWasSubmittedBeforeItStops) {
  LimiterFixture f(kPolicy, At(absl::Minutes(1)));
  Recorder recorder(f.committer_.get(), [](size_t) { return true; });
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(recorder.Submit(BatchOf(
        LimiterFixture::MakeAttempt("a.example", At(absl::Seconds(i / 10)), Outcome::kFailed))));
  }
  recorder.Stop();
  EXPECT_EQ(recorder.pending(), 0u);
  EXPECT_EQ(f.CountsNow("a.example").failed, 500);
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
}

TEST(Recorder, RefusesAfterItStopped) {
  LimiterFixture f(kPolicy);
  Recorder recorder(f.committer_.get(), [](size_t) { return true; });
  recorder.Stop();
  EXPECT_FALSE(recorder.Submit(std::make_unique<EventBatch>()));
  EXPECT_EQ(recorder.pending(), 0u);
}

// Whether a case whose time is over is still open after the recorder has looked twice.
bool OpenAfterTwoTicks(bool may_end_cases) {
  LimiterFixture f(kPolicy, At(absl::Minutes(0)));
  f.FeedMany(3, "a.example", absl::Minutes(0), Outcome::kFailed);
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
  f.clock_.Set(At(absl::Minutes(61)));
  Mutex mutex;
  CondVar ticked;
  int ticks = 0;
  Recorder recorder(f.committer_.get(), [&](size_t) {
    MutexLock lock(&mutex);
    ++ticks;
    ticked.NotifyAll();
    return may_end_cases;
  });
  {
    MutexLock lock(&mutex);
    while (ticks < 2) ticked.Wait(&mutex);
  }
  return f.OpenCase("a.example").has_value();
}

TEST(Recorder, LetsTheClockEndCasesWhileTheLogIsQuiet) {
  EXPECT_FALSE(OpenAfterTwoTicks(/*may_end_cases=*/true));
}

TEST(Recorder, TheClockEndsNothingWhileLinesWait) {
  EXPECT_TRUE(OpenAfterTwoTicks(/*may_end_cases=*/false));
}

}  // namespace
}  // namespace deferd
