#include "limiter/store/ledger_index.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

constexpr int64_t kWholeRun = 16'384;  // rows; a run of this size is merged no more
constexpr size_t kRunsOfLevel = 16;
// A bucket of this many fills a quarter of a page; popular keys make some of them larger.
constexpr size_t kPostingsOfBucket = 80;
constexpr size_t kPostingBytes = 12;
constexpr int kBucketBits = 24;

int64_t BucketOf(uint32_t key, int64_t buckets) {
  return static_cast<int64_t>((uint64_t{key} * static_cast<uint64_t>(buckets)) >> 32);
}

int64_t BucketId(int64_t run, int64_t bucket) { return run << kBucketBits | bucket; }

template <typename T>
void AppendLittle(T value, std::string* out) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i)));
  }
}

template <typename T>
T LittleAt(const char* bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return static_cast<T>(value);
}

Posting PostingAt(absl::string_view bucket, size_t i) {
  const char* bytes = bucket.data() + i * kPostingBytes;
  return {LittleAt<uint32_t>(bytes), LittleAt<int64_t>(bytes + 4)};
}

absl::Status DamagedIndex(const std::string& path) {
  return absl::DataLossError(
      absl::StrCat(path,
                   ": the ledger's index is damaged; move it aside and start again: the "
                   "counts are read from the logs anew"));
}

absl::Status WriteRun(Database* db, const LedgerRun& run, const std::vector<Posting>& postings) {
  absl::StatusOr<Statement> insert = db->Prepare(
      absl::StrCat("INSERT INTO ledger_index_", run.segment, " (id, postings) VALUES (?, ?)"));
  if (!insert.ok()) return insert.status();
  std::string bytes;
  for (size_t i = 0; i < postings.size();) {
    const int64_t bucket = BucketOf(postings[i].key, run.buckets);
    bytes.clear();
    for (; i < postings.size() && BucketOf(postings[i].key, run.buckets) == bucket; ++i) {
      AppendLittle(postings[i].key, &bytes);
      AppendLittle(postings[i].row, &bytes);
    }
    absl::Status status = insert->Run(BucketId(run.number, bucket), Blob{bytes});
    if (!status.ok()) return status;
  }
  insert = db->Prepare("INSERT INTO ledger_run VALUES (?, ?, ?, ?, ?, ?, ?)");
  if (!insert.ok()) return insert.status();
  return insert->Run(run.segment, run.number, run.level, run.rows, run.buckets, run.first_row,
                     run.last_row);
}

// Appends all postings of `run`, which are sorted, and forgets it.
absl::Status TakeRun(Database* db, const LedgerRun& run, std::vector<Posting>* postings) {
  const int64_t begin = BucketId(run.number, 0);
  const int64_t end = BucketId(run.number + 1, 0);
  absl::StatusOr<Statement> read = db->Prepare(absl::StrCat(
      "SELECT postings FROM ledger_index_", run.segment, " WHERE id >= ? AND id < ? ORDER BY id"));
  if (!read.ok()) return read.status();
  read->Bind(begin, end);
  while (true) {
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) break;
    const absl::string_view bucket = read->Text(0);
    if (bucket.size() % kPostingBytes != 0) return DamagedIndex(db->path());
    for (size_t i = 0; i < bucket.size() / kPostingBytes; ++i) {
      postings->push_back(PostingAt(bucket, i));
    }
  }
  read->Reset();
  absl::StatusOr<Statement> remove = db->Prepare(
      absl::StrCat("DELETE FROM ledger_index_", run.segment, " WHERE id >= ? AND id < ?"));
  if (!remove.ok()) return remove.status();
  absl::Status status = remove->Run(begin, end);
  if (!status.ok()) return status;
  remove = db->Prepare("DELETE FROM ledger_run WHERE segment = ? AND number = ?");
  if (!remove.ok()) return remove.status();
  return remove->Run(run.segment, run.number);
}

int64_t BucketsFor(size_t postings) {
  return static_cast<int64_t>(
      std::min<size_t>(postings / kPostingsOfBucket + 1, (size_t{1} << kBucketBits) - 1));
}

// The runs of the lowest level that has enough of them; none if no merge is due.
std::vector<LedgerRun> DueRuns(const std::vector<LedgerRun>& runs) {
  int64_t levels = 0;
  for (const LedgerRun& run : runs) levels = std::max(levels, run.level + 1);
  for (int64_t level = 0; level < levels; ++level) {
    std::vector<LedgerRun> due;
    int64_t rows = 0;
    for (const LedgerRun& run : runs) {
      if (run.level != level || run.rows >= kWholeRun) continue;
      rows += run.rows;
      due.push_back(run);
    }
    if (due.size() >= kRunsOfLevel || (due.size() > 1 && rows >= kWholeRun)) return due;
  }
  return {};
}

absl::Status Merge(Database* db, const std::vector<LedgerRun>& due, int64_t number) {
  LedgerRun merged = due[0];
  merged.number = number;
  merged.rows = 0;
  ++merged.level;
  std::vector<Posting> postings;
  for (const LedgerRun& run : due) {
    merged.rows += run.rows;
    merged.first_row = std::min(merged.first_row, run.first_row);
    merged.last_row = std::max(merged.last_row, run.last_row);
    const auto middle = static_cast<std::ptrdiff_t>(postings.size());
    absl::Status status = TakeRun(db, run, &postings);
    if (!status.ok()) return status;
    std::inplace_merge(postings.begin(), postings.begin() + middle, postings.end());
  }
  merged.buckets = BucketsFor(postings.size());
  return WriteRun(db, merged, postings);
}

}  // namespace

std::string LedgerIndexTable(int64_t segment) {
  return absl::StrCat("CREATE TABLE ledger_index_", segment,
                      " (id INTEGER PRIMARY KEY, postings BLOB NOT NULL);");
}

absl::StatusOr<std::vector<LedgerRun>> ReadLedgerRuns(Database* db, int64_t segment) {
  absl::StatusOr<Statement> read = db->Prepare(
      "SELECT segment, number, level, rows, buckets, first_row, last_row "
      "FROM ledger_run WHERE segment = ? ORDER BY number");
  if (!read.ok()) return read.status();
  read->Bind(segment);
  std::vector<LedgerRun> runs;
  while (true) {
    absl::StatusOr<bool> row = read->Step();
    if (!row.ok()) return row.status();
    if (!*row) return runs;
    runs.push_back({.segment = read->Int(0),
                    .number = read->Int(1),
                    .level = read->Int(2),
                    .rows = read->Int(3),
                    .buckets = read->Int(4),
                    .first_row = read->Int(5),
                    .last_row = read->Int(6)});
  }
}

absl::Status AddLedgerRun(Database* db, int64_t segment, int64_t rows, int64_t first_row,
                          int64_t last_row, std::vector<Posting>* postings) {
  absl::StatusOr<std::vector<LedgerRun>> runs = ReadLedgerRuns(db, segment);
  if (!runs.ok()) return runs.status();
  std::sort(postings->begin(), postings->end());
  LedgerRun run = {.segment = segment,
                   .number = runs->empty() ? 1 : runs->back().number + 1,
                   .rows = rows,
                   .buckets = BucketsFor(postings->size()),
                   .first_row = first_row,
                   .last_row = last_row};
  absl::Status status = WriteRun(db, run, *postings);
  runs->push_back(run);
  while (status.ok()) {
    const std::vector<LedgerRun> due = DueRuns(*runs);
    if (due.empty()) break;
    status = Merge(db, due, runs->back().number + 1);
    if (!status.ok()) break;
    runs = ReadLedgerRuns(db, segment);
    if (!runs.ok()) return runs.status();
  }
  return status;
}

absl::StatusOr<LedgerIndexReader> LedgerIndexReader::Open(Database* db, int64_t segment) {
  LedgerIndexReader reader;
  absl::StatusOr<Statement> bucket =
      db->Prepare(absl::StrCat("SELECT postings FROM ledger_index_", segment, " WHERE id = ?"));
  if (!bucket.ok()) return bucket.status();
  reader.bucket_ = *std::move(bucket);
  return reader;
}

absl::Status LedgerIndexReader::FindOne(const LedgerRun& run, uint32_t key,
                                        std::vector<int64_t>* rows) {
  bucket_.Bind(BucketId(run.number, BucketOf(key, run.buckets)));
  absl::StatusOr<bool> row = bucket_.Step();
  if (!row.ok()) return row.status();
  if (*row) {
    const absl::string_view bucket = bucket_.Text(0);
    const size_t size = bucket.size() / kPostingBytes;
    size_t low = 0;
    for (size_t high = size; low < high;) {
      const size_t middle = (low + high) / 2;
      if (PostingAt(bucket, middle).key < key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (; low < size; ++low) {
      const Posting posting = PostingAt(bucket, low);
      if (posting.key != key) break;
      rows->push_back(posting.row);
    }
  }
  bucket_.Reset();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> LedgerIndexReader::Find(const LedgerRun& run,
                                                             const std::vector<LedgerKeys>& keys) {
  std::vector<int64_t> found;
  for (size_t i = 0; i < keys.size(); ++i) {
    std::vector<int64_t> rows;
    for (const uint32_t key : keys[i]) {
      absl::Status status = FindOne(run, key, &rows);
      if (!status.ok()) return status;
    }
    if (keys[i].size() > 1) std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    if (i == 0) {
      found = std::move(rows);
    } else {
      std::vector<int64_t> both;
      std::set_intersection(found.begin(), found.end(), rows.begin(), rows.end(),
                            std::back_inserter(both));
      found = std::move(both);
    }
    if (found.empty()) break;
  }
  return found;
}

}  // namespace deferd
