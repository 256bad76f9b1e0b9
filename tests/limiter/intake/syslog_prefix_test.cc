#include "limiter/intake/syslog_prefix.h"

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/limiter/intake/log_text.h"

namespace deferd {
namespace {

absl::Time At(const std::string& text) {
  absl::Time time;
  std::string error;
  return absl::ParseTime(absl::RFC3339_full, text, &time, &error) ? time : absl::InfinitePast();
}

StampReader Berlin() {
  StampReader stamps(Zone("Europe/Berlin"));
  stamps.set_latest(At("2024-12-31T00:00:00Z"));
  return stamps;
}

// "TIME|host|program|pid|text" in UTC, as a server in Berlin reads it at the end of 2024.
std::string Prefix(absl::string_view line) {
  const std::optional<LogPrefix> prefix = ParseLogPrefix(line);
  if (!prefix) return "none";
  StampReader stamps = Berlin();
  const std::optional<absl::Time> time = stamps.Resolve(prefix->stamp);
  if (!time) return "no time";
  return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%E*S", *time, absl::UTCTimeZone()), "|",
                      prefix->host, "|", prefix->program, "|", prefix->pid, "|", prefix->text);
}

// The same by the function that the readers call, without the host, which it does not tell.
std::string Taken(absl::string_view line) {
  StampReader stamps = Berlin();
  absl::string_view text = line;
  const std::optional<SyslogPrefix> prefix = TakeSyslogPrefix(&stamps, &text);
  if (!prefix) return text == line ? "none" : "none, but changed";
  return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%E*S", prefix->time, absl::UTCTimeZone()),
                      "|", prefix->tag, "|", prefix->pid, "|", text);
}

std::string WithoutHost(const std::string& said) {
  const size_t host = said.find('|');
  return host == std::string::npos ? "none"
                                   : said.substr(0, host) + said.substr(said.find('|', host + 1));
}

struct Form {
  const char* line;
  const char* want;
};

const Form kForms[] = {
    // Syslog as it comes.
    {"Oct  9 14:53:48 mx postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct 09 14:53:48 mx postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct 9 14:53:48 mx postfix/smtp[12]: 4F1: x", "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48 mx exim: text", "2024-10-09 12:53:48|mx|exim||text"},
    {"Oct  9 14:53:48 postfix/smtp[12]: 4F1: x", "2024-10-09 12:53:48||postfix/smtp|12|4F1: x"},
    {"2024-10-09T14:53:48+02:00 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"2024-10-09T12:53:48.123456Z mx exim[7]: text", "2024-10-09 12:53:48.123456|mx|exim|7|text"},
    {"2024-10-09T14:53:48.5+0200 mx exim[7]: text", "2024-10-09 12:53:48.5|mx|exim|7|text"},
    {"2024-10-09T14:53:48+02 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"2024-10-09T14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    // Other stamps.
    {"2024-10-09 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"2024-10-09 14:53:48.123 mx exim[7]: text", "2024-10-09 12:53:48.123|mx|exim|7|text"},
    {"2024-10-09 14:53:48,123 mx exim[7]: text", "2024-10-09 12:53:48.123|mx|exim|7|text"},
    {"2024-10-09 14:53:48 +0200 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"2024-10-09 12:53:48 UTC mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"2024-10-09 12:53:48Z mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"2024/10/09 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"[2024-10-09 14:53:48] mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"20241009T145348 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"Oct  9 14:53:48.123456 mx exim[7]: text", "2024-10-09 12:53:48.123456|mx|exim|7|text"},
    {"Oct  9 2023 14:53:48 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"Oct  9 14:53:48 2023 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"2023 Oct  9 14:53:48 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"9 Oct 2023 14:53:48 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"09.10.2023 14:53:48 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"09/Oct/2023:14:53:48 +0200 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"Mon Oct  9 14:53:48 2023 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"Mon Oct  9 14:53:48 CEST 2023 mx exim[7]: text", "2023-10-09 12:53:48|mx|exim|7|text"},
    {"@400000006706802c1dcd6500 exim[7]: text", "2024-10-09 13:07:46.5||exim|7|text"},
    // Months of other languages.
    {"Okt  9 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"M\xC3\xA4r 22 14:53:48 mx exim[7]: text", "2024-03-22 13:53:48|mx|exim|7|text"},
    {"M\xE4r 22 14:53:48 mx exim[7]: text", "2024-03-22 13:53:48|mx|exim|7|text"},
    {"f\xC3\xA9vr. 22 14:53:48 mx exim[7]: text", "2024-02-22 13:53:48|mx|exim|7|text"},
    {"22 ao\xC3\xBBt 2023 14:53:48 mx exim[7]: text", "2023-08-22 12:53:48|mx|exim|7|text"},
    {"10\xE6\x9C\x88 09 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"\xD0\x9E\xD0\xBA\xD1\x82  9 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"lip  9 14:53:48 mx exim[7]: text", "no time"},  // July or June
    {"xyz  9 14:53:48 mx exim[7]: text", "no time"},
    {"2024-07-09T12:53:48Z lip  9 14:53:48 mx postfix/smtp[1]: x",
     "2024-07-09 12:53:48|mx|postfix/smtp|1|x"},
    // What daemons add.
    {"<22>Oct  9 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"<mail.info>Oct  9 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"Oct  9 14:53:48 <mail.info> mx postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48 <2.6> mx postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Mar 22 07:45:01 backup mail.info postfix/smtp[1]: 4F1: x",
     "2024-03-22 06:45:01|backup|postfix/smtp|1|4F1: x"},
    {"Mar 22 07:45:01 backup mail:info postfix/smtp[1]: 4F1: x",
     "2024-03-22 06:45:01|backup|postfix/smtp|1|4F1: x"},
    {"Mar 22 07:45:01 mx Message forwarded from backup: postfix/smtp[1]: 4F1: x",
     "2024-03-22 06:45:01|backup|postfix/smtp|1|4F1: x"},
    {"Oct  9 14:53:48 mx postfix/smtp[12]: [ID 197553 mail.info] 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48 mx postfix/smtp[12] <Info>: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"2024-02-14T14:47:24.7-08:00 INFO    postfix/smtp[300]: 4F1: x",
     "2024-02-14 22:47:24.7||postfix/smtp|300|4F1: x"},
    {"2024-10-09 14:53:48 [info] postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48||postfix/smtp|12|4F1: x"},
    {"INFO 2024-10-09 14:53:48,001 postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48.001||postfix/smtp|12|4F1: x"},
    {"2024-10-09T14:53:48+02:00\tmx\tmail\tinfo\tpostfix/smtp[12]:\t4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48  mx  postfix/smtp[12]:  4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48 10.0.0.1 mx postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48 s_net@relay/mx postfix/smtp[12]: 4F1: x",
     "2024-10-09 12:53:48|s_net@relay/mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48 mx postfix/smtp[12]:4F1: x", "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"Oct  9 14:53:48 mx postfix/smtp[12] 4F1: x", "2024-10-09 12:53:48|mx|postfix/smtp|12|4F1: x"},
    {"\xEF\xBB\xBFOct  9 14:53:48 mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    // RFC 5424.
    {"<22>1 2018-12-20T12:45:40.2+01:00 mx postfix/qmgr 1800 - - 4F1: x",
     "2018-12-20 11:45:40.2|mx|postfix/qmgr|1800|4F1: x"},
    {"<22>1 2018-12-20T12:45:40+01:00 mx postfix/smtp 1819 - [meta sequenceId=\"7\"] 4F1: x",
     "2018-12-20 11:45:40|mx|postfix/smtp|1819|4F1: x"},
    {"<22>1 2018-12-20T12:45:40Z mx postfix/smtp 1819 M1 [a@1 x=\"q\\\"]\"][b y=\"\"] 4F1: x",
     "2018-12-20 12:45:40|mx|postfix/smtp|1819|4F1: x"},
    {"<22>1 2018-12-20T12:45:40Z - exim - - - \xEF\xBB\xBFtext", "2018-12-20 12:45:40||exim||text"},
    {"1 2018-12-20T12:45:40Z mx postfix/qmgr 1800 - - 4F1: x",
     "2018-12-20 12:45:40|mx|postfix/qmgr|1800|4F1: x"},
    {"2018-12-20T12:45:40Z mx postfix/qmgr 1800 - - 4F1: x",
     "2018-12-20 12:45:40|mx|postfix/qmgr|1800|4F1: x"},
    // One header in another.
    {"mailcow-1  | 2024-10-09T12:53:48.1Z Oct  9 14:53:48 c0ffee postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48.1|c0ffee|postfix/smtp|9|4F1: x"},
    {"postfix_1 | Oct  9 14:53:48 c0ffee postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|c0ffee|postfix/smtp|9|4F1: x"},
    {"\x1b[36mpostfix_1  |\x1b[0m Oct  9 14:53:48 c0ffee postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|c0ffee|postfix/smtp|9|4F1: x"},
    {"[pod/mail-0/postfix] 2024-10-09T12:53:48.1Z Oct  9 14:53:48 mail-0 postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48.1|mail-0|postfix/smtp|9|4F1: x"},
    {"2024-10-09T12:53:48.123456789Z stdout F Oct  9 14:53:48 mail-0 postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48.123456789|mail-0|postfix/smtp|9|4F1: x"},
    {"Oct  9 14:53:48 node c0ffee000001[77]: Oct  9 12:53:48 c0ffee000001 postfix/smtp[9]: 4F1: x",
     "2024-10-09 10:53:48|c0ffee000001|postfix/smtp|9|4F1: x"},
    {"Oct  9 14:53:48 node docker/mail[77]: postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|node|postfix/smtp|9|4F1: x"},
    {"Oct  9 14:53:48 relay 1 2024-10-09T12:53:47Z mx postfix/smtp 9 - - 4F1: x",
     "2024-10-09 12:53:47|mx|postfix/smtp|9|4F1: x"},
    {"Oct  9 14:53:49 relay syslog-ng[3]: <22>1 2024-10-09T12:53:47Z mx postfix/smtp 9 - - 4F1: x",
     "2024-10-09 12:53:47|mx|postfix/smtp|9|4F1: x"},
    {"2024-10-09T12:53:48Z 2024-10-09 14:53:48 1hIAif-00H7J4-Lb Completed",
     "2024-10-09 12:53:48||||1hIAif-00H7J4-Lb Completed"},
    {"2024-10-09T12:53:48Z stream Oct  9 14:53:48 mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    // journalctl -o short, short-precise, short-iso, short-iso-precise, short-full, short-unix,
    // with-unit.
    {"Oct 09 14:53:48 mx postfix/smtp[9]: 4F1: x", "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"[Wed Oct  9 14:53:48 2024] exim[7]: text", "2024-10-09 12:53:48||exim|7|text"},
    {"[2024-10-09 12:53:48 UTC] exim[7]: text", "2024-10-09 12:53:48||exim|7|text"},
    {"2024\xE5\xB9\xB4"
     "10\xE6\x9C\x88"
     "09\xE6\x97\xA5 14:53:48 mx exim[7]: text",
     "2024-10-09 12:53:48|mx|exim|7|text"},
    {"10/23/2024 14:53:48 mx exim[7]: text", "2024-10-23 12:53:48|mx|exim|7|text"},
    {"23/10/2024 14:53:48 mx exim[7]: text", "2024-10-23 12:53:48|mx|exim|7|text"},
    {"10/09/2024 14:53:48 mx exim[7]: text", "no time"},
    {"Oct 09 02:53:48 PM mx exim[7]: text", "2024-10-09 12:53:48|mx|exim|7|text"},
    {"Oct 09 12:53:48 AM mx exim[7]: text", "2024-10-08 22:53:48|mx|exim|7|text"},
    {"1728478428123 mx exim[7]: text", "2024-10-09 12:53:48.123|mx|exim|7|text"},
    {"1728478428123456 mx exim[7]: text", "2024-10-09 12:53:48.123456|mx|exim|7|text"},
    {"17284784281234 mx exim[7]: text", "none"},
    {"2024-10-09T12:53:48Z {host=\"m}x\", job=\"mail\"} Oct  9 14:53:48 mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"postfix-7d8-x2 postfix Oct  9 14:53:48 mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"two words Oct  9 14:53:48 mx postfix/smtp[9]: 4F1: x", "none"},
    {"Oct  9 14:53:48 mx postfix/smtp[9]: warning: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|warning: x"},
    {"Oct  9 14:53:48 [postfix/smtp] 4F1: x", "2024-10-09 12:53:48||postfix/smtp||4F1: x"},
    {"Oct 09 14:53:48.000123 mx postfix/smtp[9]: x",
     "2024-10-09 12:53:48.000123|mx|postfix/smtp|9|x"},
    {"2024-10-09T14:53:48+0200 mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"Wed 2024-10-09 14:53:48 CEST mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"Mi 2024-10-09 14:53:48 CEST mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"Wed 2024-10-09 14:53:48 XYZT mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"1728478428.000123 mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48.000123|mx|postfix/smtp|9|4F1: x"},
    {"Wed 2024-10-09 14:53:48 CEST mx postfix@-.service[9]: 4F1A2B: x",
     "2024-10-09 12:53:48|mx|postfix@-.service|9|4F1A2B: x"},
    // Names of instances.
    {"Oct  9 14:53:48 mx postfix/[::1]:587/smtpd[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/[::1]:587/smtpd|9|4F1: x"},
    {"Oct  9 14:53:48 mx postfix/10.0.0.1:submission/smtpd[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/10.0.0.1:submission/smtpd|9|4F1: x"},
    {"Oct  9 14:53:48 mx postfix-mx/content-filter/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix-mx/content-filter/smtp|9|4F1: x"},
    // Out of searches.
    {"/var/log/mail.log:Oct  9 14:53:48 mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"mail.log.1-Oct  9 14:53:48 mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    {"17:2024-10-09T12:53:48Z mx postfix/smtp[9]: 4F1: x",
     "2024-10-09 12:53:48|mx|postfix/smtp|9|4F1: x"},
    // No tag, and none.
    {"Oct  9 14:53:48 mx last message repeated 2 times",
     "2024-10-09 12:53:48||||mx last message repeated 2 times"},
    {"", "none"},
    {"no stamp at all", "none"},
    {" Oct  9 14:53:48 mx postfix/smtp[12]: 4F1: x", "none"},
    {"Oct 32 14:53:48 mx postfix/smtp[12]: 4F1: x", "none"},
    {"2024-02-30T14:53:48Z mx postfix/smtp[12]: 4F1: x", "none"},
    {"[    1.234567] mx postfix/smtp[12]: 4F1: x", "none"},
};

TEST(SyslogPrefix, EveryForm) {
  static_assert(std::size(kForms) >= 40);
  for (const Form& form : kForms) EXPECT_EQ(Prefix(form.line), form.want) << form.line;
}

// The common forms are read by a shorter way; nobody may see which it was.
TEST(SyslogPrefix, TheShortWayGivesTheSame) {
  for (const Form& form : kForms) EXPECT_EQ(Taken(form.line), WithoutHost(form.want)) << form.line;
}

// A level that is glued to the program, and half of the day behind the stamp, need the whole way.
TEST(SyslogPrefix, WhatTheShortWayDoesNotKnowItLeaves) {
  for (absl::string_view stamp : {"Oct  9 02:53:48", "2024-10-09T02:53:48+02:00"}) {
    for (absl::string_view middle :
         {"mx <mail.info>postfix/smtp[12]: ", "mx <22>postfix/qmgr[3]: ", "<mail.warn>exim[4]: ",
          "PM mx postfix/smtp[12]: ", "am mx exim: ", "pm postfix/smtpd[7]: "}) {
      const std::string line = absl::StrCat(stamp, " ", middle, "4F1A2B: to=<a@b>");
      EXPECT_EQ(Taken(line), WithoutHost(Prefix(line))) << line;
      EXPECT_TRUE(absl::EndsWith(Taken(line), "4F1A2B: to=<a@b>")) << line;
    }
  }
}

// Words that may be a zone, an offset, another stamp or a column, where a host or a tag may be.
TEST(SyslogPrefix, TheShortWayTakesNothingForAHostThatMayBeMore) {
  for (absl::string_view stamp : {"Oct  9 02:53:48", "Oct  9 2024 02:53:48", "2024-10-09T02:53:48",
                                  "2024-10-09T02:53:48Z", "2024-10-09T02:53:48+02:00"}) {
    for (absl::string_view word : {"CET",
                                   "EST",
                                   "MSK",
                                   "XYZ",
                                   "MX",
                                   "MX1",
                                   "GMT+2",
                                   "-0100",
                                   "+02:00",
                                   "Z",
                                   "1728478428",
                                   "1728478428.5",
                                   "2024",
                                   "20241009T001504",
                                   "2024-10-09T12:53:48",
                                   "@400000005fa1b2c300000000",
                                   "192.0.2.1",
                                   "Nov",
                                   "Sun",
                                   "info",
                                   "mail.info",
                                   "stdout",
                                   "F",
                                   "P",
                                   "1",
                                   "-",
                                   "mx",
                                   "mx.example",
                                   "10æ"}) {
      for (absl::string_view tag :
           {"postfix/smtp[1]: ", "exim: ", "1728478428: ", "20241009T001504: ", "CET: ", "Z: ",
            "mx postfix/smtp[1]: ", "22: ", "-0100: "}) {
        const std::string line = absl::StrCat(stamp, " ", word, " ", tag, "4F1A2B: to=<a@b>");
        EXPECT_EQ(Taken(line), WithoutHost(Prefix(line))) << line;
      }
    }
  }
}

// A program that is no container and no relay writes what strangers sent it.
TEST(SyslogPrefix, WhatAProgramWritesIsNoHeader) {
  for (const char* program :
       {"sshd[3]", "php", "apache2[3]", "webmail[3]", "dovecot", "amavis[3]"}) {
    for (const char* text : {"Oct  9 14:53:48 mx postfix/smtp[1]: 4F1A2B: to=<a@b>",
                             "postfix/smtp[1]: 4F1A2B: to=<a@b>",
                             "<22>1 2024-10-09T12:53:47Z mx postfix/smtp 9 - - 4F1A2B: to=<a@b>",
                             "2024-10-09 14:53:48 1hIAif-00H7J4-Lb <= a@b U=x P=local"}) {
      const std::string line = absl::StrCat("Oct  9 14:53:48 mx ", program, ": ", text);
      EXPECT_EQ(Taken(line).substr(20, 1), std::string(program).substr(0, 1)) << line;
      EXPECT_TRUE(absl::EndsWith(Taken(line), text)) << line;
    }
  }
}

TEST(SyslogPrefix, AFewWordsAtMostStandBeforeATag) {
  EXPECT_EQ(Prefix("Oct  9 14:53:48 mx three words and postfix/smtp[1]: 4F1A2B: to=<a@b>"),
            "2024-10-09 12:53:48||||mx three words and postfix/smtp[1]: 4F1A2B: to=<a@b>");
  EXPECT_EQ(Prefix("Oct  9 14:53:48 mx said=x postfix/smtp[1]: 4F1A2B: to=<a@b>"),
            "2024-10-09 12:53:48||||mx said=x postfix/smtp[1]: 4F1A2B: to=<a@b>");
}

TEST(SyslogPrefix, AZonesNameTellsTheHourThatComesTwice) {
  for (const auto& [zone, want] :
       {std::pair("CEST", "2024-10-27 00:30:00"), std::pair("CET", "2024-10-27 01:30:00")}) {
    EXPECT_EQ(Prefix(absl::StrCat("Sun 2024-10-27 02:30:00 ", zone, " mx exim[1]: x")),
              absl::StrCat(want, "|mx|exim|1|x"));
  }
  StampReader london(Zone("Europe/London"));
  const std::optional<LogPrefix> prefix =
      ParseLogPrefix("Sun 2024-10-27 01:30:00 BST mx exim[1]: x");
  ASSERT_TRUE(prefix.has_value());
  EXPECT_EQ(london.Resolve(prefix->stamp), At("2024-10-27T00:30:00Z"));
}

TEST(SyslogPrefix, WhatWasTriedLeavesNoTrace) {
  StampReader stamps(absl::UTCTimeZone());
  absl::string_view line = "2023-05-05T00:00:00Z mx exim: x";
  ASSERT_TRUE(TakeSyslogPrefix(&stamps, &line).has_value());
  // Read as a year-less stamp at first.
  line = "Oct  9 14:53:48 2021 mx exim: x";
  ASSERT_TRUE(TakeSyslogPrefix(&stamps, &line).has_value());
  EXPECT_EQ(stamps.previous(), At("2021-10-09T14:53:48Z"));
}

TEST(SyslogPrefix, RepeatedMessages) {
  absl::string_view text = "message repeated 2 times: [ 4F1: x]";
  EXPECT_EQ(TakeRepeated(&text), 2);
  EXPECT_EQ(text, "4F1: x");
  text = "message repeated 3 times: [4F1: [x]]";
  EXPECT_EQ(TakeRepeated(&text), 3);
  EXPECT_EQ(text, "4F1: [x]");
  for (const char* other :
       {"message repeated x times: [ a]", "message repeated 2 times", "4F1: x"}) {
    text = other;
    EXPECT_EQ(TakeRepeated(&text), 1);
    EXPECT_EQ(text, other);
  }
}

// Whatever the bytes: views of the line, and the two ways agree.
TEST(SyslogPrefix, AnyBytes) {
  std::mt19937 random(3);
  const std::string pieces[] = {"Oct  9 14:53:48 ",
                                "2024-10-09T12:53:48Z ",
                                "2024-10-09 12:53:48 ",
                                "<22>",
                                "1 ",
                                "mx ",
                                "postfix/smtp[1]:",
                                " ",
                                "docker[3]: ",
                                "| ",
                                "mail.info ",
                                "- ",
                                "[a b=\"c\"] ",
                                "[",
                                "]",
                                "\t",
                                "stdout F ",
                                "\xEF\xBB\xBF",
                                "Mi ",
                                "1728478428.1 ",
                                "@4000000067068"};
  for (int i = 0; i < 100'000; ++i) {
    std::string line;
    for (unsigned n = random() % 10; n > 0; --n) {
      line += random() % 6 ? pieces[random() % std::size(pieces)]
                           : std::string(1, static_cast<char>(random()));
    }
    const std::string prefix = Prefix(line);
    const std::string want = prefix == "none" || prefix == "no time" ? "none" : WithoutHost(prefix);
    if (line.find('|') == std::string::npos) {
      EXPECT_EQ(Taken(line), want) << line;
    }
  }
}

}  // namespace
}  // namespace deferd
