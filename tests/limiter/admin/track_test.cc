#include "limiter/admin/track.h"
#include "limiter/ctl/page_text.h"
#include "limiter/ctl/track_page.h"

#include "limiter/admin/track_args.h"

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

TEST(ParseWhen, AgoAndTimes) {
  EXPECT_EQ(*ParseWhen("2h", kMorning), kMorning - absl::Hours(2));
  EXPECT_EQ(*ParseWhen("2h ago", kMorning), kMorning - absl::Hours(2));
  EXPECT_EQ(*ParseWhen("2026-11-22 08:00", absl::Now()), kMorning);
  EXPECT_EQ(*ParseWhen("2026-11-22 08:00:00.5", absl::Now()), kMorning + absl::Milliseconds(500));
  EXPECT_EQ(*ParseWhen("2026-11-22T09:00:00+01:00", absl::Now()), kMorning);
  EXPECT_EQ(*ParseWhen("2026-11-22", absl::Now()), kMorning - absl::Hours(8));
  for (const char* bad : {"", "yesterday", "-2h", "2026-13-01", "22.11.2026"}) {
    EXPECT_THAT(ParseWhen(bad, kMorning),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a valid time")))
        << bad;
  }
}

TEST(ParseOutcomes, WordsForPeople) {
  EXPECT_THAT(ParseOutcomes("")->outcomes, IsEmpty());
  EXPECT_THAT(ParseOutcomes("all")->outcomes, IsEmpty());
  EXPECT_THAT(ParseOutcomes("Failed")->outcomes,
              UnorderedElementsAre(Outcome::kFailed, Outcome::kExpired));
  EXPECT_THAT(ParseOutcomes("bad")->outcomes,
              UnorderedElementsAre(Outcome::kDeferred, Outcome::kFailed, Outcome::kExpired));
  EXPECT_THAT(ParseOutcomes("queued, held")->outcomes,
              ElementsAre(Outcome::kQueued, Outcome::kHeld));
  EXPECT_THAT(ParseOutcomes("expired")->outcomes, ElementsAre(Outcome::kExpired));
  EXPECT_TRUE(ParseOutcomes("unknown")->in_progress);
  EXPECT_THAT(ParseOutcomes("lost"), StatusIs(absl::StatusCode::kInvalidArgument,
                                              HasSubstr("one of bad, delivered, deferred")));
}

class TrackTest : public testing::Test {
 protected:
  // What is asked of the ledger, and an answer.
  absl::StatusOr<Json> Ask(const Json& args) {
    queries_.clear();
    return Track(
        [this](const LedgerQuery& query) -> absl::StatusOr<LedgerPage> {
          queries_.push_back(query);
          return LedgerPage{.rows = rows_};
        },
        args, kMorning);
  }
  LedgerQuery Asked(const Json& args) {
    EXPECT_THAT(Ask(args), IsOk());
    return queries_.at(0);
  }
  static LedgerRow Row(int64_t number) {
    LedgerRow row;
    row.row = number;
    row.time = kMorning + absl::Seconds(number);
    row.message_id = absl::StrCat("m", number);
    return row;
  }

  std::vector<LedgerRow> rows_;
  std::vector<LedgerQuery> queries_;
};

TEST_F(TrackTest, AnAddressADomainAndAnIdAreRecognisedByTheirForm) {
  EXPECT_EQ(Asked({{"what", "Example.COM"}}).domain, "example.com");
  EXPECT_EQ(Asked({{"what", "login:bob@example.com"}}).subject, "login:bob@example.com");
  for (const char* id : {"1tExJ2-000000-1x", "1tExJ2-00000000000-1xYZ", "4ABC12XYZ", "3F2B1A09D"}) {
    EXPECT_EQ(Asked({{"what", id}}).message_id, id);
  }
  ASSERT_THAT(Ask({{"what", "bob@example.com"}}), IsOk());
  ASSERT_EQ(queries_.size(), 2u) << "either side";
  EXPECT_EQ(queries_[0].sender, "bob@example.com");
  EXPECT_EQ(queries_[1].recipient, "bob@example.com");
  queries_.clear();
  ASSERT_THAT(Ask({{"what", "@Far.example"}}), IsOk());
  ASSERT_EQ(queries_.size(), 2u) << "either side";
  EXPECT_EQ(queries_[0].domain, "far.example");
  EXPECT_EQ(queries_[1].recipient_domain, "far.example");
  for (const char* name : {"bob", "newsletter", "info-7"}) {
    EXPECT_EQ(Asked({{"what", name}}).address_part, name);
  }
  EXPECT_EQ(Asked({{"recipient", "@far.example"}}).recipient_domain, "far.example");
  EXPECT_EQ(Asked({{"sender", "@far.example"}}).domain, "far.example");
  EXPECT_THAT(Ask({{"what", "two words"}}), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST_F(TrackTest, Filters) {
  const LedgerQuery query = Asked({{"domain", "Example.COM."},
                                   {"sender", "a@x"},
                                   {"recipient", "b@y"},
                                   {"host", "mx"},
                                   {"outcome", "deferred"},
                                   {"since", "1h"},
                                   {"until", "30m"},
                                   {"limit", 7},
                                   {"before", 99}});
  EXPECT_EQ(query.domain, "example.com");
  EXPECT_EQ(query.sender, "a@x");
  EXPECT_EQ(query.recipient, "b@y");
  EXPECT_EQ(query.host, "mx");
  EXPECT_THAT(query.outcomes, ElementsAre(Outcome::kDeferred));
  EXPECT_EQ(query.since, kMorning - absl::Hours(1));
  EXPECT_EQ(query.until, kMorning - absl::Minutes(30));
  EXPECT_EQ(query.limit, 7u);
  EXPECT_EQ(query.before, 99);
}

TEST_F(TrackTest, FiltersOfTheRecipientTheAnswerAndTheSubjectLine) {
  const LedgerQuery query = Asked({{"to_domain", "Far.Example."},
                                   {"address", "ann"},
                                   {"code", "5.7"},
                                   {"class", "Mailbox full"},
                                   {"mail_subject", "lunch"}});
  EXPECT_EQ(query.recipient_domain, "far.example");
  EXPECT_EQ(query.address_part, "ann");
  EXPECT_EQ(query.code, "5.7");
  EXPECT_EQ(query.reply_class, "mailbox_full");
  EXPECT_EQ(query.mail_subject, "lunch");
  for (const char* code : {"550", "421", "5.7.1", "4.7", "5.1.10"}) {
    EXPECT_THAT(Ask({{"code", code}}), IsOk()) << code;
  }
  for (const char* code : {"55", "5500", "5.", "five", "1.2.3", "5.7.1.1", "350"}) {
    EXPECT_THAT(Ask({{"code", code}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("5.7.1")))
        << code;
  }
  EXPECT_THAT(Ask({{"class", "sulking"}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("mailbox_full")));
}

TEST_F(TrackTest, EachRecipientsLastLineIsItsDecisiveOne) {
  LedgerRow queued = Row(1), grey = Row(2), done = Row(3), other = Row(4), expired = Row(5);
  for (LedgerRow* row : {&queued, &grey, &done, &other, &expired})
    row->message_id = "1tExJ2-000000-1x";
  queued.outcome = Outcome::kQueued;
  grey.recipient = done.recipient = "ann@far.example";
  grey.outcome = Outcome::kDeferred;
  other.recipient = expired.recipient = "bob@far.example";
  other.outcome = Outcome::kDeferred;
  expired.outcome = Outcome::kExpired;
  expired.reply_class = "greylisting";
  expired.original = "list@a.example";
  rows_ = {expired, other, done, grey, queued};
  const Json life = *Ask({{"id", "1tExJ2-000000-1x"}});
  std::vector<bool> decisive;
  for (const Json& row : life) decisive.push_back(row.contains("decisive"));
  EXPECT_THAT(decisive, ElementsAre(false, false, true, false, true));
  EXPECT_THAT(life[4]["advice"].get<std::string>(), testing::Not(HasSubstr("Wait")))
      << "nobody tries it again";
  EXPECT_FALSE(life[2].contains("advice"));
  EXPECT_EQ(life[4]["original"], "list@a.example");
  EXPECT_THAT(LifePage(life), HasSubstr("for list@a.example"));
}

TEST_F(TrackTest, EmptyResultsAreExplained) {
  EXPECT_THAT(NothingFound({{"outcome", "archived"}}), HasSubstr("deferctl\nrecord"));
  EXPECT_THAT(NothingFound({{"outcome", "filtered,failed"}}), HasSubstr("deferctl\nrecord"));
  EXPECT_THAT(NothingFound({{"outcome", "unknown"}}), HasSubstr("not tried yet"));
  EXPECT_THAT(NothingFound({{"mail_subject", "x"}}), HasSubstr("subjects = true"));
  EXPECT_EQ(NothingFound({{"outcome", "failed"}}), "nothing found\n");
}

TEST_F(TrackTest, ArgumentsOfAnotherTypeAreErrors) {
  for (const char* name : {"what", "domain", "sender", "outcome", "since", "limit", "before"}) {
    EXPECT_THAT(Ask({{name, Json::array({1})}}), StatusIs(absl::StatusCode::kInvalidArgument, _))
        << name;
  }
  EXPECT_THAT(Ask({{"limit", -1}}), StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(Ask({{"domain", "no domain"}}), StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST_F(TrackTest, NewestFirstButALifeFromItsBeginning) {
  rows_ = {Row(2), Row(1)};
  EXPECT_EQ((*Ask({{"domain", "a.example"}}))[0]["id"], "m2");
  EXPECT_EQ((*Ask({{"id", "1tExJ2-000000-1x"}}))[0]["id"], "m1");
  EXPECT_EQ(Ask({{"what", "a@b.example"}})->size(), 2u) << "rows of both queries, each once";
}

TEST_F(TrackTest, ARowsFields) {
  LedgerRow row = Row(5);
  row.outcome = Outcome::kExpired;
  row.left_out = LeftOut::kInternalHost;
  const Json json = LedgerRowJson(row);
  EXPECT_EQ(json["outcome"], "failed");
  EXPECT_EQ(json["expired"], true);
  EXPECT_EQ(json["left_out"], std::string(LeftOutName(LeftOut::kInternalHost)));
  EXPECT_EQ(json["arrival"], nullptr);
  EXPECT_EQ(LedgerRowJson(Row(5))["left_out"], nullptr);
}

TEST_F(TrackTest, ThePageFitsATerminalWhateverTheLogHolds) {
  LedgerRow row = Row(1);
  row.sender = std::string(300, 's') + "@example.com";
  row.recipient = "r@\x1b[31m.example\xff";
  row.host = "mx.example";
  row.host_ip = "198.51.100.1";
  row.reply = "550 a reply of many words that goes on and on until the line is full, and then some";
  row.login = "bob";
  row.mail_subject = "Lunch?\nreally";
  rows_ = {row};
  const Json rows = *Ask({{"domain", "a.example"}});
  for (const std::string& page : {TrackPage(rows), LifePage(rows)}) {
    for (absl::string_view line : absl::StrSplit(page, '\n')) EXPECT_LE(Columns(line), 80u) << line;
    EXPECT_EQ(page.find('\x1b'), std::string::npos);
  }
  EXPECT_THAT(LifePage(rows), HasSubstr("mx.example [198.51.100.1]: 550 a reply"));
  EXPECT_EQ(TrackPage(Json::array()), "nothing found\n");
}

}  // namespace
}  // namespace deferd
