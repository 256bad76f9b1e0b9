// Parses time stamps at the beginning of a log line.
//
// Exim's format: "2026-11-22 00:15:04", then optionally ".247" and " +0100" (Exim specification,
// chapter 53). Syslog's: "Nov 22 00:15:04" without year or zone (RFC 3164), or RFC 3339. A stamp
// without a zone is in the configured zone. A local time that does not exist uses the offset before
// the jump. For a local time that occurs twice (the clock goes back) the reading is chosen that
//   1. lies in the time in which the line was written, if known (set_written);
//   2. is not before the previous line, because the lines of a log are in order;
//   3. is nearest to the previous line.
// A stamp without a year takes the latest year in which the stamp is not after `latest`, or the
// previous line's year if `latest` was not set.
//
// One reader per source: it remembers the previous line and caches the conversion of the last
// minute, which nearly every line repeats. Not thread-safe.

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

  // For stamps without a year: the file's modification time plus a day, or the current time.
  void set_latest(absl::Time latest) {
    latest_ = latest;
    traditional_.size = 0;
  }

  // The following lines were written after `after` and before `before`; infinite where not known.
  void set_written(absl::Time after, absl::Time before) {
    written_after_ = after;
    written_before_ = before;
  }

  // Each takes a stamp and the blank after it from the front of `text`. Returns nullopt, and leaves
  // `text` unchanged, if there is no stamp or its date does not exist.
  std::optional<absl::Time> TakeExim(absl::string_view* text);
  std::optional<absl::Time> TakeSyslog(absl::string_view* text);  // both kinds

  // The time of a stamp of any form, with year and zone added as above. nullopt: no date, or no
  // possible year has the date.
  std::optional<absl::Time> Resolve(const StampText& stamp);

  // The previous line's reading, to undo an attempt.
  absl::Time previous() const { return previous_; }
  void set_previous(absl::Time time) { previous_ = time; }

  // The state that later readings depend on: the previous line and the cached minutes.
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
  // Never for a minute that occurs twice.
  Minute exim_;
  Minute traditional_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_STAMP_H_
