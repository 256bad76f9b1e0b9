// Any bytes as what a server of a Redis Cluster answers: an error that may be a redirection, and
// CLUSTER SLOTS. Each byte of the second says what comes next in the list.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "limiter/store/redis_slots.h"
#include "tests/fuzz/fuzzing.h"

namespace deferd {
namespace {

class Answer {
 public:
  explicit Answer(absl::string_view bytes) : left_(bytes) {}

  RedisReply Next(int depth) {
    const int what = Byte();
    RedisReply reply;
    if (depth < 4 && what % 3 == 0) {
      reply.kind = RedisReply::Kind::kList;
      for (int i = what / 3 % 8; i > 0 && !left_.empty(); --i)
        reply.list.push_back(Next(depth + 1));
    } else if (what % 3 == 1) {
      reply.kind = RedisReply::Kind::kInteger;
      reply.integer = int64_t{Byte()} * 256;
      reply.integer += Byte() - (what > 250 ? 65536 : 0);
    } else {
      reply.kind = RedisReply::Kind::kText;
      reply.text = std::string(left_.substr(0, what / 3));
      left_.remove_prefix(reply.text.size());
    }
    return reply;
  }

 private:
  int Byte() {
    if (left_.empty()) return 0;
    const int byte = static_cast<unsigned char>(left_.front());
    left_.remove_prefix(1);
    return byte;
  }

  absl::string_view left_;
};

bool IsSlot(int slot) { return slot >= 0 && slot < kRedisSlots; }

bool IsServer(const RedisEndpoint& server) {
  return !server.host.empty() && server.port > 0 && server.port < 65536;
}

void Try(absl::string_view bytes) {
  const RedisEndpoint from = {"redis.example", 7000};
  Require(IsSlot(RedisSlotOf(bytes)));
  RedisReply error;
  error.kind = RedisReply::Kind::kError;
  error.text = std::string(bytes);
  if (const auto redirect = ParseRedirect(error, from)) {
    Require(IsSlot(redirect->slot) && IsServer(redirect->server));
  }
  const auto ranges = ParseSlots(Answer(bytes).Next(0), from);
  if (!ranges.ok()) return;
  for (const RedisSlotRange& one : *ranges) {
    Require(IsSlot(one.first) && IsSlot(one.last) && one.first <= one.last);
    Require(IsServer(one.master));
  }
}

}  // namespace
}  // namespace deferd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  deferd::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
