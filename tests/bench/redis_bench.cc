// What sharing costs, beside its floors in the same run, on a private redis-server.
//
// Rows: microseconds of putting one and reading all nodes' back, and Redis's bytes of a domain,
// with one to a thousand nodes that have it; the floor is the same bytes with HSET and HGETALL,
// without a script. Fleets: the same where each domain is on four of many nodes, and what their
// heartbeats take. Attempts: how many a second one Redis takes in, from nodes that count, commit
// and share; the floor is redis-benchmark running a window script for each attempt. `redis_bench
// [DOMAINS]`.

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/committer.h"
#include "limiter/limiter.h"
#include "limiter/sharing/publisher.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/redis_store.h"
#include "limiter/store/window_row.h"
#include "policy/policy_file.h"
#include "spdlog/spdlog.h"
#include "tests/bench/short.h"
#include "tests/limiter/store/memory_store.h"
#include "tests/limiter/store/redis_server.h"

namespace deferd {
namespace {

constexpr int kAttempts = 20;  // of a domain in the hour
const SystemClock kClock;

std::string Domain(int i) { return absl::StrCat("customer-", i, ".example"); }

double InfoNumber(RedisServer* server, const std::string& section, const std::string& name) {
  const std::string info = server->Cli({"INFO", section}).text;
  const size_t at = info.find(name + ":") + name.size() + 1;
  double number = 0;
  if (!absl::SimpleAtod(info.substr(at, info.find('\r', at) - at), &number)) std::abort();
  return number;
}

double UsedBytes(RedisServer* server) { return InfoNumber(server, "memory", "used_memory"); }

// Of Redis's one thread: where many nodes share, that is what they share.
double CpuSeconds(RedisServer* server) {
  return InfoNumber(server, "cpu", "used_cpu_user_main_thread") +
         InfoNumber(server, "cpu", "used_cpu_sys_main_thread");
}

std::string Row(double version, std::mt19937* random) {
  WindowRow row;
  row.version = version;
  uint32_t step = 30'000'000 + (*random)() % 3;
  for (int i = 0; i < kAttempts; ++i, step += 1 + (*random)() % 4) {
    WindowCell cell = {.step = step, .counts = {.delivered = 1}};
    if ((*random)() % 10 == 0) cell = {.step = step, .counts = {.deferred = 1}};
    row.cells.push_back(cell);
  }
  return EncodeWindowRow(row);
}

void MeasureRows(int domains, int nodes) {
  auto server = RedisServer::Start();
  if (!server.ok()) std::abort();
  std::mt19937 random(1);
  const double before = UsedBytes(server->get());
  double last_us = 0;
  for (int node = 0; node < nodes; ++node) {
    auto store = NewRedisStore((*server)->address(), {.node = absl::StrFormat("%08x", node),
                                                      .deadline = absl::Seconds(30)});
    if (!store->Connect().ok()) std::abort();
    absl::Duration spent;
    for (int i = 0; i < domains; i += 500) {
      std::vector<RowPut> puts;
      for (int d = i; d < std::min(i + 500, domains); ++d) {
        puts.push_back({{{SubjectKind::kDomain, Domain(d)}, absl::Hours(1)}, 1, Row(1, &random)});
      }
      const absl::Time begin = kClock.Now();
      if (!store->PutRows(puts).ok()) std::abort();
      spent += kClock.Now() - begin;
    }
    last_us = absl::ToDoubleMicroseconds(spent) / domains;
  }
  const double bytes = (UsedBytes(server->get()) - before) / domains;

  RedisConnection plain;
  if (!plain.Open((*server)->address(), absl::Seconds(30)).ok()) std::abort();
  absl::Duration spent;
  for (int i = 0; i < domains; i += 500) {
    std::vector<RedisCommand> commands;
    for (int d = i; d < std::min(i + 500, domains); ++d) {
      const std::string key = RowKeyText({{SubjectKind::kDomain, Domain(d)}, absl::Hours(1)});
      commands.push_back({"HSET", key, "00000000", Row(2, &random)});
      commands.push_back({"EXPIRE", key, "7200"});
      commands.push_back({"HGETALL", key});
    }
    const absl::Time begin = kClock.Now();
    if (!plain.Run(commands).ok()) std::abort();
    spent += kClock.Now() - begin;
  }
  std::printf(
      "%2d nodes, %d domains: put_row %.1f us, HSET+EXPIRE+HGETALL %.1f us; %.0f bytes a domain\n",
      nodes, domains, last_us, absl::ToDoubleMicroseconds(spent) / domains, bytes);
}

// Each domain is on four nodes. The time is Redis's own, of puts by the last nodes, when the others
// are there.
void MeasureFleet(int nodes) {
  const int domains = ShortRun() ? 100 : 20'000;
  constexpr int kEach = 4;
  auto server = RedisServer::Start();
  if (!server.ok()) std::abort();
  std::mt19937 random(1);
  std::vector<std::vector<RowPut>> puts(nodes);
  for (int d = 0; d < domains; ++d) {
    for (int i = 0; i < kEach; ++i) {
      puts[(d + i * std::max(1, nodes / kEach)) % nodes].push_back(
          {{{SubjectKind::kDomain, Domain(d)}, absl::Hours(1)}, 1, Row(1, &random)});
    }
  }
  const std::string record(100, 'x');
  double rows_before = 0, rows = 0;
  int64_t put = 0;
  std::unique_ptr<SharedStore> store;
  NodeClaim claim;
  for (int node = 0; node < nodes; ++node) {
    if (node == nodes * 3 / 4) rows_before = CpuSeconds(server->get());
    const std::string name = absl::StrFormat("%08x", node);
    store = NewRedisStore((*server)->address(), {.node = name, .deadline = absl::Seconds(30)});
    if (!store->Connect().ok() || !store->PutRows(puts[node]).ok()) std::abort();
    if (node >= nodes * 3 / 4) put += static_cast<int64_t>(puts[node].size());
  }
  rows = CpuSeconds(server->get()) - rows_before;
  for (int node = 0; node < nodes; ++node) {
    const std::string name = absl::StrFormat("%08x", node);
    store = NewRedisStore((*server)->address(), {.node = name, .deadline = absl::Seconds(30)});
    claim = {name,
             name,
             {absl::StrCat("/var/log/exim4/mainlog@", name)},
             absl::StrCat("{\"at\":\"", record, "\"}")};
    if (!store->Connect().ok() || !store->SayBeat(claim).ok()) std::abort();
  }
  constexpr int kBeats = 50;
  const double beats_before = CpuSeconds(server->get());
  for (int i = 0; i < kBeats; ++i) {
    if (!store->SayBeat(claim).ok()) std::abort();
  }
  const double beat = (CpuSeconds(server->get()) - beats_before) / kBeats;
  std::printf(
      "%4d nodes, each domain on %d: a put takes %.1f us of Redis, a heartbeat %.2f ms; all "
      "heartbeats %.2f of its core\n",
      nodes, kEach, rows * 1e6 / static_cast<double>(put), beat * 1e3, beat * nodes / 2);
}

// A node without a log and a disk: it counts, commits to memory, and shares.
class BenchNode {
 public:
  BenchNode(int number, const RedisAddress& address)
      : name_(absl::StrFormat("%08x", number)), store_(NewMemoryStore(name_, {})) {
    const Settings settings = {std::make_shared<Policy>(BuiltInPolicy()),
                               std::make_shared<ChargeLists>()};
    limiter_ = std::make_unique<Limiter>(
        LimiterOptions{.node = name_, .keep = true, .shared = true}, settings, &kClock, &cases_);
    committer_ = std::make_unique<Committer>(CommitterOptions{.ledger = false}, limiter_.get(),
                                             store_.get(), &kClock);
    if (!committer_->Load().ok()) std::abort();
    publisher_ = std::make_unique<Publisher>(
        PublisherOptions{.claim =
                             [this] {
                               return NodeClaim{name_, name_, {}, "{}"};
                             }},
        NewRedisStore(address, {.node = name_, .deadline = absl::Seconds(30)}), committer_.get(),
        &kClock);
    publisher_->Start();
  }

  void Feed(int attempts, double zipf, int domains, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<double> weights(domains);
    for (int i = 0; i < domains; ++i) weights[i] = 1 / std::pow(i + 1, zipf);
    std::discrete_distribution<int> pick(weights.begin(), weights.end());
    EventBatch batch;
    for (int n = 0; n < attempts; ++n) {
      LogEvent* event = batch.Add();
      event->kind = LogEvent::Kind::kAttempt;
      event->attempt.time = kClock.Now();
      event->attempt.message = {absl::StrCat(name_, "-", n), event->attempt.time};
      event->attempt.identity.login = absl::StrCat("bob@", Domain(pick(random)));
      event->attempt.recipient = "r@far.example";
      event->attempt.outcome = n % 20 == 0 ? Outcome::kDeferred : Outcome::kDelivered;
      event->attempt.remote = true;
      if (batch.size() < 1000 && n + 1 < attempts) continue;
      committer_->Record(batch);
      if (!committer_->Commit().ok()) std::abort();
      batch.Clear();
    }
    while (limiter_->nodes().stats().waiting_subjects > 0) std::this_thread::yield();
  }

  int64_t rows_put() const { return publisher_->status().rows_put; }

 private:
  const std::string name_;
  std::unique_ptr<LocalStore> store_;
  CaseTable cases_;
  std::unique_ptr<Limiter> limiter_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Publisher> publisher_;
};

void MeasureAttempts(int nodes, double zipf, const char* name) {
  const int kEach = ShortRun() ? 2'000 : 200'000;
  constexpr int kDomains = 10'000;
  auto server = RedisServer::Start();
  if (!server.ok()) std::abort();
  std::vector<std::unique_ptr<BenchNode>> all;
  for (int i = 0; i < nodes; ++i) {
    all.push_back(std::make_unique<BenchNode>(i, (*server)->address()));
  }
  const absl::Time begin = kClock.Now();
  std::vector<std::thread> threads;
  for (int i = 0; i < nodes; ++i) {
    threads.emplace_back([&, i] { all[i]->Feed(kEach, zipf, kDomains, i + 1); });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = absl::ToDoubleSeconds(kClock.Now() - begin);
  int64_t rows = 0;
  for (const auto& node : all) rows += node->rows_put();
  std::printf(
      "%d daemons, %s: %.0f attempts/s on this machine, as %d rows; %.0f a second of Redis's "
      "time\n",
      nodes, name, nodes * kEach / seconds, static_cast<int>(rows),
      nodes * kEach / CpuSeconds(server->get()));
}

// A script for each attempt: adds to the step's field, keeps it alive, gives all steps back.
void MeasureFloor() {
  const int kFloorAttempts = ShortRun() ? 2'000 : 200'000;
  auto server = RedisServer::Start();
  if (!server.ok()) std::abort();
  const std::string sha =
      (*server)
          ->Cli({"SCRIPT", "LOAD",
                 "redis.call('HINCRBY', KEYS[1], ARGV[1], 1) redis.call('EXPIRE', KEYS[1], 7200) "
                 "return redis.call('HGETALL', KEYS[1])"})
          .text;
  std::printf("floor, redis-benchmark, 50 connections, a window script an attempt:\n");
  std::fflush(stdout);
  const std::string command = absl::StrCat(
      "redis-benchmark -s ", (*server)->address().path, " -n ", kFloorAttempts,
      " -c 50 -r 10000 -q evalsha ", sha, " 1 w:__rand_int__ 29999999d | tr '\\r' '\\n' | tail -1");
  const double before = CpuSeconds(server->get());
  if (std::system(command.c_str()) != 0) std::abort();
  std::printf("that is %.0f attempts a second of Redis's time\n",
              kFloorAttempts / (CpuSeconds(server->get()) - before));
}

int Main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::err);
  const int domains = argc > 1 ? std::atoi(argv[1]) : 100'000;
  for (int nodes : {1, 4}) MeasureRows(domains, nodes);
  MeasureRows(std::max(1, domains / 10), 30);
  MeasureRows(std::max(1, domains / 200), 300);
  MeasureRows(std::max(1, domains / 1'000), 1'000);
  for (int nodes : {4, 30, 300, 1'000}) MeasureFleet(nodes);
  MeasureFloor();
  for (int nodes : {1, 2, 4}) {
    MeasureAttempts(nodes, 1.0, "Zipf");
    MeasureAttempts(nodes, 0.0, "uniform");
  }
  return 0;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
