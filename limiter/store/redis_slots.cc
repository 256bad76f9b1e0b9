#include "limiter/store/redis_slots.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace deferd {

namespace {

constexpr size_t kLongestHost = 255;

// CCITT, as XMODEM uses it: polynomial 0x1021, from zero.
uint16_t Crc16(absl::string_view bytes) {
  uint32_t crc = 0;
  for (const char c : bytes) {
    crc ^= uint32_t{static_cast<unsigned char>(c)} << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021 : 0);
  }
  return static_cast<uint16_t>(crc);
}

// An empty host is that of who answers.
std::optional<RedisEndpoint> ToEndpoint(absl::string_view host, int64_t port,
                                        const RedisEndpoint& from) {
  if (host.empty()) host = from.host;
  // "?": the server does not know its own name.
  if (host == "?" || host.size() > kLongestHost || port < 1 || port > 65535) return std::nullopt;
  if (!std::all_of(host.begin(), host.end(), absl::ascii_isgraph)) return std::nullopt;
  return RedisEndpoint{std::string(host), static_cast<int>(port)};
}

bool IsSlot(int64_t slot) { return slot >= 0 && slot < kRedisSlots; }

}  // namespace

int RedisSlotOf(absl::string_view key) {
  const size_t open = key.find('{');
  if (open != absl::string_view::npos) {
    const size_t close = key.find('}', open + 1);
    if (close != absl::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  return Crc16(key) % kRedisSlots;
}

absl::string_view KeyOfCommand(const RedisCommand& command) {
  if (command.empty()) return {};
  size_t at = 1;
  if (command[0] == "EVALSHA") {
    at = 3;
  } else if (command[0] == "XREAD") {
    at = std::find(command.begin(), command.end(), "STREAMS") - command.begin() + 1;
  }
  return at < command.size() ? absl::string_view(command[at]) : absl::string_view();
}

absl::StatusOr<std::vector<RedisSlotRange>> ParseSlots(const RedisReply& reply,
                                                       const RedisEndpoint& from) {
  const absl::Status damaged = absl::DataLossError("no answer to CLUSTER SLOTS");
  if (reply.kind != RedisReply::Kind::kList || reply.list.size() > kRedisSlots) return damaged;
  std::vector<RedisSlotRange> ranges;
  for (const RedisReply& one : reply.list) {
    // First slot, last slot, the master, its replicas; a server is a host, a port, and more.
    if (one.list.size() < 3 || one.list[2].list.size() < 2) return damaged;
    const RedisReply& first = one.list[0];
    const RedisReply& last = one.list[1];
    const RedisReply& host = one.list[2].list[0];
    const RedisReply& port = one.list[2].list[1];
    if (first.kind != RedisReply::Kind::kInteger || last.kind != RedisReply::Kind::kInteger ||
        !IsSlot(first.integer) || !IsSlot(last.integer) || first.integer > last.integer ||
        port.kind != RedisReply::Kind::kInteger) {
      return damaged;
    }
    std::optional<RedisEndpoint> master = ToEndpoint(host.text, port.integer, from);
    if (!master.has_value()) return damaged;
    ranges.push_back(
        {static_cast<int>(first.integer), static_cast<int>(last.integer), *std::move(master)});
  }
  return ranges;
}

std::optional<RedisRedirect> ParseRedirect(const RedisReply& reply, const RedisEndpoint& from) {
  if (reply.kind != RedisReply::Kind::kError) return std::nullopt;
  // "MOVED 3999 192.0.2.1:6381". An IPv6 address has no brackets.
  const std::vector<absl::string_view> words = absl::StrSplit(reply.text, ' ');
  if (words.size() != 3 || (words[0] != "MOVED" && words[0] != "ASK")) return std::nullopt;
  RedisRedirect redirect;
  redirect.ask = words[0] == "ASK";
  const size_t colon = words[2].rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(words[1], &redirect.slot) ||
      !IsSlot(redirect.slot) || !absl::SimpleAtoi(words[2].substr(colon + 1), &port)) {
    return std::nullopt;
  }
  std::optional<RedisEndpoint> server = ToEndpoint(words[2].substr(0, colon), port, from);
  if (!server.has_value()) return std::nullopt;
  redirect.server = *std::move(server);
  return redirect;
}

}  // namespace deferd
