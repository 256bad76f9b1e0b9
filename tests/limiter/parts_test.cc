// Whose counts are whose: a narrower subject's trouble never falls on its domain, whether one node
// has counted it or several, whatever ended its case, and after a restart.

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/policy_file.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/limiter/sharing/cluster.h"

namespace deferd {
namespace {

using absl::Minutes;

constexpr char kBoth[] =
    "[rule.login]\nmin_bad = 5\npercent = 50\nkind = \"login\"\nblock_for = \"30m\"\n"
    "[rule.account]\nmin_bad = 5\npercent = 50\nkind = \"account\"\nblock_for = \"30m\"\n"
    "[rule.r]\nmin_bad = 10\npercent = 50\nblock_for = \"30m\"\n";
// The domain's limit is the login's: it trips with it, where its own part is not taken out.
constexpr char kAlike[] =
    "[rule.r]\nmin_bad = 5\npercent = 50\nblock_for = \"1h\"\n"
    "[rule.login]\nmin_bad = 5\npercent = 50\nkind = \"login\"\n"
    "[rule.account]\nmin_bad = 5\npercent = 50\nkind = \"account\"\n";

const char kDomain[] = "here.example";

// Somebody whose mail is the domain's, and how that is known.
struct Culprit {
  const char* name;
  Subject subject;
  Identity identity;
};
void PrintTo(const Culprit& one, std::ostream* out) { *out << one.name; }

const Culprit kCulprits[] = {
    {"Address", {SubjectKind::kLogin, "bob@here.example"}, {.login = "bob@here.example"}},
    {"Mapped", {SubjectKind::kLogin, "ours"}, {.login = "ours"}},
    {"MappedElsewhere", {SubjectKind::kLogin, "bob@panel.example"}, {.login = "bob@panel.example"}},
    {"SystemUsersLogin", {SubjectKind::kLogin, "acct1"}, {.login = "acct1"}},
    {"Account", {SubjectKind::kAccount, "acct1"}, {.user = "acct1"}},
    {"Identified",
     {SubjectKind::kAccount, "acct2"},
     {.user = "acct2", .identified_domain = "here.example"}},
};

Settings WithMaps(Settings settings) {
  ChargeLists lists;
  lists.logins = {{"ours", kDomain}, {"bob@panel.example", "info@here.example"}};
  lists.users = {{"acct1", kDomain}};
  settings.lists = std::make_shared<ChargeLists>(lists);
  return settings;
}

Attempt By(const Identity& identity, absl::Time time, Outcome outcome = Outcome::kFailed) {
  Attempt attempt = LimiterFixture::MakeAttempt(kDomain, time, outcome);
  attempt.identity = identity;
  attempt.identity.sender = "a@here.example";
  return attempt;
}

class PartsOfNodes : public testing::TestWithParam<Culprit> {
 protected:
  static void Give(Node& node, const Identity& identity, int n) {
    for (int i = 0; i < n; ++i) node.Record(By(identity, node.clock_.Now()));
    EXPECT_TRUE(node.committer_->Commit().ok());
  }
  static bool Blocked(const Node& node, const Subject& subject) {
    return node.cases_->FindEnforced(subject, node.clock_.Now()).has_value();
  }
};

// The same end as on one node, however it is spread over them and whoever is first.
TEST_P(PartsOfNodes, HalfOnEachBlocksTheCulpritAlone) {
  const Culprit& culprit = GetParam();
  for (int first = 0; first <= 5; ++first) {
    for (bool in_turn : {false, true}) {
      MemoryCluster nodes(3, kAlike);
      for (int i : {0, 1, 2}) {
        nodes[i].settings_ = WithMaps(nodes[i].settings_);
        nodes[i].committer_->SetSettings(nodes[i].settings_);
      }
      nodes.Sync();
      Give(nodes[0], culprit.identity, first);
      if (in_turn) nodes.Sync();
      Give(nodes[1], culprit.identity, 5 - first);
      // A colleague on the third, which never sees the culprit itself.
      Give(nodes[2], {.login = "ann@here.example"}, 1);
      nodes.Sync();
      for (int i : {0, 1, 2}) {
        EXPECT_TRUE(Blocked(nodes[i], culprit.subject)) << first << " " << in_turn << " " << i;
        EXPECT_FALSE(nodes[i].Blocked(kDomain)) << first << " " << in_turn << " " << i;
        EXPECT_EQ(nodes[i].cases_->FindOpen(culprit.subject, false)->within.id, kDomain);
      }
      // More by the colleague, where nobody knows the culprit's part but by its case.
      Give(nodes[2], {.login = "ann@here.example"}, 2);
      nodes.Sync();
      EXPECT_EQ(nodes[2].CountsOf(kDomain).bad(), 3);
      EXPECT_FALSE(nodes[2].Blocked(kDomain));
      Give(nodes[2], {.login = "eve@here.example"}, 1);
      Give(nodes[0], {.login = "eve@here.example"}, 1);
      nodes.Sync();
      for (int i : {0, 1, 2}) EXPECT_TRUE(nodes[i].Blocked(kDomain)) << "5 of several logins";
    }
  }
}

TEST_P(PartsOfNodes, ClearedOnOneIsClearedOnAll) {
  const Culprit& culprit = GetParam();
  MemoryCluster nodes(2, kBoth);
  for (int i : {0, 1}) {
    nodes[i].settings_ = WithMaps(nodes[i].settings_);
    nodes[i].committer_->SetSettings(nodes[i].settings_);
  }
  nodes.Sync();
  Give(nodes[0], culprit.identity, 6);
  Give(nodes[1], culprit.identity, 3);
  nodes.Sync();
  ASSERT_TRUE(nodes[0].committer_->Unblock(culprit.subject, "root", "fixed").ok());
  EXPECT_TRUE(nodes[0].committer_->Commit(/*durable=*/true).ok());
  nodes.Sync();
  for (int turn = 0; turn < 2; ++turn) {
    for (int i : {0, 1}) {
      EXPECT_EQ(nodes[i].CountsOf(kDomain).bad(), 0) << i;
      const SubjectReport report = nodes[i].limiter_->Report(Node::Domain(kDomain));
      for (const auto& [node, counts] : report.counts_by_node) EXPECT_EQ(counts.total(), 0);
    }
    nodes[1].Start();  // it remembers
    nodes.Sync();
  }
  nodes.Advance(Minutes(2));
  for (int i : {0, 1}) Give(nodes[i], {.login = "ann@here.example"}, 1);
  nodes.Sync();
  for (int i : {0, 1}) EXPECT_FALSE(nodes[i].Blocked(kDomain)) << "a colleague's typo";
  EXPECT_EQ(nodes[1].CountsOf(kDomain).bad(), 2) << "it was the last to read";
}

// The store is away: local counts decide, with what is known of the others.
TEST_P(PartsOfNodes, AloneItIsJudgedByWhatIsKnown) {
  MemoryCluster nodes(2, kAlike);
  Give(nodes[0], {.login = "ann@here.example"}, 4);
  nodes.Sync();
  Give(nodes[1], {.login = "eve@here.example"}, 0);
  nodes[1].Record(By({.login = "eve@here.example"}, nodes[1].clock_.Now(), Outcome::kDelivered));
  nodes.Sync();
  nodes.server_.SetTrouble(SharedTrouble::kGone);
  Give(nodes[1], {.login = "eve@here.example"}, 1);
  nodes.Sync();
  EXPECT_TRUE(nodes[1].Blocked(kDomain)) << "4 known of the other node, 1 here";
}

INSTANTIATE_TEST_SUITE_P(Culprits, PartsOfNodes, testing::ValuesIn(kCulprits),
                         [](const auto& test) { return test.param.name; });

class Parts : public testing::TestWithParam<Culprit> {
 protected:
  Parts() : f_(kBoth, At(Minutes(1))) {
    f_.settings_ = WithMaps(f_.settings_);
    f_.committer_->SetSettings(f_.settings_);
  }
  void Give(const Identity& identity, absl::Duration at, int n) {
    for (int i = 0; i < n; ++i) f_.Feed(By(identity, At(at)));
  }
  Counts Top(const Subject& subject) {
    for (const SubjectCounts& one : f_.limiter_->Top(0)) {
      if (one.subject == subject) return one.counts;
    }
    return {};
  }
  // The domain's counts, wherever they are shown, also after a restart.
  void ExpectDomainBad(int64_t bad) {
    for (int turn = 0; turn < 2; ++turn) {
      EXPECT_EQ(f_.CountsNow(kDomain).bad(), bad) << (turn ? "after a restart" : "");
      EXPECT_EQ(Top({SubjectKind::kDomain, kDomain}).bad(), bad);
      EXPECT_TRUE(f_.committer_->Commit().ok());
      f_.Start();
    }
  }

  LimiterFixture f_;
};

TEST_P(Parts, UnblockedByAPerson) {
  Give(GetParam().identity, Minutes(1), 9);
  ExpectDomainBad(0);
  ASSERT_TRUE(f_.committer_->Unblock(GetParam().subject, "root", "fixed").ok());
  ExpectDomainBad(0);
  f_.clock_.Set(At(Minutes(3)));
  Give({.login = "ann@here.example"}, Minutes(3), 1);
  EXPECT_FALSE(f_.OpenCase(kDomain).has_value());
  Give(GetParam().identity, Minutes(3), 2);
  ExpectDomainBad(3);  // what it does afterwards is the domain's again
}

TEST_P(Parts, EndedByTime) {
  Give(GetParam().identity, Minutes(1), 9);
  f_.clock_.Set(At(Minutes(20)));
  Give(GetParam().identity, Minutes(20), 2);
  f_.clock_.Set(At(Minutes(40)));
  f_.committer_->Tick();
  ASSERT_FALSE(f_.cases_->FindOpen(GetParam().subject, false).has_value());
  ExpectDomainBad(2);
}

TEST_P(Parts, APersonsBlockThatEnds) {
  Give(GetParam().identity, Minutes(1), 4);
  f_.committer_->Block(GetParam().subject, Minutes(10), "root", "abuse");
  ExpectDomainBad(0);
  f_.clock_.Set(At(Minutes(12)));
  f_.committer_->Tick();
  ASSERT_FALSE(f_.cases_->FindOpen(GetParam().subject, false).has_value());
  ExpectDomainBad(0);
}

TEST_P(Parts, EndedByAReloadedPolicy) {
  Give(GetParam().identity, Minutes(1), 9);
  f_.settings_.policy =
      LimiterFixture::ParsedPolicy("[rule.r]\nmin_bad = 10\npercent = 50\nblock_for = \"30m\"\n");
  f_.committer_->SetSettings(f_.settings_);
  ASSERT_FALSE(f_.cases_->FindOpen(GetParam().subject, false).has_value());
  ExpectDomainBad(0);
}

TEST_P(Parts, AChangedMapMovesNothingThatWasCounted) {
  Give(GetParam().identity, Minutes(1), 9);
  ChargeLists lists;
  lists.logins = {{"ours", "other.example"}, {"bob@panel.example", "other.example"}};
  f_.settings_.lists = std::make_shared<ChargeLists>(lists);
  f_.committer_->SetSettings(f_.settings_);
  EXPECT_EQ(f_.CountsNow(kDomain).bad(), 0);
  EXPECT_EQ(f_.CountsNow("other.example").bad(), 0);
}

// What its own node counts again out of the ledger agrees.
TEST_P(Parts, TheReceiptKnowsWhatWasTakenOut) {
  Give(GetParam().identity, Minutes(1), 9);
  ASSERT_TRUE(f_.committer_->Unblock(GetParam().subject, "root", "fixed").ok());
  f_.clock_.Set(At(Minutes(3)));
  Give(GetParam().identity, Minutes(3), 1);
  for (int i = 0; i < 9; ++i) Give({.login = absl::StrCat(i, "@here.example")}, Minutes(3), 1);
  const std::optional<Case> record = f_.OpenCase(kDomain);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->counts.bad(), 10);
  ASSERT_EQ(record->apart_until.size(), 1u);
  EXPECT_EQ(record->apart_until[0].first, GetParam().subject.ToString());
}

INSTANTIATE_TEST_SUITE_P(Culprits, Parts, testing::ValuesIn(kCulprits),
                         [](const auto& test) { return test.param.name; });

// An incident ends a login's case; what is left of its failures stays the login's.
TEST(PartsAndIncidents, AClosedCaseLeavesNothingToTheDomain) {
  LimiterFixture f(kAlike, At(Minutes(5)));
  auto fail = [&](const std::string& login, const std::string& host, const std::string& reply) {
    Attempt attempt = By({.login = login}, At(Minutes(5)));
    attempt.host = host;
    attempt.reply = reply;
    f.Feed(attempt);
  };
  // Who had mail delivered there before is believed that it fails now.
  for (const char* domain : {"here.example", "d0.example", "d1.example", "d2.example", "d3.example",
                             "d4.example", "d5.example", "d6.example", "d7.example"}) {
    Attempt before = LimiterFixture::MakeAttempt(domain, At(-absl::Hours(3)), Outcome::kDelivered);
    before.host = "mx1.down.example";
    f.Feed(before);
  }
  const char kUnknown[] = "550 5.1.1 No such user";
  const char kClosed[] = "554 5.7.1 Access denied, see your postmaster";
  for (int i = 0; i < 3; ++i) fail("bob@here.example", "mx.a.example", kUnknown);
  for (int i = 0; i < 2; ++i) fail("bob@here.example", "mx1.down.example", kClosed);
  const Subject bob = {SubjectKind::kLogin, "bob@here.example"};
  ASSERT_TRUE(f.cases_->FindOpen(bob, false).has_value());
  for (int i = 0; i < 8; ++i) {
    fail(absl::StrCat("bob@d", i, ".example"), absl::StrCat("mx", i, ".down.example"), kClosed);
  }
  ASSERT_FALSE(f.cases_->FindOpen(bob, false).has_value());
  EXPECT_EQ(CloserOf(f.cases_->Closed(1)[0]), "incident");
  EXPECT_EQ(f.CountsNow(kDomain).bad(), 0);
}

// Random logins, domains, times, unblocks and restarts against the plain list: a domain's counts
// are those of attempts that no open or cleared case of a login is about.
TEST(PartsModel, TheDomainsCountsAreTheRest) {
  for (int seed = 0; seed < 12; ++seed) {
    std::mt19937 random(seed);
    LimiterFixture f(kBoth, kMorning);
    struct Seen {
      std::string login;
      absl::Time time;
      bool bad;
    };
    std::vector<Seen> seen;
    absl::flat_hash_map<std::string, absl::Time> apart;  // until when, by login
    const StepClock steps(absl::Hours(1));
    absl::Time now = kMorning;
    absl::Time domain_cleared = absl::InfinitePast();
    for (int i = 0; i < 600; ++i) {
      now += absl::Seconds(random() % 60);
      f.clock_.Set(now);
      const std::string login = absl::StrCat("u", random() % 5, "@here.example");
      const Subject subject = {SubjectKind::kLogin, login};
      switch (random() % 40) {
        case 0:
          if (f.committer_->Unblock(subject, "root", "").ok()) apart[login] = now;
          break;
        case 1:
          f.committer_->Block(subject, absl::Minutes(1 + random() % 20), "root", "");
          break;
        case 2:
          EXPECT_TRUE(f.committer_->Commit().ok());
          f.Start();
          break;
        default:
          const bool bad = random() % 3 != 0;
          f.Feed(By({.login = login}, now, bad ? Outcome::kFailed : Outcome::kDelivered));
          seen.push_back({login, now, bad});
      }
      f.committer_->Tick();
      // A case that ended by time cleared what came before its second step.
      for (const Case& one : f.cases_->Closed(20)) {
        if (one.ending != Ending::kTime) continue;
        const absl::Time until = steps.EndOf(steps.StepOf(one.since) + 1);
        absl::Time& known =
            one.subject.kind == SubjectKind::kDomain
                ? domain_cleared
                : apart.try_emplace(one.subject.id, absl::InfinitePast()).first->second;
        known = std::max(known, until);
      }
      Counts expected;
      for (const Seen& one : seen) {
        const int64_t step = steps.StepOf(one.time);
        if (!steps.Live(step, steps.StepOf(now))) continue;
        if (domain_cleared != absl::InfinitePast() && step <= steps.StepOf(domain_cleared))
          continue;
        if (f.cases_->FindOpen({SubjectKind::kLogin, one.login}, false).has_value()) continue;
        auto until = apart.find(one.login);
        if (until != apart.end() && until->second != absl::InfinitePast() &&
            step <= steps.StepOf(until->second)) {
          continue;
        }
        ++(one.bad ? expected.failed : expected.delivered);
      }
      ASSERT_EQ(f.CountsNow(kDomain), expected) << "seed " << seed << " step " << i;
    }
  }
}

// The default policy judges each login by itself; one of a name alone is this host's.
TEST(BareLogin, IsBlockedByTheDefaultPolicy) {
  LimiterFixture f{std::string(BuiltInPolicyText()), At(Minutes(1))};
  ChargeLists lists;
  lists.host = "mx1.example.net";
  lists.hosted.push_back(DomainPattern::Parse("here.example").value());
  f.settings_.lists = std::make_shared<ChargeLists>(lists);
  f.committer_->SetSettings(f.settings_);
  for (const char* login : {"bob", "eve@elsewhere.example", "ann@here.example"}) {
    for (int i = 0; i < 12; ++i) f.Feed(By({.login = login}, At(Minutes(1))));
  }
  const Subject bob = {SubjectKind::kLogin, "bob@mx1.example.net"};
  EXPECT_TRUE(f.cases_->FindOpen(bob, false).has_value());
  EXPECT_TRUE(f.cases_->FindOpen({SubjectKind::kLogin, "eve@elsewhere.example"}, false).has_value())
      << "a proven login, though its domain is not hosted here";
  EXPECT_FALSE(f.OpenCase("elsewhere.example").has_value());
  EXPECT_TRUE(f.cases_->FindOpen({SubjectKind::kLogin, "ann@here.example"}, false).has_value());
  EXPECT_FALSE(f.OpenCase("here.example").has_value()) << "the login alone is the culprit";
  // A person need not know the form.
  EXPECT_EQ(f.limiter_->Report({SubjectKind::kLogin, "bob"}).counts.bad(), 12);
  EXPECT_TRUE(f.committer_->Unblock({SubjectKind::kLogin, "bob"}, "root", "").ok());
  EXPECT_FALSE(f.cases_->FindOpen(bob, false).has_value());
}

}  // namespace
}  // namespace deferd
