#include "exporter/api/schemas.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace deferd {
namespace {

struct SchemaRow {
  const char* name;
  const char* fields;  // "NAME: TYPE, ..."; "NAME?": not required
};

constexpr SchemaRow kSchemas[] = {
    {"Problem", "type: string, title: string, status: integer, detail: string"},
    {"LateResult", "id: string, status: string, code?: integer, result?: any"},
    {"Accepted", "status: string, detail: string, result?: string"},
    {"Counts",
     "delivered: integer, deferred: integer, failed: integer, bad: integer, percent: integer, "
     "rejected_recipients: integer, surplus?: integer, sent_messages?: integer, "
     "sent_recipients?: integer"},
    {"SubjectCounts",
     "subject: string, delivered: integer, deferred: integer, failed: integer, bad: integer, "
     "percent: integer, rejected_recipients: integer, surplus?: integer, sent_messages?: integer, "
     "sent_recipients?: integer, by_node?: Counts{}"},
    {"Window",
     "delivered: integer, deferred: integer, failed: integer, bad: integer, percent: integer, "
     "rejected_recipients: integer, surplus?: integer, sent_messages?: integer, "
     "sent_recipients?: integer, left_out?: integer{}, by_node?: Counts{}"},
    // Of a case of others that applies to a token's subject: `subject` is null, and the rest is
    // what is required here.
    {"Case",
     "id?: string, subject: string|null, state: string, rule?: string|null, action: string, "
     "since: time, until: time, permanent: boolean, exempt: boolean, count?: integer, "
     "counts?: string, classes?: string[], min_bad?: integer, percent?: integer, "
     "percent_limit?: integer, by?: string, reason?: string, manual: boolean, shadow: boolean, "
     "history?: boolean, extended?: integer, delivered?: integer, deferred?: integer, "
     "failed?: integer, rejected_recipients?: integer, window?: string, policy_hash?: string, "
     "closed_at?: time, closed_by?: string, closed_reason?: string, by_node?: Counts{}, "
     "overruled?: CaseEvent|null, receipt?: Receipt"},
    {"Decision",
     "id: string, subject: string, state: string, rule: string|null, action: string, since: time, "
     "until: time, permanent: boolean, exempt: boolean, count: integer, counts: string, "
     "classes: string[], min_bad: integer, percent: integer, percent_limit: integer, by: string, "
     "reason: string, manual: boolean, shadow: boolean, history: boolean, extended: integer, "
     "delivered: integer, deferred: integer, failed: integer, rejected_recipients: integer, "
     "window: string, policy_hash?: string, closed_at?: time, closed_by?: string, "
     "closed_reason?: string, by_node?: Counts{}, overruled?: CaseEvent|null, "
     "not_saved: string|null, not_shared: string|null, held?: HeldOfCase|null"},
    {"HeldOfCase",
     "messages?: integer|null, order?: string, stays_for?: string, problem?: string|null, "
     "sample?: object[]"},
    {"CaseEvent",
     "time: time, change: string, case?: string, by: string, decision?: string, rule?: string, "
     "reason: string, until?: time, permanent?: boolean, shadow?: boolean"},
    {"NewerCase", "id: string, state: string, shadow: boolean, since: time"},
    {"Receipt",
     "counts: Counts, rule: ReceiptRule, share: string, window_begin: time, window_end: time, "
     "counted_after: time|null, apart: string[], once: boolean, policy_hash?: string, "
     "attempts: Attempt[], attempts_total: integer|null, digest: string|null"},
    {"ReceiptRule",
     "name: string, min_bad: integer, classes: string[], percent: integer, window: string, "
     "action: string"},
    {"Rule",
     "name: string, counts: string, classes: string[], min_recipients: integer, "
     "recipients: integer, min_bad: integer, percent: integer, tripped: boolean, off: boolean, "
     "shadow: boolean, window: string, bad: integer, bad_percent: integer, bad_missing: integer, "
     "at_this_pace: time|null"},
    {"Exemption",
     "source: string, id?: string, name?: string, line?: integer|null, subject?: string, "
     "reason?: string, by?: string, since?: time|null, until: time|null"},
    {"Fault",
     "trouble: string, culprit: string, fault: string, remedies: string[], patience: boolean"},
    {"Causes",
     "problem?: string, since?: time, until?: time, all?: boolean, who?: Culprit[], "
     "senders?: BadBy[], logins?: BadBy[], users?: BadBy[], answers?: AnswerClass[], "
     "claimed?: BadBy[], mail_subjects?: BadBy[], recipients?: integer, destinations?: integer, "
     "attempts?: Attempt[]"},
    {"Culprit",
     "kind: string, name: string, delivered: integer, deferred: integer, failed: integer, "
     "bad: integer, left_out: integer"},
    {"BadBy", "name: string, bad: integer"},
    {"CountBy", "name: string, count: integer"},
    {"AnswerClass",
     "class: string, count: integer, left_out: integer, meaning: string, side: string, "
     "advice: string, hosts: CountBy[], recipients: integer, recipient: string, sample: string"},
    {"LeftOut", "problem?: string, all?: boolean, counted?: Outcomes, reasons?: LeftOutReason[]"},
    {"Outcomes", "delivered: integer, deferred: integer, failed: integer"},
    {"LeftOutReason",
     "reason: string, meaning: string, delivered: integer, deferred: integer, failed: integer, "
     "classes: integer{}"},
    {"Held",
     "subject: string|null, messages: integer, overdue?: integer, blocked?: boolean, "
     "waits_for?: string"},
    {"Answers",
     "submission: string, local: string, queued: string, relay: string, "
     "hold_limit_reached: boolean"},
    {"Incident",
     "scope: string, where: string, class: string, since: time, last: time, ended: time|null, "
     "attempts: integer, subject_count: integer, subjects: string[], witnesses: string[], "
     "reply: string"},
    {"Why",
     "subject: string, state: string, seen: boolean, near?: string[], within?: string[], "
     "window: Window, window_length: string, rules: Rule[], case: Case|null, "
     "named_case: Case|null, newer_case: NewerCase|null, fault: Fault|null, causes: Causes|null, "
     "left_out: LeftOut|null, incidents?: Incident[], exempt: boolean, "
     "exemption: Exemption|null, hosted: boolean, policy_shadow: boolean, cleared_at: time|null, "
     "events: CaseEvent[], answers: Answers, stopped_by: Case[], parts: Case[], held: Held[], "
     "held_problem: string|null, held_seen?: boolean, postfix_defers?: boolean, "
     "unchecked: string[], unchecked_since: time|null, history?: object|null"},
    {"Check",
     "subject: string, verdict: string, text: string, unchecked: boolean, "
     "hold_limit_reached: boolean, causes: string[], age_seconds: number, source: string, "
     "parts: string[], shadow: boolean, exemption: Exemption|null, case: Case|null"},
    {"AttemptPage", "items: Attempt[], next: string|null"},
    {"Attempt",
     "time: time, node?: string, id: string, sender: string|null, subject: string, "
     "recipient: string, original: string, host: string, outcome: string, class: string, "
     "reply: string, state: string, expired: boolean, left_out: string|null, ip: string, "
     "narrower: string, login: string, user?: string, mail_subject: string, router: string, "
     "transport: string, arrival: string|null, row: string, type: string, msgid: string, "
     "message: string, actionunixtime: integer, sendunixtime: integer, senderauth: string, "
     "domain: string, deliveredto: string, deliverydomain: string, transport_is_remote: integer, "
     "tries?: integer, next?: string, decisive?: boolean, meaning?: string, side?: string, "
     "advice?: string"},
    {"Status",
     "version: string, node: string, incarnation: integer, mode: string, policy: PolicyState, "
     "unchecked: boolean, causes: string[], sources: LogSource[], store: StoreState, "
     "shared: object|null, queue: object|null, notices: object|null, api: object, "
     "uptime: string, lines: integer{}, charged: integer{}, left_out: integer{}, "
     "questions: object, blind: any[], asked_last_hour: Asked{}, hosted_list: boolean, "
     "subjects: integer, subjects_evicted: integer, messages_evicted: integer, "
     "places_evicted: integer, blocked: integer, exempt: integer, shadow: integer, "
     "incidents: Incident[], listening: string{}"},
    {"PolicyState", "path: string, hash: string, loaded: time, stale: boolean, error: string"},
    {"LogSource",
     "path: string, lag_seconds: number, gaps: integer, last_gap: time|null, "
     "last_stamp: time|null, at_end: boolean, problem: string, bytes: integer, "
     "open_messages: integer"},
    {"StoreState",
     "path: string, bytes: integer, problem: string, failing_since: time|null, commits: integer, "
     "ledger: LedgerState"},
    {"LedgerState",
     "enabled: boolean, rows: integer, segments: integer, keep: string, waiting_rows: integer, "
     "lost_rows: integer"},
    {"Asked", "accepted: integer, asked: integer"},
};

Json Ref(absl::string_view name) {
  Json json = Json::object();
  json["$ref"] = absl::StrCat("#/components/schemas/", name);
  return json;
}

Json OfField(const char* name, Json value) {
  Json json = Json::object();
  json[name] = std::move(value);
  return json;
}

}  // namespace

Json SchemaOfType(absl::string_view type) {
  if (absl::ConsumeSuffix(&type, "|null")) {
    Json json = SchemaOfType(type);
    if (json.contains("type")) {
      json["type"] = Json::array({json["type"], "null"});
      return json;
    }
    Json either = Json::array();
    either.push_back(std::move(json));
    either.push_back(OfField("type", "null"));
    return OfField("anyOf", std::move(either));
  }
  if (absl::ConsumeSuffix(&type, "[]")) {
    Json json = OfField("type", "array");
    json["items"] = SchemaOfType(type);
    return json;
  }
  if (absl::ConsumeSuffix(&type, "{}")) {
    Json json = OfField("type", "object");
    json["additionalProperties"] = SchemaOfType(type);
    return json;
  }
  if (type == "any") return Json::object();
  if (absl::ascii_isupper(static_cast<unsigned char>(type[0]))) return Ref(type);
  Json json = OfField("type", type == "time" ? "string" : std::string(type));
  if (type == "time") json["format"] = "date-time";
  return json;
}

Json AllSchemas() {
  Json schemas = Json::object();
  for (const SchemaRow& row : kSchemas) {
    Json properties = Json::object(), required = Json::array();
    for (absl::string_view field : absl::StrSplit(row.fields, ", ")) {
      const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(field, ": ");
      absl::string_view name = parts.first;
      const bool optional = absl::ConsumeSuffix(&name, "?");
      properties[std::string(name)] = SchemaOfType(parts.second);
      if (!optional) required.push_back(std::string(name));
    }
    Json& schema = schemas[row.name];
    schema["type"] = "object";
    if (!required.empty()) schema["required"] = std::move(required);
    schema["properties"] = std::move(properties);
  }
  return schemas;
}

}  // namespace deferd
