#include "tests/limiter/store/store_fixture.h"

#include <stdlib.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {

absl::Time Noon() { return absl::FromUnixSeconds(1'795'348'800); }

TempFolder::TempFolder() {
  path_ = testing::TempDir() + "store_test.XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

absl::Status StoreContents::OnPosition(SourcePosition position) {
  order.push_back("position");
  positions[position.source] = std::move(position.position);
  return absl::OkStatus();
}
absl::Status StoreContents::OnOpenMessage(std::string source, OpenMessage message) {
  order.push_back("open message");
  open_messages.emplace_back(std::move(source), std::move(message));
  return absl::OkStatus();
}
absl::Status StoreContents::OnWindow(StoredWindow window) {
  order.push_back("window");
  auto& kept = window.left_out ? left_out : windows;
  kept[{window.subject.kind, window.subject.id, absl::ToInt64Seconds(window.length)}] = window.row;
  return absl::OkStatus();
}
absl::Status StoreContents::OnContribution(StoredText contribution) {
  order.push_back("contribution");
  contributions[contribution.name] = contribution.text;
  return absl::OkStatus();
}
absl::Status StoreContents::OnClearing(StoredText clearing) {
  order.push_back("clearing");
  clearings[clearing.name] = clearing.text;
  return absl::OkStatus();
}
absl::Status StoreContents::OnPlace(StoredText place) {
  order.push_back("place");
  places[place.name] = place.text;
  return absl::OkStatus();
}
absl::Status StoreContents::OnNotice(StoredText notice) {
  order.push_back("notice");
  notices[notice.name] = notice.text;
  return absl::OkStatus();
}
absl::Status StoreContents::OnCase(StoredText record) {
  order.push_back("case");
  cases[record.name] = record.text;
  return absl::OkStatus();
}
absl::Status StoreContents::OnEvent(StoredCaseEvent event) {
  order.push_back("event");
  events.emplace_back(event.time, event.text);
  return absl::OkStatus();
}
absl::Status StoreContents::OnFact(StoredText fact) {
  order.push_back("fact");
  facts[fact.name] = fact.text;
  return absl::OkStatus();
}

StoreContents ContentsOf(LocalStore* store) {
  StoreContents contents;
  EXPECT_THAT(store->Load(&contents), IsOk());
  return contents;
}

std::vector<LedgerRow> FindAll(LocalStore* store, LedgerQuery query) {
  const std::unique_ptr<LedgerReader> reader = store->NewReader();
  std::vector<LedgerRow> rows;
  while (true) {
    absl::StatusOr<LedgerPage> page = reader->Search(query);
    EXPECT_THAT(page, IsOk());
    if (!page.ok()) return rows;
    rows.insert(rows.end(), page->rows.begin(), page->rows.end());
    if (page->next == 0) return rows;
    query.before = page->next;
  }
}

void ExpectSame(LocalStore* a, LocalStore* b) {
  const StoreContents left = ContentsOf(a);
  const StoreContents right = ContentsOf(b);
  EXPECT_TRUE(left == right);
  EXPECT_EQ(left.positions, right.positions);
  EXPECT_EQ(left.windows, right.windows);
  EXPECT_EQ(left.facts, right.facts);
  const std::vector<LedgerRow> left_rows = FindAll(a, {.limit = 10'000});
  const std::vector<LedgerRow> right_rows = FindAll(b, {.limit = 10'000});
  ASSERT_EQ(left_rows.size(), right_rows.size());
  for (size_t i = 0; i < left_rows.size(); ++i) {
    ASSERT_TRUE(left_rows[i] == right_rows[i]) << "row " << i << " of " << left_rows.size();
  }
  EXPECT_EQ(a->stats().segments, b->stats().segments);
  EXPECT_EQ(a->stats().ledger_rows, b->stats().ledger_rows);
  for (const auto& [id, text] : left.cases) {
    EXPECT_EQ(a->NewReader()->Receipt(id).value_or("none"),
              b->NewReader()->Receipt(id).value_or("none"));
  }
}

std::string RandomBatches::Name(const char* prefix, int among) {
  return absl::StrCat(prefix, Below(among));
}

std::string RandomBatches::OddText() {
  switch (Below(8)) {
    case 0:
      return std::string("nul\0inside", 10);
    case 1:
      return "\xff\xfe broken \xc3";
    case 2:
      return "";
    case 3:
      return "quote ' \" ; DROP TABLE log; --";
    default:
      return Name("text ", 1000);
  }
}

absl::Time RandomBatches::Time() {
  switch (Below(40)) {
    case 0:
      return absl::FromUnixSeconds(0);
    case 1:
      return absl::FromUnixMillis(-123'456'789);
    case 2:
      return absl::InfinitePast();
    case 3:
      return now_ + absl::Hours(24 * 365 * 70);
    default:
      return now_ - absl::Milliseconds(Below(4) == 0 ? Below(100'000'000) : Below(3));
  }
}

LedgerRow RandomBatches::Row() {
  LedgerRow row;
  row.time = Time();
  row.row = LedgerRowKey(row.time, ++rows_);
  row.message_id = Name("1abc-", 50);
  row.arrival = Time();
  switch (Below(5)) {
    case 0:
      break;
    case 1:
      row.subject = Name("login:bob@Shop", 5) + ".example";
      break;
    case 2:
      row.subject = Name("forward:shop", 5) + ".example";
      break;
    default:
      row.subject = Name("shop", 10) + ".example";
      if (Below(2) == 0) row.narrower = Name("login:Bob@shop", 10) + ".example";
  }
  row.sender = Below(5) == 0 ? "" : absl::StrCat(Name("Bob", 3), "@", Name("shop", 12), ".example");
  row.login = OddText();
  row.user = Below(3) == 0 ? OddText() : "";
  row.mail_subject = Below(3) == 0 ? OddText() : "";
  row.original =
      Below(6) == 0 ? absl::StrCat(Name("list", 5), "@", Name("Shop", 3), ".example") : "";
  row.recipient =
      Below(20) == 0 ? OddText() : absl::StrCat(Name("alice", 30), "@", Name("Far", 3), ".example");
  row.router = "dnslookup";
  row.transport = "remote_smtp";
  row.host = Below(4) == 0 ? "" : Name("mx", 6) + ".far.example";
  row.host_ip = Name("192.0.2.", 6);
  row.outcome = static_cast<Outcome>(Below(3) == 0 ? Below(kOutcomes) : Below(2));
  row.left_out = static_cast<LeftOut>(Below(kLeftOutReasons));
  row.reply_class = Below(2) == 0 ? "" : "greylisting";
  row.reply = absl::StrCat(Below(5) == 0 ? "550 5.1.1 <" : "451 <", row.recipient, "> ", OddText());
  return row;
}

StoreBatch RandomBatches::Next(int max_rows) {
  StoreBatch batch;
  now_ += absl::Seconds(Below(600));
  batch.now = now_;
  batch.durable = Below(5) == 0;
  for (int i = Below(3); i > 0; --i) {
    LogPosition position;
    for (int f = Below(4); f > 0; --f) {
      position.files.push_back({.device = random_(),
                                .inode = (uint64_t{random_()} << 32) | random_(),
                                .offset = Below(1 << 30),
                                .head_length = Below(1025),
                                .head_hash = (uint64_t{random_()} << 32) | random_(),
                                .tail_length = Below(257),
                                .tail_hash = (uint64_t{random_()} << 32) | random_(),
                                .rotated = Below(2) == 0});
    }
    if (Below(2) == 0) position.cursor = OddText();
    position.reader = OddText();
    position.gaps = Below(3);
    if (Below(2) == 0) position.last_gap = now_;
    batch.positions.push_back({Name("/var/log/exim", 3), position});
  }
  for (int i = Below(8); i > 0; --i) {
    StoredOpenMessage open = {Name("/var/log/exim", 3), Name("1id-", 20), std::nullopt};
    if (Below(3) != 0) {
      OpenMessage message;
      message.key = {open.id,
                     Below(10) == 0 ? absl::InfinitePast() : now_ - absl::Seconds(Below(99))};
      message.identity = {.sender = OddText(),
                          .login = OddText(),
                          .user = OddText(),
                          .host = Name("192.0.2.", 9),
                          .identified_domain = OddText(),
                          .made_by_mta = Below(2) == 0,
                          .sender_vouched = Below(2) == 0};
      open.message = message;
    }
    batch.open_messages.push_back(open);
  }
  for (int i = Below(12); i > 0; --i) {
    batch.windows.push_back(
        {{static_cast<SubjectKind>(Below(kSubjectKinds)), Name("shop", 10)},
         absl::Hours(1 + Below(2)),
         Below(4) == 0 ? std::string() : std::string("\0\x01row", 5) + Name("", 9)});
  }
  const auto texts = [&](const char* prefix, std::vector<StoredText>* to) {
    for (int i = Below(4); i > 0; --i) to->push_back({Name(prefix, 8), OddText()});
  };
  texts("message ", &batch.contributions);
  texts("subject ", &batch.clearings);
  texts("place ", &batch.places);
  texts("case ", &batch.cases);
  texts("notice ", &batch.notices);
  texts("fact ", &batch.facts);
  texts("case ", &batch.receipts);
  for (int i = Below(3); i > 0; --i) batch.events.push_back({now_, OddText()});
  for (int i = Below(max_rows + 1); i > 0; --i) batch.ledger.push_back(Row());
  return batch;
}

LedgerQuery RandomBatches::Query() {
  LedgerQuery query;
  if (Below(5) == 0) query.subject = Row().subject;
  if (Below(6) == 0) query.subject = Row().narrower;
  if (Below(4) == 0) query.domain = Name("SHOP", 12) + ".example";
  if (Below(4) == 0) query.sender = Row().sender;
  if (Below(4) == 0) query.recipient = Row().recipient;
  if (Below(8) == 0) query.recipient = Row().original;
  if (Below(8) == 0) query.recipient_domain = Name("FAR", 3) + ".example";
  if (Below(8) == 0) query.address_part = "ICE1";
  if (Below(8) == 0) query.code = "5.1";
  if (Below(8) == 0) query.reply_class = "mailbox_full";
  if (Below(6) == 0) query.message_id = Name("1ABC-", 50);
  if (Below(4) == 0) query.host = Below(2) == 0 ? Name("mx", 6) + ".FAR.example" : Row().host_ip;
  if (Below(3) == 0) {
    for (int i = Below(3); i >= 0; --i) {
      query.outcomes.push_back(static_cast<Outcome>(Below(kOutcomes)));
    }
  }
  if (Below(3) == 0) query.since = Time();
  if (Below(3) == 0) query.until = Time();
  if (Below(6) == 0) query.about = Below(2) == 0 ? Row().subject : Row().narrower;
  query.limit = 1 + static_cast<size_t>(Below(30));
  return query;
}

}  // namespace deferd
