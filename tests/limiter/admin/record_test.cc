#include "limiter/admin/record.h"

#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

const Json kWhole = {{"id", "q17"},
                     {"time", "2026-11-22T08:00:30Z"},
                     {"login", "bob@a.example"},
                     {"sender", "bob@a.example"},
                     {"client", "192.0.2.1"},
                     {"recipient", "Ann@Far.example"},
                     {"outcome", "failed"},
                     {"host", "mx.far.example"},
                     {"ip", "198.51.100.9"},
                     {"transport", "smtp"},
                     {"reply", "550 5.1.1 No such user here"}};

TEST(Record, AllFields) {
  EventBatch batch;
  ASSERT_THAT(AddRecord(kWhole, kMorning, &batch), IsOk());
  ASSERT_EQ(batch.size(), 1u);
  const Attempt& attempt = batch[0].attempt;
  EXPECT_EQ(attempt.time, kMorning + absl::Seconds(30));
  EXPECT_EQ(attempt.message, (MessageKey{"q17", absl::UnixEpoch()}));
  EXPECT_TRUE(attempt.attributed());
  EXPECT_EQ(attempt.identity.login, "bob@a.example");
  EXPECT_EQ(attempt.identity.host, "192.0.2.1");
  EXPECT_EQ(attempt.recipient, "ann@far.example");
  EXPECT_EQ(attempt.outcome, Outcome::kFailed);
  EXPECT_EQ(attempt.host_ip, "198.51.100.9");
  EXPECT_TRUE(attempt.remote);
}

TEST(Record, LeastAndCompleted) {
  EventBatch batch;
  ASSERT_THAT(AddRecord({{"id", "1"},
                         {"recipient", "a@b"},
                         {"outcome", "expired"},
                         {"completed", true},
                         {"arrival", "2026-11-21T00:00:00Z"}},
                        kMorning, &batch),
              IsOk());
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[0].attempt.time, kMorning);
  EXPECT_TRUE(batch[0].attempt.bare_expiry);
  EXPECT_EQ(batch[1].kind, LogEvent::Kind::kCompleted);
  EXPECT_EQ(batch[1].attempt.message, batch[0].attempt.message);
}

TEST(Record, MistakesAreSaidAndAddNothing) {
  const struct {
    const char* field;
    Json value;
    const char* error;
  } kMistakes[] = {{"id", "", "id is missing"},
                   {"recipient", 7, "recipient: expected a string"},
                   {"outcome", "lost", "outcome: 'lost' is none"},
                   {"time", "noon", "time: 'noon' is not a valid time"},
                   {"local", "yes", "local: expected true or false"},
                   {"colour", "red", "'colour' is not a field"}};
  for (const auto& mistake : kMistakes) {
    Json record = kWhole;
    record[mistake.field] = mistake.value;
    EventBatch batch;
    EXPECT_THAT(AddRecord(record, kMorning, &batch),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(mistake.error)));
    EXPECT_EQ(batch.size(), 0u);
  }
  EventBatch batch;
  EXPECT_THAT(AddRecord("text", kMorning, &batch),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not a JSON object")));
}

TEST(Record, CountsAsALogWould) {
  LimiterFixture f("[rule.r]\nmin_bad = 2\npercent = 50\n", At(absl::Minutes(2)));
  EventBatch batch;
  Json record = kWhole;
  for (const char* id : {"1", "1", "2"}) {  // a retry is none
    record["id"] = id;
    ASSERT_THAT(AddRecord(record, kMorning, &batch), IsOk());
  }
  f.committer_->Record(batch);
  EXPECT_EQ(f.CountsNow("a.example").failed, 2);
  EXPECT_TRUE(f.OpenCase("a.example").has_value());
}

}  // namespace
}  // namespace deferd
