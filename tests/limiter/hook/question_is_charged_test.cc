// Who is asked is who is charged: one sending, as the line that the MTA logs of it and as the
// question that it asks, has the same subjects.

#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/postfix_reader.h"
#include "tests/limiter/hook/mta_questions.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

// Whom the first attempt that `reader` finds in `lines` is charged to.
std::vector<std::string> ChargedBy(const ChargeLists& lists, LogReader* reader,
                                   const std::vector<std::string>& lines) {
  EventBatch batch;
  for (const std::string& line : lines) reader->ReadLine(line, &batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].kind == LogEvent::Kind::kAttempt) {
      return Names(Charge(lists, batch[i].attempt.identity, batch[i].attempt.original));
    }
  }
  return {"no attempt"};
}

// As Exim logs it.
std::vector<std::string> ChargedByExim(const ChargeLists& lists, const Sending& who) {
  const std::string head = "2026-11-22 08:00:00 1xUvEd-0000YD-2A ";
  const std::string sender = who.sender.empty() ? "<>" : who.sender;
  const std::string from =
      !who.user.empty() ? absl::StrCat(" U=", who.user, " P=local S=340")
                        : absl::StrCat(" H=(client.example) [", who.host, "]:4711 P=esmtp",
                                       who.login.empty() ? "" : "a A=plain:", who.login, " S=340");
  std::vector<std::string> lines = {absl::StrCat(head, "<= ", sender, from)};
  if (!who.domain.empty()) {
    lines.push_back(absl::StrCat(head, "Sender identification U=acct D=", who.domain, " S=x"));
  }
  lines.push_back(absl::StrCat(
      head, "=> r@far.example R=r T=smtp H=mx.far.example [198.51.100.7] C=\"250 OK\""));
  return ChargedBy(lists, NewEximReader({.zone = absl::UTCTimeZone()}).get(), lines);
}

// As Postfix logs it: control bytes become '?'.
std::vector<std::string> ChargedByPostfix(const ChargeLists& lists, const Sending& who) {
  const std::string head = "Nov 22 08:00:00 mx postfix/";
  std::string login = who.login;
  for (char& c : login) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  std::string sender = who.sender;
  for (char& c : sender) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  const std::vector<std::string> lines = {
      absl::StrCat(head, "smtpd[1]: 733F6A781D8: client=unknown[", who.host, "]",
                   login.empty() ? "" : ", sasl_method=PLAIN, sasl_username=", login),
      absl::StrCat(head, "cleanup[2]: 733F6A781D8: message-id=<m@client.example>"),
      absl::StrCat(head, "qmgr[3]: 733F6A781D8: from=<", sender,
                   ">, size=3, nrcpt=1 (queue active)"),
      absl::StrCat(
          head,
          "smtp[4]: 733F6A781D8: to=<r@far.example>, relay=mx.far.example[198.51.100.7]:25,"
          " delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 OK)")};
  const std::unique_ptr<LogReader> reader = NewPostfixReader({.zone = absl::UTCTimeZone()});
  reader->set_latest(absl::FromUnixSeconds(1'795'334'400));
  return ChargedBy(lists, reader.get(), lines);
}

// A host of a panel, with a relay network of either family.
ChargeLists Lists() {
  ChargeLists lists;
  lists.users = {{"acct1", "site.example"}};
  lists.logins = {{"scanner", "office.example"}};
  EXPECT_THAT(lists.relay_hosts.Add("192.0.2.0/24"), IsOk());
  EXPECT_THAT(lists.relay_hosts.Add("2001:db8::/32"), IsOk());
  lists.hosted.push_back(DomainPattern::Parse("site.example").value());
  lists.hosted.push_back(DomainPattern::Parse("office.example").value());
  lists.host = "web1";
  return lists;
}

struct SendingCase {
  const char* name;
  Sending who;
  std::vector<std::string> charged;
};
void PrintTo(const SendingCase& c, std::ostream* out) { *out << c.name; }

const char kOutside[] = "203.0.113.9";
const char kRelay[] = "192.0.2.7";
const char kRelayHost[] = "host:192.0.2.7";
const char kLocalHost[] = "host:127.0.0.1";

class QuestionIsCharged : public testing::TestWithParam<SendingCase> {};

TEST_P(QuestionIsCharged, ByExim) {
  const SendingCase& c = GetParam();
  EXPECT_EQ(ChargedByExim(Lists(), c.who), c.charged);
  EXPECT_EQ(Asked<EximSession>(Lists(), EximQuestionBytes(c.who)), c.charged);
}

// Postfix asks about SMTP alone, and identifies no domain.
TEST_P(QuestionIsCharged, ByPostfix) {
  const SendingCase& c = GetParam();
  if (!c.who.user.empty() || !c.who.domain.empty()) return;
  const std::vector<std::string> charged = ChargedByPostfix(Lists(), c.who);
  EXPECT_EQ(Asked<PostfixSession>(Lists(), PostfixQuestionBytes(c.who)), charged);
  // Its logins may have what ends one in Exim's log.
  if (c.who.login.find_first_of(" :") != std::string::npos) return;
  EXPECT_EQ(charged, c.charged);
}

INSTANTIATE_TEST_SUITE_P(
    Login, QuestionIsCharged,
    testing::Values(
        SendingCase{"Hosted",
                    {.sender = "bob@site.example", .login = "Bob@SITE.example", .host = kOutside},
                    {"login:Bob@site.example", "site.example"}},
        SendingCase{"OfAnotherSender",
                    {.sender = "ceo@victim.example", .login = "bob@site.example", .host = kOutside},
                    {"login:bob@site.example", "site.example"}},
        SendingCase{"NotHosted",
                    {.sender = "a@b.example", .login = "a@b.example", .host = kOutside},
                    {"login:a@b.example", "b.example (not hosted)"}},
        SendingCase{"WithoutDomain",
                    {.sender = "a@b.example", .login = "acct9", .host = kOutside},
                    {"login:acct9@web1"}},
        SendingCase{"OfASystemUser",
                    {.sender = "a@b.example", .login = "acct1", .host = kOutside},
                    {"login:acct1", "site.example"}},
        SendingCase{"WithoutDomainMapped",
                    {.sender = "a@b.example", .login = "scanner", .host = kOutside},
                    {"login:scanner", "office.example"}},
        SendingCase{
            "WithoutDomainIdentified",
            {.sender = "a@b.example", .login = "acct9", .host = kOutside, .domain = "Site.example"},
            {"login:acct9", "site.example"}},
        // Free is only what the MTA makes itself.
        SendingCase{"NullSender",
                    {.login = "bob@site.example", .host = kOutside},
                    {"login:bob@site.example", "site.example"}},
        SendingCase{"FromARelayHost",
                    {.sender = "a@b.example", .login = "bob@site.example", .host = kRelay},
                    {"login:bob@site.example", "site.example"}},
        SendingCase{"OverIPv6",
                    {.sender = "a@b.example", .login = "bob@site.example", .host = "2001:db9::1"},
                    {"login:bob@site.example", "site.example"}},
        SendingCase{"UnicodeDomain",
                    {.sender = "a@b.example",
                     .login = "bob@b\xc3\xbc"
                              "cher.example",
                     .host = kOutside},
                    {"login:bob@xn--bcher-kva.example", "xn--bcher-kva.example (not hosted)"}},
        SendingCase{"Blank",
                    {.sender = "a@b.example", .login = "bob smith@site.example", .host = kOutside},
                    {"login:bob@web1"}},
        SendingCase{"Colon",
                    {.sender = "a@b.example", .login = "bob:x@site.example", .host = kOutside},
                    {"login:bob@web1"}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Relay, QuestionIsCharged,
    testing::Values(
        SendingCase{
            "Sender", {.sender = "a@SITE.example", .host = kRelay}, {kRelayHost, "site.example"}},
        SendingCase{"OverIPv6",
                    {.sender = "a@site.example", .host = "2001:DB8:0::25"},
                    {"host:2001:db8::25", "site.example"}},
        SendingCase{"NotHosted",
                    {.sender = "a@b.example", .host = kRelay},
                    {kRelayHost, "b.example (not hosted)"}},
        SendingCase{"Quoted",
                    {.sender = "\"a b F=<x@victim.example>\"@site.example", .host = kRelay},
                    {kRelayHost, "site.example"}},
        SendingCase{"QuotedTab",
                    {.sender = "\"a\tlogin=x@victim.example\t\"@site.example", .host = kRelay},
                    {kRelayHost, "site.example"}},
        SendingCase{"QuotedQuote",
                    {.sender = "\"a\\\"\t@b.example\"@site.example", .host = kRelay},
                    {kRelayHost, "site.example"}},
        SendingCase{"UnicodeSender",
                    {.sender = "\xc3\xbc@b\xc3\xbc"
                               "cher.example",
                     .host = kRelay},
                    {kRelayHost, "xn--bcher-kva.example (not hosted)"}},
        SendingCase{"AddressLiteral",
                    {.sender = "root@[192.0.2.7]", .host = kRelay},
                    {kRelayHost, "[192.0.2.7] (not hosted)"}},
        SendingCase{"AddressLiteralIPv6",
                    {.sender = "root@[IPv6:2001:DB8::1]", .host = kRelay},
                    {kRelayHost, "[ipv6:2001:db8::1] (not hosted)"}},
        SendingCase{"NullSender", {.host = kRelay}, {kRelayHost}},
        SendingCase{"Rewritten",
                    {.sender = "SRS0=HHH=TT=far.example=ann@Site.example", .host = kRelay},
                    {kRelayHost, "forward:site.example"}},
        SendingCase{"RewrittenTwice",
                    {.sender = "srs1+HHH=first.example==HHH=TT=far.example=ann@site.example",
                     .host = kRelay},
                    {kRelayHost, "forward:site.example"}},
        SendingCase{"NotRewritten",
                    {.sender = "srs0@site.example", .host = kRelay},
                    {kRelayHost, "site.example"}},
        SendingCase{"Loopback", {.sender = "a@site.example", .host = "127.0.0.1"}, {kLocalHost}},
        SendingCase{"LoopbackIPv6", {.sender = "a@b.example", .host = "::1"}, {kLocalHost}},
        SendingCase{"LoopbackNullSender", {.host = "127.0.0.1"}, {kLocalHost}},
        SendingCase{"FromOutside", {.sender = "a@site.example", .host = kOutside}, {}},
        SendingCase{"RewrittenFromOutside",
                    {.sender = "SRS0=HHH=TT=far.example=ann@site.example", .host = kOutside},
                    {}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    User, QuestionIsCharged,
    testing::Values(
        SendingCase{
            "Mapped", {.sender = "acct1@web1", .user = "acct1"}, {"account:acct1", "site.example"}},
        SendingCase{"Identified",
                    {.sender = "a@b.example", .user = "acct1", .domain = "office.example"},
                    {"account:acct1", "office.example"}},
        SendingCase{
            "Unmapped", {.sender = "a@b.example", .user = "www-data"}, {"local:www-data@web1"}},
        SendingCase{"NullSender", {.user = "acct1"}, {"account:acct1", "site.example"}}),
    [](const auto& test) { return test.param.name; });

// What a hosting panel does not identify is `-system-` or `-remote-`.
TEST(QuestionIsChargedByMaps, PanelsWordsForNobody) {
  const Sending who = {
      .sender = "a@b.example", .login = "acct9", .host = kOutside, .domain = "-remote-"};
  EXPECT_THAT(ChargedByExim(Lists(), who), ElementsAre("login:acct9@web1"));
  EXPECT_THAT(Asked<EximSession>(Lists(), EximQuestionBytes(who)), ElementsAre("login:acct9@web1"));
}

// A forward is known by its recipient, which no question has.
TEST(QuestionIsChargedByMaps, QuestionsAboutMailFromOutsideChargeNobody) {
  const Sending who = {.sender = "a@b.example", .host = kOutside};
  EXPECT_THAT(Asked<EximSession>(Lists(), EximQuestionBytes(who)), IsEmpty());
  EXPECT_THAT(Names(Charge(Lists(), {.sender = who.sender, .host = who.host}, "x@site.example")),
              ElementsAre("forward:site.example"));
}

// Logins and senders of pieces that mean something to a log or a protocol.
TEST(QuestionIsChargedRandomly, Always) {
  std::mt19937 random(20261122);
  const std::vector<std::string> pieces = {
      "bob", "@", "Site.EXAMPLE", ":", ",", ", ", " ", "=", "\xc3\xbc", "A=plain:x", "(", "<",
      ">",   "'", "SRS0=",        "-", "[", "]",  ";", "%", "+"};
  const std::vector<std::string> domains = {"site.example",
                                            "B\xc3\x9c"
                                            "cher.example",
                                            "[192.0.2.1]",
                                            "[IPv6:2001:db8::1]",
                                            "x_y.example",
                                            "a..b",
                                            "scanner"};
  const auto pick = [&](const std::vector<std::string>& from) {
    return from[random() % from.size()];
  };
  int charged_to_somebody = 0;
  for (int i = 0; i < 20'000; ++i) {
    Sending who;
    who.host = random() % 2 == 0 ? kOutside : kRelay;
    if (random() % 2 == 0) {
      for (int n = 1 + random() % 5; n > 0; --n) who.login += pick(pieces);
      // No MTA takes an empty login or begins one with a blank.
      if (who.login.find_first_not_of(' ') != 0) who.login.insert(0, "b");
      if (random() % 2 == 0) absl::StrAppend(&who.login, "@", pick(domains));
    }
    std::string local;
    for (int n = 1 + random() % 5; n > 0; --n) local += pick(pieces);
    if (random() % 4 == 0) local += "\tlogin=victim@site.example";
    who.sender = random() % 8 == 0 ? "" : absl::StrCat("\"", local, "\"@", pick(domains));
    const std::vector<std::string> by_exim = ChargedByExim(Lists(), who);
    EXPECT_EQ(Asked<EximSession>(Lists(), EximQuestionBytes(who)), by_exim)
        << "login " << who.login << " sender " << who.sender << " host " << who.host;
    EXPECT_EQ(Asked<PostfixSession>(Lists(), PostfixQuestionBytes(who)),
              ChargedByPostfix(Lists(), who))
        << "login " << who.login << " sender " << who.sender << " host " << who.host;
    if (!by_exim.empty()) ++charged_to_somebody;
    if (HasFailure()) return;  // one is enough to read
  }
  EXPECT_GT(charged_to_somebody, 10'000);
}

}  // namespace
}  // namespace deferd
