// What is known about the sender of a message before anybody is charged.
//
// Intake fills it from an arrival line of the log, the hook from the MTA's question. Both pass it
// to Charge (charge.h), so that questions and counts name the same subject. A field is empty if the
// MTA did not report it.

#ifndef DEFERD_POLICY_IDENTITY_H_
#define DEFERD_POLICY_IDENTITY_H_

#include <string>

namespace deferd {

struct Identity {
  std::string sender;  // envelope sender; empty: null sender
  std::string login;   // authenticated id of the SMTP session (Exim A=..:ID, Postfix sasl_username)
  std::string user;    // submitting system user, only without a client host
  std::string host;    // client IP address; empty for local submissions

  // The sending domain according to the MTA's configuration (the "Sender identification ... D="
  // lines of hosting panels); empty if not logged.
  std::string identified_domain;

  // The MTA created the message: a bounce or a delay warning, null sender.
  bool made_by_mta = false;

  // The MTA vouches for the envelope sender: the question names only the sender.
  bool sender_vouched = false;

  // The message is either somebody else's mail that a local filter handed back, or the client
  // host's own: the log does not show which. Never set in a question.
  bool unclear = false;

  friend bool operator==(const Identity&, const Identity&) = default;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_IDENTITY_H_
