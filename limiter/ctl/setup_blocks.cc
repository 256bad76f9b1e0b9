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
constexpr absl::string_view kUnended = "# the line before had no line end";

std::string WithoutCr(absl::string_view line) { return std::string(absl::StripSuffix(line, "\r")); }

// FNV-1a: it finds edits, it keeps out nobody.
std::string Checksum(const std::vector<std::string>& lines) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string& line : lines) {
    for (const char c : absl::StrCat(WithoutCr(line), "\n")) {
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
      absl::StrSplit(absl::StripPrefix(begin_line, kBegin), absl::ByAnyChar(" \r"));
  return std::find(names.begin(), names.end(), words[0]) != names.end();
}

}  // namespace

BlockText::BlockText(absl::string_view text) : lines_(Lines(text)) {
  unended_ = !text.empty() && !lines_.back().empty();
  if (!unended_) lines_.pop_back();
  crlf_ = !lines_.empty() && absl::EndsWith(lines_[0], "\r");
}

int BlockText::Find(const std::function<bool(absl::string_view)>& is, int from) const {
  for (int i = from; i < size(); ++i) {
    if (is(lines_[static_cast<size_t>(i)])) return i;
  }
  return -1;
}

int BlockText::BlockBegin(int at) const {
  for (int i = at; i >= 0 && WithoutCr(line(i)) != kEnd; --i) {
    if (absl::StartsWith(line(i), kBegin)) return i;
  }
  return at;
}

int BlockText::BlockEnd(int at) const {
  if (!absl::StartsWith(line(BlockBegin(at)), kBegin)) return at + 1;
  const int end = Find([](absl::string_view line) { return WithoutCr(line) == kEnd; }, at);
  return end < 0 ? at + 1 : end + 1;
}

void BlockText::Insert(int at, absl::string_view name, absl::string_view text, int replaced) {
  std::vector<std::string> inside;
  if (unended_ && at + replaced == size()) {
    inside.emplace_back(kUnended);
    unended_ = false;
    if (crlf_) lines_.back().push_back('\r');
  }
  for (int i = 0; i < replaced; ++i) inside.push_back(absl::StrCat(kWas, line(at + i)));
  for (absl::string_view one : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    inside.emplace_back(one);
  }
  std::vector<std::string> block = {absl::StrCat(kBegin, name, " ", Checksum(inside))};
  block.insert(block.end(), inside.begin(), inside.end());
  block.emplace_back(kEnd);
  if (crlf_) {
    for (std::string& one : block) one = absl::StrCat(WithoutCr(one), "\r");
  }
  const auto place = lines_.begin() + at;
  const auto after = lines_.erase(place, place + replaced);
  lines_.insert(after, block.begin(), block.end());
}

std::string BlockText::Text() const {
  return lines_.empty() ? "" : absl::StrCat(absl::StrJoin(lines_, "\n"), unended_ ? "" : "\n");
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
  size_t unended = 0;  // number of lines kept in front of a block that ended the last one
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!absl::StartsWith(lines[i], kBegin) || !IsNamed(lines[i], names)) {
      kept.push_back(lines[i]);
      continue;
    }
    const auto begin = lines.begin() + static_cast<int64_t>(i);
    const auto end = std::find_if(begin, lines.end(),
                                  [](const std::string& line) { return WithoutCr(line) == kEnd; });
    const std::vector<std::string> inside(begin + 1, std::max(begin + 1, end));
    if (end == lines.end() || !absl::EndsWith(WithoutCr(lines[i]), " " + Checksum(inside))) {
      return absl::FailedPreconditionError(absl::StrCat(
          path, ":", i + 1, ": what deferctl setup wrote here was edited since, so it is left ",
          "as it is; take the lines from \"# deferd begin\" to \"# deferd end\" out by hand"));
    }
    bool ended = false;
    for (absl::string_view line : inside) {
      ended = ended || absl::StripSuffix(line, "\r") == kUnended;
      if (absl::ConsumePrefix(&line, kWas)) kept.emplace_back(line);
    }
    if (ended) unended = kept.size();
    i = static_cast<size_t>(end - lines.begin());
  }
  if (unended > 0 && kept.size() == unended + 1 && kept.back().empty()) {
    kept.pop_back();
    kept.back() = WithoutCr(kept.back());
  }
  return absl::StrJoin(kept, "\n");
}

}  // namespace deferd
