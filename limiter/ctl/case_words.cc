#include "limiter/ctl/case_words.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/ctl/page_text.h"
#include "policy/measure.h"

namespace deferd {

std::string CountedWords(const Json& counting) {
  std::vector<std::string> classes;
  for (const Json& one : At(counting, "classes")) {
    if (one.is_string()) classes.push_back(one.get<std::string>());
  }
  return ParseMeasure(Field(counting, "counts"), classes).Words();
}

std::string CauseOf(const Json& record) {
  if (Flag(record, "manual")) {
    const std::string reason = Field(record, "reason");
    return absl::StrCat("by ", Field(record, "by"), reason.empty() ? "" : ": ", reason);
  }
  const int64_t share = Number(record, "percent_limit");
  if (absl::StartsWith(Field(record, "counts"), "sent_")) {
    return absl::StrFormat("rule %s: %d %s (limit %d)", Field(record, "rule"),
                           Number(record, "count"), CountedWords(record),
                           Number(record, "min_bad"));
  }
  return absl::StrFormat("rule %s: %d %s, %d%% (limits %d, %s)", Field(record, "rule"),
                         Number(record, "count"), CountedWords(record), Number(record, "percent"),
                         Number(record, "min_bad"),
                         share == 0 ? std::string("any share") : absl::StrCat(share, "%"));
}

std::string ExempterOf(const Json& exemption) {
  const std::string by = Field(exemption, "by");
  if (Field(exemption, "source") == "person") return by.empty() ? "a person" : by;
  if (Field(exemption, "name").empty()) return by.empty() ? "the policy" : by;
  const std::string where = At(exemption, "line").is_number()
                                ? absl::StrCat("policy, [exempt.", Field(exemption, "name"),
                                               "], line ", Number(exemption, "line"))
                                : absl::StrCat("policy, ", Field(exemption, "name"));
  return by.empty() ? where : absl::StrCat(by, " (", where, ")");
}

std::string ExemptWords(const Json& exemption) {
  const std::string until = Field(exemption, "until"), reason = Field(exemption, "reason");
  return absl::StrCat("exempt", until.empty() ? "" : absl::StrCat(" until ", ZonedMinute(until)),
                      " by ", ExempterOf(exemption), reason.empty() ? "" : ": ", reason);
}

}  // namespace deferd
