// Who sends a message, as an MTA knows it; and what it asks then, through the sessions of
// limiter/hook as deploy/exim/ask.conf and Postfix' policy delegation do.

#ifndef DEFERD_TESTS_LIMITER_HOOK_MTA_QUESTIONS_H_
#define DEFERD_TESTS_LIMITER_HOOK_MTA_QUESTIONS_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
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

// The line that deploy/exim/ask.conf asks with, for a client of SMTP.
inline std::string AskConfLine() {
  return "check\\tsource=submission\\tlogin=$authenticated_id\\thost=$sender_host_address"
         "\\tsender=$sender_address\\n";
}

// The bytes of Exim's question. A local submission and a panel's domain are asked about by the
// fields that the line protocol has for them.
inline std::string EximQuestionBytes(const Sending& who) {
  std::string line = who.user.empty() ? AskConfLine()
                                      : "check\\tsource=local\\tuser=$sender_ident\\tsender="
                                        "$sender_address\\n";
  if (!who.domain.empty()) {
    line = absl::StrReplaceAll(line, {{"\\tsender=", "\\tdomain=" + who.domain + "\\tsender="}});
  }
  return absl::StrReplaceAll(line, {{"\\t", "\t"},
                                    {"\\n", "\n"},
                                    {"$authenticated_id", who.login},
                                    {"$sender_host_address", who.host},
                                    {"$sender_ident", who.user},
                                    {"$sender_address", who.sender}});
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
