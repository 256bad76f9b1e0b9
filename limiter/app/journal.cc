#include "limiter/app/journal.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/port/log.h"
#include "policy/evaluate.h"

namespace deferd {

namespace {

std::string TimeOfDay(absl::Time t) { return absl::FormatTime("%H:%M:%S", t, absl::UTCTimeZone()); }

std::string Reason(const std::string& reason) {
  return reason.empty() ? "no reason given" : PrintableUtf8(reason);
}

}  // namespace

void Journal::OnCase(CaseChange change, const Case& record) {
  // A record of another node came through Redis, where anybody may have written it.
  const std::string subject = PrintableUtf8(record.subject.ToString());
  const std::string id = PrintableUtf8(record.id);
  const bool opens = record.state != CaseState::kClosed;
  if (record.exempts()) {
    spdlog::warn("{}: {} by {}{}: {} [{}]", subject, opens ? "EXEMPT" : "exemption ended",
                 PrintableUtf8(opens ? record.by : CloserOf(record)),
                 !opens               ? std::string()
                 : record.permanent() ? std::string(" until it is removed")
                                      : absl::StrCat(" until ", TimeOfDay(record.until), " UTC"),
                 Reason(opens ? record.reason : record.closed_reason), id);
    return;
  }
  switch (change) {
    case CaseChange::kOpened:
      break;  // OnAnnounce
    case CaseChange::kExtended:
      if (record.history) return;
      spdlog::warn("{}: still over the limits, {} until {} UTC [{}]", subject,
                   record.shadow ? "in shadow" : "blocked", TimeOfDay(record.until), id);
      break;
    case CaseChange::kEnded:
      if (record.history) return;
      spdlog::info(
          "{}: {} ended, {} [{}]", subject, record.shadow ? "shadow case" : "block",
          record.ending == Ending::kTime ? "its time is over" : PrintableUtf8(record.closed_reason),
          id);
      break;
    case CaseChange::kBlockedByPerson:
      spdlog::warn("{}: BLOCKED by {} {}: {} [{}]", subject, PrintableUtf8(record.by),
                   record.permanent() ? std::string("permanently")
                                      : absl::StrCat("until ", TimeOfDay(record.until), " UTC"),
                   Reason(record.reason), id);
      break;
    case CaseChange::kUnblocked:
      spdlog::warn("{}: unblocked by {}: {} [{}]", subject, PrintableUtf8(CloserOf(record)),
                   Reason(record.closed_reason), id);
      break;
    case CaseChange::kAdopted:
      spdlog::info("{}: {} on another node until {} UTC [{}]", subject,
                   record.state == CaseState::kClosed ? "unblocked" : "blocked",
                   TimeOfDay(record.until), id);
      break;
  }
}

void Journal::OnIncident(const Incident& incident) {
  const std::string where = PrintableUtf8(incident.where);
  if (!incident.open()) {
    spdlog::info("incident at {} is over: {} answers to {} senders, none of them counted", where,
                 incident.attempts, incident.subjects.size());
    return;
  }
  const std::string reply = PrintableUtf8(incident.reply);
  if (incident.scope == ReplyScope::kDestination || incident.scope == ReplyScope::kSenderDomain ||
      incident.where == Incident::kResolver) {
    spdlog::warn(
        "INCIDENT: {}: {} senders fail at once, which is not their doing and is left out: {}",
        where, incident.subjects.size(), reply);
  } else {
    spdlog::warn("INCIDENT: {} refuses our {}, whoever sends; left out, and yours to mend: {}",
                 where, incident.scope == ReplyScope::kIp ? "IP address" : "server", reply);
  }
}

void Journal::OnWarning(const Warning& warning) {
  std::string when;
  if (warning.expected.has_value()) {
    const int64_t minutes = absl::ToInt64Minutes(*warning.expected - warning.at);
    when = absl::StrFormat("; at this pace %s in %d %s", warning.shadow ? "reached" : "blocked",
                           minutes, minutes == 1 ? "minute" : "minutes");
  }
  spdlog::warn("{}: WARNING: near rule {}{}: {} {} of {} ({}%), limits {} and {}%{}",
               PrintableUtf8(warning.subject.ToString()), PrintableUtf8(warning.rule),
               warning.shadow ? " (shadow)" : "", warning.bad(), warning.measure.Words(),
               warning.bad_of(), warning.percent, warning.min_bad, warning.percent_limit, when);
}

void Journal::OnAnnounce(const Case& record) {
  if (record.history) return;  // recorded, but over before it was found: nobody need act
  const std::string subject = PrintableUtf8(record.subject.ToString());
  const char* const what = record.shadow ? "would be blocked (shadow)" : "BLOCKED";
  if (record.measure.sent()) {
    spdlog::warn("{}: {} by rule {}: {} {}, limit {}; until {} UTC [{}]", subject, what,
                 PrintableUtf8(record.rule), record.bad(), record.measure.Words(), record.min_bad,
                 TimeOfDay(record.until), PrintableUtf8(record.id));
    return;
  }
  const std::string line = absl::StrFormat(
      "%s: %s by rule %s: %d %s of %d (%d%%), limits %d and %d%%; until %s UTC [%s]", subject, what,
      PrintableUtf8(record.rule), record.bad(), record.measure.Words(), record.bad_of(),
      record.percent, record.min_bad, record.percent_limit, TimeOfDay(record.until),
      PrintableUtf8(record.id));
  spdlog::warn("{}", line);
}

}  // namespace deferd
