#include "limiter/ctl/stats_page.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/ctl/page_text.h"

namespace deferd {

std::string StatsPage(const Json& stats) {
  const std::string by = Field(stats, "by");
  std::string out = absl::StrCat("from ", ShortTime(Field(stats, "since")), " to ",
                                 ZonedTime(Field(stats, "until")), "\n");
  if (At(stats, "rows").empty()) return out + "nothing was sent\n";
  std::vector<Row> rows;
  for (const Json& one : At(stats, "rows")) {
    const Json& recipients = At(one, "recipients");
    const Json& attempts = At(one, "attempts");
    const int64_t all =
        Number(attempts, "delivered") + Number(attempts, "deferred") + Number(attempts, "failed");
    rows.push_back(
        {{Field(one, "messages"), Field(recipients, "delivered"), Field(recipients, "deferred"),
          Field(recipients, "failed"), Field(one, "left_out"), absl::StrCat(all),
          absl::StrCat(Flag(one, "blocked") ? "✖ " : "", Field(one, by.c_str()))},
         Flag(one, "blocked") ? Look::kBad : Look::kPlain});
  }
  out += Table({{.head = "MESSAGES", .right = true},
                {.head = "DELIVERED", .right = true},
                {.head = "DEFERRED", .right = true},
                {.head = "FAILED", .right = true},
                {.head = "LEFT OUT", .right = true},
                {.head = "ATTEMPTS", .right = true},
                {.head = by == "sender" ? "SENDER" : "SUBJECT", .least = 20, .coloured = true}},
               rows);
  out += Wrapped("",
                 "DELIVERED, DEFERRED, FAILED and LEFT OUT are recipients, each with its last "
                 "outcome in this time. Rules, and deferctl why, count "
                 "the last hour (or a rule's window), without those left out.");
  bool blocked = false;
  for (const Json& one : At(stats, "rows")) blocked = blocked || Flag(one, "blocked");
  if (blocked) out += "✖ is blocked now.\n";
  std::string rejected;
  for (const Json& one : At(stats, "rows")) {
    if (Number(one, "rejected_recipients") == 0) continue;
    absl::StrAppend(&rejected, rejected.empty() ? "" : ", ", Field(one, by.c_str()), " ",
                    Number(one, "rejected_recipients"));
  }
  if (!rejected.empty()) {
    out += Wrapped("", absl::StrCat("Besides, recipients that this mail server refused at RCPT "
                                    "time, which are no deliveries: ",
                                    rejected));
  }
  if (!Flag(stats, "all")) out += "there is more: the newest attempts were counted; give --since\n";
  return out;
}

}  // namespace deferd
