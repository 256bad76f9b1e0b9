// Answers by class, distinct recipients and what is sent, over four nodes: every node comes to what
// a plain list of everything comes to.

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/store/redis_keys.h"
#include "tests/limiter/sharing/cluster.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

constexpr char kSidePolicy[] = R"(
[rule.spam]
classes = ["content"]
min_bad = 100000
window = "10m"
[rule.list]
min_recipients = 1000
any_share = true
window = "10m"
[rule.sent]
max_sent = 100000
window = "10m"
[rule.spamlist]
classes = ["content"]
min_bad = 100000
min_recipients = 1000
window = "10m"
)";

constexpr char kName[] = "shop.example";

struct SideEntry {
  absl::Time at;
  bool sent = false;
  bool content = false;
  std::string recipient;
};

TEST(SideRows, OfFourNodesEqualAPlainList) {
  constexpr size_t kNodes = 4;
  for (uint32_t seed = 1; seed <= 8; ++seed) {
    MemoryCluster nodes(kNodes, kSidePolicy);
    std::mt19937 random(seed);
    const auto upto = [&](unsigned n) { return random() % n; };
    std::vector<SideEntry> entries;
    absl::Time cleared = absl::InfinitePast();
    int number = 0;
    for (int i = 0; i < 400; ++i) {
      Node& node = nodes[upto(kNodes)];
      const absl::Time now = node.clock_.Now();
      SideEntry one = {now, upto(3) == 0, upto(2) == 0, absl::StrCat("r", upto(25), "@x")};
      if (one.sent) {
        EventBatch batch;
        LogEvent* event = batch.Add();
        event->kind = LogEvent::Kind::kArrived;
        event->attempt.time = now;
        event->attempt.message = {absl::StrCat("m", ++number), now};
        event->attempt.identity = {.sender = "a@shop.example", .login = "a@shop.example"};
        node.committer_->Record(batch);
      } else {
        Attempt attempt =
            LimiterFixture::MakeAttempt(kName, now, Outcome::kFailed, "", one.recipient);
        attempt.reply =
            one.content ? "550 5.7.1 message content rejected as spam" : "550 5.1.1 User unknown";
        node.Record(attempt);
      }
      entries.push_back(one);
      EXPECT_THAT(node.committer_->Commit(), IsOk());
      if (upto(20) == 0) node.Start();
      if (upto(10) == 0) nodes.Sync();
      if (upto(150) == 0) {
        nodes.Sync();
        nodes[0].Block(kName, absl::Minutes(1));
        nodes.Sync();
        EXPECT_THAT(nodes[1].Unblock(kName), IsOk());
        nodes.Sync();
        cleared = nodes[1].clock_.Now();
        nodes.Advance(absl::Seconds(11));
      }
      if (upto(4) == 0) nodes.Advance(absl::Seconds(upto(40)));
    }
    for (size_t i = 0; i < kNodes; ++i) nodes[i].limiter_->nodes().ShareAll();
    nodes.Sync();
    for (size_t i = 0; i < kNodes; ++i) nodes[i].limiter_->nodes().ShareAll();
    nodes.Sync();

    const auto step_of = [](absl::Time t) { return absl::ToUnixSeconds(t) / 10; };
    int64_t sent = 0, content = 0;
    std::set<std::string> recipients, of_content;
    for (const SideEntry& one : entries) {
      const int64_t step = step_of(one.at);
      if (step <= step_of(nodes[0].clock_.Now()) - 60) continue;
      if (cleared != absl::InfinitePast() && step <= step_of(cleared)) continue;
      if (one.sent) {
        ++sent;
      } else {
        if (one.content) ++content;
        if (one.content) of_content.insert(one.recipient);
        recipients.insert(one.recipient);
      }
    }
    for (size_t i = 0; i < kNodes; ++i) {
      const SubjectReport report = nodes[i].limiter_->Report(Node::Domain(kName));
      ASSERT_EQ(report.rules.size(), 4u);
      EXPECT_EQ(report.rules[0].counts.classed, content) << "seed " << seed << ", node " << i;
      EXPECT_EQ(report.rules[1].counts.recipients, static_cast<int64_t>(recipients.size()))
          << "seed " << seed << ", node " << i;
      EXPECT_EQ(report.rules[2].counts.sent, sent) << "seed " << seed << ", node " << i;
      EXPECT_EQ(report.rules[3].counts.recipients, static_cast<int64_t>(of_content.size()))
          << "seed " << seed << ", node " << i;
    }
  }
}

// What a blocked login caused is not its domain's, on a node that has never seen that login too.
TEST(SideRows, OfAPartThatThisNodeHasNothingOf) {
  const struct {
    const char* name;
    const char* more;
  } kCases[] = {{"class", ""}, {"recipients", "min_recipients = 4\n"}};
  for (const auto& one : kCases) {
    SCOPED_TRACE(one.name);
    MemoryCluster nodes(2, absl::StrCat(R"(
[rule.login]
kind = "login"
classes = ["content"]
min_bad = 3
window = "10m"
[rule.domain]
classes = ["content"]
min_bad = 6
window = "10m"
)",
                                        one.more));
    const auto refused = [&](Node& node, const std::string& login, int n) {
      Attempt attempt = LimiterFixture::MakeAttempt(kName, node.clock_.Now(), Outcome::kFailed, "",
                                                    absl::StrCat(login, n, "@far.example"));
      attempt.identity.login = absl::StrCat(login, "@", kName);
      attempt.reply = "550 5.7.1 message content rejected as spam";
      node.Record(attempt);
      EXPECT_THAT(node.committer_->Commit(), IsOk());
    };
    for (int i = 0; i < 3; ++i) refused(nodes[0], "bob", i);
    nodes.Sync();
    ASSERT_TRUE(nodes[1].cases_->FindOpen({SubjectKind::kLogin, "bob@shop.example"}, false));
    for (const char* login : {"ann", "eve", "joe", "kim", "lee"}) refused(nodes[1], login, 0);
    nodes.Sync();
    EXPECT_FALSE(nodes[1].Blocked(kName)) << "five of its own, and bob's are bob's";
    EXPECT_FALSE(nodes[0].Blocked(kName));
    EXPECT_EQ(nodes[1].limiter_->Report(Node::Domain(kName)).rules[0].counts.classed, 5);
    refused(nodes[1], "max", 0);
    nodes.Sync();
    EXPECT_TRUE(nodes[1].Blocked(kName));
    EXPECT_TRUE(nodes[0].Blocked(kName));
  }
}

// A node that has only rejected recipients has its part in a case too.
TEST(SideRows, WhoHasOnlyRejectedRecipientsIsNamed) {
  MemoryCluster nodes(2, "[rule.guess]\nmin_rejected_recipients = 100\npercent = 10\n");
  EventBatch batch;
  LogEvent* event = batch.Add();
  event->kind = LogEvent::Kind::kShown;
  event->attempt.outcome = Outcome::kRejectedRecipient;
  event->attempt.time = nodes[0].clock_.Now();
  event->attempt.message = {"m1", event->attempt.time};
  event->attempt.identity = {.sender = "a@shop.example", .login = "a@shop.example"};
  event->attempt.recipient = "nobody@far.example";
  event->attempt.reply = "550 5.1.1 User unknown";
  nodes[0].committer_->Record(batch);
  EXPECT_THAT(nodes[0].committer_->Commit(), IsOk());
  nodes[1].Deliver(kName);
  nodes.Sync();
  const SubjectReport report = nodes[1].limiter_->Report(Node::Domain(kName));
  ASSERT_EQ(report.counts.rejected, 1);
  ASSERT_EQ(report.counts_by_node.size(), 2u);
  EXPECT_EQ(report.counts_by_node[0].second.rejected, 1);
}

// A version that knows nothing of them neither reads nor changes their keys.
TEST(SideRows, HaveKeysOfTheirOwn) {
  const Subject domain = Node::Domain(kName);
  const Subject login = {SubjectKind::kLogin, "a@shop.example"};
  const absl::Duration hour = absl::Hours(1);
  EXPECT_EQ(RowKeyText({domain, hour, "content"}), "deferd1:c:{shop.example}:3600:content");
  EXPECT_EQ(RowKeyText({login, hour, "content"}),
            "deferd1:c:{shop.example}:3600:content:login:a@shop.example");
  EXPECT_EQ(RowKeyText({login, hour, RowKey::kRecipients}),
            "deferd1:r:{shop.example}:3600:login:a@shop.example");
  for (const char* key : {"deferd1:c:{a}:3600:content", "deferd1:r:{a}:3600"}) {
    EXPECT_FALSE(ParseRowKey(key).ok()) << key;
  }
}

}  // namespace
}  // namespace deferd
