// Several nodes, one store: counts are added, cases are everybody's.

#include <map>
#include <random>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/receipt_codec.h"
#include "limiter/store/window_row.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

constexpr char kBad[] = "bad.example";

TEST(Sharing, HalfTheBadMailOnEachNodeBlocksOnBoth) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kBad, 3);
  nodes[1].Fail(kBad, 2);
  EXPECT_FALSE(nodes[0].Blocked(kBad) || nodes[1].Blocked(kBad));
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked(kBad));
  EXPECT_TRUE(nodes[1].Blocked(kBad));
  EXPECT_EQ(nodes.nodes_.Announced(), 1);
  const Case at_0 = *nodes[0].cases_->FindOpen(Node::Domain(kBad), false);
  const Case at_1 = *nodes[1].cases_->FindOpen(Node::Domain(kBad), false);
  EXPECT_EQ(at_0.id, at_1.id);
  EXPECT_EQ(at_0.counts.bad(), 5);
  EXPECT_THAT(at_1.counts_by_node, UnorderedElementsAre(Pair(nodes[0].name_, Counts{.failed = 3}),
                                                        Pair(nodes[1].name_, Counts{.failed = 2})))
      << "who contributed what can be added up again";
}

// What one message may not dilute does so on no node.
TEST(Sharing, SurplusIsSharedAndDoesNotDilute) {
  MemoryCluster nodes(2);
  for (int i = 0; i < 500; ++i) {
    nodes[0].Record(LimiterFixture::MakeAttempt(kBad, nodes[0].clock_.Now(), Outcome::kDelivered,
                                                "big", absl::StrCat("r", i, "@pal.example")));
  }
  EXPECT_THAT(nodes[0].committer_->Commit(), IsOk());
  nodes.Sync();
  // A node reads the others' rows when it puts its own.
  nodes[1].Fail(kBad, 4);
  nodes.Sync();
  nodes[1].Fail(kBad, 46);
  nodes.Sync();
  EXPECT_EQ(nodes[1].CountsOf(kBad), (Counts{.delivered = 500, .failed = 50, .surplus = 450}));
  nodes[0].limiter_->nodes().ShareAll();
  nodes.Sync();
  EXPECT_EQ(nodes[1].CountsOf(kBad), nodes[0].CountsOf(kBad));
  ASSERT_TRUE(nodes[0].Blocked(kBad));
  const Case at_0 = *nodes[0].cases_->FindOpen(Node::Domain(kBad), false);
  EXPECT_EQ(at_0.percent, 50);
  EXPECT_EQ(at_0.counts.surplus, 450);
  EXPECT_THAT(at_0.counts_by_node,
              UnorderedElementsAre(Pair(nodes[0].name_, Counts{.delivered = 500, .surplus = 450}),
                                   Pair(nodes[1].name_, Counts{.failed = 50})));
}

// What a rule on classes, on distinct recipients or on what is sent counts is added over nodes.
TEST(Sharing, ClassesRecipientsAndWhatIsSentAreShared) {
  constexpr char kPolicy[] =
      "[rule.spam]\nclasses = [\"content\"]\nmin_bad = 4\n"
      "[rule.list]\nmin_recipients = 3\nany_share = true\nwindow = \"2h\"\n"
      "[rule.sent]\nmax_sent = 4\n";
  const auto fail = [](Node* node, const char* domain, const char* reply, const std::string& to) {
    Attempt attempt =
        LimiterFixture::MakeAttempt(domain, node->clock_.Now(), Outcome::kFailed, "", to);
    attempt.reply = reply;
    node->Record(attempt);
    EXPECT_THAT(node->committer_->Commit(), IsOk());
  };
  MemoryCluster nodes(2, kPolicy);
  constexpr char kSpam[] = "550 5.7.1 message content rejected as spam";
  for (int i = 0; i < 2; ++i) fail(&nodes[0], "spam.example", kSpam, "same@x");
  nodes.Sync();
  fail(&nodes[1], "spam.example", kSpam, "same@x");
  fail(&nodes[1], "spam.example", "550 5.1.1 User unknown", "same@x");
  nodes.Sync();
  EXPECT_FALSE(nodes[1].Blocked("spam.example")) << "three of them, to one recipient";
  fail(&nodes[1], "spam.example", kSpam, "same@x");
  nodes.Sync();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(nodes[i].Blocked("spam.example")) << i;
    EXPECT_EQ(nodes[i].cases_->FindOpen(Node::Domain("spam.example"), false)->rule, "spam") << i;
  }

  for (const char* to : {"a@x", "b@x"}) fail(&nodes[0], "list.example", "550 5.1.1 no", to);
  nodes.Sync();
  fail(&nodes[1], "list.example", "550 5.1.1 no", "b@x");
  nodes.Sync();
  EXPECT_FALSE(nodes[1].Blocked("list.example")) << "two, one of which both had";
  fail(&nodes[1], "list.example", "550 5.1.1 no", "c@x");
  nodes.Sync();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(nodes[i].Blocked("list.example")) << i;

  const auto arrive = [&](Node* node, int n) {
    for (int i = 0; i < n; ++i) {
      EventBatch batch;
      LogEvent* event = batch.Add();
      event->kind = LogEvent::Kind::kArrived;
      event->attempt.time = node->clock_.Now();
      event->attempt.message = {
          absl::StrCat(node->name_, "-", absl::ToUnixMicros(node->clock_.Now()), "-", i),
          node->clock_.Now()};
      event->attempt.identity = {.sender = "a@sent.example", .login = "a@sent.example"};
      node->committer_->Record(batch);
    }
    EXPECT_THAT(node->committer_->Commit(), IsOk());
  };
  arrive(&nodes[0], 2);
  nodes.Sync();
  arrive(&nodes[1], 1);
  nodes.Sync();
  EXPECT_FALSE(nodes[1].Blocked("sent.example"));
  nodes.Advance(absl::Seconds(1));
  arrive(&nodes[1], 1);
  nodes.Sync();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(nodes[i].Blocked("sent.example")) << i;
    EXPECT_EQ(nodes[i].cases_->FindOpen(Node::Domain("sent.example"), false)->counts.sent, 4) << i;
  }
}

// 127.0.0.1 is another machine on each node.
TEST(Sharing, LoopbackHostsAreEachNodesOwn) {
  MemoryCluster nodes(2, "[rule.r]\nkind = \"host\"\nmin_bad = 5\npercent = 50\n");
  const Subject host = *HostSubject("127.0.0.1");
  for (int node = 0; node < 2; ++node) {
    for (int i = 0; i < 4; ++i) {
      Attempt attempt =
          LimiterFixture::MakeAttempt("any", nodes[node].clock_.Now(), Outcome::kFailed);
      attempt.identity = {.sender = absl::StrCat("a@n", i, ".example"), .host = "127.0.0.1"};
      nodes[node].Record(attempt);
    }
    EXPECT_THAT(nodes[node].committer_->Commit(), IsOk());
  }
  nodes.Sync();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(nodes[i].limiter_->Report(host).counts.failed, 4) << i;
    EXPECT_FALSE(nodes[i].cases_->FindOpen(host, false).has_value()) << i;
  }
  Attempt attempt = LimiterFixture::MakeAttempt("any", nodes[0].clock_.Now(), Outcome::kFailed);
  attempt.identity = {.sender = "a@last.example", .host = "127.0.0.1"};
  nodes[0].Record(attempt);
  EXPECT_THAT(nodes[0].committer_->Commit(), IsOk());
  nodes.Sync();
  EXPECT_TRUE(nodes[0].cases_->FindOpen(host, false).has_value());
  EXPECT_EQ(nodes[0].announcements_.announced_.size(), 1u);
  EXPECT_FALSE(nodes[1].cases_->FindOpen(host, false).has_value());
}

TEST(Sharing, NoBlockWhereTheShareOfAllNodesIsLow) {
  MemoryCluster nodes(2);
  nodes[0].Deliver(kBad, 8);
  nodes[1].Fail(kBad, 1);
  nodes.Sync();
  nodes[1].Fail(kBad, 4);
  nodes.Sync();
  EXPECT_FALSE(nodes[1].Blocked(kBad)) << "5 of 13 (38%)";
  EXPECT_EQ(nodes[1].CountsOf(kBad), (Counts{.delivered = 8, .failed = 5}));
}

TEST(Sharing, BothAtOnceIsOneCaseAndOneAnnouncement) {
  MemoryCluster nodes(3);
  for (int i = 0; i < 3; ++i) nodes[i].Fail(kBad, 6);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(nodes[i].Blocked(kBad)) << "local counts decide";
  nodes.Sync();
  EXPECT_EQ(nodes.nodes_.Announced(), 1);
  const std::string id = nodes[0].cases_->FindOpen(Node::Domain(kBad), false)->id;
  for (int i = 1; i < 3; ++i) {
    EXPECT_EQ(nodes[i].cases_->FindOpen(Node::Domain(kBad), false)->id, id);
    EXPECT_THAT(nodes[i].cases_->Closed(10), IsEmpty()) << "the others never were";
    nodes[i].Start();
    EXPECT_EQ(nodes[i].cases_->FindOpen(Node::Domain(kBad), false)->id, id) << "after a restart";
    EXPECT_EQ(nodes[i].cases_->Open().size(), 1u);
  }
}

TEST(Sharing, UnblockOnOneFreesAllAndCountsAnew) {
  MemoryCluster nodes(3);
  nodes[0].Fail(kBad, 3);
  nodes[1].Fail(kBad, 3);
  nodes.Sync();
  nodes.Advance(absl::Minutes(2));
  EXPECT_THAT(nodes[2].Unblock(kBad), IsOk()) << "by a node that saw none of it";
  nodes.Sync();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(nodes[i].Blocked(kBad)) << i;
    EXPECT_EQ(nodes[i].CountsOf(kBad).bad(), 0) << i;
  }
  nodes.Advance(absl::Minutes(2));
  nodes[0].Fail(kBad, 4);
  nodes.Sync();
  EXPECT_FALSE(nodes[0].Blocked(kBad));
  nodes[1].Fail(kBad, 1);
  nodes.Sync();
  EXPECT_TRUE(nodes[2].Blocked(kBad)) << "only what came after it counts, on all nodes";
}

TEST(Sharing, APersonsBlockReachesAllAndHasTheLastWord) {
  MemoryCluster nodes(2);
  nodes[0].Block(kBad);
  nodes[1].Fail(kBad, 6);  // a rule of the other node, at the same time
  EXPECT_TRUE(nodes[1].Blocked(kBad));
  nodes[1].publisher_->Round();  // and it is first
  nodes.Sync();
  for (int i = 0; i < 2; ++i) {
    std::optional<Case> open = nodes[i].cases_->FindOpen(Node::Domain(kBad), false);
    ASSERT_TRUE(open.has_value());
    EXPECT_TRUE(open->manual) << i;
    EXPECT_EQ(open->reason, "abuse");
  }
}

// Whichever of the three a node hears of first.
TEST(Sharing, AnExemptionHoldsOnAllNodesWhateverARuleOfAnotherDidMeanwhile) {
  for (const std::string who : {kBad, "*.example"}) {
    for (const bool first : {true, false}) {
      SCOPED_TRACE(absl::StrCat(who, first ? " first" : " last"));
      MemoryCluster nodes(3);
      nodes.Sync();
      nodes[0].committer_->Exempt(Node::Domain(who), kForever, "root", "customer");
      ASSERT_THAT(nodes[0].committer_->Commit(true), IsOk());
      nodes[1].Fail(kBad, 6);
      EXPECT_TRUE(nodes[1].Blocked(kBad)) << "it does not know yet";
      nodes[first ? 0 : 1].publisher_->Round();
      nodes.Sync();
      nodes.Sync();
      for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(nodes[i].Blocked(kBad)) << i;
        EXPECT_EQ(nodes[i].cases_->CountExemptions(), 1u) << i;
        nodes[i].Start();
        EXPECT_EQ(nodes[i].cases_->CountExemptions(), 1u) << "after a restart " << i;
      }
      EXPECT_EQ(nodes[1].CountsOf(kBad).bad(), 6) << "counted all the while";
      // Ended by another node than it was made on.
      nodes.Sync();
      nodes.Advance(absl::Minutes(1));
      ASSERT_THAT(nodes[2].committer_->EndExemption(Node::Domain(who), "root", "").status(),
                  IsOk());
      ASSERT_THAT(nodes[2].committer_->Commit(true), IsOk());
      nodes.Sync();
      for (int i = 0; i < 3; ++i) EXPECT_EQ(nodes[i].cases_->CountExemptions(), 0u) << i;
      nodes[1].Fail(kBad, 1);
      nodes.Sync();
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(nodes[i].Blocked(kBad)) << i;
    }
  }
}

TEST(Sharing, ABlockOfAllNamesBelowADomainReachesAllNodesAndSurvivesAnEmptiedStore) {
  MemoryCluster nodes(2);
  nodes[0].Block("*.bad.example", kForever);
  nodes.Sync();
  EXPECT_TRUE(nodes[1].Blocked("a.b.bad.example"));
  EXPECT_FALSE(nodes[1].Blocked("bad.example"));
  nodes.server_.Flush();
  nodes.Advance(absl::Hours(24 * 40));
  nodes.Sync();
  EXPECT_TRUE(nodes[1].Blocked("a.b.bad.example"));
  ASSERT_THAT(nodes[1].Unblock("*.bad.example"), IsOk());
  nodes.Sync();
  EXPECT_FALSE(nodes[0].Blocked("a.b.bad.example"));
}

TEST(Sharing, ConcurrentBlockAndUnblockEndEqual) {
  for (int first : {0, 1}) {
    MemoryCluster nodes(2);
    nodes[0].Fail(kBad, 6);
    nodes.Sync();
    nodes.Advance(absl::Minutes(1));
    ASSERT_THAT(nodes[0].Unblock(kBad), IsOk());
    nodes[1].Block(kBad);
    nodes[first].publisher_->Round();
    nodes.Sync();
    EXPECT_EQ(nodes[0].Blocked(kBad), nodes[1].Blocked(kBad)) << "first " << first;
    const CaseExchange::Name name = {Node::Domain(kBad), false};
    nodes.Sync();
    EXPECT_FALSE(nodes[0].limiter_->nodes().CaseWaits(name.first));
    EXPECT_FALSE(nodes[1].limiter_->nodes().CaseWaits(name.first));
  }
}

TEST(Sharing, WhileTheStoreIsAwayLocalCountsDecideAndAfterwardsSumsAreRight) {
  MemoryCluster nodes(2);
  nodes.Sync();
  nodes.server_.SetTrouble(SharedTrouble::kGone);
  for (int minute = 0; minute < 60; ++minute) {
    nodes[0].Fail("local.example", 1);
    nodes[0].Fail(kBad, minute % 20 == 19 ? 1 : 0);
    nodes[1].Fail(kBad, minute % 20 == 19 ? 1 : 0);
    nodes.Sync();
    nodes.Advance(absl::Minutes(1));
  }
  EXPECT_TRUE(nodes[0].Blocked("local.example"));
  EXPECT_FALSE(nodes[1].Blocked("local.example")) << "nobody told it";
  EXPECT_FALSE(nodes[0].Blocked(kBad));
  EXPECT_EQ(nodes.nodes_.Announced(), 1) << "people do not wait for the store";
  EXPECT_LE(nodes[0].limiter_->nodes().stats().waiting_subjects, 2u) << "names, not attempts";
  EXPECT_EQ(nodes[0].publisher_->status().trouble, SharedTrouble::kGone);

  nodes.server_.SetTrouble(SharedTrouble::kNone);
  nodes.Sync();
  EXPECT_TRUE(nodes[1].Blocked("local.example"));
  EXPECT_TRUE(nodes[0].Blocked(kBad));
  EXPECT_EQ(nodes[1].CountsOf(kBad).bad(), 6);
  EXPECT_EQ(nodes.nodes_.Announced(), 2) << "each once";
  EXPECT_EQ(nodes[0].publisher_->status().trouble, SharedTrouble::kNone);
}

TEST(Sharing, WhileTheStoreIsAwayThePausesGrowAndNothingCutsThemShort) {
  MemoryCluster nodes(1);
  nodes.server_.SetTrouble(SharedTrouble::kGone);
  absl::Duration before;
  for (int round = 0; round < 20; ++round) {
    const Publisher::Pause pause = nodes[0].publisher_->Round();
    EXPECT_FALSE(pause.woken);
    EXPECT_GT(pause.at_most, absl::ZeroDuration());
    EXPECT_LE(pause.at_most, Publisher::kLongestPause);
    if (round == 0) before = pause.at_most;
    if (round == 19) {
      EXPECT_GT(pause.at_most, 5 * before);
    }
  }
  nodes.server_.SetTrouble(SharedTrouble::kNone);
  const Publisher::Pause pause = nodes[0].publisher_->Round();
  EXPECT_TRUE(pause.woken);
  EXPECT_LE(pause.at_most, Publisher::kBeat);
  EXPECT_EQ(nodes[0].publisher_->status().troubles[static_cast<int>(SharedTrouble::kGone)], 20);
}

TEST(Sharing, AnEmptiedStoreIsFilledAgainByEveryNode) {
  MemoryCluster nodes(3);
  nodes[0].Fail(kBad, 3);
  nodes[1].Fail(kBad, 1);
  nodes[2].Block("manual.example");
  nodes.Sync();
  nodes.server_.Flush();
  nodes.Advance(Publisher::kBeat + absl::Seconds(1));
  nodes.Sync();
  nodes[2].Fail(kBad, 1);
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked(kBad));
  EXPECT_EQ(nodes[2].CountsOf(kBad).bad(), 5);
  nodes[0].Start();  // with an empty memory of the others
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked("manual.example"));
}

// Contract, oracle 8: a failover forgets an unblock.
TEST(Sharing, AForgottenUnblockIsPutAgain) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kBad, 6);
  nodes.Sync();
  auto store = nodes.server_.NewStore({.node = "cccccccc"});
  ASSERT_THAT(store->Connect(), IsOk());
  const std::vector<SharedCase> before = *store->ReadCases();
  nodes.Advance(absl::Minutes(1));
  ASSERT_THAT(nodes[0].Unblock(kBad), IsOk());
  nodes[0].publisher_->Round();  // the old master knows; the other node does not
  nodes.server_.Flush();
  for (const SharedCase& record : before) ASSERT_THAT(store->PutCase(record).status(), IsOk());
  nodes.Advance(Publisher::kBeat + absl::Seconds(1));
  nodes.Sync();
  nodes.Sync();
  EXPECT_FALSE(nodes[0].Blocked(kBad));
  EXPECT_FALSE(nodes[1].Blocked(kBad));
}

TEST(Sharing, ABlockEndsOnAllNodesUnlessItTripsAgainByAllNodesCounts) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kBad, 5);
  nodes[0].Fail("again.example", 5);
  nodes.Sync();
  nodes.Advance(absl::Minutes(50));
  // After the block began: neither node alone would do.
  nodes[0].Fail("again.example", 3);
  nodes[1].Fail("again.example", 2);
  // Shortly before its end the rows are looked at with every beat.
  nodes.Advance(absl::Minutes(10) - absl::Seconds(5));
  nodes.Sync();
  nodes.Advance(absl::Seconds(3));
  nodes.Sync();
  nodes.Advance(absl::Seconds(3));
  for (int i = 0; i < 2; ++i) nodes[i].Tick();
  nodes.Sync();
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(nodes[i].Blocked(kBad)) << i;
    EXPECT_TRUE(nodes[i].Blocked("again.example")) << i;
    EXPECT_EQ(nodes[i].cases_->FindOpen(Node::Domain("again.example"), false)->extended, 1);
  }
}

TEST(Sharing, ARestartKnowsAllCasesAndClearings) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kBad, 6);
  nodes[0].Fail("free.example", 6);
  nodes.Sync();
  nodes.Advance(absl::Minutes(1));
  ASSERT_THAT(nodes[0].Unblock("free.example"), IsOk());
  nodes.Sync();
  nodes.server_.SetTrouble(SharedTrouble::kGone);
  nodes[1].Start();
  EXPECT_TRUE(nodes[1].Blocked(kBad)) << "the table lives on the disk too";
  EXPECT_FALSE(nodes[1].Blocked("free.example"));
  nodes.server_.SetTrouble(SharedTrouble::kNone);
  nodes.Sync();
  EXPECT_EQ(nodes[1].CountsOf("free.example").bad(), 0) << "only what came after the unblock";
  EXPECT_EQ(nodes.nodes_.Announced(), 2) << "no restart tells people again";
}

TEST(Sharing, ALostStateDirectoryIsNotCountedTwiceUnderTheSameName) {
  MemoryCluster nodes(2);
  nodes[0].Start();
  nodes[0].Start();
  nodes[0].Fail(kBad, 3);
  nodes.Sync();
  nodes[0].store_ = NewMemoryStore(nodes[0].name_, {});
  nodes[0].incarnation_ = 0;
  nodes[0].Start();
  nodes[0].Fail(kBad, 3);  // its log, read again
  nodes.Sync();
  nodes[1].Fail(kBad, 1);
  nodes.Sync();
  EXPECT_EQ(nodes[1].CountsOf(kBad).bad(), 4);
  nodes[0].Fail(kBad, 1);
  nodes.Sync();
  nodes[1].Fail(kBad, 1);
  nodes.Sync();
  EXPECT_TRUE(nodes[1].Blocked(kBad)) << "and its newer rows are taken";
}

TEST(Sharing, ReceiptsHaveEveryNodesAttempts) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kBad, 3);
  nodes[1].Fail(kBad, 2);
  nodes.Sync();
  nodes.Sync();
  const Case open = *nodes[0].cases_->FindOpen(Node::Domain(kBad), false);
  auto store = nodes.server_.NewStore({.node = "cccccccc"});
  ASSERT_THAT(store->Connect(), IsOk());
  auto parts = store->ReadReceipt(open.subject, open.id);
  ASSERT_THAT(parts.status(), IsOk());
  std::map<std::string, size_t> attempts;
  for (const SharedRow& part : *parts) {
    auto rows = ParseSharedReceipt(part.row);
    ASSERT_THAT(rows.status(), IsOk());
    attempts[part.node] = rows->size();
  }
  EXPECT_THAT(attempts, UnorderedElementsAre(Pair(nodes[0].name_, 3u), Pair(nodes[1].name_, 2u)));
}

TEST(Sharing, APersonLearnsWhetherTheDecisionIsShared) {
  MemoryCluster nodes(2);
  nodes.Sync();
  nodes[0].Block(kBad);
  EXPECT_TRUE(nodes[0].limiter_->nodes().CaseWaits(Node::Domain(kBad)));
  nodes[0].publisher_->Round();
  EXPECT_THAT(nodes[0].publisher_->WaitForCase(Node::Domain(kBad), absl::Seconds(1)), IsOk());
  nodes.server_.SetTrouble(SharedTrouble::kGone);
  nodes[0].publisher_->Round();
  nodes[0].Block("other.example");
  absl::Status waited =
      nodes[0].publisher_->WaitForCase(Node::Domain("other.example"), absl::Seconds(1));
  EXPECT_THAT(std::string(waited.message()), HasSubstr("gone"));
}

TEST(Sharing, NarrowerSubjectsAreSharedAndTakenOutOfTheirDomain) {
  MemoryCluster nodes(2,
                      "[rule.domain]\nmin_bad = 5\npercent = 50\n"
                      "[rule.login]\nkind = \"login\"\nmin_bad = 4\npercent = 50\n");
  nodes[0].Fail(kBad, 2);
  nodes[1].Fail(kBad, 2);
  nodes.Sync();
  const Subject bob = {SubjectKind::kLogin, "bob@bad.example"};
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(nodes[i].cases_->FindOpen(bob, false).has_value()) << i;
  }
  nodes[0].Fail(kBad, 3);
  nodes.Sync();
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(nodes[i].Blocked(kBad)) << "all of it is the blocked login's";
  }
}

TEST(Sharing, ANodeOnTrialDoesNotEndWhatTheOthersEnforce) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kBad, 6);
  nodes.Sync();
  nodes[1].settings_.policy =
      LimiterFixture::ParsedPolicy(std::string("mode = \"shadow\"\n") + kFivePolicy);
  nodes[1].committer_->SetSettings(nodes[1].settings_);
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked(kBad));
  nodes[1].Start();
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked(kBad));
  nodes[0].settings_.policy = nodes[1].settings_.policy;
  nodes[0].committer_->SetSettings(nodes[0].settings_);
  nodes.Sync();
  EXPECT_FALSE(nodes[1].Blocked(kBad)) << "who opened it ends it";
}

TEST(Sharing, WhatNobodyCanHaveMeantIsLeftOutAndCounted) {
  MemoryCluster nodes(1);
  nodes.Sync();
  auto other = nodes.server_.NewStore({.node = "cccccccc"});
  ASSERT_THAT(other->Connect(), IsOk());
  const RowKey key = {Node::Domain(kBad), absl::Hours(1)};
  WindowRow huge;
  huge.version = 1;
  huge.cells.push_back({.step = 29'922'360, .counts = {.failed = int64_t{1} << 60}});
  ASSERT_THAT(other->PutRows({{key, 1, EncodeWindowRow(huge)}}).status(), IsOk());
  auto unknown = nodes.server_.NewStore({.node = "dddddddd"});
  ASSERT_THAT(unknown->Connect(), IsOk());
  ASSERT_THAT(
      unknown->PutRows({{key, 1, std::string(8, '\0') + "\x02 of a later deferd"}}).status(),
      IsOk());
  for (const char* text :
       {"no json", "[]", "{}", "null", "{\"id\":7}",
        "{\"id\":\"x\",\"within\":[0,\"\"],\"state\":0,\"action\":[],\"counts\":[0,0,0],"
        "\"window\":0,\"since\":1795334400000000,\"until\":1795334500000000}",
        "{\"id\":\"x\",\"within\":[0,\"\"],\"state\":9,\"action\":[],\"counts\":[0,0,0]}"}) {
    static int64_t rev = 0;
    ASSERT_THAT(other->PutCase({Node::Domain(kBad), false, ++rev, false, text}).status(), IsOk());
    nodes.Sync();
  }
  nodes[0].Fail(kBad, 5);
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked(kBad)) << "local counts decide";
  EXPECT_EQ(nodes.nodes_.Announced(), 1);
  EXPECT_EQ(nodes[0].CountsOf(kBad).bad(), 5);
  EXPECT_GE(nodes[0].limiter_->nodes().stats().unreadable_rows, 2);
  EXPECT_GE(nodes[0].limiter_->nodes().stats().unreadable_cases, 7);
}

TEST(Sharing, EachTroubleIsNamedCountedAndOver) {
  for (int t = 1; t < kSharedTroubles; ++t) {
    const auto trouble = static_cast<SharedTrouble>(t);
    MemoryCluster nodes(1);
    nodes.Sync();
    nodes.server_.SetTrouble(trouble);
    nodes[0].Fail(kBad, 5);
    nodes.Sync();
    const Publisher::Status during = nodes[0].publisher_->status();
    EXPECT_TRUE(nodes[0].Blocked(kBad)) << SharedTroubleName(trouble);
    EXPECT_EQ(SharedTroubleName(during.trouble), SharedTroubleName(trouble));
    EXPECT_GT(during.troubles[t], 0);
    nodes.server_.SetTrouble(SharedTrouble::kNone);
    nodes.Advance(Publisher::kBeat);  // what was refused alone is tried with the beat
    nodes.Sync();
    EXPECT_EQ(SharedTroubleName(nodes[0].publisher_->status().trouble), "none");
    EXPECT_EQ(nodes[0].limiter_->nodes().stats().waiting_subjects, 0u)
        << SharedTroubleName(trouble);
    EXPECT_EQ(nodes[0].limiter_->nodes().stats().waiting_cases, 0u) << SharedTroubleName(trouble);
  }
}

// Contract, oracle 11: clocks ten minutes off; what each node counts is counted in true time.
TEST(Sharing, NodesWhoseClocksAreOffAddUpInTrueTime) {
  MemoryCluster nodes(3);
  nodes[1].clock_.Advance(-absl::Minutes(10));
  nodes[2].clock_.Advance(absl::Minutes(10));
  nodes.Sync();
  for (int i = 0; i < 3; ++i) nodes[i].Fail(kBad, 1);
  nodes.Sync();
  nodes.Advance(absl::Minutes(55));
  for (int i = 0; i < 3; ++i) nodes[i].Fail(kBad, 1);
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked(kBad)) << "6 within 55 true minutes";
  // A case's times are those of each node's own clock.
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(nodes[i].Blocked(kBad)) << i;
    const Case open = *nodes[i].cases_->FindOpen(Node::Domain(kBad), false);
    EXPECT_LE(absl::AbsDuration(open.until - nodes[i].clock_.Now() - absl::Hours(1)),
              absl::Seconds(1))
        << i;
  }
  nodes.Advance(absl::Minutes(6));
  for (int i = 0; i < 3; ++i) {
    nodes[i].Deliver(kBad, 1);
    nodes.Sync();
  }
  nodes.Sync();
  EXPECT_EQ(nodes[2].CountsOf(kBad).bad(), 3) << "the first three are over an hour old";
}

TEST(Sharing, ARoughOffsetOfTheClocksIsTakenOnlyWhileThereIsNone) {
  MemoryCluster nodes(1);
  NodeExchange& exchange = nodes[0].limiter_->nodes();
  const absl::Time now = nodes[0].clock_.Now();
  const auto offset = [&] { return absl::ToInt64Seconds(exchange.stats().clock_offset); };
  exchange.SetClockOffset(
      ClockOffset(absl::Seconds(2), now + absl::Seconds(40), now + absl::Seconds(2)));
  EXPECT_EQ(offset(), 39) << "better than none";
  exchange.SetClockOffset(ClockOffset(absl::ZeroDuration(), now + absl::Seconds(30), now));
  EXPECT_EQ(offset(), 30);
  exchange.SetClockOffset(
      ClockOffset(absl::Seconds(2), now + absl::Seconds(50), now + absl::Seconds(2)));
  EXPECT_EQ(offset(), 30) << "it took too long";
}

// Of a cluster, whose masters are silent one by one.
TEST(Sharing, WhereTheStoresTimeIsNotToldCasesAreFollowedOn) {
  MemoryCluster nodes(2);
  nodes.Sync();
  nodes.server_.SetTimeSilent(true);
  nodes.Advance(CaseFollower::kMergeEvery);
  nodes[0].Fail(kBad, 6);
  nodes.Sync();
  EXPECT_TRUE(nodes[1].Blocked(kBad));
}

// Clocks are set by minutes, before and after what a person decides, while a daemon is down too.
TEST(Sharing, ThePersonsLastOrderHoldsWhateverClocksAreSetTo) {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); };
    MemoryCluster nodes(3);
    std::vector<absl::Duration> ahead(3);
    bool blocked = false;
    for (int i = 0; i < 20; ++i) {
      const auto at = static_cast<size_t>(below(3));
      Node& node = nodes[at];
      const absl::Duration set = absl::Seconds(below(481) - 240) - ahead[at];
      if (below(3) == 0) {
        node.clock_.Step(set);
        ahead[at] += set;
      }
      if (below(5) == 0) node.Start();
      if (below(4) == 0) {  // before a run's first measurement, too
        nodes.server_.SetTrouble(SharedTrouble::kGone);
        nodes.Sync();
      }
      if (below(2) == 0) {
        if (blocked) {
          ASSERT_THAT(node.Unblock(kBad), IsOk());
        } else {
          node.Block(kBad);
        }
        blocked = !blocked;
      }
      if (below(3) == 0) {
        const absl::Duration again = absl::Seconds(below(481) - 240) - ahead[at];
        node.clock_.Step(again);
        ahead[at] += again;
      }
      nodes.server_.SetTrouble(SharedTrouble::kNone);
      nodes.Advance(absl::Milliseconds(below(3000)));
      nodes.Sync();
      for (size_t other = 0; other < 3; ++other) {
        ASSERT_EQ(nodes[other].Blocked(kBad), blocked) << "seed " << seed << ", step " << i;
      }
    }
  }
}

TEST(Sharing, AClockThatTremblesPutsNothingAgain) {
  MemoryCluster nodes(1);
  nodes[0].clock_.Advance(absl::Seconds(30));  // half a step
  nodes[0].Fail(kBad, 3);
  nodes.Sync();
  const int64_t put = nodes[0].publisher_->status().rows_put;
  for (int beat = 0; beat < 10; ++beat) {
    nodes[0].clock_.Advance(beat % 2 == 0 ? absl::Milliseconds(400) : -absl::Milliseconds(400));
    nodes.Advance(Publisher::kBeat);
    nodes.Sync();
  }
  EXPECT_EQ(nodes[0].publisher_->status().rows_put, put);
  EXPECT_NEAR(absl::ToDoubleSeconds(nodes[0].limiter_->nodes().stats().clock_offset), -30, 1);
}

// Orders in quick succession, each in knowledge of the one before, while the nodes' readings of the
// shared clock tremble.
TEST(Sharing, TheLastOfAPersonsOrdersHolds) {
  std::mt19937 random(7);
  const auto upto = [&](unsigned n) { return random() % n; };
  MemoryCluster nodes(3);
  bool blocked = false;
  for (int order = 0; order < 200; ++order) {
    nodes.Advance(absl::Milliseconds(upto(300)));
    Node& node = nodes[upto(3)];
    const absl::Duration apart = absl::Milliseconds(static_cast<int>(upto(60)) - 30);
    node.clock_.Advance(apart);
    if (upto(2) == 0) nodes.Sync();  // the reading is as wrong as the clock
    if (blocked) {
      ASSERT_THAT(node.Unblock(kBad), IsOk());
    } else {
      node.Block(kBad);
    }
    blocked = !blocked;
    const bool now = upto(2) == 0;
    if (now) node.clock_.Advance(-apart);
    nodes.Sync();
    if (!now) node.clock_.Advance(-apart);
    for (int i = 0; i < 3; ++i) {
      ASSERT_EQ(nodes[i].Blocked(kBad), blocked) << "order " << order << ", node " << i;
    }
  }
}

TEST(Sharing, AnUnblockOfWhatWasOverOutlivesARestart) {
  for (bool restart : {false, true}) {
    MemoryCluster nodes(2);
    nodes[1].Fail(kBad, 5);
    ASSERT_TRUE(nodes[1].Blocked(kBad));
    const absl::Time then = nodes[0].clock_.Now() - absl::Minutes(61);
    for (int i = 0; i < 5; ++i) {
      nodes[0].Record(LimiterFixture::MakeAttempt(kBad, then, Outcome::kFailed));
    }
    nodes.Advance(absl::Seconds(1));
    ASSERT_THAT(nodes[0].Unblock(kBad), IsOk());
    if (restart) nodes[0].Start();
    nodes.Sync();
    EXPECT_FALSE(nodes[0].Blocked(kBad)) << restart;
    EXPECT_FALSE(nodes[1].Blocked(kBad)) << restart;
  }
}

// The others' record says so, or nobody has noticed yet.
TEST(Sharing, ACaseThatIsOverEndsNoLaterOne) {
  for (bool noticed : {true, false}) {
    MemoryCluster nodes(2);
    nodes[1].Fail(kBad, 5);
    nodes[1].publisher_->Round();
    nodes.Advance(absl::Minutes(65));
    if (noticed) nodes[1].Tick();
    nodes[1].publisher_->Round();
    nodes[0].Fail(kBad, 5);  // it has not heard of that case
    ASSERT_TRUE(nodes[0].Blocked(kBad));
    nodes.Sync();
    for (int i = 0; i < 2; ++i) nodes[i].Tick();
    nodes.Sync();
    EXPECT_TRUE(nodes[0].Blocked(kBad)) << noticed;
    EXPECT_TRUE(nodes[1].Blocked(kBad)) << noticed;
  }
}

TEST(Sharing, AnEndedCaseStaysEndedThoughItsRowRemains) {
  MemoryCluster nodes(2);
  nodes[1].Fail(kBad, 4);
  nodes.Sync();
  nodes.Advance(absl::Minutes(59));
  nodes[0].Fail(kBad, 1);
  nodes.Sync();
  EXPECT_TRUE(nodes[0].Blocked(kBad)) << "still live";
  nodes[1].Fail("other.example", 4);
  nodes.Sync();
  nodes.Advance(absl::Minutes(61));
  nodes[0].Fail("other.example", 1);
  nodes.Sync();
  EXPECT_FALSE(nodes[0].Blocked("other.example"));
  EXPECT_EQ(nodes[0].CountsOf("other.example").bad(), 1);
}

TEST(Sharing, CasesLongOverAreDroppedByAllAndPutByNobody) {
  MemoryCluster nodes(2);
  nodes[0].Fail(kBad, 6);
  nodes.Sync();
  ASSERT_THAT(nodes[1].Unblock(kBad), IsOk());
  nodes.Sync();
  auto store = nodes.server_.NewStore({.node = "cccccccc"});
  ASSERT_THAT(store->Connect(), IsOk());
  EXPECT_EQ(store->ReadCases()->size(), 1u);
  nodes.Advance(absl::Hours(24 * 8));
  nodes[0].Fail("x.example");  // with the log's time, what is over is forgotten
  nodes.Sync();
  EXPECT_THAT(*store->ReadCases(), IsEmpty());
  nodes.Advance(CaseFollower::kMergeEvery);
  nodes.Sync();
  EXPECT_THAT(*store->ReadCases(), IsEmpty()) << "also by the node that still remembers it";
}

// Contract, oracle 1: killed at any place between counting, storing and putting, and read again
// from what is stored, in batches of any size: the rows are those of the plain list.
TEST(Sharing, AKillAnywhereCountsNothingTwiceAndLosesNothing) {
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    std::mt19937 random(seed);
    MemoryCluster nodes(1, "[rule.r]\nmin_bad = 1000000\npercent = 100\n");
    Node& node = nodes[0];
    std::vector<Attempt> log;
    std::map<std::string, int64_t> expected;
    for (int i = 0; i < 200; ++i) {
      const std::string domain = absl::StrCat("d", random() % 4, ".example");
      log.push_back(LimiterFixture::MakeAttempt(
          domain, node.clock_.Now() - absl::Minutes(40) + absl::Seconds(10 * i), Outcome::kFailed));
      ++expected[domain];
    }
    size_t read = 0;
    size_t stored = 0;
    while (stored < log.size()) {
      switch (random() % 5) {
        case 0:
          node.publisher_->Round();
          break;
        case 1:
          ASSERT_THAT(node.committer_->Commit(), IsOk());
          stored = read;
          break;
        case 2:
          if (random() % 2 == 0) break;
          node.Start();
          read = stored;
          break;
        default:
          for (size_t n = random() % 30; n > 0 && read < log.size(); --n) node.Record(log[read++]);
      }
    }
    nodes.Sync();
    auto store = nodes.server_.NewStore({.node = "cccccccc"});
    ASSERT_THAT(store->Connect(), IsOk());
    for (const auto& [domain, count] : expected) {
      auto answers = store->ReadRows({{Node::Domain(domain), absl::Hours(1)}});
      ASSERT_THAT(answers.status(), IsOk());
      ASSERT_EQ(answers->front().rows.size(), 1u);
      absl::StatusOr<WindowRow> row = DecodeWindowRow(answers->front().rows.front().row);
      ASSERT_THAT(row.status(), IsOk());
      int64_t failed = 0;
      for (const WindowCell& cell : row->cells) failed += cell.counts.failed;
      EXPECT_EQ(failed, count) << "seed " << seed << " " << domain;
    }
  }
}

// Contract, oracles 4 and 10 over the whole: any traffic, any order of rounds, unblocks and
// restarts; after quiet every node that is asked knows the sums of the plain list.
TEST(Sharing, AnyInterleavingEndsWithTheSumsOfThePlainList) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    MemoryCluster nodes(4, "[rule.r]\nmin_bad = 1000000\npercent = 100\n");
    struct Event {
      absl::Time time;
      int domain;
    };
    std::vector<Event> events;
    std::map<int, absl::Time> cleared;
    const StepClock steps(absl::Hours(1));
    for (int i = 0; i < 400; ++i) {
      Node& node = nodes[random() % 4];
      const int domain = static_cast<int>(random() % 3);
      const std::string name = absl::StrCat("d", domain, ".example");
      switch (random() % 12) {
        case 0:
          nodes.Advance(absl::Seconds(random() % 300));
          break;
        case 1:
          node.publisher_->Round();
          break;
        case 2:
          node.follower_->Round(absl::ZeroDuration()).IgnoreError();
          break;
        case 3:
          if (random() % 3 == 0) node.Start();
          break;
        case 4:
          if (random() % 3 == 0) nodes.server_.Flush();
          break;
        case 5:
          if (random() % 3 == 0) {
            nodes.server_.SetTrouble(random() % 2 == 0 ? SharedTrouble::kGone
                                                       : SharedTrouble::kNone);
          }
          break;
        case 6:
          if (random() % 4 == 0) {
            node.Block(name);
            nodes.server_.SetTrouble(SharedTrouble::kNone);
            ASSERT_THAT(node.Unblock(name), IsOk());
            cleared[domain] = nodes.clock_.Now();
          }
          break;
        default:
          node.Fail(name, 1);
          events.push_back({nodes.clock_.Now(), domain});
      }
    }
    nodes.server_.SetTrouble(SharedTrouble::kNone);
    nodes.Advance(Publisher::kBeat);
    nodes.Sync();
    nodes.Advance(Publisher::kBeat);
    for (int i = 0; i < 4; ++i) nodes[i].limiter_->nodes().ShareAll();
    nodes.Sync();
    const int64_t now_step = steps.StepOf(nodes.clock_.Now());
    for (int domain = 0; domain < 3; ++domain) {
      int64_t expected = 0;
      for (const Event& event : events) {
        const int64_t step = steps.StepOf(event.time);
        const bool after = !cleared.contains(domain) || step > steps.StepOf(cleared[domain]);
        if (event.domain == domain && steps.Live(step, now_step) && after) ++expected;
      }
      const std::string name = absl::StrCat("d", domain, ".example");
      for (int i = 0; i < 4; ++i) {
        const std::vector<RowKey> keys = nodes[i].limiter_->nodes().RowKeysOf(Node::Domain(name));
        auto store = nodes.server_.NewStore({.node = "cccccccc"});
        ASSERT_THAT(store->Connect(), IsOk());
        auto answers = store->ReadRows(keys);
        ASSERT_THAT(answers.status(), IsOk());
        nodes[i].limiter_->nodes().RowsRead(keys, *answers);
        EXPECT_EQ(nodes[i].CountsOf(name).bad(), expected)
            << "seed " << seed << " node " << i << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace deferd
