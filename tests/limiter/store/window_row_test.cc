#include "limiter/store/window_row.h"

#include <algorithm>
#include <limits>
#include <random>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

constexpr uint32_t kMaxStep = std::numeric_limits<uint32_t>::max();

std::string CellsOf(const WindowRow& row) { return EncodeWindowRow(row).substr(17); }

absl::StatusOr<WindowRow> DecodeCells(absl::string_view hex) {
  return DecodeWindowRow(EncodeWindowRow({.cells = {{7, {1, 0, 0}}}}).substr(0, 17) +
                         absl::HexStringToBytes(hex));
}

TEST(WindowRow, LayoutIsTheContracts) {
  const WindowRow row = {
      .version = 1.0, .policy_hash = 0x04030201, .cells = {{0x0D0C0B0A, {0, 1, 0}}}};
  EXPECT_EQ(absl::BytesToHexString(EncodeWindowRow(row)),
            "000000000000f03f"  // version
            "01"                // format
            "01020304"          // policy hash
            "0a0b0c0d"          // first step
            "01");              // one deferred
}

TEST(WindowRow, TwentySingleEventsTake37Bytes) {
  WindowRow row = {.version = 4294967296.0 * 7 + 1};
  for (uint32_t i = 0; i < 20; ++i) row.cells.push_back({1000 + 3 * i, {0, 1, 0}});
  const std::string bytes = EncodeWindowRow(row);
  EXPECT_EQ(bytes.size(), 37u);
  EXPECT_EQ(DecodeWindowRow(bytes).value(), row);
}

// A deferd that knows no surplus skips that bit, and reads all the delivered.
TEST(WindowRow, SurplusIsAFurtherCounter) {
  const WindowRow row = {.cells = {{7, {300, 0, 2, 250}}, {8, {5, 0, 0, 5}}}};
  EXPECT_EQ(absl::BytesToHexString(CellsOf(row)),
            "830dac0202fa01"
            "87090505");
  EXPECT_EQ(DecodeWindowRow(EncodeWindowRow(row)).value(), row);
  // More than all cannot be.
  EXPECT_EQ(DecodeCells("830901"
                        "02")
                .value()
                .cells[0],
            (WindowCell{7, {1, 0, 0, 1}}));
}

TEST(WindowRow, RejectedRecipientsAreAFurtherCounter) {
  const WindowRow row = {
      .version = 1,
      .cells = {{.step = 7, .counts = {.rejected = 1}},
                {.step = 8, .counts = {.delivered = 2, .failed = 1, .rejected = 3}},
                {.step = 99, .counts = {.delivered = 5, .surplus = 2, .rejected = 700}}}};
  const std::string bytes = EncodeWindowRow(row);
  absl::StatusOr<WindowRow> back = DecodeWindowRow(bytes);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, row);
  // In the form of several kinds, whose higher bits every deferd skips.
  EXPECT_EQ(bytes.substr(17, 3), std::string("\x83\x10\x01", 3));
}

TEST(WindowRow, EmptyRow) {
  const WindowRow row = {.version = 3, .policy_hash = 9};
  EXPECT_EQ(EncodeWindowRow(row).size(), 17u);
  EXPECT_EQ(DecodeWindowRow(EncodeWindowRow(row)).value(), row);
  // Cells that hold nothing are none.
  EXPECT_EQ(EncodeWindowRow({.version = 3, .policy_hash = 9, .cells = {{5, {0, 0, 0}}}}),
            EncodeWindowRow(row));
}

TEST(WindowRow, CellsInTheirForms) {
  const struct {
    const char* name;
    std::vector<WindowCell> cells;
    const char* hex;
  } kCases[] = {
      {"one delivered", {{7, {1, 0, 0}}}, "00"},
      {"one failed", {{7, {0, 0, 1}}}, "02"},
      {"two", {{7, {0, 2, 0}}}, "8102"},
      {"300", {{7, {300, 0, 0}}}, "80ac02"},
      {"two kinds", {{7, {1, 0, 1}}}, "83050101"},
      {"three kinds", {{7, {1, 130, 3}}}, "830701820103"},
      {"gap 31", {{7, {1, 0, 0}}, {38, {1, 0, 0}}}, "007c"},
      {"gap 32", {{7, {1, 0, 0}}, {39, {1, 0, 0}}}, "007f2000"},
      {"gap 31 with counts of all", {{7, {1, 0, 0}}, {38, {1, 1, 1}}}, "00ff07010101"},
      {"gap 255", {{7, {1, 0, 0}}, {262, {1, 0, 0}}}, "007fff00"},
      {"gap 300", {{7, {1, 0, 0}}, {307, {0, 1, 0}}}, "007fff7f2d01"},
      {"gap 256", {{7, {1, 0, 0}}, {263, {0, 1, 0}}}, "007fff05"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(absl::BytesToHexString(CellsOf({.cells = c.cells})), c.hex);
    EXPECT_EQ(DecodeCells(c.hex).value().cells, c.cells);
  }
}

TEST(WindowRow, LaterCountersAreSkipped) {
  // Mask 129: three delivered, and five of what this deferd does not know.
  EXPECT_EQ(DecodeCells("83810305").value().cells, (std::vector<WindowCell>{{7, {3, 0, 0}}}));
  EXPECT_TRUE(DecodeCells("838005").value().cells.empty());
}

TEST(WindowRow, SurplusIsAPartOfDelivered) {
  const std::vector<WindowCell> cells = {{7, {3, 0, 0, 2}}};
  EXPECT_EQ(absl::BytesToHexString(CellsOf({.cells = cells})), "83090302");
  EXPECT_EQ(DecodeCells("83090302").value().cells, cells);
  EXPECT_EQ(DecodeCells("83090305").value().cells, (std::vector<WindowCell>{{7, {3, 0, 0, 3}}}));
  EXPECT_TRUE(DecodeCells("830802").value().cells.empty());
}

TEST(WindowRow, UnknownFormatIsItsOwnError) {
  std::string bytes = EncodeWindowRow({.cells = {{7, {1, 0, 0}}}});
  bytes[8] = 2;
  EXPECT_THAT(DecodeWindowRow(bytes),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("format 2")));
}

TEST(WindowRow, MalformedIsDataLoss) {
  const struct {
    const char* name;
    const char* hex;
  } kCases[] = {
      {"first cell not at the first step", "04"},
      {"step twice", "0000"},
      {"kind 3 of one event", "03"},
      {"nothing behind a gap", "007f20"},
      {"gap of nothing", "007f0000"},
      {"several that are one", "8101"},
      {"several that are none", "8100"},
      {"count with a needless byte", "818200"},
      {"count too great", "81ffffffffffffffffff01"},
      {"mask of nothing", "8300"},
      {"mask of one", "830202"},
      {"mask without counts", "830301"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(DecodeCells(c.hex), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("malformed")))
        << c.name;
  }
  for (const double version :
       {-1.0, 0.5, 9007199254740992.0, std::numeric_limits<double>::quiet_NaN(),
        std::numeric_limits<double>::infinity()}) {
    EXPECT_THAT(DecodeWindowRow(EncodeWindowRow({.version = version})),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("malformed")));
  }
  std::string beyond = EncodeWindowRow({.cells = {{kMaxStep, {1, 0, 0}}}});
  EXPECT_THAT(DecodeWindowRow(beyond), IsOk());
  beyond += '\x04';
  EXPECT_FALSE(DecodeWindowRow(beyond).ok());
}

// Cut anywhere, it is either malformed or, between two cells, a shorter row.
// Whoever reads such a cell would be busy for hours: a window has a place for each some million.
TEST(WindowRow, MoreThanACellCanHoldIsDamage) {
  for (int64_t Counts::*member : {&Counts::delivered, &Counts::deferred, &Counts::failed,
                                  &Counts::rejected, &Counts::sent, &Counts::sent_recipients}) {
    WindowRow row = {.cells = {{.step = 7}}};
    row.cells[0].counts.*member = kMostInACell;
    EXPECT_EQ(DecodeWindowRow(EncodeWindowRow(row)).value(), row);
    for (const int64_t more : {kMostInACell + 1, int64_t{1} << 62}) {
      row.cells[0].counts.*member = more;
      EXPECT_TRUE(absl::IsDataLoss(DecodeWindowRow(EncodeWindowRow(row)).status())) << more;
    }
  }
}

TEST(WindowRow, CutShort) {
  const WindowRow row = {.version = 5,
                         .policy_hash = 1,
                         .cells = {{10, {1, 0, 0}}, {11, {0, 200, 3}}, {60, {0, 0, 70'000}}}};
  const std::string bytes = EncodeWindowRow(row);
  int whole = 0;
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = DecodeWindowRow(bytes.substr(0, size));
    if (cut.ok()) {
      ++whole;
      EXPECT_LT(cut->cells.size(), row.cells.size());
    } else {
      EXPECT_THAT(cut, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("malformed")));
    }
  }
  EXPECT_EQ(whole, 2);
  EXPECT_EQ(DecodeWindowRow(bytes).value(), row);
}

TEST(WindowRow, RandomRoundTrips) {
  std::mt19937_64 random(1);
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(random() % n); };
  for (int round = 0; round < 20'000; ++round) {
    WindowRow row = {.version = static_cast<double>(below(uint64_t{1} << 53)),
                     .policy_hash = static_cast<uint32_t>(random())};
    uint32_t step = static_cast<uint32_t>(below(4'000'000'000));
    for (int64_t i = below(60); i > 0; --i) {
      WindowCell cell = {.step = step};
      for (int64_t* count : {&cell.counts.delivered, &cell.counts.deferred, &cell.counts.failed}) {
        if (below(2) == 0) {
          *count = std::min<int64_t>(kMostInACell, below(uint64_t{1} << below(32)));
        }
      }
      if (cell != WindowCell{.step = step}) row.cells.push_back(cell);
      step += static_cast<uint32_t>(1 + below(below(10) == 0 ? 700 : 40));
    }
    const std::string bytes = EncodeWindowRow(row);
    ASSERT_EQ(DecodeWindowRow(bytes).value(), row);
    // What decodes is what encodes to the same bytes, or uses the room for later counters.
    std::string bad = bytes;
    bad[static_cast<size_t>(below(bad.size()))] ^= static_cast<char>(1 << below(8));
    DecodeWindowRow(bad).IgnoreError();
  }
}

}  // namespace
}  // namespace deferd
