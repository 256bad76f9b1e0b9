// Time stamps at the head of a log line.
//
// Exim's own: "2026-11-22 00:15:04", then optionally ".247" and " +0100" (Exim specification,
// chapter 53). Syslog's: "Nov 22 00:15:04" without year or zone (RFC 3164), or RFC 3339. A stamp
// without a zone is local to the configured zone; one that never occurs takes the offset before the
// jump; of one that occurs twice (the hour that a clock goes back) the reading is taken
//   1. that lies where the line was written, if its owner knows that (set_written);
//   2. that does not go back behind the previous line, as a log's lines are in order;
//   3. that is nearest to the previous line.
// A stamp without a year takes the latest year that is not after `latest`; as long
// as no `latest` was set, the year of the previous line.
//
// One reader a source: it remembers the previous line, and the last minute's conversion, since that
// is what nearly every line repeats. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_STAMP_H_
#define DEFERD_LIMITER_INTAKE_STAMP_H_

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "limiter/intake/stamp_text.h"

namespace deferd {

class StampReader {
 public:
  explicit StampReader(absl::TimeZone zone) : zone_(zone) {}

  // For stamps without a year: the file's modification time plus a day, or the clock's.
  void set_latest(absl::Time latest) {
    latest_ = latest;
    traditional_.size = 0;
  }

  // The lines that come were written after `after` and before `before`, by the clock; infinite
  // where that is not known.
  void set_written(absl::Time after, absl::Time before) {
    written_after_ = after;
    written_before_ = before;
  }

  // Each takes a stamp and the blank after it off the front of `text`; nullopt, and `text` as it
  // was, if there is none or its date does not exist.
  std::optional<absl::Time> TakeExim(absl::string_view* text);
  std::optional<absl::Time> TakeSyslog(absl::string_view* text);  // either kind

  // What a stamp of any form means, with year and zone supplied as above. nullopt: it has no date,
  // or the date is none of the years that may be meant.
  std::optional<absl::Time> Resolve(const StampText& stamp);

  // The previous line's reading, to take back one that was tried.
  absl::Time previous() const { return previous_; }
  void set_previous(absl::Time time) { previous_ = time; }

  // What readings of later stamps depend on: the previous line's, and the minutes' conversions.
  struct State {
    absl::Time previous = absl::InfinitePast();
    std::string exim_minute;
    absl::Time exim_start;
  };
  State state() const { return {previous_, std::string(exim_.text, exim_.size), exim_.start}; }
  void Restore(const State& state) {
    previous_ = state.previous;
    exim_.Set(state.exim_minute, state.exim_start);
    traditional_.size = 0;
  }

 private:
  // Longest text of a minute: "2026-11-22 00:15".
  static constexpr size_t kMinuteSize = 16;

  // The conversion of the last minute seen.
  struct Minute {
    bool Is(absl::string_view other) const {
      return other.size() == size && std::memcmp(other.data(), text, size) == 0;
    }
    void Set(absl::string_view other, absl::Time time) {
      size = other.size() < kMinuteSize ? other.size() : kMinuteSize;
      std::memcpy(text, other.data(), size);
      start = time;
    }

    char text[kMinuteSize];
    size_t size = 0;
    absl::Time start;
  };

  std::optional<absl::Time> TakeTraditional(absl::string_view* text);
  std::optional<absl::Time> TakeRfc3339(absl::string_view* text);

  absl::Time Local(absl::CivilSecond civil) const;
  bool OccursTwice(absl::Time time) const;
  absl::Time LocalNamed(absl::CivilSecond civil, absl::string_view zone) const;
  std::optional<absl::Time> LatestYear(int month, int day, int hour, int minute) const;

  absl::TimeZone zone_;
  absl::Time latest_ = absl::InfiniteFuture();
  absl::Time written_after_ = absl::InfinitePast();
  absl::Time written_before_ = absl::InfiniteFuture();
  absl::Time previous_ = absl::InfinitePast();
  // Never of a minute that occurs twice.
  Minute exim_;
  Minute traditional_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_STAMP_H_
