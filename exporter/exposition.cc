#include "exporter/exposition.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace deferd {

namespace {

constexpr absl::string_view kHelp = "# HELP ", kType = "# TYPE ";

// "q=0.5" of a media range; 1 without one, 0 if it is none.
double QualityOf(const std::vector<absl::string_view>& parameters) {
  double quality = 1;
  for (absl::string_view one : parameters) {
    one = absl::StripAsciiWhitespace(one);
    if (absl::ConsumePrefix(&one, "q=") && !absl::SimpleAtod(one, &quality)) return 0;
  }
  return quality;
}

}  // namespace

Exposition WantedExposition(absl::string_view accept) {
  double open = 0, classic = 0;
  for (absl::string_view range : absl::StrSplit(accept, ',')) {
    std::vector<absl::string_view> parts = absl::StrSplit(range, ';');
    const std::string type = absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts.front()));
    parts.erase(parts.begin());
    const double quality = QualityOf(parts);
    if (type == "application/openmetrics-text") open = std::max(open, quality);
    if (type == "text/plain") classic = std::max(classic, quality);
  }
  return open > 0 && open >= classic ? Exposition::kOpenMetrics : Exposition::kText;
}

const char* ContentType(Exposition exposition) {
  return exposition == Exposition::kOpenMetrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

std::string ToOpenMetrics(absl::string_view text) {
  // The type stands behind the help text, and names the family alike.
  absl::flat_hash_set<absl::string_view> counters;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, kType) || !absl::ConsumeSuffix(&line, " counter")) continue;
    counters.insert(line);
  }
  std::string out;
  out.reserve(text.size() + 1024);
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (line.empty()) continue;
    for (absl::string_view begin : {kHelp, kType}) {
      if (!absl::StartsWith(line, begin)) continue;
      absl::string_view name = line.substr(begin.size());
      name = name.substr(0, name.find(' '));
      const absl::string_view rest = line.substr(begin.size() + name.size());
      if (counters.contains(name)) name = absl::StripSuffix(name, "_total");
      absl::StrAppend(
          &out, begin, name,
          begin == kHelp ? absl::StrReplaceAll(rest, {{"\"", "\\\""}}) : std::string(rest));
      line = "";
      break;
    }
    absl::StrAppend(&out, line, "\n");
  }
  return out + "# EOF\n";
}

}  // namespace deferd
