#include "limiter/notice_maker.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "policy/policy.h"
#include "policy/reply/reply_class.h"

namespace deferd {

namespace {

using Json = nlohmann::ordered_json;

// A log that is read late warns of what is long over.
constexpr absl::Duration kOld = absl::Hours(1);

// Text from logs may hold any byte.
std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Utc(absl::Time t) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", t, absl::UTCTimeZone());
}

// The domain whose owner hears of the subject.
std::string OwnedDomain(const Subject& subject, const Subject& within) {
  if (subject.kind == SubjectKind::kDomain) return subject.id;
  if (within.kind == SubjectKind::kDomain && !within.id.empty()) return within.id;
  return "";
}

}  // namespace

void NoticeMaker::OfCase(NoticeKind kind, const std::string& id, const Case& record) {
  if (record.shadow || record.history || !listeners()) return;
  Json facts = {{"case", record.id},
                {"manual", record.manual},
                {"rule", record.rule},
                {"action", std::string(VerdictName(record.action.For(Source::kSubmission)))},
                {"bad", record.bad()},
                {"of", record.bad_of()},
                {"percent", record.percent},
                {"min_bad", record.min_bad},
                {"percent_limit", record.percent_limit},
                {"measure", std::string(record.measure.Name())},
                {"counted", record.measure.Words()},
                {"since", Utc(record.since)},
                {"until", Utc(record.until)},
                {"permanent", record.permanent()},
                {"by", record.by},
                {"reason", record.reason}};
  if (record.state == CaseState::kClosed) {
    facts["ended_by"] = CloserOf(record);
    facts["ended_by_person"] = record.ending == Ending::kPerson;
    facts["ended_reason"] = record.closed_reason;
  }
  outbox_->Add({.id = id,
                .kind = kind,
                .time = clock_->Now(),
                .subject = record.subject.ToString(),
                .domain = OwnedDomain(record.subject, record.within),
                .thread = record.id,
                .facts = Line(facts)});
}

void NoticeMaker::OnAnnounce(const Case& record) {
  OfCase(NoticeKind::kBlocked, absl::StrCat(record.id, ":blocked"), record);
}

void NoticeMaker::OnCase(CaseChange change, const Case& record) {
  const bool own = absl::StartsWith(record.id, absl::StrCat(node_, "-"));
  switch (change) {
    case CaseChange::kOpened:   // OnAnnounce
    case CaseChange::kAdopted:  // another node tells of it
      break;
    case CaseChange::kBlockedByPerson:
      OfCase(NoticeKind::kBlocked, absl::StrCat(record.id, ":blocked"), record);
      break;
    case CaseChange::kExtended:
      if (!own) break;
      OfCase(NoticeKind::kExtended, absl::StrCat(record.id, ":extended:", record.extended), record);
      break;
    case CaseChange::kEnded:
      // Replaced by a block that is told of, or the end of its time, which every node sees.
      if (!own || record.ending == Ending::kPerson || record.ending == Ending::kEnforced) break;
      OfCase(NoticeKind::kUnblocked, absl::StrCat(record.id, ":unblocked"), record);
      break;
    case CaseChange::kUnblocked:
      OfCase(NoticeKind::kUnblocked, absl::StrCat(record.id, ":unblocked"), record);
      break;
  }
}

void NoticeMaker::OnIncident(const Incident& incident) {
  const bool own_address =
      incident.scope == ReplyScope::kIp || incident.scope == ReplyScope::kServer;
  const std::string thread = absl::StrCat("incident-", node_, "-", incident.where, "-",
                                          absl::ToUnixSeconds(incident.since));
  if (incident.last < clock_->Now() - kOld || !listeners()) return;
  const NoticeKind kind = !incident.open() ? NoticeKind::kIncidentClosed
                          : own_address    ? NoticeKind::kOwnAddressRefused
                                           : NoticeKind::kIncidentOpened;
  const Json facts = {
      {"where", incident.where},
      {"reply", incident.reply},
      {"class", std::string(ReplyClassName(incident.reply_class))},
      {"since", Utc(incident.since)},
      {"senders", incident.subjects.size()},
      {"attempts", incident.attempts},
      {"own_address", own_address},
  };
  outbox_->Add({.id = absl::StrCat(thread, incident.open() ? ":opened" : ":closed"),
                .kind = kind,
                .time = clock_->Now(),
                .subject = "",
                .domain = "",
                .thread = thread,
                .facts = Line(facts)});
}

void NoticeMaker::OnWarning(const Warning& warning) {
  const absl::Time now = clock_->Now();
  if (warning.shadow || warning.at < now - kOld || !listeners()) return;
  const std::string subject = warning.subject.ToString();
  Json facts = {{"rule", warning.rule},
                {"bad", warning.bad()},
                {"of", warning.bad_of()},
                {"percent", warning.percent},
                {"min_bad", warning.min_bad},
                {"percent_limit", warning.percent_limit},
                {"measure", std::string(warning.measure.Name())},
                {"counted", warning.measure.Words()}};
  if (warning.expected.has_value()) facts["expected"] = Utc(*warning.expected);
  const std::string domain = warning.subject.kind == SubjectKind::kDomain ? warning.subject.id : "";
  outbox_->Add({.id = absl::StrCat("warned:", node_, ":", subject, ":", warning.rule, ":",
                                   absl::ToUnixSeconds(warning.at)),
                .kind = NoticeKind::kWarned,
                .time = now,
                .subject = subject,
                .domain = domain,
                .thread = absl::StrCat("warned-", node_, "-", subject),
                .facts = Line(facts)});
}

}  // namespace deferd
