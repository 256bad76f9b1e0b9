#include "limiter/intake/line_splitter.h"

#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"

namespace deferd {
namespace {

using ::testing::ElementsAre;

class Splitting {
 public:
  Splitting& Feed(absl::string_view bytes) {
    splitter_.Feed(
        bytes, [this](absl::string_view line) { Add(line); }, [this] { Add("(skipped)"); });
    return *this;
  }
  Splitting& Finish() {
    splitter_.Finish([this](absl::string_view line) { Add(line); }, [this] { Add("(skipped)"); });
    return *this;
  }
  const std::vector<std::string>& lines() const { return lines_; }
  bool mid_line() const { return splitter_.mid_line(); }

 private:
  void Add(absl::string_view line) { lines_.emplace_back(line); }

  LineSplitter splitter_;
  std::vector<std::string> lines_;
};

TEST(LineSplitter, AnySplitGivesTheSameLines) {
  const std::string text = "one\n\nthree\r\nfo\0ur\nlast";
  const std::vector<std::string> whole = Splitting().Feed(text).Finish().lines();
  for (size_t first = 0; first <= text.size(); ++first) {
    for (size_t second = first; second <= text.size(); ++second) {
      Splitting splitting;
      splitting.Feed(text.substr(0, first)).Feed(text.substr(first, second - first));
      EXPECT_EQ(splitting.Feed(text.substr(second)).Finish().lines(), whole);
    }
  }
}

TEST(LineSplitter, ByteByByte) {
  Splitting splitting;
  for (char c : std::string("a b\nc\n")) splitting.Feed(absl::string_view(&c, 1));
  EXPECT_THAT(splitting.lines(), ElementsAre("a b", "c"));
  EXPECT_FALSE(splitting.mid_line());
}

TEST(LineSplitter, UnfinishedLineWaits) {
  Splitting splitting;
  splitting.Feed("whole\npart");
  EXPECT_THAT(splitting.lines(), ElementsAre("whole"));
  EXPECT_TRUE(splitting.mid_line());
  splitting.Feed("ly\n");
  EXPECT_THAT(splitting.lines(), ElementsAre("whole", "partly"));
}

TEST(LineSplitter, LongestLineIsKeptAndALongerOneSkippedOnce) {
  const std::string longest(LineSplitter::kMaxLine, 'x');
  for (size_t piece : {size_t{1000}, size_t{65536}, size_t{1000000}}) {
    const std::string text = longest + "\n" + longest + "x\nnext\n" + longest + "yy";
    Splitting splitting;
    for (size_t at = 0; at < text.size(); at += piece) splitting.Feed(text.substr(at, piece));
    splitting.Finish();
    EXPECT_THAT(splitting.lines(), ElementsAre(longest, "(skipped)", "next", "(skipped)"));
  }
}

}  // namespace
}  // namespace deferd
