#include "limiter/store/redis_store.h"

#include <openssl/evp.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/store/redis_keys.h"
#include "limiter/store/redis_scripts.h"
#include "limiter/store/redis_servers.h"
#include "limiter/store/sharded_store.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxPipeline = 1 << 20;  // bytes of commands
constexpr int kMostFollowed = 500;        // cases of one answer
constexpr size_t kMostDamaged = 1'000;    // cases remembered until they are taken

std::string Seconds(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Seconds(duration));
}

std::string VersionText(double version) { return absl::StrFormat("%.0f", version); }

// A JSON string.
std::string JsonText(absl::string_view text) {
  std::string out = "\"";
  for (const char c : PrintableUtf8(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string JsonList(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    absl::StrAppend(&out, out.size() == 1 ? "" : ",", JsonText(text));
  }
  return out + "]";
}

absl::Status Unexpected(absl::string_view what) {
  return TroubleStatus(SharedTrouble::kUnexpected, absl::StrCat("no answer to ", what));
}

// The time in an entry that say_beat.lua made: {"seen":SECONDS.MICROS,...
absl::Time SeenOf(absl::string_view entry) {
  constexpr absl::string_view kBegin = "{\"seen\":";
  double seconds = 0;
  if (entry.substr(0, kBegin.size()) != kBegin) return absl::InfinitePast();
  entry.remove_prefix(kBegin.size());
  if (!absl::SimpleAtod(entry.substr(0, entry.find(',')), &seconds)) return absl::InfinitePast();
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

RowAnswer ToRows(const RedisReply& reply) {
  RowAnswer answer;
  answer.status = reply.status();
  if (!answer.status.ok()) return answer;
  answer.rows.reserve(reply.list.size() / 2);
  for (size_t i = 0; i + 1 < reply.list.size(); i += 2) {
    answer.rows.push_back({reply.list[i].text, reply.list[i + 1].text});
  }
  // put_row.lua marks a crowded hash by one more element.
  answer.crowded = reply.list.size() % 2 == 1 || answer.rows.size() > kMostRows;
  return answer;
}

class RedisStore : public SharedStore {
 public:
  RedisStore(const RedisAddress& address, const SharedStoreOptions& options)
      : options_(options), servers_(NewRedisServers(address, options.deadline)) {
    const auto texts = RedisScriptTexts();
    for (int i = 0; i < kRedisScripts; ++i) {
      unsigned char digest[EVP_MAX_MD_SIZE];
      unsigned int size = 0;
      EVP_Digest(texts[i].data(), texts[i].size(), digest, &size, EVP_sha1(), nullptr);
      shas_[i] = absl::BytesToHexString({reinterpret_cast<char*>(digest), size});
    }
  }

  absl::Status Connect() override { return servers_->Open(); }
  bool connected() const override { return servers_->open(); }

  absl::StatusOr<std::vector<RowAnswer>> PutRows(absl::Span<const RowPut> puts) override {
    return RowsOf(puts.size(), [&](size_t i) {
      const RowPut& put = puts[i];
      return Script(
          RedisScript::kPutRow, {RowKeyText(put.key)},
          {options_.node, VersionText(put.version), put.row, Seconds(put.key.window + kRowGrace),
           VersionText(kMostVersion), absl::StrCat(kMostRows)});
    });
  }

  absl::StatusOr<std::vector<RowAnswer>> ReadRows(absl::Span<const RowKey> keys) override {
    return RowsOf(keys.size(), [&](size_t i) {
      return RedisCommand{"HGETALL", RowKeyText(keys[i])};
    });
  }

  absl::Status ForEachKey(absl::Duration window,
                          absl::FunctionRef<void(std::vector<RowKey>)> tell) override {
    return servers_->ForEach(
        [&](RedisConnection& server) { return ForEachKeyOf(server, window, tell); });
  }

  absl::Status DropOtherRows(const RowKey& key, const std::vector<std::string>& nodes) override {
    return RunApart(Script(RedisScript::kDropRows, {RowKeyText(key)}, nodes), kLongAnswer).status();
  }

  absl::StatusOr<CasePutAnswer> PutCase(const SharedCase& record) override {
    const std::string field = CaseField(record.subject, record.shadow);
    absl::StatusOr<RedisReply> reply =
        Run(Script(RedisScript::kPutCase, {kCasesKey, kCaseLogKey},
                   {field, absl::StrCat(record.rev), record.manual ? "1" : "0", CaseValue(record),
                    Seconds(kCasesLife), absl::StrCat(record.seen), absl::StrCat(kMostRev)}));
    if (!reply.ok()) return reply.status();
    if (reply->list.size() != 2) return Unexpected("put_case");
    absl::StatusOr<SharedCase> now = ParseCaseEntry(field, reply->list[1].text);
    if (!now.ok()) return TroubleStatus(SharedTrouble::kUnexpected, now.status().message());
    return CasePutAnswer{reply->list[0].integer == 1, *std::move(now)};
  }

  absl::StatusOr<std::vector<SharedCase>> ReadCases() override {
    absl::StatusOr<RedisReply> reply = Run({"HGETALL", kCasesKey}, kLongAnswer);
    if (!reply.ok()) return reply.status();
    std::vector<SharedCase> cases;
    for (size_t i = 0; i + 1 < reply->list.size(); i += 2) {
      TakeCase(reply->list[i].text, reply->list[i + 1].text, &cases);
    }
    return cases;
  }

  std::vector<SharedCase> TakeDamagedCases() override { return std::exchange(damaged_, {}); }

  absl::Status DropCase(const Subject& subject, bool shadow, int64_t rev) override {
    return Run(Script(RedisScript::kDropCase, {kCasesKey},
                      {CaseField(subject, shadow), absl::StrCat(rev)}))
        .status();
  }

  absl::StatusOr<absl::Time> ReadTime() override {
    absl::StatusOr<RedisReply> reply = RunApart(Script(RedisScript::kReadTime, {kNodesKey}, {}));
    if (!reply.ok()) return reply.status();
    int64_t micros = 0;
    if (!absl::SimpleAtoi(reply->text, &micros)) return Unexpected("read_time");
    return absl::FromUnixMicros(micros);
  }

  absl::StatusOr<std::string> LastCase() override {
    absl::StatusOr<RedisReply> reply = Run({"XREVRANGE", kCaseLogKey, "+", "-", "COUNT", "1"});
    if (!reply.ok()) return reply.status();
    if (reply->list.empty()) return std::string("0-0");
    if (reply->list[0].list.size() != 2) return Unexpected("XREVRANGE");
    return reply->list[0].list[0].text;
  }

  absl::StatusOr<CasesFollowed> FollowCases(absl::string_view last, absl::Duration wait) override {
    RedisCommand command = {"XREAD", "COUNT", absl::StrCat(kMostFollowed)};
    // BLOCK 0 would wait for ever.
    const int64_t ms = absl::ToInt64Milliseconds(wait);
    if (ms > 0) command.insert(command.end(), {"BLOCK", absl::StrCat(ms)});
    command.insert(command.end(), {"STREAMS", kCaseLogKey, std::string(last)});
    absl::StatusOr<RedisReply> reply = Run(command, wait + kLongAnswer);
    if (!reply.ok()) return reply.status();
    CasesFollowed followed;
    followed.last = std::string(last);
    if (reply->list.empty()) return followed;
    if (reply->list[0].list.size() != 2) return Unexpected("XREAD");
    for (const RedisReply& entry : reply->list[0].list[1].list) {
      if (entry.list.size() != 2) return Unexpected("XREAD");
      followed.last = entry.list[0].text;
      const std::vector<RedisReply>& fields = entry.list[1].list;
      if (fields.size() != 4 || fields[0].text != "subject" || fields[2].text != "value") continue;
      TakeCase(fields[1].text, fields[3].text, &followed.cases);
    }
    return followed;
  }

  absl::Status PutReceipt(const Subject& subject, absl::string_view case_id, absl::string_view text,
                          absl::Duration keep) override {
    const std::string key = ReceiptKeyText(subject, case_id);
    const std::vector<RedisCommand> commands = {{"HSET", key, options_.node, std::string(text)},
                                                {"EXPIRE", key, Seconds(keep)}};
    absl::StatusOr<std::vector<RedisReply>> replies = servers_->Run(commands, absl::ZeroDuration());
    if (!replies.ok()) return replies.status();
    absl::Status status;
    for (const RedisReply& reply : *replies) status.Update(reply.status());
    return status;
  }

  absl::StatusOr<std::vector<SharedRow>> ReadReceipt(const Subject& subject,
                                                     absl::string_view case_id) override {
    absl::StatusOr<RedisReply> reply = RunApart({"HGETALL", ReceiptKeyText(subject, case_id)});
    if (!reply.ok()) return reply.status();
    return ToRows(*reply).rows;
  }

  absl::StatusOr<Beat> SayBeat(const NodeClaim& claim) override {
    absl::Status still = servers_->Check();
    if (!still.ok()) return still;
    uint64_t random[2] = {};
    if (getrandom(random, sizeof(random), 0) != sizeof(random)) {
      return absl::InternalError("no random numbers");
    }
    const std::string generation = absl::StrFormat("%016x%016x", random[0], random[1]);
    absl::StatusOr<RedisReply> reply =
        Run(Script(RedisScript::kSayBeat, {kNodesKey, kGenerationKey},
                   {options_.node, claim.session, claim.holder, JsonList(claim.logs), claim.record,
                    generation, Seconds(kLive), Seconds(kCasesLife)}));
    if (!reply.ok()) return reply.status();
    const std::vector<RedisReply>& list = reply->list;
    if (list.size() == 3 && list[0].integer == 0) {
      return TroubleStatus(SharedTrouble::kClaimed,
                           absl::StrCat(list[2].text == options_.node
                                            ? "this node's name is in use by another daemon"
                                            : "one of this node's logs is read by another daemon",
                                        ": node ", list[2].text, ", ", list[1].text));
    }
    int64_t micros = 0;
    if (list.size() < 3 || !absl::SimpleAtoi(list[1].text, &micros)) return Unexpected("say_beat");
    // The cases live as long as any node is there.
    const std::vector<RedisCommand> keep = {{"EXPIRE", kCasesKey, Seconds(kCasesLife)},
                                            {"EXPIRE", kCaseLogKey, Seconds(kCasesLife)}};
    absl::StatusOr<std::vector<RedisReply>> kept = servers_->Run(keep, absl::ZeroDuration());
    if (!kept.ok()) return kept.status();
    Beat beat;
    for (const RedisReply& one : *kept) beat.missing.Update(one.failed);
    beat.server_time = absl::FromUnixMicros(micros);
    beat.generation = list[2].text;
    for (size_t i = 3; i + 1 < list.size(); i += 2) {
      beat.nodes.push_back({list[i].text, SeenOf(list[i + 1].text), list[i + 1].text});
    }
    servers_->AddTo(&beat, generation);
    return beat;
  }

  absl::Status SayEnd(absl::string_view session) override {
    return Run(Script(RedisScript::kSayEnd, {kNodesKey}, {options_.node, std::string(session)}))
        .status();
  }

 private:
  // Of an answer that may be megabytes.
  static constexpr absl::Duration kLongAnswer = absl::Milliseconds(750);

  void TakeCase(absl::string_view field, absl::string_view value, std::vector<SharedCase>* cases) {
    absl::StatusOr<SharedCase> record = ParseCaseEntry(field, value);
    if (record.ok()) {
      cases->push_back(*std::move(record));
    } else if (damaged_.size() < kMostDamaged) {
      damaged_.push_back(DamagedCase(field));
    }
  }

  RedisCommand Script(RedisScript script, std::vector<std::string> keys,
                      std::vector<std::string> args) const {
    RedisCommand command = {"EVALSHA", shas_[static_cast<int>(script)], absl::StrCat(keys.size())};
    for (std::string& key : keys) command.push_back(std::move(key));
    for (std::string& arg : args) command.push_back(std::move(arg));
    return command;
  }

  // One of the cases or of the nodes; an error that Redis answers is a status too. Without an
  // answer nothing is open any more: their stream has to be read anew.
  absl::StatusOr<RedisReply> Run(const RedisCommand& command,
                                 absl::Duration wait = absl::ZeroDuration()) {
    bool answered = false;
    absl::StatusOr<RedisReply> reply = RunOne(command, wait, &answered);
    if (!answered) servers_->Close();
    return reply;
  }

  // One of a domain, or the time; that its server is silent is no trouble of the others.
  absl::StatusOr<RedisReply> RunApart(const RedisCommand& command,
                                      absl::Duration wait = absl::ZeroDuration()) {
    bool answered = false;
    return RunOne(command, wait, &answered);
  }

  absl::StatusOr<RedisReply> RunOne(const RedisCommand& command, absl::Duration wait,
                                    bool* answered) {
    absl::StatusOr<std::vector<RedisReply>> replies =
        servers_->Run(absl::MakeConstSpan(&command, 1), wait);
    if (!replies.ok()) return replies.status();
    absl::Status status = replies->front().status();
    *answered = status.ok() || replies->front().kind == RedisReply::Kind::kError;
    if (!status.ok()) return status;
    return std::move(replies->front());
  }

  static absl::Status ForEachKeyOf(RedisConnection& server, absl::Duration window,
                                   absl::FunctionRef<void(std::vector<RowKey>)> tell) {
    std::string cursor = "0";
    do {
      absl::StatusOr<RedisReply> reply = server.Run(
          {"SCAN", cursor, "MATCH", RowKeyPattern(window), "COUNT", "1000", "TYPE", "hash"});
      if (!reply.ok()) return reply.status();
      if (reply->list.size() != 2) return Unexpected("SCAN");
      cursor = reply->list[0].text;
      std::vector<RowKey> keys;
      for (const RedisReply& text : reply->list[1].list) {
        absl::StatusOr<RowKey> key = ParseRowKey(text.text);
        if (key.ok() && key->window == window) keys.push_back(*std::move(key));
      }
      if (!keys.empty()) tell(std::move(keys));
    } while (cursor != "0");
    return absl::OkStatus();
  }

  // Of `count` commands, each answered with a hash of rows.
  absl::StatusOr<std::vector<RowAnswer>> RowsOf(
      size_t count, absl::FunctionRef<RedisCommand(size_t)> command_of) {
    std::vector<RowAnswer> answers;
    answers.reserve(count);
    std::vector<RedisCommand> commands;
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      commands.push_back(command_of(i));
      for (const std::string& argument : commands.back()) bytes += argument.size() + 16;
      if (i + 1 < count && bytes < kMaxPipeline) continue;
      absl::StatusOr<std::vector<RedisReply>> replies =
          servers_->Run(commands, absl::ZeroDuration());
      if (!replies.ok()) return replies.status();
      for (const RedisReply& reply : *replies) answers.push_back(ToRows(reply));
      commands.clear();
      bytes = 0;
    }
    return answers;
  }

  const SharedStoreOptions options_;
  const std::unique_ptr<RedisServers> servers_;
  std::array<std::string, kRedisScripts> shas_;
  std::vector<SharedCase> damaged_;
};

}  // namespace

std::unique_ptr<SharedStore> NewRedisStore(const RedisAddress& address,
                                           const SharedStoreOptions& options) {
  return std::make_unique<RedisStore>(address, options);
}

std::unique_ptr<SharedStore> NewRedisShards(const std::vector<RedisAddress>& addresses,
                                            const SharedStoreOptions& options) {
  std::vector<Shard> shards;
  for (const RedisAddress& address : addresses) {
    shards.push_back({address.ToString(), NewRedisStore(address, options)});
  }
  return NewShardedStore(std::move(shards));
}

}  // namespace deferd
