#include "policy/reply/reply_patterns.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/inlined_vector.h"
#include "absl/numeric/bits.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "re2/filtered_re2.h"

namespace deferd {

namespace {

constexpr int kMinLiteral = 3;        // shorter ones are in every text
constexpr size_t kMaxLiterals = 128;  // of one part: more is RE2's business
constexpr size_t kNeededSets = 2;

RE2::Options BytesOptions() {
  RE2::Options options(RE2::Latin1);
  options.set_log_errors(false);
  options.set_dot_nl(true);
  return options;
}

bool IsWordByte(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Reads what of RE2's language is a set of literals: characters, "[ab]", "(a|b)", "(?:a|b)" and
// "?".
class PlainReader {
 public:
  explicit PlainReader(absl::string_view in) : in_(in) {}

  std::optional<std::vector<std::string>> Read() {
    std::vector<std::string> all = Alternatives();
    if (!good_ || !in_.empty()) return std::nullopt;
    return all;
  }

 private:
  using Strings = std::vector<std::string>;

  Strings Alternatives() {
    Strings all = Sequence();
    while (good_ && absl::ConsumePrefix(&in_, "|")) {
      Strings more = Sequence();
      all.insert(all.end(), more.begin(), more.end());
      if (all.size() > kMaxLiterals) good_ = false;
    }
    return all;
  }

  Strings Sequence() {
    Strings all = {""};
    while (good_ && !in_.empty() && in_[0] != '|' && in_[0] != ')') {
      Strings item = Item();
      if (absl::ConsumePrefix(&in_, "?")) item.push_back("");
      if (!in_.empty() && (in_[0] == '*' || in_[0] == '+' || in_[0] == '?')) good_ = false;
      if (!good_ || all.size() * item.size() > kMaxLiterals) {
        good_ = false;
        break;
      }
      Strings longer;
      for (const std::string& head : all) {
        for (const std::string& tail : item) longer.push_back(head + tail);
      }
      all = std::move(longer);
    }
    return all;
  }

  Strings Item() {
    const char c = in_[0];
    in_.remove_prefix(1);
    if (c == '(') {
      absl::ConsumePrefix(&in_, "?:");
      Strings all = Alternatives();
      if (!absl::ConsumePrefix(&in_, ")")) good_ = false;
      return all;
    }
    if (c == '[') return Class();
    if (c == '\\') return {std::string(1, Escaped())};
    if (absl::StrContains("^$.[]{}*+?)", c)) good_ = false;
    return {std::string(1, c)};
  }

  // Single characters and ranges of digits; "[^" and names of classes are more than literals.
  Strings Class() {
    Strings all;
    while (good_ && !in_.empty() && in_[0] != ']') {
      char c = in_[0];
      in_.remove_prefix(1);
      if (c == '^' || c == '[') good_ = false;
      if (c == '\\') c = Escaped();
      char last = c;
      if (in_.size() > 1 && in_[0] == '-' && in_[1] != ']') {
        last = in_[1];
        in_.remove_prefix(2);
        if (!absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
            !absl::ascii_isdigit(static_cast<unsigned char>(last))) {
          good_ = false;
          break;
        }
      }
      for (; c <= last; ++c) all.emplace_back(1, c);
    }
    if (all.empty() || !absl::ConsumePrefix(&in_, "]")) good_ = false;
    return all;
  }

  char Escaped() {
    if (in_.empty()) return Bad();
    const char c = in_[0];
    in_.remove_prefix(1);
    if (absl::ascii_ispunct(static_cast<unsigned char>(c))) return c;
    if (c != 'x' || in_.size() < 2 || !absl::ascii_isxdigit(static_cast<unsigned char>(in_[0])) ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(in_[1]))) {
      return Bad();
    }
    const std::string byte(in_.substr(0, 2));
    in_.remove_prefix(2);
    return static_cast<char>(std::stoi(byte, nullptr, 16));
  }

  char Bad() {
    good_ = false;
    return '?';
  }

  absl::string_view in_;
  bool good_ = true;
};

// How often a text is in what rules look for: a guess at how often it is in answers. Many patterns
// ask for the same texts.
class Commonness {
 public:
  explicit Commonness(std::string patterns) : patterns_(std::move(patterns)) {}

  int Of(const std::string& text) {
    const auto [known, added] = counts_.try_emplace(text);
    if (!added) return known->second;
    for (size_t at = patterns_.find(text); at != std::string::npos;
         at = patterns_.find(text, at + 1)) {
      ++known->second;
    }
    return known->second;
  }

 private:
  const std::string patterns_;
  absl::flat_hash_map<std::string, int> counts_;
};

// Sets of literals: any text that `pattern` matches has at least one of each set. At most two, of
// literals as rare as will do; none if RE2 cannot tell.
std::vector<std::vector<std::string>> NeededLiterals(const std::string& pattern,
                                                     Commonness* commonness) {
  re2::FilteredRE2 filter(kMinLiteral);
  int index = 0;
  if (filter.Add(pattern, BytesOptions(), &index) != RE2::NoError) return {};
  std::vector<std::string> literals;
  filter.Compile(&literals);
  const auto possible_with = [&](const std::vector<int>& present) {
    std::vector<int> possible;
    filter.AllPotentials(present, &possible);
    return !possible.empty();
  };
  std::vector<std::pair<int, int>> by_commonness;
  for (size_t id = 0; id < literals.size(); ++id) {
    const std::string word(absl::StripAsciiWhitespace(literals[id]));
    by_commonness.emplace_back(-commonness->Of(word), static_cast<int>(id));
  }
  absl::c_sort(by_commonness);

  std::vector<std::vector<std::string>> sets;
  std::vector<int> taken;
  while (sets.size() < kNeededSets && !possible_with(taken)) {
    // A match is impossible without the literals that are not taken. The commonest of them leave
    // first, as long as it stays impossible without the others.
    std::vector<int> present = taken;
    std::vector<std::string> needed;
    std::vector<int> ids;
    for (const auto& [common, id] : by_commonness) {
      if (absl::c_linear_search(taken, id)) continue;
      present.push_back(id);
      if (!possible_with(present)) continue;
      present.pop_back();
      ids.push_back(id);
      needed.push_back(literals[id]);
    }
    taken.insert(taken.end(), ids.begin(), ids.end());
    sets.push_back(std::move(needed));
  }
  return sets;
}

}  // namespace

std::optional<PlainPattern> PlainPatternOf(absl::string_view pattern) {
  PlainPattern plain;
  plain.word_begins = absl::ConsumePrefix(&pattern, "\\b");
  plain.word_ends = absl::EndsWith(pattern, "\\b") && !absl::EndsWith(pattern, "\\\\b");
  if (plain.word_ends) pattern.remove_suffix(2);
  // "\ba|b\b" is something else.
  if ((plain.word_begins || plain.word_ends) && AlternativesOf(pattern).size() != 1) return {};
  std::optional<std::vector<std::string>> literals = PlainReader(pattern).Read();
  if (!literals) return std::nullopt;
  for (const std::string& literal : *literals) {
    if (literal.empty() || literal.size() > 255) return std::nullopt;
    // Beside another character "\b" asks for a word there, not for none.
    if (plain.word_begins && !IsWordByte(literal.front())) return std::nullopt;
    if (plain.word_ends && !IsWordByte(literal.back())) return std::nullopt;
  }
  plain.literals = *std::move(literals);
  return plain;
}

std::vector<std::string> AlternativesOf(absl::string_view pattern) {
  // Flags and quotations reach over "|".
  for (const char* reaching : {"(?i", "(?s", "(?m", "(?U", "(?-", "\\Q"}) {
    if (absl::StrContains(pattern, reaching)) return {std::string(pattern)};
  }
  std::vector<std::string> all(1);
  int depth = 0;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '|' && depth == 0 && !in_class) {
      all.emplace_back();
      continue;
    }
    all.back() += c;
    if (c == '\\' && i + 1 < pattern.size()) {
      all.back() += pattern[++i];
    } else if (in_class) {
      in_class = c != ']';
    } else if (c == '[') {
      in_class = true;
      // "]" first in a class is a character.
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') all.back() += pattern[++i];
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') all.back() += pattern[++i];
    } else if (c == '(') {
      ++depth;
    } else if (c == ')') {
      --depth;
    }
  }
  return all;
}

ReplyPatterns::Literal& ReplyPatterns::LiteralOf(const std::string& text) {
  const auto [it, added] = index_.try_emplace(text, literals_.size());
  if (added) literals_.push_back({.size = text.size()});
  return literals_[it->second];
}

void ReplyPatterns::AddNeeds(int part, const std::vector<std::vector<std::string>>& needed) {
  const uint64_t bit = uint64_t{1} << (part % 64);
  for (uint32_t set = 0; set < kNeededSets; ++set) {
    const uint32_t word = part / 64 * kNeededSets + set;
    always_.resize(std::max<size_t>(always_.size(), word + 1));
    if (set >= needed.size()) {
      always_[word] |= bit;
      continue;
    }
    for (const std::string& text : needed[set]) {
      std::vector<Mark>& marks = LiteralOf(text).marks;
      if (marks.empty() || marks.back().word != word) marks.push_back({.word = word, .bits = 0});
      marks.back().bits |= bit;
    }
  }
}

absl::Status ReplyPatterns::Compile(const ReplyRules& rules) {
  std::string problems;
  std::string all;
  for (const ReplyRule& rule : rules.rules) {
    for (const std::string& pattern : rule.patterns) absl::StrAppend(&all, pattern, "\n");
  }
  Commonness commonness(std::move(all));
  for (size_t i = 0; i < rules.rules.size(); ++i) {
    const ReplyRule& rule = rules.rules[i];
    for (size_t j = 0; j < rule.patterns.size(); ++j) {
      if (const RE2 whole(rule.patterns[j], BytesOptions()); !whole.ok()) {
        absl::StrAppend(&problems, problems.empty() ? "" : "\n", rule.id,
                        ": bad pattern: ", whole.error());
        continue;
      }
      for (const std::string& text : AlternativesOf(rule.patterns[j])) {
        const int part = static_cast<int>(parts_.size());
        parts_.push_back({.rule = static_cast<int>(i), .pattern = static_cast<int>(j)});
        const std::optional<PlainPattern> plain = PlainPatternOf(text);
        if (!plain) {
          parts_.back().re2 = std::make_unique<RE2>(text, BytesOptions());
          AddNeeds(part, NeededLiterals(text, &commonness));
          continue;
        }
        for (const std::string& one : plain->literals) {
          Literal& literal = LiteralOf(one);
          if (plain->word_begins || plain->word_ends) {
            literal.bounded.push_back(
                {.part = part, .word_begins = plain->word_begins, .word_ends = plain->word_ends});
          } else {
            literal.decides = std::min(literal.decides, part);
          }
        }
      }
    }
  }
  if (!problems.empty()) return absl::InvalidArgumentError(problems);
  for (size_t i = 0; i < rules.providers.size(); ++i) {
    for (const std::string& token : rules.providers[i].tokens) {
      Literal& literal = LiteralOf(token);
      literal.provider = std::min(literal.provider, static_cast<int>(i));
    }
  }
  always_.resize((parts_.size() / 64 + 1) * kNeededSets);
  std::vector<std::string> texts(literals_.size());
  for (const auto& [text, index] : index_) texts[index] = text;
  index_ = {};
  if (!search_.Compile(texts)) {
    return absl::ResourceExhaustedError("the rules have too many literals");
  }
  return absl::OkStatus();
}

ReplyPatterns::Found ReplyPatterns::Search(absl::string_view text) const {
  absl::InlinedVector<uint64_t, 64> words(always_.begin(), always_.end());
  uint64_t* const seen = words.data();
  int first = static_cast<int>(parts_.size());
  int provider = INT32_MAX;
  search_.Search(text, [&](int id, size_t end) {
    const Literal& literal = literals_[id];
    provider = std::min(provider, literal.provider);
    first = std::min(first, literal.decides);
    for (const Mark& mark : literal.marks) seen[mark.word] |= mark.bits;
    for (const Bounded& bounded : literal.bounded) {
      if (bounded.part >= first) continue;
      const size_t begin = end - literal.size;
      if (bounded.word_begins && begin > 0 && IsWordByte(text[begin - 1])) continue;
      if (bounded.word_ends && end < text.size() && IsWordByte(text[end])) continue;
      first = bounded.part;
    }
  });
  for (int block = 0; block * 64 < first; ++block) {
    for (uint64_t bits = seen[2 * block] & seen[2 * block + 1]; bits != 0; bits &= bits - 1) {
      const int part = block * 64 + absl::countr_zero(bits);
      if (part >= first) break;
      if (parts_[part].re2->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                                  RE2::UNANCHORED, nullptr, 0)) {
        first = part;
      }
    }
  }
  Found found;
  if (first < static_cast<int>(parts_.size())) {
    found.rule = parts_[first].rule;
    found.pattern = parts_[first].pattern;
  }
  if (provider != INT32_MAX) found.provider = provider;
  return found;
}

}  // namespace deferd
