// What is Redis Cluster's alone: slots, redirections, and a master that is gone or emptied.

#include <signal.h>

#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/redis_slots.h"
#include "limiter/store/redis_store.h"
#include "limiter/store/window_row.h"
#include "tests/limiter/store/many_rows.h"
#include "tests/limiter/store/redis_cluster.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const RedisEndpoint kFrom = {"192.0.2.9", 7009};

RedisReply Integer(int64_t integer) {
  RedisReply reply;
  reply.kind = RedisReply::Kind::kInteger;
  reply.integer = integer;
  return reply;
}
RedisReply Text(const std::string& text) {
  RedisReply reply;
  reply.kind = RedisReply::Kind::kText;
  reply.text = text;
  return reply;
}
RedisReply List(std::vector<RedisReply> list) {
  RedisReply reply;
  reply.kind = RedisReply::Kind::kList;
  reply.list = std::move(list);
  return reply;
}
RedisReply Range(int64_t first, int64_t last, const RedisReply& host, const RedisReply& port) {
  return List({Integer(first), Integer(last), List({host, port, Text("id"), List({})}),
               List({Text("a replica"), Integer(1), Text("id")})});
}
std::optional<RedisRedirect> Redirect(const std::string& text) {
  RedisReply reply;
  reply.kind = RedisReply::Kind::kError;
  reply.text = text;
  return ParseRedirect(reply, kFrom);
}

TEST(RedisSlotsTest, AreThoseOfTheSpecification) {
  EXPECT_EQ(RedisSlotOf("123456789"), 0x31c3) << "CRC16 of XMODEM, below 16384 as it is";
  EXPECT_EQ(RedisSlotOf(""), 0);
  EXPECT_EQ(RedisSlotOf("foo"), 12182);
  EXPECT_EQ(RedisSlotOf("{foo}bar"), 12182);
  EXPECT_EQ(RedisSlotOf("a{foo}{bar}"), 12182) << "the first braces";
  EXPECT_EQ(RedisSlotOf("foo{}{bar}"), 8363) << "empty ones: all of it";
  EXPECT_EQ(RedisSlotOf("foo{{bar}}zap"), RedisSlotOf("{bar"));
  EXPECT_EQ(RedisSlotOf("foo{bar"), RedisSlotOf("x{foo{bar}"));
}

TEST(RedisSlotsTest, KeysOfOneCommandShareASlot) {
  EXPECT_EQ(RedisSlotOf(kCasesKey), RedisSlotOf(kCaseLogKey));
  EXPECT_EQ(RedisSlotOf(kNodesKey), RedisSlotOf(kGenerationKey));
  EXPECT_EQ(KeyOfCommand({"EVALSHA", "sha", "2", "a", "b"}), "a");
  EXPECT_EQ(KeyOfCommand({"XREAD", "COUNT", "5", "STREAMS", "a", "0-0"}), "a");
  EXPECT_EQ(KeyOfCommand({"HGETALL", "a"}), "a");
  for (const RedisCommand& none :
       std::vector<RedisCommand>{{}, {"PING"}, {"EVALSHA", "sha"}, {"XREAD", "STREAMS"}}) {
    EXPECT_EQ(KeyOfCommand(none), "");
  }
}

TEST(RedisSlotsTest, TheAnswerToClusterSlotsIsRead) {
  const auto slots = ParseSlots(List({Range(0, 5460, Text("192.0.2.1"), Integer(7000)),
                                      Range(5461, 5461, Text(""), Integer(7001)),
                                      Range(5462, 16383, RedisReply(), Integer(7002))}),
                                kFrom);
  ASSERT_THAT(slots.status(), IsOk());
  EXPECT_THAT(*slots, ElementsAre(RedisSlotRange{0, 5460, {"192.0.2.1", 7000}},
                                  RedisSlotRange{5461, 5461, {"192.0.2.9", 7001}},
                                  RedisSlotRange{5462, 16383, {"192.0.2.9", 7002}}));
  EXPECT_THAT(*ParseSlots(List({}), kFrom), IsEmpty());
}

TEST(RedisSlotsTest, WhatIsNoAnswerToClusterSlotsIsRefused) {
  const RedisReply host = Text("192.0.2.1");
  const std::vector<RedisReply> bad = {
      RedisReply(),
      Integer(1),
      Text("0 5460 192.0.2.1"),
      List({Integer(1)}),
      List({List({Integer(0), Integer(1)})}),
      List({List({Integer(0), Integer(1), host})}),
      List({List({Integer(0), Integer(1), List({host})})}),
      List({Range(0, 16384, host, Integer(7000))}),
      List({Range(-1, 5, host, Integer(7000))}),
      List({Range(INT64_MIN, INT64_MAX, host, Integer(7000))}),
      List({Range(6, 5, host, Integer(7000))}),
      List({Range(0, int64_t{1} << 32, host, Integer(7000))}),
      List({Range(0, 5, host, Integer(0))}),
      List({Range(0, 5, host, Integer(65536))}),
      List({Range(0, 5, host, Text("7000"))}),
      List({Range(0, 5, Text("?"), Integer(7000))}),
      List({Range(0, 5, Text("a b"), Integer(7000))}),
      List({Range(0, 5, Text(std::string("a\0b", 3)), Integer(7000))}),
      List({Range(0, 5, Text(std::string(256, 'a')), Integer(7000))}),
      List({List({Text("0"), Text("5"), List({host, Integer(7000)})})}),
      List(std::vector<RedisReply>(20'000, Range(0, 5, host, Integer(7000))))};
  for (size_t i = 0; i < bad.size(); ++i) EXPECT_FALSE(ParseSlots(bad[i], kFrom).ok()) << i;
}

TEST(RedisSlotsTest, RedirectionsAreRead) {
  EXPECT_EQ(Redirect("MOVED 3999 192.0.2.1:6381"),
            (RedisRedirect{false, 3999, {"192.0.2.1", 6381}}));
  EXPECT_EQ(Redirect("ASK 0 redis-3.example:6381"),
            (RedisRedirect{true, 0, {"redis-3.example", 6381}}));
  EXPECT_EQ(Redirect("MOVED 16383 2001:db8::1:6381"),
            (RedisRedirect{false, 16383, {"2001:db8::1", 6381}}));
  EXPECT_EQ(Redirect("MOVED 1 :6381"), (RedisRedirect{false, 1, {"192.0.2.9", 6381}}));
  const std::string host(300, 'a');
  for (const std::string& none : {std::string(),
                                  std::string("MOVED"),
                                  std::string("MOVED 1"),
                                  std::string("MOVED 1 a"),
                                  std::string("MOVED 16384 a:1"),
                                  std::string("MOVED -1 a:1"),
                                  std::string("MOVED x a:1"),
                                  std::string("MOVED 1 a:0"),
                                  std::string("MOVED 1 a:65536"),
                                  std::string("MOVED 1 a:"),
                                  std::string("MOVED 1 a:99999999999999999999"),
                                  std::string("MOVED 1 ?:1"),
                                  std::string("MOVED  1 a:1"),
                                  std::string("MOVED 1 a:1 b"),
                                  std::string("moved 1 a:1"),
                                  std::string("ASKING 1 a:1"),
                                  std::string("TRYAGAIN Multiple keys"),
                                  std::string("MOVED 1 a\0b:1", 13),
                                  std::string("MOVED 99999999999999999999 a:1"),
                                  absl::StrCat("ASK 1 ", host, ":1")}) {
    EXPECT_FALSE(Redirect(none).has_value()) << none;
  }
  EXPECT_FALSE(ParseRedirect(Text("MOVED 1 a:1"), kFrom).has_value()) << "no error";
}

// Parts of what is right, cut, put together and changed at random: what is taken is in range.
TEST(RedisSlotsTest, NothingOutOfRangeIsTaken) {
  std::mt19937 random(11);
  const std::string alphabet = "MOVEDASK 0123456789:.?[]-\n\xff";
  int taken = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text =
        absl::StrCat(i % 2 == 0 ? "MOVED " : "ASK ", random() % 20'000, " h:", random() % 70'000);
    for (size_t n = random() % 3; n > 0; --n) {
      text[random() % text.size()] = alphabet[random() % alphabet.size()];
    }
    text.resize(text.size() - (random() % 4 == 0 ? random() % text.size() : 0));
    const auto redirect = Redirect(text);
    if (!redirect.has_value()) continue;
    ++taken;
    ASSERT_TRUE(redirect->slot >= 0 && redirect->slot < kRedisSlots) << text;
    ASSERT_TRUE(redirect->server.port >= 1 && redirect->server.port <= 65535) << text;
    ASSERT_FALSE(redirect->server.host.empty()) << text;
  }
  EXPECT_GT(taken, 1000);
}

// Nodes come and go, and one master is stopped or emptied; slots that move come back.
class RedisClusterTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { cluster_ = TestRedisCluster::Start({}).release(); }
  static void TearDownTestSuite() { delete std::exchange(cluster_, nullptr); }
  void SetUp() override {
    ASSERT_NE(cluster_, nullptr);
    cluster_->Flush();
  }

  static std::unique_ptr<SharedStore> Store(absl::Duration deadline = absl::Seconds(20)) {
    auto store = NewRedisStore(cluster_->address(), {.node = "aaaaaaaa", .deadline = deadline});
    EXPECT_THAT(store->Connect(), IsOk());
    return store;
  }
  static Beat Beaten(SharedStore* store) {
    absl::StatusOr<Beat> beat = store->SayBeat({"session", "holder", {"log"}, "{}"});
    EXPECT_THAT(beat.status(), IsOk());
    return beat.ok() ? *beat : Beat();
  }
  // A master that has neither the cases nor the nodes.
  static size_t OneOfRowsAlone() {
    size_t master = 0;
    while (master == cluster_->MasterOf(kCasesKey) || master == cluster_->MasterOf(kNodesKey)) {
      ++master;
    }
    return master;
  }

  static TestRedisCluster* cluster_;
};
TestRedisCluster* RedisClusterTest::cluster_ = nullptr;

TEST_F(RedisClusterTest, EveryKeyIsWithItsMasterAndDies) {
  auto store = Store();
  for (const RowAnswer& answer : PutAll(store.get(), 1)) {
    EXPECT_THAT(answer.status, IsOk());
    EXPECT_EQ(answer.rows.size(), 1u);
  }
  EXPECT_TRUE(store->PutCase({KeyOf(0).subject, false, 1, false, "{}"})->written);
  EXPECT_THAT(store->PutReceipt(KeyOf(0).subject, "a-1-1", "[]", absl::Hours(1)), IsOk());
  EXPECT_THAT(Beaten(store.get()).missing, IsOk());
  std::set<size_t> masters;
  std::map<std::string, int> formats;
  for (const auto& [key, master] : cluster_->Keys()) {
    EXPECT_EQ(master, cluster_->MasterOf(key)) << key;
    EXPECT_GT((*cluster_)[master].Cli({"TTL", key}).integer, 0) << key;
    masters.insert(master);
    ++formats[absl::StartsWith(key, "deferd1:{nodes-") ? "generation" : key.substr(0, 10)];
  }
  EXPECT_EQ(masters.size(), 3u);
  EXPECT_EQ(formats, (std::map<std::string, int>{{"deferd1:w:", kDomains},
                                                 {"deferd1:e:", 1},
                                                 {"deferd1:{c", 2},
                                                 {"deferd1:{n", 2},
                                                 {"generation", 3}}));
  std::set<std::string> told;
  EXPECT_THAT(store->ForEachKey(absl::Hours(1),
                                [&](std::vector<RowKey> keys) {
                                  for (const RowKey& key : keys) told.insert(key.subject.id);
                                }),
              IsOk());
  EXPECT_EQ(told.size(), static_cast<size_t>(kDomains));
}

TEST_F(RedisClusterTest, OneServerThatAnswersIsEnoughToFindTheOthers) {
  RedisAddress address = cluster_->address();
  address.cluster = {{"127.0.0.1", 1}, address.cluster[2]};
  auto store = NewRedisStore(address, {.node = "aaaaaaaa", .deadline = absl::Seconds(20)});
  ASSERT_THAT(store->Connect(), IsOk());
  for (const RowAnswer& answer : PutAll(store.get(), 1)) EXPECT_THAT(answer.status, IsOk());
  address.cluster = {{"127.0.0.1", 1}};
  store = NewRedisStore(address, {.node = "aaaaaaaa", .deadline = absl::Seconds(20)});
  EXPECT_EQ(TroubleOf(store->Connect()), SharedTrouble::kGone);
}

TEST_F(RedisClusterTest, AnAddressOfTheOtherKindIsNamed) {
  RedisAddress address;
  address.server = (*cluster_)[0].endpoint();
  auto plain = NewRedisStore(address, {.node = "aaaaaaaa", .deadline = absl::Seconds(20)});
  ASSERT_THAT(plain->Connect(), IsOk());
  int moved = 0;
  for (const RowAnswer& answer : PutAll(plain.get(), 1)) {
    if (answer.status.ok()) continue;
    ++moved;
    EXPECT_EQ(TroubleOf(answer.status), SharedTrouble::kNoMaster);
    EXPECT_THAT(std::string(answer.status.message()), HasSubstr("redis+cluster://"));
  }
  EXPECT_GT(moved, 0);

  auto alone = RedisServer::StartOnPort(RedisServer::Port::kPlain);
  ASSERT_THAT(alone.status(), IsOk());
  address.cluster = {(*alone)->endpoint()};
  absl::Status refused =
      NewRedisStore(address, {.node = "aaaaaaaa", .deadline = absl::Seconds(20)})->Connect();
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kUnexpected);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("cluster support disabled"));
}

TEST_F(RedisClusterTest, AMasterThatWasEmptiedIsAnotherGeneration) {
  auto store = Store();
  const std::string generation = Beaten(store.get()).generation;
  EXPECT_EQ(Beaten(store.get()).generation, generation);
  (*cluster_)[OneOfRowsAlone()].Cli({"FLUSHALL"});
  EXPECT_NE(Beaten(store.get()).generation, generation);
}

// Else everything would be put again with each slot.
TEST_F(RedisClusterTest, SlotsThatMoveLeaveTheGenerationAsItIs) {
  auto store = Store();
  auto other =
      NewRedisStore(cluster_->address(), {.node = "bbbbbbbb", .deadline = absl::Seconds(20)});
  ASSERT_THAT(other->Connect(), IsOk());
  const auto beaten_too = [&] {
    return other->SayBeat({"session2", "holder2", {"log2"}, "{}"})->generation;
  };
  const size_t from = OneOfRowsAlone();
  const size_t to = cluster_->MasterOf(kCasesKey);
  const std::string generation = Beaten(store.get()).generation;
  const std::string of_other = beaten_too();
  // The first of them has the key of the generation at first, the second one does afterwards.
  const int first = static_cast<int>(kRedisSlots * from / 3);
  std::vector<std::pair<int, std::pair<size_t, size_t>>> moves;
  for (int slot : {first + 5, first, first + 1}) moves.push_back({slot, {from, to}});
  for (int slot : {first, first + 5, first + 1}) moves.push_back({slot, {to, from}});
  for (const auto& [slot, way] : moves) {
    cluster_->BeginMove(slot, way.first, way.second);
    EXPECT_EQ(Beaten(store.get()).generation, generation) << slot;
    while (cluster_->MoveKey(slot, way.first, way.second)) continue;
    cluster_->EndMove(slot, way.second);
    for (int beat = 0; beat < 3; ++beat) {
      EXPECT_EQ(Beaten(store.get()).generation, generation) << slot;
    }
    EXPECT_EQ(beaten_too(), of_other) << slot;
  }
  (*cluster_)[from].Cli({"FLUSHALL"});
  EXPECT_NE(Beaten(store.get()).generation, generation) << "emptied";
}

TEST_F(RedisClusterTest, ScriptsThatAMasterForgotAreLoadedAgain) {
  auto store = Store();
  PutAll(store.get(), 1);
  for (size_t master : {0, 2}) (*cluster_)[master].Cli({"SCRIPT", "FLUSH"});
  for (const RowAnswer& answer : PutAll(store.get(), 2)) EXPECT_THAT(answer.status, IsOk());
}

TEST_F(RedisClusterTest, WithoutOneMasterItsDomainsAloneHaveTrouble) {
  const size_t stopped = OneOfRowsAlone();
  RedisServer& server = (*cluster_)[stopped];
  // However slow this machine is, the others answer within the deadline.
  auto store = Store(absl::Seconds(1));
  const std::string generation = Beaten(store.get()).generation;
  PutAll(store.get(), 1);
  server.Signal(SIGSTOP);
  for (int round = 0; round < 2; ++round) {
    const std::vector<RowAnswer> answers = PutAll(store.get(), 2 + round);
    for (int i = 0; i < kDomains; ++i) {
      if (cluster_->MasterOf(RowKeyText(KeyOf(i))) != stopped) {
        EXPECT_THAT(answers[i].status, IsOk());
        continue;
      }
      EXPECT_EQ(TroubleOf(answers[i].status), SharedTrouble::kSlow);
      EXPECT_THAT(std::string(answers[i].status.message()),
                  HasSubstr(server.endpoint().ToString()));
    }
    EXPECT_TRUE(store->connected());
    const Beat beat = Beaten(store.get());
    EXPECT_EQ(TroubleOf(beat.missing), SharedTrouble::kSlow);
    EXPECT_THAT(std::string(beat.missing.message()),
                HasSubstr(absl::StrCat("slow: ", server.endpoint().ToString(), ": ")));
    EXPECT_EQ(beat.generation, generation);
  }
  int asked = 0;
  for (int i = 0; i < kDomains && asked == 0; ++i) {
    if (cluster_->MasterOf(RowKeyText(KeyOf(i))) != stopped) continue;
    ++asked;
    EXPECT_EQ(TroubleOf(store->DropOtherRows(KeyOf(i), {"aaaaaaaa"})), SharedTrouble::kSlow);
    EXPECT_EQ(TroubleOf(store->ReadReceipt(KeyOf(i).subject, "a-1-1").status()),
              SharedTrouble::kSlow);
    EXPECT_TRUE(store->connected()) << "the others' connections stay";
  }
  EXPECT_EQ(asked, 1);
  server.Signal(SIGCONT);
  ASSERT_THAT(store->Connect(), IsOk()) << "a slow one is else tried after ten seconds";
  const Beat beat = Beaten(store.get());
  EXPECT_THAT(beat.missing, IsOk());
  EXPECT_NE(beat.generation, generation) << "so that everything is put again";
  for (const RowAnswer& answer : PutAll(store.get(), 5)) EXPECT_THAT(answer.status, IsOk());
}

}  // namespace
}  // namespace deferd
