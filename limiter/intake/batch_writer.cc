#include "limiter/intake/batch_writer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace deferd {

namespace {

constexpr int kLookEveryMs = 1000;

}  // namespace

BatchWriter::BatchWriter(const Options& options, std::unique_ptr<LogReader> reader,
                         const Clock* clock, Follower::Sink sink)
    : options_(options),
      clock_(clock),
      sink_(std::move(sink)),
      reader_(std::move(reader)),
      tally_(clock->Now()),
      wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  MutexLock lock(&mutex_);
  status_.path = options_.source;
  if (!options_.resume) return;
  sent_ = *options_.resume;
  status_.gaps = sent_.gaps;
  status_.last_gap = sent_.last_gap;
}

BatchWriter::~BatchWriter() { close(wake_fd_); }

void BatchWriter::TakeLine(absl::string_view line) { tally_.Read(reader_.get(), line, Batch()); }

void BatchWriter::SkipLine() { tally_.Skip(reader_.get(), Batch()); }

void BatchWriter::SkipForeign() {
  LineCounts& counts = Batch()->counts;
  ++counts.lines;
  ++counts.not_mine;
}

EventBatch* BatchWriter::Batch() {
  if (batch_ == nullptr) batch_ = std::make_unique<EventBatch>();
  return batch_.get();
}

void BatchWriter::Flush(LogPosition where) {
  where.reader = reader_->SaveState();
  {
    MutexLock lock(&mutex_);
    where.gaps = status_.gaps;
    where.last_gap = status_.last_gap;
  }
  if (batch_ == nullptr && where == sent_) return;
  {
    MutexLock lock(&mutex_);
    last_stamp_ = reader_->last_stamp();
    status_.open_messages = reader_->open_messages();
    status_.evicted = reader_->evicted();
    status_.read = tally_.counts();
  }
  Batch()->position = {.source = options_.source, .position = where};
  sent_ = std::move(where);
  if (refused_ || !sink_(std::exchange(batch_, nullptr))) {
    refused_ = true;
    stop_ = true;
  }
}

void BatchWriter::CountBytes(size_t bytes) {
  MutexLock lock(&mutex_);
  behind_ = true;
  status_.bytes += static_cast<int64_t>(bytes);
}

void BatchWriter::CountGaps(int gaps) {
  if (gaps == 0) return;
  MutexLock lock(&mutex_);
  status_.gaps += gaps;
  status_.last_gap = clock_->Now();
}

void BatchWriter::SetReadable(bool readable, std::string problem) {
  MutexLock lock(&mutex_);
  status_.readable = readable;
  status_.problem = std::move(problem);
}

void BatchWriter::SetNothingToRead(bool nothing) {
  MutexLock lock(&mutex_);
  nothing_to_read_ = nothing;
}

void BatchWriter::CaughtUp() {
  MutexLock lock(&mutex_);
  behind_ = false;
  if (status_.readable || nothing_to_read_) status_.at_end = true;
}

bool BatchWriter::behind() const {
  MutexLock lock(&mutex_);
  return behind_;
}

FollowerStatus BatchWriter::status() const {
  const absl::Time now = clock_->Now();
  MutexLock lock(&mutex_);
  FollowerStatus status = status_;
  status.last_stamp = last_stamp_;
  if (behind_ && last_stamp_ != absl::InfinitePast()) {
    status.lag = std::max(now - last_stamp_, absl::ZeroDuration());
  }
  return status;
}

void BatchWriter::Stop() {
  stop_ = true;
  eventfd_write(wake_fd_, 1);
}

void BatchWriter::Wait(int fd) {
  pollfd fds[] = {{.fd = wake_fd_, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
  poll(fds, 2, kLookEveryMs);
}

}  // namespace deferd
