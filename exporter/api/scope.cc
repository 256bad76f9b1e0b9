#include "exporter/api/scope.h"

#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/types/span.h"

namespace deferd {
namespace {

using Fields = absl::Span<const char* const>;

constexpr char kNotShown[] = "(not shown)";

Json Picked(const Json& from, Fields fields) {
  Json json = Json::object();
  if (!from.is_object()) return json;
  for (const char* field : fields) {
    const auto found = from.find(field);
    if (found != from.end()) json[field] = *found;
  }
  return json;
}

bool SeesName(const Token& token, const Json& name) {
  if (!name.is_string()) return false;
  const absl::StatusOr<Subject> subject = Subject::Parse(name.get<std::string>());
  return subject.ok() && token.Sees(*subject);
}
bool SeesEntry(const Token& token, const Json& entry) {
  return entry.is_object() && SeesName(token, At(entry, "subject"));
}

// A login, or an address, of one of the token's domains.
bool SeesAddress(const Token& token, const std::string& address) {
  return absl::StrContains(address, '@') &&
         token.Sees(Subject::Narrow(SubjectKind::kLogin, address));
}

// The entries that `view` makes something of, in order.
template <typename View>
Json Each(const Json& list, View view) {
  Json seen = Json::array();
  if (!list.is_array()) return seen;
  for (const Json& entry : list) {
    Json one = view(entry);
    if (!one.is_null()) seen.push_back(std::move(one));
  }
  return seen;
}

// That there is something, but not what: it may speak of the server.
Json Hidden(const Json& text, const char* instead) {
  return text.is_null() || (text.is_string() && text.get_ref<const std::string&>().empty())
             ? Json(nullptr)
             : Json(instead);
}

// Why counts may be incomplete names logs and machines.
Json UncheckedView(const Json& causes) {
  return causes.is_array() && !causes.empty()
             ? Json::array({"the server cannot vouch for its counts at the moment"})
             : Json::array();
}

// A row of the ledger that is charged to a subject which the token sees; null: another.
Json RowView(const Token& token, const Json& row) {
  static constexpr const char* kFields[] = {"time",
                                            "id",
                                            "sender",
                                            "subject",
                                            "recipient",
                                            "original",
                                            "host",
                                            "outcome",
                                            "class",
                                            "reply",
                                            "state",
                                            "expired",
                                            "left_out",
                                            "ip",
                                            "mail_subject",
                                            "router",
                                            "transport",
                                            "arrival",
                                            "row",
                                            "type",
                                            "msgid",
                                            "message",
                                            "domain",
                                            "actionunixtime",
                                            "sendunixtime",
                                            "next",
                                            "tries",
                                            "deliveredto",
                                            "deliverydomain",
                                            "transport_is_remote",
                                            "decisive",
                                            "meaning",
                                            "side",
                                            "advice"};
  if (!SeesEntry(token, row)) return nullptr;
  Json json = Picked(row, kFields);
  const std::string login = Field(row, "login"), user = Field(row, "user");
  const bool own_login = SeesAddress(token, login);
  for (const char* name : {"login", "senderauth"}) {
    if (row.contains(name)) json[name] = own_login ? login : "";
  }
  const Json& narrower = At(row, "narrower");
  json["narrower"] = SeesName(token, narrower) ? narrower : Json("");
  // What another customer of this server sent, and this one only passed on.
  const bool forwarded =
      absl::StartsWith(Field(row, "subject"), SubjectKindName(SubjectKind::kForward));
  if (forwarded && !own_login && (!login.empty() || !user.empty())) json["sender"] = nullptr;
  return json;
}
Json RowsView(const Token& token, const Json& rows) {
  return Each(rows, [&](const Json& row) { return RowView(token, row); });
}

Json OverruledView(const Json& word) {
  static constexpr const char* kFields[] = {"time", "change", "by", "decision", "reason"};
  return word.is_object() ? Picked(word, kFields) : Json(nullptr);
}

Json ReceiptView(const Token& token, const Json& receipt) {
  static constexpr const char* kFields[] = {"counts",       "rule",           "share",
                                            "window_begin", "window_end",     "counted_after",
                                            "once",         "attempts_total", "digest"};
  Json json = Picked(receipt, kFields);
  json["apart"] = Each(At(receipt, "apart"), [&](const Json& name) {
    return SeesName(token, name) ? name : Json(nullptr);
  });
  json["attempts"] = RowsView(token, At(receipt, "attempts"));
  return json;
}

// Of a case of somebody else (a pattern, a tag, a host) that applies to the token's subject it is
// shown that it does, and for how long.
Json CaseView(const Token& token, const Json& record) {
  static constexpr const char* kOwn[] = {"id",
                                         "subject",
                                         "state",
                                         "rule",
                                         "action",
                                         "since",
                                         "until",
                                         "permanent",
                                         "exempt",
                                         "count",
                                         "counts",
                                         "classes",
                                         "min_bad",
                                         "percent",
                                         "percent_limit",
                                         "by",
                                         "reason",
                                         "manual",
                                         "shadow",
                                         "history",
                                         "extended",
                                         "window",
                                         "delivered",
                                         "deferred",
                                         "failed",
                                         "rejected_recipients",
                                         "closed_at",
                                         "closed_by",
                                         "closed_reason"};
  static constexpr const char* kOthers[] = {"state",     "action", "since",  "until",
                                            "permanent", "exempt", "manual", "shadow"};
  if (!record.is_object()) return nullptr;
  if (!SeesEntry(token, record)) {
    Json json = Picked(record, kOthers);
    json["subject"] = nullptr;
    return json;
  }
  Json json = Picked(record, kOwn);
  if (record.contains("overruled")) json["overruled"] = OverruledView(record["overruled"]);
  if (record.contains("receipt")) json["receipt"] = ReceiptView(token, record["receipt"]);
  return json;
}
Json OwnCaseView(const Token& token, const Json& record) {
  return SeesEntry(token, record) ? CaseView(token, record) : Json(nullptr);
}

Json ExemptionView(const Token& token, const Json& exemption) {
  static constexpr const char* kOwn[] = {"source", "id",    "subject", "reason",
                                         "by",     "since", "until"};
  static constexpr const char* kOthers[] = {"source", "until"};
  if (!exemption.is_object()) return nullptr;
  return SeesEntry(token, exemption) ? Picked(exemption, kOwn) : Picked(exemption, kOthers);
}

Json CountsView(const Json& counts) {
  static constexpr const char* kFields[] = {"subject",
                                            "delivered",
                                            "deferred",
                                            "failed",
                                            "bad",
                                            "percent",
                                            "surplus",
                                            "left_out",
                                            "sent_messages",
                                            "sent_recipients",
                                            "rejected_recipients"};
  return Picked(counts, kFields);
}

// Who sent is told by the logins of the token's domains; another name may be anybody's.
Json CausesView(const Token& token, const Subject& subject, const Json& causes) {
  static constexpr const char* kFields[] = {"since",         "until",      "all",         "answers",
                                            "mail_subjects", "recipients", "destinations"};
  static constexpr const char* kSent[] = {"kind",   "name", "delivered", "deferred",
                                          "failed", "bad",  "left_out"};
  if (!causes.is_object()) return nullptr;
  Json json = Picked(causes, kFields);
  if (causes.contains("problem")) json["problem"] = Hidden(causes["problem"], "cannot be read now");
  // A forwarder's senders are other people, perhaps of this server.
  const bool forward = subject.kind == SubjectKind::kForward;
  const auto shown = [&](const std::string& kind, const std::string& name) {
    return SeesAddress(token, name) || name == "<>" || (kind == "sender" && !forward);
  };
  json["who"] = Each(At(causes, "who"), [&](const Json& one) {
    Json view = Picked(one, kSent);
    if (!shown(Field(one, "kind"), Field(one, "name"))) view["name"] = kNotShown;
    return view;
  });
  for (const auto& [list, kind] : {std::pair("senders", "sender"), std::pair("logins", "login")}) {
    json[list] = Each(At(causes, list), [&, of = kind](const Json& one) {
      return shown(of, Field(one, "name")) ? one : Json(nullptr);
    });
  }
  json["attempts"] = RowsView(token, At(causes, "attempts"));
  return json;
}

Json LeftOutView(const Json& left_out) {
  static constexpr const char* kFields[] = {"all", "counted"};
  static constexpr const char* kReason[] = {"reason",   "meaning", "delivered",
                                            "deferred", "failed",  "classes"};
  if (!left_out.is_object()) return nullptr;
  Json json = Picked(left_out, kFields);
  json["reasons"] = Each(At(left_out, "reasons"), [](const Json& one) {
    Json view = Picked(one, kReason);
    if (Field(one, "reason") == "counted apart") {  // whose name stands there
      view["meaning"] = "count for a part of it alone, which is or was blocked by itself";
    }
    return view;
  });
  return json;
}

Json HeldView(const Token& token, const Json& one) {
  static constexpr const char* kFields[] = {"subject", "messages", "overdue", "blocked",
                                            "waits_for"};
  return SeesEntry(token, one) ? Picked(one, kFields) : Json(nullptr);
}

absl::StatusOr<Json> HistoryView(const Token& token, const Subject& subject, const Json& history) {
  static constexpr const char* kFields[] = {"since", "until", "step_seconds", "all"};
  static constexpr const char* kCounts[] = {"delivered", "deferred", "failed"};
  Json json = Picked(history, kFields);
  if (!subject.id.empty()) {
    json.update(Picked(history, kCounts));
    return json;
  }
  if (!At(history, "subjects").is_object()) {
    return absl::PermissionDeniedError("this counts the mail of the whole server");
  }
  Json seen = Json::object();
  for (const auto& [name, one] : history["subjects"].items()) {
    if (SeesName(token, name)) seen[name] = Picked(one, kCounts);
  }
  json["subjects"] = std::move(seen);
  return json;
}

Json WhyView(const Token& token, const Subject& subject, const Json& why) {
  static constexpr const char* kFields[] = {
      "subject",         "state",     "seen",           "window_length",
      "rules",           "fault",     "exempt",         "hosted",
      "answers",         "events",    "policy_shadow",  "cleared_at",
      "unchecked_since", "held_seen", "postfix_defers", "newer_case"};
  static constexpr const char* kEvent[] = {"time",   "change", "case",      "by",     "rule",
                                           "reason", "until",  "permanent", "shadow", "decision"};
  Json json = Picked(why, kFields);
  json["window"] = CountsView(At(why, "window"));
  json["case"] = OwnCaseView(token, At(why, "case"));
  json["named_case"] = OwnCaseView(token, At(why, "named_case"));
  json["causes"] = CausesView(token, subject, At(why, "causes"));
  json["left_out"] = LeftOutView(At(why, "left_out"));
  json["exemption"] = ExemptionView(token, At(why, "exemption"));
  json["events"] = Each(At(why, "events"), [](const Json& one) { return Picked(one, kEvent); });
  json["stopped_by"] =
      Each(At(why, "stopped_by"), [&](const Json& one) { return CaseView(token, one); });
  json["parts"] = Each(At(why, "parts"), [&](const Json& one) { return OwnCaseView(token, one); });
  json["held"] = Each(At(why, "held"), [&](const Json& one) { return HeldView(token, one); });
  json["held_problem"] = Hidden(At(why, "held_problem"), "the mail queue cannot be read");
  json["unchecked"] = UncheckedView(At(why, "unchecked"));
  if (const Json& history = At(why, "history"); history.is_object()) {
    json["history"] = HistoryView(token, subject, history).value_or(Json(nullptr));
  }
  return json;
}

Json CheckView(const Token& token, const Json& check) {
  static constexpr const char* kFields[] = {
      "subject", "verdict", "unchecked", "hold_limit_reached", "age_seconds", "source", "shadow"};
  Json json = Picked(check, kFields);
  const Json& record = At(check, "case");
  // The sentence names whom the case is about.
  json["text"] = record.is_null() || SeesEntry(token, record) ? At(check, "text") : Json("");
  json["causes"] = UncheckedView(At(check, "causes"));
  json["parts"] = Each(At(check, "parts"), [&](const Json& name) {
    return SeesName(token, name) ? name : Json(nullptr);
  });
  json["exemption"] = ExemptionView(token, At(check, "exemption"));
  json["case"] = CaseView(token, record);
  return json;
}

Json StatsView(const Token& token, const Subject& subject, const Json& stats) {
  static constexpr const char* kFields[] = {"since", "until", "by", "all"};
  static constexpr const char* kRow[] = {"subject",    "sender",   "messages",
                                         "recipients", "left_out", "rejected_recipients",
                                         "attempts",   "blocked"};
  Json json = Picked(stats, kFields);
  const bool by_subject = Field(stats, "by") == "subject";
  json["rows"] = Each(At(stats, "rows"), [&](const Json& row) {
    if (by_subject && !SeesEntry(token, row)) return Json(nullptr);
    Json view = Picked(row, kRow);
    const bool others =
        subject.kind == SubjectKind::kForward && !SeesAddress(token, Field(row, "sender"));
    if (!by_subject && others) view["sender"] = kNotShown;
    return view;
  });
  return json;
}

// A case that a person's word made or ended.
Json DecisionView(const Token& token, const Json& answer) {
  static constexpr const char* kHeld[] = {"messages", "order", "stays_for"};
  static constexpr const char* kMail[] = {"id",         "state",   "subject", "sender",
                                          "recipients", "arrival", "size"};
  Json json = CaseView(token, answer);
  json["not_saved"] = Hidden(At(answer, "not_saved"), "it is not stored yet");
  json["not_shared"] = Hidden(At(answer, "not_shared"), "other servers do not know of it yet");
  const Json& held = At(answer, "held");
  if (!held.is_object()) return json;
  json["held"] = Picked(held, kHeld);
  json["held"]["problem"] = Hidden(At(held, "problem"), "the mail queue cannot be read");
  json["held"]["sample"] = Each(At(held, "sample"), [&](const Json& mail) {
    return SeesEntry(token, mail) ? Picked(mail, kMail) : Json(nullptr);
  });
  return json;
}

Json EventView(const Token& token, const Json& event) {
  static constexpr const char* kFields[] = {"seq",     "time",    "type",          "subject",
                                            "change",  "rule",    "bad",           "shadow",
                                            "min_bad", "percent", "percent_limit", "expected"};
  if (!SeesEntry(token, event)) return nullptr;
  Json json = Picked(event, kFields);
  if (event.contains("case")) json["case"] = OwnCaseView(token, event["case"]);
  return json;
}

Json ExplainView(const Json& answer) {
  static constexpr const char* kFields[] = {"class",    "scope",    "permanence", "code",
                                            "enhanced", "provider", "confidence", "meaning",
                                            "side",     "advice"};
  return Picked(answer, kFields);
}

}  // namespace

Json OnlyOwnEvents(const Token& token, const Json& events) {
  return Each(events, [&](const Json& event) { return EventView(token, event); });
}

absl::StatusOr<Json> OnlyOwn(const Token& token, absl::string_view verb, const Subject& subject,
                             const Json& answer) {
  if (verb == "why") return WhyView(token, subject, answer);
  if (verb == "check") return CheckView(token, answer);
  if (verb == "track") return RowsView(token, answer);
  if (verb == "stats") return StatsView(token, subject, answer);
  if (verb == "history") return HistoryView(token, subject, answer);
  if (verb == "block" || verb == "unblock") return DecisionView(token, answer);
  if (verb == "explain") return ExplainView(answer);
  if (verb == "events") return OnlyOwnEvents(token, answer);
  if (verb == "blocks") {
    return Each(answer, [&](const Json& one) { return OwnCaseView(token, one); });
  }
  if (verb == "top") {
    return Each(answer, [&](const Json& one) {
      return SeesEntry(token, one) ? CountsView(one) : Json(nullptr);
    });
  }
  if (verb == "exempt") {
    return Each(answer, [&](const Json& one) {
      return SeesEntry(token, one) ? ExemptionView(token, one) : Json(nullptr);
    });
  }
  return absl::PermissionDeniedError("this shows or changes the whole server");
}

absl::Status OnlyOwnError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kDeadlineExceeded:
      return status;  // about what was asked for
    case absl::StatusCode::kUnavailable:
      return absl::UnavailableError("a part of the server is not available now; try again");
    default:
      return absl::InternalError("the server failed; its log says why");
  }
}

}  // namespace deferd
