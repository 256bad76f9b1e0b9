// One message to very many recipients: its counts, over batches and restarts, and what each commit
// of it costs.

#include <map>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/limiter/limiter_fixture.h"
#include "tests/limiter/store/forwarding_store.h"
#include "tests/limiter/store/store_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::Le;

constexpr char kManyPolicy[] = "[rule.r]\nmin_bad = 1000000\npercent = 50\n";

// Notes how much a commit stores of contributions.
class CountingStore : public ForwardingStore {
 public:
  using ForwardingStore::ForwardingStore;

  absl::Status Commit(const StoreBatch& batch) override {
    bytes_ = rows_ = 0;
    for (const StoredText& one : batch.contributions) {
      bytes_ += one.name.size() + one.text.size();
      ++rows_;
    }
    return ForwardingStore::Commit(batch);
  }

  size_t bytes_ = 0;  // of the last commit
  size_t rows_ = 0;
};

// What becomes of the recipients of one message: a plain account, from the contract alone.
class ManyOracle {
 public:
  void Feed(const Attempt& attempt) {
    Outcome& now = outcomes_.try_emplace(attempt.recipient, Outcome::kQueued).first->second;
    if (now == attempt.outcome) return;
    now = attempt.outcome;
    surplus_.erase(attempt.recipient);
    if (attempt.outcome != Outcome::kDelivered) return;
    int& to = diluted_[attempt.recipient.substr(attempt.recipient.find('@'))];
    int& by = diluted_[absl::StrCat("by ", attempt.host)];
    if (to >= Dilution::kMost || by >= Dilution::kMost) {
      surplus_.insert(attempt.recipient);
    } else {
      ++to;
      ++by;
    }
  }
  Counts counts() const {
    Counts counts;
    for (const auto& [recipient, outcome] : outcomes_) {
      ++(outcome == Outcome::kDelivered  ? counts.delivered
         : outcome == Outcome::kDeferred ? counts.deferred
                                         : counts.failed);
    }
    counts.surplus = static_cast<int64_t>(surplus_.size());
    return counts;
  }

 private:
  std::map<std::string, Outcome> outcomes_;
  std::map<std::string, int> diluted_;
  std::set<std::string> surplus_;
};

class ManyRecipients : public testing::Test, public LimiterFixture {
 protected:
  ManyRecipients() : LimiterFixture(kManyPolicy, At(absl::Minutes(50)), /*ledger=*/false) {
    auto counting = std::make_unique<CountingStore>(NewMemoryStore("0badcafe", {}));
    counting_ = counting.get();
    store_ = std::make_unique<FaultyStore>(std::move(counting));
    Start();
  }

  static Attempt To(int recipient, absl::Duration at, Outcome outcome,
                    const std::string& message = "big") {
    Attempt attempt = MakeAttempt("a.example", At(at), outcome, message,
                                  absl::StrCat("r", recipient, "@d", recipient % 23, ".example"));
    attempt.host = absl::StrCat("mx", recipient % 11, ".example");
    attempt.reply = outcome == Outcome::kDelivered ? "250 ok" : "550 5.1.1 no such user";
    return attempt;
  }
  size_t StoredRows() { return ContentsOf(store_.get()).contributions.size(); }

  CountingStore* counting_;
};

TEST_F(ManyRecipients, CountsAreThoseOfTheOracleWhateverTheBatchesAndRestarts) {
  for (const int batch_size : {1, 7, 1000}) {
    for (const bool restarts : {false, true}) {
      SCOPED_TRACE(absl::StrCat("batches of ", batch_size, restarts ? ", restarts" : ""));
      store_ = std::make_unique<FaultyStore>(NewMemoryStore("0badcafe", {}));
      Start();
      ManyOracle oracle;
      std::mt19937 random(7);
      constexpr int kAttempts = 2'000;
      for (int i = 0; i < kAttempts; i += batch_size) {
        EventBatch batch;
        for (int j = i; j < std::min(i + batch_size, kAttempts); ++j) {
          // They come one after the other, and again at random.
          const int recipient = random() % 3 == 0 ? static_cast<int>(random() % 1'500) : j / 2;
          constexpr Outcome kOutcomes[] = {Outcome::kDelivered, Outcome::kDelivered,
                                           Outcome::kDelivered, Outcome::kDeferred,
                                           Outcome::kFailed};
          const Attempt attempt =
              To(recipient, absl::Milliseconds(200) * j, kOutcomes[random() % 5]);
          *batch.Add() = {LogEvent::Kind::kAttempt, attempt};
          oracle.Feed(attempt);
        }
        committer_->Record(batch);
        // Not every commit comes through.
        if (restarts && random() % 9 == 0) store_->FailCommits(1);
        if (!committer_->Commit().ok()) {
          ASSERT_THAT(committer_->Commit(), IsOk());
        }
        if (restarts && (batch_size > 1 || i % 50 == 0)) Start();
        if (i % 300 == 0) {
          ASSERT_EQ(CountsNow("a.example"), oracle.counts()) << i;
        }
      }
      EXPECT_EQ(CountsNow("a.example"), oracle.counts());
      EXPECT_GT(oracle.counts().surplus, 100);
      Complete("big");
      ASSERT_THAT(committer_->Commit(), IsOk());
      EXPECT_EQ(StoredRows(), 0u) << "nothing of it is left behind";
    }
  }
}

TEST_F(ManyRecipients, WhatACommitStoresDoesNotGrowWithTheRecipientsThereAre) {
  std::map<int, size_t> bytes_at;
  for (int i = 0; i < 20'000; ++i) {
    Feed(To(i, absl::Milliseconds(50) * i, i % 3 == 0 ? Outcome::kFailed : Outcome::kDelivered));
    if (i % 100 != 99) continue;
    ASSERT_THAT(committer_->Commit(), IsOk());
    bytes_at[i / 100] = counting_->bytes_;
  }
  // A hundred new ones.
  EXPECT_LE(bytes_at[199], bytes_at[1] * 2);
  // One that is retried, the first or the last.
  for (const int again : {0, 10'000, 19'999}) {
    Feed(To(again, absl::Minutes(20), Outcome::kDeferred));
    ASSERT_THAT(committer_->Commit(), IsOk());
    EXPECT_EQ(counting_->rows_, 1u);
    EXPECT_LE(counting_->bytes_, 200 * Recipients::kPart);
  }
  // And what is there is stored once.
  EXPECT_THAT(StoredRows(), AllOf(Ge(20'000 / Recipients::kPart), Le(20'100 / Recipients::kPart)));
}

// A message of an older deferd is in one row, however many recipients it has.
TEST_F(ManyRecipients, AnOlderDeferdsRowIsTakenOverAndSplit) {
  using Json = nlohmann::json;
  Json recipients = Json::array(), diluting = Json::array();
  const int64_t dated = absl::ToUnixMicros(At(absl::Minutes(1)));
  for (int i = 0; i < 1'000; ++i) {
    recipients.push_back({absl::StrCat("r", i, "@x.example"), static_cast<int>(i % 2 == 0), dated,
                          dated, 0, -1, 0, -1, ""});
  }
  for (uint64_t i = 1; i <= 300; ++i) diluting.push_back({i, 2});
  std::string text;
  Json::to_msgpack({{"id", "old"},
                    {"arrival", absl::ToUnixMicros(kMorning)},
                    {"charged", {{{0, "a.example"}, true}}},
                    {"recipients", recipients},
                    {"diluting", diluting}},
                   text);
  const std::string name = absl::StrCat("old ", absl::ToUnixMicros(kMorning));
  // With counts as they were: 500 deferred.
  for (int i = 0; i < 1'000; ++i) {
    Attempt attempt = MakeAttempt("a.example", At(absl::Minutes(1)),
                                  i % 2 == 0 ? Outcome::kDeferred : Outcome::kDelivered, "old",
                                  absl::StrCat("r", i, "@x.example"));
    Feed(attempt);
  }
  ASSERT_THAT(committer_->Commit(), IsOk());
  StoreBatch rewrite;
  for (const auto& [part, bytes] : ContentsOf(store_.get()).contributions) {
    rewrite.contributions.push_back({part, ""});
  }
  rewrite.contributions.push_back({name, text});
  ASSERT_THAT(store_->Commit(rewrite), IsOk());

  Start();
  EXPECT_EQ(limiter_->stats().messages, 1u);
  const auto deliver = [&](int recipient) {
    Feed(MakeAttempt("a.example", At(absl::Minutes(2)), Outcome::kDelivered, "old",
                     absl::StrCat("r", recipient, "@x.example")));
  };
  deliver(998);
  deliver(999);  // was delivered
  EXPECT_EQ(CountsNow("a.example").deferred, 499);
  EXPECT_EQ(CountsNow("a.example").delivered, 501);
  ASSERT_THAT(committer_->Commit(), IsOk());
  EXPECT_EQ(StoredRows(), (1'000 + Recipients::kPart - 1) / Recipients::kPart);
  Start();
  deliver(0);
  deliver(998);
  EXPECT_EQ(CountsNow("a.example").deferred, 498);
  ASSERT_THAT(committer_->Commit(), IsOk());
  EXPECT_LE(counting_->rows_, 3u) << "of each of them, and of what they diluted";
}

TEST_F(ManyRecipients, MessagesAndRecipientsAreBoundedTogether) {
  Contributions contributions(/*max_messages=*/1'000, /*max_recipients=*/10'000,
                              /*track_changes=*/true);
  const auto add = [&](int message, int recipient) {
    const MessageKey key = {absl::StrCat("m", message), At(absl::Seconds(message))};
    MessageRecord& record = contributions.OfMessage(key);
    const Recipients::Found found =
        contributions.OfRecipient(absl::StrCat("r", recipient), &record);
    contributions.Changed(key, &record, found.part);
  };
  for (int message = 0; message < 20; ++message) {
    for (int recipient = 0; recipient < 2'000; ++recipient) add(message, recipient);
  }
  EXPECT_LE(contributions.recipients(), 10'000u);
  EXPECT_GE(contributions.recipients(), 7'000u) << "no more is forgotten than needed";
  EXPECT_GT(contributions.evicted(), 10);
  EXPECT_EQ(contributions.Find({"m0", At(absl::ZeroDuration())}), nullptr);
  ASSERT_NE(contributions.Find({"m19", At(absl::Seconds(19))}), nullptr);
  // One that has them all.
  for (int recipient = 0; recipient < 50'000; ++recipient) add(30, recipient);
  EXPECT_LE(contributions.recipients(), 10'000u);
  EXPECT_TRUE(contributions.TakeGone().empty()) << "nothing was stored";
}

TEST(RecipientsTest, EachIsFoundAgainAndPartsAreFilledInOrder) {
  Recipients recipients;
  for (int i = 0; i < 10'000; ++i) {
    const auto [record, part] = recipients.Of(absl::StrCat("r", i));
    EXPECT_EQ(part, static_cast<size_t>(i) / Recipients::kPart);
    record->dated = At(absl::Seconds(i));
  }
  EXPECT_EQ(recipients.size(), 10'000u);
  for (int i = 0; i < 10'000; ++i) {
    const auto [record, part] = recipients.Find(absl::StrCat("r", i));
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(record->dated, At(absl::Seconds(i)));
    EXPECT_EQ(recipients.Of(absl::StrCat("r", i)).record, record);
  }
  EXPECT_EQ(recipients.Find("r10000").record, nullptr);
  EXPECT_EQ(recipients.size(), 10'000u);
}

}  // namespace
}  // namespace deferd
