// Log text through a reader, for tests: what was read, with the verbs that the tests speak in.

#ifndef DEFERD_TESTS_LIMITER_INTAKE_LOG_TEXT_H_
#define DEFERD_TESTS_LIMITER_INTAKE_LOG_TEXT_H_

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "limiter/intake/exim_reader.h"
#include "policy/attempt.h"
#include "tests/testdata.h"

namespace deferd {

inline std::string ReadTestdata(const std::string& name) {
  std::ifstream file(TestData(name), std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

inline std::vector<std::string> TestdataLines(const std::string& name) {
  return absl::StrSplit(ReadTestdata(name), '\n', absl::SkipEmpty());
}

inline absl::TimeZone Zone(const std::string& name) {
  absl::TimeZone zone;
  if (!absl::LoadTimeZone(name, &zone)) return absl::FixedTimeZone(-1);
  return zone;
}

// " name=value", unless the value is empty.
inline void AppendIf(absl::string_view name, absl::string_view value, std::string* to) {
  if (!value.empty()) absl::StrAppend(to, " ", name, "=", value);
}

// What a reader made of some lines.
struct Reading {
  LineCounts counts;
  std::vector<Attempt> attempts;
  std::vector<MessageKey> completed;
};

class LogText {
 public:
  explicit LogText(EximReaderOptions options = {.zone = absl::UTCTimeZone()})
      : reader_(NewEximReader(options)) {}

  LogText& Line(absl::string_view line) {
    reader_->ReadLine(line, &batch_);
    return *this;
  }
  LogText& Lines(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) Line(line);
    return *this;
  }

  Reading Take() {
    Reading reading{.counts = batch_.counts};
    for (size_t i = 0; i < batch_.size(); ++i) {
      if (batch_[i].kind == LogEvent::Kind::kAttempt) {
        reading.attempts.push_back(batch_[i].attempt);
      } else {
        reading.completed.push_back(batch_[i].attempt.message);
      }
    }
    batch_.Clear();
    return reading;
  }

  LogReader& reader() { return *reader_; }

 private:
  std::unique_ptr<LogReader> reader_;
  EventBatch batch_;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_INTAKE_LOG_TEXT_H_
