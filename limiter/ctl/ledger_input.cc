#include "limiter/ctl/ledger_input.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "policy/left_out.h"
#include "policy/subject.h"

namespace deferd {

namespace {

constexpr absl::Duration kSlice = absl::Hours(1);
constexpr int64_t kRows = 2000;  // of one answer

bool ReadTime(const Json& row, const char* name, absl::Time* time) {
  return absl::ParseTime(absl::RFC3339_full, Field(row, name), time, nullptr);
}

// Which message it is, and whose: whoever was charged then is charged now.
bool ReadWho(const Json& row, Attempt* attempt) {
  attempt->message.id = Field(row, "id");
  // One that is unknown is the same for all attempts of the message.
  if (!ReadTime(row, "arrival", &attempt->message.arrival)) {
    attempt->message.arrival = absl::UnixEpoch();
  }
  absl::StatusOr<Subject> charged = Subject::Parse(Field(row, "subject"));
  if (!charged.ok()) return false;
  Identity& identity = attempt->identity;
  identity.sender = Field(row, "sender");
  identity.login = Field(row, "login");
  if (identity.login.empty()) identity.user = Field(row, "user");
  if (charged->kind == SubjectKind::kDomain) {
    if (identity.login.empty() && identity.user.empty()) {
      identity.sender_vouched = true;  // a relay host's
      return std::string(identity.sender).ends_with(charged->id);
    }
    identity.identified_domain = charged->id;
  }
  return charged->kind != SubjectKind::kForward && charged->kind != SubjectKind::kHost;
}

}  // namespace

bool AttemptOfRow(const Json& row, Attempt* attempt) {
  const std::string left_out = Field(row, "left_out");
  if (!left_out.empty() && left_out != LeftOutName(LeftOut::kReplyClass)) return false;
  const std::string outcome = Field(row, "outcome");
  *attempt = Attempt();
  if (outcome == "delivered") {
    attempt->outcome = Outcome::kDelivered;
  } else if (outcome == "deferred") {
    attempt->outcome = Outcome::kDeferred;
  } else if (outcome == "failed") {
    attempt->outcome = Flag(row, "expired") ? Outcome::kExpired : Outcome::kFailed;
  } else {
    return false;
  }
  if (!ReadTime(row, "time", &attempt->time)) return false;
  attempt->recipient = Field(row, "recipient");
  attempt->host = Field(row, "host");
  attempt->host_ip = Field(row, "ip");
  attempt->router = Field(row, "router");
  attempt->transport = Field(row, "transport");
  attempt->reply = Field(row, "reply");
  attempt->remote = true;  // it counted, or only its answer kept it from that
  attempt->bare_expiry = attempt->outcome == Outcome::kExpired && attempt->reply.empty();
  return ReadWho(row, attempt);
}

bool ArrivalOfRow(const Json& row, Attempt* attempt) {
  const std::string reply = Field(row, "reply");
  if (Field(row, "outcome") != "queued" || absl::StartsWith(reply, kReleasedPrefix) ||
      absl::StartsWith(reply, kFormerReleasedPrefix)) {
    return false;
  }
  *attempt = Attempt();
  attempt->handed_over = Field(row, "left_out") == LeftOutName(LeftOut::kInternalHost);
  return ReadTime(row, "time", &attempt->time) && ReadWho(row, attempt);
}

absl::StatusOr<bool> LedgerInput::Next(EventBatch* batch) {
  batch->Clear();
  const absl::Time end = std::min(next_ + kSlice, until_);
  std::vector<Json> rows;
  int64_t before = 0;
  while (true) {
    absl::StatusOr<Json> page = track_({{"since", FormatUtc(next_)},
                                        {"until", FormatUtc(end)},
                                        {"limit", kRows},
                                        {"before", before}});
    if (!page.ok()) return page.status();
    for (Json& row : *page) rows.push_back(std::move(row));
    if (page->size() < static_cast<size_t>(kRows) ||
        !absl::SimpleAtoi(Field(rows.back(), "row"), &before)) {
      break;
    }
  }
  Attempt attempt;
  for (auto row = rows.rbegin(); row != rows.rend(); ++row) {
    const bool arrived = ArrivalOfRow(*row, &attempt);
    if (!arrived && !AttemptOfRow(*row, &attempt)) continue;
    LogEvent* const event = batch->Add();
    event->kind = arrived ? LogEvent::Kind::kArrived : LogEvent::Kind::kAttempt;
    event->attempt = attempt;
    ++batch->counts.lines;
    ++(arrived ? batch->counts.not_mine : batch->counts.attempts);
  }
  next_ = end;
  return next_ < until_;
}

}  // namespace deferd
