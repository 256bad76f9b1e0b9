#include "limiter/admin/record.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxText = 4'096;

absl::Status ReadTime(const std::string& text, const char* name, absl::Time* time) {
  std::string error;
  if (absl::ParseTime(absl::RFC3339_full, text, time, &error)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      name, ": ", Quoted(text), " is not a valid time (example: 2026-11-22T08:00:00Z)"));
}

absl::Status ReadOutcome(const std::string& text, Outcome* outcome) {
  for (int i = 0; i < kOutcomes; ++i) {
    if (OutcomeName(static_cast<Outcome>(i)) != text) continue;
    *outcome = static_cast<Outcome>(i);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "outcome: ", Quoted(text), " is none; give delivered, deferred, failed or expired"));
}

bool IsAttempt(Outcome outcome) {
  return outcome == Outcome::kDelivered || outcome == Outcome::kDeferred ||
         outcome == Outcome::kFailed || outcome == Outcome::kExpired;
}

}  // namespace

absl::Status AddRecord(const Json& record, absl::Time now, EventBatch* batch) {
  if (!record.is_object()) return absl::InvalidArgumentError("not a JSON object");
  Attempt attempt;
  attempt.time = now;
  // One value for all attempts of the message, whenever they come.
  attempt.message.arrival = absl::UnixEpoch();
  std::string time, arrival, outcome;
  bool local = false, completed = false;
  const std::pair<const char*, std::string*> kTexts[] = {{"id", &attempt.message.id},
                                                         {"time", &time},
                                                         {"arrival", &arrival},
                                                         {"sender", &attempt.identity.sender},
                                                         {"login", &attempt.identity.login},
                                                         {"user", &attempt.identity.user},
                                                         {"client", &attempt.identity.host},
                                                         {"recipient", &attempt.recipient},
                                                         {"original", &attempt.original},
                                                         {"outcome", &outcome},
                                                         {"transport", &attempt.transport},
                                                         {"host", &attempt.host},
                                                         {"ip", &attempt.host_ip},
                                                         {"reply", &attempt.reply}};
  const std::pair<const char*, bool*> kFlags[] = {
      {"local", &local}, {"made_by_mta", &attempt.identity.made_by_mta}, {"completed", &completed}};
  for (const auto& [key, value] : record.items()) {
    bool known = false;
    for (const auto& [name, to] : kTexts) {
      if (key != name) continue;
      known = true;
      if (!value.is_string() || value.get_ref<const std::string&>().size() > kMaxText) {
        return absl::InvalidArgumentError(
            absl::StrCat(name, ": expected a string of at most ", kMaxText, " bytes"));
      }
      *to = value.get<std::string>();
    }
    for (const auto& [name, to] : kFlags) {
      if (key != name) continue;
      known = true;
      if (!value.is_boolean()) {
        return absl::InvalidArgumentError(absl::StrCat(name, ": expected true or false"));
      }
      *to = value.get<bool>();
    }
    if (!known) {
      return absl::InvalidArgumentError(absl::StrCat(Quoted(key), " is not a field of an attempt"));
    }
  }
  for (const auto& [name, text] :
       {std::pair("id", &attempt.message.id), std::pair("recipient", &attempt.recipient),
        std::pair("outcome", &outcome)}) {
    if (text->empty()) return absl::InvalidArgumentError(absl::StrCat(name, " is missing"));
  }
  absl::Status status = ReadOutcome(outcome, &attempt.outcome);
  if (status.ok() && !time.empty()) status = ReadTime(time, "time", &attempt.time);
  if (status.ok() && !arrival.empty()) {
    status = ReadTime(arrival, "arrival", &attempt.message.arrival);
  }
  if (!status.ok()) return status;
  absl::AsciiStrToLower(&attempt.recipient);
  attempt.remote = !local;
  attempt.bare_expiry = attempt.outcome == Outcome::kExpired && attempt.reply.empty();

  LogEvent* event = batch->Add();
  const bool counts = IsAttempt(attempt.outcome);
  event->kind = counts ? LogEvent::Kind::kAttempt : LogEvent::Kind::kShown;
  event->attempt = attempt;
  ++batch->counts.lines;
  ++(counts ? batch->counts.attempts : batch->counts.not_mine);
  if (!completed) return absl::OkStatus();
  event = batch->Add();
  event->kind = LogEvent::Kind::kCompleted;
  event->attempt = std::move(attempt);
  return absl::OkStatus();
}

}  // namespace deferd
