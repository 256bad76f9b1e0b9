// The bytes of each stored value, by format version: what a version of deferd wrote is read by all
// later ones, and what this one writes is what its own golden files have.
//
// A change of the form needs a new version (schema.h) and new files beside the old ones: run this
// test with DEFERD_WRITE_GOLDEN=1 and look at what it wrote.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/store/case_codec.h"
#include "limiter/store/clearing_codec.h"
#include "limiter/store/contribution_codec.h"
#include "limiter/store/facts_codec.h"
#include "limiter/store/place_codec.h"
#include "limiter/store/receipt_codec.h"
#include "limiter/store/schema.h"
#include "limiter/store/window_codec.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

const Subject kLogin = {SubjectKind::kLogin, "bob@a.example"};
const Subject kDomain = {SubjectKind::kDomain, "a.example"};
const MessageKey kMessage = {"1vN0ab-0000000Abcd-0aBc", At(absl::Milliseconds(7))};
const StepClock kHour(absl::Hours(1));

Case FullCase() {
  Case record;
  record.id = "0badcafe-7-3";
  record.subject = kLogin;
  record.within = kDomain;
  record.state = CaseState::kClosed;
  record.action.by_source = {Verdict::kReject, Verdict::kHold, Verdict::kHold, Verdict::kPass};
  record.rule = "ratio";
  record.counts = {.delivered = 3, .deferred = 2, .failed = 5, .surplus = 1, .rejected = 4};
  record.min_bad = 5;
  record.percent = 70;
  record.percent_limit = 25;
  record.window = absl::Hours(1);
  record.policy_hash = "0123456789abcdef";
  record.since = At(absl::Milliseconds(1500));
  record.until = At(absl::Hours(1));
  record.closed_at = At(absl::Minutes(9));
  record.by = "rule";
  SetCloser("alice", &record);
  record.closed_reason = "the form is gone";
  record.held_order = HeldOrder::kRelease;
  record.judged_at = At(absl::Seconds(2));
  record.counted_after = At(-absl::Hours(1));
  record.apart = {"script:shop"};
  record.apart_until = {{"login:eve@a.example", At(-absl::Minutes(5))}};
  record.extended = 2;
  record.rev = 9;
  record.level = 2;
  record.cleared_at = At(absl::Minutes(9));
  record.counts_by_node = {{"0badcafe", {.delivered = 3, .deferred = 2, .failed = 5}}};
  record.decided_at = At(absl::Minutes(9));
  record.overruled = PersonsWord{true, "eve", "spam", At(absl::Minutes(4))};
  return record;
}

MessageRecord FullMessage() {
  MessageRecord record;
  record.charged = {{kLogin, true}, {kDomain, true}};
  for (int i = 0; i < 40; ++i) {
    *record.recipients.Of(absl::StrCat("r", i, "@far.example")).record = {
        .outcome = CountedOutcome::kDeferred,
        .dated = At(absl::Seconds(i)),
        .last = At(absl::Seconds(i + 1)),
        .last_left_out = LeftOut::kCounts,
        .last_class = ReplyClass::kMailboxFull,
        .last_scope = ReplyScope::kRecipient,
        .place = "far.example"};
  }
  return record;
}

std::pair<Incidents::Key, Place> FullPlace() {
  Place place;
  place.failing = {{kDomain, "login bob@a.example", At(absl::Seconds(1)), true}};
  place.last = At(absl::Seconds(1));
  place.recovered = 2;
  place.incident.emplace();
  place.incident->scope = ReplyScope::kDestination;
  place.incident->where = "far.example";
  place.incident->reply_class = ReplyClass::kNetwork;
  place.incident->reply = "421 4.3.2 try later";
  place.incident->since = At(absl::Seconds(1));
  place.incident->last = At(absl::Seconds(3));
  place.incident->attempts = 7;
  place.incident->subjects = {"domain:a.example"};
  place.incident->witnesses = {"a.example by login bob@a.example"};
  place.incident->taken_out_at = At(absl::Seconds(2));
  place.incident->taken_out_from = At(absl::Seconds(1));
  place.contributions.push_back({kMessage,
                                 "r@far.example",
                                 {{kDomain, true}},
                                 At(absl::Seconds(1)),
                                 CountedOutcome::kDeferred,
                                 3});
  return {{ReplyScope::kDestination, "far.example"}, place};
}

LedgerRow FullRow() {
  LedgerRow row;
  row.row = 77;
  row.time = kMorning;
  row.message_id = kMessage.id;
  row.arrival = kMessage.arrival;
  row.subject = "domain:a.example";
  row.narrower = "login:bob@a.example";
  row.sender = row.login = "bob@a.example";
  row.recipient = "r@far.example";
  row.original = "list@a.example";
  row.host = "mx.far.example";
  row.host_ip = "198.51.100.9";
  row.outcome = Outcome::kFailed;
  row.reply_class = "invalid_recipient";
  row.reply = "550 5.1.1 No such user";
  return row;
}

Receipt FullReceipt() {
  Receipt receipt;
  receipt.rule = "ratio";
  receipt.min_bad = 5;
  receipt.percent_limit = 25;
  receipt.window = absl::Hours(1);
  receipt.policy_hash = "0123456789abcdef";
  receipt.counts = receipt.recounted = FullCase().counts;
  receipt.percent = 70;
  receipt.tripping_row = 77;
  receipt.complete = receipt.sure = true;
  receipt.total = 8;
  receipt.digest = "00ff";
  receipt.rows = {FullRow()};
  return receipt;
}

Window FullWindow() {
  const int64_t now = kHour.StepOf(kMorning);
  Window window;
  for (int outcome = 0; outcome < kCountedOutcomes; ++outcome) {
    window.Add(now - outcome, static_cast<CountedOutcome>(outcome), now);
  }
  return window;
}

LimiterFacts FullFacts() {
  LimiterFacts facts;
  facts.now = At(absl::Seconds(5));
  facts.last_sweep = kMorning;
  facts.case_number = 9;
  facts.windows = {{absl::Hours(1), absl::InfinitePast()}, {absl::Minutes(5), kMorning}};
  facts.kinds = {{SubjectKind::kLogin, kMorning}};
  facts.clock_back_at = kMorning;
  facts.clock_back_by = absl::Hours(24);
  return facts;
}

Cleared FullCleared() {
  return {.enforced = At(absl::Hours(1)),
          .shadow = At(absl::Hours(2)),
          .apart = At(absl::Hours(3)),
          .within = {kDomain}};
}

// What this version writes, by the value's name.
std::map<std::string, std::string> Written() {
  const MessageRecord message = FullMessage();
  const auto [key, place] = FullPlace();
  SideWindows left_out;
  *left_out.left_out.Of(ReplyClass::kMailboxFull) = FullWindow();
  return {{"case", CaseText(FullCase())},
          {"case_event", CaseEventText({At(absl::Seconds(3)), CaseChange::kUnblocked, FullCase()})},
          {"clearing", ClearingText(kLogin, FullCleared())},
          {"contribution_0", ContributionText(kMessage, message, 0)},
          {"contribution_1", ContributionText(kMessage, message, 1)},
          {"facts", FactsText(FullFacts())},
          {"left_out", SideText(left_out)},
          {"place", PlaceText(key, place)},
          {"receipt", ReceiptText(FullReceipt())},
          {"shared_case", SharedCaseText(FullCase())},
          {"shared_receipt", SharedReceiptText({FullRow()})},
          {"window", RowText(FullWindow())}};
}

// Whether the value of that name reads the bytes.
absl::Status Read(const std::string& name, const std::string& bytes) {
  Window window;
  SideWindows left_out;
  const int64_t now = kHour.StepOf(kMorning);
  if (name == "case") return ParseCase(bytes).status();
  if (name == "case_event") return ParseCaseEvent(bytes).status();
  if (name == "clearing") return ParseClearing(bytes).status();
  if (name == "contribution_0" || name == "contribution_1") {
    return ParseContribution(bytes).status();
  }
  if (name == "facts") return ParseFacts(bytes).status();
  if (name == "left_out") return ReadSide(bytes, kHour, now, &left_out);
  if (name == "place") return ParsePlace(bytes).status();
  if (name == "receipt") return ParseReceipt(bytes).status();
  if (name == "shared_case") return ParseSharedCase(bytes, kLogin, false).status();
  if (name == "shared_receipt") return ParseSharedReceipt(bytes).status();
  if (name == "window") return ReadRow(bytes, kHour, now, &window);
  return absl::NotFoundError(name);
}

const std::filesystem::path kFolder = TestData("stored");

std::string ReadHex(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  std::string hex = text.str();
  std::erase(hex, '\n');
  return absl::HexStringToBytes(hex);
}

void WriteHex(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  const std::string hex = absl::BytesToHexString(bytes);
  std::ofstream out(path);
  for (size_t i = 0; i < hex.size(); i += 100) out << hex.substr(i, 100) << "\n";
}

TEST(Golden, ThisVersionWritesItsFiles) {
  const std::filesystem::path folder = kFolder / absl::StrCat(kStoreFormat);
  const bool write = std::getenv("DEFERD_WRITE_GOLDEN") != nullptr;
  for (const auto& [name, bytes] : Written()) {
    const std::filesystem::path path = folder / (name + ".hex");
    if (write) WriteHex(path, bytes);
    ASSERT_TRUE(std::filesystem::exists(path)) << path;
    EXPECT_EQ(absl::BytesToHexString(ReadHex(path)), absl::BytesToHexString(bytes)) << name;
  }
}

TEST(Golden, EveryVersionIsRead) {
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kFolder)) {
    if (entry.path().extension() != ".hex") continue;
    EXPECT_THAT(Read(entry.path().stem(), ReadHex(entry.path())), IsOk()) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 12);
}

}  // namespace
}  // namespace deferd
