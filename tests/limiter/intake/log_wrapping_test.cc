#include "limiter/intake/log_wrapping.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "limiter/intake/line_splitter.h"
#include "limiter/intake/postfix_reader.h"
#include "tests/limiter/intake/log_text.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;

// Each line that comes out; "-" for nothing and "!" for what is broken.
std::vector<std::string> Unwrapped(const std::vector<std::string>& lines) {
  LogUnwrapper unwrapper;
  std::vector<std::string> out;
  for (const std::string& one : lines) {
    // As after a restart at each line.
    LogUnwrapper restarted;
    restarted.Restore(unwrapper.SaveState());
    unwrapper = restarted;
    absl::string_view line = one;
    switch (unwrapper.Take(&line)) {
      case LogUnwrapper::Result::kLine:
        out.emplace_back(line);
        break;
      case LogUnwrapper::Result::kNothing:
        out.emplace_back("-");
        break;
      case LogUnwrapper::Result::kBroken:
        out.emplace_back("!");
        break;
    }
  }
  return out;
}

TEST(LogWrapping, OtherLinesStayAsTheyAre) {
  for (const char* line :
       {"", "Oct  9 14:53:48 mx exim: x", "2024-10-09T12:53:48Z mx exim[1]: text",
        "2024-10-09 14:53:48 1hIAif-00H7J4-Lb Completed",
        "2024-10-09T12:53:48.123456789Z mx postfix/smtp[1]: stdout F x"}) {
    EXPECT_THAT(Unwrapped({line}), ElementsAre(line));
  }
}

TEST(LogWrapping, DockersJsonFile) {
  EXPECT_THAT(
      Unwrapped({R"({"log":"Jun  4 10:00:00 mx postfix/qmgr[3]: 4F1: from=\u003ca@b\u003e\n",)"
                 R"("stream":"stdout","time":"2020-06-04T10:00:00.1Z"})",
                 R"({"log":"a \"q\" \\ \u00fc\r\n","stream":"stderr","attrs":{"tag":"x"},)"
                 R"("time":"2020-06-04T10:00:01Z"})"}),
      ElementsAre("2020-06-04T10:00:00.1Z Jun  4 10:00:00 mx postfix/qmgr[3]: 4F1: from=<a@b>",
                  "2020-06-04T10:00:01Z a \"q\" \\ \xC3\xBC"));
}

TEST(LogWrapping, ALineEndInsideIsNoLineEnd) {
  EXPECT_THAT(Unwrapped({R"({"log":"x\nJun  4 10:00:00 mx postfix/smtp[1]: y\n","stream":"stdout",)"
                         R"("time":"2020-06-04T10:00:00Z"})"}),
              ElementsAre("2020-06-04T10:00:00Z x Jun  4 10:00:00 mx postfix/smtp[1]: y"));
}

TEST(LogWrapping, JsonOfOthers) {
  EXPECT_THAT(
      Unwrapped(
          {R"({"__REALTIME_TIMESTAMP":"1728478428000123","SYSLOG_IDENTIFIER":"postfix/smtp",)"
           R"("_PID":"9","MESSAGE":"4F1: x"})",
           R"({"__REALTIME_TIMESTAMP":"1728478428000123","SYSLOG_IDENTIFIER":"exim",)"
           R"("MESSAGE":[97,228,98]})",
           R"({"@timestamp":"2024-10-09T12:53:48Z","message":"Oct  9 14:53:48 mx exim: x"})",
           R"({"timereported":"2024-10-09T12:53:48Z","programname":"postfix/smtp",)"
           R"("procid":9,"msg":"4F1: x"},)",
           R"({"time":"2024-10-09T12:53:48Z","syslogtag":"postfix/smtp[9]:","msg":" 4F1: x"})",
           R"({"level":"info"})", R"({"log":"cut)"}),
      ElementsAre("2024-10-09T12:53:48.000123Z postfix/smtp[9]: 4F1: x",
                  "2024-10-09T12:53:48.000123Z exim: a\xE4"
                  "b",
                  "2024-10-09T12:53:48Z Oct  9 14:53:48 mx exim: x",
                  "2024-10-09T12:53:48Z postfix/smtp[9]: 4F1: x",
                  "2024-10-09T12:53:48Z postfix/smtp[9]:  4F1: x", "-", "!"));
}

// A program's own name is no place for a second tag.
TEST(LogWrapping, NamesAreNames) {
  EXPECT_THAT(Unwrapped({R"({"__REALTIME_TIMESTAMP":"1728478428000123","SYSLOG_IDENTIFIER":)"
                         R"("x postfix/smtp","MESSAGE":"4F1: x"})"}),
              ElementsAre("-"));
}

// What a container writes piece by piece is one line; of what is longer than Docker's lines may be,
// the first piece is read.
TEST(LogWrapping, Pieces) {
  const std::string stamp = "2016-10-06T00:17:09.669794202Z ";
  EXPECT_THAT(
      Unwrapped({stamp + "stdout F whole", stamp + "stdout P first", stamp + "stderr F other",
                 stamp + "stdout P postfix/smtp[1]: more", stamp + "stdout F last",
                 stamp + "stdout F whole"}),
      ElementsAre(stamp + "stdout F whole", "-", stamp + "stderr F other", "-",
                  stamp + "stdout P firstpostfix/smtp[1]: morelast", stamp + "stdout F whole"));
  EXPECT_THAT(Unwrapped({stamp + "stdout P whole", stamp + "stdout F"}),
              ElementsAre("-", stamp + "stdout P whole"));
  const std::string long_text(16 << 10, 'x');
  const auto piece = [](const std::string& text) {
    return absl::StrCat(R"({"log":")", text, R"(","stream":"stdout","time":"T"})");
  };
  EXPECT_THAT(Unwrapped({piece(long_text), piece("rest\\n"), piece("no line end"), piece("b\\n")}),
              ElementsAre("T " + long_text, "-", "T no line end", "T b"));
}

TEST(LogWrapping, WhatOthersStore) {
  const std::string want = "2024-10-09T12:53:48Z postfix/smtp[9]: 4F1: a=b";
  for (
      const char* line : {
          R"({"appname":"postfix/smtp","procid":9,"message":"4F1: a=b","timestamp":"2024-10-09T12:53:48Z"})",
          R"({"@timestamp":"2024-10-09T12:53:48Z","process":{"name":"postfix/smtp","pid":9},"message":"4F1: a=b"})",
          R"({"@timestamp":"2024-10-09T12:53:48Z","process.name":"postfix/smtp","process.pid":9,"message":"4F1: a=b"})",
          "2024-10-09T12:53:48Z\tmail.info\t"
          R"({"host":"mx","ident":"postfix/smtp","pid":"9","message":"4F1: a=b"})",
          R"(time="2024-10-09T12:53:48Z" level=info host=mx app=postfix/smtp pid=9 msg="4F1: a=b")",
          R"(ts=2024-10-09T12:53:48Z msg="postfix/smtp[9]: 4F1: a=b" level=info)",
      }) {
    EXPECT_THAT(Unwrapped({line}), ElementsAre(want));
  }
  EXPECT_THAT(
      Unwrapped({R"({"version":"1.1","short_message":"exim[7]: x","timestamp":1728478428.5})"}),
      ElementsAre("1728478428.500000 exim[7]: x"));
  // What only looks like these.
  const std::string open = R"(time="2024-10-09 msg=)";
  EXPECT_THAT(
      Unwrapped({open, "level=5 of this", "2024-10-09T12:53:48Z\ta b\t{\"message\":\"x\"}"}),
      ElementsAre(open, "level=5 of this", "2024-10-09T12:53:48Z\ta b\t{\"message\":\"x\"}"));
}

TEST(LogWrapping, JournalExport) {
  const std::string size("\x05\0\0\0\0\0\0\0", 8);
  EXPECT_THAT(
      Unwrapped({"__CURSOR=s=1;i=2", "__REALTIME_TIMESTAMP=1728478428000123",
                 "_SOURCE_REALTIME_TIMESTAMP=1728478428000100", "_PID=9", "SYSLOG_FACILITY=2",
                 "SYSLOG_IDENTIFIER=postfix/smtp", "MESSAGE=4F1: a=b", "", "__CURSOR=s=1;i=3",
                 "__REALTIME_TIMESTAMP=1728478428000123", "MESSAGE", size + "a", "b\tc", "_UID=0",
                 "SYSLOG_IDENTIFIER=exim", "", "Oct  9 14:53:48 mx exim: x"}),
      ElementsAre("-", "-", "-", "-", "-", "-", "-",
                  "2024-10-09T12:53:48.000100Z postfix/smtp[9]: 4F1: a=b", "-", "-", "-", "-", "-",
                  "-", "-", "2024-10-09T12:53:48.000123Z exim: a#012b\tc",
                  "Oct  9 14:53:48 mx exim: x"));
}

// What was read before must not show in the state of what is read after it.
TEST(LogWrapping, AnEndedEntryLeavesNoTrace) {
  const std::string stamp = "2024-10-09T12:53:48Z ";
  for (const char* before : {"__CURSOR=s|MESSAGE=x|", "__CURSOR=s|MESSAGE=x|no field",
                             "__CURSOR=s|_PID=9|SYSLOG_IDENTIFIER=exim|MESSAGE=x|"}) {
    LogUnwrapper unwrapper;
    for (absl::string_view line : absl::StrSplit(before, '|')) unwrapper.Take(&line);
    ASSERT_EQ(unwrapper.SaveState(), "") << before;
    LogUnwrapper fresh;
    const std::string piece = stamp + "stdout P half";
    absl::string_view one = piece, other = piece;
    EXPECT_EQ(unwrapper.Take(&one), fresh.Take(&other));
    EXPECT_EQ(unwrapper.SaveState(), fresh.SaveState()) << before;
  }
}

TEST(LogWrapping, MalformedExportsAreBroken) {
  const std::string huge("\xff\xff\xff\x7f\0\0\0\0", 8);
  EXPECT_THAT(Unwrapped({"__CURSOR=s", "no field", "Oct  9 14:53:48 mx exim: x"}),
              ElementsAre("-", "!", "Oct  9 14:53:48 mx exim: x"));
  EXPECT_THAT(Unwrapped({"__CURSOR=s", "MESSAGE", huge + "a", "Oct  9 14:53:48 mx exim: x"}),
              ElementsAre("-", "-", "!", "Oct  9 14:53:48 mx exim: x"));
}

// A whole message in each kind of file.
TEST(LogWrapping, OneMessageInEveryKindOfFile) {
  const std::vector<std::pair<std::string, std::string>> entries = {
      {"smtpd", "4F01AA: client=pc[192.0.2.1], sasl_method=PLAIN, sasl_username=bob@a.example"},
      {"qmgr", "4F01AA: from=<bob@a.example>, size=1, nrcpt=1 (queue active)"},
      {"smtp",
       "4F01AA: to=<x@y.example>, relay=mx[192.0.2.9]:25, delay=1, dsn=5.1.1, status=bounced "
       "(no)"}};
  const auto text = [&](auto line) {
    std::string all;
    for (const auto& [program, message] : entries)
      all += line("postfix/" + program, message) + "\n";
    return all;
  };
  using S = const std::string&;
  const std::vector<std::string> files = {
      text([](S p, S m) { return absl::StrCat("2024-10-09T12:53:48Z ", p, "[9]: ", m); }),
      text([](S p, S m) {
        return absl::StrCat(R"({"log":"Oct 09 14:53:48 mx )", p, "[9]: ", m,
                            R"(\n","stream":"stdout","time":"2024-10-09T12:53:48Z"})");
      }),
      text([](S p, S m) {
        return absl::StrCat("2024-10-09T12:53:48Z stdout F Oct 09 14:53:48 mx ", p, "[9]: ", m);
      }),
      text([](S p, S m) {
        return absl::StrCat("__CURSOR=x\n__REALTIME_TIMESTAMP=1728478428000000\nSYSLOG_IDENTIFIER=",
                            p, "\n_PID=9\nMESSAGE=", m, "\n");
      }),
      text([](S, S m) {  // journalctl -o with-unit does not say which program it was
        return absl::StrCat("Wed 2024-10-09 12:53:48 UTC mx postfix@-.service[9]: ", m);
      })};
  for (const std::string& file : files) {
    const auto reader = NewPostfixReader({.zone = absl::UTCTimeZone()});
    EventBatch batch;
    std::vector<Attempt> attempts;
    for (absl::string_view line : absl::StrSplit(file, '\n')) reader->ReadLine(line, &batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      if (batch[i].kind == LogEvent::Kind::kAttempt) attempts.push_back(batch[i].attempt);
    }
    ASSERT_EQ(attempts.size(), 1u) << file;
    EXPECT_EQ(attempts[0].identity.login, "bob@a.example") << file;
    EXPECT_EQ(attempts[0].time, absl::FromUnixSeconds(1'728'478'428)) << file;
    EXPECT_TRUE(attempts[0].remote) << file;
    EXPECT_EQ(batch.counts.malformed, 0) << file;
    const LineCounts& counts = batch.counts;
    EXPECT_EQ(counts.lines, counts.attempts + counts.not_mine + counts.rejected + counts.malformed);
  }
}

}  // namespace
}  // namespace deferd
