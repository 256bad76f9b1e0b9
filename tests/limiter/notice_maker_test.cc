#include "limiter/notice_maker.h"

#include "gmock/gmock.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kNoticePolicy[] = "[rule.r]\nmin_bad = 3\npercent = 50\n";

class NoticeMakerTest : public testing::Test, public LimiterFixture {
 protected:
  NoticeMakerTest() : LimiterFixture(kNoticePolicy, At(absl::Minutes(12))) { Restart(); }

  // The process dies and another one loads what is stored.
  void Restart() {
    committer_.reset();
    cases_ = std::make_unique<CaseTable>();
    limiter_ = std::make_unique<Limiter>(LimiterOptions{.node = "0badcafe", .keep = true},
                                         settings_, &clock_, cases_.get());
    outbox_ = std::make_unique<Outbox>();
    maker_ = std::make_unique<NoticeMaker>("0badcafe", &clock_, outbox_.get());
    committer_ =
        std::make_unique<Committer>(CommitterOptions{.ledger = ledger_, .notices = maker_.get()},
                                    limiter_.get(), store_.get(), &clock_);
    EXPECT_THAT(committer_->Load(), IsOk());
  }

  std::vector<std::string> Kinds() const {
    std::vector<std::string> kinds;
    for (const Notice& one : outbox_->List()) kinds.emplace_back(InfoOf(one.kind).name);
    return kinds;
  }
  void Trip() { FeedMany(3, "a.example", absl::Minutes(1), Outcome::kFailed); }

  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<NoticeMaker> maker_;
};

TEST_F(NoticeMakerTest, ABlockAndItsEnd) {
  Trip();
  ASSERT_THAT(Kinds(), ElementsAre("blocked"));
  const Notice blocked = outbox_->List()[0];
  EXPECT_EQ(blocked.domain, "a.example");
  EXPECT_THAT(blocked.facts, HasSubstr("\"bad\":3"));
  EXPECT_EQ(blocked.thread, OpenCase("a.example")->id);
  ASSERT_THAT(committer_->Unblock({SubjectKind::kDomain, "a.example"}, "root", "mended"), IsOk());
  EXPECT_THAT(Kinds(), testing::UnorderedElementsAre("blocked", "unblocked"));
}

// kill -9 before the commit takes the case and its notice; after it, both are there.
TEST_F(NoticeMakerTest, ACrashKeepsTheCaseAndItsNoticeOrNeither) {
  Trip();
  Restart();
  EXPECT_FALSE(OpenCase("a.example").has_value());
  EXPECT_THAT(Kinds(), IsEmpty());
  Trip();  // the log is read again
  ASSERT_THAT(committer_->Commit(), IsOk());
  Restart();
  EXPECT_TRUE(OpenCase("a.example").has_value());
  EXPECT_THAT(Kinds(), ElementsAre("blocked"));
  Feed("a.example", absl::Minutes(2), Outcome::kFailed);
  EXPECT_THAT(Kinds(), ElementsAre("blocked"));
}

TEST_F(NoticeMakerTest, WhatIsInShadowOrLongOverIsToldToNobody) {
  settings_.policy = ParsedPolicy("[rule.r]\nmin_bad = 3\npercent = 50\nshadow = true\n");
  Restart();
  Trip();
  EXPECT_TRUE(OpenCase("a.example", /*shadow=*/true).has_value());
  EXPECT_THAT(Kinds(), IsEmpty());
  settings_.policy = ParsedPolicy(kNoticePolicy);
  Restart();
  clock_.Advance(absl::Hours(48));
  Trip();
  EXPECT_THAT(Kinds(), IsEmpty());
}

// A log that is read late: the block was over when it was found, and what came after it prolongs
// it.
TEST_F(NoticeMakerTest, OneThatWasOverAndIsProlongedIsToldOnce) {
  settings_.policy = ParsedPolicy("[rule.r]\nmin_bad = 3\npercent = 50\nblock_for = \"3m\"\n");
  Restart();
  clock_.Set(At(absl::Minutes(6)));
  Trip();
  EXPECT_THAT(Kinds(), IsEmpty());
  FeedMany(3, "a.example", absl::Minutes(3), Outcome::kFailed);
  Feed("b.example", absl::Minutes(5), Outcome::kDelivered);
  ASSERT_TRUE(OpenCase("a.example").has_value());
  EXPECT_THAT(Kinds(), testing::UnorderedElementsAre("blocked", "extended"));
  FeedMany(3, "a.example", absl::Minutes(6), Outcome::kFailed);
  clock_.Set(At(absl::Minutes(9)));
  Feed("b.example", absl::Minutes(9), Outcome::kDelivered);
  EXPECT_THAT(Kinds(), testing::UnorderedElementsAre("blocked", "extended", "extended"));
}

TEST_F(NoticeMakerTest, APersonsBlockIsOne) {
  committer_->Block({SubjectKind::kDomain, "b.example"}, absl::Hours(1), "ann", "spam");
  ASSERT_THAT(outbox_->List(), SizeIs(1));
  EXPECT_THAT(outbox_->List()[0].facts, HasSubstr("\"reason\":\"spam\""));
}

}  // namespace
}  // namespace deferd
