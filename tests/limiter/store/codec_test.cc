#include "limiter/store/case_codec.h"
#include "limiter/store/clearing_codec.h"
#include "limiter/store/contribution_codec.h"
#include "limiter/store/facts_codec.h"
#include "limiter/store/receipt_codec.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

const std::string kOddBytes("\xff\x00 \n\"", 5);  // no UTF-8, and a NUL

Case OddCase() {
  Case record;
  record.id = "0badcafe-7-3";
  record.subject = {SubjectKind::kLogin, kOddBytes};
  record.within = {SubjectKind::kDomain, "a.example"};
  record.state = CaseState::kClosed;
  record.manual = record.shadow = record.history = true;
  record.action.by_source = {Verdict::kDiscard, Verdict::kPass, Verdict::kHold, Verdict::kReject};
  record.rule = "r";
  record.counts = {1, 2, 3};
  record.min_bad = 4;
  record.percent = 83;
  record.percent_limit = 50;
  record.window = absl::Minutes(10);
  record.policy_hash = "0123456789abcdef";
  record.since = At(absl::Milliseconds(1500));
  record.until = At(absl::Hours(1));
  record.closed_at = At(absl::Minutes(9));
  record.by = "root";
  record.reason = kOddBytes;
  SetCloser("alice", &record);
  record.closed_reason = "done";
  record.extended = 2;
  return record;
}

// A text per field: what is equal here is equal.
std::string Whole(const Case& c) { return CaseText(c); }

TEST(Codecs, ACaseComesBackWhole) {
  absl::StatusOr<Case> back = ParseCase(CaseText(OddCase()));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(Whole(*back), Whole(OddCase()));
  EXPECT_EQ(back->subject.id, kOddBytes);
  EXPECT_EQ(back->since, At(absl::Milliseconds(1500)));
  EXPECT_EQ(back->counts, (Counts{1, 2, 3}));
  EXPECT_EQ(back->action.by_source, OddCase().action.by_source);
  back = ParseCase(CaseText(Case()));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->closed_at, absl::InfiniteFuture());
}

TEST(Codecs, AnEventComesBackWhole) {
  const CaseEvent event = {At(absl::Seconds(3)), CaseChange::kUnblocked, OddCase()};
  absl::StatusOr<CaseEvent> back = ParseCaseEvent(CaseEventText(event));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->time, event.time);
  EXPECT_EQ(back->change, event.change);
  EXPECT_EQ(Whole(back->record), Whole(event.record));
}

TEST(Codecs, AContributionComesBackWhole) {
  const MessageKey key = {kOddBytes, At(absl::Milliseconds(7))};
  MessageRecord record;
  record.charged = {{{SubjectKind::kLogin, "bob"}, true},
                    {{SubjectKind::kDomain, "a.example"}, false}};
  *record.recipients.Of("r@x").record = {.outcome = CountedOutcome::kDeferred,
                                         .dated = At(absl::Seconds(1)),
                                         .counted_class = ReplyClass::kContent,
                                         .last = At(absl::Seconds(2)),
                                         .last_left_out = LeftOut::kOwnRefusal};
  record.recipients.Of(kOddBytes);
  absl::StatusOr<MessagePart> back = ParseContribution(ContributionText(key, record, 0));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->message, key);
  EXPECT_EQ(back->charged, record.charged);
  ASSERT_EQ(back->recipients.size(), 2u);
  EXPECT_EQ(back->recipients[0].name, "r@x");
  const RecipientRecord& recipient = back->recipients[0].record;
  EXPECT_EQ(recipient.outcome, CountedOutcome::kDeferred);
  EXPECT_EQ(recipient.counted_class, ReplyClass::kContent);
  EXPECT_EQ(recipient.dated, At(absl::Seconds(1)));
  EXPECT_EQ(recipient.last, At(absl::Seconds(2)));
  EXPECT_EQ(recipient.last_left_out, LeftOut::kOwnRefusal);
  EXPECT_EQ(back->recipients[1].name, kOddBytes);
  EXPECT_FALSE(back->recipients[1].record.outcome.has_value());
  EXPECT_EQ(back->recipients[1].record.last, absl::InfinitePast());
}

TEST(Codecs, ClearingsFactsAndReceiptsComeBackWhole) {
  auto clearing =
      ParseClearing(ClearingText({SubjectKind::kDomain, "a.example"}, {At(absl::Hours(1)), {}}));
  ASSERT_THAT(clearing, IsOk());
  EXPECT_EQ(clearing->first.id, "a.example");
  EXPECT_EQ(clearing->second.enforced, At(absl::Hours(1)));

  LimiterFacts facts;
  facts.now = At(absl::Seconds(5));
  facts.case_number = 9;
  facts.windows = {{absl::Hours(1), absl::InfinitePast()}, {absl::Minutes(5), kMorning}};
  facts.kinds = {{SubjectKind::kLogin, kMorning}};
  absl::StatusOr<LimiterFacts> back = ParseFacts(FactsText(facts));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->now, facts.now);
  EXPECT_EQ(back->last_sweep, absl::InfinitePast());
  EXPECT_EQ(back->case_number, 9);
  EXPECT_EQ(back->windows, facts.windows);
  EXPECT_EQ(back->kinds, facts.kinds);

  LedgerRow row;
  row.row = 77;
  row.time = kMorning;
  row.recipient = kOddBytes;
  row.outcome = Outcome::kExpired;
  row.left_out = LeftOut::kLate;
  absl::StatusOr<std::vector<LedgerRow>> rows = ParseLedgerRows(LedgerRowsText({row, LedgerRow()}));
  ASSERT_THAT(rows, IsOk());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0], row);
}

// One bit makes a fraction of an integer, which nothing converts back.
TEST(Codecs, AFractionIsDamage) {
  const auto check = [](const std::string& text, auto parse) {
    size_t found = 0;
    for (size_t i = 0; i + 8 < text.size(); ++i) {
      if (text[i] != '\xcf' && text[i] != '\xd3') continue;
      std::string damaged = text;
      damaged[i] = '\xcb';
      damaged[i + 1] = '\x7f';  // some 1e306
      found += parse(damaged).ok() ? 0u : 1u;
    }
    EXPECT_GT(found, 0u);
  };
  check(CaseText(OddCase()), ParseCase);
  check(CaseEventText({At(absl::ZeroDuration()), CaseChange::kOpened, OddCase()}), ParseCaseEvent);
}

TEST(Codecs, DamagedBytesAreDataLossAndNothingWorse) {
  MessageRecord one_recipient;
  one_recipient.recipients.Of("r@x");
  const std::string texts[] = {CaseText(OddCase()),
                               CaseEventText({kMorning, CaseChange::kOpened, OddCase()}),
                               ContributionText({"id", kMorning}, one_recipient, 0),
                               FactsText({}),
                               ClearingText({SubjectKind::kDomain, "a.example"}, {}),
                               ReceiptText({.rows = {LedgerRow()}})};
  auto parse_all = [](absl::string_view text) {
    return std::vector<absl::Status>{
        ParseCase(text).status(),  ParseCaseEvent(text).status(), ParseContribution(text).status(),
        ParseFacts(text).status(), ParseClearing(text).status(),  ParseReceipt(text).status()};
  };
  for (const std::string& text : texts) {
    for (size_t size = 0; size < text.size(); ++size) {
      for (const absl::Status& status : parse_all(absl::string_view(text).substr(0, size))) {
        EXPECT_THAT(status, StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
      }
    }
    for (size_t at = 0; at < text.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string flipped = text;
        flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
        parse_all(flipped);  // whatever it says, it says it
      }
    }
  }
}

}  // namespace
}  // namespace deferd
