#include "limiter/ctl/read_ahead.h"

#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "policy/policy_file.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

const std::string kEximLog = TestData("exim/exim-default.log");

ReplayOptions Logs(std::vector<std::string> paths) {
  ReplayOptions options;
  options.format = LogFormat::kAny;
  options.paths = std::move(paths);
  options.policy = std::make_shared<Policy>(BuiltInPolicy());
  options.zone = absl::UTCTimeZone();
  return options;
}

// Every event, and how reading ended.
template <typename Input>
std::vector<std::string> AllOf(Input* input) {
  std::vector<std::string> all;
  LineCounts counts;
  EventBatch batch;
  absl::StatusOr<bool> more = true;
  while (more.ok() && *more) {
    more = input->Next(&batch);
    if (!more.ok()) break;
    for (size_t i = 0; i < batch.size(); ++i) {
      const Attempt& one = batch[i].attempt;
      std::string text = absl::StrCat(static_cast<int>(batch[i].kind), " ",
                                      absl::FormatTime(one.time), " ", one.message.id);
      // Of other kinds these are old text.
      if (batch[i].kind == LogEvent::Kind::kAttempt) {
        absl::StrAppend(&text, " ", one.identity.sender, " ", one.recipient, " ",
                        static_cast<int>(one.outcome), " ", one.reply);
      }
      all.push_back(std::move(text));
    }
    counts += batch.counts;
  }
  all.push_back(absl::StrCat(counts.lines, " lines, ", counts.attempts, " attempts"));
  all.push_back(more.status().ToString());
  return all;
}

std::vector<std::string> Directly(const ReplayOptions& options) {
  auto input = ReplayInput::Open(options);
  return input.ok() ? AllOf(input->get()) : std::vector<std::string>{input.status().ToString()};
}

std::vector<std::string> Ahead(const ReplayOptions& options) {
  auto input = ReplayInput::Open(options);
  if (!input.ok()) return {input.status().ToString()};
  ReadAhead ahead(input->get());
  return AllOf(&ahead);
}

class ReadAheadTest : public testing::Test {
 protected:
  // The whole log compressed, less `missing` bytes at its end.
  std::string Compressed(size_t missing) {
    std::ifstream in(kEximLog, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    const std::string path = absl::StrCat(testing::TempDir(), "/deferd-ahead-", getpid(), ".gz");
    const gzFile gz = gzopen(path.c_str(), "wb");
    gzwrite(gz, text.data(), static_cast<unsigned>(text.size()));
    gzclose(gz);
    std::ifstream packed_in(path, std::ios::binary);
    const std::string packed(std::istreambuf_iterator<char>(packed_in), {});
    EXPECT_EQ(truncate(path.c_str(), static_cast<off_t>(packed.size() - missing)), 0);
    return path;
  }
};

TEST_F(ReadAheadTest, GivesWhatTheInputGives) {
  for (size_t batch_events : {1, 7, 64, 100'000}) {
    ReplayOptions options = Logs({kEximLog});
    options.batch_events = batch_events;
    const std::vector<std::string> all = Ahead(options);
    EXPECT_GT(all.size(), 1000u);
    EXPECT_EQ(all, Directly(options)) << batch_events;
  }
}

TEST_F(ReadAheadTest, OfTwoMailServersToo) {
  const ReplayOptions options = Logs({kEximLog, TestData("postfix/postfix-shortid.log.gz")});
  EXPECT_EQ(Ahead(options), Directly(options));
}

TEST_F(ReadAheadTest, WhatIsBeforeDamageAndThenTheError) {
  const ReplayOptions options = Logs({Compressed(/*missing=*/2000)});
  const std::vector<std::string> all = Ahead(options);
  EXPECT_GT(all.size(), 100u);
  EXPECT_THAT(all.back(), testing::HasSubstr("DATA_LOSS"));
  EXPECT_EQ(all, Directly(options));
}

TEST_F(ReadAheadTest, AnEmptyLog) {
  const ReplayOptions options = Logs({"/dev/null"});
  EXPECT_EQ(Ahead(options), Directly(options));
}

TEST_F(ReadAheadTest, MayBeLeftAtAnyTime) {
  for (int reads : {0, 1, 2, 20}) {
    ReplayOptions options = Logs({kEximLog});
    options.batch_events = 30;
    auto input = ReplayInput::Open(options);
    ASSERT_TRUE(input.ok());
    ReadAhead ahead(input->get());
    EventBatch batch;
    for (int i = 0; i < reads; ++i) EXPECT_TRUE(ahead.Next(&batch).ok());
  }
}

TEST_F(ReadAheadTest, TellsHowMuchWasRead) {
  const ReplayOptions options = Logs({kEximLog});
  auto input = ReplayInput::Open(options);
  ASSERT_TRUE(input.ok());
  ReadAhead ahead(input->get());
  EventBatch batch;
  double before = 0;
  for (bool more = true; more;) {
    more = ahead.Next(&batch).value();
    EXPECT_GE(ahead.done(), before);
    before = ahead.done();
  }
  EXPECT_EQ(before, 1);
}

}  // namespace
}  // namespace deferd
