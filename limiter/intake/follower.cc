#include "limiter/intake/follower.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "limiter/intake/batch_writer.h"
#include "limiter/intake/open_files.h"
#include "limiter/intake/tailed_file.h"

namespace deferd {
namespace {

// All of a follower but its thread.
class Following : public SteppedFollower {
 public:
  Following(const FollowerOptions& options, std::unique_ptr<LogReader> reader, const Clock* clock,
            Sink sink)
      : options_(options),
        clock_(clock),
        writer_({options.path, options.batch_events, options.resume}, std::move(reader), clock,
                std::move(sink)),
        files_(options.path, clock) {}

  FollowerStatus status() const override { return writer_.status(); }

  bool Look() override {
    if (!begun_) {
      begun_ = true;
      writer_.CountGaps(
          files_.Begin(options_.resume ? &*options_.resume : nullptr, options_.read_rotated_first));
    }
    if (writer_.stopped()) return false;
    const absl::Time began_to_read = clock_->Now();
    writer_.CountGaps(files_.Look());
    ReportFile();
    ReadAll();
    CloseRotated();
    Flush();
    if (writer_.stopped()) return false;
    // Otherwise files found later were written before.
    const bool saw_all = files_.current() != nullptr && unreadable_ == nullptr &&
                         files_.unreadable().empty() && !files_.undecided();
    if (saw_all) caught_up_ = began_to_read;
    writer_.CaughtUp();
    return true;
  }

  // From any thread: the present look ends soon, the next one does nothing.
  void Stop() { writer_.Stop(); }
  void Wait() { writer_.Wait(files_.fd()); }

 private:
  void ReportFile() {
    // Whether it can be read shows when reading; see ReadAll.
    if (files_.current() != nullptr && unreadable_ == files_.current()) return;
    const bool readable = files_.current() != nullptr;
    std::string problem;
    if (!files_.unreadable().empty()) {
      problem = absl::StrCat(files_.unreadable(),
                             ": cannot be opened; it may hold lines not read yet, and is "
                             "tried again");
    }
    if (!readable) problem = std::string(files_.problem().message());
    if (files_.undecided()) {
      absl::StrAppend(&problem, "; reading goes on where it ended as soon as it is there");
    }
    writer_.SetReadable(readable, std::move(problem));
    writer_.SetNothingToRead(!readable && !files_.undecided() &&
                             absl::IsNotFound(files_.problem()));
  }

  void ReadAll() {
    for (size_t i = 0; i < files_.files().size(); ++i) {
      for (bool more = !files_.files()[i]->damaged; more && !writer_.stopped();) {
        TailedFile* file = files_.files()[i].get();
        absl::string_view bytes;
        switch (file->Read(&bytes)) {
          case TailedFile::Result::kBytes:
            ReportReadable(file);
            Feed(bytes, file);
            break;
          case TailedFile::Result::kCut:
            if (files_.TakeUpCopy(i)) {
              files_.files()[i + 1]->Restart();
            } else {
              file->Restart();
              writer_.CountGaps(1);
            }
            break;
          case TailedFile::Result::kEnd:
            ReportReadable(file);
            more = false;
            if (file->packed() && file != files_.current()) FinishLine(file);
            EndCopy(file);
            break;
          case TailedFile::Result::kError:
            ReportUnreadable(file);
            more = false;
            break;
        }
      }
    }
  }

  // After a copy the file continues with a new line: half a line is lost.
  void EndCopy(TailedFile* file) {
    if (!file->is_copy || file->packed() || !file->splitter.mid_line()) return;
    file->splitter.Reset(file->splitter.fed());
    file->MarkLine(file->splitter.line_end());
    file->is_copy = false;
    writer_.CountGaps(1);
  }

  // Nobody will complete the last line: it counts as a line.
  void FinishLine(TailedFile* file) {
    feeding_ = file;
    file->splitter.Finish([this](absl::string_view line) { TakeLine(line); },
                          [this] { writer_.SkipLine(); });
    file->MarkLine(file->splitter.line_end());
    feeding_ = nullptr;
  }

  // Files that no writer is expected to use any more and that were read to their end.
  void CloseRotated() {
    if (writer_.stopped()) return;
    const absl::Duration now = clock_->Elapsed();
    for (size_t i = 0; i < files_.files().size();) {
      TailedFile* file = files_.files()[i].get();
      const bool over = now - file->rotated_at >= options_.keep_rotated;
      if (file == files_.current() || !over) {
        ++i;
        continue;
      }
      FinishLine(file);
      if (unreadable_ == file) unreadable_ = nullptr;
      files_.Close(i);
    }
  }

  void Feed(absl::string_view bytes, TailedFile* file) {
    writer_.CountBytes(bytes.size());
    const absl::Time now = clock_->Now();
    writer_.reader()->set_latest(now + absl::Hours(24));
    // Not if the clock was set back meanwhile.
    writer_.reader()->set_written(caught_up_ <= now ? caught_up_ : absl::InfinitePast(), now);
    feeding_ = file;
    file->splitter.Feed(
        bytes, [this](absl::string_view line) { TakeLine(line); }, [this] { writer_.SkipLine(); });
    file->MarkLine(file->splitter.line_end());
    feeding_ = nullptr;
  }

  void TakeLine(absl::string_view line) {
    writer_.TakeLine(line);
    if (writer_.full()) Flush();
  }

  void Flush() {
    if (feeding_ != nullptr) feeding_->MarkLine(feeding_->splitter.line_end());
    writer_.Flush({.files = files_.Positions()});
  }

  void ReportUnreadable(TailedFile* file) {
    if (file->packed() && file != files_.current()) {
      // Everything before the damage was read. The file stays open, so that it is recognised later.
      file->damaged = true;
      writer_.CountGaps(1);
      return;
    }
    if (file != files_.current()) return;
    unreadable_ = file;
    writer_.SetReadable(false, "cannot be read");
  }

  void ReportReadable(const TailedFile* file) {
    if (unreadable_ != file) return;
    unreadable_ = nullptr;
    writer_.SetReadable(true, "");
  }

  const FollowerOptions options_;
  const Clock* const clock_;
  BatchWriter writer_;

  // Used by the caller of Look only.
  OpenFiles files_;
  TailedFile* feeding_ = nullptr;                // the file whose lines are being read
  const TailedFile* unreadable_ = nullptr;       // the one at the path, if its last read failed
  absl::Time caught_up_ = absl::InfinitePast();  // everything written until then was read
  bool begun_ = false;
};

class FollowerThread : public Follower {
 public:
  FollowerThread(const FollowerOptions& options, std::unique_ptr<LogReader> reader,
                 const Clock* clock, Sink sink)
      : following_(options, std::move(reader), clock, std::move(sink)), thread_([this] {
          while (following_.Look()) following_.Wait();
        }) {}

  ~FollowerThread() override {
    following_.Stop();
    thread_.join();
  }

  FollowerStatus status() const override { return following_.status(); }

 private:
  Following following_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Follower> Follower::Start(const FollowerOptions& options,
                                          std::unique_ptr<LogReader> reader, const Clock* clock,
                                          Sink sink) {
  return std::make_unique<FollowerThread>(options, std::move(reader), clock, std::move(sink));
}

std::unique_ptr<SteppedFollower> SteppedFollower::New(const FollowerOptions& options,
                                                      std::unique_ptr<LogReader> reader,
                                                      const Clock* clock, Sink sink) {
  return std::make_unique<Following>(options, std::move(reader), clock, std::move(sink));
}

}  // namespace deferd
