#include "policy/toml_reader.h"

#include <limits>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::StartsWith;

std::unique_ptr<TomlReader> ReaderOf(absl::string_view text) {
  absl::StatusOr<std::unique_ptr<TomlReader>> reader = TomlReader::Parse(text, "x.toml");
  EXPECT_THAT(reader, IsOk());
  return *std::move(reader);
}

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

TEST(TomlReader, HandsOutValuesByKey) {
  auto reader =
      ReaderOf("s = \"a\"\nb = true\ni = 7\nd = \"90s\"\none = \"a\"\nmany = [\"a\", \"b\"]\n");
  TomlTable* root = reader->root();
  EXPECT_EQ(root->String("s")->text, "a");
  EXPECT_EQ(root->Bool("b"), true);
  EXPECT_EQ(root->Integer("i", 1, 7), 7);
  EXPECT_EQ(root->Duration("d"), absl::Seconds(90));
  EXPECT_THAT(root->Strings("one"), ElementsAre(Field(&TomlText::text, "a")));
  EXPECT_THAT(root->Strings("many"),
              ElementsAre(Field(&TomlText::text, "a"), Field(&TomlText::text, "b")));
  EXPECT_THAT(reader->Finish(), IsOk());
}

TEST(TomlReader, AbsentKeysAreNoMistake) {
  auto reader = ReaderOf("");
  TomlTable* root = reader->root();
  EXPECT_FALSE(root->Has("x"));
  EXPECT_FALSE(root->IsTable("x"));
  EXPECT_FALSE(root->String("x").has_value());
  EXPECT_FALSE(root->Bool("x").has_value());
  EXPECT_FALSE(root->Integer("x", 0, 1).has_value());
  EXPECT_FALSE(root->Duration("x").has_value());
  EXPECT_THAT(root->Strings("x"), IsEmpty());
  EXPECT_EQ(root->Table("x"), nullptr);
  EXPECT_THAT(root->Tables("x"), IsEmpty());
  EXPECT_THAT(reader->Finish(), IsOk());
}

TEST(TomlReader, KnowsPlaces) {
  auto reader = ReaderOf("\n  s = \"ü\"  \n[t]\nlist = [\"ü\", \"b\"]\n");
  TomlTable* root = reader->root();
  EXPECT_EQ(root->String("s")->place.line, 2);
  EXPECT_EQ(root->String("s")->place.column, 7);
  TomlTable* table = root->Table("t");
  EXPECT_EQ(table->place().line, 3);
  EXPECT_EQ(table->PlaceOf("absent").line, 3);
  EXPECT_EQ(table->PlaceOf("list").column, 8);
  EXPECT_EQ(table->Strings("list")[1].place.column, 14);  // characters, not bytes
}

TEST(TomlReader, TablesComeInTheOrderOfTheFile) {
  auto reader = ReaderOf("[rule.b]\n[rule.a]\nx = 1\n[rule]\nc = {}\n");
  auto tables = reader->root()->Tables("rule");
  ASSERT_EQ(tables.size(), 3u);
  EXPECT_EQ(tables[0].first, "b");
  EXPECT_EQ(tables[1].first, "a");
  EXPECT_EQ(tables[2].first, "c");
  EXPECT_EQ(tables[1].second->Integer("x", 0, 9), 1);
  EXPECT_THAT(reader->Finish(), IsOk());
}

TEST(TomlReader, WrongTypesAreMistakes) {
  auto reader =
      ReaderOf("s = 1\nb = \"yes\"\ni = 1.0\nd = 60\nl = [1, \"a\"]\nt = []\nr = {x = 1}\n");
  TomlTable* root = reader->root();
  EXPECT_FALSE(root->String("s").has_value());
  EXPECT_FALSE(root->Bool("b").has_value());
  EXPECT_FALSE(root->Integer("i", 1, 5).has_value());
  EXPECT_FALSE(root->Duration("d").has_value());
  EXPECT_EQ(root->Strings("l").size(), 1u);
  EXPECT_EQ(root->Table("t"), nullptr);
  EXPECT_THAT(root->Tables("r"), IsEmpty());
  EXPECT_EQ(MessageOf(reader->Finish()),
            "x.toml:1:5: s is a whole number; give a string in quotes\n"
            "x.toml:2:5: b is a string; give true or false, without quotes\n"
            "x.toml:3:5: i is a number with a fraction; give a whole number from 1 to 5\n"
            "x.toml:4:5: d is a whole number; give a length of time in quotes, such as \"90s\", "
            "\"30m\" or \"1h30m\"\n"
            "x.toml:5:6: an entry of l is a whole number; give a string in quotes\n"
            "x.toml:6:5: t is an array; give a table, [t]\n"
            "x.toml:7:10: r.x is a whole number; give a table for each name, [r.NAME]");
}

TEST(TomlReader, IntegersHaveARange) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  auto reader = ReaderOf("low = 0\nhigh = 6\nnegative = -1\n");
  reader->root()->Integer("low", 1, 5);
  reader->root()->Integer("high", 1, 5);
  reader->root()->Integer("negative", 1, kMost);
  EXPECT_EQ(MessageOf(reader->Finish()),
            "x.toml:1:7: low is 0; give a whole number from 1 to 5\n"
            "x.toml:2:8: high is 6; give a whole number from 1 to 5\n"
            "x.toml:3:12: negative is -1; give a whole number of at least 1");
}

TEST(TomlReader, UnknownKeysNameTheNearest) {
  auto reader = ReaderOf("precent = 1\nMIN_BAD = 1\nxyzzy = 1\n\"a\\nb\" = 1\n[t]\nq = 1\n");
  TomlTable* root = reader->root();
  root->Integer("percent", 1, 9);
  root->Integer("min_bad", 1, 9);
  root->Table("t");
  EXPECT_EQ(MessageOf(reader->Finish()),
            "x.toml:1:1: unknown key 'precent'; did you mean 'percent'?\n"
            "x.toml:2:1: unknown key 'MIN_BAD'; did you mean 'min_bad'?\n"
            "x.toml:3:1: unknown key 'xyzzy'; the keys here are percent, min_bad, t\n"
            "x.toml:4:1: unknown key 'a\uFFFDb'; the keys here are percent, min_bad, t\n"
            "x.toml:6:1: unknown key 'q'; take it out");
}

TEST(TomlReader, MistakesOfTheCallerComeInOrderAndOnce) {
  auto reader = ReaderOf("a = 1\nb = 1\n");
  TomlTable* root = reader->root();
  reader->Error(root->PlaceOf("b"), "b is\nbad");
  root->String("a");
  root->String("a");
  root->Integer("b", 0, 1);
  const absl::Status status = reader->Finish();
  EXPECT_EQ(MessageOf(status),
            "x.toml:1:5: a is a whole number; give a string in quotes\nx.toml:2:5: b is\uFFFDbad");
  EXPECT_EQ(reader->Finish(), status);
}

struct SyntaxCase {
  std::string name;
  std::string text;
  std::string begins;
};
void PrintTo(const SyntaxCase& c, std::ostream* out) { *out << c.name; }

class TomlSyntaxTest : public testing::TestWithParam<SyntaxCase> {};

TEST_P(TomlSyntaxTest, IsReportedWithItsPlace) {
  EXPECT_THAT(TomlReader::Parse(GetParam().text, "x.toml"),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith(GetParam().begins)));
}

std::string Times(int n, absl::string_view text) {
  std::string all;
  for (int i = 0; i < n; ++i) absl::StrAppend(&all, text);
  return all;
}

INSTANTIATE_TEST_SUITE_P(
    Texts, TomlSyntaxTest,
    testing::Values(
        SyntaxCase{"NoValue", "a = 1\nb =\n", "x.toml:2:4: not TOML: "},
        SyntaxCase{"Unterminated", "a = \"x\n", "x.toml:1:7: not TOML: "},
        SyntaxCase{"Twice", "a = 1\na = 2\n", "x.toml:2:"},
        SyntaxCase{"InvalidUtf8", "a = \"\xFF\"\n", "x.toml:1:"},
        SyntaxCase{"Latin1Comment",
                   "# b\xFC"
                   "cher\n",
                   "x.toml:1:"},
        SyntaxCase{"ZeroByte", std::string("a = 1\n\0", 7), "x.toml:2:1: not TOML: "},
        SyntaxCase{"HugeNumber", "a = 99999999999999999999\n", "x.toml:1:"},
        SyntaxCase{"DeepArray", "a = " + Times(100000, "["), "x.toml:1:"},
        SyntaxCase{"DeepInlineTable", "a = " + Times(100000, "{a="), "x.toml:1:"},
        SyntaxCase{"DeepKey", "b = 1\n" + Times(1000000, "a.") + "a = 1\n",
                   "x.toml:2:66: not TOML: a key with too many dots"},
        SyntaxCase{"DeepHeader", "[" + Times(1000000, "a.") + "a]\n", "x.toml:1:67: not TOML: "},
        SyntaxCase{"DeepKeyAfterQuotes",
                   "a = [\"\"\"x\"\"\"\"\", {" + Times(1000000, "a.") + "a = 1}]\n", "x.toml:1:"},
        SyntaxCase{"DeepQuotedKey", Times(1000000, "\"#\\\".=\".'='.") + "a = 1\n", "x.toml:1:"}),
    [](const auto& test) { return test.param.name; });

TEST(TomlReader, DotsOutsideOfKeysAreFree) {
  const std::string dots(100, '.');
  const std::string addresses = Times(100, "\"a.b.c\", ");
  ReaderOf(absl::StrCat("# ", dots, "\na = \"", dots, "\"\nb = '", dots, "'\nc = [", addresses,
                        "]\nd = \"\"\"\n", dots, "\"\"\"\ne = '''\n", dots, "'''\nf = \"\\\"", dots,
                        "\"\n"));
}

TEST(TomlReader, TakesWindowsFilesAndMarks) {
  auto reader = ReaderOf(
      "\xEF\xBB\xBF"
      "a = 1\r\nb = 2\r\n");
  EXPECT_EQ(reader->root()->Integer("b", 0, 9), 2);
}

}  // namespace
}  // namespace deferd
