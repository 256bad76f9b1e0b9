#include "tests/sim/model.h"

#include <algorithm>

namespace deferd::sim {

void Model::Feed(const Truth& line, absl::Time clock) {
  ++lines;
  if (line.kind == Truth::Kind::kCompleted) {
    for (Entry& e : entries_) e.forgotten = e.forgotten || e.message == line.message;
    return;
  }
  if (line.kind != Truth::Kind::kAttempt || line.time > clock + absl::Minutes(5)) return;
  if (line.time > now_) {
    EndBlocks(line.time);
    now_ = line.time;
  }
  if (!Live(line.time, now_)) return;
  if (once_) {
    Entry* current = nullptr;
    for (Entry& e : entries_) {
      if (e.forgotten || e.message != line.message || e.recipient != line.recipient) continue;
      if (e.last > line.time) return;  // the newest attempt decides
      if (e.current) current = &e;
    }
    if (current != nullptr) {
      current->last = line.time;
      if (current->outcome == line.outcome) return;
      current->current = false;
      if (Live(current->dated, now_)) current->taken_out = true;
    }
  }
  entries_.push_back(
      {line.domain, line.message, line.recipient, line.outcome, line.time, line.time});
  if (!alone_ || line.outcome == 0 || Open(line.domain) != nullptr) return;
  const Counts counts = CountsOf(line.domain, now_);
  if (!Trips(counts)) return;
  blocks_.push_back({line.domain, line.time, line.time + block_for_, counts.bad()});
}

void Model::BlockBy(int domain, absl::Time clock, absl::Duration how_long) {
  absl::Time until = clock + how_long;
  for (Block& block : blocks_) {
    if (block.domain != domain || !block.open) continue;
    block.open = false;
    until = std::max(until, block.until);
  }
  if (alone_) blocks_.push_back({domain, clock, until, 0, true, true});
  words.push_back({domain, clock, true, until});
}

bool Model::UnblockBy(int domain, absl::Time clock) {
  for (Block& block : blocks_) {
    if (block.domain != domain || !block.open) continue;
    block.open = false;
    // What is stamped ahead of the clock too.
    const absl::Time at = std::max(clock, now_);
    auto [it, fresh] = cleared_.try_emplace(domain, at);
    it->second = std::max(it->second, at);
    return true;
  }
  return false;
}

int64_t Model::EverBad(int domain, absl::Time from, absl::Time to) const {
  return std::count_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return e.domain == domain && e.outcome != 0 && e.dated >= from && e.dated <= to;
  });
}

bool Model::Trips(const Counts& counts) const {
  return counts.bad() >= kMinBad &&
         200 * counts.bad() + counts.total() >= 2 * counts.total() * kPercent;
}

Counts Model::CountsOf(int domain, absl::Time shown) const {
  return CountsAfter(domain, shown, absl::InfinitePast());
}

Counts Model::CountsAfter(int domain, absl::Time shown, absl::Time after) const {
  if (auto it = cleared_.find(domain); it != cleared_.end()) after = std::max(after, it->second);
  Counts counts;
  for (const Entry& e : entries_) {
    if (e.domain != domain || e.taken_out || !Live(e.dated, shown)) continue;
    if (after != absl::InfinitePast() && StepOf(e.dated) <= StepOf(after)) continue;
    if (e.outcome == 0) ++counts.delivered;
    if (e.outcome == 1) ++counts.deferred;
    if (e.outcome == 2) ++counts.failed;
  }
  return counts;
}

const Model::Block* Model::Open(int domain) const {
  for (const Block& block : blocks_) {
    if (block.domain == domain && block.open) return &block;
  }
  return nullptr;
}

// The last second of the step after the one in which it began.
absl::Time Model::AfterBlock(const Block& block) const {
  const int64_t step = absl::ToInt64Seconds(window_) / 60;
  return absl::FromUnixSeconds((StepOf(block.since) + 2) * step - 1);
}

void Model::EndBlocks(absl::Time t) {
  while (true) {
    Block* due = nullptr;
    for (Block& block : blocks_) {
      if (!block.open || block.until > t) continue;
      if (due == nullptr || block.until < due->until) due = &block;
    }
    if (due == nullptr) return;
    const absl::Time after = AfterBlock(*due);
    if (!due->manual && Trips(CountsAfter(due->domain, due->until, after))) {
      due->until += block_for_;
      continue;
    }
    due->open = false;
    auto [it, fresh] = cleared_.try_emplace(due->domain, after);
    it->second = std::max(it->second, after);
  }
}

}  // namespace deferd::sim
