// What a reader tells of messages, and that one made from what another left behind goes on alike.

#include "limiter/intake/reader_state.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/limiter/intake/log_text.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const EximReaderOptions kAll = {.zone = absl::UTCTimeZone(), .open_messages = true};

std::string Describe(const LogEvent& event) {
  const Attempt& a = event.attempt;
  return absl::StrJoin({absl::StrCat(static_cast<int>(event.kind)),
                        absl::FormatTime(a.time, absl::UTCTimeZone()),
                        a.message.id,
                        absl::FormatTime(a.message.arrival, absl::UTCTimeZone()),
                        a.identity.sender,
                        a.identity.login,
                        a.identity.user,
                        a.identity.host,
                        a.identity.identified_domain,
                        absl::StrCat(a.identity.made_by_mta),
                        a.recipient,
                        a.original,
                        absl::StrCat(static_cast<int>(a.outcome)),
                        a.router,
                        a.transport,
                        a.host,
                        a.host_ip,
                        a.reply,
                        a.mail_subject,
                        absl::StrCat(a.remote, a.bare_expiry)},
                       "|");
}

std::vector<std::string> Read(LogReader* reader, absl::string_view line) {
  EventBatch batch;
  reader->ReadLine(line, &batch);
  std::vector<std::string> events;
  for (size_t i = 0; i < batch.size(); ++i) events.push_back(Describe(batch[i]));
  return events;
}

// Rows of open messages, kept from events as the local store keeps them.
class Rows {
 public:
  void Take(const EventBatch& batch) {
    for (size_t i = 0; i < batch.size(); ++i) {
      const Attempt& a = batch[i].attempt;
      switch (batch[i].kind) {
        case LogEvent::Kind::kArrived:
          order_.push_back(a.message);
          rows_[a.message] = a.identity;
          break;
        case LogEvent::Kind::kIdentified:
          rows_[a.message] = a.identity;
          break;
        case LogEvent::Kind::kCompleted:
        case LogEvent::Kind::kForgotten:
          rows_.erase(a.message);
          break;
        default:
          break;
      }
    }
  }
  std::vector<OpenMessage> Get() const {
    std::vector<OpenMessage> open;
    for (const MessageKey& key : order_) {
      if (const auto it = rows_.find(key); it != rows_.end()) open.push_back({key, it->second});
    }
    return open;
  }

 private:
  std::vector<MessageKey> order_;
  absl::flat_hash_map<MessageKey, Identity> rows_;
};

class ReaderRestart : public testing::TestWithParam<const char*> {};

TEST_P(ReaderRestart, AtEveryLineChangesNothing) {
  EximReaderOptions options = kAll;
  options.max_open_messages = 20;  // so that there are evictions
  const auto uninterrupted = NewEximReader(options);
  auto restarted = NewEximReader(options);
  Rows rows;
  int number = 0;
  for (const std::string& line : TestdataLines(GetParam())) {
    ++number;
    EventBatch batch;
    restarted->ReadLine(line, &batch);
    std::vector<std::string> got;
    for (size_t i = 0; i < batch.size(); ++i) got.push_back(Describe(batch[i]));
    ASSERT_EQ(got, Read(uninterrupted.get(), line)) << "line " << number;
    rows.Take(batch);
    const std::string state = restarted->SaveState();
    ASSERT_EQ(state, uninterrupted->SaveState());
    restarted = NewEximReader(options);
    ASSERT_THAT(restarted->Restore(rows.Get(), state), IsOk());
    ASSERT_EQ(restarted->open_messages(), uninterrupted->open_messages()) << "line " << number;
  }
  EXPECT_GT(number, 30);
}

INSTANTIATE_TEST_SUITE_P(Corpora, ReaderRestart,
                         testing::Values("exim/cpanel.log", "exim/exim-all-head.log",
                                         "exim/exim-default.log", "exim/exim-syslog-head.log"));

constexpr char kArrival[] =
    "2026-11-22 00:00:01 1hIAif-00H7J4-Lb <= a@s.example H=(c) [192.0.2.1] P=esmtpsa "
    "A=plain:joe S=337 id=m@x T=\"a \\\"b\\\"\"";

TEST(EximReaderEvents, TheLifeOfAMessage) {
  const auto reader = NewEximReader(kAll);
  EventBatch batch;
  reader->ReadLine(kArrival, &batch);
  reader->ReadLine("2026-11-22 00:00:02 1hIAif-00H7J4-Lb Sender identification U=u D=s.example S=x",
                   &batch);
  reader->ReadLine("2026-11-22 00:00:02 1hIAif-00H7J4-Lb Sender identification U=u D=s.example S=x",
                   &batch);
  reader->ReadLine("2026-11-22 00:00:03 1hIAif-00H7J4-Lb Message is frozen", &batch);
  reader->ReadLine("2026-11-22 00:00:04 1hIAif-00H7J4-Lb Completed", &batch);
  ASSERT_EQ(batch.size(), 4u);
  using EventKind = LogEvent::Kind;
  EXPECT_EQ(batch[0].kind, EventKind::kArrived);
  EXPECT_EQ(batch[0].attempt.mail_subject, "a \"b\"");
  EXPECT_EQ(batch[1].kind, EventKind::kIdentified);
  EXPECT_EQ(batch[1].attempt.identity.identified_domain, "s.example");
  EXPECT_EQ(batch[2].kind, EventKind::kShown);
  EXPECT_EQ(batch[2].attempt.outcome, Outcome::kHeld);
  EXPECT_EQ(batch[3].kind, EventKind::kCompleted);
  for (size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(batch[i].attempt.identity.login, "joe");
    EXPECT_EQ(batch[i].attempt.message, batch[0].attempt.message);
  }
  EXPECT_EQ(batch.counts, (LineCounts{.lines = 5, .not_mine = 5}));
}

TEST(EximReaderEvents, ForgottenMessagesAreNamed) {
  EximReaderOptions options = kAll;
  options.max_open_messages = 1;
  const auto reader = NewEximReader(options);
  EventBatch batch;
  for (const char* line : {"2026-11-22 00:00:01 1hIAif-00H7J4-La <= a@s P=local",
                           "2026-11-22 00:00:02 1hIAif-00H7J4-Lb <= b@s P=local",
                           "2026-11-22 00:00:03 1hIAif-00H7J4-Lb <= b@s P=local"}) {
    reader->ReadLine(line, &batch);
  }
  std::vector<std::string> forgotten;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].kind == LogEvent::Kind::kForgotten) {
      forgotten.push_back(batch[i].attempt.message.id);
    }
  }
  EXPECT_THAT(forgotten, ElementsAre("1hIAif-00H7J4-La", "1hIAif-00H7J4-Lb"));
}

TEST(EximReaderEvents, OnlyAttemptsAndCompletionsUnlessRequested) {
  const auto reader = NewEximReader({.zone = absl::UTCTimeZone()});
  EventBatch batch;
  reader->ReadLine(kArrival, &batch);
  reader->ReadLine("2026-11-22 00:00:03 1hIAif-00H7J4-Lb Message is frozen", &batch);
  reader->ReadLine("2026-11-22 00:00:03 H=(x) [192.0.2.1] rejected MAIL <a@b>: no", &batch);
  EXPECT_EQ(batch.size(), 0u);
  EXPECT_EQ(batch.counts, (LineCounts{.lines = 3, .not_mine = 2, .rejected = 1}));
}

TEST(ReaderState, AttemptsThatWaitForTheirArrivalAreKept) {
  const auto first = NewEximReader(kAll);
  EventBatch batch;
  first->ReadLine("2026-11-22 00:00:00 1hIAif-00H7J4-Lb >> r\xff@d R=r T=t H=mx [192.0.2.9]",
                  &batch);
  ASSERT_EQ(batch.size(), 0u);
  const auto second = NewEximReader(kAll);
  ASSERT_THAT(second->Restore({}, first->SaveState()), IsOk());
  EXPECT_EQ(Read(second.get(), kArrival), Read(first.get(), kArrival));
  EXPECT_EQ(second->last_stamp(), first->last_stamp());
}

TEST(ReaderState, DaylightSavingReadingGoesOn) {
  const EximReaderOptions options = {.zone = Zone("Europe/Berlin")};
  const auto first = NewEximReader(options);
  EventBatch batch;
  for (const char* line : {"2026-10-25 02:59:00 x", "2026-10-25 02:01:00 x"}) {
    first->ReadLine(line, &batch);
    const auto second = NewEximReader(options);
    ASSERT_THAT(second->Restore({}, first->SaveState()), IsOk());
    EventBatch other;
    first->ReadLine("2026-10-25 02:30:00 x", &batch);
    second->ReadLine("2026-10-25 02:30:00 x", &other);
    EXPECT_EQ(second->last_stamp(), first->last_stamp());
  }
}

TEST(ReaderState, MalformedStateIsDataLoss) {
  const std::string good = NewEximReader(kAll)->SaveState();
  const auto reader = NewEximReader(kAll);
  EXPECT_THAT(reader->Restore({}, ""), IsOk());
  EXPECT_THAT(reader->Restore({}, good), IsOk());
  for (const std::string& bad :
       {std::string("x"), std::string("[]"), std::string("[2,0,0,\"\",0,[]]"),
        std::string("[1,0,0,\"\",0,[[]]]"), std::string("[1,0,0,\"\",0,[1]]"),
        good.substr(0, good.size() - 1), std::string("\xff")}) {
    EXPECT_THAT(reader->Restore({}, bad), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("state")))
        << bad;
  }
}

}  // namespace
}  // namespace deferd
