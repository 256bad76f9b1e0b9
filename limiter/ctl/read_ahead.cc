#include "limiter/ctl/read_ahead.h"

#include <optional>
#include <utility>

namespace deferd {
namespace {

constexpr size_t kChunks = 4;    // one is counted, one is read, the others even things out
constexpr size_t kEvents = 512;  // in a chunk; more would fall out of the cache on the way

}  // namespace

ReadAhead::ReadAhead(ReplayInput* input) : input_(input), full_(kChunks), empty_(kChunks) {
  for (size_t i = 1; i < kChunks; ++i) empty_.Push({});  // the first is chunk_
  thread_ = std::thread([this] { Read(); });
}

ReadAhead::~ReadAhead() {
  full_.Close();
  empty_.Close();
  thread_.join();
}

void ReadAhead::Read() {
  for (bool more = true; more;) {
    std::optional<Chunk> chunk = empty_.Pop();
    if (!chunk.has_value()) return;
    Fill(&*chunk);
    more = chunk->more;
    if (!full_.Push(*std::move(chunk))) return;
  }
}

void ReadAhead::Fill(Chunk* chunk) {
  chunk->size = 0;
  chunk->more = true;
  for (size_t events = 0; events < kEvents && chunk->more;) {
    if (chunk->size == chunk->batches.size()) chunk->batches.emplace_back();
    EventBatch* batch = &chunk->batches[chunk->size++];
    const absl::StatusOr<bool> more = input_->Next(batch);
    chunk->status = more.status();
    chunk->more = more.ok() && *more;
    events += batch->size();
  }
  chunk->done = input_->done();
}

absl::StatusOr<bool> ReadAhead::Next(EventBatch* batch) {
  if (next_ == chunk_.size) {
    empty_.Push(std::move(chunk_));
    chunk_ = full_.Pop().value();
    next_ = 0;
  }
  std::swap(*batch, chunk_.batches[next_++]);
  if (next_ < chunk_.size) return true;
  if (!chunk_.status.ok()) return chunk_.status;
  return chunk_.more;
}

}  // namespace deferd
