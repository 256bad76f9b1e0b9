#include "limiter/intake/journal_line.h"

#include "gmock/gmock.h"

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

}  // namespace
}  // namespace deferd
