#include "exporter/api/resources.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "exporter/api/schemas.h"
#include "limiter/admin/admin_api.h"
#include "limiter/port/log.h"
#include "policy/text.h"

namespace deferd {
namespace {

constexpr auto kText = ParameterType::kText;
constexpr auto kWhole = ParameterType::kWhole;
constexpr auto kFlag = ParameterType::kFlag;

constexpr Parameter kTop[] = {
    {"limit", kWhole, false, "Maximum number of subjects, up to 10000; 0: 10000. Default: 20."},
    {"nodes", kFlag, false, "Also the counts of each node, for the first 100."}};
constexpr Parameter kCheck[] = {
    {"source", kText, false, "submission (default), local, queued or relay."}};
constexpr Parameter kBlocks[] = {
    {"all", kFlag, false, "Also list ended blocks."},
    {"since", kText, false, "Also list blocks that ended since then: 2h, 7d or RFC 3339."}};
constexpr Parameter kIncidents[] = {{"all", kFlag, false, "Also list ended incidents."}};
constexpr Parameter kBlock[] = {{"for", kText, true, "Duration of the block: 30m, 2h, 7d."},
                                {"reason", kText, true, "Recorded with the block."}};
constexpr Parameter kUnblock[] = {
    {"reason", kText, false, "Recorded with the unblock."},
    {"held", kText, false, "release or keep the mail that is held for the subject."}};
constexpr Parameter kStats[] = {
    {"by", kText, false, "subject or sender."},
    {"since", kText, false, "2h, 7d or RFC 3339. Default: one day ago."},
    {"until", kText, false, "As since. Default: now."},
    {"limit", kWhole, false, "Maximum number of rows, up to 10000; 0: 10000. Default: 20."}};
// Of all mail first, then those of one subject's too: who it is charged to is the path's to say.
constexpr Parameter kAttempts[] = {
    {"what", kText, false, "A domain, @DOMAIN of either side, an address, a message id."},
    {"sender", kText, false, "The envelope sender."},
    {"recipient", kText, false, "The final address, or the address before an alias."},
    {"to_domain", kText, false, "The recipient's domain."},
    {"address", kText, false, "Part of the sender's or recipient's address."},
    {"id", kText, false, "All records of one message, oldest first."},
    {"host", kText, false, "Name or address of the remote server."},
    {"outcome", kText, false, "bad, in-progress, blocked, or a list such as deferred,failed."},
    {"class", kText, false, "Class of the reply, such as mailbox_full."},
    {"code", kText, false, "Code of the reply: 550, 5.7.1, or 5.7 for all 5.7.x."},
    {"mail_subject", kText, false, "Part of the Subject: line, if the ledger stores it."},
    {"since", kText, false, "2h, 7d or RFC 3339."},
    {"until", kText, false, "As since."},
    {"recipients", kFlag, false, "One row for each recipient, not for each attempt."},
    {"limit", kWhole, false, "Rows of a page, at most 1000. Default: 50."},
    {"before", kWhole, false, "The field next of the previous page."}};
constexpr Parameter kQueue[] = {
    {"subject", kText, false, "Only messages of this subject."},
    {"sender", kText, false, "Only messages of this sender."},
    {"id", kText, false, "Only this message."},
    {"held", kFlag, false, "Only held messages."},
    {"by", kText, false, "Group the messages: subject, login, script, to, reason or age."}};
constexpr Parameter kRelease[] = {{"subject", kText, false, "Only messages of this subject."},
                                  {"sender", kText, false, "Only messages of this sender."},
                                  {"id", kText, false, "Only this message."},
                                  {"dry_run", kFlag, false, "Report what would be released."}};

constexpr Parameter kMessage[] = {
    {"id", kText, true, "The message's id, as the mail server has it."}};
constexpr Parameter kExplain[] = {{"text", kText, true, "The server's answer, or a status word."}};
constexpr Parameter kExempt[] = {
    {"subject", kText, true, "A subject, *.example.com, or tag:NAME of the policy."},
    {"reason", kText, true, "Recorded with the exemption."},
    {"for", kText, false, "Its duration: 24h, 30d. Default: until it is removed."}};
constexpr Parameter kUnexempt[] = {{"subject", kText, true, "As it was added."},
                                   {"reason", kText, false, "Recorded with the end."}};
constexpr Parameter kShadowReport[] = {{"since", kText, false, "2h, 7d or RFC 3339. Default: 7d."}};
constexpr Parameter kShadowMark[] = {
    {"case", kText, true, "The case's id, or its subject: the newest."},
    {"reason", kText, false, "Recorded in deferd's log."}};
constexpr Parameter kWhy[] = {
    {"history", kFlag, false, "Also its attempts over the last day, as /history has them."}};
constexpr Parameter kHistory[] = {
    {"since", kText, false, "2h, 7d or RFC 3339. Default: 24h."},
    {"steps", kWhole, false, "Number of equal parts of that time, 1 to 240. Default: 48."}};
constexpr Parameter kHistories[] = {
    kHistory[0], kHistory[1], {"by", kText, false, "subject: those with bad attempts, each."}};
constexpr Parameter kDestinations[] = {
    {"since", kText, false, "2h, 7d or RFC 3339. Default: 1h."},
    {"limit", kWhole, false, "Maximum number of rows, up to 10000; 0: 10000. Default: 50."}};
constexpr Parameter kEvents[] = {
    {"after", kWhole, false, "Only events later than the one with this seq. Default: 0."}};
constexpr Parameter kId[] = {{"id", kText, true, "The message."}};
constexpr Parameter kRedirect[] = {{"id", kText, true, "The message."},
                                   {"address", kText, true, "Who gets it instead."}};
constexpr Parameter kTry[] = {{"toml", kText, true, "The whole text of a policy."}};

constexpr auto kOwnAttempts = absl::MakeConstSpan(kAttempts).subspan(1);

constexpr auto kAdmin = TokenRole::kAdmin;
constexpr auto kSupport = TokenRole::kSupport;
constexpr auto kAnyone = ResourceScope::kAnyone;
constexpr auto kServer = ResourceScope::kServer;
constexpr auto kSubject = ResourceScope::kSubject;
constexpr auto kListed = ResourceScope::kListed;

constexpr Resource kResources[] = {
    {"GET", "/status", "status", "", kAdmin, kServer, "The daemon's state.", {}, "Status"},
    {"GET", "/subjects", "top", "", kAdmin, kListed, "Subjects, most bad deliveries first.", kTop,
     "SubjectCounts[]"},
    {"GET", "/subjects/{subject}", "why", "", kAdmin, kSubject,
     "Why the subject is blocked or not: counts, rules, case, evidence.", kWhy, "Why"},
    {"GET", "/subjects/{subject}/check", "check", "", kAdmin, kSubject,
     "The answer that an MTA would get.", kCheck, "Check"},
    {"GET", "/subjects/{subject}/attempts", "track", "", kAdmin, kSubject,
     "Delivery attempts of the subject, newest first.", kOwnAttempts, "AttemptPage"},
    {"GET", "/subjects/{subject}/stats", "stats", "", kAdmin, kSubject,
     "Messages, recipients and attempts of the subject, by sender.", kStats},
    {"GET", "/subjects/{subject}/history", "history", "", kAdmin, kSubject,
     "Attempts of the subject over time.", kHistory},
    {"POST", "/subjects/{subject}/block", "block", "", kAdmin, kSubject, "Block the subject.",
     kBlock, "Decision"},
    {"POST", "/subjects/{subject}/unblock", "unblock", "", kSupport, kSubject,
     "End the subject's block and start counting again.", kUnblock, "Decision"},
    {"GET", "/blocks", "blocks", "", kAdmin, kListed, "Blocked subjects.", kBlocks, "Case[]"},
    {"GET", "/attempts", "track", "", kAdmin, kServer, "Delivery attempts, newest first.",
     kAttempts, "AttemptPage"},
    {"GET", "/stats", "stats", "", kAdmin, kServer, "Messages, recipients and attempts.", kStats},
    {"GET", "/incidents", "incidents", "", kAdmin, kServer,
     "Delivery problems that no sender caused.", kIncidents, "Incident[]"},
    {"GET", "/queue", "queue", "list", kAdmin, kServer, "Queued messages.", kQueue},
    {"POST", "/queue/release", "queue", "release", kSupport, kServer, "Release held messages.",
     kRelease},
    {"POST", "/queue/requeue", "queue", "requeue", kSupport, kServer,
     "Deliver one message at once.", kId},
    {"POST", "/queue/discard", "queue", "discard", kAdmin, kServer,
     "Remove one message; deferd-queue must allow it.", kId},
    {"POST", "/queue/redirect", "queue", "redirect", kAdmin, kServer,
     "Send one message to another address; deferd-queue must allow it.", kRedirect},
    {"POST",
     "/queue/flush",
     "queue",
     "flush",
     kSupport,
     kServer,
     "Deliver all queued messages that are not held.",
     {}},
    {"GET", "/messages", "track", "", kAdmin, kListed,
     "The life of one message, oldest first, with the decisive lines explained.", kMessage,
     "AttemptPage"},
    {"GET", "/history", "history", "", kAdmin, kListed, "Attempts over time.", kHistories},
    {"GET", "/destinations", "destinations", "", kAdmin, kServer,
     "Outcomes by receiving organisation.", kDestinations},
    {"GET", "/explain", "explain", "", kAdmin, kAnyone, "What a server's answer means.", kExplain},
    {"GET", "/exemptions", "exempt", "list", kAdmin, kListed, "Who is exempt from all rules.", {}},
    {"POST", "/exemptions", "exempt", "add", kAdmin, kServer, "Exempt a subject from all rules.",
     kExempt},
    {"POST", "/exemptions/remove", "exempt", "remove", kAdmin, kServer, "End a person's exemption.",
     kUnexempt},
    {"GET", "/shadow", "shadow", "report", kAdmin, kServer, "What rules in shadow would have done.",
     kShadowReport},
    {"POST", "/shadow/right", "shadow", "right", kSupport, kServer,
     "Mark a case in shadow as right.", kShadowMark},
    {"POST", "/shadow/wrong", "shadow", "wrong", kSupport, kServer,
     "Mark a case in shadow as wrong.", kShadowMark},
    {"GET", "/events", "events", "", kAdmin, kListed,
     "What changed, oldest first; with Accept: text/event-stream, as it happens.", kEvents},
    {"GET", "/policy", "policy", "", kAdmin, kServer, "The policy in force.", {}},
    {"POST", "/policy/diff", "policy", "diff", kAdmin, kServer,
     "What another policy would have done with the last day; changes nothing.", kTry},
    {"POST", "/reload", "reload", "", kAdmin, kServer, "Read policy and lists again.", {}},
};

Json SchemaOf(ParameterType type) {
  switch (type) {
    case ParameterType::kText:
      return {{"type", "string"}};
    case ParameterType::kWhole:
      return {{"type", "integer"}, {"minimum", 0}};
    case ParameterType::kFlag:
      return {{"type", "boolean"}};
  }
  return Json::object();
}

// An object of one member. Not written as a list in braces, which some compilers take for an array.
Json Member(const char* name, Json value) {
  Json json = Json::object();
  json[name] = std::move(value);
  return json;
}

// What OpenAPI says of a body.
Json Content(const char* type, Json schema) {
  return Member(type, Member("schema", std::move(schema)));
}

Json OperationOf(const Resource& resource) {
  Json parameters = Json::array();
  if (resource.names_subject()) {
    parameters.push_back(
        {{"name", "subject"},
         {"in", "path"},
         {"required", true},
         {"description",
          "example.com, login:bob@example.com, local:web@HOST, ..., or the id of a case"},
         {"schema", SchemaOf(kText)}});
  }
  Json properties = Json::object();
  Json required = Json::array();
  for (const Parameter& one : resource.parameters) {
    if (absl::string_view(resource.method) == "GET") {
      parameters.push_back({{"name", one.name},
                            {"in", "query"},
                            {"required", one.required},
                            {"description", one.help},
                            {"schema", SchemaOf(one.type)}});
      continue;
    }
    properties[one.name] = SchemaOf(one.type);
    properties[one.name]["description"] = one.help;
    if (one.required) required.push_back(one.name);
  }
  Json operation = {{"summary", resource.help},
                    {"operationId", OperationId(resource.method, resource.path)},
                    {"x-deferd-role", std::string(TokenRoleName(LeastRole(resource)))},
                    {"x-deferd-scoped", resource.scope != kServer},
                    {"parameters", std::move(parameters)}};
  operation["responses"]["200"] = {
      {"description", "Done."},
      {"content", Content("application/json", SchemaOfType(resource.answer))}};
  operation["responses"]["default"] = Member("$ref", "#/components/responses/Problem");
  if (absl::string_view(resource.method) == "POST") {
    operation["responses"]["202"] = Member("$ref", "#/components/responses/Late");
    Json schema = {
        {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
    if (!required.empty()) schema["required"] = std::move(required);
    operation["requestBody"] = {{"required", true},
                                {"content", Content("application/json", std::move(schema))}};
  }
  return operation;
}

// Not of the table: it calls no verb.
Json LateOperation() {
  Json parameter = {
      {"name", "id"}, {"in", "path"}, {"required", true}, {"schema", SchemaOf(kText)}};
  Json operation = {{"summary", "What became of an act that was answered 202, for its token."},
                    {"operationId", OperationId("GET", kLatePath)},
                    {"x-deferd-role", std::string(TokenRoleName(TokenRole::kViewer))},
                    {"x-deferd-scoped", true},
                    {"parameters", Json::array({std::move(parameter)})}};
  operation["responses"]["200"] = {
      {"description", "code and result are those that the act would have been answered with."},
      {"content", Content("application/json", SchemaOfType("LateResult"))}};
  operation["responses"]["default"] = Member("$ref", "#/components/responses/Problem");
  return operation;
}

}  // namespace

absl::Span<const Resource> Resources() { return kResources; }

const Resource& ResourceAt(absl::string_view method, absl::string_view path) {
  for (const Resource& one : kResources) {
    if (method == one.method && path == one.path) return one;
  }
  spdlog::critical("no resource {} {}", ToStd(method), ToStd(path));
  std::abort();
}

std::string OperationId(absl::string_view method, absl::string_view path) {
  std::string id = absl::AsciiStrToLower(method);
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part[0] == '{') {
      id.pop_back();  // one of them: "subjects"
      continue;
    }
    std::string word(part);
    word[0] = absl::ascii_toupper(static_cast<unsigned char>(word[0]));
    id += word;
  }
  return id;
}

TokenRole LeastRole(const Resource& resource) {
  for (const AdminApi::VerbInfo& verb : AdminApi::Verbs()) {
    if (verb.name != resource.verb || (!verb.action.empty() && verb.action != resource.action)) {
      continue;
    }
    return verb.role == VerbRole::kReads ? TokenRole::kViewer : resource.changers;
  }
  return TokenRole::kAdmin;
}

Json OpenApi(absl::string_view version) {
  Json paths = Json::object();
  for (const Resource& resource : Resources()) {
    const std::string path = absl::StrCat(kApiRoot, resource.path);
    const char* const key = absl::string_view(resource.method) == "GET" ? "get" : "post";
    paths[path][key] = OperationOf(resource);
  }
  paths[absl::StrCat(kApiRoot, kLatePath, "{id}")]["get"] = LateOperation();
  Json document = {{"openapi", "3.1.0"},
                   {"info", {{"title", "deferd"}, {"version", std::string(version)}}},
                   {"servers", Json::array({Member("url", "/")})},
                   {"paths", std::move(paths)}};
  Json& components = document["components"];
  components["securitySchemes"]["token"] = {{"type", "http"}, {"scheme", "bearer"}};
  components["responses"]["Problem"] = {
      {"description", "The request failed (RFC 9457)."},
      {"content", Content("application/problem+json", SchemaOfType("Problem"))}};
  components["responses"]["Late"] = {
      {"description", "It takes longer than usual and goes on; do not send it again."},
      {"headers", Member("Location", {{"description", "Where its result will be, for an hour."},
                                      {"schema", SchemaOf(kText)}})},
      {"content", Content("application/json", SchemaOfType("Accepted"))}};
  components["schemas"] = AllSchemas();
  document["security"] = Json::array({Member("token", Json::array())});
  return document;
}

}  // namespace deferd
