// What counts, told by the lines that real Exims and Postfixes write: the same fate is the same
// class, permanence and count, whichever MTA logs it. here.example is delivered on this host, the
// rest of the world elsewhere, gw.example is a host of ours.

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/postfix_reader.h"
#include "limiter/limiter.h"
#include "policy/policy_file.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

enum class Counted { kYes, kLeftOut };
constexpr Counted kYes = Counted::kYes;
constexpr Counted kNo = Counted::kLeftOut;

constexpr absl::string_view kOurs =
    "Domain s.example has exceeded the max defers and failures per hour (5/5 (100%)) allowed. "
    "Message held until it recovers.";

// What became of the attempt that the last line told of.
class LastSeen : public Observer {
 public:
  void OnAttempt(const Attempt& attempt, const ChargedSubjects&, LeftOut left_out,
                 const Classification* answer) override {
    attempt_ = attempt;
    left_out_ = left_out;
    answer_.reset();
    if (answer != nullptr) answer_ = *answer;
  }

  std::optional<Attempt> attempt_;
  LeftOut left_out_ = LeftOut::kCounts;
  std::optional<Classification> answer_;
};

struct LineCase {
  std::string name;
  std::string line;  // Exim's begins with its flag, Postfix's with the program
  Outcome outcome;
  std::string reply_class;  // empty: delivered
  std::string permanence;
  Counted fair;
  Counted cpanel;
};
void PrintTo(const LineCase& c, std::ostream* out) { *out << c.name; }

class WhatCounts : public testing::TestWithParam<LineCase> {
 protected:
  static bool IsExim(const std::string& line) { return line.find("postfix/") != 0; }

  void Read(const std::string& line, const std::string& policy_toml) {
    auto lists = std::make_shared<ChargeLists>();
    lists->local_domains.emplace().push_back(DomainPattern::Parse("here.example").value());
    ASSERT_THAT(lists->internal_hosts.Add("gw.example"), IsOk());
    const Settings settings{std::make_shared<Policy>(ParsePolicy(policy_toml, "p").value()), lists};
    const absl::Time noon =
        absl::FromCivil(absl::CivilSecond(2026, 11, 22, 12, 0, 0), absl::UTCTimeZone());
    ManualClock clock(noon);
    CaseTable cases;
    Limiter limiter({.node = "0badcafe"}, settings, &clock, &cases);
    std::unique_ptr<LogReader> reader;
    EventBatch batch;
    if (IsExim(line)) {
      reader = NewEximReader({.zone = absl::UTCTimeZone()});
      reader->ReadLine(
          "2026-11-22 11:59:00 1vN0ab-0000000Abcd-0aBc <= bob@s.example H=(pc) "
          "[192.0.2.7] P=esmtpsa A=plain:bob@s.example S=500",
          &batch);
      reader->ReadLine(absl::StrCat("2026-11-22 11:59:01 1vN0ab-0000000Abcd-0aBc ", line), &batch);
    } else {
      PostfixReaderOptions options;
      options.zone = absl::UTCTimeZone();
      reader = NewPostfixReader(options);
      const std::string head = "2026-11-22T11:59:00.000000+00:00 mx ";
      reader->ReadLine(head +
                           "postfix/smtpd[1]: 4F01AA0001: client=pc[192.0.2.7], "
                           "sasl_method=PLAIN, sasl_username=bob@s.example",
                       &batch);
      reader->ReadLine(head +
                           "postfix/qmgr[2]: 4F01AA0001: from=<bob@s.example>, size=500, nrcpt=1 "
                           "(queue active)",
                       &batch);
      const size_t colon = line.find(": ");
      reader->ReadLine(
          absl::StrCat(head, line.substr(0, colon), "[3]: 4F01AA0001: ", line.substr(colon + 2)),
          &batch);
    }
    EXPECT_EQ(batch.counts.malformed, 0);
    limiter.Record(batch).Notify(&seen_);
  }

  LastSeen seen_;
};

TEST_P(WhatCounts, AsTheContractSays) {
  for (const bool fair : {true, false}) {
    seen_.attempt_.reset();
    Read(GetParam().line, fair ? "[rule.r]\nmin_bad = 99\npercent = 1\n"
                               : "profile = \"cpanel\"\n[rule.r]\nmin_bad = 99\npercent = 1\n");
    ASSERT_TRUE(seen_.attempt_.has_value()) << "no attempt was read";
    EXPECT_EQ(seen_.attempt_->outcome, GetParam().outcome);
    const Counted want = fair ? GetParam().fair : GetParam().cpanel;
    EXPECT_EQ(seen_.left_out_ == LeftOut::kCounts, want == kYes)
        << (fair ? "fair: " : "cpanel: ") << LeftOutName(seen_.left_out_);
    if (GetParam().reply_class.empty()) continue;
    ASSERT_TRUE(seen_.answer_.has_value());
    EXPECT_EQ(ReplyClassName(seen_.answer_->reply_class), GetParam().reply_class)
        << seen_.answer_->rule;
    if (GetParam().permanence.empty()) continue;
    EXPECT_EQ(PermanenceName(seen_.answer_->permanence), GetParam().permanence)
        << seen_.answer_->rule;
  }
}

std::string Exim(const std::string& flag, const std::string& rest) {
  return absl::StrCat(flag, " r@far.example ", rest);
}
std::string Postfix(const std::string& status, const std::string& text,
                    const std::string& relay = "none", const std::string& program = "smtp",
                    const std::string& to = "r@far.example") {
  return absl::StrCat("postfix/", program, ": to=<", to, ">, relay=", relay,
                      ", delay=1, delays=1/0/0/0, dsn=5.0.0, status=", status, " (", text, ")");
}

constexpr Outcome kFailed = Outcome::kFailed, kDeferred = Outcome::kDeferred,
                  kDelivered = Outcome::kDelivered;
const char kHost[] = "H=mx.far.example [198.51.100.1]";
const char kRelay[] = "mx.far.example[198.51.100.1]:25";

const LineCase kUnroutable[] = {
    {"EximUnrouteable", "** r@far.example: Unrouteable address", kFailed, "dns_routing",
     "permanent", kYes, kYes},
    {"EximDeadMx", "** r@far.example: all relevant MX records point to non-existent hosts", kFailed,
     "dns_routing", "permanent", kYes, kYes},
    {"EximDeadMxOrIp",
     "** r@far.example R=dnslookup: all relevant MX records point to non-existent hosts or "
     "(invalidly) to IP addresses",
     kFailed, "dns_routing", "permanent", kYes, kYes},
    {"EximNullMx", "** r@far.example: an MX or SRV record indicated no SMTP service", kFailed,
     "dns_routing", "permanent", kYes, kYes},
    {"EximMxIsUs", "** r@far.example R=dnslookup: lowest numbered MX record points to local host",
     kFailed, "dns_routing", "permanent", kYes, kYes},
    {"EximMxIsUsFrozen",
     "== r@far.example R=dnslookup defer (-1): lowest numbered MX record points to local host",
     kDeferred, "dns_routing", "permanent", kYes, kYes},
    {"EximHostIsUs", "** r@far.example R=dnslookup: remote host address is the local host", kFailed,
     "dns_routing", "permanent", kYes, kYes},
    {"EximOwnDomain", "** r@s.example: all relevant MX records point to non-existent hosts",
     kFailed, "dns_routing", "permanent", kYes, kYes},
    {"EximLongId", "** \"a b\"@far.example <\"a b\"@far.example>: Unrouteable address", kFailed,
     "dns_routing", "permanent", kYes, kYes},
    {"PostfixNoDomain",
     Postfix("bounced",
             "Host or domain name not found. Name service error for name=far.example type=A: Host "
             "not found"),
     kFailed, "dns_routing", "permanent", kYes, kYes},
    {"PostfixNoData",
     Postfix("bounced",
             "Host or domain name not found. Name service error for name=mx.far.example type=AAAA: "
             "Host found but no data record of requested type"),
     kFailed, "dns_routing", "permanent", kYes, kYes},
    {"PostfixNullMx", Postfix("bounced", "Domain far.example does not accept mail (nullMX)"),
     kFailed, "dns_routing", "permanent", kYes, kYes},
    {"PostfixLoop", Postfix("bounced", "mail for far.example loops back to myself"), kFailed,
     "dns_routing", "permanent", kYes, kYes},
    {"PostfixLoopOwnDomain",
     Postfix("bounced", "mail for s.example loops back to myself", "none", "smtp", "r@s.example"),
     kFailed, "dns_routing", "permanent", kYes, kYes},
};

// Deferrals of the wire and of look-ups: shown, left out by class.
const LineCase kTemporary[] = {
    {"EximLookup", Exim("==", "R=dnslookup defer (-1): host lookup did not complete"), kDeferred,
     "dns_routing", "transient", kNo, kYes},
    {"EximRefused",
     Exim("==",
          "R=dnslookup T=remote_smtp defer (111): Connection refused H=mx.far.example "
          "[198.51.100.1]"),
     kDeferred, "network", "transient", kNo, kYes},
    {"EximTimeout",
     Exim("==",
          "R=dnslookup T=remote_smtp defer (110): Connection timed out H=mx.far.example "
          "[198.51.100.1]"),
     kDeferred, "network", "transient", kNo, kYes},
    {"EximUnreachable", Exim("==", "R=dnslookup T=remote_smtp defer (101): Network is unreachable"),
     kDeferred, "network", "transient", kNo, kYes},
    {"PostfixLookup",
     Postfix("deferred",
             "Host or domain name not found. Name service error for name=far.example type=MX: Host "
             "not found, try again"),
     kDeferred, "dns_routing", "transient", kNo, kYes},
    {"PostfixRefused",
     Postfix("deferred", "connect to mx.far.example[198.51.100.1]:25: Connection refused"),
     kDeferred, "network", "transient", kNo, kYes},
    {"PostfixSuspended",
     Postfix("deferred",
             "delivery temporarily suspended: connect to mx.far.example[198.51.100.1]:25: "
             "Connection timed out",
             "none", "error"),
     kDeferred, "network", "transient", kNo, kYes},
    {"PostfixLost",
     Postfix("deferred",
             "lost connection with mx.far.example[198.51.100.1] while sending end of data -- "
             "message may be sent more than once",
             kRelay),
     kDeferred, "network", "transient", kNo, kYes},
};

const LineCase kHere[] = {
    {"EximMailbox", "** x@here.example R=virtual_aliases: No Such User Here", kFailed,
     "invalid_recipient", "", kNo, kYes},
    {"EximUnrouteableHere", "** x@here.example: Unrouteable address", kFailed, "dns_routing", "",
     kNo, kYes},
    {"EximSaved", "=> x <x@here.example> R=localuser T=dovecot_delivery C=\"250 2.0.0 Saved\"",
     kDelivered, "", "", kNo, kYes},
    {"EximLmtpOnLoopback",
     "=> x@here.example R=dovecot T=lmtp H=localhost [127.0.0.1] C=\"250 2.0.0 Saved\"", kDelivered,
     "", "", kNo, kYes},
    {"EximQuotaHere",
     "== x@here.example R=localuser T=local_delivery defer (-22): mailbox is full (MTA-imposed "
     "quota exceeded while writing to /var/mail/x)",
     kDeferred, "mailbox_full", "transient", kNo, kYes},
    {"PostfixLocal", Postfix("bounced", "unknown user: \"x\"", "local", "local", "x@here.example"),
     kFailed, "invalid_recipient", "permanent", kNo, kYes},
    {"PostfixVirtual",
     Postfix("bounced", "User unknown in virtual mailbox table", "none", "error", "x@here.example"),
     kFailed, "invalid_recipient", "permanent", kNo, kYes},
    {"PostfixSaved",
     Postfix("sent", "delivered to maildir", "virtual", "virtual", "x@here.example"), kDelivered,
     "", "", kNo, kYes},
    {"PostfixLmtpSocket",
     Postfix("sent", "250 2.0.0 <x> Saved", "mx.example[private/dovecot-lmtp]", "lmtp",
             "x@here.example"),
     kDelivered, "", "", kNo, kYes},
    {"PostfixLmtpLoopback",
     Postfix("bounced",
             "host 127.0.0.1[127.0.0.1] said: 550 5.1.1 <x@here.example> User doesn't "
             "exist (in reply to RCPT TO command)",
             "127.0.0.1[127.0.0.1]:24", "lmtp", "x@here.example"),
     kFailed, "invalid_recipient", "permanent", kNo, kYes},
    {"PostfixFilterRefusesMailForOthers",
     Postfix("bounced",
             "host 127.0.0.1[127.0.0.1] said: 554 5.7.0 Reject, id=1 - spam (in reply "
             "to end of DATA command)",
             "127.0.0.1[127.0.0.1]:10024"),
     kFailed, "content", "permanent", kYes, kYes},
};

// Our own side: class local, in neither profile.
const LineCase kOurFaults[] = {
    {"PostfixLogin",
     Postfix("deferred",
             "SASL authentication failed; server smtp.gw.net[203.0.113.8] said: 535 "
             "5.7.8 Error: authentication failed",
             "smtp.gw.net[203.0.113.8]:587"),
     kDeferred, "local", "transient", kNo, kNo},
    {"PostfixLoginOn25",
     Postfix("deferred",
             "SASL authentication failed; server smtp.gw.net[203.0.113.8] said: 454 "
             "4.7.0 Temporary authentication failure",
             "smtp.gw.net[203.0.113.8]:25"),
     kDeferred, "local", "transient", kNo, kNo},
    {"PostfixNoMechanism",
     Postfix("deferred",
             "SASL authentication failed; cannot authenticate to server "
             "smtp.gw.net[203.0.113.8]: no mechanism available",
             "smtp.gw.net[203.0.113.8]:587"),
     kDeferred, "local", "transient", kNo, kNo},
    {"Postfix530",
     Postfix("bounced",
             "host smtp.gw.net[203.0.113.8] said: 530 5.7.0 Authentication Required (in "
             "reply to MAIL FROM command)",
             "smtp.gw.net[203.0.113.8]:587"),
     kFailed, "local", "permanent", kNo, kNo},
    {"Exim530",
     "** r@far.example R=smarthost T=remote_smtp_smarthost H=smtp.gw.net [203.0.113.8]: SMTP error "
     "from remote mail server after MAIL FROM:<bob@s.example>: 530 5.7.0 Authentication required",
     kFailed, "local", "permanent", kNo, kNo},
    {"EximLogin",
     Exim("==",
          "R=relay T=smtp_relay defer (-42) H=smtp.gw.net [203.0.113.8]: authentication "
          "required but authentication attempt(s) failed"),
     kDeferred, "local", "transient", kNo, kNo},
    {"EximNoAuth",
     Exim("==",
          "R=relay T=smtp_relay defer (-42) H=smtp.gw.net [203.0.113.8]: authentication "
          "required but server did not advertise AUTH support"),
     kDeferred, "local", "transient", kNo, kNo},
    {"PostfixTransportDied", Postfix("deferred", "unknown mail transport error", "none", "error"),
     kDeferred, "local", "transient", kNo, kNo},
    {"PostfixNoTransport", Postfix("deferred", "mail transport unavailable", "none", "error"),
     kDeferred, "local", "transient", kNo, kNo},
    {"PostfixCommand",
     Postfix("bounced",
             "Command died with status 127: \"/usr/bin/gate\". Command output: sh: not "
             "found",
             "gate", "pipe"),
     kFailed, "local", "", kNo, kNo},
    {"PostfixTlsEngine",
     Postfix("deferred", "TLS is required, but our TLS engine is unavailable", kRelay), kDeferred,
     "local", "transient", kNo, kNo},
    {"EximTransportDied",
     Exim("==",
          "R=dnslookup T=remote_smtp defer (-1): smtp transport process returned non-zero "
          "status 0x000b: terminated by signal 11"),
     kDeferred, "local", "transient", kNo, kNo},
    {"EximExpansion",
     Exim("==",
          "R=dnslookup T=remote_smtp defer (-1): failed to expand \"interface\" option for "
          "remote_smtp transport: failed to open /etc/exim4/ip: Permission denied"),
     kDeferred, "local", "transient", kNo, kNo},
    {"EximDatabase",
     Exim("==", "R=virtual defer (-1): MYSQL connection failed: Can't connect to server"),
     kDeferred, "local", "transient", kNo, kNo},
    {"EximNoLocalAddress",
     Exim("==", "R=dkim_lookuphost T=dkim_remote_smtp defer (99): Cannot assign requested address"),
     kDeferred, "local", "transient", kNo, kNo},
    {"PanelHold",
     Exim("==",
          "R=enforce_mail_permissions defer (-1): \"Domain s.example has an outgoing mail "
          "hold. Message will be reattempted later\""),
     kDeferred, "local", "transient", kNo, kNo},
};

const LineCase kRefusals[] = {
    {"OwnExim", Exim("**", absl::StrCat("R=gate: ", kOurs)), kFailed, "local", "", kNo, kNo},
    {"OwnEximFilter", absl::StrCat("** r@far.example: ", kOurs), kFailed, "local", "", kNo, kNo},
    {"OwnPostfix", Postfix("deferred", std::string(kOurs), "none", "error"), kDeferred, "local", "",
     kNo, kNo},
    {"OwnPostfixHeld", Postfix("deferred", "whatever it says", "deferd-held", "pipe"), kDeferred,
     "", "", kNo, kNo},
    {"OwnHost",
     Exim("**", absl::StrCat("R=dnslookup T=remote_smtp H=gw.example [198.51.100.9]: SMTP error "
                             "from remote mail server after RCPT TO:<r@far.example>: 550 ",
                             kOurs)),
     kFailed, "", "", kNo, kNo},
    {"ForgedByServerExim",
     Exim("**", absl::StrCat("R=dnslookup T=remote_smtp ", kHost,
                             ": SMTP error from remote mail server after RCPT TO:<r@far.example>: "
                             "550 ",
                             kOurs)),
     kFailed, "", "permanent", kYes, kYes},
    {"ForgedByServerPostfix",
     Postfix("bounced",
             absl::StrCat("host ", kRelay, " said: 550 5.7.1 ", kOurs,
                          " (in reply to end of DATA command)"),
             kRelay),
     kFailed, "", "permanent", kYes, kYes},
    {"ForgedBySender",
     Exim("**", absl::StrCat("R=dnslookup T=remote_smtp ", kHost,
                             ": SMTP error from remote mail server after MAIL FROM:<\"", kOurs,
                             "\"@s.example> SIZE=1521: 550 5.1.1 No such user here")),
     kFailed, "invalid_recipient", "permanent", kYes, kYes},
    {"ForgedByRecipientWithCode",
     Exim("**", absl::StrCat("R=dnslookup T=remote_smtp ", kHost,
                             ": SMTP error from remote mail server after RCPT TO:<\": 451 "
                             "greylisted\"@far.example>: 550 5.1.1 No such user here")),
     kFailed, "invalid_recipient", "permanent", kYes, kYes},
    {"ForgedByEcho",
     Postfix("bounced",
             absl::StrCat("host ", kRelay,
                          " said: 550 5.1.1 <\"SMTP error from remote mail server: "
                          "451 greylisted ",
                          kOurs,
                          "\"@far.example>: Recipient address rejected: User unknown (in reply to "
                          "RCPT TO command)"),
             kRelay),
     kFailed, "invalid_recipient", "permanent", kYes, kYes},
};

std::string NameOf(const testing::TestParamInfo<LineCase>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Unroutable, WhatCounts, testing::ValuesIn(kUnroutable), NameOf);
INSTANTIATE_TEST_SUITE_P(Temporary, WhatCounts, testing::ValuesIn(kTemporary), NameOf);
INSTANTIATE_TEST_SUITE_P(Here, WhatCounts, testing::ValuesIn(kHere), NameOf);
INSTANTIATE_TEST_SUITE_P(OurFaults, WhatCounts, testing::ValuesIn(kOurFaults), NameOf);
INSTANTIATE_TEST_SUITE_P(Refusals, WhatCounts, testing::ValuesIn(kRefusals), NameOf);

}  // namespace
}  // namespace deferd
