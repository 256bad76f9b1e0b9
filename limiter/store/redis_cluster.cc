// The masters of a Redis Cluster, as the servers of one store.

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/redis_servers.h"
#include "limiter/store/redis_slots.h"

namespace deferd {

namespace {

using Steady = std::chrono::steady_clock;

constexpr auto kRefreshPause = std::chrono::milliseconds(500);
constexpr int kMostRounds = 5;  // a command is sent, while each answer says that it moved

// By slot: a number whose generation key is in it.
const std::array<int, kRedisSlots>& GenerationNumbers() {
  static const std::array<int, kRedisSlots> numbers = [] {
    std::array<int, kRedisSlots> by_slot;
    by_slot.fill(-1);
    int left = kRedisSlots;
    for (int number = 0; left > 0; ++number) {
      int& known = by_slot[RedisSlotOf(GenerationKeyOf(number))];
      if (known >= 0) continue;
      known = number;
      --left;
    }
    return by_slot;
  }();
  return numbers;
}

class RedisCluster : public RedisServers {
 public:
  RedisCluster(const RedisAddress& address, absl::Duration deadline)
      : address_(address), deadline_(deadline) {}

  absl::Status Open() override {
    Close();
    return Refresh();
  }
  void Close() override {
    slots_.clear();
    servers_.clear();
  }
  bool open() const override { return !slots_.empty(); }

  absl::StatusOr<std::vector<RedisReply>> Run(absl::Span<const RedisCommand> commands,
                                              absl::Duration wait) override {
    if (!open()) return NotOpen();
    if (stale_ && Steady::now() - refreshed_at_ >= kRefreshPause) Refresh().IgnoreError();
    std::vector<RedisReply> replies(commands.size());
    std::vector<size_t> left(commands.size());
    std::iota(left.begin(), left.end(), 0);
    for (int round = 0; round < kMostRounds && !left.empty(); ++round) {
      std::map<Server*, std::vector<size_t>> spread;
      for (size_t i : left) spread[slots_[RedisSlotOf(KeyOfCommand(commands[i]))]].push_back(i);
      left.clear();
      for (const auto& [server, places] : spread) {
        RunAt(server, commands, places, wait, &replies);
        for (size_t i : places) {
          if (Moved(server, commands[i], wait, &replies[i])) left.push_back(i);
        }
      }
    }
    return replies;
  }

  absl::Status ForEach(absl::FunctionRef<absl::Status(RedisConnection&)> visit) override {
    if (!open()) return NotOpen();
    Refresh().IgnoreError();
    absl::Status status;
    for (auto& [name, server] : servers_) {
      if (!server.has_slots) continue;
      absl::Status one = Ready(&server);
      if (one.ok()) one = TroubleAt(name, visit(server.connection));
      status.Update(one);
    }
    return status;
  }

  absl::Status Check() override {
    if (!open()) return NotOpen();
    absl::Status status = Refresh();
    if (!status.ok()) Close();
    return status;
  }

  void AddTo(Beat* beat, const std::string& random) override {
    for (auto& [name, server] : servers_) {
      if (!server.has_slots) continue;
      beat->missing.Update(Hear(&server, random));
      absl::StrAppend(&beat->generation, "|", name, "#", server.connected, " ", server.generation);
    }
  }

 private:
  // One without slots is known only while it takes over its first.
  struct Server {
    RedisEndpoint endpoint;
    std::string name;
    RedisConnection connection;
    int connected = 0;  // the number of its connection
    Steady::time_point retry_at = Steady::time_point::min();
    absl::Status trouble;  // of the last try to connect
    bool has_slots = false;
    int generation_number = -1;
    std::string generation;  // as of the last beat that it answered
    // The number is another one since: its generation is kept under that. If the server was emptied
    // at the same moment, each node finds its rows missing (row_check.h).
    bool moves_on = false;
  };

  static absl::Status NotOpen() {
    return TroubleStatus(SharedTrouble::kGone, "there is no connection");
  }

  Server* ServerAt(const RedisEndpoint& endpoint) {
    std::string name = endpoint.ToString();
    Server& server = servers_[name];
    server.endpoint = endpoint;
    server.name = std::move(name);
    return &server;
  }

  absl::Status Ready(Server* server) {
    if (server->connection.open()) return absl::OkStatus();
    if (Steady::now() < server->retry_at) return server->trouble;
    RedisAddress address = address_;
    address.server = server->endpoint;
    server->trouble = TroubleAt(server->name, server->connection.Open(address, deadline_));
    if (server->trouble.ok()) {
      server->connected = ++connections_;
      return absl::OkStatus();
    }
    server->retry_at = Steady::now() + RetryPause(TroubleOf(server->trouble));
    return server->trouble;
  }

  absl::StatusOr<std::vector<RedisReply>> RunAt(Server* server,
                                                absl::Span<const RedisCommand> commands,
                                                absl::Duration wait) {
    absl::Status status = Ready(server);
    if (status.ok()) {
      absl::StatusOr<std::vector<RedisReply>> replies =
          server->connection.RunScripts(commands, wait);
      if (replies.ok()) return replies;
      status = TroubleAt(server->name, replies.status());
    }
    stale_ = true;  // another one may be the master by now
    return status;
  }

  // Those at `places`, which are of slots of `server`.
  void RunAt(Server* server, absl::Span<const RedisCommand> commands,
             const std::vector<size_t>& places, absl::Duration wait,
             std::vector<RedisReply>* replies) {
    absl::StatusOr<std::vector<RedisReply>> theirs =
        TroubleStatus(SharedTrouble::kNoMaster, "no server of the cluster has the key's slot");
    if (server == nullptr) {
      stale_ = true;
    } else {
      std::vector<RedisCommand> some;
      some.reserve(places.size());
      for (size_t i : places) some.push_back(commands[i]);
      theirs = RunAt(server, some, wait);
    }
    for (size_t i = 0; i < places.size(); ++i) {
      RedisReply& reply = (*replies)[places[i]];
      if (theirs.ok()) {
        reply = std::move((*theirs)[i]);
        reply.failed = TroubleAt(server->name, reply.status());
      } else {
        reply = {};
        reply.failed = theirs.status();
      }
    }
  }

  // Whether the command is to be sent again, since its slot is elsewhere. A slot on its way is
  // asked for where it goes to.
  bool Moved(Server* from, const RedisCommand& command, absl::Duration wait, RedisReply* reply) {
    if (from == nullptr) return false;
    std::optional<RedisRedirect> redirect = ParseRedirect(*reply, from->endpoint);
    if (redirect.has_value() && redirect->ask) {
      const std::vector<RedisCommand> asking = {{"ASKING"}, command};
      Server* there = ServerAt(redirect->server);
      absl::StatusOr<std::vector<RedisReply>> replies = RunAt(there, asking, wait);
      *reply = replies.ok() ? std::move(replies->back()) : RedisReply();
      reply->failed = replies.ok() ? TroubleAt(there->name, reply->status()) : replies.status();
      // A script that was loaded there ran without ASKING, which is MOVED: the next round has both.
      redirect = ParseRedirect(*reply, there->endpoint);
    }
    if (!redirect.has_value() || redirect->ask) return false;
    stale_ = true;
    slots_[redirect->slot] = ServerAt(redirect->server);
    return true;
  }

  // From the first server that is part of a whole cluster; if there is none, from the first that
  // answers.
  absl::Status Refresh() {
    stale_ = false;
    refreshed_at_ = Steady::now();
    std::vector<RedisEndpoint> candidates;
    for (const auto& [name, server] : servers_) candidates.push_back(server.endpoint);
    // All in turns, since many nodes ask.
    if (!candidates.empty()) {
      std::rotate(candidates.begin(), candidates.begin() + turn_++ % candidates.size(),
                  candidates.end());
    }
    candidates.insert(candidates.end(), address_.cluster.begin(), address_.cluster.end());
    absl::Status trouble;
    std::optional<std::vector<RedisSlotRange>> found;
    for (const RedisEndpoint& candidate : candidates) {
      bool whole = false;
      absl::StatusOr<std::vector<RedisSlotRange>> slots = AskForSlots(ServerAt(candidate), &whole);
      trouble.Update(slots.status());
      if (slots.ok() && (whole || !found.has_value())) found = *std::move(slots);
      if (whole) break;
    }
    if (!found.has_value()) return trouble;
    Adopt(*found);
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<RedisSlotRange>> AskForSlots(Server* server, bool* whole) {
    const std::vector<RedisCommand> questions = {{"CLUSTER", "INFO"}, {"CLUSTER", "SLOTS"}};
    absl::StatusOr<std::vector<RedisReply>> replies =
        RunAt(server, questions, absl::ZeroDuration());
    if (!replies.ok()) return replies.status();
    for (const RedisReply& reply : *replies) {
      if (!reply.status().ok()) return TroubleAt(server->name, reply.status());
    }
    absl::StatusOr<std::vector<RedisSlotRange>> slots =
        ParseSlots(replies->back(), server->endpoint);
    if (!slots.ok()) {
      return TroubleAt(server->name,
                       TroubleStatus(SharedTrouble::kUnexpected, slots.status().message()));
    }
    *whole = absl::StrContains(replies->front().text, "cluster_state:ok");
    return slots;
  }

  void Adopt(const std::vector<RedisSlotRange>& ranges) {
    slots_.assign(kRedisSlots, nullptr);
    for (const RedisSlotRange& range : ranges) {
      std::fill(slots_.begin() + range.first, slots_.begin() + range.last + 1,
                ServerAt(range.master));
    }
    for (auto& [name, server] : servers_) server.has_slots = false;
    for (int slot = 0; slot < kRedisSlots; ++slot) {
      Server* const server = slots_[slot];
      if (server == nullptr || std::exchange(server->has_slots, true)) continue;
      if (HasGenerationKey(server)) continue;
      server->moves_on = server->generation_number >= 0;
      server->generation_number = GenerationNumbers()[slot];
    }
    std::erase_if(servers_, [](const auto& entry) { return !entry.second.has_slots; });
  }

  bool HasGenerationKey(const Server* server) const {
    const int number = server->generation_number;
    return number >= 0 && slots_[RedisSlotOf(GenerationKeyOf(number))] == server;
  }

  // Each master has a generation of its own: it may be emptied alone.
  absl::Status Hear(Server* server, const std::string& random) {
    const std::string key = GenerationKeyOf(server->generation_number);
    const std::string life = absl::StrCat(absl::ToInt64Seconds(kCasesLife));
    const std::string& text =
        server->moves_on && !server->generation.empty() ? server->generation : random;
    const std::vector<RedisCommand> commands = {{"SET", key, text, "NX", "GET", "EX", life},
                                                {"EXPIRE", key, life}};
    absl::StatusOr<std::vector<RedisReply>> replies = RunAt(server, commands, absl::ZeroDuration());
    if (!replies.ok()) return replies.status();
    const RedisReply& before = replies->front();
    // Its slot moves: the next beat finds another key.
    if (ParseRedirect(before, server->endpoint).has_value()) return absl::OkStatus();
    if (!before.status().ok()) return TroubleAt(server->name, before.status());
    server->generation = before.kind == RedisReply::Kind::kText ? before.text : text;
    server->moves_on = false;
    return absl::OkStatus();
  }

  const RedisAddress address_;
  const absl::Duration deadline_;
  std::map<std::string, Server> servers_;  // by name
  std::vector<Server*> slots_;             // nullptr: no server has it; empty: not open
  bool stale_ = false;
  Steady::time_point refreshed_at_;
  size_t turn_ = 0;
  int connections_ = 0;  // ever made
};

}  // namespace

std::unique_ptr<RedisServers> NewRedisCluster(const RedisAddress& address,
                                              absl::Duration deadline) {
  return std::make_unique<RedisCluster>(address, deadline);
}

}  // namespace deferd
