#include "limiter/ctl/doctor.h"

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::HasSubstr;

// A server where all is well.
DoctorFacts Healthy() {
  DoctorFacts facts;
  facts.mtas = {"Exim"};
  facts.status = {
      {"mode", "enforce"},
      {"unchecked", false},
      {"policy", {{"stale", false}}},
      {"sources",
       Json::array({{{"path", "/log"}, {"problem", ""}, {"lag_seconds", 0.1}, {"gaps", 0}}})},
      {"lines", {{"lines", 5000}, {"attempts", 900}, {"malformed", 0}}},
      {"charged", {{"login", 700}, {"account", 100}, {"local", 0}, {"nobody", 100}}},
      {"left_out", {{"future", 0}}},
      {"questions", {{"answered", 70}, {"last", "2026-11-22T08:00:00Z"}}},
      {"hosted_list", true},
      {"listening", {{"exim", "unix:/x"}}},
      {"queue", {{"problem", nullptr}, {"messages", 0}, {"held", Json::array()}}},
      {"store", {{"problem", ""}}}};
  facts.blocks = Json::array();
  facts.attempts = Json::array();
  return facts;
}

DoctorFacts::Postfix& PostfixOf(DoctorFacts& facts) {
  if (facts.postfixes.empty()) facts.postfixes.emplace_back();
  return facts.postfixes[0];
}

// Its configuration.
std::string& EximOf(DoctorFacts& facts) {
  if (facts.exims.empty()) facts.exims.emplace_back();
  return facts.exims[0].config.text;
}

// The finding that has `word`, or null.
Json Find(const DoctorFacts& facts, const std::string& word) {
  for (const Json& one : Diagnose(facts)) {
    if (absl::StrContains(one["what"].get<std::string>(), word)) return one;
  }
  return nullptr;
}

void ExpectProblem(const DoctorFacts& facts, const std::string& word) {
  const Json found = Find(facts, word);
  ASSERT_FALSE(found.is_null()) << word << "\n" << DoctorPage(Diagnose(facts));
  EXPECT_EQ(found["level"], "problem");
  EXPECT_FALSE(found["remedy"].get<std::string>().empty());
  EXPECT_EQ(DoctorExit(Diagnose(facts)), 1);
}

void ExpectWarning(const DoctorFacts& facts, const std::string& word) {
  const Json found = Find(facts, word);
  ASSERT_FALSE(found.is_null()) << word << "\n" << DoctorPage(Diagnose(facts));
  EXPECT_EQ(found["level"], "warning");
  EXPECT_FALSE(found["remedy"].get<std::string>().empty());
  EXPECT_EQ(DoctorExit(Diagnose(facts)), 0);
}

TEST(Doctor, AHookOnTcpIsAnybodys) {
  DoctorFacts facts = Healthy();
  EXPECT_TRUE(Find(facts, "TCP").is_null());
  facts.status["listening"] = {{"exim", "unix:/x"}, {"postfix", "127.0.0.1:4040"}};
  ExpectWarning(facts, "[hook] postfix = \"127.0.0.1:4040\" is a TCP port");
}

TEST(Doctor, WhatTheDaemonIsBlindTo) {
  DoctorFacts facts = Healthy();
  facts.status["blind"] = Json::array(
      {{{"kind", "hook"}, {"what", "Exim asked about 0"}, {"remedy", "install the lines"}},
       {{"kind", "smart_host"}, {"what", "all mail leaves by x"}, {"remedy", "run it there"}}});
  ExpectProblem(facts, "Exim asked about 0");
  EXPECT_EQ(Find(facts, "all mail leaves by x")["level"], "warning");
}

TEST(Doctor, AllIsWell) {
  const Json findings = Diagnose(Healthy());
  for (const Json& one : findings) EXPECT_EQ(one["level"], "ok") << one["what"];
  EXPECT_EQ(DoctorExit(findings), 0);
  const std::string page = DoctorPage(findings);
  EXPECT_THAT(page, HasSubstr("attempts are charged to login 700, account 100; to nobody 100"));
  for (absl::string_view line : absl::StrSplit(page, '\n')) EXPECT_LE(line.size(), 80u);
}

TEST(Doctor, CountsThatNoDaemonSendsAreCounts) {
  DoctorFacts facts = Healthy();
  for (const Json& odd : {Json(1e300), Json(-1e300), Json("many"), Json(nullptr), Json::array()}) {
    facts.status["charged"] = {{"login", odd}, {"account", odd}, {"nobody", odd}};
    EXPECT_FALSE(Diagnose(facts).empty()) << odd;
  }
}

TEST(Doctor, WhoMayWriteTheLog) {
  DoctorFacts facts = Healthy();
  facts.anybody_logs = facts.journal = true;
  facts.owners["/log"] = "Debian-exim";
  EXPECT_TRUE(Find(facts, "logger -p").is_null()) << "Exim writes it itself";
  facts.owners["/log"] = "root";
  ExpectWarning(facts, "any local user may write lines into /log (logger -p mail.info)");
  EXPECT_THAT(Find(facts, "logger -p")["remedy"], HasSubstr("follow the journal"));
  facts.journal = false;
  EXPECT_THAT(Find(facts, "logger -p")["remedy"], HasSubstr("rsyslog"));
  facts.rsyslog_checks = true;
  EXPECT_TRUE(Find(facts, "logger -p").is_null());
  facts.rsyslog_checks = facts.anybody_logs = false;
  EXPECT_TRUE(Find(facts, "logger -p").is_null()) << "nobody can";
  facts.anybody_logs = true;
  facts.status["sources"][0]["path"] = "journal:postfix";
  EXPECT_TRUE(Find(facts, "logger -p").is_null());
}

TEST(Doctor, ADaemonThatDoesNotAnswer) {
  DoctorFacts facts = Healthy();
  facts.unreachable = "/run/x: cannot connect to deferd";
  facts.status = nullptr;
  ExpectProblem(facts, "does not answer");
}

TEST(Doctor, Logs) {
  DoctorFacts facts = Healthy();
  facts.status["sources"] = Json::array();
  ExpectProblem(facts, "no log is followed");
  facts = Healthy();
  facts.status["sources"][0]["problem"] = "Permission denied";
  ExpectProblem(facts, "Permission denied");
  facts = Healthy();
  facts.status["sources"][0]["lag_seconds"] = 3600.0;
  ExpectProblem(facts, "3600 seconds behind");
  facts = Healthy();
  facts.status["sources"][0]["gaps"] = 2;
  ExpectWarning(facts, "2 gaps");
  facts = Healthy();
  facts.status["lines"]["attempts"] = 0;
  ExpectProblem(facts, "no line of the logs");
  facts = Healthy();
  facts.status["lines"]["malformed"] = 400;
  ExpectWarning(facts, "could not be read");
}

TEST(Doctor, TheJournal) {
  DoctorFacts facts = Healthy();
  Json& source = facts.status["sources"][0];
  source["path"] = "journal:postfix";
  source["bytes"] = 5000;
  EXPECT_EQ(Find(facts, "journal:postfix")["level"], "ok");
  source["bytes"] = 0;
  EXPECT_EQ(Find(facts, "no entry of the mail server")["level"], "note");
  source["problem"] = "the journal may not be read";
  ExpectProblem(facts, "may not be read");
  EXPECT_THAT(Find(facts, "may not be read")["remedy"], HasSubstr("SupplementaryGroups"));
  EXPECT_TRUE(Find(facts, "no entry of the mail server").is_null());
  source["problem"] = "";
  source["gaps"] = 1;
  ExpectWarning(facts, "1 gaps");
  EXPECT_THAT(Find(facts, "1 gaps")["remedy"], HasSubstr("journald.conf"));
}

TEST(Doctor, Charging) {
  DoctorFacts facts = Healthy();
  facts.status["charged"] = {{"login", 5}, {"nobody", 500}};
  ExpectProblem(facts, "who pays");
  facts = Healthy();
  facts.status["charged"] = {{"login", 700}, {"account", 0}, {"local", 30}, {"nobody", 0}};
  ExpectWarning(facts, "local users are not mapped");
  facts = Healthy();
  facts.status["left_out"]["future"] = 3;
  ExpectProblem(facts, "in the future");
  facts = Healthy();
  facts.status["left_out"]["unclear"] = 4;
  ExpectWarning(facts, "4 attempts are charged to nobody");
  facts = Healthy();
  facts.status["hosted_list"] = false;
  EXPECT_EQ(Find(facts, "hosted here")["level"], "note");
}

TEST(Doctor, Questions) {
  DoctorFacts facts = Healthy();
  facts.status["listening"] = Json::object();
  ExpectProblem(facts, "no mail server can ask");
  facts = Healthy();
  facts.status["questions"] = {{"answered", 0}, {"last", nullptr}};
  ExpectWarning(facts, "no mail server has asked");
  facts = Healthy();
  facts.hook_problem = "/x: Permission denied";
  ExpectProblem(facts, "got no answer");
}

TEST(Doctor, OtherLimitersAndPostfixThatFailsClosed) {
  DoctorFacts facts = Healthy();
  facts.panel_limiter = true;
  ExpectWarning(facts, "own limiter");
  facts = Healthy();
  PostfixOf(facts).restrictions = "check_policy_service unix:private/x";
  ExpectProblem(facts, "without default_action=DUNNO");
  PostfixOf(facts).restrictions =
      "check_policy_service { unix:private/x, timeout=2s, default_action=DUNNO }";
  EXPECT_EQ(Find(facts, "mail flows when that is away")["level"], "ok");
}

TEST(Doctor, ALogThatIsNotWrittenToAndStampsOfAnotherZone) {
  const absl::Time now = absl::FromUnixSeconds(1'795'334'400);  // 2026-11-22 08:00:00 UTC
  DoctorFacts facts = Healthy();
  facts.now = now;
  facts.written["/log"] = now - absl::Minutes(2);
  Json& source = facts.status["sources"][0];
  source["at_end"] = true;
  source["last_stamp"] = "2026-11-22T07:58:00Z";
  for (const Json& one : Diagnose(facts)) EXPECT_EQ(one["level"], "ok") << one["what"];
  source["last_stamp"] = "2026-11-22T06:58:00Z";
  ExpectProblem(facts, "60 minutes behind the clock");
  source["last_stamp"] = "2026-11-22T09:58:00Z";
  ExpectProblem(facts, "120 minutes ahead of the clock");
  source["lag_seconds"] = 3600.0;  // its last line was not read yet
  EXPECT_TRUE(Find(facts, "minutes ahead").is_null());
  facts = Healthy();
  facts.now = now;
  facts.written["/log"] = now - absl::Hours(30);
  ExpectWarning(facts, "30 hours ago");
}

constexpr char kAsksExim[] =
    "acl_smtp_mail = mail\nbegin acl\nmail:\n"
    "    warn set acl_m_deferd = ${readsocket{/x}{check\\tlogin=$authenticated_id\\n}{2s}{}{}}\n"
    "    deny condition = ${if match{$acl_m_deferd}{reject}}\n";

TEST(Doctor, AnOldLogThatWasJustCopiedIsInNoOtherZone) {
  DoctorFacts facts = Healthy();
  facts.now = absl::FromUnixSeconds(1'795'334'400);
  facts.written["/log"] = facts.now - absl::Minutes(1);
  facts.status["sources"][0]["at_end"] = true;
  facts.status["sources"][0]["last_stamp"] = "2026-11-17T08:00:00Z";  // five days before
  ExpectWarning(facts, "the last line of /log is of 2026-11-17 08:00:00 UTC");
}

TEST(Doctor, HowEximAsks) {
  DoctorFacts facts = Healthy();
  EximOf(facts) = kAsksExim;
  EXPECT_EQ(Find(facts, "Exim asks, and mail flows")["level"], "ok");
  EximOf(facts) = "warn set acl_m_x = ${readsocket{/x}{check\\n}{2s}}\n";
  ExpectProblem(facts, "without a fail string");
  EximOf(facts) = "warn set acl_m_x = ${readsocket{/other}{check\\n}{2s}}\n";
  ExpectProblem(facts, "does not ask at /x");
  EximOf(facts) = std::string(kAsksExim) + "warn set acl_m_x = ${readsocket{/x}{a{b\n";
  EXPECT_EQ(Find(facts, "without a fail string")["level"], "problem") << "a broken one is none";
}

// A server with Postfix, whose door is below the queue directory.
DoctorFacts WithPostfix() {
  DoctorFacts facts = Healthy();
  facts.mtas = {"Postfix"};
  facts.status["listening"] = {{"postfix", "unix:/q/deferd/policy.sock"}};
  PostfixOf(facts).queue = "/q";
  PostfixOf(facts).restrictions =
      "check_policy_service { unix:deferd/policy.sock, timeout=2s, try_limit=1, "
      "default_action=DUNNO }, permit_mynetworks";
  PostfixOf(facts).master = "smtp inet n - y - - smtpd\nqmgr unix n - n 300 1 qmgr\n";
  return facts;
}

TEST(Doctor, HowPostfixAsks) {
  for (const Json& one : Diagnose(WithPostfix())) EXPECT_EQ(one["level"], "ok") << one["what"];
  DoctorFacts facts = WithPostfix();
  PostfixOf(facts).restrictions = "check_policy_service unix:deferd/policy.sock";
  ExpectProblem(facts, "without default_action=DUNNO");
  PostfixOf(facts).default_action = "DUNNO";
  ExpectWarning(facts, "waits long");
  facts = WithPostfix();
  PostfixOf(facts).restrictions += ", check_policy_service inet:127.0.0.1:10031";
  EXPECT_EQ(Find(facts, "another policy service too: inet:127.0.0.1:10031")["level"], "note");
}

TEST(Doctor, PostfixsSenderTable) {
  const std::string table = "/var/lib/deferd-queue/senders";
  DoctorFacts facts = Healthy();
  PostfixOf(facts).queue = "/var/spool/postfix";
  EXPECT_TRUE(Find(facts, "sendmail(1)").is_null()) << "no helper, no table";
  facts.status["queue"]["sender_table"] = table;
  EXPECT_EQ(Find(facts, "by sendmail(1)")["level"], "note");
  PostfixOf(facts).senders = "hash:/etc/postfix/others, hash:" + table;
  ExpectProblem(facts, "no transport deferd-held");
  PostfixOf(facts).master = "deferd-held unix - n n - 10 pipe flags=q user=nobody";
  EXPECT_EQ(Find(facts, "with sendmail(1)")["level"], "ok");
  facts.status["queue"]["sender_table_problem"] = "No space left on device";
  ExpectProblem(facts, "cannot be written: No space");
  facts.status["queue"].erase("sender_table_problem");
  facts.status["queue"]["sender_table"] = nullptr;
  ExpectWarning(facts, "which nobody fills");
  PostfixOf(facts).missing_tables = {table};
  ExpectProblem(facts, "delivers nothing");
  facts.unreachable = "no socket";
  facts.status = nullptr;
  ExpectProblem(facts, "delivers nothing");
}

TEST(Doctor, AChrootedSmtpdThatCannotReachTheSocket) {
  DoctorFacts facts = WithPostfix();
  facts.status["listening"] = {{"postfix", "unix:/run/deferd/policy.sock"}};
  PostfixOf(facts).main =
      "queue_directory = /q\nsmtpd_data_restrictions = check_policy_service { "
      "unix:/run/deferd/policy.sock, timeout=2s, try_limit=1, default_action=DUNNO }\n";
  ExpectProblem(facts, "it is chrooted to /q");
  PostfixOf(facts).master = "smtp inet n - n - - smtpd\n";
  EXPECT_TRUE(Find(facts, "chrooted").is_null());
}

TEST(Doctor, EachInstanceIsNamed) {
  DoctorFacts facts = Healthy();
  facts.status["listening"] = {{"postfix", "unix:/q1/d/p.sock"},
                               {"postfix_2", "unix:/q2/d/p.sock"}};
  const auto instance = [](const std::string& name, const std::string& queue,
                           const std::string& list) {
    DoctorFacts::Postfix one;
    one.name = name;
    one.queue = queue;
    one.main = "queue_directory = " + queue + "\nsmtpd_data_restrictions = " + list + "\n";
    one.master = "smtp inet n - y - - smtpd\n";
    return one;
  };
  facts.postfixes = {instance("/etc/postfix", "/q1", "check_policy_service unix:d/p.sock"),
                     instance("/etc/postfix-out", "/q2", "check_policy_service unix:d/p.sock")};
  EXPECT_EQ(Find(facts, "Postfix (/etc/postfix-out): Postfix's listeners that ask: smtp")["level"],
            "ok");
  facts.postfixes[1] = instance("/etc/postfix-out", "/q2", "reject_unauth_pipelining");
  ExpectProblem(facts, "Postfix (/etc/postfix-out): Postfix's listener smtp does not ask");
  EXPECT_THAT(Find(facts, "does not ask")["remedy"],
              HasSubstr("postfix -c /etc/postfix-out reload"));
  facts.switched_off = {"/etc/postfix-old"};
  EXPECT_EQ(Find(facts, "/etc/postfix-old is switched off")["level"], "note");

  facts = Healthy();
  EximOf(facts) = kAsksExim;
  facts.exims.push_back({.name = "/etc/exim4/out.conf",
                         .problem = "",
                         .config = {"acl_smtp_rcpt = accept\n", {}, {}},
                         .user = {}});
  ExpectProblem(facts, "Exim (/etc/exim4/out.conf): Exim's configuration does not ask at /x");
}

TEST(Doctor, AConfigurationThatCannotBeReadIsAFinding) {
  DoctorFacts facts = Healthy();
  facts.exims.emplace_back().problem =
      "Exim configuration error in line 5 of /e.conf: failed to open included configuration file";
  ExpectProblem(facts, "it cannot be told whether Exim asks: Exim configuration error");
  facts = Healthy();
  EximOf(facts) = "acl_smtp_mail = /etc/exim4/mail.acl\n";
  facts.exims[0].config.unreadable["/etc/exim4/mail.acl"] = "Permission denied";
  ExpectProblem(facts, "ACL file /etc/exim4/mail.acl (acl_smtp_mail) cannot be read: Permission");
  facts = WithPostfix();
  PostfixOf(facts).problem = "postconf: fatal: open /etc/postfix/main.cf: Permission denied";
  ExpectProblem(facts, "it cannot be told whether Postfix asks: postconf: fatal");
}

TEST(Doctor, AFilterOnAnotherHostThatHandsMailBack) {
  DoctorFacts facts = WithPostfix();
  PostfixOf(facts).filter = "smtp:[filter.example]:10025";
  facts.attempts.push_back({{"outcome", "delivered"},
                            {"host", "filter.example"},
                            {"reply", "250 2.0.0 Ok: queued as 733F6A781D8"}});
  ExpectWarning(facts, "what the filter filter.example takes");
  facts.attempts[0]["host"] = "mx.far.example";
  EXPECT_TRUE(Find(facts, "the filter").is_null());
}

TEST(Doctor, OtherLimiters) {
  DoctorFacts facts = Healthy();
  EximOf(facts) = std::string(kAsksExim) + "    deny ratelimit = 100 / 1h / strict\n";
  EXPECT_EQ(Find(facts, "ratelimit of their own")["level"], "note");
  EximOf(facts) = std::string(kAsksExim) + "# deny ratelimit = 100 / 1h / strict\n";
  EXPECT_TRUE(Find(facts, "ratelimit of their own").is_null());
  facts.other_limits = {"/etc/rspamd/local.d/ratelimit.conf"};
  EXPECT_EQ(Find(facts, "rspamd")["level"], "note");
}

TEST(Doctor, ADoorThatTheMailServerCannotOpen) {
  DoctorFacts facts = Healthy();
  EximOf(facts) = kAsksExim;
  facts.exims[0].user = {.name = "Debian-exim",
                         .group = "Debian-exim",
                         .uid = 100,
                         .gid = 110,
                         .other_groups = {"deferd"}};
  std::vector<PathStep>& steps = facts.doors["/x"];
  steps = {{.path = "/", .mode = 0755, .user = "root", .group = "root"},
           {.path = "/x", .mode = 0660, .uid = 200, .gid = 110, .user = "deferd", .group = "g"}};
  EXPECT_TRUE(Find(facts, "may not").is_null());
  steps[1].gid = 210;
  steps[1].group = "deferd";
  ExpectProblem(facts,
                "(Debian-exim:Debian-exim) may not ask at: /x belongs to deferd:deferd with mode "
                "0660, and that Debian-exim is listed in deferd does not help");
  EXPECT_TRUE(Find(facts, "Exim asks, and mail flows").is_null());
  steps[1].mode = 0666;
  EXPECT_TRUE(Find(facts, "may not").is_null());
  steps[1].mode = 0622;
  steps[0].mode = 0700;
  ExpectProblem(facts, "may not pass: / belongs to root:root with mode 0700");
  steps[0].access_list = true;
  EXPECT_TRUE(Find(facts, "may not").is_null()) << "the list may allow it";
  steps[1] = {.path = "/x", .missing = true};
  ExpectProblem(facts, "there is no /x");
}

TEST(Doctor, TheRemedyForASocketLetsDeferdStart) {
  const MailUser exim = {
      .name = "Debian-exim", .group = "Debian-exim", .uid = 100, .gid = 110, .other_groups = {}};
  PathStep socket = {
      .path = "/x", .mode = 0660, .uid = 200, .gid = 210, .user = "deferd", .group = "deferd"};
  const auto remedy = [&] { return StopsAt({socket}, exim, "").value_or(WiringFault()).remedy; };
  EXPECT_EQ(remedy(),
            "usermod -a -G Debian-exim deferd; no other group as [hook] group; restart deferd");
  socket.mode = 0600;
  EXPECT_THAT(remedy(), HasSubstr("usermod -a -G Debian-exim deferd"));
  EXPECT_THAT(remedy(), HasSubstr("[hook] mode = \"0660\""));
  socket.gid = 110;  // deferd is a member: only the mode is wrong
  EXPECT_EQ(remedy(), "[hook] mode = \"0660\" in deferd.toml; restart deferd");
  // systemd's.
  socket = {.path = "/x", .mode = 0660, .uid = 0, .gid = 0, .user = "root", .group = "root"};
  EXPECT_THAT(remedy(), HasSubstr("SocketGroup=Debian-exim and SocketMode=0660"));
}

TEST(Doctor, MailThatEximSetsAsideNeedsDeferdQueue) {
  DoctorFacts facts = Healthy();
  EximOf(facts) = absl::StrCat(
      kAsksExim, "\n  queue = ${if match{$acl_m_deferd}{\\N^hold \\N}{deferd-held}{}}\n");
  EXPECT_TRUE(Find(facts, "sets a blocked sender's mail aside").is_null());
  facts.status["queue"] = nullptr;
  ExpectWarning(facts, "sets a blocked sender's mail aside, and no deferd-queue releases it");
  EximOf(facts) = absl::StrCat(kAsksExim, "\n# queue = deferd-held\nqueue_run_max = 5\n");
  EXPECT_TRUE(Find(facts, "sets a blocked sender's mail aside").is_null());
}

TEST(Doctor, AFolderOfAChrootedPostfix) {
  const MailUser postfix = {
      .name = "postfix", .group = "postfix", .uid = 100, .gid = 110, .other_groups = {}};
  std::vector<PathStep> steps = {
      {.path = "/", .mode = 0755},
      {.path = "/q", .mode = 0700},
      {.path = "/q/d", .mode = 0750, .uid = 200, .gid = 210, .user = "deferd", .group = "deferd"},
      {.path = "/q/d/s", .mode = 0660, .uid = 200, .gid = 110}};
  std::optional<WiringFault> stops = StopsAt(steps, postfix, "/q");
  ASSERT_TRUE(stops.has_value());
  EXPECT_THAT(stops->what, HasSubstr("may not pass: /q belongs to"));
  steps[1].mode = 0755;
  steps[0].mode = 0700;  // it is below that already
  stops = StopsAt(steps, postfix, "/q");
  ASSERT_TRUE(stops.has_value());
  EXPECT_THAT(stops->what, HasSubstr("/q/d belongs to deferd:deferd with mode 0750"));
  EXPECT_THAT(stops->remedy, HasSubstr("chgrp postfix /q/d; chmod 0750 /q/d"));
  steps[2].gid = 110;
  EXPECT_FALSE(StopsAt(steps, postfix, "/q").has_value());
  EXPECT_TRUE(StopsAt(steps, postfix, "").has_value());
}

TEST(Doctor, WhatIsHeld) {
  DoctorFacts facts = Healthy();
  facts.status["queue"] = nullptr;
  EXPECT_EQ(Find(facts, "does not see the mail queue")["level"], "note");
  facts.status["queue"] = {{"problem", nullptr}, {"messages", 7}, {"held", Json::array()}};
  EXPECT_EQ(Find(facts, "7 messages are held")["level"], "ok");
  facts.status["queue"]["held"] = {{{"subject", "bad.example"},
                                    {"messages", 3},
                                    {"waits_for", "most remote replies were of class content"}},
                                   {{"subject", "x.example"}, {"messages", 4}, {"waits_for", ""}}};
  ExpectWarning(facts, "3 messages of bad.example wait for a person: most remote replies");
  EXPECT_TRUE(Find(facts, "x.example").is_null());
  facts.status["queue"]["problem"] = "deferd-queue does not answer";
  ExpectProblem(facts, "the mail queue cannot be seen");
}

TEST(Doctor, PostfixDefersWhatNobodyWouldRelease) {
  DoctorFacts facts = Healthy();
  facts.status["listening"] = {{"postfix", "unix:/q/deferd/policy.sock"}};
  PostfixOf(facts).queue = "/q";
  EXPECT_TRUE(Find(facts, "(450)").is_null());
  facts.status["queue"]["helpers"] = Json::array({{{"postfix", "/other"}}, {{"postfix", ""}}});
  EXPECT_EQ(Find(facts, "no deferd-queue reads this Postfix's queue")["level"], "note");
  facts.status["queue"]["helpers"][1]["postfix"] = "/q";
  EXPECT_TRUE(Find(facts, "(450)").is_null());
  facts.status["queue"]["helpers"][1]["postfix"] = nullptr;  // an older one
  EXPECT_TRUE(Find(facts, "(450)").is_null());
  facts.status["queue"] = nullptr;  // it is not configured
  EXPECT_TRUE(Find(facts, "(450)").is_null());
}

TEST(Doctor, ASmarthostHidesOutcomes) {
  DoctorFacts facts = Healthy();
  for (int i = 0; i < 200; ++i) {
    facts.attempts.push_back({{"outcome", "delivered"}, {"host", i < 3 ? "mx" : "relay.example"}});
  }
  ExpectWarning(facts, "relay.example takes 98%");
}

TEST(Doctor, PolicyStoreAndFreshness) {
  DoctorFacts facts = Healthy();
  facts.status["policy"] = {{"stale", true}, {"error", "policy.toml:3:1: no"}};
  ExpectProblem(facts, "has a mistake");
  facts = Healthy();
  facts.status["mode"] = "shadow";
  EXPECT_EQ(Find(facts, "mode shadow")["level"], "note");
  facts.blocks = Json::array({{{"subject", "a.example"}, {"shadow", true}}});
  EXPECT_THAT(Find(facts, "would be")["what"].get<std::string>(),
              HasSubstr("0 are blocked and 1 would be: a.example"));
  facts = Healthy();
  facts.status["store"]["problem"] = "disk full";
  ExpectProblem(facts, "disk full");
  facts = Healthy();
  facts.status["unchecked"] = true;
  facts.status["causes"] = Json::array({"log away"});
  ExpectProblem(facts, "log away");
}

TEST(Doctor, RedisIsNamedWithItsTroubleAndRemedy) {
  DoctorFacts facts = Healthy();
  EXPECT_TRUE(Find(facts, "shared").is_null()) << "one machine";
  facts.status["shared"] = {{"redis", "rediss://h:6379"}, {"trouble", "none"}, {"problem", ""}};
  EXPECT_EQ(Find(facts, "shared through rediss://h:6379")["level"], "ok");
  const std::pair<const char*, const char*> kRemedies[] = {
      {"tls", "tls_ keys"}, {"password", "ACL"}, {"claimed", "state_dir"}, {"gone", "network"}};
  for (const auto& [trouble, remedy] : kRemedies) {
    facts.status["shared"]["trouble"] = trouble;
    facts.status["shared"]["problem"] = "what is wrong";
    ExpectProblem(facts, "not shared through rediss://h:6379: what is wrong");
    EXPECT_THAT(Find(facts, "not shared")["remedy"].get<std::string>(), HasSubstr(remedy));
  }
}

}  // namespace
}  // namespace deferd
