#include "limiter/intake/log_wrapping.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "limiter/intake/journal_line.h"
#include "limiter/intake/line_splitter.h"
#include "nlohmann/json.hpp"

namespace deferd {
namespace {

using Json = nlohmann::json;

constexpr size_t kDockerPiece = 16 << 10;  // Docker splits lines at this size
constexpr char kBom[] = "\xEF\xBB\xBF";

// "process.name": a key with dots, or a key inside another object (Elastic).
const Json* Find(const Json& object, absl::string_view name) {
  const auto whole = object.find(std::string(name));
  if (whole != object.end()) return &*whole;
  const size_t point = name.find('.');
  if (point == absl::string_view::npos) return nullptr;
  const auto outer = object.find(std::string(name.substr(0, point)));
  if (outer == object.end() || !outer->is_object()) return nullptr;
  return Find(*outer, name.substr(point + 1));
}

// The first of `names` with a text value; journalctl writes non-UTF-8 bytes as an array of
// numbers, and numbers as texts.
std::optional<std::string> Text(const Json& object, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const Json* const it = Find(object, name);
    if (it == nullptr) continue;
    if (it->is_string()) return it->get<std::string>();
    if (it->is_number_integer()) return absl::StrCat(it->get<int64_t>());
    if (it->is_number_float()) return absl::StrFormat("%.6f", it->get<double>());
    if (!it->is_array()) continue;
    std::string bytes;
    for (const Json& byte : *it) {
      if (!byte.is_number_unsigned() || byte.get<uint64_t>() > 255) return std::nullopt;
      bytes.push_back(static_cast<char>(byte.get<uint64_t>()));
    }
    return bytes;
  }
  return std::nullopt;
}

// The result is always one line; the line end written by containers is removed.
std::string OneLine(absl::string_view text) {
  absl::ConsumeSuffix(&text, "\n");
  absl::ConsumeSuffix(&text, "\r");
  std::string line;
  for (const char c : text) {
    const bool ends = c == '\n' || c == '\r' || c == '\0';
    line.push_back(ends ? ' ' : c);
  }
  return line;
}

bool IsFieldName(absl::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (const char c : name) {
    if (!absl::ascii_isupper(static_cast<unsigned char>(c)) &&
        !absl::ascii_isdigit(static_cast<unsigned char>(c)) && c != '_') {
      return false;
    }
  }
  return true;
}

bool TakeMicros(absl::string_view digits, absl::Time* time) {
  int64_t micros = 0;
  if (!absl::SimpleAtoi(digits, &micros)) return false;
  *time = absl::FromUnixMicros(micros);
  return true;
}

}  // namespace

LogUnwrapper::Result LogUnwrapper::TakeWrapped(absl::string_view* line) {
  if (in_entry_) return TakeExport(line);
  if (absl::ConsumePrefix(line, kBom) && line->empty()) return Result::kLine;
  if (line->empty()) return Result::kLine;
  if (line->front() == '{') return TakeJson(line);
  if (absl::StartsWith(*line, "__CURSOR=") || absl::StartsWith(*line, "__REALTIME_TIMESTAMP=")) {
    return TakeExport(line);
  }
  bool is_one = false;
  Result result = TakePiece(line, &is_one);
  if (!is_one && absl::StrContains(line->substr(0, 200), "\t{")) result = TakeRecord(line, &is_one);
  if (!is_one && BeginsLikePairs(*line)) result = TakePairs(line, &is_one);
  return is_one ? result : Result::kLine;
}

// {"log":"TEXT\n","stream":"stdout","time":"STAMP"}, {"MESSAGE":"TEXT","SYSLOG_IDENTIFIER":..},
// {"@timestamp":"STAMP","message":"TEXT"}.
LogUnwrapper::Result LogUnwrapper::TakeJson(absl::string_view* line) {
  absl::string_view text = absl::StripTrailingAsciiWhitespace(*line);
  absl::ConsumeSuffix(&text, ",");  // an element of a list with one element per line
  const Json object = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  return object.is_object() ? TakeFields(object, "", line) : Result::kBroken;
}

// Fluentd's file: STAMP, the tag, the record, between tabs.
LogUnwrapper::Result LogUnwrapper::TakeRecord(absl::string_view* line, bool* is_one) {
  const size_t tab = line->substr(0, 40).find('\t');
  const size_t brace = line->substr(0, 200).find("\t{");
  if (tab == absl::string_view::npos || brace == absl::string_view::npos || brace <= tab ||
      line->substr(tab + 1, brace - tab - 1).find_first_of(" \t") != absl::string_view::npos) {
    return Result::kLine;
  }
  const absl::string_view text = line->substr(brace + 1);
  const Json object = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Result::kLine;
  *is_one = true;
  return TakeFields(object, std::string(line->substr(0, tab)), line);
}

// `time="STAMP" level=info msg="TEXT"`, as Go programs write it.
LogUnwrapper::Result LogUnwrapper::TakePairs(absl::string_view* line, bool* is_one) {
  Json object = Json::object();
  absl::string_view rest = *line;
  while (!(rest = absl::StripLeadingAsciiWhitespace(rest)).empty()) {
    const size_t equals = rest.find('=');
    if (equals == 0 || equals == absl::string_view::npos ||
        rest.substr(0, equals).find_first_of(" \t\"") != absl::string_view::npos) {
      return Result::kLine;
    }
    const std::string name(rest.substr(0, equals));
    rest.remove_prefix(equals + 1);
    size_t end = std::min(rest.find(' '), rest.size());
    std::string value(rest.substr(0, end));
    if (absl::StartsWith(rest, "\"")) {
      for (end = 1; end < rest.size() && rest[end] != '"'; ++end) {
        if (rest[end] == '\\') ++end;
      }
      if (end >= rest.size()) return Result::kLine;
      if (!absl::CUnescape(rest.substr(1, end - 1), &value)) return Result::kLine;
      ++end;
    }
    rest.remove_prefix(end);
    object.emplace(name, std::move(value));
  }
  if (!Text(object, {"msg", "message"})) return Result::kLine;
  *is_one = true;
  return TakeFields(object, "", line);
}

// `outside`: a stamp that stands before the fields; theirs goes first.
LogUnwrapper::Result LogUnwrapper::TakeFields(const Json& object, const std::string& outside,
                                              absl::string_view* line) {
  const std::optional<std::string> message = Text(
      object, {"log", "MESSAGE", "message", "msg", "Message", "short_message", "event.original"});
  if (!message) return Result::kNothing;
  const std::optional<std::string> program = Text(
      object, {"SYSLOG_IDENTIFIER", "program", "PROGRAM", "programname", "syslogtag", "appname",
               "app_name", "app-name", "ident", "process.name", "log.syslog.appname", "app"});
  std::string stamp = outside;
  JournalEntry entry;
  if (const auto micros = Text(object, {"_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP"});
      micros && TakeMicros(*micros, &entry.time)) {
    stamp = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", entry.time, absl::UTCTimeZone());
  } else if (const auto printed = Text(object, {"time", "@timestamp", "timestamp", "ISODATE",
                                                "timereported", "DATE", "ts", "date"})) {
    stamp = OneLine(*printed);
  }
  if (object.contains("log")) {
    const bool second = object.value("stream", Json()) == "stderr";
    const bool was_cut = std::exchange(
        cut_[second ? 1 : 0], message->size() >= kDockerPiece && !absl::EndsWith(*message, "\n"));
    in_pieces_ = InPieces();
    if (was_cut) return Result::kNothing;
  }
  if (program && !absl::EndsWith(*program, ":")) {
    const std::string pid = Text(object, {"SYSLOG_PID", "_PID", "pid", "PID", "procid",
                                          "process.pid", "log.syslog.procid"})
                                .value_or("");
    const JournalEntry tagged = {.identifier = *program, .pid = pid, .message = *message};
    std::string said;
    if (!JournalLine(tagged, &said)) return Result::kNothing;
    // Uses the zero stamp for an entry without a time.
    text_ = absl::StrCat(stamp, " ", said.substr(said.find(' ') + 1));
  } else {
    text_ = absl::StrCat(stamp, stamp.empty() ? "" : " ", program ? *program : "",
                         program ? " " : "", OneLine(*message));
  }
  *line = text_;
  return Result::kLine;
}

// "2026-11-22T00:15:04.123456789Z stdout F TEXT"; P for F: the line goes on in the next one of that
// stream. The whole has the first piece's stamp.
LogUnwrapper::Result LogUnwrapper::TakePiece(absl::string_view* line, bool* is_one) {
  const size_t blank = line->substr(0, 40).find(' ');
  absl::string_view rest = blank == absl::string_view::npos ? "" : line->substr(blank + 1);
  const bool second = absl::StartsWith(rest, "stderr ");
  if (!second && !absl::StartsWith(rest, "stdout ")) return Result::kLine;
  rest.remove_prefix(7);
  const bool empty_end = rest == "F";
  const bool whole = empty_end || absl::ConsumePrefix(&rest, "F ");
  if (empty_end) rest = "";
  if (!whole && !absl::ConsumePrefix(&rest, "P ")) return Result::kLine;
  *is_one = true;
  std::string& pieces = pieces_[second ? 1 : 0];
  if (whole && pieces.empty()) return Result::kLine;
  // What is longer than any line is cut, as such a line in a file is.
  if (pieces.size() < LineSplitter::kMaxLine) {
    absl::StrAppend(&pieces, pieces.empty() ? *line : rest);
  }
  if (!whole) {
    in_pieces_ = true;
    return Result::kNothing;
  }
  text_ = std::exchange(pieces, "");
  in_pieces_ = InPieces();
  *line = text_;
  return Result::kLine;
}

// systemd.journal-fields(7) as journalctl -o export prints them: NAME=VALUE, or NAME, then eight
// bytes of size (little endian) and that many of value; an empty line ends the entry.
LogUnwrapper::Result LogUnwrapper::TakeExport(absl::string_view* line) {
  if (!in_entry_) {
    in_entry_ = true;
    entry_ = JournalEntry();
    entry_.time = absl::InfinitePast();
    binary_name_.clear();
    binary_.clear();
  }
  if (!binary_name_.empty()) return TakeBinary(*line);
  if (line->empty()) return EndEntry(line);
  const size_t equals = line->find('=');
  const absl::string_view name = line->substr(0, equals);
  if (!IsFieldName(name)) {
    in_entry_ = false;
    return Result::kBroken;
  }
  if (equals == absl::string_view::npos) {
    binary_name_ = std::string(name);
    binary_.clear();
  } else {
    KeepField(name, line->substr(equals + 1));
  }
  return Result::kNothing;
}

LogUnwrapper::Result LogUnwrapper::TakeBinary(absl::string_view line) {
  constexpr size_t kSize = sizeof(uint64_t);
  absl::StrAppend(&binary_, line, "\n");
  if (binary_.size() <= kSize) return Result::kNothing;
  uint64_t size = 0;
  for (size_t i = kSize; i > 0; --i) size = size << 8 | static_cast<unsigned char>(binary_[i - 1]);
  if (size > LineSplitter::kMaxLine || binary_.size() > kSize + size + 1) {
    in_entry_ = false;
    binary_name_.clear();
    return Result::kBroken;
  }
  if (binary_.size() < kSize + size + 1) return Result::kNothing;
  KeepField(binary_name_, absl::string_view(binary_).substr(kSize, size));
  binary_name_.clear();
  binary_.clear();
  return Result::kNothing;
}

void LogUnwrapper::KeepField(absl::string_view name, absl::string_view value) {
  if (name == "MESSAGE") {
    entry_.message = std::string(value);
  } else if (name == "SYSLOG_IDENTIFIER") {
    entry_.identifier = std::string(value);
  } else if (name == "SYSLOG_PID" || (name == "_PID" && entry_.pid.empty())) {
    entry_.pid = std::string(value);
  } else if (name == "_SOURCE_REALTIME_TIMESTAMP" ||
             (name == "__REALTIME_TIMESTAMP" && entry_.time == absl::InfinitePast())) {
    TakeMicros(value, &entry_.time);
  }
}

LogUnwrapper::Result LogUnwrapper::EndEntry(absl::string_view* line) {
  in_entry_ = false;
  if (entry_.time == absl::InfinitePast() || !JournalLine(entry_, &text_)) return Result::kNothing;
  *line = text_;
  return Result::kLine;
}

std::string LogUnwrapper::SaveState() const {
  if (!in_entry_ && !in_pieces_) return "";
  // What is left of an ended entry is nothing that goes on.
  const JournalEntry entry = in_entry_ ? entry_ : JournalEntry{.time = absl::InfinitePast()};
  const Json state = {
      cut_[0],
      cut_[1],
      in_entry_,
      absl::CEscape(entry.message),
      absl::CEscape(entry.identifier),
      absl::CEscape(entry.pid),
      entry.time == absl::InfinitePast() ? Json() : Json(absl::ToUnixMicros(entry.time)),
      in_entry_ ? absl::CEscape(binary_name_) : "",
      in_entry_ ? absl::CEscape(binary_) : "",
      absl::CEscape(pieces_[0]),
      absl::CEscape(pieces_[1])};
  return state.dump();
}

void LogUnwrapper::Restore(absl::string_view state) {
  *this = LogUnwrapper();
  const Json json = Json::parse(state.begin(), state.end(), nullptr, /*allow_exceptions=*/false);
  // Of an earlier version: without pieces.
  if (!json.is_array() || (json.size() != 9 && json.size() != 11)) return;
  for (const size_t i : {0u, 1u, 2u}) {
    if (!json[i].is_boolean()) return;
  }
  std::string* const texts[] = {&entry_.message, &entry_.identifier, &entry_.pid, nullptr,
                                &binary_name_,   &binary_,           &pieces_[0], &pieces_[1]};
  if (!json[6].is_null() && !json[6].is_number_integer()) return;
  for (size_t i = 0; i < std::size(texts); ++i) {
    if (texts[i] == nullptr || 3 + i >= json.size()) continue;
    if (!json[3 + i].is_string() || !absl::CUnescape(json[3 + i].get<std::string>(), texts[i])) {
      *this = LogUnwrapper();
      return;
    }
  }
  entry_.time =
      json[6].is_null() ? absl::InfinitePast() : absl::FromUnixMicros(json[6].get<int64_t>());
  cut_ = {json[0].get<bool>(), json[1].get<bool>()};
  in_pieces_ = InPieces();
  in_entry_ = json[2].get<bool>();
}

}  // namespace deferd
