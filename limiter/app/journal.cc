#include "limiter/app/journal.h"

#include <string>

#include "absl/strings/str_format.h"
#include "limiter/port/log.h"

namespace deferd {

namespace {

std::string Clock(absl::Time t) { return absl::FormatTime("%H:%M:%S", t, absl::UTCTimeZone()); }

std::string Reason(const std::string& reason) {
  return reason.empty() ? "no reason given" : PrintableUtf8(reason);
}

}  // namespace

void Journal::OnCase(CaseChange change, const Case& record) {
  const std::string subject = PrintableUtf8(record.subject.ToString());
  switch (change) {
    case CaseChange::kOpened: {
      if (record.history) return;  // recorded, but over before it was found: nobody need act
      const std::string line = absl::StrFormat(
          "%s: %s by rule %s: %d bad of %d (%d%%), limits %d and %d%%; until %s UTC [%s]", subject,
          record.shadow ? "would be blocked (shadow)" : "BLOCKED", record.rule, record.counts.bad(),
          record.counts.total(), record.percent, record.min_bad, record.percent_limit,
          Clock(record.until), record.id);
      spdlog::warn("{}", line);
      break;
    }
    case CaseChange::kExtended:
      if (record.history) return;
      spdlog::warn("{}: still over the limits, {} until {} UTC [{}]", subject,
                   record.shadow ? "in shadow" : "blocked", Clock(record.until), record.id);
      break;
    case CaseChange::kEnded:
      if (record.history) return;
      spdlog::info("{}: {} ended, {} [{}]", subject, record.shadow ? "shadow case" : "block",
                   record.closed_by == "time" ? "its time is over" : record.closed_reason,
                   record.id);
      break;
    case CaseChange::kBlockedByPerson:
      spdlog::warn("{}: BLOCKED by {} until {} UTC: {} [{}]", subject, record.by,
                   Clock(record.until), Reason(record.reason), record.id);
      break;
    case CaseChange::kUnblocked:
      spdlog::warn("{}: unblocked by {}: {} [{}]", subject, record.closed_by,
                   Reason(record.closed_reason), record.id);
      break;
  }
}

}  // namespace deferd
