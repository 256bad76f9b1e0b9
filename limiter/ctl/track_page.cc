#include "limiter/ctl/track_page.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "limiter/admin/track.h"
#include "limiter/ctl/page_text.h"

namespace deferd {

std::string TrackPage(const Json& rows) {
  if (rows.empty()) return "nothing found\n";
  std::string out;
  for (const Json& row : rows) {
    const std::string sender = Field(row, "sender");
    const std::string recipient = Field(row, "recipient");
    const bool decisive = Flag(row, "decisive");
    std::string head = absl::StrCat(
        decisive ? "=> " : "", ShortTime(Field(row, "time")), "  ", Field(row, "outcome"),
        Flag(row, "expired") ? " (given up)" : "", "  ", sender.empty() ? "<>" : sender);
    if (!recipient.empty()) absl::StrAppend(&head, " -> ", recipient);
    if (recipient.empty() && Field(row, "outcome") == OutcomeName(Outcome::kRejected) &&
        !Field(row, "id").empty()) {
      head += " (to whom: the mail server did not log it)";
    }
    const std::string original = Field(row, "original");
    if (original != recipient && !original.empty()) {
      absl::StrAppend(&head, " (for ", original, ")");
    }
    absl::StrAppend(&out, Wrapped("", head));
    std::string host = Field(row, "host");
    if (!Field(row, "ip").empty()) absl::StrAppend(&host, " [", Field(row, "ip"), "]");
    const std::string reply = Field(row, "reply");
    if (!host.empty() || !reply.empty()) {
      absl::StrAppend(&out, Wrapped("    ", absl::StrCat(host, host.empty() ? "" : ": ", reply)));
    }
    if (decisive && !Field(row, "meaning").empty()) {
      absl::StrAppend(&out, Wrapped("    what it means: ", Field(row, "meaning")),
                      Wrapped("    who acts:      ", Field(row, "side")),
                      Wrapped("    what to do:    ", Field(row, "advice")));
    }
    std::string facts = absl::StrReplaceAll(Field(row, "class"), {{"_", " "}});
    absl::StrAppend(&facts, facts.empty() ? "" : ", ", "id ",
                    Field(row, "id").empty() ? "-" : Field(row, "id"));
    if (!Field(row, "login").empty()) absl::StrAppend(&facts, ", login ", Field(row, "login"));
    if (!Field(row, "user").empty()) absl::StrAppend(&facts, ", user ", Field(row, "user"));
    if (!Field(row, "subject").empty()) absl::StrAppend(&facts, ", of ", Field(row, "subject"));
    if (!Field(row, "left_out").empty()) {
      absl::StrAppend(&facts, ", not counted: ", Field(row, "left_out"));
    }
    if (!Field(row, "mail_subject").empty()) {
      absl::StrAppend(&facts, ", \"", Field(row, "mail_subject"), "\"");
    }
    absl::StrAppend(&out, Wrapped("    ", facts));
  }
  return out;
}

std::string NothingFound(const Json& request) {
  std::string out = "nothing found\n";
  const absl::StatusOr<OutcomeFilter> asked = ParseOutcomes(Field(request, "outcome"));
  if (!asked.ok()) return out;
  const auto named = [&](Outcome one) {
    return std::find(asked->outcomes.begin(), asked->outcomes.end(), one) != asked->outcomes.end();
  };
  if (named(Outcome::kFiltered) || named(Outcome::kArchived)) {
    out += Wrapped("",
                   "filtered (taken by a filter) and archived (copied to an archive) are never "
                   "read from a mail server's log, which does not tell them from a delivery or a "
                   "rejection; there are only those that another program reported by deferctl "
                   "record.");
  }
  if (!Field(request, "mail_subject").empty()) {
    out += Wrapped("",
                   "Subject: lines are kept only with subjects = true under [ledger] in deferd's "
                   "configuration, and where the mail server logs them (Exim: log_selector = "
                   "+subject).");
  }
  if (asked->in_progress) {
    out += Wrapped("",
                   "in progress: a message that is in the queue and was not tried yet. One that "
                   "was tried and waits for its next try is deferred.");
  }
  return out;
}

}  // namespace deferd
