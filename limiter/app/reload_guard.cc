#include "limiter/app/reload_guard.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kSubjectsNamed = 5;

// "3 newly blocked (a.example, b.example, c.example)"
void AddNames(const Json& diff, const char* change, std::string* text) {
  size_t count = 0;
  std::string names;
  for (const Json& one : diff["subjects"]) {
    if (Field(one, "change") != change) continue;
    if (++count > kSubjectsNamed) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", PrintableUtf8(Field(one, "subject")));
  }
  if (count == 0) return;
  absl::StrAppend(text, text->empty() ? "" : ", ", count, " ", change, " (", names,
                  count > kSubjectsNamed ? ", ..." : "", ")");
}

}  // namespace

absl::Status ReloadGuard::Check(const std::shared_ptr<const Policy>& before,
                                const std::shared_ptr<const Policy>& after,
                                std::string* unknown) const {
  const absl::StatusOr<LastDay::Counted> counted =
      day.Count(before, after, PolicyModes::kAsWritten);
  if (!counted.ok()) {
    *unknown = std::string(counted.status().message());
    return absl::OkStatus();
  }
  const Json& diff = counted->diff;
  if (!counted->whole) {
    *unknown = absl::StrCat("only ", Number(diff, "attempts"), " attempts in time");
  }
  const double altered = diff.value("altered_percent", 0.0);
  if (altered <= percent) return absl::OkStatus();
  std::string names;
  for (const char* change : {"newly blocked", "newly free", "longer", "shorter"}) {
    AddNames(diff, change, &names);
  }
  return absl::FailedPreconditionError(absl::StrFormat(
      "reload_guard: the new policy %s would have altered %.1f%% of the %d subjects of the last "
      "day, more than %g%%: %s. The policy before stays in force. deferctl policy diff shows why; "
      "deferctl reload --force takes it all the same",
      after->path, altered, Number(diff, "judged"), percent, names));
}

}  // namespace deferd
