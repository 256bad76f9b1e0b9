// What deploy/exim's snippets make Exim log: what a local program claims of itself, and what
// becomes of mail that deferd has discarded, rejected or put off.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "limiter/intake/exim_line.h"
#include "limiter/intake/exim_reader.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kId[] = "1xWdEH-0002A4-0b";

// As Exim 4.96 wrote it for a header of 33:x" => a@b \\n foo and two bytes more.
constexpr char kClaim[] =
    "claimed: user=web cwd=\"/srv/web\" script=\"33:x\\\" => a@b \\\\\\\\n foo\\n bar \\377\"";

EximLine Parse(const std::string& text) {
  static std::string line;
  line = absl::StrCat(kId, " ", text);
  return ParseEximLine(line);
}

TEST(EximClaim, EveryFieldIsAWordOrQuoted) {
  for (const std::string& text :
       {std::string(kClaim), std::string("claimed: user=web cwd=\"\" script=\"\""),
        std::string("claimed: user=www-data_1 cwd=\"/a b\" script=a.php"),
        std::string("claimed: user=\"we b\" cwd=\"/\" script=\"user=root cwd=/ script=x\"")}) {
    const EximLine line = Parse("deferd " + text);
    EXPECT_EQ(line.kind, EximLineKind::kClaimed) << text;
    EXPECT_EQ(line.text, text);
    EXPECT_EQ(line.id, kId);
  }
}

TEST(EximClaim, NothingElseIsOne) {
  for (const char* text :
       {"deferd", "deferd ", "deferd claimed:", "deferd claimed: user=web cwd=\"/\"",
        "deferd claimed: user= cwd=\"/\" script=\"\"", "deferd claimed: user=web cwd=/ script=\"\"",
        "deferd claimed: user=web cwd=\"/\" script=\"a\" more",
        "deferd claimed: user=web cwd=\"/\" script=\"a\\\"",
        "deferd claimed: user=web  cwd=\"/\" script=\"a\"",
        "deferd claimed: cwd=\"/\" user=web script=\"a\"",
        "Deferd claimed: user=web cwd=\"/\" script=\"a\"",
        "claimed: user=web cwd=\"/\" script=\"a\"",
        " deferd claimed: user=web cwd=\"/\" script=\"a\""}) {
    EXPECT_EQ(Parse(text).kind, EximLineKind::kOther) << text;
  }
  const std::string without_id = absl::StrCat("deferd ", kClaim);
  EXPECT_EQ(ParseEximLine(without_id).kind, EximLineKind::kOther);
  // In free text: a remote server's answer, a Subject.
  EXPECT_EQ(
      Parse(absl::StrCat("** r@d.example R=r T=t H=mx [192.0.2.9]: 550 deferd ", kClaim)).kind,
      EximLineKind::kFailed);
  EXPECT_EQ(Parse("<= a@s U=web P=local S=1 T=\"deferd claimed: user=a cwd=b script=c\"").kind,
            EximLineKind::kArrival);
}

TEST(EximClaim, WhatADiscardLogsIsNoDelivery) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"=> blackhole (MAIL ACL discarded recipients)", "MAIL ACL discarded recipients"},
      {"=> blackhole (non-SMTP ACL discarded recipients): Domain bad.example has exceeded",
       "Domain bad.example has exceeded"},
      {"=> discarded (system filter)", "discarded (system filter)"}};
  for (const auto& [text, want] : cases) {
    const EximLine line = Parse(text);
    EXPECT_EQ(line.kind, EximLineKind::kDiscarded) << text;
    EXPECT_EQ(line.text, want);
  }
  for (const char* text :
       {"=> blackhole <blackhole@s.example> R=local T=box", "=> blackhole R=local T=box",
        "=> discarded <discarded@s.example> R=local T=box",
        "-> blackhole (x discarded recipients) <blackhole@s.example> R=local T=box",
        "=> blackhole (x discarded recipients) <blackhole@s.example> R=local T=box"}) {
    EXPECT_EQ(Parse(text).kind, EximLineKind::kDelivered) << text;
  }
}

TEST(EximClaim, WhatTheFilterLogsIsShown) {
  EXPECT_EQ(Parse("Delivery deferred by system filter").kind, EximLineKind::kFrozen);
  const EximLine line = Parse("cancelled by system filter: Domain bad.example has exceeded");
  EXPECT_EQ(line.kind, EximLineKind::kRejected);
  EXPECT_EQ(line.text, "Domain bad.example has exceeded");
  EXPECT_EQ(Parse("cancelled by root").kind, EximLineKind::kOther);
}

// A reader that tells all, and what it told.
class EximClaimReader : public testing::Test {
 protected:
  EximClaimReader() : reader_(NewEximReader(kOptions)) {}

  void Line(const std::string& text, const std::string& clock = "00:00:01",
            const std::string& id = kId) {
    reader_->ReadLine(absl::StrCat("2026-11-22 ", clock, " ", id, " ", text), &batch_);
  }
  void Restart() {
    auto next = NewEximReader(kOptions);
    ASSERT_THAT(next->Restore({}, reader_->SaveState()), IsOk());
    reader_ = std::move(next);
  }
  // "arrived web claimed: ...", "rejected  Domain ..."
  std::vector<std::string> Told() const {
    std::vector<std::string> told;
    for (size_t i = 0; i < batch_.size(); ++i) {
      const Attempt& attempt = batch_[i].attempt;
      const LogEvent::Kind kind = batch_[i].kind;
      if (kind == LogEvent::Kind::kCompleted || kind == LogEvent::Kind::kForgotten) continue;
      told.push_back(absl::StrCat(
          batch_[i].kind == LogEvent::Kind::kArrived ? "arrived" : OutcomeName(attempt.outcome),
          " ", attempt.identity.user, " ", attempt.reply));
    }
    return told;
  }

  static inline const EximReaderOptions kOptions = {.zone = absl::UTCTimeZone(),
                                                    .open_messages = true};
  std::unique_ptr<LogReader> reader_;
  EventBatch batch_;
};

constexpr char kArrival[] = "<= x@s.example U=web P=local S=331";

TEST_F(EximClaimReader, AClaimComesWithItsArrival) {
  Line(absl::StrCat("deferd ", kClaim));
  EXPECT_THAT(Told(), IsEmpty());
  Line(kArrival, "00:00:01", "1xWdEH-0002A4-0c");
  Restart();
  Line(kArrival, "00:00:02");
  Line(kArrival, "00:00:03");  // the id again: another message
  EXPECT_THAT(Told(),
              ElementsAre("arrived web ", absl::StrCat("arrived web ", kClaim), "arrived web "));
  EXPECT_EQ(batch_.counts, (LineCounts{.lines = 4, .not_mine = 4}));
}

TEST_F(EximClaimReader, AClaimOfARejectedOneIsShownWithIt) {
  Line(absl::StrCat("deferd ", kClaim));
  Line("F=<x@s.example> rejected by non-SMTP ACL: Domain s.example has exceeded");
  EXPECT_THAT(Told(), ElementsAre(absl::StrCat("rejected  ", kClaim),
                                  "rejected  Domain s.example has exceeded"));
}

TEST_F(EximClaimReader, AClaimIsNeverAnAttempt) {
  Line(absl::StrCat("deferd ", kClaim));
  Line("Completed");
  Line(absl::StrCat("deferd ", kClaim), "00:00:02", "1xWdEH-0002A4-0c");
  reader_->Finish(&batch_);
  EXPECT_THAT(Told(), IsEmpty());
}

TEST_F(EximClaimReader, ClaimsWithoutAMessageAreForgotten) {
  for (int i = 0; i < 1500; ++i) {
    Line(absl::StrCat("deferd ", kClaim), "00:00:01", absl::StrFormat("1xWdEH-%06d-0b", i));
  }
  EXPECT_LT(reader_->SaveState().size(), 1000u * 300u);
  Line(absl::StrCat("deferd ", kClaim), "01:00:02");
  EXPECT_LT(reader_->SaveState().size(), 1000u);
  Line(absl::StrCat("deferd claimed: user=web cwd=\"", std::string(3000, 'x'), "\" script=\"\""),
       "01:00:03", "1xWdEH-0002A4-0c");
  EXPECT_LT(reader_->SaveState().size(), 1000u) << "too long for one";
  Line(kArrival, "01:00:03");
  EXPECT_THAT(Told(), ElementsAre(absl::StrCat("arrived web ", kClaim)));
}

TEST_F(EximClaimReader, DiscardedAndDeferredMailIsShown) {
  Line(kArrival);
  Line("Delivery deferred by system filter");
  Line("=> discarded (system filter)");
  Line("Completed");
  EXPECT_THAT(Told(), ElementsAre("arrived web ", "held web Delivery deferred by system filter",
                                  "discarded web discarded (system filter)"));
  EXPECT_EQ(batch_.counts, (LineCounts{.lines = 4, .not_mine = 4}));
}

}  // namespace
}  // namespace deferd
