// Prints a reference of the manual as Markdown, from the table in the code: manual_reference
// metrics or manual_reference reply-classes. Used by manual.py alone.

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "exporter/metrics.h"
#include "limiter/config/config_keys.h"
#include "policy/policy_keys.h"
#include "policy/reply/reply_class.h"

namespace deferd {
namespace {

absl::string_view CountingName(ReplyCounting counting) {
  return counting == ReplyCounting::kCounts ? "counts" : "left out";
}

std::string ReplyClasses() {
  std::string table =
      "| class | meaning | who acts | about | deferral | failure |\n|---|---|---|---|---|---|\n";
  std::string advice = "\n| class | what to do |\n|---|---|\n";
  for (const ReplyClassInfo& info : ReplyClassTable()) {
    absl::StrAppend(&table, "| `", info.name, "` | ", info.meaning, " | ", info.side, " | `",
                    ReplyScopeName(info.scope), "` | ", CountingName(info.deferral), " | ",
                    CountingName(info.failure), " |\n");
    absl::StrAppend(&advice, "| `", info.name, "` | ", info.advice, " |\n");
  }
  return table + advice;
}

std::string Keys(absl::Span<const TomlKeyInfo> keys) {
  std::string table = "| key | type | default | meaning |\n|---|---|---|---|\n";
  for (const TomlKeyInfo& info : keys) {
    absl::StrAppend(&table, "| `", info.table, info.table.empty() ? "" : " ", info.key, "` | ",
                    info.type, " | ", info.fallback, " | ", info.help, " |\n");
  }
  return table;
}

int Main(absl::string_view page) {
  std::string text;
  if (page == "metrics") text = Metrics::MarkdownTable();
  if (page == "configuration") text = Keys(ConfigKeys());
  if (page == "policy") text = Keys(PolicyKeys());
  if (page == "reply-classes") text = ReplyClasses();
  std::fputs(text.c_str(), stdout);
  return text.empty() ? 2 : 0;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc > 1 ? argv[1] : ""); }
