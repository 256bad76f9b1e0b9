#include "policy/reply/literal_search.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "absl/algorithm/container.h"
#include "absl/numeric/bits.h"

namespace deferd {

namespace {

constexpr size_t kMinHead = 4;

size_t CommonPrefix(absl::string_view a, absl::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

// How many bytes of each literal tell it from all others.
std::vector<size_t> HeadSizes(const std::vector<std::string>& literals) {
  std::vector<size_t> order(literals.size());
  std::iota(order.begin(), order.end(), size_t{0});
  absl::c_sort(order, [&](size_t a, size_t b) { return literals[a] < literals[b]; });
  std::vector<size_t> sizes(literals.size(), kMinHead);
  for (size_t i = 1; i < order.size(); ++i) {
    const size_t common = CommonPrefix(literals[order[i - 1]], literals[order[i]]);
    for (size_t id : {order[i - 1], order[i]}) sizes[id] = std::max(sizes[id], common + 1);
  }
  for (size_t id = 0; id < sizes.size(); ++id) sizes[id] = std::min(sizes[id], literals[id].size());
  return sizes;
}

}  // namespace

bool LiteralSearch::Compile(const std::vector<std::string>& literals) {
  if (literals.empty()) return true;
  // Letters first: what is often needed of a row then is in one line of the cache.
  std::array<bool, 256> used = {};
  for (const std::string& literal : literals) {
    for (char c : literal) used[static_cast<uint8_t>(c)] = true;
  }
  uint32_t columns = 1;
  const auto give_column = [&](int byte) {
    if (used[byte] && columns < 256) column_[byte] = static_cast<uint8_t>(columns++);
    used[byte] = false;
  };
  give_column(' ');
  for (int c = 'a'; c <= 'z'; ++c) give_column(c);
  for (int c = 0; c < 256; ++c) give_column(c);
  row_bits_ = absl::bit_width(columns - 1);

  // The trie of their heads. 0 is the root and, as a child, none.
  struct Node {
    uint32_t fallback = 0;
    std::vector<int> ids;
  };
  std::vector<Node> nodes(1);
  std::vector<uint32_t> child(columns);
  const std::vector<size_t> head_sizes = HeadSizes(literals);
  for (size_t id = 0; id < literals.size(); ++id) {
    uint32_t node = 0;
    for (char c : literals[id].substr(0, head_sizes[id])) {
      const size_t edge = size_t{node} * columns + column_[static_cast<uint8_t>(c)];
      if (child[edge] == 0) {
        child[edge] = static_cast<uint32_t>(nodes.size());
        nodes.emplace_back();
        child.resize(child.size() + columns);
      }
      node = child[edge];
    }
    nodes[node].ids.push_back(static_cast<int>(id));
  }

  // Breadth first: where a node has no child, its fallback's is taken.
  std::vector<uint32_t> order = {0};
  for (size_t i = 0; i < order.size(); ++i) {
    const uint32_t node = order[i];
    const uint32_t fallback = nodes[node].fallback;
    for (uint32_t column = 0; column < columns; ++column) {
      uint32_t& next = child[size_t{node} * columns + column];
      const uint32_t otherwise = node == 0 ? 0 : child[size_t{fallback} * columns + column];
      if (next == 0) {
        next = otherwise;
        continue;
      }
      nodes[next].fallback = otherwise;
      const std::vector<int>& shorter = nodes[otherwise].ids;
      nodes[next].ids.insert(nodes[next].ids.end(), shorter.begin(), shorter.end());
      order.push_back(next);
    }
  }

  if (nodes.size() > std::numeric_limits<uint16_t>::max()) return false;

  // Rows: the states where nothing ends first, the root before all.
  std::vector<uint16_t> row(nodes.size());
  uint16_t rows = 0;
  for (bool with_ends : {false, true}) {
    if (with_ends) first_with_ends_ = rows;
    for (uint32_t node : order) {
      if (nodes[node].ids.empty() == with_ends) continue;
      row[node] = rows++;
      if (!with_ends) continue;
      ends_begin_.push_back(static_cast<uint32_t>(ends_.size()));
      for (int id : nodes[node].ids) {
        ends_.push_back({.id = id, .rest = literals[id].substr(head_sizes[id])});
      }
    }
  }
  ends_begin_.push_back(static_cast<uint32_t>(ends_.size()));
  next_.resize(nodes.size() << row_bits_);
  for (size_t node = 0; node < nodes.size(); ++node) {
    for (uint32_t column = 0; column < columns; ++column) {
      next_[(size_t{row[node]} << row_bits_) + column] = row[child[node * columns + column]];
    }
  }
  return true;
}

}  // namespace deferd
