#include "limiter/app/sharing.h"

#include <glob.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/config/config.h"
#include "limiter/port/host_name.h"
#include "limiter/port/log.h"
#include "limiter/store/receipt_codec.h"
#include "policy/json_limits.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr absl::Duration kPersonWaits = absl::Seconds(1);
constexpr absl::Duration kReading = absl::Seconds(3);
constexpr size_t kKeysAtOnce = 500;
constexpr JsonLimits kNodeLimits = {.max_bytes = 16 << 10, .max_depth = 4, .max_values = 1'000};

std::string RandomName() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) random = getpid();
  return absl::StrFormat("%016x", random);
}

// Differs after each boot, and on each machine.
std::string BootId() {
  absl::StatusOr<std::string> id = ReadTextFile("/proc/sys/kernel/random/boot_id");
  return id.ok() ? std::string(absl::StripAsciiWhitespace(*id)) : "unknown";
}

// Identifies a file on this machine since it booted; empty if the file does not exist.
std::string IdentityOf(const std::string& boot, const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(boot, ":", info.st_dev, ":", info.st_ino);
}

double Seconds(absl::Duration duration) {
  return absl::ToDoubleSeconds(absl::Trunc(duration, absl::Milliseconds(1)));
}

}  // namespace

Sharing::Sharing(SharingOptions options, const StateDir& state_dir, Limiter* limiter,
                 Committer* committer, const Clock* clock)
    : options_(std::move(options)),
      node_(state_dir.node()),
      incarnation_(state_dir.incarnation()),
      session_(RandomName()),
      limiter_(limiter),
      clock_(clock),
      started_(clock->Elapsed()) {
  const SharedStoreOptions store_options = {.node = node_};
  follower_ = std::make_unique<CaseFollower>(options_.new_store(store_options), committer, clock);
  publisher_ = std::make_unique<Publisher>(
      PublisherOptions{.claim = [this, boot = BootId()] { return MakeClaim(boot); },
                       .keep_receipts = options_.keep_receipts,
                       .on_new_store = [this] { follower_->Resync(); }},
      options_.new_store(store_options), committer, clock);
  reader_ = options_.new_store(store_options);
}

NodeClaim Sharing::MakeClaim(const std::string& boot) const {
  NodeClaim claim;
  claim.session = session_;
  claim.holder = IdentityOf(boot, options_.state_dir);
  for (const std::string& pattern : options_.log_patterns) {
    glob_t found;
    if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
      for (size_t i = 0; i < found.gl_pathc; ++i) {
        std::string identity = IdentityOf(boot, found.gl_pathv[i]);
        if (!identity.empty()) claim.logs.push_back(std::move(identity));
      }
    }
    globfree(&found);
  }
  claim.record = Dump({{"host", HostName()},
                       {"pid", getpid()},
                       {"incarnation", incarnation_},
                       {"policy", limiter_->settings().policy->hash},
                       {"lag", options_.lag_seconds()},
                       {"offset", Seconds(limiter_->nodes().stats().clock_offset)}});
  return claim;
}

absl::Status Sharing::Claim() {
  absl::Status claimed = publisher_->Claim();
  if (TroubleOf(claimed) != SharedTrouble::kClaimed) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(options_.where, ": ", claimed.message(),
                   "; a copied machine needs a state_dir of its own, and a log one reader"));
}

void Sharing::Start() {
  spdlog::info("sharing through {} as node {}", options_.where, node_);
  publisher_->Start();
  follower_->Start();
}

void Sharing::Stop() {
  publisher_->Stop();
  follower_->Stop();
}

std::vector<std::string> Sharing::Causes() const {
  const absl::Duration now = clock_->Elapsed();
  const Publisher::Status published = publisher_->status();
  const CaseFollower::Status followed = follower_->status();
  const bool waiting = now - started_ < kPatience;
  std::vector<std::string> causes;
  if (waiting && (!published.synced || followed.merges == 0)) {
    causes.push_back("starting: redis is not read yet");
    return causes;
  }
  auto silent = [&](absl::Duration heard) { return now - std::max(heard, started_) > kSilence; };
  auto seconds = [&](absl::Duration heard) {
    return absl::ToInt64Seconds(now - std::max(heard, started_));
  };
  if (published.trouble == SharedTrouble::kClaimed) {
    causes.push_back(absl::StrCat("redis: ", published.problem));
  } else if (silent(published.heard)) {
    causes.push_back(absl::StrCat("redis: not shared for ", seconds(published.heard), " s: ",
                                  published.problem.empty() ? "no answer" : published.problem));
  }
  if (silent(followed.heard)) {
    causes.push_back(
        absl::StrCat("redis: other nodes' cases not heard of for ", seconds(followed.heard), " s"));
  }
  const absl::Duration offset = limiter_->nodes().stats().clock_offset;
  if (absl::AbsDuration(offset) > kMaxOffset) {
    causes.push_back(
        absl::StrCat("redis: this clock is off by ", absl::ToInt64Seconds(offset), " s"));
  }
  return causes;
}

bool Sharing::CasesKnown() const {
  const CaseFollower::Status followed = follower_->status();
  return followed.merges > 0 && clock_->Elapsed() - followed.heard <= kSilence;
}

absl::Status Sharing::WaitShared(const Subject& subject) {
  return publisher_->WaitForCase(subject, kPersonWaits);
}

bool Sharing::ReaderReady() {
  if (reader_->connected()) return true;
  // Pages do not wait for a store that the publisher cannot reach.
  if (publisher_->status().trouble != SharedTrouble::kNone) return false;
  return reader_->Connect().ok();
}

void Sharing::Refresh(const Subject* subject) {
  MutexLock lock(&reader_mutex_);
  if (!ReaderReady()) return;
  const absl::Duration until = clock_->Elapsed() + kReading;
  if (subject != nullptr) {
    ReadRows(limiter_->nodes().RowKeysOf(*subject));
    return;
  }
  const absl::Duration first = limiter_->settings().policy->Windows().front();
  std::vector<RowKey> keys;
  auto tell = [&](std::vector<RowKey> some) {
    keys.insert(keys.end(), std::make_move_iterator(some.begin()),
                std::make_move_iterator(some.end()));
  };
  reader_->ForEachKey(first, tell).IgnoreError();
  for (size_t i = 0; i < keys.size() && clock_->Elapsed() < until; i += kKeysAtOnce) {
    ReadRows({keys.begin() + i, keys.begin() + std::min(i + kKeysAtOnce, keys.size())});
  }
}

void Sharing::ReadRows(const std::vector<RowKey>& keys) {
  absl::StatusOr<std::vector<RowAnswer>> answers = reader_->ReadRows(keys);
  if (answers.ok()) limiter_->nodes().RowsRead(keys, *answers);
}

void Sharing::AddReceipts(const Case& record, std::vector<LedgerRow>* rows) {
  MutexLock lock(&reader_mutex_);
  if (!ReaderReady()) return;
  absl::StatusOr<std::vector<SharedRow>> parts = reader_->ReadReceipt(record.subject, record.id);
  if (!parts.ok()) return;
  for (const SharedRow& part : *parts) {
    if (part.node == node_) continue;
    absl::StatusOr<std::vector<LedgerRow>> theirs = ParseSharedReceipt(part.row);
    if (!theirs.ok()) continue;
    for (LedgerRow& row : *theirs) {
      row.node = part.node;
      rows->push_back(std::move(row));
    }
  }
  std::stable_sort(rows->begin(), rows->end(),
                   [](const LedgerRow& a, const LedgerRow& b) { return a.time > b.time; });
}

Json Sharing::StatusJson() const {
  const Publisher::Status published = publisher_->status();
  const CaseFollower::Status followed = follower_->status();
  const ExchangeStats stats = limiter_->nodes().stats();
  const absl::Duration now = clock_->Elapsed();
  Json nodes = Json::array();
  for (const NodeRecord& one : published.nodes) {
    Json entry;
    if (JsonWithinLimits(one.record, kNodeLimits)) {
      entry = Json::parse(one.record, nullptr, /*allow_exceptions=*/false);
    }
    if (nodes.size() == kMostRows) break;
    Json record = entry.is_object() ? entry.value("record", Json::object()) : Json::object();
    if (!record.is_object()) record = Json::object();
    auto field = [&](const char* name) { return record.contains(name) ? record[name] : Json(); };
    // As of the last heartbeat: later departures are not known.
    const absl::Duration silent = published.nodes_at - one.seen;
    nodes.push_back({{"node", one.node},
                     {"host", field("host")},
                     {"here", one.node == node_},
                     {"live", silent < SharedStore::kLive},
                     {"seen_seconds", Seconds(silent)},
                     {"incarnation", field("incarnation")},
                     {"policy_hash", field("policy")},
                     {"lag_seconds", field("lag")},
                     {"offset_seconds", field("offset")}});
  }
  const bool heard = published.heard != -absl::InfiniteDuration();
  return {{"redis", options_.where},
          {"trouble", std::string(SharedTroubleName(published.trouble))},
          {"problem", published.problem},
          {"trouble_since",
           published.problem.empty() ? Json(nullptr) : Json(FormatUtc(published.trouble_since))},
          {"heard_seconds", heard ? Json(Seconds(now - published.heard)) : Json(nullptr)},
          {"synced", published.synced && followed.merges > 0},
          {"generation", published.generation},
          {"offset_seconds", Seconds(stats.clock_offset)},
          {"waiting_subjects", stats.waiting_subjects},
          {"waiting_cases", stats.waiting_cases},
          {"rows_put", published.rows_put},
          {"cases_put", published.cases_won},
          {"cases_adopted", published.cases_lost + followed.followed},
          {"unreadable", stats.unreadable_rows + stats.unreadable_cases},
          {"lost_subjects", stats.lost_subjects},
          {"refused_last", stats.refused_last.empty() ? Json(nullptr) : Json(stats.refused_last)},
          {"nodes", std::move(nodes)}};
}

SharedGauges Sharing::ReadGauges() const {
  const Publisher::Status published = publisher_->status();
  const ExchangeStats stats = limiter_->nodes().stats();
  SharedGauges gauges;
  gauges.up = published.trouble == SharedTrouble::kNone;
  gauges.silent_seconds =
      absl::ToDoubleSeconds(clock_->Elapsed() - std::max(published.heard, started_));
  gauges.offset_seconds = absl::ToDoubleSeconds(stats.clock_offset);
  for (const NodeRecord& one : published.nodes) {
    if (published.nodes_at - one.seen < SharedStore::kLive) ++gauges.nodes;
  }
  gauges.waiting_subjects = stats.waiting_subjects;
  gauges.waiting_cases = stats.waiting_cases;
  gauges.rows_put = published.rows_put;
  gauges.cases_won = published.cases_won;
  gauges.cases_lost = published.cases_lost;
  gauges.unreadable = stats.unreadable_rows + stats.unreadable_cases;
  for (int i = 1; i < kSharedTroubles; ++i) {
    gauges.troubles.emplace_back(std::string(SharedTroubleName(static_cast<SharedTrouble>(i))),
                                 published.troubles[i]);
  }
  return gauges;
}

}  // namespace deferd
