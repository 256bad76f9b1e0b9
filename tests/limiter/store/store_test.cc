// Every store does this: one suite, over all of them.

#include "limiter/store/local_store.h"

#include <algorithm>
#include <limits>
#include <regex>
#include <set>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/sqlite_store.h"
#include "tests/limiter/store/memory_store.h"
#include "tests/limiter/store/store_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

enum class Kind { kSqlite, kMemory };

class StoreTest : public testing::TestWithParam<Kind> {
 protected:
  void Open(const LedgerOptions& options = {}) {
    options_ = options;
    Reopen();
  }
  // Only what is on a disk can be opened again.
  void Reopen() {
    if (GetParam() == Kind::kMemory) {
      if (store_ == nullptr) store_ = NewMemoryStore(kNode, options_);
      return;
    }
    store_.reset();
    auto store = OpenSqliteStore(folder_.File("state.db"), kNode, options_);
    ASSERT_THAT(store, IsOk());
    store_ = *std::move(store);
  }
  void Commit(const StoreBatch& batch) { ASSERT_THAT(store_->Commit(batch), IsOk()); }
  void CommitRows(std::vector<LedgerRow> rows, absl::Time now = Noon()) {
    StoreBatch batch;
    batch.now = now;
    batch.ledger = std::move(rows);
    Commit(batch);
  }
  LedgerRow Row(absl::Time time, const std::string& sender, const std::string& recipient) {
    LedgerRow row;
    row.time = time;
    row.row = LedgerRowKey(time, ++rows_);
    row.subject = sender.substr(sender.find('@') + 1);
    row.sender = sender;
    row.recipient = recipient;
    return row;
  }
  std::vector<std::string> Recipients(const LedgerQuery& query) {
    std::vector<std::string> found;
    for (const LedgerRow& row : FindAll(store_.get(), query)) found.push_back(row.recipient);
    return found;
  }

  TempFolder folder_;
  LedgerOptions options_;
  std::unique_ptr<LocalStore> store_;
  int64_t rows_ = 0;
};

TEST_P(StoreTest, NewStoreIsEmpty) {
  Open();
  EXPECT_TRUE(ContentsOf(store_.get()) == StoreContents());
  EXPECT_TRUE(FindAll(store_.get()).empty());
  EXPECT_EQ(store_->stats().segments, 0);
}

TEST_P(StoreTest, KeepsEveryFieldThroughAReopen) {
  Open();
  StoreBatch batch;
  batch.now = Noon();
  const uint64_t great = std::numeric_limits<uint64_t>::max();
  const LogPosition position = {.files = {{great, great, 5'000'000'000, 1024, great, 256, 1, true},
                                          {0, 0, 0, 0, 0, 0, 0, false}},
                                .cursor = "s=7f21;i=1;b=0123;m=5;t=660d;x=fe",
                                .reader = std::string("a\0b\xff", 4),
                                .gaps = 3,
                                .last_gap = Noon() + absl::Microseconds(1)};
  batch.positions = {{"/var/log/exim4/mainlog", position}, {"journal", {}}};
  const OpenMessage message = {
      {"1tEsT-000001-AB", Noon()},
      {"bob@shop.example", "bob", "www-data", "192.0.2.1", "shop.example", true, true}};
  batch.open_messages = {{"/var/log/exim4/mainlog", "1tEsT-000001-AB", message}};
  batch.windows = {{Subject::Parse("login:bob@shop.example").value(), absl::Hours(1), "\x01row"},
                   {Subject::Parse("shop.example").value(), absl::Hours(1), "hour"},
                   {Subject::Parse("shop.example").value(), absl::Hours(24), "day"}};
  batch.contributions = {{"message", "contribution"}};
  batch.clearings = {{"shop.example", "clearing"}};
  batch.places = {{"destination far.example", "place"}};
  batch.notices = {{"blocked n1-1-1", "notice"}};
  batch.cases = {{"0a1b2c3d-1-1", "case"}};
  batch.receipts = {{"0a1b2c3d-1-1", "receipt"}};
  batch.events = {{Noon(), "first"}, {absl::InfinitePast(), "second"}};
  batch.facts = {{"now", "1795348800"}};
  LedgerRow row;
  row.time = Noon() + absl::Milliseconds(7);
  row.row = LedgerRowKey(row.time, 1);
  row.message_id = "1tEsT-000001-AB";
  row.arrival = Noon() - absl::Milliseconds(1);
  row.subject = "shop.example";
  row.narrower = "login:bob@shop.example";
  row.sender = "bob@shop.example";
  row.login = "bob";
  row.user = "www-data";
  row.mail_subject = "Gr\xc3\xbc\xc3\x9f";
  row.recipient = std::string("a\0b@far.example", 15);
  row.router = "dnslookup";
  row.transport = "remote_smtp";
  row.host = "mx.far.example";
  row.host_ip = "2001:db8::1";
  row.outcome = Outcome::kArchived;
  row.left_out = LeftOut::kFuture;
  row.reply_class = "other";
  row.reply = "250 \xff OK";
  batch.ledger = {row};
  Commit(batch);
  Reopen();

  const StoreContents contents = ContentsOf(store_.get());
  EXPECT_EQ(contents.positions.at("/var/log/exim4/mainlog"), position);
  EXPECT_EQ(contents.positions.at("journal"), LogPosition());
  ASSERT_EQ(contents.open_messages.size(), 1u);
  EXPECT_EQ(contents.open_messages[0].second, message);
  EXPECT_EQ(contents.windows.size(), 3u);
  EXPECT_EQ(contents.windows.at({SubjectKind::kDomain, "shop.example", 86400}), "day");
  EXPECT_EQ(contents.contributions.at("message"), "contribution");
  EXPECT_EQ(contents.clearings.at("shop.example"), "clearing");
  EXPECT_EQ(contents.places.at("destination far.example"), "place");
  EXPECT_EQ(contents.notices.at("blocked n1-1-1"), "notice");
  EXPECT_EQ(contents.cases.at("0a1b2c3d-1-1"), "case");
  EXPECT_EQ(contents.facts.at("now"), "1795348800");
  EXPECT_THAT(contents.events,
              ElementsAre(std::pair(Noon(), "first"), std::pair(absl::InfinitePast(), "second")));
  EXPECT_THAT(contents.order, ElementsAre("fact", "position", "position", "open message", "window",
                                          "window", "window", "contribution", "clearing", "place",
                                          "case", "notice", "event", "event"));
  EXPECT_EQ(store_->NewReader()->Receipt("0a1b2c3d-1-1").value_or(""), "receipt");
  row.node = kNode;
  EXPECT_THAT(FindAll(store_.get()), ElementsAre(row));
}

TEST_P(StoreTest, LaterElementsWinAndEmptyOnesForget) {
  Open();
  const Subject shop = Subject::Parse("shop.example").value();
  StoreBatch batch;
  batch.now = Noon();
  batch.facts = {{"a", "1"}, {"a", "2"}, {"b", "1"}, {"b", ""}};
  batch.windows = {{shop, absl::Hours(1), "1"}, {shop, absl::Hours(1), "2"}};
  batch.positions = {{"log", {.files = {{}, {}}, .gaps = 1}}, {"log", {.files = {{}}, .gaps = 2}}};
  batch.cases = {{"case", "1"}};
  batch.receipts = {{"case", "receipt"}};
  Commit(batch);
  StoreContents contents = ContentsOf(store_.get());
  EXPECT_EQ(contents.facts, (std::map<std::string, std::string>{{"a", "2"}}));
  EXPECT_EQ(contents.windows.begin()->second, "2");
  EXPECT_EQ(contents.positions.at("log"), (LogPosition{.files = {{}}, .gaps = 2}));

  batch = {.windows = {{shop, absl::Hours(1), ""}}, .cases = {{"case", ""}}};
  Commit(batch);
  contents = ContentsOf(store_.get());
  EXPECT_TRUE(contents.windows.empty());
  EXPECT_TRUE(contents.cases.empty());
  EXPECT_THAT(store_->NewReader()->Receipt("case"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("case")));
}

TEST_P(StoreTest, OpenMessagesComeByArrival) {
  Open();
  StoreBatch batch;
  for (const auto& [source, id, second] :
       {std::tuple("b", "x", 3), std::tuple("a", "x", 2), std::tuple("a", "y", 1),
        std::tuple("a", "a", 2), std::tuple("b", "y", 1)}) {
    batch.open_messages.push_back(
        {source, id, OpenMessage{{id, Noon() + absl::Seconds(second)}, {}}});
  }
  batch.open_messages.push_back({"a", "z", OpenMessage{{"z", absl::InfinitePast()}, {}}});
  Commit(batch);
  std::vector<std::string> found;
  for (const auto& [source, message] : ContentsOf(store_.get()).open_messages) {
    found.push_back(source + message.key.id);
  }
  EXPECT_THAT(found, ElementsAre("az", "ay", "aa", "ax", "by", "bx"));
}

TEST_P(StoreTest, OpenMessagesAreFoundById) {
  Open();
  const auto open = [](const char* source, const char* id, const char* login) {
    return StoredOpenMessage{source, id, OpenMessage{{id, Noon()}, {.login = login}}};
  };
  Commit({.open_messages = {open("a", "x", "bob"), open("b", "x", "eve"), open("a", "y", "joe"),
                            open("a", "z", "tim")}});
  Commit({.open_messages = {{"a", "z", std::nullopt}}});
  const auto reader = store_->NewReader();
  absl::StatusOr<std::vector<OpenMessage>> found = reader->OpenMessages({"x", "z", "none"});
  ASSERT_TRUE(found.ok()) << found.status();
  std::vector<std::string> logins;
  for (const OpenMessage& message : *found) logins.push_back(message.identity.login);
  EXPECT_THAT(logins, UnorderedElementsAre("bob", "eve"));
  EXPECT_TRUE(reader->OpenMessages({})->empty());
}

TEST_P(StoreTest, LoadStopsAtTheVisitorsError) {
  class Picky : public StoreContents {
    absl::Status OnFact(StoredText) override { return absl::InvalidArgumentError("no"); }
  };
  Open();
  Commit({.positions = {{"log", {}}}, .facts = {{"a", "1"}}});
  Picky picky;
  EXPECT_THAT(store_->Load(&picky), StatusIs(absl::StatusCode::kInvalidArgument, "no"));
  EXPECT_TRUE(picky.positions.empty());
  Commit({.facts = {{"b", "1"}}});  // nothing is left open
}

TEST_P(StoreTest, KeepsTheNewestEvents) {
  Open();
  for (int i = 0; i < 3; ++i) {
    StoreBatch batch;
    for (int j = 0; j < 4'000; ++j) batch.events.push_back({Noon(), absl::StrCat(i * 4'000 + j)});
    Commit(batch);
  }
  const StoreContents contents = ContentsOf(store_.get());
  ASSERT_EQ(contents.events.size(), 10'000u);
  EXPECT_EQ(contents.events.front().second, "2000");
  EXPECT_EQ(contents.events.back().second, "11999");
}

TEST_P(StoreTest, FindsByEveryFilterWithoutCase) {
  Open();
  LedgerRow row = Row(Noon(), "Bob@Shop.example", "Alice@Far.example");
  row.message_id = "1tEsT-1";
  row.narrower = "login:Bob";
  row.host = "MX.far.example";
  row.host_ip = "2001:DB8::1";
  row.outcome = Outcome::kDeferred;
  LedgerRow other = Row(Noon(), "eve@other.example", "carol@far.example");
  other.subject = "";  // nobody is charged: found by the sender's domain
  CommitRows({row, other});
  for (const LedgerQuery& query : std::vector<LedgerQuery>{{.subject = "SHOP.example"},
                                                           {.subject = "login:bob"},
                                                           {.domain = "shop.EXAMPLE"},
                                                           {.about = "Shop.example"},
                                                           {.about = "LOGIN:bob"},
                                                           {.sender = "bob@shop.example"},
                                                           {.recipient = "alice@far.example"},
                                                           {.message_id = "1TEST-1"},
                                                           {.host = "mx.FAR.example"},
                                                           {.host = "2001:db8::1"},
                                                           {.outcomes = {Outcome::kDeferred}}}) {
    EXPECT_THAT(Recipients(query), ElementsAre("Alice@Far.example"));
  }
  EXPECT_THAT(Recipients({.domain = "other.example"}), ElementsAre("carol@far.example"));
  EXPECT_THAT(Recipients({.about = "other.example"}), ElementsAre("carol@far.example"));
  EXPECT_THAT(Recipients({.subject = "other.example"}), ElementsAre());
  EXPECT_THAT(Recipients({.outcomes = {Outcome::kDelivered}}), ElementsAre("carol@far.example"));
  EXPECT_THAT(Recipients({.outcomes = {Outcome::kDelivered, Outcome::kDeferred}}).size(), 2u);
  EXPECT_THAT(Recipients({.sender = "bob@shop.example", .host = "mx.other.example"}),
              ElementsAre());
}

TEST_P(StoreTest, NewestFirstAndTimesAreHalfOpen) {
  Open();
  CommitRows({Row(Noon(), "a@a.example", "2"), Row(Noon() + absl::Seconds(1), "a@a.example", "3"),
              Row(Noon() - absl::Seconds(1), "a@a.example", "1")});
  CommitRows({Row(Noon(), "a@a.example", "2b"), Row(absl::FromUnixMillis(-1), "a@a.example", "0")});
  EXPECT_THAT(Recipients({}), ElementsAre("3", "2b", "2", "1", "0"));
  EXPECT_THAT(Recipients({.domain = "a.example", .limit = 1}),
              ElementsAre("3", "2b", "2", "1", "0"));
  EXPECT_THAT(Recipients({.since = Noon(), .until = Noon() + absl::Seconds(1)}),
              ElementsAre("2b", "2"));
  EXPECT_THAT(Recipients({.since = Noon() + absl::Nanoseconds(1)}), ElementsAre("3"));
  EXPECT_THAT(Recipients({.until = absl::FromUnixMillis(0)}), ElementsAre("0"));
  EXPECT_THAT(Recipients({.since = Noon(), .until = Noon()}), ElementsAre());
}

TEST_P(StoreTest, TakesTheNextFreeKeyOfAnySegment) {
  Open({.segment_rows = 2});
  LedgerRow row = Row(Noon(), "a@a.example", "r");
  CommitRows({row, row});
  CommitRows({row, row, row});
  const std::vector<LedgerRow> rows = FindAll(store_.get());
  ASSERT_EQ(rows.size(), 5u);
  for (size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(rows[i].row, row.row + 4 - static_cast<int>(i));
  EXPECT_EQ(store_->stats().segments, 3);
}

TEST_P(StoreTest, OldSegmentsAreDroppedWhole) {
  Open({.keep = absl::Hours(80), .segment_rows = 10});
  std::vector<LedgerRow> rows;
  for (int hour = 0; hour < 100; ++hour) {
    const absl::Time now = Noon() + absl::Hours(hour);
    CommitRows({Row(now, "a@a.example", absl::StrCat(hour))}, now);
  }
  // The retention asks for the last 80 and the one at its very edge; segments are of ten hours.
  EXPECT_EQ(store_->stats().dropped_segments, 1);
  EXPECT_EQ(store_->stats().segments, 9);
  EXPECT_EQ(FindAll(store_.get()).size(), 90u);
  EXPECT_EQ(Recipients({.domain = "a.example"}).back(), "10");

  CommitRows({}, Noon() + absl::Hours(200));  // also without a new row
  EXPECT_TRUE(FindAll(store_.get()).empty());
  CommitRows({Row(Noon() + absl::Hours(200), "a@a.example", "new")}, Noon() + absl::Hours(200));
  Reopen();
  EXPECT_THAT(Recipients({}), ElementsAre("new"));
}

// Few rows must not make a segment that outlives the retention, nor one wrong stamp.
TEST_P(StoreTest, SlowOrWrongRowsDoNotKeepASegment) {
  Open({.keep = absl::Hours(80)});
  CommitRows({Row(Noon() + absl::Hours(24 * 365 * 50), "a@a.example", "future")});
  for (int hour = 0; hour < 200; hour += 5) {
    const absl::Time now = Noon() + absl::Hours(hour);
    CommitRows({Row(now, "a@a.example", absl::StrCat(hour))}, now);
  }
  const std::vector<std::string> kept = Recipients({});
  EXPECT_EQ(kept.front(), "195");
  EXPECT_EQ(kept.back(), "110");  // 80 hours and at most ten more
}

TEST_P(StoreTest, TheOldestSegmentGoesWhenThereIsTooMuch) {
  Open({.max_bytes = 2 << 20, .segment_rows = 1'000});
  for (int i = 0; i < 20; ++i) {
    std::vector<LedgerRow> rows;
    for (int j = 0; j < 500; ++j) {
      LedgerRow row = Row(Noon() + absl::Seconds(i), "a@a.example", absl::StrCat(i));
      row.reply = std::string(400, 'x');
      rows.push_back(row);
    }
    CommitRows(std::move(rows));
  }
  EXPECT_GT(store_->stats().dropped_segments, 0);
  EXPECT_LT(store_->stats().ledger_rows, 5'000);
  EXPECT_GE(store_->stats().ledger_rows, 1'000);
  EXPECT_EQ(static_cast<int64_t>(FindAll(store_.get(), {.limit = 999}).size()),
            store_->stats().ledger_rows);
  EXPECT_EQ(Recipients({.limit = 999}).front(), "19");
}

TEST_P(StoreTest, NoLedgerIgnoresRows) {
  Open({.enabled = false});
  CommitRows({Row(Noon(), "a@a.example", "r")});
  EXPECT_EQ(store_->stats().ledger_rows, 0);
  EXPECT_THAT(store_->NewReader()->Search({}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("[ledger]")));
}

TEST_P(StoreTest, HashedRecipientsAreFoundButNotShown) {
  Open({.hash_recipients = true});
  LedgerRow row = Row(Noon(), "a@a.example", "Alice@Far.example");
  row.reply = "550 <ALICE@far.example> unknown, alice@FAR.EXAMPLE";
  LedgerRow twin = Row(Noon(), "a@a.example", "alice@other.example");
  CommitRows({row, twin, Row(Noon(), "a@a.example", "no address")});
  Reopen();
  const std::vector<LedgerRow> found = FindAll(store_.get(), {.recipient = "aLice@far.EXAMPLE"});
  ASSERT_EQ(found.size(), 1u);
  const std::string& hashed = found[0].recipient;
  EXPECT_THAT(hashed, testing::MatchesRegex("h:[0-9a-f]+@Far.example"));
  EXPECT_EQ(hashed.size(), 2 + 16 + sizeof("@Far.example") - 1);
  EXPECT_EQ(found[0].reply, absl::StrCat("550 <", hashed, "> unknown, ", hashed));
  EXPECT_THAT(Recipients({.recipient = hashed}), ElementsAre(hashed));
  EXPECT_THAT(Recipients({}), testing::Each(testing::StartsWith("h:")));
  EXPECT_NE(Recipients({.recipient = "alice@other.example"})[0].substr(0, 18),
            hashed.substr(0, 18));
}

TEST_P(StoreTest, SearchAgreesWithANaiveScan) {
  const std::regex kFiveOne("(^|[^0-9.])5\\.1($|[^0-9])");  // the code that queries have
  Open({.segment_rows = 300});
  RandomBatches random(7);
  for (int i = 0; i < 80; ++i) Commit(random.Next(50));
  const std::vector<LedgerRow> all = FindAll(store_.get(), {.limit = 100});
  ASSERT_GT(all.size(), 1'000u);
  ASSERT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const auto& a, const auto& b) { return a.row > b.row; }));
  for (int i = 0; i < 200; ++i) {
    const LedgerQuery q = random.Query();
    const auto same = [](const std::string& asked, const std::string& text) {
      return asked.empty() || absl::EqualsIgnoreCase(asked, text);
    };
    const auto ends_with = [](const std::string& text, const std::string& end) {
      return absl::EndsWithIgnoreCase(text, end);
    };
    const auto holds = [](const std::string& text, const std::string& part) {
      return absl::StrContains(absl::AsciiStrToLower(text), absl::AsciiStrToLower(part));
    };
    std::vector<LedgerRow> expected;
    for (const LedgerRow& row : all) {
      std::string domain = row.subject.substr(row.subject.rfind('@') + 1);  // rfind may be npos
      domain = domain.substr(domain.find(':') + 1);
      if (domain.empty()) domain = row.sender.substr(row.sender.rfind('@') + 1);
      const bool outcome = q.outcomes.empty() || std::find(q.outcomes.begin(), q.outcomes.end(),
                                                           row.outcome) != q.outcomes.end();
      if ((same(q.subject, row.subject) || same(q.subject, row.narrower)) &&
          same(q.domain, domain) &&
          (same(q.about, row.subject) || same(q.about, row.narrower) || same(q.about, domain)) &&
          same(q.sender, row.sender) &&
          (same(q.recipient, row.recipient) || same(q.recipient, row.original)) &&
          same(q.message_id, row.message_id) && same(q.reply_class, row.reply_class) &&
          (ends_with(row.recipient, "@" + q.recipient_domain) ||
           ends_with(row.original, "@" + q.recipient_domain) || q.recipient_domain.empty()) &&
          (holds(row.sender, q.address_part) || holds(row.recipient, q.address_part) ||
           holds(row.original, q.address_part)) &&
          (q.code.empty() || std::regex_search(row.reply, kFiveOne)) &&
          (same(q.host, row.host) || same(q.host, row.host_ip)) && outcome && row.time >= q.since &&
          row.time < q.until) {
        expected.push_back(row);
      }
    }
    ASSERT_TRUE(FindAll(store_.get(), q) == expected) << "query " << i;
  }
}

// Rows that were there at the first page are seen once each, whatever is committed meanwhile.
TEST_P(StoreTest, PagesWhileCommitsGoOn) {
  Open({.segment_rows = 400});
  std::vector<LedgerRow> rows;
  for (int i = 0; i < 2'000; ++i) {
    rows.push_back(Row(Noon() + absl::Seconds(i % 100), "a@a.example", absl::StrCat(i)));
  }
  CommitRows(rows);
  std::thread writer([&] {
    for (int i = 0; i < 100; ++i) {
      CommitRows({Row(Noon() + absl::Seconds(i), "a@a.example", "new"),
                  Row(Noon() + absl::Hours(1), "a@a.example", "new")});
    }
  });
  for (const LedgerQuery& query :
       std::vector<LedgerQuery>{{.limit = 70}, {.domain = "a.example", .limit = 70}}) {
    std::multiset<std::string> seen;
    for (const LedgerRow& row : FindAll(store_.get(), query)) {
      if (row.recipient != "new") seen.insert(row.recipient);
    }
    EXPECT_EQ(seen.size(), 2'000u);
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 2'000u);
  }
  writer.join();
}

// All of the ledger, a few rows a step. Gives how many matched.
int64_t Forget(LocalStore* store, const std::string& what, bool only_count = false) {
  absl::StatusOr<ForgetFilter> filter = store->MakeForgetFilter(what);
  EXPECT_THAT(filter, IsOk());
  int64_t matched = 0;
  double progress = 0;
  for (ForgetStep step; !step.done;) {
    absl::StatusOr<ForgetStep> next = store->ForgetRows(*filter, step.next, /*most=*/7, only_count);
    if (!next.ok()) {
      ADD_FAILURE() << next.status();
      break;
    }
    step = *next;
    matched += step.matched;
    EXPECT_GE(step.progress, progress);
    progress = step.progress;
  }
  EXPECT_EQ(progress, 1);
  return matched;
}

TEST_P(StoreTest, ForgetsWhatMatchesAndNothingElse) {
  Open({.segment_rows = 20});
  RandomBatches random(11);
  for (int i = 0; i < 30; ++i) Commit(random.Next());
  const std::vector<LedgerRow> before = FindAll(store_.get());
  ASSERT_GT(store_->stats().segments, 2);
  ASSERT_FALSE(before.empty());
  EXPECT_EQ(*store_->NewReader()->ForgottenUntil(), absl::InfinitePast());
  // A sender that is there.
  std::string sender;
  for (const LedgerRow& row : before) {
    if (IsBareAddress(row.sender)) sender = row.sender;
  }
  ASSERT_FALSE(sender.empty());
  const ForgetFilter filter = *store_->MakeForgetFilter(sender);
  std::vector<LedgerRow> kept, gone;
  for (const LedgerRow& row : before) (filter.Matches(row) ? gone : kept).push_back(row);
  ASSERT_FALSE(kept.empty());

  EXPECT_EQ(Forget(store_.get(), sender, /*only_count=*/true), static_cast<int64_t>(gone.size()));
  EXPECT_EQ(FindAll(store_.get()), before);
  EXPECT_EQ(Forget(store_.get(), sender), static_cast<int64_t>(gone.size()));
  EXPECT_EQ(FindAll(store_.get()), kept);
  EXPECT_TRUE(FindAll(store_.get(), {.sender = sender}).empty()) << "not through the index either";
  EXPECT_EQ(store_->stats().ledger_rows, static_cast<int64_t>(kept.size()));
  EXPECT_EQ(*store_->NewReader()->ForgottenUntil(), gone.front().time);
  EXPECT_EQ(Forget(store_.get(), sender), 0);
  Reopen();
  EXPECT_EQ(FindAll(store_.get()), kept);
  // What comes later is recorded as ever.
  const size_t so_far = kept.size();
  CommitRows({Row(random.now(), sender, "new@far.example")}, random.now());
  EXPECT_EQ(FindAll(store_.get()).size(), so_far + 1);
}

TEST_P(StoreTest, ForgetsAllOfASegmentAndGoesOn) {
  Open({.segment_rows = 3});
  for (int i = 0; i < 7; ++i)
    CommitRows({Row(Noon(), "a@a.example", absl::StrCat(i, "@far.example"))});
  CommitRows({Row(Noon(), "b@b.example", "b@far.example")});
  EXPECT_EQ(Forget(store_.get(), "a.example"), 7);
  EXPECT_THAT(Recipients({}), ElementsAre("b@far.example"));
  for (int i = 0; i < 7; ++i)
    CommitRows({Row(Noon(), "a@a.example", absl::StrCat(i, "@far.example"))});
  EXPECT_EQ(Recipients({.subject = "a.example"}).size(), 7u);
  EXPECT_EQ(Forget(store_.get(), "nobody.example"), 0);
}

TEST_P(StoreTest, ForgetsAHiddenRecipient) {
  Open({.hash_recipients = true});
  CommitRows({Row(Noon(), "a@a.example", "ann@far.example"),
              Row(Noon(), "a@a.example", "eve@far.example")});
  EXPECT_EQ(Forget(store_.get(), "Ann@far.example"), 1);
  EXPECT_EQ(FindAll(store_.get(), {.recipient = "eve@far.example"}).size(), 1u);
  EXPECT_EQ(FindAll(store_.get()).size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreTest, testing::Values(Kind::kSqlite, Kind::kMemory),
                         [](const auto& param) {
                           return param.param == Kind::kSqlite ? "Sqlite" : "Memory";
                         });

// The SQLite store against the one in memory: random batches, opened anew now and then.
TEST(StoreModel, SqliteEqualsMemory) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    TempFolder folder;
    const LedgerOptions options = {.keep = absl::Hours(40),
                                   .segment_rows = seed % 2 == 0 ? 50 : 1'000};
    const auto open = [&] {
      return OpenSqliteStore(folder.File("state.db"), kNode, options).value();
    };
    std::unique_ptr<LocalStore> store = open();
    const std::unique_ptr<LocalStore> memory = NewMemoryStore(kNode, options);
    RandomBatches random(seed);
    for (int i = 0; i < 300; ++i) {
      const StoreBatch batch = random.Next();
      ASSERT_THAT(store->Commit(batch), IsOk());
      ASSERT_THAT(memory->Commit(batch), IsOk());
      if (random.Below(20) == 0) {
        store.reset();
        store = open();
      }
      if (i % 60 == 59) ExpectSame(store.get(), memory.get());
      if (i % 5 != 0) continue;
      const LedgerQuery query = random.Query();
      ASSERT_TRUE(FindAll(store.get(), query) == FindAll(memory.get(), query));
      if (testing::Test::HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace deferd
