#include "limiter/app/journal.h"

#include <algorithm>
#include <memory>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "limiter/port/log.h"
#include "spdlog/sinks/ostream_sink.h"

namespace deferd {
namespace {

// Each is more than one line, or more than text, where it is printed as it stands.
const std::string kHostile[] = {
    "x\n2026-11-28T10:00:00 info forged line",
    "x\r\nSubject: forged",
    std::string("x\0y", 3),
    "\x1b[2J\x1b]0;title\x07",
    "\xc2\x9b"
    "31m",                  // CSI as one C1 character
    "\xff\xfe\xc0\xaf",     // no UTF-8
    "\xe2\x80\xaetxt.exe",  // right-to-left override
    "\xe2\x80\xa8next",     // line separator
    std::string(100'000, 'a'),
};

class JournalTest : public testing::Test {
 protected:
  JournalTest() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_pattern("%v");
    spdlog::set_default_logger(std::move(logger));
  }
  ~JournalTest() override { spdlog::set_default_logger(before_); }

  void ExpectOnePlainLine(const std::string& what) {
    const std::string line = text_.str();
    text_.str("");
    ASSERT_FALSE(line.empty()) << what;
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << what;
    EXPECT_EQ(line.back(), '\n') << what;
    for (const unsigned char c : line.substr(0, line.size() - 1)) {
      EXPECT_TRUE(c >= 0x20 && c != 0x7f) << what << ": byte " << int{c};
    }
    for (const char* never : {"\xc2\x9b", "\xff", "\xe2\x80\xae", "\xe2\x80\xa8"}) {
      EXPECT_EQ(line.find(never), std::string::npos) << what;
    }
  }

  std::ostringstream text_;
  const std::shared_ptr<spdlog::logger> before_;
  Journal journal_;
};

// A record may have been written by anybody who can write to Redis.
TEST_F(JournalTest, NoFieldOfACaseEndsALine) {
  for (const std::string& hostile : kHostile) {
    Case record;
    record.subject = {SubjectKind::kDomain, hostile};
    record.id = record.rule = record.by = record.reason = hostile;
    record.closed_by = record.closed_reason = hostile;
    record.since = record.until = absl::FromUnixSeconds(1'900'000'000);
    for (const CaseChange change :
         {CaseChange::kExtended, CaseChange::kEnded, CaseChange::kBlockedByPerson,
          CaseChange::kUnblocked, CaseChange::kAdopted}) {
      journal_.OnCase(change, record);
      ExpectOnePlainLine("case");
    }
    journal_.OnAnnounce(record);
    ExpectOnePlainLine("announced");
    Incident incident;
    incident.where = incident.reply = hostile;
    journal_.OnIncident(incident);
    ExpectOnePlainLine("incident");
    Warning warning;
    warning.subject = record.subject;
    warning.rule = "r";
    journal_.OnWarning(warning);
    ExpectOnePlainLine("warning");
  }
}

}  // namespace
}  // namespace deferd
