// What is known about the sender of one message, before anyone is charged for it.
//
// Intake fills it from an arrival line of the log, the hook from the MTA's question; both hand it
// to Charge (charge.h), so that who is asked is who is charged. A field is empty when the MTA did
// not say it.

#ifndef DEFERD_POLICY_IDENTITY_H_
#define DEFERD_POLICY_IDENTITY_H_

#include <string>

namespace deferd {

struct Identity {
  std::string sender;  // envelope sender; empty is the null sender
  std::string login;   // authenticated id of the SMTP session (Exim A=..:ID, Postfix sasl_username)
  std::string user;    // local system user who submitted, only where no client host was involved
  std::string host;    // client IP address; empty for local submissions

  // The domain that the MTA's own configuration names as the sending one (the "Sender
  // identification ... D=" lines of hosting panels); empty if it does not.
  std::string identified_domain;

  // The message was made by the MTA itself: a bounce or a delay warning, null sender.
  bool made_by_mta = false;

  // The MTA vouches for the envelope sender: a question that names nothing but the sender.
  bool sender_vouched = false;

  // A filter of this server may have handed back somebody else's mail, or the client host may have
  // sent mail of its own: the log does not tell which. Never set in a question.
  bool unclear = false;

  friend bool operator==(const Identity&, const Identity&) = default;
};

}  // namespace deferd

#endif  // DEFERD_POLICY_IDENTITY_H_
