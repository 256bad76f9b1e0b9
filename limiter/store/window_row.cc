#include "limiter/store/window_row.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"

namespace deferd {

namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kSeveralEvents = 0x80;
constexpr uint8_t kSeveralKinds = 3;
constexpr uint8_t kFurther = 0x7F;
constexpr uint32_t kMaxGap = 31;  // of a cell's own five bits
constexpr int kKinds = 7;
constexpr uint8_t kShortKinds = 3;       // that have a short form of their own
constexpr size_t kMostBytes = 16 << 10;  // of a row: a window has about 64 cells

void AppendInteger(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

void AppendVarint(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

std::array<int64_t, kKinds> Ordered(const Counts& counts) {
  return {counts.delivered,      counts.deferred,
          counts.failed,         std::min(counts.surplus, counts.delivered),
          counts.rejected,       counts.sent,
          counts.sent_recipients};
}

void AppendCell(uint32_t gap, const WindowCell& cell, std::string* out) {
  while (gap > kMaxGap) {
    const uint32_t part = std::min<uint32_t>(gap, 255);
    out->push_back(static_cast<char>(kFurther));
    out->push_back(static_cast<char>(part));
    gap -= part;
  }
  uint8_t mask = 0;
  uint8_t last_kind = 0;
  const auto counts = Ordered(cell.counts);
  for (uint8_t kind = 0; kind < kKinds; ++kind) {
    if (counts[kind] == 0) continue;
    mask |= 1 << kind;
    last_kind = kind;
  }
  const uint8_t head = static_cast<uint8_t>(gap << 2);
  if (mask != 1 << last_kind || last_kind >= kShortKinds) {
    out->push_back(static_cast<char>(kSeveralEvents | head | kSeveralKinds));
    out->push_back(static_cast<char>(mask));
    for (const int64_t count : counts) {
      if (count != 0) AppendVarint(static_cast<uint64_t>(count), out);
    }
  } else if (counts[last_kind] == 1) {
    out->push_back(static_cast<char>(head | last_kind));
  } else {
    out->push_back(static_cast<char>(kSeveralEvents | head | last_kind));
    AppendVarint(static_cast<uint64_t>(counts[last_kind]), out);
  }
}

// Takes bytes from the front; false where they end too early or are not in their one form.
class Bytes {
 public:
  explicit Bytes(absl::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }

  bool Byte(uint8_t* value) {
    if (rest_.empty()) return false;
    *value = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return true;
  }
  bool Integer(int bytes, uint64_t* value) {
    *value = 0;
    for (int i = 0; i < bytes; ++i) {
      uint8_t byte = 0;
      if (!Byte(&byte)) return false;
      *value |= uint64_t{byte} << (8 * i);
    }
    return true;
  }
  // From 1 to the greatest int64_t.
  bool Count(int64_t* value) {
    uint64_t sum = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      uint8_t byte = 0;
      if (!Byte(&byte)) return false;
      sum |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) {
        *value = static_cast<int64_t>(sum);
        return byte != 0 && *value <= kMostInACell;
      }
    }
    return false;
  }

 private:
  absl::string_view rest_;
};

// The cell behind `head`; its counts alone.
bool ReadCounts(uint8_t head, Bytes* bytes, Counts* result) {
  std::array<int64_t, 8> counts = {};
  const uint8_t kind = head & 3;
  if (head < kSeveralEvents) {
    if (kind == kSeveralKinds) return false;
    counts[kind] = 1;
  } else if (kind == kSeveralKinds) {
    uint8_t mask = 0;
    if (!bytes->Byte(&mask) || mask == 0 || mask == 1 || mask == 2 || mask == 4) return false;
    for (int bit = 0; bit < 8; ++bit) {
      if ((mask >> bit & 1) != 0 && !bytes->Count(&counts[bit])) return false;
    }
  } else if (!bytes->Count(&counts[kind]) || counts[kind] == 1) {
    return false;
  }
  *result = {.delivered = counts[0],
             .deferred = counts[1],
             .failed = counts[2],
             .surplus = std::min(counts[3], counts[0]),
             .rejected = counts[4],
             .sent = counts[5],
             .sent_recipients = counts[6]};
  return true;
}

bool ReadCells(uint64_t step, Bytes* bytes, std::vector<WindowCell>* cells) {
  for (bool first = true; !bytes->empty(); first = false) {
    uint64_t gap = 0;
    uint8_t head = 0;
    if (!bytes->Byte(&head)) return false;
    while (head == kFurther) {
      uint8_t part = 0;
      if (!bytes->Byte(&part) || part == 0 || !bytes->Byte(&head)) return false;
      gap += part;
    }
    gap += head >> 2 & kMaxGap;
    step += gap;
    if ((gap == 0) != first || step > std::numeric_limits<uint32_t>::max()) return false;
    WindowCell cell;
    cell.step = static_cast<uint32_t>(step);
    if (!ReadCounts(head, bytes, &cell.counts)) return false;
    if (cell != WindowCell{.step = cell.step}) cells->push_back(cell);
  }
  return true;
}

bool IsVersion(double version) {
  return version >= 0 && version < 9007199254740992.0 && version == std::floor(version);
}

}  // namespace

std::string EncodeWindowRow(const WindowRow& row) {
  std::string out;
  out.reserve(17 + row.cells.size());
  uint64_t version = 0;
  std::memcpy(&version, &row.version, sizeof(version));
  AppendInteger(version, 8, &out);
  out.push_back(static_cast<char>(kFormat));
  AppendInteger(row.policy_hash, 4, &out);
  const size_t first_step = out.size();
  AppendInteger(0, 4, &out);

  bool first = true;
  uint32_t step = 0;
  for (const WindowCell& cell : row.cells) {
    if (cell == WindowCell{.step = cell.step}) continue;
    if (first) {
      std::string bytes;
      AppendInteger(cell.step, 4, &bytes);
      out.replace(first_step, 4, bytes);
      step = cell.step;
      first = false;
    }
    AppendCell(cell.step - step, cell, &out);
    step = cell.step;
  }
  return out;
}

absl::StatusOr<WindowRow> DecodeWindowRow(absl::string_view bytes) {
  Bytes rest(bytes);
  WindowRow row;
  uint64_t version = 0;
  uint8_t format = 0;
  uint64_t policy_hash = 0;
  uint64_t first_step = 0;
  const absl::Status malformed =
      absl::DataLossError(absl::StrCat("window row of ", bytes.size(), " bytes: malformed"));
  if (bytes.size() > kMostBytes) return malformed;
  if (!rest.Integer(8, &version) || !rest.Byte(&format)) return malformed;
  if (format != kFormat) {
    return absl::UnimplementedError(
        absl::StrCat("window row: of format ", format, ", this deferd knows ", kFormat));
  }
  std::memcpy(&row.version, &version, sizeof(version));
  if (!IsVersion(row.version) || !rest.Integer(4, &policy_hash) || !rest.Integer(4, &first_step) ||
      (rest.empty() && first_step != 0) || !ReadCells(first_step, &rest, &row.cells)) {
    return malformed;
  }
  row.policy_hash = static_cast<uint32_t>(policy_hash);
  return row;
}

}  // namespace deferd
