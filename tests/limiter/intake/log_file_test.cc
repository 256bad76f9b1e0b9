#include "limiter/intake/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "tests/limiter/intake/log_text.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::HasSubstr;

class LogFileTest : public testing::Test {
 protected:
  LogFileTest() {
    folder_ = testing::TempDir() + "/log_file_XXXXXX";
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }

  std::string Write(const std::string& name, const std::string& bytes) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }

  static std::string Gzip(const std::string& text) {
    std::string out(compressBound(text.size()) + 64, '\0');
    z_stream stream = {};
    deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    deflate(&stream, Z_FINISH);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    return out;
  }

  // All of a file in batches, and what ended it.
  struct Whole {
    LineCounts counts;
    size_t events = 0;
    size_t batches = 0;
    absl::Status end;
  };
  static Whole ReadAll(const std::string& path, size_t max_events = 1000) {
    Whole whole;
    absl::StatusOr<std::unique_ptr<LogFile>> file = LogFile::Open(path);
    if (!file.ok()) {
      whole.end = file.status();
      return whole;
    }
    auto reader = NewEximReader({.zone = absl::UTCTimeZone()});
    EventBatch batch;
    while (true) {
      const absl::StatusOr<bool> more = (*file)->Read(reader.get(), max_events, &batch);
      whole.end = more.status();
      whole.counts += batch.counts;
      whole.events += batch.size();
      ++whole.batches;
      EXPECT_LE(batch.size(), max_events);
      batch.Clear();
      if (!more.ok() || !*more) return whole;
    }
  }

  std::string folder_;
  const std::string corpus_ = ReadTestdata("exim/exim-default.log");
};

constexpr char kLine[] = "2026-11-22 00:00:00 1hIAif-00H7J4-Lb => r@d R=r";

TEST_F(LogFileTest, PlainFile) {
  const Whole whole = ReadAll(Write("log", corpus_));
  EXPECT_THAT(whole.end, IsOk());
  EXPECT_EQ(whole.counts.lines, 2111);
  EXPECT_EQ(whole.counts.malformed, 0);
}

TEST_F(LogFileTest, BatchSizeChangesNothing) {
  const std::string path = Write("log", corpus_);
  const Whole whole = ReadAll(path, 1'000'000);
  EXPECT_EQ(whole.batches, 1u);
  for (size_t size : {1, 2, 7, 1000}) {
    const Whole batched = ReadAll(path, size);
    EXPECT_EQ(batched.counts, whole.counts);
    EXPECT_EQ(batched.events, whole.events);
    EXPECT_GE(batched.batches, whole.events / size);
  }
}

TEST_F(LogFileTest, GzipIsRecognisedByItsBytes) {
  const std::string path = Write("no-suffix", Gzip(corpus_));
  const Whole whole = ReadAll(path);
  EXPECT_THAT(whole.end, IsOk());
  EXPECT_EQ(whole.counts, ReadAll(Write("log.gz", corpus_)).counts);
}

TEST_F(LogFileTest, GzipOfSeveralMembersAndPadding) {
  const std::string half = corpus_.substr(0, corpus_.find('\n', 100000) - 20);
  const std::string bytes = Gzip(half) + Gzip(corpus_.substr(half.size())) + std::string(512, '\0');
  const Whole whole = ReadAll(Write("log", bytes));
  EXPECT_THAT(whole.end, IsOk());
  EXPECT_EQ(whole.counts.lines, 2111);
}

TEST_F(LogFileTest, CutGzipCountsWhatCameBefore) {
  const std::string bytes = Gzip(corpus_);
  const Whole whole = ReadAll(Write("log.gz", bytes.substr(0, bytes.size() / 2)));
  EXPECT_THAT(whole.end, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("log.gz: damaged")));
  EXPECT_GT(whole.counts.lines, 500);
  EXPECT_LT(whole.counts.lines, 2111);
  EXPECT_EQ(whole.counts.malformed, 0);
}

TEST_F(LogFileTest, DamagedGzip) {
  std::string bytes = Gzip(corpus_);
  bytes[bytes.size() - 6] ^= 1;  // the checksum
  const Whole whole = ReadAll(Write("log.gz", bytes));
  EXPECT_THAT(whole.end, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
  EXPECT_EQ(whole.counts.lines, 2111);
  EXPECT_THAT(ReadAll(Write("b.gz", "\x1f\x8b")).end,
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
  EXPECT_THAT(ReadAll(Write("c.gz", Gzip("x\n") + "garbage")).end,
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
}

TEST_F(LogFileTest, LastLineWithoutLf) {
  EXPECT_EQ(ReadAll(Write("log", kLine)).counts.attempts, 1);
  EXPECT_EQ(ReadAll(Write("log", std::string(kLine) + "\n")).counts.lines, 1);
  EXPECT_EQ(ReadAll(Write("log", std::string(kLine) + "\n\n")).counts.lines, 2);
}

TEST_F(LogFileTest, EmptyFile) {
  EXPECT_EQ(ReadAll(Write("log", "")).counts, LineCounts{});
  EXPECT_EQ(ReadAll(Write("log.gz", Gzip(""))).counts, LineCounts{});
  EXPECT_THAT(ReadAll(Write("log", "")).end, IsOk());
}

TEST_F(LogFileTest, OverLongLine) {
  const Whole whole = ReadAll(
      Write("log", std::string(1 << 20, 'x') + "\n" + kLine + "\n" + std::string(70000, 'y')));
  EXPECT_EQ(whole.counts.malformed, 2);
  EXPECT_EQ(whole.counts.attempts, 1);
}

TEST_F(LogFileTest, FirstLineIsNotConsumed) {
  for (const std::string& bytes : {corpus_, Gzip(corpus_)}) {
    auto file = LogFile::Open(Write("log", bytes));
    ASSERT_THAT(file, IsOk());
    EXPECT_THAT(std::string((*file)->head()), HasSubstr("daemon started"));
    EXPECT_THAT(std::string((*file)->head()), HasSubstr("daemon started"));
    auto reader = NewEximReader({});
    EventBatch batch;
    EXPECT_FALSE((*file)->Read(reader.get(), 1'000'000, &batch).value());
    EXPECT_EQ(batch.counts.lines, 2111);
    EXPECT_EQ((*file)->bytes_read(), static_cast<int64_t>(bytes.size()));
    EXPECT_EQ((*file)->size(), static_cast<int64_t>(bytes.size()));
  }
  auto whole_line = LogFile::Open(Write("log", "no end"));
  EXPECT_EQ((*whole_line)->head(), "no end");
  auto empty = LogFile::Open(Write("log", ""));
  EXPECT_EQ((*empty)->head(), "");
}

TEST_F(LogFileTest, StampsWithoutYearAreBeforeTheFilesModification) {
  const std::string path = Write("log",
                                 "Dec 31 23:59:59 vm exim[1]: 1hIAif-00H7J4-Lb => r@d R=r\n"
                                 "Jan  1 00:00:01 vm exim[1]: 1hIAif-00H7J4-Lb => r@d R=r\n");
  const timespec written = {
      .tv_sec = absl::ToTimeT(absl::FromCivil(absl::CivilDay(2021, 1, 1), absl::UTCTimeZone())),
      .tv_nsec = 0};
  const timespec times[] = {written, written};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  auto file = LogFile::Open(path);
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ((*file)->modified(), absl::TimeFromTimespec(written));
  auto reader = NewEximReader({.zone = absl::UTCTimeZone()});
  EventBatch batch;
  EXPECT_FALSE((*file)->Read(reader.get(), 10, &batch).value());
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(absl::FormatTime("%Y", batch[0].attempt.time, absl::UTCTimeZone()), "2020");
  EXPECT_EQ(absl::FormatTime("%Y", batch[1].attempt.time, absl::UTCTimeZone()), "2021");
}

TEST_F(LogFileTest, WhatCannotBeOpened) {
  EXPECT_THAT(ReadAll(folder_ + "/none").end,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(folder_ + "/none")));
  EXPECT_THAT(ReadAll(folder_).end,
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is a directory")));
  const std::string path = Write("secret", "x");
  chmod(path.c_str(), 0);
  if (access(path.c_str(), R_OK) != 0) {  // not as root
    EXPECT_THAT(ReadAll(path).end,
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace deferd
