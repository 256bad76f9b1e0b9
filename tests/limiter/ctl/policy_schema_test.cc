#include "limiter/ctl/policy_schema.h"

#include <toml++/toml.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

constexpr char kExample[] = "deploy/examples/policy.toml";
constexpr char kShipped[] = "deploy/policy.toml";

std::string Contents(const char* path) {
  std::ifstream file(SourceFile(path));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Json JsonOf(const std::string& toml_text) {
  std::stringstream out;
  out << toml::json_formatter{toml::parse(toml_text)};
  return Json::parse(out.str());
}

// As much of JSON Schema as ours uses; what is wrong with `value`, or nothing.
std::string Wrong(const Json& schema, const Json& value, const std::string& where) {
  if (schema.contains("anyOf")) {
    std::string all;
    for (const Json& choice : schema["anyOf"]) {
      const std::string wrong = Wrong(choice, value, where);
      if (wrong.empty()) return "";
      absl::StrAppend(&all, wrong);
    }
    return all;
  }
  const std::string type = schema.value("type", "");
  const bool right = type == "string"    ? value.is_string()
                     : type == "integer" ? value.is_number_integer()
                     : type == "number"  ? value.is_number()
                     : type == "boolean" ? value.is_boolean()
                     : type == "array"   ? value.is_array()
                                         : value.is_object();
  if (!right) return absl::StrCat(where, " is no ", type, "; ");
  std::string all;
  if (type == "array") {
    for (const Json& one : value) absl::StrAppend(&all, Wrong(schema["items"], one, where));
  }
  if (type == "object") {
    for (const auto& [key, one] : value.items()) {
      const std::string here = absl::StrCat(where, ".", key);
      if (schema["properties"].contains(key)) {
        absl::StrAppend(&all, Wrong(schema["properties"][key], one, here));
      } else if (schema["additionalProperties"].is_object()) {
        absl::StrAppend(&all, Wrong(schema["additionalProperties"], one, here));
      } else {
        absl::StrAppend(&all, here, " is unknown; ");
      }
    }
  }
  return all;
}

TEST(PolicySchema, TakesTheExampleAndTheShippedPolicy) {
  for (const char* path : {kExample, kShipped}) {
    EXPECT_EQ(Wrong(PolicySchema(), JsonOf(Contents(path)), ""), "") << path;
  }
}

TEST(PolicySchema, RefusesWhatTheReaderRefuses) {
  const auto wrong = [](const char* text) { return Wrong(PolicySchema(), JsonOf(text), ""); };
  EXPECT_EQ(wrong("mod = \"shadow\"\n"), ".mod is unknown; ");
  EXPECT_EQ(wrong("[rule.a]\npercent = \"50\"\n"), ".rule.a.percent is no integer; ");
  EXPECT_NE(wrong("[rule.a]\naction = { smtp = \"hold\" }\n"), "");
  EXPECT_EQ(wrong("[exempt.a]\nwhy = \"so\"\n"), ".exempt.a.why is unknown; ");
  EXPECT_EQ(wrong("[classes]\ngreylist = \"counts\"\n"), ".classes.greylist is unknown; ");
}

TEST(PolicyExample, LoadsAndHasEveryKey) {
  const std::string text = Contents(kExample);
  EXPECT_THAT(ParsePolicy(text, "policy.toml"), IsOk());
  const Json example = JsonOf(text);
  const Json schema = PolicySchema();
  const auto has = [&](const Json& value, const std::string& key) { return value.contains(key); };
  for (const auto& [table, one] : schema["properties"].items()) {
    if (table == "text" || table == "classes") continue;  // of text the default is the best
    EXPECT_TRUE(has(example, table)) << table;
    const Json& each = one.value("additionalProperties", Json());
    if (!each.is_object()) continue;
    for (const auto& [key, unused] : each["properties"].items()) {
      bool found = false;
      for (const auto& [name, written] : example[table].items()) {
        found = found || (written.is_object() && written.contains(key));
      }
      const bool rare = key == "unhosted" || key == "scope" || key == "except" || key == "kind" ||
                        key == "owner_release";
      EXPECT_TRUE(found || rare) << table << " " << key;
    }
  }
}

}  // namespace
}  // namespace deferd
