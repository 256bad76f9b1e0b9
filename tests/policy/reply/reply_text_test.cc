#include "policy/reply/reply_text.h"

#include <ostream>
#include <string>

#include "gtest/gtest.h"

namespace deferd {
namespace {

struct TextCase {
  std::string name;
  std::string reply;
  std::string text;
};
void PrintTo(const TextCase& c, std::ostream* out) { *out << c.name; }

class ReplyTextTest : public testing::TestWithParam<TextCase> {};

TEST_P(ReplyTextTest, Normalizes) {
  ReplyText out;
  NormalizeReply(GetParam().reply, &out);
  EXPECT_EQ(out.text(), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(
    Replies, ReplyTextTest,
    testing::Values(
        TextCase{"Empty", "", "--- - -: "}, TextCase{"Bare", "550 No", "550 - -: no"},
        TextCase{"Enhanced", "550 5.1.1 User  Unknown", "550 5.1.1 -: user unknown"},
        TextCase{"Colon", "421 4.7.0: Sender IP rejected", "421 4.7.0 -: sender ip rejected"},
        TextCase{"ManyLines", "550-5.7.26 a\\n550-5.7.26 b\r\n550 5.7.26 c", "550 5.7.26 -: a b c"},
        TextCase{"Joined", "550-5.1.1 a 550 5.1.1 b", "550 5.1.1 -: a b"},
        TextCase{"OtherNumbersStay", "550 user 551 of 550x", "550 - -: user 551 of 550x"},
        TextCase{"Address", "550 <a.b@x.example>: to c+d@y.example.", "550 - -: <@>: to @"},
        TextCase{"QuotedAddress", "550 <\"mailbox full\"@x.example> no", "550 - -: <@> no"},
        TextCase{"Ips", "550 192.0.2.1 [192.0.2.2] [2001:db8::1] [IPv6:::1]",
                 "550 - -: # [#] [#] [#]"},
        TextCase{"VersionIsNoIp", "550 v1.2.3", "550 - -: v1.2.3"},
        TextCase{"Hash", "Sorry, no mailbox here. (#5.1.1)",
                 "--- 5.1.1 -: sorry, no mailbox here. ()"},
        TextCase{"Accents", "550 Bo\xC3\xAEte REJET\xC3\x89 \xE9", "550 - -: boite rejete e"},
        TextCase{"Signs", "550 don\xE2\x80\x99t \xE2\x80\x93 no\xC2\xA0more",
                 "550 - -: don't - no more"},
        TextCase{"Chinese", "550 \xE4\xB8\x8D", "550 - -: \xE4\xB8\x8D"},
        TextCase{
            "Exim",
            "SMTP error from remote mail server after RCPT TO:<a@b.example>: host mx.b.example "
            "[192.0.2.1]: 550 5.1.1 No",
            "550 5.1.1 rcpt: no"},
        TextCase{"EximLog",
                 "2026-11-23 02:17:11 1vN0ab-0000000Abcd-0aBc == a@b.example R=r T=t defer (-44) "
                 "H=mx [192.0.2.1]: SMTP error from remote mail server after end of data: 451 No",
                 "451 - eom: no"},
        TextCase{"Postfix",
                 "host mx.b.example[192.0.2.1] said: 450 4.2.2 No (in reply to DATA command)",
                 "450 4.2.2 data: no"},
        TextCase{"PostfixLog",
                 "postfix/smtp[1]: 4ABC: to=<a@b.example>, relay=none, delay=1, dsn=4.4.1, "
                 "status=deferred (connect to b.example[192.0.2.1]:25: Connection refused)",
                 "--- 4.4.1 -: connect to b.example[#]:25: connection refused"},
        TextCase{"Qmail",
                 "Connected to 192.0.2.1 but sender was rejected. Remote host said: 553 5.1.8 No",
                 "553 5.1.8 mail: no"},
        TextCase{"Ses", "5.1.0 - Unknown address error 550-'5.2.2 Full' (delivery attempts: 0)",
                 "550 5.2.2 -: ' full' (delivery attempts: 0)"},
        TextCase{"Suspended", "delivery temporarily suspended: No route to host",
                 "--- - -: no route to host"}),
    [](const auto& test) { return test.param.name; });

TEST(ReplyText, LogMarksTellPermanence) {
  ReplyText out;
  NormalizeReply("== a@b.example R=r: x", &out);
  EXPECT_EQ(out.logged, Permanence::kTransient);
  NormalizeReply("** a@b.example R=r: x", &out);
  EXPECT_EQ(out.logged, Permanence::kPermanent);
  NormalizeReply("to=<a@b.example>, status=bounced (x)", &out);
  EXPECT_EQ(out.logged, Permanence::kPermanent);
  NormalizeReply("x", &out);
  EXPECT_FALSE(out.logged.has_value());
}

TEST(ReplyText, IsBounded) {
  ReplyText out;
  NormalizeReply(std::string(1 << 20, 'x'), &out);
  EXPECT_LE(out.text().size(), kMaxReplyText + 32);
}

TEST(IsSuccessReply, IsRecognisedByItsCode) {
  for (const char* text :
       {"250", "250 2.0.0 OK", "250-ok\r\n250 done", "2.1.5 recipient ok", "  220 hello"}) {
    EXPECT_TRUE(IsSuccessReply(text)) << text;
  }
  for (const char* text :
       {"", "2", "25", "2500 x", "290 x", "2.1", "550 250 x", "2026-11-23 02:17:11 x", "2 messages",
        "4.2.0 x", "200.1.2.3 is blocked"}) {
    EXPECT_FALSE(IsSuccessReply(text)) << text;
  }
}

}  // namespace
}  // namespace deferd
