#include "limiter/store/redis_servers.h"

namespace deferd {

namespace {

constexpr int kBeatsPerSentinels = 3;  // how often the sentinels are asked again

class OneRedis : public RedisServers {
 public:
  OneRedis(const RedisAddress& address, absl::Duration deadline)
      : address_(address), deadline_(deadline) {}

  absl::Status Open() override {
    beats_ = 0;
    return connection_.Open(address_, deadline_);
  }
  void Close() override { connection_.Close(); }
  bool open() const override { return connection_.open(); }

  absl::StatusOr<std::vector<RedisReply>> Run(absl::Span<const RedisCommand> commands,
                                              absl::Duration wait) override {
    return connection_.RunScripts(commands, wait);
  }

  absl::Status ForEach(absl::FunctionRef<absl::Status(RedisConnection&)> visit) override {
    return visit(connection_);
  }

  // A master that a failover left behind may not know of it for a while, and take what is lost
  // then.
  absl::Status Check() override {
    if (address_.sentinels.empty() || !open()) return absl::OkStatus();
    if (beats_++ % kBeatsPerSentinels != 0) return absl::OkStatus();
    absl::StatusOr<RedisEndpoint> master = AskSentinels(address_, deadline_);
    // Sentinels that are gone do not take the master away.
    if (!master.ok() || *master == connection_.server()) return absl::OkStatus();
    connection_.Close();
    return TroubleStatus(SharedTrouble::kGone, "the sentinels name another master now");
  }

  void AddTo(Beat*, const std::string&) override {}

 private:
  const RedisAddress address_;
  const absl::Duration deadline_;
  RedisConnection connection_;
  int beats_ = 0;
};

}  // namespace

std::unique_ptr<RedisServers> NewRedisServers(const RedisAddress& address,
                                              absl::Duration deadline) {
  if (!address.cluster.empty()) return NewRedisCluster(address, deadline);
  return std::make_unique<OneRedis>(address, deadline);
}

}  // namespace deferd
