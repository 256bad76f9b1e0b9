// Reads Postfix's log and produces attempts, joined by queue id: maillog or mail.log with any
// prefix (syslog_prefix.h, log_wrapping.h), any instance and service name.
//
// Different programs of Postfix log the client (smtpd, pickup), the sender (qmgr) and the outcome
// (smtp, local ...). An attempt that names another host, in relay= or in Postfix's own sentence, is
// remote. `status=expired` is logged once per message, for all recipients that are still deferred;
// each becomes a failed attempt, so deferred recipients are remembered with the message. Address
// probes (status=deliverable) are not attempts.
//
// If a local filter or relay takes a message and hands it back ("queued as ID" of a message that
// came from there, or orig_queue_id), the hand-over is not an attempt, and the new message belongs
// to the original's sender. Sockets, loopback addresses and `own_hosts` are trusted for that. The
// same holds for smtpd_proxy_filter, where the session that passed the message on logs its client,
// its login and the new id. MailScanner logs both ids.
//
// Mail from one of our own hosts or from `relay_hosts` without any of these is matched by
// Message-ID and sender, or is unclear (hand_overs.h). Mail of a loopback client is unclear as well
// while a proxy filter still owes a session its answer.

#ifndef DEFERD_LIMITER_INTAKE_POSTFIX_READER_H_
#define DEFERD_LIMITER_INTAKE_POSTFIX_READER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "limiter/intake/log_reader.h"
#include "policy/charge.h"

namespace deferd {

struct PostfixReaderOptions {
  absl::TimeZone zone = absl::LocalTimeZone();
  size_t max_open_messages = 1'000'000;  // above this, the oldest arrival is forgotten and counted
  bool open_messages = false;            // as in EximReaderOptions
  HostList own_hosts;                    // [charge] internal_hosts
  HostList relay_hosts;                  // [charge] relay_hosts
  OwnMailTest own_mail;                  // as in EximReaderOptions
  // The name of a local user id; empty if there is none. Default: this machine's users.
  std::function<std::string(int64_t uid)> user_name;
};

std::unique_ptr<LogReader> NewPostfixReader(const PostfixReaderOptions& options);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_POSTFIX_READER_H_
