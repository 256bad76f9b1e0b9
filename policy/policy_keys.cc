#include "policy/policy_keys.h"

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace deferd {
namespace {

constexpr TomlKeyInfo kKeys[] = {
    {"", "mode", "string", "`\"enforce\"`",
     "`\"shadow\"`: judge, count and show, but never answer an MTA. The installed file says "
     "`\"shadow\"`."},
    {"", "profile", "string", "`\"fair\"`", "`\"cpanel\"`: see [Profile cpanel](#profile-cpanel)."},
    {"", "count", "string", "`\"once\"`",
     "`\"once\"` or `\"attempts\"`: see [What counts](#what-counts)."},
    {"", "hold_max", "duration", "`\"6h\"`",
     "How long a message is held at most, 1m to 5d. Needs `deferd-queue`."},
    {"", "hold_limit", "integer", "`1000`",
     "Held messages of one domain; above it, more of the domain's mail is rejected."},
    {"", "release_auto_max", "integer", "`100`",
     "If more messages than this are held when a block ends, they wait for a person."},
    {"", "text", "string", "",
     "The refusal\'s wording, one line. Replaced: `{kind}`, `{subject}`, `{bad}`, `{min_bad}`, "
     "`{percent}`, `{until}`, `{ending}`, `{case}`. See [Wording](#wording-of-the-refusal)."},
    {"[rule.NAME]", "min_bad", "integer", "",
     "N: least number of bad deliveries. Required with `percent` or `any_share`."},
    {"[rule.NAME]", "min_rejected_recipients", "integer", "",
     "In place of `min_bad`: recipients that the mail server itself refused at RCPT time to the "
     "subject. `percent` is then their share of all recipients tried."},
    {"[rule.NAME]", "classes", "string or list", "",
     "Only answers of these [classes](reply-classes.md) are bad for the rule. It needs no "
     "`percent`; with one, the share is that of all deliveries that count."},
    {"[rule.NAME]", "min_recipients", "integer", "",
     "The bad deliveries must also have had that many different recipients, 1 to 1000. Without "
     "`min_bad`, it stands for `min_bad` too."},
    {"[rule.NAME]", "max_sent", "integer", "",
     "In place of `min_bad`: so many messages may be sent within `window`; see [Limits on what is "
     "sent](#limits-on-what-is-sent). Needs no `percent`."},
    {"[rule.NAME]", "sent", "string", "`\"messages\"`",
     "What `max_sent` limits: `\"messages\"` or `\"recipients\"`."},
    {"[rule.NAME]", "cutoff", "integer", "",
     "Percent of `max_sent`, 101 to 10000. Mail is held from `max_sent` to here; only then "
     "`action` applies."},
    {"[rule.NAME]", "percent", "integer", "",
     "X: least share, 1 to 100. A rule without `percent` is off, unless it says `any_share`, "
     "`classes` or `max_sent`."},
    {"[rule.NAME]", "any_share", "boolean", "`false`",
     "In place of `percent`: `min_bad` bad deliveries are too many, whatever is delivered "
     "besides."},
    {"[rule.NAME]", "window", "duration", "`\"1h\"`", "Whole minutes, 1m to 7d."},
    {"[rule.NAME]", "warn_at", "number", "",
     "Warn once the counts are at this share of both limits, such as `0.7`: a line in the log and "
     "`deferd_warnings_total`, once a window and subject."},
    {"[rule.NAME]", "block_for", "duration", "`\"1h\"`", "At most 30d."},
    {"[rule.NAME]", "action", "string or table", "`submission` reject, others hold",
     "One verdict (`pass`, `hold`, `reject`, `discard`), or a table by source: `submission`, "
     "`local`, `queued`, `relay`. A source that the table does not name passes."},
    {"[rule.NAME]", "shadow", "boolean", "`false`",
     "Judge and show this rule, never answer it. Always true for `kind = \"local\"`."},
    {"[rule.NAME]", "kind", "string", "`\"domain\"`",
     "Which subjects the rule judges: `domain`, `login`, `host`, `account`, `script`, `local`, "
     "`forward`."},
    {"[rule.NAME]", "unhosted", "boolean", "`false`",
     "Only logins (or accounts) of no domain that is hosted here."},
    {"[rule.NAME]", "owner_release", "boolean", "`false`",
     "The owner may end such a block once in 24 hours on the [owner's "
     "page](console.md#owners-page), "
     "unless the answers speak of spam, reputation or addresses that do not exist."},
    {"[rule.NAME]", "source", "string or list", "",
     "Only mail of these sources is answered, any other passes: `submission`, `local`, `queued`, "
     "`relay`. All is counted, since a delivery line does not say how its message came in."},
    {"[rule.NAME]", "domains", "string or list", "",
     "Whom the rule is for: `\"example.com\"`, `\"*.example.com\"` for every name below, or an "
     "absolute path: a file with one entry a line, which is read again when it changes. A login is "
     "meant too if its domain is."},
    {"[rule.NAME]", "logins", "string or list", "",
     "Single logins, in rules of their kind: `\"bob@example.com\"`; or others such as "
     "`\"account:web1\"`. May be a file."},
    {"[rule.NAME]", "tags", "string or list", "", "Whom these `[tag.NAME]` list."},
    {"[rule.NAME]", "except", "string or list", "",
     "Whom the rule is not for after all: domains, patterns, logins, files."},
    {"[rule.NAME]", "instead_of", "string or list", "",
     "Other rules of the same kind. They do not judge whom this one is for, so its limits may be "
     "looser. A rule that is off replaces none, one in shadow only others in shadow."},
    {"[tag.NAME]", "domains", "string or list", "",
     "Domains that rules and exemptions name together, as of a rule."},
    {"[tag.NAME]", "logins", "string or list", "", "Logins likewise."},
    {"[tag.NAME]", "except", "string or list", "", "Who does not belong to it."},
    {"[exempt]", "domains", "string or list", "", "Counted and shown, but blocked by no rule."},
    {"[exempt.NAME]", "reason", "string", "", "Why; required."},
    {"[exempt.NAME]", "by", "string", "", "Who decided it."},
    {"[exempt.NAME]", "until", "string", "never",
     "When it ends: a day (at its end) or an RFC 3339 time, in UTC."},
    {"[exempt.NAME]", "domains", "string or list", "", "Who is exempt, as of a rule."},
    {"[exempt.NAME]", "logins", "string or list", "", "Logins likewise, alone."},
    {"[exempt.NAME]", "tags", "string or list", "", "Whom these `[tag.NAME]` list."},
    {"[exempt.NAME]", "except", "string or list", "", "Who is not exempt."},
    {"[classes]", "CLASS", "string or table", "",
     "`\"counts\"`, `\"left_out\"`, or `{ deferred = ..., failed = ... }`."},
    {"[replies]", "file", "string", "", "Absolute path of the file with corrected classes."},
    {"[reply.NAME]", "pattern", "string or list", "",
     "Regular expression (RE2) that is found in the answer."},
    {"[reply.NAME]", "class", "string", "", "The class of such an answer."},
    {"[reply.NAME]", "scope", "string", "the class's",
     "Whom the answer is about: `recipient`, `sender_domain`, `ip`, `server`, `destination`."},
};

}  // namespace

std::string LiteralDefault(const TomlKeyInfo& info) {
  absl::string_view text = info.fallback;
  const bool literal = absl::ConsumePrefix(&text, "`") && absl::ConsumeSuffix(&text, "`") &&
                       !absl::StrContains(text, '`');
  return literal ? std::string(text) : "";
}

absl::Span<const TomlKeyInfo> PolicyKeys() { return kKeys; }

}  // namespace deferd
