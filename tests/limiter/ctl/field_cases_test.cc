// Logs from public bug reports (testdata/cases), each with what must come out of it.
//
// expect.tsv has a row a log: file, format, expected (JSON), why, source. `outcomes` are all
// attempts seen, delivered, deferred and failed; `counted` the same of a subject, as rules see it;
// `class` the one class of all bad attempts; `blocks` the cases of all subjects; `charge` is
// --charge, `relay_hosts` that list; `left_out` some of the reasons why attempts do not count.
// Every log is read once as the format that its row names, and once by recognising it.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "limiter/ctl/replay.h"
#include "policy/policy_file.h"
#include "tests/limiter/intake/log_text.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

struct FieldCase {
  std::string file;
  std::string format;
  Json expected;
  std::string why;
};

void PrintTo(const FieldCase& one, std::ostream* out) { *out << one.file; }

std::vector<FieldCase> FieldCases() {
  std::vector<FieldCase> cases;
  for (const std::string& row : TestdataLines("cases/expect.tsv")) {
    if (row.front() == '#') continue;
    const std::vector<std::string> cells = absl::StrSplit(row, '\t');
    if (cells.size() != 5) return {};
    cases.push_back({cells[0], cells[1], Json::parse(cells[2], nullptr, false), cells[3]});
  }
  return cases;
}

Json Three(const Json& counts) {
  return Json::array({counts["delivered"], counts["deferred"], counts["failed"]});
}

// deferd's own Json keeps the order of keys, which is nothing to compare.
nlohmann::json Unordered(const Json& json) { return nlohmann::json::parse(json.dump()); }

// What of `result` the row speaks of, in the row's own form.
Json Found(const Json& expected, const Json& result) {
  Json found = Json::object();
  if (expected.contains("charge")) found["charge"] = expected["charge"];
  found["outcomes"] = Three(result["outcomes"]);
  if (expected.contains("counted")) {
    for (const auto& [name, counts] : expected["counted"].items()) {
      found["counted"][name] = {0, 0, 0};
      for (const char* list : {"domains", "subjects"}) {
        for (const Json& one : result[list]) {
          if (one.value("domain", one.value("subject", "")) != name) continue;
          found["counted"][name] = Three(one["counted"]);
        }
      }
    }
  }
  if (expected.contains("relay_hosts")) found["relay_hosts"] = expected["relay_hosts"];
  if (expected.contains("left_out")) {
    for (const auto& [reason, count] : expected["left_out"].items()) {
      found["left_out"][reason] = result["left_out"][reason];
    }
  }
  if (expected.contains("class")) {
    const Json& classes = result["classes"];
    found["class"] =
        classes.size() == 1 ? Json(classes.begin().key()) : Json(classes);  // all of one class
  }
  if (expected.contains("blocks")) {
    size_t blocks = 0;
    for (const char* list : {"domains", "subjects"}) {
      for (const Json& one : result[list]) blocks += one["blocks"].size();
    }
    found["blocks"] = blocks;
  }
  return found;
}

class FieldCasesTest : public testing::TestWithParam<FieldCase> {
 protected:
  static absl::StatusOr<Json> ReplayOf(const FieldCase& row, bool recognise) {
    ReplayOptions options;
    options.format = recognise                 ? LogFormat::kAny
                     : row.format == "postfix" ? LogFormat::kPostfix
                                               : LogFormat::kExim;
    options.paths = {TestData(absl::StrCat("cases/", row.file))};
    options.policy = std::make_shared<Policy>(BuiltInPolicy());
    options.zone = absl::UTCTimeZone();
    if (row.expected.contains("charge")) {
      absl::StatusOr<std::vector<ChargeStep>> order =
          ParseChargeOrder(row.expected["charge"].get<std::string>());
      if (!order.ok()) return order.status();
      options.lists.order = *std::move(order);
    }
    for (const Json& host : row.expected.value("relay_hosts", Json::array())) {
      const absl::Status added = options.lists.relay_hosts.Add(host.get<std::string>());
      if (!added.ok()) return added;
    }
    return Replay(options);
  }
};

TEST_P(FieldCasesTest, ComesOutRight) {
  const FieldCase& row = GetParam();
  ASSERT_FALSE(row.expected.is_discarded());
  absl::StatusOr<Json> result = ReplayOf(row, /*recognise=*/false);
  ASSERT_THAT(result, IsOk());
  absl::StatusOr<Json> recognised = ReplayOf(row, /*recognise=*/true);
  ASSERT_THAT(recognised, IsOk());
  EXPECT_EQ((*recognised)["format"], row.format);
  for (const char* same : {"lines", "outcomes", "malformed", "rejected", "domains", "subjects"}) {
    EXPECT_EQ((*recognised)[same], (*result)[same]) << same;
  }
  EXPECT_EQ(Unordered(Found(row.expected, *result)), Unordered(row.expected)) << row.why;
  EXPECT_EQ((*result)["malformed"], 0);
}

INSTANTIATE_TEST_SUITE_P(All, FieldCasesTest, testing::ValuesIn(FieldCases()),
                         [](const testing::TestParamInfo<FieldCase>& row) {
                           std::string name = row.param.file;
                           for (char& c : name) {
                             if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
                           }
                           return name;
                         });

// A row that cannot be read is no row that passes.
TEST(FieldCases, EveryLogHasARow) { EXPECT_EQ(FieldCases().size(), 23u); }

}  // namespace
}  // namespace deferd
