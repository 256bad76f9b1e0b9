// What every shared store must do: Redis, plain, encrypted, several and a cluster, and the one in
// memory.

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/port/clock.h"
#include "limiter/store/redis_store.h"
#include "limiter/store/window_row.h"
#include "tests/limiter/store/certificates.h"
#include "tests/limiter/store/memory_shared_store.h"
#include "tests/limiter/store/redis_cluster.h"
#include "tests/limiter/store/redis_server.h"
#include "tests/status_matchers.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

const Subject kBad = {SubjectKind::kDomain, "bad.example"};
const RowKey kBadHours = {kBad, absl::Hours(1)};

// One place that stores can be opened on.
class Server {
 public:
  virtual ~Server() = default;
  virtual std::unique_ptr<SharedStore> NewStore(const std::string& node) = 0;
  virtual void Flush() = 0;
};

class MemoryServer : public Server {
 public:
  std::unique_ptr<SharedStore> NewStore(const std::string& node) override {
    return server_.NewStore({.node = node});
  }
  void Flush() override { server_.Flush(); }

 private:
  SystemClock clock_;
  MemorySharedServer server_{&clock_};
};

class PrivateRedis : public Server {
 public:
  PrivateRedis() {
    absl::StatusOr<std::unique_ptr<RedisServer>> started = RedisServer::Start();
    EXPECT_TRUE(started.ok()) << started.status();
    if (started.ok()) server_ = *std::move(started);
  }
  std::unique_ptr<SharedStore> NewStore(const std::string& node) override {
    // A machine that runs all tests at once is slow; what late answers do is tested apart.
    return NewRedisStore(server_->address(), {.node = node, .deadline = absl::Seconds(20)});
  }
  void Flush() override { server_->Cli({"FLUSHALL"}); }

 private:
  std::unique_ptr<RedisServer> server_;
};

// A certificate on both sides, and the users of deploy/redis/deferd.conf, with the commands that
// they are given there and no more.
class Encryption {
 public:
  static constexpr char kAdmin[] = "admin";
  static constexpr char kAdminPassword[] = "CHANGE-ME-ADMIN";

  std::vector<std::string> ServerArguments() {
    const Authority::Files theirs = authority_.Sign();
    std::vector<std::string> arguments = {
        "--tls-cert-file",    theirs.cert,          "--tls-key-file",     theirs.key,
        "--tls-ca-cert-file", authority_.ca_file(), "--tls-auth-clients", "yes"};
    std::ifstream shipped(SourceFile("deploy/redis/deferd.conf"));
    for (std::string line; std::getline(shipped, line);) {
      if (line.rfind("user ", 0) != 0) continue;
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      arguments.push_back("--user");
      arguments.insert(arguments.end(), words.begin() + 1, words.end());
    }
    return arguments;
  }

  std::unique_ptr<SharedStore> NewStore(RedisAddress address, const std::string& node) {
    const Authority::Files mine = authority_.Sign();
    address.user = "deferd";
    address.password = "CHANGE-ME";
    address.tls = RedisTls{.ca_file = authority_.ca_file(),
                           .cert_file = mine.cert,
                           .key_file = mine.key,
                           .server_name = ""};
    return NewRedisStore(address, {.node = node, .deadline = absl::Seconds(20)});
  }

 private:
  Authority authority_;
};

class EncryptedRedis : public Server {
 public:
  EncryptedRedis() {
    absl::StatusOr<std::unique_ptr<RedisServer>> started =
        RedisServer::StartOnPort(RedisServer::Port::kTls, encryption_.ServerArguments());
    EXPECT_TRUE(started.ok()) << started.status();
    if (!started.ok()) return;
    server_ = *std::move(started);
    server_->SetAdmin(Encryption::kAdmin, Encryption::kAdminPassword);
  }
  std::unique_ptr<SharedStore> NewStore(const std::string& node) override {
    RedisAddress address;
    address.server = server_->endpoint();
    return encryption_.NewStore(address, node);
  }
  void Flush() override { server_->Cli({"FLUSHALL"}); }

 private:
  Encryption encryption_;
  std::unique_ptr<RedisServer> server_;
};

// It takes seconds until a cluster's servers know one another: one serves all tests, emptied.
class PrivateCluster : public Server {
 public:
  PrivateCluster() { Flush(); }
  std::unique_ptr<SharedStore> NewStore(const std::string& node) override {
    return NewRedisStore(Cluster().address(), {.node = node, .deadline = absl::Seconds(20)});
  }
  void Flush() override { Cluster().Flush(); }

 private:
  static TestRedisCluster& Cluster() {
    static const std::unique_ptr<TestRedisCluster> cluster = TestRedisCluster::Start({});
    return *cluster;
  }
};

class EncryptedCluster : public Server {
 public:
  EncryptedCluster() { Flush(); }
  std::unique_ptr<SharedStore> NewStore(const std::string& node) override {
    return Keys().NewStore(Cluster().address(), node);
  }
  void Flush() override { Cluster().Flush(); }

 private:
  static Encryption& Keys() {
    static Encryption encryption;
    return encryption;
  }
  static TestRedisCluster& Cluster() {
    static const std::unique_ptr<TestRedisCluster> cluster = [] {
      std::vector<std::string> arguments = Keys().ServerArguments();
      arguments.insert(arguments.end(), {"--tls-cluster", "yes"});
      return TestRedisCluster::Start({.port = RedisServer::Port::kTls,
                                      .arguments = std::move(arguments),
                                      .user = Encryption::kAdmin,
                                      .password = Encryption::kAdminPassword});
    }();
    return *cluster;
  }
};

class RedisShards : public Server {
 public:
  RedisShards() {
    for (int i = 0; i < 3; ++i) {
      absl::StatusOr<std::unique_ptr<RedisServer>> started = RedisServer::Start();
      EXPECT_TRUE(started.ok()) << started.status();
      if (started.ok()) servers_.push_back(*std::move(started));
    }
  }
  std::unique_ptr<SharedStore> NewStore(const std::string& node) override {
    std::vector<RedisAddress> addresses;
    for (const auto& server : servers_) addresses.push_back(server->address());
    return NewRedisShards(addresses, {.node = node, .deadline = absl::Seconds(20)});
  }
  void Flush() override {
    for (const auto& server : servers_) server->Cli({"FLUSHALL"});
  }

 private:
  std::vector<std::unique_ptr<RedisServer>> servers_;
};

struct Backend {
  const char* name;
  std::function<std::unique_ptr<Server>()> start;
};

class SharedStoreTest : public ::testing::TestWithParam<Backend> {
 protected:
  std::unique_ptr<SharedStore> Store(const std::string& node) {
    std::unique_ptr<SharedStore> store = server_->NewStore(node);
    EXPECT_THAT(store->Connect(), IsOk());
    return store;
  }

  static RowPut Put(double version, int64_t failed = 1, const RowKey& key = kBadHours) {
    WindowRow row;
    row.version = version;
    row.cells.push_back({.step = 100, .counts = {.failed = failed}});
    return {key, version, EncodeWindowRow(row)};
  }
  static std::vector<SharedRow> PutOne(SharedStore* store, const RowPut& put) {
    absl::StatusOr<std::vector<RowAnswer>> answers = store->PutRows({put});
    EXPECT_THAT(answers.status(), IsOk());
    if (!answers.ok() || answers->size() != 1) return {};
    EXPECT_THAT(answers->front().status, IsOk());
    return answers->front().rows;
  }
  static SharedCase Record(int64_t rev, bool manual, const std::string& text,
                           const Subject& subject = kBad) {
    return {subject, false, rev, manual, text};
  }
  static NodeClaim Claim(const std::string& session, const std::string& holder,
                         std::vector<std::string> logs = {}) {
    return {session, holder, std::move(logs), "{\"host\":\"mx1\"}"};
  }

  std::unique_ptr<Server> server_ = GetParam().start();
};

TEST_P(SharedStoreTest, TheNewestRowOfEachNodeIsGivenBack) {
  auto a = Store("aaaaaaaa");
  auto b = Store("bbbbbbbb");
  const RowPut of_a = Put(7, 3);
  const RowPut of_b = Put(2, 5);
  EXPECT_THAT(PutOne(a.get(), of_a), ElementsAre(SharedRow{"aaaaaaaa", of_a.row}));
  EXPECT_THAT(PutOne(b.get(), of_b), UnorderedElementsAre(SharedRow{"aaaaaaaa", of_a.row},
                                                          SharedRow{"bbbbbbbb", of_b.row}));
  EXPECT_THAT(PutOne(a.get(), Put(6, 99)), UnorderedElementsAre(SharedRow{"aaaaaaaa", of_a.row},
                                                                SharedRow{"bbbbbbbb", of_b.row}))
      << "an older version changes nothing";
  const RowPut newer = Put(8, 0);
  EXPECT_THAT(PutOne(a.get(), newer), UnorderedElementsAre(SharedRow{"aaaaaaaa", newer.row},
                                                           SharedRow{"bbbbbbbb", of_b.row}));
}

TEST_P(SharedStoreTest, SubjectsAndWindowsAreApart) {
  auto a = Store("aaaaaaaa");
  const std::vector<RowKey> keys = {
      kBadHours,
      {kBad, absl::Hours(24)},
      {{SubjectKind::kLogin, "bob@bad.example"}, absl::Hours(1)},
      {{SubjectKind::kLogin, "bob"}, absl::Hours(1)},
      {{SubjectKind::kScript, "/home/a}:60:b{/c"}, absl::Hours(1)},
      {{SubjectKind::kForward, "bad.example"}, absl::Hours(1)},
  };
  std::vector<RowPut> puts;
  for (size_t i = 0; i < keys.size(); ++i) puts.push_back(Put(1, 10 + i, keys[i]));
  absl::StatusOr<std::vector<RowAnswer>> answers = a->PutRows(puts);
  ASSERT_THAT(answers.status(), IsOk());
  answers = a->ReadRows(keys);
  ASSERT_THAT(answers.status(), IsOk());
  ASSERT_EQ(answers->size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_THAT((*answers)[i].rows, ElementsAre(SharedRow{"aaaaaaaa", puts[i].row}));
  }
  std::vector<RowKey> told;
  EXPECT_THAT(a->ForEachKey(absl::Hours(1),
                            [&](std::vector<RowKey> some) {
                              told.insert(told.end(), some.begin(), some.end());
                            }),
              IsOk());
  EXPECT_THAT(told, UnorderedElementsAre(keys[0], keys[2], keys[3], keys[4], keys[5]));
}

TEST_P(SharedStoreTest, MorePutsThanOnePipelineHolds) {
  auto a = Store("aaaaaaaa");
  std::vector<RowPut> puts;
  for (int i = 0; i < 3000; ++i) {
    puts.push_back(
        Put(1, i + 1, {{SubjectKind::kDomain, absl::StrCat("d", i, ".example")}, absl::Hours(1)}));
    puts.back().row.append(700, 'x');  // long, and none of the store's business
  }
  absl::StatusOr<std::vector<RowAnswer>> answers = a->PutRows(puts);
  ASSERT_THAT(answers.status(), IsOk());
  ASSERT_EQ(answers->size(), puts.size());
  for (size_t i = 0; i < puts.size(); ++i) {
    ASSERT_THAT((*answers)[i].rows, ElementsAre(SharedRow{"aaaaaaaa", puts[i].row}));
  }
}

// Contract, oracle 4: whatever is doubled, late or out of order, the greatest stays.
TEST_P(SharedStoreTest, AnyOrderOfPutsEndsWithTheGreatest) {
  auto a = Store("aaaaaaaa");
  auto b = Store("bbbbbbbb");
  std::mt19937 random(4);
  for (int round = 0; round < 30; ++round) {
    const Subject subject = {SubjectKind::kDomain, absl::StrCat("r", round, ".example")};
    std::vector<std::pair<SharedStore*, double>> puts;
    std::vector<SharedCase> cases;
    std::map<SharedStore*, double> greatest;
    for (int i = 0; i < 20; ++i) {
      SharedStore* store = random() % 2 == 0 ? a.get() : b.get();
      const double version = 1 + random() % 40;
      puts.insert(puts.end(), 1 + random() % 2, {store, version});
      greatest[store] = std::max(greatest[store], version);
      const int64_t rev = 1 + random() % 10;
      const bool manual = random() % 3 == 0;
      // What is put twice is the same; two nodes' records of one rev differ.
      cases.insert(cases.end(), 1 + random() % 2,
                   Record(rev, manual, absl::StrCat(rev, manual, i), subject));
    }
    std::shuffle(puts.begin(), puts.end(), random);
    std::shuffle(cases.begin(), cases.end(), random);
    for (const auto& [store, version] : puts) {
      PutOne(store, Put(version, static_cast<int64_t>(version), {subject, absl::Hours(1)}));
    }
    std::pair<int64_t, bool> best = {0, false};
    for (const SharedCase& record : cases) {
      best = std::max(best, {record.rev, record.manual});
      ASSERT_THAT(b->PutCase(record).status(), IsOk());
    }
    absl::StatusOr<std::vector<RowAnswer>> rows = a->ReadRows({{subject, absl::Hours(1)}});
    ASSERT_THAT(rows.status(), IsOk());
    for (const SharedRow& row : rows->front().rows) {
      absl::StatusOr<WindowRow> read = DecodeWindowRow(row.row);
      ASSERT_THAT(read.status(), IsOk());
      EXPECT_EQ(read->version, greatest[row.node == "aaaaaaaa" ? a.get() : b.get()]);
    }
    absl::StatusOr<std::vector<SharedCase>> all = a->ReadCases();
    ASSERT_THAT(all.status(), IsOk());
    for (const SharedCase& record : *all) {
      if (record.subject == subject) {
        EXPECT_EQ(std::make_pair(record.rev, record.manual), best);
      }
    }
  }
}

TEST_P(SharedStoreTest, OneOfTwoCasesWinsAndTheLoserLearnsIt) {
  auto a = Store("aaaaaaaa");
  auto b = Store("bbbbbbbb");
  const SharedCase of_a = Record(1, false, "{\"id\":\"a-1-1\"}");
  const SharedCase of_b = Record(1, false, "{\"id\":\"b-1-1\"}");
  absl::StatusOr<CasePutAnswer> first = a->PutCase(of_a);
  ASSERT_THAT(first.status(), IsOk());
  EXPECT_TRUE(first->written);
  absl::StatusOr<CasePutAnswer> second = b->PutCase(of_b);
  ASSERT_THAT(second.status(), IsOk());
  EXPECT_FALSE(second->written);
  EXPECT_EQ(second->now, of_a);
  EXPECT_FALSE(b->PutCase(of_a)->written) << "the same once more writes nothing";

  const SharedCase by_person = Record(1, true, "{\"id\":\"b-1-2\"}");
  EXPECT_TRUE(b->PutCase(by_person)->written) << "a person's decision wins at the same rev";
  EXPECT_FALSE(a->PutCase(of_a)->written);
  const SharedCase later = Record(2, false, "{}");
  EXPECT_TRUE(a->PutCase(later)->written);
  EXPECT_THAT(*b->ReadCases(), ElementsAre(later));
}

TEST_P(SharedStoreTest, CasesAreFollowed) {
  auto a = Store("aaaaaaaa");
  auto b = Store("bbbbbbbb");
  const Subject login = {SubjectKind::kLogin, "bob@bad.example"};
  ASSERT_THAT(a->PutCase(Record(1, false, "before")).status(), IsOk());
  absl::StatusOr<std::string> last = b->LastCase();
  ASSERT_THAT(last.status(), IsOk());
  const SharedCase one = Record(2, false, std::string("bytes \0 \xff", 9));
  SharedCase two = Record(1, true, "{}", login);
  two.shadow = true;
  ASSERT_THAT(a->PutCase(one).status(), IsOk());
  ASSERT_THAT(a->PutCase(two).status(), IsOk());
  ASSERT_THAT(a->PutCase(Record(1, false, "older: not written, not told")).status(), IsOk());
  absl::StatusOr<CasesFollowed> followed = b->FollowCases(*last, absl::ZeroDuration());
  ASSERT_THAT(followed.status(), IsOk());
  EXPECT_THAT(followed->cases, ElementsAre(one, two));
  followed = b->FollowCases(followed->last, absl::Milliseconds(1));
  ASSERT_THAT(followed.status(), IsOk());
  EXPECT_THAT(followed->cases, IsEmpty());

  std::thread putter([&] { EXPECT_THAT(a->PutCase(Record(3, false, "woken")).status(), IsOk()); });
  followed = b->FollowCases(followed->last, absl::Seconds(10));
  putter.join();
  ASSERT_THAT(followed.status(), IsOk());
  EXPECT_THAT(followed->cases, ElementsAre(Record(3, false, "woken")));
}

TEST_P(SharedStoreTest, ACaseIsDroppedUnlessANewerOneIsThere) {
  auto a = Store("aaaaaaaa");
  ASSERT_THAT(a->PutCase(Record(4, false, "x")).status(), IsOk());
  EXPECT_THAT(a->DropCase(kBad, false, 3), IsOk());
  EXPECT_EQ(a->ReadCases()->size(), 1u);
  EXPECT_THAT(a->DropCase(kBad, false, 4), IsOk());
  EXPECT_THAT(*a->ReadCases(), IsEmpty());
}

TEST_P(SharedStoreTest, ReceiptsHaveAPartOfEachNode) {
  auto a = Store("aaaaaaaa");
  auto b = Store("bbbbbbbb");
  EXPECT_THAT(a->PutReceipt(kBad, "a-1-1", "[1]", absl::Hours(1)), IsOk());
  EXPECT_THAT(b->PutReceipt(kBad, "a-1-1", "[2]", absl::Hours(1)), IsOk());
  EXPECT_THAT(b->PutReceipt(kBad, "a-1-2", "[3]", absl::Hours(1)), IsOk());
  EXPECT_THAT(*a->ReadReceipt(kBad, "a-1-1"),
              UnorderedElementsAre(SharedRow{"aaaaaaaa", "[1]"}, SharedRow{"bbbbbbbb", "[2]"}));
}

TEST_P(SharedStoreTest, TheTimeIsThatOfHeartbeats) {
  auto a = Store("aaaaaaaa");
  absl::StatusOr<Beat> before = a->SayBeat(Claim("s1", "h1", {}));
  absl::StatusOr<absl::Time> time = a->ReadTime();
  absl::StatusOr<Beat> after = a->SayBeat(Claim("s1", "h1", {}));
  ASSERT_THAT(before.status(), IsOk());
  ASSERT_THAT(time.status(), IsOk());
  ASSERT_THAT(after.status(), IsOk());
  EXPECT_LE(before->server_time, *time);
  EXPECT_LE(*time, after->server_time);
}

TEST_P(SharedStoreTest, NodesSayThatTheyAreThere) {
  auto a = Store("aaaaaaaa");
  auto b = Store("bbbbbbbb");
  absl::StatusOr<Beat> first = a->SayBeat(Claim("s1", "h1", {"log1"}));
  ASSERT_THAT(first.status(), IsOk());
  EXPECT_FALSE(first->generation.empty());
  absl::StatusOr<Beat> second = b->SayBeat(Claim("s2", "h2", {"log2"}));
  ASSERT_THAT(second.status(), IsOk());
  EXPECT_EQ(second->generation, first->generation);
  ASSERT_EQ(second->nodes.size(), 2u);
  for (const NodeRecord& node : second->nodes) {
    EXPECT_THAT(node.record, HasSubstr("\"host\":\"mx1\""));
    EXPECT_LT(absl::AbsDuration(second->server_time - node.seen), absl::Seconds(60));
  }
  EXPECT_THAT(b->SayEnd("not s2"), IsOk());
  EXPECT_EQ(a->SayBeat(Claim("s1", "h1"))->nodes.size(), 2u);
  EXPECT_THAT(b->SayEnd("s2"), IsOk());
  EXPECT_EQ(a->SayBeat(Claim("s1", "h1"))->nodes.size(), 1u);

  server_->Flush();
  absl::StatusOr<Beat> after = a->SayBeat(Claim("s1", "h1"));
  ASSERT_THAT(after.status(), IsOk());
  EXPECT_NE(after->generation, first->generation) << "it can be seen that all is gone";
}

TEST_P(SharedStoreTest, ASecondClaimantIsRefusedAndLearnsTheFirst) {
  auto a = Store("aaaaaaaa");
  auto clone = Store("aaaaaaaa");
  auto b = Store("bbbbbbbb");
  ASSERT_THAT(a->SayBeat(Claim("s1", "h1", {"log1", "log2"})).status(), IsOk());
  absl::Status refused = clone->SayBeat(Claim("s2", "h2")).status();
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kClaimed);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("aaaaaaaa"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("mx1"));
  refused = b->SayBeat(Claim("s3", "h3", {"log0", "log2"})).status();
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kClaimed) << "one log is read by one node";
  EXPECT_THAT(b->SayBeat(Claim("s3", "h3", {"log3"})).status(), IsOk());
  EXPECT_THAT(clone->SayBeat(Claim("s4", "h1", {"log1"})).status(), IsOk())
      << "the holder itself, started again";
}

TEST_P(SharedStoreTest, NothingWorksBeforeConnect) {
  std::unique_ptr<SharedStore> store = server_->NewStore("aaaaaaaa");
  EXPECT_FALSE(store->connected());
  EXPECT_EQ(TroubleOf(store->ReadCases().status()), SharedTrouble::kGone);
  EXPECT_EQ(TroubleOf(store->PutRows({Put(1)}).status()), SharedTrouble::kGone);
}

INSTANTIATE_TEST_SUITE_P(
    Stores, SharedStoreTest,
    ::testing::Values(Backend{"memory", [] { return std::make_unique<MemoryServer>(); }},
                      Backend{"redis", [] { return std::make_unique<PrivateRedis>(); }},
                      Backend{"redis_tls", [] { return std::make_unique<EncryptedRedis>(); }},
                      Backend{"redis_shards", [] { return std::make_unique<RedisShards>(); }},
                      Backend{"redis_cluster", [] { return std::make_unique<PrivateCluster>(); }},
                      Backend{"redis_cluster_tls",
                              [] { return std::make_unique<EncryptedCluster>(); }}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace deferd
