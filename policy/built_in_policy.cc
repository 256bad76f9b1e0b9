#include <cstdlib>

#include "policy/policy_file.h"

namespace deferd {

namespace {

constexpr absl::string_view kBuiltInPolicy =
    R"(# The policy that is in force when deferd.toml names none.
#
# A rule blocks a domain when, within its window, at least min_bad deliveries were deferred or
# failed AND they are at least percent of all. A rule without percent is off, unless it says
# any_share = true.

mode = "enforce"  # "shadow": judge, count and show, but never answer an MTA
profile = "fair"  # "cpanel": count every kind of reply, and word refusals as cPanel does
count = "once"    # a message and recipient counts once; "attempts": each retry counts again

# Half of a domain's mail goes wrong: a bad list, a stolen password, a broken script. One mailbox or
# script alone is blocked by the rules login and account below; the domain is judged by what is left.
[rule.ratio]
min_bad = 10
percent = 50
warn_at = 0.7  # a line in the log at 7 bad ones that are 35 percent
window = "1h"
block_for = "1h"
# What the MTA is told, by where the mail comes from: people at their mail program see a refusal at
# once; what nobody would see refused is held and goes out later.
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }

# So much goes wrong that a smaller share is enough, as when spam hides among a newsletter.
[rule.runaway]
min_bad = 100
percent = 10
window = "1h"
block_for = "1h"
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }

# So many that no share of good ones makes up for them: whoever sends spam can send any number of
# messages to accomplices besides. Who sends that much by right stands in [exempt].
[rule.flood]
min_bad = 1000
any_share = true
window = "1h"
block_for = "1h"
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }

# Client hosts that need no login (relay_hosts, and this one by a local SMTP session), under whatever
# senders they write: a script that takes another one for each message is nobody else's.
[rule.host]
kind = "host"
min_bad = 100
percent = 50
window = "1h"
block_for = "1h"
action = "hold"

[rule.host_flood]
kind = "host"
min_bad = 5000
any_share = true
window = "1h"
block_for = "1h"
action = "hold"

# One login: a mailbox whose password was stolen is blocked, and its domain goes on. Names without an
# @ (PAM, saslauthd) are login:NAME@HOST.
[rule.login]
kind = "login"
min_bad = 10
percent = 50
warn_at = 0.7
window = "1h"
block_for = "1h"
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }

# One system user, such as the one that a web site's scripts run as.
[rule.account]
kind = "account"
min_bad = 10
percent = 50
warn_at = 0.7
window = "1h"
block_for = "1h"
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }

# System users that no domain is known for (root, cron jobs): only shown, never blocked.
[rule.local]
kind = "local"
min_bad = 10
percent = 50
window = "1h"
block_for = "1h"
action = "hold"

# Recipients that the mail server itself refuses to a login, local user or relay host of ours at RCPT
# time (Exim: verify = recipient; Postfix: reject_unlisted_recipient): they never become deliveries,
# and many of them are a bought list, or somebody who guesses addresses. Only watched until you take
# out shadow = true; percent is the share of all recipients tried.
[rule.rejected_recipients]
min_rejected_recipients = 50
percent = 30
window = "1h"
block_for = "1h"
action = { submission = "reject", local = "hold", queued = "hold", relay = "hold" }
shadow = true
)";

}  // namespace

absl::string_view BuiltInPolicyText() { return kBuiltInPolicy; }

const Policy& BuiltInPolicy() {
  static const Policy& policy = *[] {
    absl::StatusOr<Policy> parsed = ParsePolicy(kBuiltInPolicy, "built-in");
    if (!parsed.ok()) std::abort();
    return new Policy(*std::move(parsed));
  }();
  return policy;
}

}  // namespace deferd
