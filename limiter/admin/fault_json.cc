#include <string>
#include <utility>
#include <vector>

#include "limiter/admin/causes.h"
#include "policy/fault.h"

namespace deferd {

namespace {

CulpritKind KindOf(const Json& sender) {
  const std::string kind = Field(sender, "kind");
  if (Field(sender, "name") == "<>") return CulpritKind::kUnknown;
  return kind == "login"  ? CulpritKind::kLogin
         : kind == "user" ? CulpritKind::kUser
                          : CulpritKind::kSender;
}

// Who is asked about may say it all.
CulpritKind CulpritOf(const Subject& subject, const Json& who) {
  switch (subject.kind) {
    case SubjectKind::kLogin:
      return CulpritKind::kLogin;
    case SubjectKind::kScript:
    case SubjectKind::kAccount:
    case SubjectKind::kLocal:
      return CulpritKind::kUser;
    case SubjectKind::kHost:
      return CulpritKind::kHost;
    case SubjectKind::kForward:
      return CulpritKind::kForward;
    case SubjectKind::kDomain:
      break;
  }
  std::vector<Suspect> culprits;
  for (const Json& one : who) culprits.push_back({KindOf(one), Number(one, "bad")});
  return deferd::CulpritOf(culprits);
}

absl::string_view CulpritName(CulpritKind culprit) {
  switch (culprit) {
    case CulpritKind::kUnknown:
      return "unknown";
    case CulpritKind::kLogin:
      return "login";
    case CulpritKind::kUser:
      return "user";
    case CulpritKind::kSender:
      return "sender";
    case CulpritKind::kHost:
      return "host";
    case CulpritKind::kForward:
      return "forward";
    case CulpritKind::kMany:
      return "many";
  }
  return "";
}

}  // namespace

Json FaultJson(const Json& causes, const Subject& subject, const std::vector<Incident>& incidents,
               int64_t refused_here) {
  if (causes.contains("problem")) return nullptr;
  Symptoms symptoms;
  const Json who = causes.value("who", Json::array());
  symptoms.culprit = CulpritOf(subject, who);
  for (const Json& one : who) symptoms.delivered += Number(one, "delivered");
  for (const Json& one : causes.value("answers", Json::array())) {
    symptoms.answers.push_back(
        {ParseReplyClass(Field(one, "class")).value_or(ReplyClass::kUnclassified),
         Number(one, "count"), Number(one, "left_out")});
  }
  symptoms.recipients = Number(causes, "recipients");
  symptoms.destinations = Number(causes, "destinations");
  symptoms.refused_here = refused_here;
  for (const Incident& one : incidents) {
    const bool ours = one.scope == ReplyScope::kIp || one.scope == ReplyScope::kServer;
    (ours ? symptoms.address_listed : symptoms.destination_down) |= one.open();
  }
  const Fault fault = FaultOf(symptoms);
  Json remedies = Json::array();
  for (absl::string_view remedy : fault.remedies) remedies.push_back(std::string(remedy));
  return {{"trouble", std::string(TroubleName(fault.trouble))},
          {"culprit", std::string(CulpritName(symptoms.culprit))},
          {"fault", std::string(fault.sentence)},
          {"remedies", std::move(remedies)},
          {"patience", fault.patience}};
}

}  // namespace deferd
