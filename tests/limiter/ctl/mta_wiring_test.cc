// An Exim and a Postfix as they printed their configuration (testdata/wiring: exim -bP config,
// postconf, postconf -M), each mis-wired in many ways.

#include "limiter/ctl/mta_wiring.h"

#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::HasSubstr;

constexpr char kEximDoor[] = "/run/deferd/exim.sock";
constexpr char kPostfixDoor[] = "/var/spool/postfix/deferd/policy.sock";

std::string ReadFile(const std::string& name) {
  std::ifstream file(TestData("wiring/" + name));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Puts `to` in place of `from`, which must be there.
std::string With(const std::string& text, const std::string& from, const std::string& to) {
  EXPECT_TRUE(absl::StrContains(text, from)) << from;
  return absl::StrReplaceAll(text, {{from, to}});
}

Wiring Exim(const std::string& config, const std::string& door) {
  return EximWiring({config, {}, {}}, {door});
}

Wiring Postfix(const PostfixConfig& config, const std::string& door) {
  return PostfixWiring(config, {door});
}

std::string Doubted(const Wiring& wiring) {
  std::string said;
  for (const WiringFault& doubt : wiring.doubts) said += doubt.what + " -> " + doubt.remedy + "\n";
  return said;
}

std::string Said(const Wiring& wiring) {
  std::string said;
  for (const WiringFault& fault : wiring.faults) said += fault.what + " -> " + fault.remedy + "\n";
  return said;
}

// The snippet at the beginning of acl_check_mail, without its label.
std::string Snippet(const std::string& exim) {
  const std::string label = "acl_check_mail:\n";
  const size_t begin = exim.find(label) + label.size();
  return exim.substr(begin, exim.find("    accept\n", begin) - begin);
}

TEST(EximWiring, AsItShouldBe) {
  const Wiring wiring = Exim(ReadFile("exim.txt"), kEximDoor);
  EXPECT_EQ(Said(wiring), "");
  EXPECT_THAT(wiring.asking, testing::ElementsAre("acl_not_smtp", "acl_smtp_mail"));
}

TEST(EximWiring, EachFaultIsNamed) {
  const std::string good = ReadFile("exim.txt");
  const std::string snippet = Snippet(good);
  const std::string label = "acl_check_mail:\n";
  const std::string deny = "deny\n    condition = ${if match{$acl_m_deferd}{\\N^reject \\N}}";
  const std::string discard =
      "discard\n    condition = ${if match{$acl_m_deferd}{\\N^discard \\N}}";
  struct Row {
    const char* name;
    std::string config;
    const char* said;
  };
  const Row rows[] = {
      {"on a wrong socket", With(good, kEximDoor, "/run/deferd/old.sock"),
       "acl_check_mail asks at /run/deferd/old.sock, and deferd listens at /run/deferd/exim.sock"},
      {"behind accept", With(good, label, label + "    accept\n"),
       "acl_check_mail for mail with a login: it stands behind an unconditional 'accept'"},
      {"behind accept for logins",
       With(good, label, label + "    accept authenticated = *\n    control = submission\n"),
       "stands behind 'accept authenticated = *'"},
      {"behind a deny of everything", With(good, label, label + "    deny message = closed\n"),
       "stands behind an unconditional 'deny'"},
      {"removed for SMTP", With(good, snippet, ""), "asks about mail by sendmail(1) alone"},
      {"removed", With(With(good, snippet, ""), "acl_not_smtp = deferd_not_smtp\n", ""),
       "does not ask at /run/deferd/exim.sock"},
      {"never there", "acl_smtp_rcpt = a\nbegin acl\na:\n  accept\n",
       "does not ask at /run/deferd/exim.sock"},
      {"its ACL is not named", With(good, "acl_smtp_mail = acl_check_mail\n", ""),
       "which no acl_smtp_* option names"},
      {"before there is a sender", With(good, "acl_smtp_mail =", "acl_smtp_helo ="),
       "asks in acl_smtp_helo, before it knows who sends"},
      {"nobody looks at the answer",
       With(With(good, deny, "warn\n    condition = true"), discard, "warn\n    condition = true"),
       "disregards the answer: no deny looks at $acl_m_deferd"},
      {"an ACL by a wrong name",
       With(good, "acl_smtp_mail = acl_check_mail", "acl_smtp_mail = chek"),
       "acl_smtp_mail names the ACL chek, which is not defined"},
      {"without the login", With(good, "{$authenticated_id}", "{$sender_address}"),
       "does not say who has logged in"},
      {"inline, and nothing else", "acl_smtp_mail = deny !hosts = :\nacl_smtp_rcpt = accept\n",
       "does not ask at /run/deferd/exim.sock"},
      {"local mail is accepted first",
       With(good, "deferd_not_smtp:\n", "deferd_not_smtp:\n    accept\n"),
       "ACL deferd_not_smtp for mail with a login: it stands behind"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Wiring wiring = Exim(row.config, kEximDoor);
    EXPECT_THAT(Said(wiring), HasSubstr(row.said));
    for (const WiringFault& fault : wiring.faults) EXPECT_THAT(fault.remedy, HasSubstr("reload"));
  }
}

TEST(EximWiring, WhatIsRightInOtherWays) {
  const std::string good = ReadFile("exim.txt");
  const std::string snippet = Snippet(good);
  // At DATA; in an ACL that is called; behind what lets only some through.
  std::string moved = With(good, snippet, "");
  EXPECT_EQ(Said(Exim(With(moved, "acl_check_data:\n", "acl_check_data:\n" + snippet), kEximDoor)),
            "");
  EXPECT_EQ(Said(Exim(With(moved, "acl_check_rcpt:\n",
                           "ask:\n" + snippet +
                               "    accept\n  acl_check_rcpt:\n"
                               "    require acl = ask\n"),
                      kEximDoor)),
            "");
  EXPECT_EQ(Said(Exim(With(good, "acl_check_mail:\n",
                           "acl_check_mail:\n    accept\n    hosts = :\n"
                           "    deny senders = spam@x.example\n"),
                      kEximDoor)),
            "");
  // Only for some: a doubt.
  EXPECT_THAT(Doubted(Exim(With(good, "    warn\n    set acl_m_deferd = ${if or",
                                "    warn\n    hosts = 10.0.0.0/8\n"
                                "    set acl_m_deferd = ${if or"),
                           kEximDoor)),
              HasSubstr("asks in acl_check_mail only where 'hosts = 10.0.0.0/8' holds"));
  // An ACL in a file of its own.
  const Wiring in_file = EximWiring(
      {With(With(good, snippet, ""), "acl_smtp_mail = acl_check_mail", "acl_smtp_mail = /e/mail"),
       {{"/e/mail", snippet + "accept\n"}},
       {}},
      {"/other", kEximDoor});
  EXPECT_EQ(Said(in_file), "");
  EXPECT_THAT(in_file.asking, testing::Contains("acl_smtp_mail"));
  EXPECT_THAT(EximAclFiles("acl_smtp_mail = /e/mail\nbegin acl\na:\n  require acl = /e/two x\n"),
              testing::ElementsAre("/e/mail", "/e/two"));
  // What Exim computes is not known here.
  EXPECT_THAT(Doubted(Exim("acl_smtp_mail = ${if eq{$received_port}{25}{a}{b}}\n", kEximDoor)),
              HasSubstr("computes the name of its ACL for acl_smtp_mail"));
  EXPECT_EQ(Said(Exim("acl_smtp_mail = ${if eq{$received_port}{25}{a}{b}}\n", kEximDoor)), "");
}

PostfixConfig GoodPostfix() {
  return {ReadFile("postfix_main.txt"), ReadFile("postfix_master.txt")};
}

TEST(PostfixWiring, AsItShouldBe) {
  const Wiring wiring = Postfix(GoodPostfix(), kPostfixDoor);
  EXPECT_EQ(Said(wiring), "");
  EXPECT_THAT(wiring.asking, testing::ElementsAre("smtp", "submission", "submissions"));
}

TEST(PostfixWiring, EachFaultIsNamed) {
  const PostfixConfig good = GoodPostfix();
  const std::string ask =
      "check_policy_service { unix:deferd/policy.sock, timeout=2s, try_limit=1, "
      "default_action=DUNNO }";
  const std::string sasl = "-o smtpd_sasl_auth_enable=yes";
  const auto main = [&](const std::string& list) {
    return PostfixConfig{With(good.main, ask, list), good.master};
  };
  const auto submission = [&](const std::string& option) {
    return PostfixConfig{good.main,
                         With(good.master, "-o smtpd_recipient_restrictions=$mua_recipient",
                              "-o smtpd_recipient_restrictions=$mua_recipient " + option)};
  };
  struct Row {
    const char* name;
    PostfixConfig config;
    const char* said;
  };
  const Row rows[] = {
      {"does not ask", main(""), "listener submission does not ask deferd"},
      {"a wrong socket", main(With(ask, "deferd/policy.sock", "private/policyd")),
       "asks at unix:private/policyd, and deferd listens at"},
      {"a TCP port that is none of ours", main("check_policy_service inet:127.0.0.1:10031"),
       "asks at inet:127.0.0.1:10031"},
      {"behind permit", main("permit, " + ask),
       "in smtpd_data_restrictions it stands behind permit, which ends the list"},
      {"behind permit for logins", main("permit_sasl_authenticated, " + ask),
       "it stands behind permit_sasl_authenticated"},
      {"the absolute path in the chroot",
       main(With(ask, "unix:deferd/", "unix:/var/spool/postfix/deferd/")),
       "asks in vain: it is chrooted to /var/spool/postfix"},
      {"an override without the question", submission("-o smtpd_data_restrictions="),
       "listener submission does not ask deferd: its -o smtpd_data_restrictions= in master.cf"},
      {"an override in braces",
       submission("-o {smtpd_data_restrictions = reject_unauth_pipelining, permit}"),
       "its -o smtpd_data_restrictions=reject_unauth_pipelining, permit in master.cf"},
      {"an override by name", submission("-o smtpd_data_restrictions=$mua_recipient"),
       "its -o smtpd_data_restrictions=$mua_recipient in master.cf"},
      {"an override that puts it behind reject",
       submission("-o {smtpd_data_restrictions = permit_sasl_authenticated, " + ask + "}"),
       "stands behind permit_sasl_authenticated"},
      {"in a list that is for ETRN alone",
       {With(With(good.main, ask, ""),
             "smtpd_etrn_restrictions =", "smtpd_etrn_restrictions = " + ask),
        good.master},
       "does not ask deferd"},
      {"a word that Postfix does not know",
       main(With(ask, "check_policy_service", "check_policy_servce")),
       "has the unknown restriction check_policy_servce"},
      {"another's service",
       {With(good.main, ask, "check_policy_service unix:private/spf"),
        good.master + "spf unix - n n - 0 spawn user=spfd argv=/usr/bin/spf\n"},
       "asks at unix:private/spf, the service spf of master.cf (spawn with user=spfd)"},
      {"before it knows who sends",
       {With(With(good.main, ask, ""),
             "smtpd_client_restrictions =", "smtpd_client_restrictions = " + ask) +
            "smtpd_delay_reject = no\n",
        "587 inet n - n - - smtpd -o smtpd_sasl_auth_enable=yes\n"},
       "before it knows who sends (smtpd_delay_reject = no)"},
      {"behind permit in a class",
       {With(good.main, ask, "stop, " + ask) +
            "smtpd_restriction_classes = stop\nstop = permit_sasl_authenticated, reject\n",
        good.master},
       "it stands behind permit_sasl_authenticated"},
      {"in a class that nobody names",
       {With(good.main, ask, "") + "smtpd_restriction_classes = ours\nours = " + ask + "\n",
        good.master},
       "its question stands in the class ours, which no restriction list names"},
      {"no logins anywhere, and no question",
       {With(good.main, ask, ""), With(good.master, sasl, "")},
       "listener smtp does not ask deferd"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Wiring wiring = Postfix(row.config, kPostfixDoor);
    EXPECT_THAT(Said(wiring), HasSubstr(row.said));
    for (const WiringFault& fault : wiring.faults) EXPECT_FALSE(fault.remedy.empty());
  }
  // A door outside the queue directory: smtpd cannot reach it from its chroot.
  const Wiring outside = Postfix(main(With(ask, "deferd/policy.sock", "/run/deferd/policy.sock")),
                                 "/run/deferd/policy.sock");
  EXPECT_THAT(Said(outside), HasSubstr("let [hook] postfix be a socket below /var/spool/postfix"));
}

TEST(PostfixWiring, WhatIsRightInOtherWays) {
  PostfixConfig config = GoodPostfix();
  const std::string ask = "check_policy_service unix:deferd/policy.sock";
  // A listener on port 25 that takes no logins need not ask.
  config.master =
      With(config.master, "smtp       inet  n       -       y       -       -       smtpd\n",
           "smtp inet n - y - - smtpd -o smtpd_data_restrictions=\n");
  EXPECT_EQ(Said(Postfix(config, kPostfixDoor)), "");
  // Options on lines of their own, as they stand in master.cf.
  config.master =
      "587 inet n - n - - smtpd\n  -o smtpd_sasl_auth_enable=yes\n"
      "  -o smtpd_sender_restrictions=$ours,permit\n"
      "  -o smtpd_data_restrictions=\n";
  config.main += "ours = reject_unknown_sender_domain, " + ask + "\n";
  EXPECT_EQ(Said(Postfix(config, kPostfixDoor)), "");
  // By a class; behind permit_mynetworks; by an access table.
  const PostfixConfig good = GoodPostfix();
  const std::string whole =
      "check_policy_service { unix:deferd/policy.sock, timeout=2s, try_limit=1, "
      "default_action=DUNNO }";
  const std::string classes = "smtpd_restriction_classes = a, b\na = b\nb = " + whole + "\n";
  const Wiring by_class =
      Postfix({With(good.main, whole, "a") + classes, good.master}, kPostfixDoor);
  EXPECT_EQ(Said(by_class) + Doubted(by_class), "");
  EXPECT_THAT(Doubted(Postfix({With(good.main, whole, "permit_mynetworks, " + whole), good.master},
                              kPostfixDoor)),
              HasSubstr("asks about no client of mynetworks: in smtpd_data_restrictions"));
  const Wiring by_table = Postfix(
      {With(good.main, whole, "check_sender_access hash:/etc/postfix/ours") + classes, good.master},
      kPostfixDoor);
  EXPECT_EQ(Said(by_table), "");
  EXPECT_THAT(Doubted(by_table), HasSubstr("asks only where an access table answers a"));
  // By an absolute path, where nothing is chrooted.
  config.main = With(config.main, "unix:deferd/", "unix:/var/spool/postfix/deferd/");
  EXPECT_EQ(Said(Postfix(config, kPostfixDoor)), "");
}

}  // namespace
}  // namespace deferd
