#include "limiter/ctl/setup_blocks.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace deferd {

namespace {

constexpr absl::string_view kBegin = "# deferd begin setup ";
constexpr absl::string_view kEnd = "# deferd end";
constexpr absl::string_view kWas = "# was: ";

// FNV-1a: it finds edits, it keeps out nobody.
std::string Checksum(const std::vector<std::string>& lines) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string& line : lines) {
    for (const char c : absl::StrCat(line, "\n")) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
  }
  return absl::StrFormat("%016x", hash);
}

std::vector<std::string> Lines(absl::string_view text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  return lines;  // the last is "" where the text ends in a line's end
}

bool IsNamed(absl::string_view begin_line, const std::vector<std::string>& names) {
  if (names.empty()) return true;
  const std::vector<absl::string_view> words =
      absl::StrSplit(absl::StripPrefix(begin_line, kBegin), ' ');
  return std::find(names.begin(), names.end(), words[0]) != names.end();
}

}  // namespace

BlockText::BlockText(absl::string_view text) : lines_(Lines(text)) {
  if (!lines_.empty() && lines_.back().empty()) lines_.pop_back();
}

int BlockText::Find(const std::function<bool(absl::string_view)>& is, int from) const {
  for (int i = from; i < size(); ++i) {
    if (is(lines_[static_cast<size_t>(i)])) return i;
  }
  return -1;
}

void BlockText::Insert(int at, absl::string_view name, absl::string_view text, int replaced) {
  std::vector<std::string> inside;
  for (int i = 0; i < replaced; ++i) inside.push_back(absl::StrCat(kWas, line(at + i)));
  for (absl::string_view one : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    inside.emplace_back(one);
  }
  std::vector<std::string> block = {absl::StrCat(kBegin, name, " ", Checksum(inside))};
  block.insert(block.end(), inside.begin(), inside.end());
  block.emplace_back(kEnd);
  const auto place = lines_.begin() + at;
  const auto after = lines_.erase(place, place + replaced);
  lines_.insert(after, block.begin(), block.end());
}

std::string BlockText::Text() const {
  return lines_.empty() ? "" : absl::StrCat(absl::StrJoin(lines_, "\n"), "\n");
}

bool HasSetupBlock(absl::string_view text, const std::vector<std::string>& names) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, kBegin) && IsNamed(line, names)) return true;
  }
  return false;
}

absl::StatusOr<std::string> WithoutSetupBlocks(const std::string& path, absl::string_view text,
                                               const std::vector<std::string>& names) {
  const std::vector<std::string> lines = Lines(text);
  std::vector<std::string> kept;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!absl::StartsWith(lines[i], kBegin) || !IsNamed(lines[i], names)) {
      kept.push_back(lines[i]);
      continue;
    }
    const size_t end = static_cast<size_t>(
        std::find(lines.begin() + static_cast<int64_t>(i), lines.end(), kEnd) - lines.begin());
    const std::vector<std::string> inside(lines.begin() + static_cast<int64_t>(i) + 1,
                                          lines.begin() + static_cast<int64_t>(end));
    if (end == lines.size() || !absl::EndsWith(lines[i], " " + Checksum(inside))) {
      return absl::FailedPreconditionError(absl::StrCat(
          path, ":", i + 1, ": what deferctl setup wrote here was edited since, so it is left ",
          "as it is; take the lines from \"# deferd begin\" to \"# deferd end\" out by hand"));
    }
    for (absl::string_view line : inside) {
      if (absl::ConsumePrefix(&line, kWas)) kept.emplace_back(line);
    }
    i = end;
  }
  return absl::StrJoin(kept, "\n");
}

}  // namespace deferd
