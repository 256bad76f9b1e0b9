#include "policy/text.h"

#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

TEST(PrintableAscii, ReplacesEverythingElse) {
  EXPECT_EQ(PrintableAscii("a b~", 10), "a b~");
  EXPECT_EQ(PrintableAscii(absl::string_view("a\0\t\n\x1b\x7f", 6), 10), "a?????");
  EXPECT_EQ(PrintableAscii("b\xC3\xBC", 10), "b??");
}

TEST(PrintableAscii, CutsAtTheMaximum) {
  EXPECT_EQ(PrintableAscii("abcd", 3), "abc");
  EXPECT_EQ(PrintableAscii("abc", 3), "abc");
  EXPECT_EQ(PrintableAscii("abc", 0), "");
}

struct Utf8Case {
  std::string name;
  std::string text;
  std::string printable;
};
void PrintTo(const Utf8Case& c, std::ostream* out) { *out << c.name; }

class PrintableUtf8Test : public testing::TestWithParam<Utf8Case> {};

TEST_P(PrintableUtf8Test, IsValidAndWithoutControls) {
  EXPECT_EQ(PrintableUtf8(GetParam().text), GetParam().printable);
  EXPECT_EQ(PrintableUtf8(GetParam().printable), GetParam().printable);
}

INSTANTIATE_TEST_SUITE_P(
    Texts, PrintableUtf8Test,
    testing::Values(Utf8Case{"Empty", "", ""}, Utf8Case{"Ascii", "a b~", "a b~"},
                    Utf8Case{"TabIsABlank", "a\tb", "a b"},
                    Utf8Case{"LineBreak", "a\r\nb", "a\uFFFD\uFFFDb"},
                    Utf8Case{"Zero", std::string("a\0b", 3), "a\uFFFDb"},
                    Utf8Case{"Escape", "\x1b[2J", "\uFFFD[2J"},
                    Utf8Case{"Delete", "\x7f", "\uFFFD"}, Utf8Case{"C1", "\xC2\x9B", "\uFFFD"},
                    Utf8Case{"TwoBytes", "ü", "ü"}, Utf8Case{"ThreeBytes", "€", "€"},
                    Utf8Case{"FourBytes", "😀", "😀"},
                    Utf8Case{"RightToLeftOverride", "a\u202Eb", "a\uFFFDb"},
                    Utf8Case{"LineSeparator", "a\u2028b", "a\uFFFDb"},
                    Utf8Case{"Latin1", "b\xFC ch", "b\uFFFD ch"},
                    Utf8Case{"Overlong", "\xC0\xAF", "\uFFFD\uFFFD"},
                    Utf8Case{"OverlongThree", "\xE0\x80\xAF", "\uFFFD\uFFFD\uFFFD"},
                    Utf8Case{"Surrogate", "\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
                    Utf8Case{"BeyondUnicode", "\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
                    Utf8Case{"CutOff", "a\xE2\x82", "a\uFFFD\uFFFD"},
                    Utf8Case{"CutOffBeforeAscii", "\xE2\x82z", "\uFFFD\uFFFDz"}),
    [](const auto& test) { return test.param.name; });

TEST(Quoted, IsPrintableAndShort) {
  EXPECT_EQ(Quoted("a\nb"), "'a\uFFFDb'");
  const std::string short_enough(100, 'x');
  EXPECT_EQ(Quoted(short_enough), absl::StrCat("'", short_enough, "'"));
  EXPECT_EQ(Quoted(absl::StrCat(short_enough, "x")), absl::StrCat("'", short_enough, "...'"));
  const std::string shorter(99, 'x');
  EXPECT_EQ(Quoted(absl::StrCat(shorter, "üü")), absl::StrCat("'", shorter, "...'"));
}

TEST(StringViews, CrossUnchanged) {
  EXPECT_EQ(ToStd(absl::string_view("a\0b", 3)), std::string_view("a\0b", 3));
  EXPECT_EQ(ToAbsl(std::string_view("a\0b", 3)), absl::string_view("a\0b", 3));
}

TEST(CutUtf8, NeverSplitsACharacter) {
  EXPECT_EQ(CutUtf8("abc", 3), "abc");
  EXPECT_EQ(CutUtf8("abcd", 3), "abc");
  EXPECT_EQ(CutUtf8("a\u00fcb", 2), "a");
  EXPECT_EQ(CutUtf8("a\u00fcb", 3), "a\u00fc");
  EXPECT_EQ(CutUtf8("\u4e2d\u4e2d", 5), "\u4e2d");
  EXPECT_EQ(CutUtf8("\u4e2d", 1), "");
}

TEST(EscapeControls, WhatATerminalActsOnBecomesItsNumber) {
  const std::pair<std::string, std::string> kCases[] = {
      {"", ""},
      {"{\"a\": \"b\"}\n", "{\"a\": \"b\"}\n"},
      {"a\x7f"
       "b",
       "a\\u007fb"},
      {"\x1b[2J", "\\u001b[2J"},
      {"\xC2\x9B"
       "31m",
       "\\u009b31m"},  // CSI of C1
      {"\xE2\x80\xAE"
       "evil",
       "\\u202eevil"},                               // right-to-left override
      {"x\xE2\x81\xA6\xD8\x9C", "x\\u2066\\u061c"},  // isolates, the Arabic mark
      {"\xE2\x80\xA8", "\\u2028"},
      {"caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x93\xA7", "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x93\xA7"},
      {"\xff\xC2", "\xff\xC2"},
  };
  for (const auto& [text, escaped] : kCases) EXPECT_EQ(EscapeControls(text), escaped);
}

}  // namespace
}  // namespace deferd
