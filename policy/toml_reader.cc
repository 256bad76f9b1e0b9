#include "policy/toml_reader.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "policy/edit_distance.h"
#include "policy/text.h"

namespace deferd {

namespace {

// toml++ frees nested tables by recursion, and bounds the nesting of values but not of dotted keys:
// with 8 MiB of stack, toml++ 3.3 crashes on a key of 100,000 dots, and one of 30,000 takes 240 ms.
constexpr int kMaxDots = 32;

TomlPlace PlaceAt(const toml::source_position& at) {
  return {static_cast<int>(at.line), static_cast<int>(at.column)};
}

TomlPlace PlaceOfNode(const toml::node& node) { return PlaceAt(node.source().begin); }

absl::string_view TypeName(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time of day";
    case toml::node_type::date_time:
      return "a date and time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

// The index after the string at `begin`; of an unterminated one, where toml++ stops too.
size_t EndOfString(absl::string_view text, size_t begin) {
  const char quote = text[begin];
  const auto three = [&](size_t i) {
    return text.size() - i >= 3 && text[i] == quote && text[i + 1] == quote && text[i + 2] == quote;
  };
  const bool multi_line = three(begin);
  const size_t closing = multi_line ? 3 : 1;
  for (size_t i = begin + closing; i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (multi_line ? three(i) : text[i] == quote) {
      i += closing;
      // Up to two quotes before the closing ones belong to the string.
      for (int more = 0; multi_line && more < 2 && i < text.size() && text[i] == quote; ++more) ++i;
      return i;
    } else if (text[i] == '\n' && !multi_line) {
      return i;
    }
  }
  return text.size();
}

// Where a key has more dots than any that we read; text.size() if none does.
size_t FindDeepKey(absl::string_view text) {
  int dots = 0;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      i = EndOfString(text, i);
      continue;
    }
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    switch (c) {
      case '.':
        if (++dots > kMaxDots) return i;
        break;
      case '=':
      case ',':
      case '[':
      case ']':
      case '{':
      case '}':
      case '\n':
        dots = 0;
        break;
      default:
        break;
    }
    ++i;
  }
  return text.size();
}

// What to do about a key that is not among `known`.
std::string Remedy(absl::string_view key, const std::vector<std::string>& asked) {
  std::vector<std::string> known;
  for (const std::string& one : asked) {
    if (!absl::c_linear_search(known, one)) known.push_back(one);
  }
  if (known.empty()) return "take it out";
  const std::string* nearest = nullptr;
  size_t best = 3;
  for (const std::string& candidate : known) {
    if (key.size() > candidate.size() + best) continue;
    const size_t distance = EditDistance(absl::AsciiStrToLower(key), candidate);
    if (distance < best && distance < candidate.size()) {
      best = distance;
      nearest = &candidate;
    }
  }
  if (nearest != nullptr) return absl::StrCat("did you mean '", *nearest, "'?");
  return absl::StrCat("the keys here are ", absl::StrJoin(known, ", "));
}

// toml++ keeps keys in the order of the alphabet.
void SortByPlace(std::vector<std::pair<std::string, TomlTable*>>* tables) {
  std::sort(tables->begin(), tables->end(), [](const auto& a, const auto& b) {
    const TomlPlace first = a.second->place();
    const TomlPlace second = b.second->place();
    return std::tie(first.line, first.column) < std::tie(second.line, second.column);
  });
}

class ParsedFile;

class ParsedTable final : public TomlTable {
 public:
  // `header`: how the table is written, "" for the root.
  ParsedTable(ParsedFile* file, const toml::table* table, std::string header)
      : file_(file), table_(table), header_(std::move(header)) {}

  TomlPlace place() const override { return PlaceOfNode(*table_); }
  TomlPlace PlaceOf(absl::string_view key) const override {
    const toml::node* node = table_->get(ToStd(key));
    return node == nullptr ? place() : PlaceOfNode(*node);
  }
  bool Has(absl::string_view key) const override { return table_->contains(ToStd(key)); }
  bool IsTable(absl::string_view key) const override {
    const toml::node* node = table_->get(ToStd(key));
    return node != nullptr && node->is_table();
  }

  std::optional<TomlText> String(absl::string_view key) override;
  std::optional<bool> Bool(absl::string_view key) override;
  std::optional<int64_t> Integer(absl::string_view key, int64_t min, int64_t max) override;
  std::optional<double> Number(absl::string_view key) override;
  std::optional<absl::Duration> Duration(absl::string_view key) override;
  std::vector<TomlText> Strings(absl::string_view key) override;
  TomlTable* Table(absl::string_view key) override;
  std::vector<std::pair<std::string, TomlTable*>> Tables(absl::string_view key) override;
  std::vector<std::pair<std::string, TomlTable*>> NamedTables(
      const std::vector<absl::string_view>& others) override;

  void NoteUnknownKeys();
  bool Knows(absl::string_view key) const {
    return std::find(known_.begin(), known_.end(), key) != known_.end() || named_.contains(key);
  }
  const std::string& header() const { return header_; }

 private:
  // The value of `key`, which is known from now on; nullptr if absent.
  const toml::node* Find(absl::string_view key);
  void WrongType(absl::string_view what, const toml::node& node, absl::string_view remedy);

  ParsedFile* const file_;
  const toml::table* const table_;
  const std::string header_;
  std::vector<std::string> known_;          // in the order of asking; some may be there twice
  absl::flat_hash_set<std::string> named_;  // the tables that NamedTables gave
};

class ParsedFile final : public TomlReader {
 public:
  ParsedFile(toml::table parsed, absl::string_view name)
      : parsed_(std::move(parsed)), name_(name) {}

  TomlTable* root() override { return TableOf(&parsed_, ""); }

  void Error(TomlPlace place, absl::string_view message) override {
    mistakes_.push_back({place, PrintableUtf8(message)});
  }

  absl::Status Finish() override {
    for (const auto& table : tables_) table->NoteUnknownKeys();
    if (mistakes_.empty()) return absl::OkStatus();
    auto order = [](const Mistake& m) { return std::tie(m.place.line, m.place.column); };
    std::stable_sort(mistakes_.begin(), mistakes_.end(),
                     [&](const Mistake& a, const Mistake& b) { return order(a) < order(b); });
    std::vector<std::string> lines;
    for (const Mistake& mistake : mistakes_) {
      lines.push_back(absl::StrCat(name_, ":", mistake.place.line, ":", mistake.place.column, ": ",
                                   mistake.message));
    }
    // A value that was read twice is one mistake.
    lines.erase(std::unique(lines.begin(), lines.end()), lines.end());
    return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
  }

  // Another table than `but` that has such a key; nullptr if there is none.
  const ParsedTable* FindKnowing(absl::string_view key, const ParsedTable* but) const {
    for (const auto& table : tables_) {
      if (table.get() != but && table->Knows(key)) return table.get();
    }
    return nullptr;
  }

  ParsedTable* TableOf(const toml::table* table, std::string header) {
    auto [it, added] = table_of_.try_emplace(table, nullptr);
    if (added) {
      tables_.push_back(std::make_unique<ParsedTable>(this, table, std::move(header)));
      it->second = tables_.back().get();
    }
    return it->second;
  }

 private:
  struct Mistake {
    TomlPlace place;
    std::string message;
  };

  const toml::table parsed_;
  const std::string name_;
  std::vector<std::unique_ptr<ParsedTable>> tables_;
  absl::flat_hash_map<const toml::table*, ParsedTable*> table_of_;
  std::vector<Mistake> mistakes_;
};

const toml::node* ParsedTable::Find(absl::string_view key) {
  // A policy may have a table for each of 100,000 domains: looking for the key first would take
  // most of the time.
  known_.emplace_back(key);
  return table_->get(ToStd(key));
}

void ParsedTable::WrongType(absl::string_view what, const toml::node& node,
                            absl::string_view remedy) {
  file_->Error(PlaceOfNode(node), absl::StrCat(what, " is ", TypeName(node), "; give ", remedy));
}

std::optional<TomlText> ParsedTable::String(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_string()) {
    WrongType(key, *node, "a string in quotes");
    return std::nullopt;
  }
  return TomlText{node->as_string()->get(), PlaceOfNode(*node)};
}

std::optional<bool> ParsedTable::Bool(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_boolean()) {
    WrongType(key, *node, "true or false, without quotes");
    return std::nullopt;
  }
  return node->as_boolean()->get();
}

std::optional<int64_t> ParsedTable::Integer(absl::string_view key, int64_t min, int64_t max) {
  const toml::node* node = Find(key);
  if (node == nullptr) return std::nullopt;
  const auto remedy = [&] {
    if (max != std::numeric_limits<int64_t>::max()) {
      return absl::StrCat("a whole number from ", min, " to ", max);
    }
    return min == std::numeric_limits<int64_t>::min()
               ? std::string("a whole number")
               : absl::StrCat("a whole number of at least ", min);
  };
  if (!node->is_integer()) {
    WrongType(key, *node, remedy());
    return std::nullopt;
  }
  const int64_t value = node->as_integer()->get();
  if (value < min || value > max) {
    file_->Error(PlaceOfNode(*node), absl::StrCat(key, " is ", value, "; give ", remedy()));
    return std::nullopt;
  }
  return value;
}

std::optional<double> ParsedTable::Number(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return std::nullopt;
  if (node->is_integer()) return static_cast<double>(node->as_integer()->get());
  if (node->is_floating_point()) return node->as_floating_point()->get();
  WrongType(key, *node, "a number, without quotes");
  return std::nullopt;
}

std::optional<absl::Duration> ParsedTable::Duration(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return std::nullopt;
  if (!node->is_string()) {
    WrongType(key, *node, "a length of time in quotes, such as \"90s\", \"30m\" or \"1h30m\"");
    return std::nullopt;
  }
  absl::StatusOr<absl::Duration> duration = ParseDuration(ToAbsl(node->as_string()->get()));
  if (!duration.ok()) {
    file_->Error(PlaceOfNode(*node), absl::StrCat(key, ": ", duration.status().message()));
    return std::nullopt;
  }
  return *duration;
}

std::vector<TomlText> ParsedTable::Strings(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return {};
  std::vector<TomlText> texts;
  if (node->is_string()) {
    texts.push_back({node->as_string()->get(), PlaceOfNode(*node)});
  } else if (node->is_array()) {
    for (const toml::node& entry : *node->as_array()) {
      if (entry.is_string()) {
        texts.push_back({entry.as_string()->get(), PlaceOfNode(entry)});
      } else {
        WrongType(absl::StrCat("an entry of ", key), entry, "a string in quotes");
      }
    }
  } else {
    WrongType(key, *node, "an array of strings");
  }
  return texts;
}

TomlTable* ParsedTable::Table(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return nullptr;
  if (!node->is_table()) {
    WrongType(key, *node, absl::StrCat("a table, [", key, "]"));
    return nullptr;
  }
  return file_->TableOf(node->as_table(), absl::StrCat("[", key, "]"));
}

std::vector<std::pair<std::string, TomlTable*>> ParsedTable::Tables(absl::string_view key) {
  const toml::node* node = Find(key);
  if (node == nullptr) return {};
  const std::string remedy = absl::StrCat("a table for each name, [", key, ".NAME]");
  if (!node->is_table()) {
    WrongType(key, *node, remedy);
    return {};
  }
  std::vector<std::pair<std::string, TomlTable*>> tables;
  for (const auto& [name, value] : *node->as_table()) {
    if (value.is_table()) {
      tables.emplace_back(
          name.str(),
          file_->TableOf(value.as_table(), absl::StrCat("[", key, ".", ToAbsl(name.str()), "]")));
    } else {
      WrongType(absl::StrCat(key, ".", ToAbsl(name.str())), value, remedy);
    }
  }
  SortByPlace(&tables);
  return tables;
}

std::vector<std::pair<std::string, TomlTable*>> ParsedTable::NamedTables(
    const std::vector<absl::string_view>& others) {
  std::vector<std::pair<std::string, TomlTable*>> tables;
  for (const auto& [name, value] : *table_) {
    const absl::string_view key = ToAbsl(name.str());
    if (!value.is_table() || absl::c_linear_search(others, key)) continue;
    named_.emplace(key);
    tables.emplace_back(std::string(key),
                        file_->TableOf(value.as_table(), absl::StrCat("[", key, "]")));
  }
  SortByPlace(&tables);
  return tables;
}

void ParsedTable::NoteUnknownKeys() {
  for (const auto& [key, value] : *table_) {
    const absl::string_view name = ToAbsl(key.str());
    if (Knows(name)) continue;
    const ParsedTable* other = file_->FindKnowing(name, this);
    const std::string remedy =
        other == nullptr          ? Remedy(name, known_)
        : other->header().empty() ? "it belongs at the top of the file, above the first [table]"
                                  : absl::StrCat("it belongs in a table such as ", other->header());
    file_->Error(PlaceAt(key.source().begin),
                 absl::StrCat("unknown key ", Quoted(name), "; ", remedy));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<TomlReader>> TomlReader::Parse(absl::string_view text,
                                                              absl::string_view name) {
  auto error = [&](int64_t line, int64_t column, absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ":", line, ":", column, ": not TOML: ", PrintableUtf8(what)));
  };
  const size_t deep = FindDeepKey(text);
  if (deep < text.size()) {
    const absl::string_view before = text.substr(0, deep);
    const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    return error(1 + std::count(before.begin(), before.end(), '\n'), deep - line_begin + 1,
                 "a key with too many dots");
  }
  try {
    return std::make_unique<ParsedFile>(toml::parse(ToStd(text)), name);
  } catch (const toml::parse_error& e) {
    const toml::source_position at = e.source().begin;
    std::string what(e.description());
    // Nearly always a file mode: TOML takes 0660 for a decimal number.
    if (absl::StrContains(what, "leading zeroes")) {
      absl::StrAppend(&what, "; write a file mode in quotes, such as \"0660\"");
    }
    return error(at.line, at.column, what);
  }
}

}  // namespace deferd
