#include "policy/reply/reply_features.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxWord = 30;  // longer ones are ids or host names
constexpr size_t kMaxWordWithDigits = 10;
constexpr size_t kMaxConceptsOfWord = 6;  // bounds the pairs
constexpr int kPairDistance = 4;
constexpr int kLongest = 6;  // bucket of lengths, each of four words

bool IsForeign(char c) { return static_cast<uint8_t>(c) >= 0x80; }
bool BeginsWord(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '@' || c == '#' ||
         IsForeign(c);
}
bool ContinuesWord(char c) {
  return BeginsWord(c) || c == '\'' || c == '.' || c == '-' || c == '+' || c == '/';
}

// FNV-1a.
class Hash {
 public:
  explicit Hash(char kind) { Add(kind); }
  Hash& Add(char c) {
    value_ = (value_ ^ static_cast<uint8_t>(c)) * 16777619u;
    return *this;
  }
  Hash& Add(absl::string_view text) {
    for (char c : text) Add(c);
    return *this;
  }
  Hash& Add(uint32_t value) {
    value_ = (value_ ^ value) * 16777619u;
    return *this;
  }
  uint32_t value() const { return value_ ^ (value_ >> 15); }

 private:
  uint32_t value_ = 2166136261u;
};

// The word as the model knows it.
absl::string_view Masked(absl::string_view word) {
  const bool digits = absl::c_any_of(word, IsDigit);
  if (digits && absl::c_all_of(word, IsDigit)) return "0";
  if (word.size() > kMaxWord || (digits && word.size() > kMaxWordWithDigits)) return "ID";
  return word;
}

// The size of the UTF-8 character, or of the stray byte, at the beginning of `text`.
size_t CharacterAt(absl::string_view text) {
  size_t size = 1;
  while (size < text.size() && (static_cast<uint8_t>(text[size]) & 0xC0) == 0x80) ++size;
  return size;
}

// Takes the next word off `text`; empty at its end.
absl::string_view TakeWord(absl::string_view* text) {
  size_t begin = 0;
  while (begin < text->size() && !BeginsWord((*text)[begin])) ++begin;
  size_t end = begin;
  while (end < text->size() && ContinuesWord((*text)[end])) ++end;
  absl::string_view word = text->substr(begin, end - begin);
  text->remove_prefix(end);
  while (!word.empty() && !BeginsWord(word.back())) word.remove_suffix(1);
  return word;
}

std::string Unescaped(absl::string_view word) {
  std::string plain;
  while (!word.empty()) {
    int byte = 0;
    if (word.size() >= 4 && absl::ConsumePrefix(&word, "\\x")) {
      for (char c : word.substr(0, 2))
        byte = byte * 16 + (IsDigit(c) ? c - '0' : (c | 32) - 'a' + 10);
      word.remove_prefix(2);
    } else {
      byte = static_cast<uint8_t>(word[0]);
      word.remove_prefix(1);
    }
    plain.push_back(static_cast<char>(byte));
  }
  return plain;
}

}  // namespace

absl::Status ReplyFeatures::Compile(absl::string_view concepts) {
  std::vector<std::string> texts;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(concepts, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    std::vector<absl::string_view> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (names_.size() == kMaxConcepts || words.size() < 2) {
      return absl::InvalidArgumentError(absl::StrCat(
          number, ": a concept needs words, and at most ", kMaxConcepts, " concepts can be"));
    }
    for (absl::string_view word : absl::MakeSpan(words).subspan(1)) {
      const bool inside = absl::ConsumePrefix(&word, "~");
      const bool prefix = absl::ConsumeSuffix(&word, "*");
      std::string text = Unescaped(word);
      if (text.empty() || text.size() > 255) {
        return absl::InvalidArgumentError(absl::StrCat(number, ": a word is empty or too long"));
      }
      literals_.push_back({.concept_id = static_cast<uint8_t>(names_.size()),
                           .size = static_cast<uint8_t>(text.size()),
                           .begins = !inside,
                           .ends = !inside && !prefix});
      texts.push_back(std::move(text));
    }
    names_.emplace_back(words[0]);
    hashes_.push_back(Hash('k').Add(words[0]).value());
  }
  if (!search_.Compile(texts)) return absl::InvalidArgumentError("too many words in concepts");
  return absl::OkStatus();
}

int ReplyFeatures::ConceptOf(absl::string_view name) const {
  const auto it = absl::c_find(names_, name);
  return it == names_.end() ? -1 : static_cast<int>(it - names_.begin());
}

size_t ReplyFeatures::Extract(const ReplyFacts& facts, Hashes* hashes, Concepts* seen) const {
  hashes->clear();
  seen->reset();
  const auto add = [hashes](const Hash& hash) { hashes->push_back(hash.value()); };

  // "550 5.1.1 rcpt: text"
  absl::string_view text = facts.text;
  const absl::string_view code = text.substr(0, 3);
  text.remove_prefix(std::min<size_t>(text.size(), 4));
  const absl::string_view enhanced = text.substr(0, text.find(' '));
  const size_t colon = text.find(": ");
  text.remove_prefix(colon == absl::string_view::npos ? text.size() : colon + 2);
  const char digit = code.empty() ? '-' : code[0];
  add(Hash('c').Add(code));
  add(Hash('d').Add(digit));
  add(Hash('e').Add(enhanced));
  add(Hash('E').Add(code).Add(enhanced));
  if (enhanced.size() > 2) add(Hash('f').Add(enhanced.substr(2)));
  add(Hash('r').Add(facts.rule));
  add(Hash('R').Add(facts.rule.substr(0, facts.rule.find('.'))));
  if (!facts.provider.empty()) add(Hash('v').Add(facts.provider));

  const size_t length = hashes->size();
  hashes->push_back(0);  // known after the words

  // Concepts of the last words, for pairs.
  struct Place {
    int at;
    uint8_t concept_id;
  };
  absl::InlinedVector<Place, 512> places;
  absl::string_view before = "^";
  int words = 0;
  int at = 0;
  for (; words < static_cast<int>(kMaxReplyWords); ++words, ++at) {
    const absl::string_view word = TakeWord(&text);
    if (word.empty()) break;
    const bool foreign = absl::c_any_of(word, IsForeign);
    const absl::string_view masked = foreign ? word.substr(0, kMaxWord) : Masked(word);
    add(Hash('w').Add(masked));
    add(Hash('b').Add(before).Add(' ').Add(masked));
    before = masked;
    if (foreign) {
      for (size_t i = 0; i < word.size();) {
        const size_t first = CharacterAt(word.substr(i));
        const size_t second = i + first < word.size() ? CharacterAt(word.substr(i + first)) : 0;
        if (second != 0) add(Hash('w').Add(word.substr(i, first + second)));
        i += first;
      }
    }
    std::array<uint8_t, kMaxConceptsOfWord> found;
    size_t count = 0;
    search_.Search(word, [&](int id, size_t end) {
      const Literal& literal = literals_[id];
      const size_t begin = end - literal.size;
      if (literal.begins && begin > 0 && word[begin - 1] != '-') return;
      if (literal.ends && end < word.size() && word[end] != '-' && word[end] != '\'') return;
      seen->set(literal.concept_id);
      if (foreign) {
        if (places.size() < kMaxReplyWords * kMaxConceptsOfWord) {
          places.push_back({.at = at++, .concept_id = literal.concept_id});
        }
        return;
      }
      const auto known = found.begin() + static_cast<std::ptrdiff_t>(count);
      if (count < found.size() && std::find(found.begin(), known, literal.concept_id) == known) {
        found[count++] = literal.concept_id;
      }
    });
    for (size_t i = 0; i < count; ++i) places.push_back({.at = at, .concept_id = found[i]});
  }
  (*hashes)[length] = Hash('n').Add(static_cast<char>('0' + std::min(kLongest, words / 4))).value();
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!seen->test(i)) continue;
    add(Hash('k').Add(hashes_[i]));
    add(Hash('q').Add(digit).Add(hashes_[i]));
  }
  for (size_t i = 0; i < places.size(); ++i) {
    for (size_t j = i + 1; j < places.size() && places[j].at - places[i].at <= kPairDistance; ++j) {
      if (places[j].at == places[i].at) continue;
      add(Hash('p').Add(hashes_[places[i].concept_id]).Add(hashes_[places[j].concept_id]));
    }
  }
  return length + 1;
}

}  // namespace deferd
