// Lines of files in which somebody else stored what a program wrote: Docker's json-file and other
// JSON of one object a line (journalctl -o json, Logstash, rsyslog, Vector, GELF), Fluentd's
// records, pairs (time="STAMP" msg="TEXT"), pieces of Kubernetes' CRI files, and `journalctl -o
// export`, whose entries are many lines. They become the line that stood before: "STAMP TEXT" or
// "STAMP PROGRAM[PID]: TEXT", to be read like any other (syslog_prefix.h).
//
// One a source; it keeps what an entry or a line that was cut in pieces needs until it is whole.
// Not thread-safe.

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
    kLine,     // `*line` is one to read
    kNothing,  // part of an entry that is not whole yet, or that tells nothing
    kBroken,   // it began as one of these and does not go on so
  };

  // Most lines are no such ones and come back as they are. What `*line` becomes is valid until the
  // next call.
  Result Take(absl::string_view* line) {
    if (!in_entry_ && !in_pieces_ && (line->empty() || !MayBeWrapped(*line))) return Result::kLine;
    return TakeWrapped(line);
  }

  // What of unfinished entries the next reader needs; empty most of the time. Restore takes what
  // SaveState gave; anything else is as empty.
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

  std::string text_;  // of the line handed out last

  bool InPieces() const { return cut_[0] || cut_[1] || !pieces_[0].empty() || !pieces_[1].empty(); }

  // A container's line that is cut, by stream. Docker's pieces behind the first are passed over: no
  // mail server writes lines as long as the 16 KiB at which those begin.
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
