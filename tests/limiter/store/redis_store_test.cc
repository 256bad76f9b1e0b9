// What is Redis's alone: addresses, keys, and everything that can be wrong with a server.

#include "limiter/store/redis_store.h"

#include <signal.h>

#include <map>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/port/clock.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/window_row.h"
#include "tests/limiter/store/redis_server.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using ::testing::HasSubstr;

const RowKey kBadHour = {{SubjectKind::kDomain, "bad.example"}, absl::Hours(1)};

RowPut Put(double version, const RowKey& key = kBadHour) {
  WindowRow row;
  row.version = version;
  row.cells.push_back({.step = 100, .counts = {.failed = 1}});
  return {key, version, EncodeWindowRow(row)};
}

SharedCase Record(int64_t rev) { return {kBadHour.subject, false, rev, false, "{}"}; }

std::unique_ptr<RedisServer> Started(const std::vector<std::string>& arguments = {}) {
  absl::StatusOr<std::unique_ptr<RedisServer>> server = RedisServer::Start(arguments);
  EXPECT_THAT(server.status(), IsOk());
  return server.ok() ? *std::move(server) : nullptr;
}

// The trouble of putting one row.
SharedTrouble PutTrouble(SharedStore* store, double version = 1, const RowKey& key = kBadHour) {
  absl::StatusOr<std::vector<RowAnswer>> answers = store->PutRows({Put(version, key)});
  return TroubleOf(answers.ok() ? answers->front().status : answers.status());
}

std::unique_ptr<SharedStore> Connected(const RedisAddress& address) {
  auto store = NewRedisStore(address, {.node = "aaaaaaaa", .deadline = absl::Seconds(20)});
  EXPECT_THAT(store->Connect(), IsOk());
  return store;
}

TEST(RedisAddressTest, ReadsWhatOperatorsWrite) {
  RedisAddress address = *RedisAddress::Parse("redis://redis.example");
  EXPECT_EQ(address.server, (RedisEndpoint{"redis.example", 6379}));
  EXPECT_EQ(address.ToString(), "redis://redis.example:6379");

  address = *RedisAddress::Parse("redis://deferd:p%40ss%2f1@[2001:db8::1]:7000/3");
  EXPECT_EQ(address.server, (RedisEndpoint{"2001:db8::1", 7000}));
  EXPECT_EQ(address.user, "deferd");
  EXPECT_EQ(address.password, "p@ss/1");
  EXPECT_EQ(address.db, 3);
  EXPECT_EQ(address.ToString(), "redis://[2001:db8::1]:7000/3") << "never the password";

  address = *RedisAddress::Parse("redis://:secret@h");
  EXPECT_EQ(address.user, "");
  EXPECT_EQ(address.password, "secret");

  address = *RedisAddress::Parse("redis+unix://deferd:pw@/run/redis/redis.sock?db=2");
  EXPECT_EQ(address.path, "/run/redis/redis.sock");
  EXPECT_EQ(address.password, "pw");
  EXPECT_EQ(address.db, 2);
  EXPECT_EQ(RedisAddress::Parse("redis+unix:///tmp/a@b.sock")->path, "/tmp/a@b.sock");

  address = *RedisAddress::Parse("redis+sentinel://u:p@s1:1,s2,[::1]:3/mymaster/1");
  EXPECT_EQ(address.sentinels, (std::vector<RedisEndpoint>{{"s1", 1}, {"s2", 26379}, {"::1", 3}}));
  EXPECT_EQ(address.master, "mymaster");
  EXPECT_EQ(address.db, 1);
  EXPECT_EQ(address.ToString(), "redis+sentinel://s1:1,s2:26379,[::1]:3/mymaster/1");

  address = *RedisAddress::Parse("redis+cluster://u:p@c1:7000,c2,[::1]:3/");
  EXPECT_EQ(address.cluster, (std::vector<RedisEndpoint>{{"c1", 7000}, {"c2", 6379}, {"::1", 3}}));
  EXPECT_EQ(address.user, "u");
  EXPECT_FALSE(address.tls.has_value());
  EXPECT_EQ(address.ToString(), "redis+cluster://c1:7000,c2:6379,[::1]:3");
  address = *RedisAddress::Parse("rediss+cluster://c1");
  EXPECT_TRUE(address.tls.has_value());
  EXPECT_EQ(address.ToString(), "rediss+cluster://c1:6379");
}

TEST(RedisAddressTest, SaysWhatIsWrong) {
  for (const char* text : {"",
                           "localhost:6379",
                           "http://h",
                           "redis://",
                           "redis://h:",
                           "redis://h:0",
                           "redis://h:65536",
                           "redis://h/x",
                           "redis://h/1/2",
                           "redis://user@h",
                           "redis://u:%zz@h",
                           "redis+unix://run/x",
                           "redis+unix:///x?db=y",
                           "redis+sentinel://s1",
                           "redis+sentinel://s1/",
                           "redis://[::1",
                           "redis+sentinel://s1,/m",
                           "redis://h/-1",
                           "redis+cluster://",
                           "redis+cluster://a,",
                           "redis+cluster://a/1",
                           "redis+cluster://a/0"}) {
    EXPECT_FALSE(RedisAddress::Parse(text).ok()) << text;
  }
}

TEST(RedisAddressTest, APartOfAPasswordIsNotShown) {
  for (const char* text : {"redis://u:sec/ret@h", "rediss://u:sec/ret@h:1/2", "redis://u:sec%ret@h",
                           "redis+sentinel://u:sec/ret@s1/m"}) {
    absl::Status wrong = RedisAddress::Parse(text).status();
    EXPECT_FALSE(wrong.ok()) << text;
    EXPECT_THAT(std::string(wrong.message()), ::testing::Not(HasSubstr("sec"))) << text;
  }
}

TEST(RedisKeysTest, KeysAndNamesReadBack) {
  const std::vector<Subject> subjects = {{SubjectKind::kDomain, "bad.example"},
                                         {SubjectKind::kLogin, "bob@bad.example"},
                                         {SubjectKind::kLogin, "bob"},
                                         {SubjectKind::kAccount, "alice"},
                                         {SubjectKind::kScript, "/home/x:y/{z}"},
                                         {SubjectKind::kScript, "/a}:3600:b@c.example"},
                                         {SubjectKind::kLocal, "root@host"},
                                         {SubjectKind::kForward, "bad.example"},
                                         {SubjectKind::kLogin, "a/b@c.example"},
                                         {SubjectKind::kDomain, "[192.0.2.1]"}};
  std::set<std::string> texts;
  std::set<std::string> fields;
  for (const Subject& subject : subjects) {
    const RowKey key = {subject, absl::Minutes(90)};
    const std::string text = RowKeyText(key);
    EXPECT_TRUE(texts.insert(text).second) << text;
    absl::StatusOr<RowKey> read = ParseRowKey(text);
    ASSERT_THAT(read.status(), IsOk()) << text;
    EXPECT_EQ(*read, key) << text;
    for (bool shadow : {false, true}) {
      const SharedCase record = {subject, shadow, (int64_t{7} << 32) + 5, true, "{\"x\":1}"};
      const std::string field = CaseField(subject, shadow);
      EXPECT_TRUE(fields.insert(field).second) << field;
      absl::StatusOr<SharedCase> back = ParseCaseEntry(field, CaseValue(record));
      ASSERT_THAT(back.status(), IsOk()) << field;
      EXPECT_EQ(*back, record);
    }
  }
  EXPECT_EQ(RowKeyText({subjects[1], absl::Hours(1)}),
            "deferd1:w:{bad.example}:3600:login:bob@bad.example");
  EXPECT_EQ(CaseField(subjects[1], false), "bad.example/login/bob@bad.example");
  for (const char* text :
       {"", "deferd1:w:{a}", "deferd1:w:{a}:x", "deferd1:w:{}:3600", "deferd1:w:{a}:3600:login:b@c",
        "deferd1:w:{login:b}:3600:x", "deferd1:e:{a}:3600", "deferd1:w:{a}:3600:nokind:b@a"}) {
    EXPECT_FALSE(ParseRowKey(text).ok()) << text;
  }
  // Another name for a subject that has one would be a second case of it.
  for (const char* field : {"login:bob@a.example", "local:u@x/login/y@z.example"}) {
    EXPECT_FALSE(ParseCaseEntry(field, CaseValue({})).ok()) << field;
  }
  EXPECT_FALSE(ParseCaseEntry("a", "short").ok());
  EXPECT_FALSE(ParseCaseEntry("a", std::string(8, '\xff') + "x").ok()) << "no number";
}

// Contract, oracle 15: every key is one that the formats name, and dies by itself.
TEST(RedisStoreTest, EveryKeyIsKnownAndHasATimeToLive) {
  auto server = Started();
  auto store = Connected(server->address());
  ASSERT_THAT(
      store->PutRows({Put(1), Put(1, {{SubjectKind::kLogin, "bob@bad.example"}, absl::Hours(24)})})
          .status(),
      IsOk());
  ASSERT_THAT(store->SayBeat({"s", "h", {"l"}, "{}"}).status(), IsOk());
  ASSERT_THAT(store->PutCase(Record(1)).status(), IsOk());
  ASSERT_THAT(store->PutReceipt(kBadHour.subject, "a-1-1", "[]", absl::Hours(3)), IsOk());
  const std::map<std::string, int64_t> expected = {
      {"deferd1:w:{bad.example}:3600", 7200},
      {"deferd1:w:{bad.example}:86400:login:bob@bad.example", 90000},
      {"deferd1:e:{bad.example}:a-1-1", 10800},
      {"deferd1:{cases}", 30 * 86400},
      {"deferd1:{cases}:log", 30 * 86400},
      {"deferd1:{nodes}", 30 * 86400},
      {"deferd1:{nodes}:gen", 30 * 86400}};
  RedisReply keys = server->Cli({"KEYS", "*"});
  std::map<std::string, int64_t> found;
  for (const RedisReply& key : keys.list) found[key.text] = server->Cli({"TTL", key.text}).integer;
  for (const auto& [key, ttl] : expected) {
    ASSERT_TRUE(found.contains(key)) << key;
    EXPECT_LE(found[key], ttl) << key;
    EXPECT_GT(found[key], ttl - 60) << key;
  }
  EXPECT_EQ(found.size(), expected.size());
}

// Contract, oracle 15: an hour of 20 attempts in under 400 bytes.
TEST(RedisStoreTest, ADomainTakesFewBytes) {
  constexpr int kDomains = 20'000;
  auto server = Started();
  auto used = [&] {
    const std::string info = server->Cli({"INFO", "memory"}).text;
    return std::stod(info.substr(info.find("used_memory:") + 12));
  };
  auto store = Connected(server->address());
  ASSERT_THAT(store->SayBeat({"s", "h", {}, "{}"}).status(), IsOk());
  const double before = used();
  std::vector<RowPut> puts;
  for (int domain = 0; domain < kDomains; ++domain) {
    WindowRow row;
    row.version = 4294967296.0 * 7 + domain;
    for (uint32_t i = 0; i < 20; ++i) {
      row.cells.push_back({.step = 29'922'360 + 3 * i - i % 3, .counts = {.failed = 1}});
    }
    const RowKey key = {{SubjectKind::kDomain, absl::StrCat("customer-", domain, ".example")},
                        absl::Hours(1)};
    puts.push_back({key, row.version, EncodeWindowRow(row)});
  }
  ASSERT_THAT(store->PutRows(puts).status(), IsOk());
  EXPECT_LT((used() - before) / kDomains, 400);
}

TEST(RedisStoreTest, TheBeatKeepsTheCasesAlive) {
  auto server = Started();
  auto store = Connected(server->address());
  ASSERT_THAT(store->PutCase(Record(1)).status(), IsOk());
  server->Cli({"EXPIRE", "deferd1:{cases}", "100"});
  ASSERT_THAT(store->SayBeat({"s", "h", {}, "{}"}).status(), IsOk());
  EXPECT_GT(server->Cli({"TTL", "deferd1:{cases}"}).integer, 1000);
}

TEST(RedisStoreTest, ADeadClaimantIsInNobodysWay) {
  auto server = Started();
  auto store = Connected(server->address());
  server->Cli({"HSET", "deferd1:{nodes}", "aaaaaaaa",
               "{\"seen\":1000,\"session\":\"old\",\"holder\":\"other\"}", "garbage", "no json"});
  absl::StatusOr<Beat> beat = store->SayBeat({"s", "h", {}, "{}"});
  ASSERT_THAT(beat.status(), IsOk());
  EXPECT_EQ(beat->nodes.size(), 1u);
}

TEST(RedisStoreTest, ScriptsThatTheServerForgotAreLoadedAgain) {
  auto server = Started();
  auto store = Connected(server->address());
  ASSERT_EQ(PutTrouble(store.get()), SharedTrouble::kNone);
  server->Cli({"SCRIPT", "FLUSH"});
  std::vector<RowPut> puts;
  for (int i = 0; i < 50; ++i) puts.push_back(Put(i + 2));
  absl::StatusOr<std::vector<RowAnswer>> answers = store->PutRows(puts);
  ASSERT_THAT(answers.status(), IsOk());
  for (const RowAnswer& answer : *answers) EXPECT_EQ(answer.rows.size(), 1u);
  server->Cli({"SCRIPT", "FLUSH"});
  EXPECT_TRUE(store->PutCase(Record(1))->written);
}

TEST(RedisStoreTest, GoneAndBack) {
  auto server = Started();
  auto store = Connected(server->address());
  server->Kill();
  EXPECT_EQ(PutTrouble(store.get()), SharedTrouble::kGone);
  EXPECT_FALSE(store->connected());
  EXPECT_EQ(TroubleOf(store->Connect()), SharedTrouble::kGone);
  ASSERT_THAT(server->Restart(), IsOk());
  EXPECT_THAT(store->Connect(), IsOk());
  EXPECT_EQ(PutTrouble(store.get(), 2), SharedTrouble::kNone);
}

TEST(RedisStoreTest, StoppedIsSlowAndAnsweredWithinTheDeadline) {
  auto server = Started();
  auto store = NewRedisStore(server->address(), {.node = "aaaaaaaa"});
  ASSERT_THAT(store->Connect(), IsOk());
  server->Signal(SIGSTOP);
  const absl::Time before = SystemClock().Now();
  EXPECT_EQ(PutTrouble(store.get()), SharedTrouble::kSlow);
  EXPECT_FALSE(store->connected());
  EXPECT_EQ(TroubleOf(store->Connect()), SharedTrouble::kSlow);
  EXPECT_LT(SystemClock().Now() - before, absl::Seconds(10));
  server->Signal(SIGCONT);
  auto patient = Connected(server->address());
  EXPECT_EQ(PutTrouble(patient.get(), 2), SharedTrouble::kNone);
}

TEST(RedisStoreTest, AnEntryOfAnotherTypeIsThatEntrysTroubleAlone) {
  auto server = Started();
  auto store = Connected(server->address());
  server->Cli({"SET", RowKeyText(kBadHour), "a string"});
  const RowKey other = {{SubjectKind::kDomain, "ok.example"}, absl::Hours(1)};
  absl::StatusOr<std::vector<RowAnswer>> answers = store->PutRows({Put(1), Put(1, other)});
  ASSERT_THAT(answers.status(), IsOk());
  EXPECT_EQ(TroubleOf((*answers)[0].status), SharedTrouble::kWrongType);
  EXPECT_EQ((*answers)[1].rows.size(), 1u);
  server->Cli({"SET", kCasesKey, "a string"});
  EXPECT_EQ(TroubleOf(store->PutCase(Record(1)).status()), SharedTrouble::kWrongType);
  EXPECT_TRUE(store->connected());
}

TEST(RedisStoreTest, DamagedEntriesAreReplaced) {
  auto server = Started();
  auto store = Connected(server->address());
  server->Cli({"HSET", RowKeyText(kBadHour), "aaaaaaaa", "x"});
  server->Cli({"HSET", kCasesKey, "bad.example", "x", "other.example", "y"});
  EXPECT_EQ(PutTrouble(store.get()), SharedTrouble::kNone);
  EXPECT_TRUE(store->PutCase(Record(1))->written);
  EXPECT_EQ(store->ReadCases()->size(), 1u) << "what cannot be read is left out";
}

TEST(RedisStoreTest, ImpossibleRecordsAreReplacedAndCounted) {
  auto server = Started();
  auto store = Connected(server->address());
  for (const char* number : {"2^53-1", "1e300", "-1", "0/0", "1/0", "2^51"}) {
    SCOPED_TRACE(number);
    server->Cli(
        {"EVAL",
         absl::StrCat("redis.call('HSET', KEYS[1], 'bad.example', struct.pack('<dB', ", number,
                      ", 1) .. '{}') redis.call('HSET', KEYS[2], 'aaaaaaaa', struct.pack('<d', ",
                      number, ") .. 'x')"),
         "2", kCasesKey, RowKeyText(kBadHour)});
    EXPECT_THAT(*store->ReadCases(), testing::IsEmpty());
    const std::vector<SharedCase> damaged = store->TakeDamagedCases();
    ASSERT_EQ(damaged.size(), 1u);
    EXPECT_EQ(damaged[0].subject.id, "bad.example");
    EXPECT_EQ(damaged[0].rev, SharedCase::kDamaged);
    SharedCase mine = Record(1);
    mine.seen = 0;
    EXPECT_TRUE(store->PutCase(mine)->written);
    auto answers = store->PutRows({Put(1)});
    ASSERT_THAT(answers.status(), IsOk());
    EXPECT_EQ((*answers)[0].rows[0].row, Put(1).row);
  }
}

TEST(RedisStoreTest, ANodeSeenInTheFutureKeepsNobodyOut) {
  auto server = Started();
  for (const char* seen : {"4102444800.5", "1e300", "99999999999999999999"}) {
    server->Cli({"HSET", kNodesKey, "aaaaaaaa",
                 absl::StrCat("{\"seen\":", seen,
                              ",\"session\":\"s\",\"holder\":\"h\",\"logs\":[\"log\",7,[]],"
                              "\"record\":{}}")});
    auto store = Connected(server->address());
    absl::StatusOr<Beat> beat = store->SayBeat({"mine", "my holder", {"log"}, "{}"});
    ASSERT_THAT(beat.status(), IsOk()) << seen;
    EXPECT_EQ(beat->nodes.size(), 1u);
    EXPECT_THAT(store->SayEnd("mine"), IsOk());
  }
}

TEST(RedisStoreTest, RowsOfMoreNodesThanThereCanBeAreMarkedAndTakenOut) {
  auto server = Started();
  auto store = Connected(server->address());
  server->Cli(
      {"EVAL",
       "for i = 1, 100000 do redis.call('HSET', KEYS[1], 'n' .. i, struct.pack('<d', i)) end", "1",
       RowKeyText(kBadHour)});
  auto answers = store->PutRows({Put(3)});
  ASSERT_THAT(answers.status(), IsOk());
  EXPECT_TRUE((*answers)[0].crowded);
  ASSERT_EQ((*answers)[0].rows.size(), 1u);
  EXPECT_EQ((*answers)[0].rows[0].row, Put(3).row);
  ASSERT_THAT(store->DropOtherRows(kBadHour, {"aaaaaaaa", "n7"}), IsOk());
  answers = store->PutRows({Put(4)});
  EXPECT_FALSE((*answers)[0].crowded);
  EXPECT_EQ((*answers)[0].rows.size(), 2u);
}

TEST(RedisStoreTest, ReplicaOutOfMemoryAndLoadingHaveTheirNames) {
  auto server = Started();
  auto store = Connected(server->address());
  server->Cli({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_EQ(PutTrouble(store.get()), SharedTrouble::kReadOnly);
  EXPECT_EQ(TroubleOf(store->PutCase(Record(1)).status()), SharedTrouble::kReadOnly);
  EXPECT_EQ(TroubleOf(store->Connect()), SharedTrouble::kReadOnly) << "a replica is no store";
  server->Kill();
  ASSERT_THAT(server->Restart(), IsOk());
  ASSERT_THAT(store->Connect(), IsOk());
  server->Cli({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(PutTrouble(store.get()), SharedTrouble::kFull);
  EXPECT_THAT(store->ReadTime().status(), IsOk())
      << "cases are read, so their times are to be known";
  EXPECT_TRUE(store->connected());
  server->Cli({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(PutTrouble(store.get()), SharedTrouble::kNone) << "it goes on by itself";

  EXPECT_EQ(TroubleOfRedisError("LOADING Redis is loading the dataset in memory"),
            SharedTrouble::kLoading);
  EXPECT_EQ(TroubleOfRedisError("MISCONF Redis is configured to save RDB snapshots"),
            SharedTrouble::kNotSaving);
  EXPECT_EQ(TroubleOfRedisError("ERR what nobody knows"), SharedTrouble::kUnexpected);
}

TEST(RedisStoreTest, AWrongPasswordIsSaidAndNeverShown) {
  auto server = Started({"--requirepass", "right"});
  RedisAddress address = server->address();
  auto none = NewRedisStore(address, {.node = "aaaaaaaa", .deadline = absl::Seconds(20)});
  EXPECT_EQ(TroubleOf(none->Connect()), SharedTrouble::kPassword);
  address.password = "wrong-secret";
  auto wrong = NewRedisStore(address, {.node = "aaaaaaaa", .deadline = absl::Seconds(20)});
  absl::Status refused = wrong->Connect();
  EXPECT_EQ(TroubleOf(refused), SharedTrouble::kPassword);
  EXPECT_THAT(std::string(refused.message()), ::testing::Not(HasSubstr("secret")));
  address.password = "right";
  Connected(address);
}

TEST(RedisStoreTest, AUserWithoutPermissionForAScriptIsReported) {
  auto server = Started();
  server->Cli({"ACL", "SETUSER", "few", "on", ">pw", "~*", "-@all", "+evalsha", "+script", "+role",
               "+hgetall"});
  RedisAddress address = server->address();
  address.user = "few";
  address.password = "pw";
  auto store = Connected(address);
  EXPECT_EQ(PutTrouble(store.get()), SharedTrouble::kPassword);
  EXPECT_EQ(TroubleOf(store->LastCase().status()), SharedTrouble::kPassword);
}

}  // namespace
}  // namespace deferd
