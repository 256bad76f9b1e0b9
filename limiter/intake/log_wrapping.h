// Unwraps lines that another program stored in a container format: Docker's json-file and other
// JSON with one object per line (journalctl -o json, Logstash, rsyslog, Vector, GELF), Fluentd's
// records, pairs (time="STAMP" msg="TEXT"), Kubernetes' CRI files, and `journalctl -o export` with
// several lines per entry. The result is the original line, "STAMP TEXT" or "STAMP PROGRAM[PID]:
// TEXT", which is then read like any other (syslog_prefix.h).
//
// One per source; it keeps the parts of an incomplete entry. Not thread-safe.

#ifndef DEFERD_LIMITER_INTAKE_LOG_WRAPPING_H_
#define DEFERD_LIMITER_INTAKE_LOG_WRAPPING_H_

#include <array>
#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "limiter/intake/systemd_journal.h"
#include "nlohmann/json_fwd.hpp"

namespace deferd {

class LogUnwrapper {
 public:
  enum class Result {
    kLine,     // `*line` is complete
    kNothing,  // part of an incomplete entry, or nothing to read
    kBroken,   // begins like one of these formats, but cannot be parsed
  };

  // Most lines have none of these formats and are returned unchanged. `*line` is valid until the
  // next call.
  Result Take(absl::string_view* line) {
    if (!in_entry_ && !in_pieces_ && (line->empty() || !MayBeWrapped(*line))) return Result::kLine;
    return TakeWrapped(line);
  }

  // State of unfinished entries for the next reader; usually empty. Restore accepts the result of
  // SaveState and treats anything else as empty.
  std::string SaveState() const;
  void Restore(absl::string_view state);

 private:
  static bool MayBeWrapped(absl::string_view line) {
    const char first = line.front();
    return first == '{' || first == '_' || first == '\xEF' ||
           (line.size() > 38 && line[10] == 'T') || BeginsLikePairs(line);
  }
  static bool BeginsLikePairs(absl::string_view line) {
    for (absl::string_view name : {"time=", "ts=", "timestamp=", "level="}) {
      if (line.substr(0, name.size()) == name) return true;
    }
    return false;
  }

  Result TakeWrapped(absl::string_view* line);
  Result TakeJson(absl::string_view* line);
  Result TakeRecord(absl::string_view* line, bool* is_one);
  Result TakePairs(absl::string_view* line, bool* is_one);
  Result TakeFields(const nlohmann::json& object, const std::string& outside,
                    absl::string_view* line);
  Result TakePiece(absl::string_view* line, bool* is_one);
  Result TakeExport(absl::string_view* line);
  Result TakeBinary(absl::string_view line);
  void KeepField(absl::string_view name, absl::string_view value);
  Result EndEntry(absl::string_view* line);

  std::string text_;  // of the line returned last

  bool InPieces() const { return cut_[0] || cut_[1] || !pieces_[0].empty() || !pieces_[1].empty(); }

  // A container line that was split, per stream. Docker's pieces after the first are skipped: mail
  // servers do not write lines of 16 KiB, where splitting begins.
  bool in_pieces_ = false;
  std::array<bool, 2> cut_ = {false, false};
  std::array<std::string, 2> pieces_;

  // An entry of the export format.
  bool in_entry_ = false;
  JournalEntry entry_;
  std::string binary_name_;  // of the field whose size and bytes follow
  std::string binary_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_LOG_WRAPPING_H_
