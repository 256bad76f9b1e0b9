#include "policy/reply/reply_correction.h"

#include <algorithm>
#include <cstdint>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "policy/reply/reply_text.h"
#include "policy/text.h"
#include "re2/re2.h"

namespace deferd {

namespace {

constexpr size_t kMaxPattern = 400;  // bytes of the reply that are enough to know it by
constexpr int kMinWords = 2;

bool IsAlpha(char c) { return absl::ascii_isalpha(static_cast<unsigned char>(c)); }
bool IsWord(char c) {
  return IsDigit(c) || IsAlpha(c) || c == '_' || c == '-' || c == '.' || c == '/' || c == ':' ||
         c == '=' || c == '?' || c == '&' || c == '%' || static_cast<uint8_t>(c) >= 0x80;
}

enum class Kind { kWord, kNumber, kId, kHost, kOther };

// What a run of word characters is.
Kind KindOf(absl::string_view word) {
  const bool digits = absl::c_any_of(word, IsDigit);
  const bool letters = absl::c_any_of(word, IsAlpha);
  if (digits && !letters) return Kind::kNumber;
  if (absl::StrContains(word, "://")) return Kind::kHost;
  const size_t dot = word.find('.');
  if (dot != absl::string_view::npos && dot > 0 && dot + 1 < word.size() &&
      (IsAlpha(word[dot + 1]) || IsDigit(word[dot + 1]))) {
    return Kind::kHost;
  }
  if (digits && word.size() > 10) return Kind::kId;
  return Kind::kWord;
}

// The next run of word characters, or one other byte, taken off `text`. What ends a sentence is no
// part of a word.
absl::string_view Take(absl::string_view* text) {
  size_t size = 0;
  while (size < text->size() && IsWord((*text)[size])) ++size;
  while (size > 1 && (absl::StrContains(".:/-?", (*text)[size - 1]))) --size;
  const absl::string_view taken = text->substr(0, std::max<size_t>(size, 1));
  text->remove_prefix(taken.size());
  return taken;
}

// As a pattern that matches just this. It stands in a file of UTF-8, which bytes need not be.
void AppendQuoted(std::string* pattern, absl::string_view text) {
  for (char c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) {
      absl::StrAppendFormat(pattern, "\\x%02x", static_cast<uint8_t>(c));
    } else {
      absl::StrAppend(pattern, RE2::QuoteMeta(re2::StringPiece(&c, 1)));
    }
  }
}

// What comes after the head of a normal form.
absl::string_view BodyOf(const ReplyText& text) {
  const absl::string_view all = text.text();
  const size_t colon = all.find(": ");
  return colon == absl::string_view::npos ? "" : all.substr(colon + 2);
}

}  // namespace

absl::StatusOr<std::string> ReplyPatternOf(absl::string_view reply) {
  ReplyText text;
  NormalizeReply(reply, &text);
  absl::string_view body = BodyOf(text).substr(0, kMaxPattern);
  std::string pattern = ": ";
  int words = 0;
  while (!body.empty()) {
    const absl::string_view taken = Take(&body);
    switch (IsWord(taken[0]) ? KindOf(taken) : Kind::kOther) {
      case Kind::kNumber:
        pattern += "[0-9.:/=-]+";
        break;
      case Kind::kId:
      case Kind::kHost:
        pattern += "\\S+";
        break;
      case Kind::kWord:
        ++words;
        [[fallthrough]];
      case Kind::kOther:
        AppendQuoted(&pattern, taken);
        break;
    }
  }
  if (words < kMinWords) {
    return absl::InvalidArgumentError(
        "the answer has too few words to know it again by; give all of it");
  }
  return pattern;
}

std::string ReplyTableName(ReplyClass reply_class, absl::string_view pattern) {
  uint32_t hash = 2166136261u;
  for (char c : pattern) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return absl::StrFormat("%s_%08x", ReplyClassName(reply_class), hash);
}

std::string ReplyTable(ReplyClass reply_class, absl::string_view pattern) {
  std::string quoted;
  for (char c : pattern) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (byte < 0x20 || byte == 0x7F) {
      absl::StrAppendFormat(&quoted, "\\u%04X", byte);
    } else {
      quoted += c;
    }
  }
  return absl::StrCat("[reply.", ReplyTableName(reply_class, pattern), "]\nclass = \"",
                      ReplyClassName(reply_class), "\"\npattern = \"", quoted, "\"\n");
}

std::string AnonymousReply(absl::string_view reply, const std::vector<std::string>& names) {
  ReplyText text;
  NormalizeReply(reply, &text);
  std::string out;
  if (text.code != 0) absl::StrAppend(&out, text.code, " ");
  if (!text.enhanced.empty()) absl::StrAppend(&out, text.enhanced, " ");
  absl::string_view body = BodyOf(text);
  while (!body.empty()) {
    const absl::string_view taken = Take(&body);
    const Kind kind = IsWord(taken[0]) ? KindOf(taken) : Kind::kOther;
    if (kind != Kind::kOther && absl::c_any_of(names, [&](const std::string& name) {
          return absl::EqualsIgnoreCase(name, taken);
        })) {
      out += "NAME";
    } else if (kind == Kind::kNumber) {
      out += "0";
    } else if (kind == Kind::kId) {
      out += "ID";
    } else if (kind == Kind::kHost) {
      out += "HOST";
    } else {
      absl::StrAppend(&out, taken);
    }
  }
  return out;
}

}  // namespace deferd
