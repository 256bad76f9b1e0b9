#include "limiter/intake/exim_line.h"

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "limiter/intake/stamp.h"
#include "policy/message_id.h"
#include "tests/limiter/intake/log_text.h"

namespace deferd {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kLineId[] = "1hIAif-00H7J4-Lb";

absl::string_view KindName(EximLineKind kind) {
  switch (kind) {
    case EximLineKind::kOther:
      return "other";
    case EximLineKind::kMalformed:
      return "malformed";
    case EximLineKind::kArrival:
      return "arrival";
    case EximLineKind::kDelivered:
      return "delivered";
    case EximLineKind::kSuppressed:
      return "suppressed";
    case EximLineKind::kDeferred:
      return "deferred";
    case EximLineKind::kFailed:
      return "failed";
    case EximLineKind::kCompleted:
      return "completed";
    case EximLineKind::kIdentification:
      return "identification";
    case EximLineKind::kFrozen:
      return "frozen";
    case EximLineKind::kRejected:
      return "rejected";
    case EximLineKind::kDiscarded:
      return "discarded";
    case EximLineKind::kClaimed:
      return "claimed";
  }
  return "?";
}

// "deferred rcpt=r@d orig=.. R=.. T=.. host=.. ip=.. code=-44 remote text=.." without what is
// empty.
std::string Describe(absl::string_view text) {
  const EximLine line = ParseEximLine(text);
  std::string said(KindName(line.kind));
  if (line.kind == EximLineKind::kRejected) return said;  // see DescribeRefusal
  AppendIf("rcpt", line.recipient, &said);
  AppendIf("orig", line.original, &said);
  AppendIf("R", line.router, &said);
  AppendIf("T", line.transport, &said);
  AppendIf("host", line.host, &said);
  AppendIf("ip", line.host_ip, &said);
  if (line.kind == EximLineKind::kDeferred) absl::StrAppend(&said, " code=", line.defer_code);
  if (line.has_host) absl::StrAppend(&said, " remote");
  AppendIf("text", line.text, &said);
  AppendIf("account", line.account, &said);
  AppendIf("domain", line.identified_domain, &said);
  return said;
}

std::string DescribeWithId(absl::string_view rest) {
  return Describe(absl::StrCat(kLineId, " ", rest));
}

TEST(EximLine, Ids) {
  EXPECT_TRUE(IsEximId("1hIAif-00H7J4-Lb"));
  EXPECT_TRUE(IsEximId("1wtMbN-00000004FD2-1H7i"));
  EXPECT_FALSE(IsEximId(""));
  EXPECT_FALSE(IsEximId("1hIAif-00H7J4-L"));
  EXPECT_FALSE(IsEximId("1hIAif-00H7J4-Lbb"));
  EXPECT_FALSE(IsEximId("1hIAif-00H7J4_Lb"));
  EXPECT_FALSE(IsEximId("1hIAif-00H7-4-Lb"));
  EXPECT_FALSE(IsEximId("1wtMbN-00000004FD2-1H7i1"));
  EXPECT_FALSE(IsEximId("1wtMbN-000000041FD-2-H7i"));
}

TEST(EximLine, DeliveryForms) {
  struct {
    const char* rest;
    const char* want;
  } const kCases[] = {
      {"=> r@d.example R=r1 T=t1 H=mx.d.example [192.0.2.1] X=TLS1.3:AES:256 CV=yes C=\"250 ok\"",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx.d.example ip=192.0.2.1 remote text=250 ok"},
      {"-> r@d.example R=r1 T=t1 H=mx [192.0.2.1]:25* I=[192.0.2.9]:51758 L K C=\"250 ok\" QT=1s "
       "DT=0s",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=250 ok"},
      {">> r@d.example R=r1 T=t1 H=mx [2001:db8::1]:25 C=\"250 ok\"",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx ip=2001:db8::1 remote text=250 ok"},
      {"=> r@d.example R=r1 T=t1 H=mx DS [192.0.2.1] C=\"250 ok\"",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=250 ok"},
      {"=> r@d.example F=<\"a> R=x\"@s> P=<s@s> R=r1 T=t1 S=1995 H=mx [192.0.2.1]:25",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote"},
      {"=> r@d.example Q=slow R=r1 T=t1 H=mx [192.0.2.1] DN=\"/O=\"A, B\" R=q/CN=x\" A=plain:me "
       "C=\"250\"",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=250"},
      {"=> r@d.example R=r1 T=t1 H=mx [192.0.2.1] C=\"250 \\\"quoted\\\" H=x [1.1.1.1]\" QT=1s",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote "
       "text=250 \\\"quoted\\\" H=x [1.1.1.1]"},
      {"=> r@d.example R=r1 T=t1 H=mx [192.0.2.1] C=\"250 cut by sysl",
       "delivered rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=\"250 cut by sysl"},
      {"=> new@x.example <orig@y.example> R=r1 T=t1 H=mx [192.0.2.1]",
       "delivered rcpt=new@x.example orig=orig@y.example R=r1 T=t1 host=mx ip=192.0.2.1 remote"},
      {"=> a@x (b@y, c@z) <o@w> R=r1 T=t1", "delivered rcpt=a@x orig=o@w R=r1 T=t1"},
      {"=> a@x (b(1)@y) <o@w> R=r1 T=t1", "delivered rcpt=a@x orig=o@w R=r1 T=t1"},
      {"=> r1@d.example <R1@D.example> R=r1 T=t1", "delivered rcpt=r1@d.example R=r1 T=t1"},
      {"=> box <box@local.example> R=local T=box",
       "delivered rcpt=box@local.example R=local T=box"},
      {"=> marv R=localuser T=local_delivery", "delivered rcpt=marv R=localuser T=local_delivery"},
      {"=> a b <\"a b\"@local.example> R=local T=box",
       "delivered rcpt=\"a b\"@local.example R=local T=box"},
      {"=> discarded <low.club@bridge.example> R=userforward",
       "delivered rcpt=low.club@bridge.example R=userforward"},
      {"=> >w@s.example <r@g.example> R=reply T=address_reply H=mx [192.0.2.1]",
       "delivered rcpt=>w@s.example orig=r@g.example R=reply T=address_reply"},
      {"=> |/usr/bin/cmd -f a@b <o@local.example> R=p T=pipe H=mx [192.0.2.1]",
       "delivered rcpt=|/usr/bin/cmd -f a@b orig=o@local.example R=p T=pipe"},
      {"=> sales+spam |/bin/autorespond s@l.example /home (s@l.example) <s@l.example> R=p T=pipe",
       "delivered rcpt=sales+spam |/bin/autorespond s@l.example /home orig=s@l.example R=p T=pipe"},
      {"=> /var/mail/x <o@local.example> R=f T=file",
       "delivered rcpt=/var/mail/x orig=o@local.example R=f T=file"},
      {"=> save x <o@local.example> R=f T=file",
       "delivered rcpt=save x orig=o@local.example R=f T=file"},
      {"=> :blackhole: <o@hole.example> R=hole H=mx [192.0.2.1]",
       "delivered rcpt=:blackhole: orig=o@hole.example R=hole"},
      {"=> :blackhole: R=hole", "delivered rcpt=:blackhole: R=hole"},
      {"=> \"a b\"@d.example R=r1 T=t1", "delivered rcpt=\"a b\"@d.example R=r1 T=t1"},
      {"=> \"a\\\"b@c\"@d.example <o@x> R=r1 T=t1",
       "delivered rcpt=\"a\\\"b@c\"@d.example orig=o@x R=r1 T=t1"},
      {"=> ok=o\"dd@d6.test <\"ok=o\\\"dd\"@d6.test> R=remote T=out H=mx [192.0.2.1]",
       "delivered rcpt=\"ok=o\\\"dd\"@d6.test R=remote T=out host=mx ip=192.0.2.1 remote"},
      {"=> x R=a T=b H=c [1.1.1.1]: d@e.example <\"x R=a T=b H=c [1.1.1.1]: d\"@e.example> R=r1 "
       "T=t1",
       "delivered rcpt=\"x R=a T=b H=c [1.1.1.1]: d\"@e.example R=r1 T=t1"},
      {"=> a{b}|c'd*e@x.example R=r1 T=t1 H=mx [192.0.2.1]",
       "delivered rcpt=a{b}|c'd*e@x.example R=r1 T=t1 host=mx ip=192.0.2.1 remote"},
      {"=>r@d.example R=r1 T=t1", "delivered rcpt=r@d.example R=r1 T=t1"},
      {"=> r@d.example", "delivered rcpt=r@d.example"},
      {"=> r@d.example R=l T=lmtp H=localhost C=\"250 x\"",
       "delivered rcpt=r@d.example R=l T=lmtp host=localhost remote text=250 x"},
      {"=> r@d.example R=l T=file ST=copy (no space H=x [1.1.1.1])",
       "delivered rcpt=r@d.example R=l T=file"},
      {"*> r@d.example R=r1 T=t1", "suppressed"},
      {"=>", "malformed"},
      {"=> ", "malformed"},
      {"=> R=r1 T=t1", "malformed"},
      {"=> @d.example R=r1", "malformed"},
      {"=> r@ R=r1", "malformed"},
      {"=> \"unclosed@d.example R=r1", "malformed"},
      {"-> two words R=r1", "malformed"},
  };
  for (const auto& c : kCases) EXPECT_EQ(DescribeWithId(c.rest), c.want) << c.rest;
}

TEST(EximLine, ThePortOfTheHost) {
  constexpr absl::string_view kHead = "1vN0ab-0000000Abcd-0aBc ";
  EXPECT_EQ(
      ParseEximLine(absl::StrCat(kHead, "=> r@d.example R=r T=t H=mx [192.0.2.1]:587* C=\"250\""))
          .port,
      587);
  EXPECT_EQ(
      ParseEximLine(absl::StrCat(kHead, "** r@d.example R=r T=t H=mx [192.0.2.1]:465: 550 no"))
          .port,
      465);
  EXPECT_EQ(
      ParseEximLine(absl::StrCat(kHead, "** r@d.example R=r T=t H=mx [192.0.2.1]: 550 no")).port,
      0);
}

TEST(EximLine, FailureForms) {
  struct {
    const char* rest;
    const char* want;
  } const kCases[] = {
      {"** r@d.example R=r1 T=t1 H=mx [192.0.2.1]: SMTP error: 550 no",
       "failed rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=SMTP error: 550 no"},
      {"** r@d.example R=r1 T=t1 H=mx [192.0.2.1]:25 I=[192.0.2.9]:51758: 550 no DT=0.003s",
       "failed rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=550 no"},
      {"** r@d.example R=r1 T=t1 H=mx [192.0.2.1] X=TLS:256 CV=yes : 550 no",
       "failed rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=550 no"},
      {"** r@d.example R=r1 T=t1 H=mx [192.0.2.1] CV=no DN=\"CN=a: b\": 550 no",
       "failed rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=550 no"},
      {"** r@d.example R=r1: no such user", "failed rcpt=r@d.example R=r1 text=no such user"},
      {"** r@d.example: Unrouteable address", "failed rcpt=r@d.example text=Unrouteable address"},
      {"** r@[192.0.2.1]: Unrouteable address",
       "failed rcpt=r@[192.0.2.1] text=Unrouteable address"},
      {"** ok.s@[ipv6:::1]: Unrouteable address",
       "failed rcpt=ok.s@[ipv6:::1] text=Unrouteable address"},
      {"** a@b: retry timeout exceeded", "failed rcpt=a@b text=retry timeout exceeded"},
      {"** a@b: retry timeout exceeded DT=1m3s", "failed rcpt=a@b text=retry timeout exceeded"},
      {"** a@b <c@d>: unknown mail domain", "failed rcpt=a@b orig=c@d text=unknown mail domain"},
      {"** a@b F=<> R=r1: H=x [1.1.1.1]: R=z", "failed rcpt=a@b R=r1 text=H=x [1.1.1.1]: R=z"},
      {"** a@b R=r1 T=t1: SMTP error from remote mailer after RCPT TO:<a@b>: host mx [192.0.2.1]: "
       "550",
       "failed rcpt=a@b R=r1 T=t1 remote text=SMTP error from remote mailer after RCPT TO:<a@b>: "
       "host mx [192.0.2.1]: 550"},
      {"** |/bin/false <a@b> R=p T=pipe: Child process of pipe H=x [1.1.1.1]: failed",
       "failed rcpt=|/bin/false orig=a@b R=p T=pipe text=Child process of pipe H=x [1.1.1.1]: "
       "failed"},
      // Both are legal addresses, whatever the reply quotes.
      {"** /x@d.example R=r1 T=t1 H=mx [192.0.2.1]: 550 <y@d.example>: no",
       "failed rcpt=/x@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=550 <y@d.example>: no"},
      {"** |x@d.example R=r1 T=t1 H=mx [192.0.2.1]: 550 <y@d.example>: no",
       "failed rcpt=|x@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote text=550 <y@d.example>: no"},
      {"** r@d.example R=r1 T=t1 H=mx [192.0.2.1]: 550 x@e <\"r@d.example R=r1 \"@e> y",
       "failed rcpt=r@d.example R=r1 T=t1 host=mx ip=192.0.2.1 remote "
       "text=550 x@e <\"r@d.example R=r1 \"@e> y"},
      {"**a@b: x", "failed rcpt=a@b text=x"},
      {"** a@b R=r1:", "failed rcpt=a@b R=r1"},
      {"** a@b:", "failed rcpt=a@b"},
      {"**", "malformed"},
      {"** : x", "malformed"},
      {"** some words: 550 <a@b>: x", "malformed"},
  };
  for (const auto& c : kCases) EXPECT_EQ(DescribeWithId(c.rest), c.want) << c.rest;
}

TEST(EximLine, DeferralForms) {
  struct {
    const char* rest;
    const char* want;
  } const kCases[] = {
      {"== r@d R=r1 T=t1 defer (-44) H=mx [192.0.2.1]: SMTP error: 451 later",
       "deferred rcpt=r@d R=r1 T=t1 host=mx ip=192.0.2.1 code=-44 remote text=SMTP error: 451 "
       "later"},
      {"== r@d R=r1 T=t1 defer (-46) H=mx [192.0.2.1]:25 I=[192.0.2.9]:53 DT=0.001s: 451 later",
       "deferred rcpt=r@d R=r1 T=t1 host=mx ip=192.0.2.1 code=-46 remote text=451 later"},
      {"== r@d R=r1 T=t1 defer (111): Connection refused",
       "deferred rcpt=r@d R=r1 T=t1 code=111 text=Connection refused"},
      {"== r@d R=r1 T=t1 defer (110): Connection timed out H=mx [192.0.2.1]: SMTP timeout: x",
       "deferred rcpt=r@d R=r1 T=t1 host=mx ip=192.0.2.1 code=110 remote text=SMTP timeout: x"},
      {"== r@d R=r1 T=t1 defer (110): Connection timed out H=mx [2001:db8::1] DT=3s",
       "deferred rcpt=r@d R=r1 T=t1 host=mx ip=2001:db8::1 code=110 remote text=Connection timed "
       "out"},
      {"== r@d R=r1 T=t1 defer (13): Permission denied: open H=mx [192.0.2.1]: x",
       "deferred rcpt=r@d R=r1 T=t1 code=13 text=Permission denied: open H=mx [192.0.2.1]: x"},
      {"== r@d R=r1 defer (-1): lookup H=mx [192.0.2.1]: failed",
       "deferred rcpt=r@d R=r1 code=-1 text=lookup H=mx [192.0.2.1]: failed"},
      {"== r@d routing defer (-52): retry time not reached",
       "deferred rcpt=r@d code=-52 text=retry time not reached"},
      {"== r@d R=r1 T=t1 defer (0)", "deferred rcpt=r@d R=r1 T=t1 code=0"},
      {"== box <box@local> R=r1 T=t1 defer (28): No space left on device",
       "deferred rcpt=box@local R=r1 T=t1 code=28 text=No space left on device"},
      {"== r@d R=r1 T=t1", "malformed"},
      {"== r@d R=r1 T=t1: text", "malformed"},
      {"== r@d R=r1 T=t1 defer (x): text", "malformed"},
      {"== r@d R=r1 T=t1 defer (-44", "malformed"},
  };
  for (const auto& c : kCases) EXPECT_EQ(DescribeWithId(c.rest), c.want) << c.rest;
}

TEST(EximLine, OtherLines) {
  struct {
    const char* text;
    const char* want;
  } const kCases[] = {
      {"1hIAif-00H7J4-Lb Completed", "completed"},
      {"1hIAif-00H7J4-Lb Completed QT=0.077s", "completed"},
      {"1wtMbN-00000004FD2-1H7i Completed", "completed"},
      {"1hIAif-00H7J4-Lb Completedly", "other"},
      {"1hIAif-00H7J4-Lb Sender identification U=acct D=s.example S=a@s.example",
       "identification account=acct domain=s.example"},
      {"1hIAif-00H7J4-Lb Sender identification U=-remote- D=-system- S=a D=x",
       "identification account=-remote- domain=-system-"},
      {"1hIAif-00H7J4-Lb H=mx [192.0.2.1]: SMTP error from remote mail server: 451 x", "other"},
      {"1hIAif-00H7J4-Lb H=mx [192.0.2.1] Connection refused", "other"},
      {"1hIAif-00H7J4-Lb Frozen (delivery error message)",
       "frozen text=Frozen (delivery error message)"},
      {"1hIAif-00H7J4-Lb Message is frozen", "frozen text=Message is frozen"},
      {"1hIAif-00H7J4-Lb Unfrozen by forced delivery", "other"},
      {"1hIAif-00H7J4-Lb cancelled by root", "other"},
      {"1hIAif-00H7J4-Lb removed by root", "other"},
      {"1hIAif-00H7J4-Lb", "other"},
      {"1hIAif-00H7J4-Lb ", "other"},
      {"1hIAif-00H7J4-Lbx => a@b R=r1", "other"},
      {"exim 4.96 daemon started: pid=1", "other"},
      {"cwd=/ 3 args: /usr/sbin/exim => a@b", "other"},
      {"", "other"},
      {"H=(x) [192.0.2.1] rejected MAIL <a@b>: no", "rejected"},
      {"H=(x) [192.0.2.1]:99 I=[192.0.2.2]:25 X=TLS CV=no F=<a b@c> rejected RCPT <r@d>: x",
       "rejected"},
      {"H=[192.0.2.1] temporarily rejected RCPT <r@d>: later", "rejected"},
      {"H=(rejected RCPT) [192.0.2.1] Warning: rejected x", "other"},
      {"1hIAif-00H7J4-Lb rejected from <a@b> H=(x) [192.0.2.1]: message too big", "rejected"},
      {"1hIAif-00H7J4-Lb U=joe F=<a@b> rejected by non-SMTP ACL: x", "rejected"},
      {"1hIAif-00H7J4-Lb F=<a@b> rejected by non-SMTP ACL: x", "rejected"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Describe(c.text), c.want) << c.text;
}

std::string DescribeRefusal(absl::string_view text) {
  const EximLine line = ParseEximLine(text);
  if (line.kind != EximLineKind::kRejected) return "none";
  std::string said(line.refused);
  AppendIf("sender", line.sender, &said);
  AppendIf("login", line.login, &said);
  AppendIf("host", line.host, &said);
  AppendIf("ip", line.host_ip, &said);
  AppendIf("rcpt", line.recipient, &said);
  AppendIf("text", line.text, &said);
  return said;
}

TEST(EximLine, Refusals) {
  const struct {
    absl::string_view text;
    absl::string_view want;
  } kCases[] = {
      {"H=mx.example (helo) [192.0.2.1]:99 I=[192.0.2.2]:25 X=TLS CV=no A=plain:joe@s.example "
       "F=<a@s.example> rejected RCPT <r@d.example>: Unrouteable address",
       "RCPT sender=a@s.example login=joe@s.example host=mx.example ip=192.0.2.1 rcpt=r@d.example "
       "text=Unrouteable address"},
      {"H=(helo) [192.0.2.1] F=<> temporarily rejected RCPT r@d.example: later",
       "RCPT host=helo ip=192.0.2.1 rcpt=r@d.example text=later"},
      {"H=[192.0.2.1] rejected MAIL <a@b>: no", "MAIL sender=a@b ip=192.0.2.1 text=no"},
      {"1hIAif-00H7J4-Lb H=(x) [192.0.2.1] F=<a@b> rejected after DATA: rejected RCPT <c@d>: spam",
       "after DATA sender=a@b host=x ip=192.0.2.1 text=rejected RCPT <c@d>: spam"},
      {"H=(x) [192.0.2.1] rejected EHLO or HELO a: b",
       "EHLO or HELO a host=x ip=192.0.2.1 text=EHLO or HELO a: b"},
      {"1hIAif-00H7J4-Lb rejected from <a@b> H=(x) [192.0.2.1]: message too big",
       "from sender=a@b text=from <a@b> H=(x) [192.0.2.1]: message too big"},
      // The HELO name is a whole refusal: whose address is it?
      {"H=(x) [192.0.2.7] F=<victim@v> rejected RCPT <r@d>: ) [192.0.2.1] F=<a@b> rejected RCPT "
       "<r@d>: no",
       " text=rejected RCPT <r@d>: ) [192.0.2.1] F=<a@b> rejected RCPT <r@d>: no"},
      // So is the certificate's name.
      {R"(H=(x) [192.0.2.1] DN="CN=x" A=plain:boss" F=<a@b> rejected RCPT <r@d>: no)",
       " text=rejected RCPT <r@d>: no"},
  };
  for (const auto& c : kCases) EXPECT_EQ(DescribeRefusal(c.text), c.want) << c.text;
}

// The lines of cpanel.log by their number, without stamp.
TEST(EximLine, CpanelLog) {
  const std::vector<std::string> lines = TestdataLines("exim/cpanel.log");
  ASSERT_EQ(lines.size(), 35u);
  const std::map<int, std::string> kWant = {
      {2, "other"},
      {3, "identification account=acct1 domain=sender.example"},
      {4,
       "failed rcpt=r1@dest.example R=enforce_mail_permissions text=Domain sender.example has "
       "exceeded the max defers and failures per hour (5/5 (100%)) allowed. Message discarded."},
      {6, "identification account=acct2 domain=sender.example"},
      {7,
       "failed rcpt=rcpt@dest.example R=enforce_mail_permissionsHG text=Domain sender.example has "
       "exceeded the max emails per hour (500/500 (100%)) allowed. Message discarded."},
      {8, "other"},
      {10, "completed"},
      {12,
       "deferred rcpt=user@example.com R=enforce_mail_permissions code=-1 text=\"Domain "
       "example.com has an outgoing mail hold. Message will be reattempted later\""},
      {14,
       "delivered rcpt=>wordpress@sender.example orig=r@gmail.example R=check_mail_permissions "
       "T=address_reply"},
      {15,
       "delivered rcpt=wordpress@sender.example R=localuser T=dovecot_delivery text=250 2.0.0 "
       "<acct9@server.example> WTyQ Saved"},
      {16, "other"},
      {17,
       "delivered rcpt=r@dest.example R=dkim_lookuphost T=dkim_remote_smtp host=mx3.dest.example "
       "ip=198.51.100.40 remote text=250 Ok: queued as"},
      {18,
       "delivered rcpt=r@dest.example R=dkim_lookuphost T=dkim_remote_smtp host=mail.dest.example "
       "ip=198.51.100.99 remote text=250 2.0.0 OK D9/F7"},
      {19,
       "deferred rcpt=r@yahoo.example R=dkim_lookuphost T=dkim_remote_smtp code=99 text=Cannot "
       "assign requested address"},
      {20,
       "deferred rcpt=r@gmail.example orig=info@sender.example R=dkim_lookuphost "
       "T=dkim_remote_forwarded_smtp host=alt3.gmail-smtp-in.l.google.com ip=192.178.211.26 "
       "code=-46 remote text=SMTP error from remote mail server after end of data: 421-4.7.28 "
       "Gmail "
       "has detected an unusual rate of unsolicited mail."},
      {21,
       "deferred rcpt=r@dest.example R=dkim_lookuphost T=dkim_remote_smtp code=-54 text=retry time "
       "not reached for any host for 'dest.example'"},
      {22,
       "deferred rcpt=r@dest.example R=lookuphost T=remote_smtp code=-44 remote text=SMTP error "
       "from remote mail server after RCPT TO:<r@dest.example>: host mx.dest.example "
       "[10.5.40.204]: 452 <r@dest.example> Domain size limit exceeded"},
      {23,
       "failed rcpt=r@gmail.example R=dkim_lookuphost T=dkim_remote_smtp "
       "host=alt1.gmail-smtp-in.l.google.com ip=142.250.147.27 remote text=SMTP error from remote "
       "mail server after end of data: 550-5.7.1 [203.0.113.200 12] Gmail has detected that this "
       "message is likely unsolicited mail."},
      {24,
       "failed rcpt=r@dest.example R=dkim_lookuphost T=dkim_remote_smtp host=smx.dest.example "
       "ip=198.51.100.62 remote text=SMTP error from remote mail server after end of data: 550 "
       "High "
       "probability of spam"},
      {25, "failed rcpt=r@local.example R=virtual_aliases text=No Such User Here"},
      {26,
       "delivered rcpt=box@local.example R=virtual_user T=dovecot_virtual_delivery text=250 2.0.0 "
       "Saved"},
      {27,
       "delivered rcpt=sales+spam |/usr/local/cpanel/bin/autorespond sales@local.example "
       "/home2/acct/.autorespond orig=sales@local.example R=virtual_aliases_nostar "
       "T=cagefs_virtual_address_pipe"},
      {28, "other"},
      {29, "other"},
      {31, "rejected"},
      {32, "rejected"},
      {33, "other"},
      {34, "other"},
      {35,
       "delivered rcpt=r@dest.example R=smarthost_dkim T=remote_smtp_smart_dkim host=relay.example "
       "ip=198.51.100.189 remote text=250 OK id=1ewJJQ-0000a2-Oc"},
  };
  StampReader stamps(absl::UTCTimeZone());
  for (const auto& [number, want] : kWant) {
    absl::string_view text = lines[number - 1];
    EXPECT_TRUE(stamps.TakeExim(&text));
    absl::ConsumePrefix(&text, "[6260] ");
    EXPECT_EQ(Describe(text), want) << "line " << number;
  }
}

// Replies and subjects that imitate log lines.
TEST(EximLine, RepliesAreOpaque) {
  int seen = 0;
  for (const std::string& text : TestdataLines("exim/exim-default.log")) {
    const EximLine line = ParseEximLine(absl::string_view(text).substr(20));
    if (absl::StartsWith(line.recipient, "inj.")) {
      ++seen;
      EXPECT_EQ(line.router, "remote");
      EXPECT_EQ(line.transport, "smtpout");
      EXPECT_THAT(std::string(line.host_ip), StartsWith("127.0."));
      if (line.kind == EximLineKind::kFailed) {
        EXPECT_THAT(std::string(line.text), HasSubstr("F=<ceo@victim.example> => x@y.example"));
      }
    }
    if (absl::StartsWith(line.recipient, "inj4.")) {
      ++seen;
      EXPECT_EQ(line.router, "remote");
      if (line.kind == EximLineKind::kDeferred) {
        EXPECT_EQ(line.defer_code, -44);
      }
    }
  }
  EXPECT_GT(seen, 20);
}

TEST(EximLine, AnyBytesAreReadWithoutHarm) {
  const std::vector<std::string> lines = TestdataLines("exim/cpanel.log");
  for (const std::string& line : lines) {
    for (size_t cut = 20; cut < line.size(); ++cut) {
      ParseEximLine(absl::string_view(line).substr(20, cut - 20));
      std::string damaged = line.substr(20);
      for (char c : {'\0', '\xff', '"', '<', ':', ' ', '\\'}) {
        damaged[cut - 20] = c;
        ParseEximLine(damaged);
      }
    }
  }
}

}  // namespace
}  // namespace deferd
