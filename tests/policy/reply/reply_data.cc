#include "tests/policy/reply/reply_data.h"

#include <zlib.h>

#include <fstream>

#include "absl/strings/str_split.h"
#include "tests/testdata.h"

namespace deferd {

namespace {

std::vector<std::vector<std::string>> Rows(const std::string& name) {
  std::ifstream in(TestData("replies/" + name));
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line[0] != '#') rows.push_back(absl::StrSplit(line, '\t'));
  }
  return rows;
}

}  // namespace

std::vector<KnownReply> RealReplies() {
  std::vector<KnownReply> replies;
  for (const std::vector<std::string>& row : Rows("real.tsv")) {
    const auto* bytes = reinterpret_cast<const Bytef*>(row[0].data());
    replies.push_back({.text = row[0],
                       .reply_class = row.at(2),
                       .permanence = row.at(3),
                       .also = absl::StrSplit(row.at(4), ',', absl::SkipEmpty()),
                       .hold_out = crc32(0, bytes, row[0].size()) % 5 == 0});
  }
  return replies;
}

std::vector<KnownReply> OwnReplies() {
  std::vector<KnownReply> replies;
  for (const std::vector<std::string>& row : Rows("own.tsv")) {
    replies.push_back({.text = row.at(2), .reply_class = row[0], .permanence = row.at(1)});
  }
  return replies;
}

std::vector<KnownReply> WorldReplies() {
  std::vector<KnownReply> replies;
  for (const std::vector<std::string>& row : Rows("world.tsv")) {
    replies.push_back({.text = row.at(4),
                       .reply_class = row[0],
                       .permanence = row.at(2),
                       .scope = row.at(1),
                       .also = absl::StrSplit(row.at(3), ',')});
  }
  return replies;
}

}  // namespace deferd
