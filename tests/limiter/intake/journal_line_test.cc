#include "limiter/intake/journal_line.h"

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "limiter/intake/syslog_prefix.h"

namespace deferd {
namespace {

const absl::Time kTime = absl::FromUnixMicros(1'795'348'800'000'042);

std::string Line(const std::string& identifier, const std::string& message) {
  std::string line;
  const JournalEntry entry = {.time = kTime, .identifier = identifier, .message = message};
  return JournalLine(entry, &line) ? line : "none";
}

TEST(JournalLine, NamesTheProcess) {
  std::string line;
  ASSERT_TRUE(JournalLine({.time = kTime, .identifier = "postfix/smtpd", .pid = "9"}, &line));
  EXPECT_EQ(line, "2026-11-22T12:00:00.000042Z postfix/smtpd[9]: ");
  ASSERT_TRUE(JournalLine({.time = kTime, .identifier = "postfix/smtpd", .pid = "9]: x"}, &line));
  EXPECT_EQ(line, "2026-11-22T12:00:00.000042Z postfix/smtpd: ");
}

TEST(JournalLine, InstancesOfPostfixMayHaveAnAddress) {
  EXPECT_EQ(Line("postfix/[::1]:587/smtpd", "x"),
            "2026-11-22T12:00:00.000042Z postfix/[::1]:587/smtpd: x");
  for (const char* identifier : {"postfix/[1]:x/smtpd", "[::1]:587", "postfix/[::1]/anvil"}) {
    EXPECT_EQ(Line(identifier, "text"), "none") << identifier;
  }
}

TEST(JournalLine, IsWhatRsyslogWrites) {
  EXPECT_EQ(Line("postfix-out/smtp", "4dX: to=<a@b>"),
            "2026-11-22T12:00:00.000042Z postfix-out/smtp: 4dX: to=<a@b>");
}

TEST(JournalLine, IsOneLine) {
  EXPECT_EQ(Line("exim", std::string("a\n\0\x1f\x7f\tb\xc3\xbc", 9)),
            "2026-11-22T12:00:00.000042Z exim: a#012#000#037#177\tb\xc3\xbc");
}

TEST(JournalLine, OfAProgram) {
  for (const char* identifier :
       {"", "a b", "exim:", "exim[1]", "exim\n", "\xff", "<22>", "1764000000", "#exim", "a<b"}) {
    EXPECT_EQ(Line(identifier, "text"), "none") << identifier;
  }
}

// A program may call itself like a level, which rsyslog's templates print with a colon, too. What
// it says must not be read as a line of the mail server.
TEST(JournalLine, IsReadAsTheProgramThatWroteIt) {
  const std::string mail = "postfix/smtp[9]: 4dX1: to=<a@b.example>, status=bounced";
  for (const char* level :
       {"emerg", "panic", "alert", "crit", "critical", "err", "error", "warning", "warn", "notice",
        "info", "information", "informational", "debug", "trace", "fatal", "default"}) {
    for (const std::string& identifier : {std::string(level), absl::AsciiStrToUpper(level)}) {
      EXPECT_EQ(Line(identifier, mail), "none") << identifier;
      std::string line;
      if (JournalLine({.identifier = identifier, .pid = "9", .message = mail}, &line)) {
        EXPECT_EQ(ParseLogPrefix(line)->program, identifier) << line;
      }
    }
  }
  for (const char* identifier :
       {"a",      "F",         "P",      "AM",     "PM",      "UTC",     "CET",   "mail",
        "cron",   "local0",    "stdout", "stderr", "Message", "postfix", "exim4", "sshd",
        "my-app", "mail.info", "T",      "Z",      "Nov",     "Sun"}) {
    const std::string line = Line(identifier, mail);
    ASSERT_NE(line, "none") << identifier;
    const auto prefix = ParseLogPrefix(line);
    ASSERT_TRUE(prefix) << line;
    if (IsLogRelay(identifier)) continue;
    EXPECT_EQ(prefix->program, identifier) << line;
    EXPECT_EQ(prefix->text, mail) << line;
  }
}

}  // namespace
}  // namespace deferd
