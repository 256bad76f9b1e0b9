// Who sends a message, as an MTA knows it; and what it asks then, through the sessions of
// limiter/hook as deploy/exim/ask.conf and Postfix' policy delegation do.

#ifndef DEFERD_TESTS_LIMITER_HOOK_MTA_QUESTIONS_H_
#define DEFERD_TESTS_LIMITER_HOOK_MTA_QUESTIONS_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/hook/exim_session.h"
#include "limiter/hook/postfix_session.h"
#include "policy/charge.h"

namespace deferd {

struct Sending {
  std::string sender;
  std::string login;
  std::string user;
  std::string host;
  std::string domain;  // the MTA's own "Sender identification", of hosting panels
};

inline std::vector<std::string> Names(const ChargedSubjects& charged) {
  std::vector<std::string> names;
  for (const Charged& one : charged) {
    names.push_back(one.subject.ToString() + (one.hosted ? "" : " (not hosted)"));
  }
  return names;
}

// The bytes of Exim's question, with the fields of deploy/exim/ask.conf in their order: of an SMTP
// client $authenticated_id and $sender_host_address, of a local submission $sender_ident; what
// there is none of is empty. A panel's domain has a field of its own.
inline std::string EximQuestionBytes(const Sending& who) {
  const bool local = !who.user.empty();
  const char* source = local ? "local" : who.login.empty() ? "relay" : "submission";
  return absl::StrCat("check\tsource=", source, "\tlogin=", local ? "" : who.login,
                      "\tuser=", who.user, "\thost=", local ? "" : who.host,
                      who.domain.empty() ? "" : absl::StrCat("\tdomain=", who.domain),
                      "\tsender=", who.sender, "\n");
}

// The attributes of SMTPD_POLICY_README, those that decide in the order in which Postfix sends
// them.
inline std::string PostfixQuestionBytes(const Sending& who) {
  return absl::StrCat(
      "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n",
      "client_address=", who.host, "\nclient_name=unknown\nhelo_name=h\nsender=", who.sender,
      "\nrecipient=r@far.example\nrecipient_count=0\nqueue_id=\n",
      "instance=\nsize=0\nsasl_method=PLAIN\nsasl_username=", who.login, "\nsasl_sender=\n\n");
}

// Whom the session's one question to deferd is about; {"no question"} if there was none.
template <typename SessionKind>
std::vector<std::string> Asked(const ChargeLists& lists, const std::string& bytes) {
  std::vector<std::string> asked = {"no question"};
  SessionKind session(
      [&](const Question& question) {
        asked = Names(Charge(lists, question.identity, ""));
        return Answer{};
      },
      nullptr, nullptr);
  std::string out;
  session.OnBytes(bytes, &out);
  session.OnEnd(&out);
  return asked;
}

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_HOOK_MTA_QUESTIONS_H_
