#include "limiter/intake/any_reader.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "limiter/intake/log_wrapping.h"

namespace deferd {
namespace {

// A cheap check that holds for every line that Exim's reader understands.
bool MayBeExims(absl::string_view line) {
  for (absl::string_view mark : {"exim", " <= ", " => ", " == ", " ** ", " -> ", " >> ",
                                 " (= ", " Completed", "rejected ", "Sender identification"}) {
    if (absl::StrContains(line, mark)) return true;
  }
  return false;
}

LineCounts Difference(const LineCounts& later, const LineCounts& earlier) {
  return {.lines = later.lines - earlier.lines,
          .attempts = later.attempts - earlier.attempts,
          .not_mine = later.not_mine - earlier.not_mine,
          .rejected = later.rejected - earlier.rejected,
          .malformed = later.malformed - earlier.malformed};
}

class BothReader : public AnyReader {
 public:
  BothReader(const EximReaderOptions& exim, const PostfixReaderOptions& postfix)
      : exim_(NewEximReader(exim)), postfix_(NewPostfixReader(postfix)) {}

  void ReadLine(absl::string_view line, EventBatch* batch) override {
    switch (unwrapper_.Take(&line)) {
      case LogUnwrapper::Result::kNothing:
        ++batch->counts.lines;
        ++batch->counts.not_mine;
        return;
      case LogUnwrapper::Result::kBroken:
        SkipLine(batch);
        return;
      case LogUnwrapper::Result::kLine:
        break;
    }
    const LineCounts before = batch->counts;
    if (const int64_t events = ReadBy(postfix_.get(), line, batch); events > 0) {
      owners_.postfix += events;
      return;
    }
    const LineCounts as_postfix = batch->counts;
    if (Difference(as_postfix, before).rejected > 0) {
      ++owners_.postfix;
      return;
    }
    if (!MayBeExims(line)) return;
    owners_.exim += ReadBy(exim_.get(), line, batch);
    const LineCounts as_exim = Difference(batch->counts, as_postfix);
    if (as_exim.rejected > 0) ++owners_.exim;
    // The line was read twice but counts once; it is missed only if both readers missed it.
    batch->counts = as_postfix;
    if (as_exim.not_mine == 0) {
      batch->counts = before;
      batch->counts += as_exim;
    }
  }

  void SkipLine(EventBatch* batch) override { postfix_->SkipLine(batch); }

  void Finish(EventBatch* batch) override {
    postfix_->Finish(batch);
    exim_->Finish(batch);
  }

  void set_latest(absl::Time latest) override {
    postfix_->set_latest(latest);
    exim_->set_latest(latest);
  }
  void set_written(absl::Time after, absl::Time before) override {
    postfix_->set_written(after, before);
    exim_->set_written(after, before);
  }

  size_t open_messages() const override {
    return exim_->open_messages() + postfix_->open_messages();
  }
  int64_t evicted() const override { return exim_->evicted() + postfix_->evicted(); }
  absl::Time last_stamp() const override {
    return std::max(exim_->last_stamp(), postfix_->last_stamp());
  }

  // Replay needs no stored state.
  std::string SaveState() const override { return ""; }
  absl::Status Restore(std::vector<OpenMessage> /*open*/, absl::string_view state) override {
    return state.empty() ? absl::OkStatus() : absl::DataLossError("not a log reader's state");
  }

  LogOwners owners() const override { return owners_; }

 private:
  static int64_t ReadBy(LogReader* reader, absl::string_view line, EventBatch* batch) {
    const size_t events = batch->size();
    reader->ReadLine(line, batch);
    return static_cast<int64_t>(batch->size() - events);
  }

  LogUnwrapper unwrapper_;
  const std::unique_ptr<LogReader> exim_;
  const std::unique_ptr<LogReader> postfix_;
  LogOwners owners_;
};

}  // namespace

std::unique_ptr<AnyReader> NewAnyReader(const EximReaderOptions& exim,
                                        const PostfixReaderOptions& postfix) {
  return std::make_unique<BothReader>(exim, postfix);
}

LogOwners OwnersOf(absl::string_view head, absl::TimeZone zone) {
  const std::unique_ptr<AnyReader> reader =
      NewAnyReader({.zone = zone, .open_messages = true}, {.zone = zone, .open_messages = true});
  EventBatch ignored;
  for (absl::string_view line : absl::StrSplit(head, '\n')) reader->ReadLine(line, &ignored);
  return reader->owners();
}

}  // namespace deferd
