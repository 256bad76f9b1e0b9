#include "limiter/ctl/replay_input.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_split.h"
#include "limiter/intake/stamp.h"
#include "limiter/port/clock.h"

namespace deferd {
namespace {

constexpr size_t kMaxOpen = 10'000'000;

std::unique_ptr<LogReader> NewReader(LogFormat format, const ReplayOptions& options) {
  const bool arrivals =
      options.arrivals || (options.policy != nullptr && options.policy->JudgesSent());
  const EximReaderOptions exim = {.zone = options.zone,
                                  .max_open_messages = kMaxOpen,
                                  .open_messages = arrivals,
                                  .own_hosts = options.lists.internal_hosts,
                                  .relay_hosts = options.lists.relay_hosts};
  const PostfixReaderOptions postfix = {.zone = options.zone,
                                        .max_open_messages = kMaxOpen,
                                        .open_messages = arrivals,
                                        .own_hosts = options.lists.internal_hosts,
                                        .relay_hosts = options.lists.relay_hosts};
  if (format == LogFormat::kExim) return NewEximReader(exim);
  if (format == LogFormat::kPostfix) return NewPostfixReader(postfix);
  return NewAnyReader(exim, postfix);
}

// Exim wrote it itself: most lines begin with its stamp, and none is Postfix's.
bool IsEximsOwn(absl::string_view head, absl::TimeZone zone) {
  StampReader stamps(zone);
  int own = 0, lines = 0;
  for (absl::string_view line : absl::StrSplit(head, '\n', absl::SkipEmpty())) {
    ++lines;
    if (stamps.TakeExim(&line)) ++own;
  }
  return own > 0 && own * 2 > lines && OwnersOf(head, zone).postfix == 0;
}

// The first stamp near a file's beginning, read by a reader of its own: a damaged first line must
// not move the file to another place.
absl::Time FirstStamp(LogFormat format, const ReplayOptions& options, LogFile* file) {
  std::unique_ptr<LogReader> reader = NewReader(format, options);
  reader->set_latest(std::min(file->modified(), SystemClock().Now()) + absl::Hours(24));
  EventBatch ignored;
  for (absl::string_view line : absl::StrSplit(file->head(), '\n')) {
    reader->ReadLine(line, &ignored);
    if (reader->last_stamp() != absl::InfinitePast()) break;
  }
  return reader->last_stamp();
}

std::string NameOf(bool exim, bool postfix) {
  if (exim && postfix) return "exim and postfix";
  return exim ? "exim" : postfix ? "postfix" : "none";
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReplayInput>> ReplayInput::Open(const ReplayOptions& options) {
  std::unique_ptr<ReplayInput> input(new ReplayInput(options));
  std::deque<File> exim, others;
  for (const std::string& path : options.paths) {
    absl::StatusOr<std::unique_ptr<LogFile>> log = LogFile::Open(path);
    if (!log.ok()) return log.status();
    input->total_bytes_ += (*log)->size();
    File file = {path, *std::move(log)};
    const bool own =
        options.format == LogFormat::kExim ||
        (options.format == LogFormat::kAny && IsEximsOwn(file.log->head(), options.zone));
    (own ? exim : others).push_back(std::move(file));
  }
  input->AddStream(LogFormat::kExim, std::move(exim));
  input->AddStream(options.format, std::move(others));
  return input;
}

void ReplayInput::AddStream(LogFormat format, std::deque<File> files) {
  if (files.empty()) return;
  // mainlog* gives the newest first; counting needs the order of time.
  if (files.size() > 1) {
    for (File& file : files) file.first = FirstStamp(format, options_, file.log.get());
    std::stable_sort(files.begin(), files.end(),
                     [](const File& a, const File& b) { return a.first < b.first; });
  }
  Stream& stream = streams_.emplace_back();
  stream.files = std::move(files);
  stream.reader = NewReader(format, options_);
  if (format == LogFormat::kAny) stream.any = static_cast<AnyReader*>(stream.reader.get());
  stream.format = NameOf(format == LogFormat::kExim, format == LogFormat::kPostfix);
}

absl::StatusOr<bool> ReplayInput::Next(EventBatch* batch) {
  batch->Clear();
  // Beside another, a stream may give an event at a time only.
  const size_t max_events = streams_.size() > 1 ? 1 : options_.batch_events;
  Stream* first = nullptr;
  for (Stream& stream : streams_) {
    if (!stream.has_next) {
      absl::Status filled = Fill(max_events, &stream);
      if (!filled.ok()) return filled;
    }
    if (!stream.has_next) continue;
    if (first == nullptr || stream.next[0].attempt.time < first->next[0].attempt.time) {
      first = &stream;
    }
  }
  if (first == nullptr) {
    // Lines without an event, behind the last one that had one, and what waited for its arrival.
    for (Stream& stream : streams_) {
      batch->counts += stream.next.counts;
      stream.next.Clear();
      stream.reader->Finish(batch);
    }
    return false;
  }
  std::swap(*batch, first->next);
  first->has_next = false;
  return true;
}

// Until there is an event or nothing more.
absl::Status ReplayInput::Fill(size_t max_events, Stream* stream) {
  stream->next.Clear();
  while (!stream->files.empty() && stream->next.size() == 0) {
    absl::StatusOr<bool> more =
        stream->files.front().log->Read(stream->reader.get(), max_events, &stream->next);
    if (!more.ok()) return more.status();
    if (!*more) EndFile(stream);
  }
  stream->has_next = stream->next.size() > 0;
  return absl::OkStatus();
}

void ReplayInput::EndFile(Stream* stream) {
  done_bytes_ += stream->files.front().log->size();
  std::string format = stream->format;
  if (stream->any != nullptr) {
    const LogOwners now = stream->any->owners();
    format = NameOf(now.exim > stream->before.exim, now.postfix > stream->before.postfix);
    stream->before = now;
  }
  found_.push_back({stream->files.front().path, format});
  stream->files.pop_front();
}

double ReplayInput::done() const {
  int64_t bytes = done_bytes_;
  for (const Stream& stream : streams_) {
    if (!stream.files.empty()) bytes += stream.files.front().log->bytes_read();
  }
  return total_bytes_ == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(total_bytes_);
}

}  // namespace deferd
