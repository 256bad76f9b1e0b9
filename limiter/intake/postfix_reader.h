// Postfix's log to attempts, joined by queue id: maillog or mail.log with any prefix
// (syslog_prefix.h, log_wrapping.h), any instance and service name.
//
// Postfix says who sends (smtpd, pickup), from whom (qmgr) and what became of it (smtp, local ...)
// on lines of different programs. What names another host, in
// relay= or in Postfix's own sentence, is remote. `status=expired` comes once a
// message, for all recipients that are still deferred: each is an attempt that failed, so those are
// remembered with the message. Address probes (status=deliverable) are no attempts.
//
// A filter or relay of our own that takes a message and hands it back ("queued as ID" of a message
// that came in from there, or orig_queue_id) is a hand-over: no attempt, and the new message is of
// whoever sent the first. Trusted for that are sockets, loopback addresses and `own_hosts`. So is
// what a filter hands back before the message is queued (smtpd_proxy_filter): the session that gave
// it away names its client, its login and the new id. MailScanner names both ids.
//
// What one of our own hosts or a host of `relay_hosts` hands back without any of these is told by
// Message-ID and sender, or is unclear (hand_overs.h). So is what a loopback client brings while a
// filter in front of the queue owes the answer to a session, until that answer comes.

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
  size_t max_open_messages = 1'000'000;  // beyond, the oldest arrival is forgotten and counted
  bool open_messages = false;            // as EximReaderOptions
  HostList own_hosts;                    // [charge] internal_hosts
  HostList relay_hosts;                  // [charge] relay_hosts
  // The name of a local user id; empty if it has none. By default this machine's.
  std::function<std::string(int64_t uid)> user_name;
};

std::unique_ptr<LogReader> NewPostfixReader(const PostfixReaderOptions& options);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_POSTFIX_READER_H_
