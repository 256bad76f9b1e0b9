#include "policy/json_limits.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

constexpr JsonLimits kLimits = {.max_bytes = 1'000, .max_depth = 3, .max_values = 20};

std::string Repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

TEST(JsonLimits, Table) {
  const struct {
    const char* name;
    std::string text;
    bool within;
  } kCases[] = {
      {"nothing", "", true},
      {"a value", "7", true},
      {"as deep as allowed", "[[[1]]]", true},
      {"one deeper", "[[[[1]]]]", false},
      {"deep objects", R"({"a":{"a":{"a":{"a":1}}}})", false},
      {"mixed", R"({"a":[{"a":[1]}]})", false},
      {"wide, not deep", "[[1],[1],[1],[1]]", true},
      {"brackets in a string", R"({"a":"[[[[[[[[{{{{{{"})", true},
      {"a quote in a string", R"({"a":"\"[[[[[[[["})", true},
      {"a backslash ends no string", R"({"a":"\\",["b":[[1]]]})", false},
      {"a string that does not end", "\"[[[[[[[[", true},
      {"an escape at the end", "\"\\", true},
      {"closed too often", "]]]][[[1]]]", true},
      {"open brackets alone", Repeated("[", 400), false},
      {"as many as allowed", absl::StrCat("[1", Repeated(",1", 19), "]"), true},
      {"one more", absl::StrCat("[1", Repeated(",1", 20), "]"), false},
      {"many keys", absl::StrCat("{", Repeated("\"a\":1,", 60), "}"), false},
      {"many empty objects", absl::StrCat("[", Repeated("{}", 60), "]"), false},
      {"commas in a string", absl::StrCat("\"", Repeated(",", 400), "\""), true},
      {"as long as allowed", std::string(1'000, ' '), true},
      {"one byte more", std::string(1'001, ' '), false},
  };
  for (const auto& c : kCases) EXPECT_EQ(JsonWithinLimits(c.text, kLimits), c.within) << c.name;
}

}  // namespace
}  // namespace deferd
