#include "policy/reply/reply_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "policy/reply/reply_wrapping.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr size_t kMaxAddress = 320;  // RFC 5321 4.5.3.1: 64 + 1 + 255

uint8_t Byte(absl::string_view text, size_t i) {
  return i < text.size() ? static_cast<uint8_t>(text[i]) : 0;
}

// The size of an IPv4 address at the beginning of `text`; 0 if there is none.
size_t Ipv4At(absl::string_view text) {
  size_t at = 0;
  for (int part = 0; part < 4; ++part) {
    const size_t begin = at;
    while (at < text.size() && at - begin < 3 && IsDigit(text[at])) ++at;
    if (at == begin) return 0;
    if (part < 3) {
      if (at == text.size() || text[at] != '.') return 0;
      ++at;
    }
  }
  return at < text.size() && IsAlnum(text[at]) ? 0 : at;
}

// The size of "[2001:db8::1]" or "[IPv6:...]" at the beginning of `text`; 0 if there is none.
size_t BracketedIpv6At(absl::string_view text) {
  size_t at = 1;
  if (absl::StartsWithIgnoreCase(text.substr(1, 5), "ipv6:")) at = 6;
  int colons = 0;
  for (; at < text.size() && at < 60; ++at) {
    const char c = text[at];
    if (c == ']') return colons >= 2 ? at + 1 : 0;
    if (c == ':') ++colons;
    if (c != ':' && c != '.' && !absl::ascii_isxdigit(static_cast<unsigned char>(c))) return 0;
  }
  return 0;
}

// U+00C0 to U+00FF without accents; what is no letter becomes a blank.
constexpr char kFolded[] = "aaaaaaaceeeeiiiidnooooo ouuuuy saaaaaaaceeeeiiiidnooooo ouuuuy y";
static_assert(sizeof(kFolded) == 64 + 1);

// What bytes become that need no second look; 0 for the others.
constexpr std::array<char, 256> MakePlain() {
  std::array<char, 256> plain = {};
  for (int c = '!'; c <= '~'; ++c) plain[c] = static_cast<char>(c);
  for (int c = 'A'; c <= 'Z'; ++c) plain[c] = static_cast<char>(c | 0x20);
  for (int c = '0'; c <= '9'; ++c) plain[c] = 0;
  for (char c : {'\\', '#', '[', '<', '@'}) plain[static_cast<int>(c)] = 0;
  return plain;
}
constexpr std::array<char, 256> kPlain = MakePlain();

// Writes the text of a reply in its normal form, which is never longer.
class Writer {
 public:
  // `to` has room for `in`.
  Writer(absl::string_view in, char* to, ReplyText* out)
      : in_(in), out_(out), begin_(to), to_(to) {}

  // Returns the end of what it wrote.
  char* Run() {
    while (true) {
      // In locals, for what is written through a char* could be a member.
      const char* const begin = in_.data() + at_;
      const char* const end = in_.data() + in_.size();
      const char* from = begin;
      char* to = to_;
      while (from != end) {
        const char plain = kPlain[static_cast<uint8_t>(*from)];
        if (plain == 0) break;
        *to++ = plain;
        ++from;
      }
      to_ = to;
      at_ += static_cast<size_t>(from - begin);
      if (from == end) break;
      Step();
    }
    while (!empty() && last() == ' ') --to_;
    return to_;
  }

 private:
  absl::string_view rest() const { return in_.substr(at_); }
  bool empty() const { return to_ == begin_; }
  char last() const { return empty() ? ' ' : to_[-1]; }
  void Put(char c) { *to_++ = c; }
  void Put(absl::string_view text) {
    for (char c : text) Put(c);
  }
  void Blank() {
    if (last() != ' ') Put(' ');
  }

  void Step() {
    const auto c = static_cast<uint8_t>(in_[at_]);
    if (c <= ' ' || c == 0x7F) {
      Blank();
      ++at_;
    } else if (c >= '0' && c <= '9') {
      Number();
    } else if (c >= 0x80) {
      Foreign(c);
    } else {
      Punctuation(static_cast<char>(c));
    }
  }

  void Number() {
    const char before = last();
    if (!IsAlnum(before) && before != '.') {
      if (const int code = ReplyCodeAt(rest()); code != 0 && TakeCode(code)) return;
      if (const size_t size = EnhancedCodeAt(rest()); size != 0 && TakeEnhanced(size)) return;
      if (const size_t size = Ipv4At(rest()); size != 0) {
        Put('#');
        at_ += size;
        return;
      }
    }
    while (at_ < in_.size() && IsDigit(in_[at_])) Put(in_[at_++]);
  }

  // A reply code: the first one where one can stand, and its repetitions on later lines.
  bool TakeCode(int code) {
    absl::string_view after = in_.substr(at_ + 3);
    if (!after.empty() && (after[0] == ' ' || after[0] == '-')) after.remove_prefix(1);
    if (!after.empty() && after[0] == '\'') after.remove_prefix(1);
    const bool stands = empty() || last() == '\'' || last() == ':' ||
                        (to_ - begin_ > 1 && last() == ' ' && (to_[-2] == ':' || to_[-2] == '>')) ||
                        EnhancedCodeAt(after) != 0 || Byte(in_, at_ + 4) == '\'';
    if (out_->code == 0) {
      if (!stands) return false;
      out_->code = code;
      inner_ = !out_->enhanced.empty();
    } else if (code != out_->code || last() != ' ') {
      return false;
    }
    at_ += 3;
    if (at_ < in_.size() && (in_[at_] == '-' || in_[at_] == ':')) ++at_;
    return true;
  }

  // An enhanced code: the first one, or the one right after a reply code that came later.
  bool TakeEnhanced(size_t size) {
    const absl::string_view code = in_.substr(at_, size);
    const bool leads = empty();
    if (out_->enhanced.empty() || inner_) {
      out_->enhanced.assign(code.data(), code.size());
      out_->enhanced_leads = leads || inner_;
      inner_ = false;
    } else if (code != out_->enhanced) {
      return false;
    }
    at_ += size;
    if (at_ < in_.size() && in_[at_] == ':') ++at_;
    return true;
  }

  void Punctuation(char c) {
    switch (c) {
      case '\\':  // "\n" in two characters, as Exim logs a line end
        if (Byte(in_, at_ + 1) == 'n' || Byte(in_, at_ + 1) == 'r') {
          Blank();
          at_ += 2;
          return;
        }
        break;
      case '#':
        if (const size_t size = EnhancedCodeAt(in_.substr(at_ + 1)); size != 0) {
          if (out_->enhanced.empty()) {
            out_->enhanced.assign(in_.data() + at_ + 1, size);
          }
          at_ += 1 + size;
          return;
        }
        break;
      case '[':
        if (const size_t size = BracketedIpv6At(rest()); size != 0) {
          Put("[#]");
          at_ += size;
          return;
        }
        break;
      case '<': {
        const absl::string_view inside = in_.substr(at_, kMaxAddress);
        const size_t end = inside.find('>');
        if (end == absl::string_view::npos) break;
        const absl::string_view address = inside.substr(1, end - 1);
        const bool quoted = absl::StartsWith(address, "\"");
        if (absl::StrContains(address, '@') && (quoted || !absl::StrContains(address, ' '))) {
          Put("<@>");
          at_ += end + 1;
          return;
        }
        break;
      }
      case '@':
        Address();
        return;
      default:
        break;
    }
    Put(c);
    ++at_;
  }

  // Takes the local part back and skips the domain.
  void Address() {
    while (!empty()) {
      const char c = last();
      if (!IsAlnum(c) && c != '.' && c != '_' && c != '-' && c != '+' && c != '=' && c != '#' &&
          c != '/' && c != '%' && c != '!' && c != '@' && c != '&' && c != '~') {
        break;
      }
      --to_;
    }
    Put('@');
    ++at_;
    while (at_ < in_.size() && (IsAlnum(in_[at_]) || in_[at_] == '.' || in_[at_] == '-' ||
                                in_[at_] == '_' || in_[at_] == '@')) {
      ++at_;
    }
  }

  // Accents go, typographic signs become plain ones, other scripts stay as they are.
  void Foreign(uint8_t c) {
    const uint8_t next = Byte(in_, at_ + 1);
    const bool continued = (next & 0xC0) == 0x80;
    if (c == 0xC3 && continued) {  // U+00C0 ... U+00FF
      Put(kFolded[next & 0x3F]);
      at_ += 2;
    } else if (c == 0xC2 && next == 0xA0) {  // no-break space
      Blank();
      at_ += 2;
    } else if (c == 0xE2 && next == 0x80 && Byte(in_, at_ + 2) >= 0x90 &&
               Byte(in_, at_ + 2) <= 0x9F) {  // dashes and quotation marks
      const uint8_t third = Byte(in_, at_ + 2);
      Put(third < 0x98 ? '-' : third < 0x9C ? '\'' : '"');
      at_ += 3;
    } else if (c == 0xE3 && next == 0x80 && Byte(in_, at_ + 2) == 0x80) {  // ideographic space
      Blank();
      at_ += 3;
    } else if (c >= 0xC0 && !continued) {  // ISO 8859-1
      Put(kFolded[c & 0x3F]);
      ++at_;
    } else {
      do Put(in_[at_++]);
      while (at_ < in_.size() && (Byte(in_, at_) & 0xC0) == 0x80);
    }
  }

  const absl::string_view in_;
  ReplyText* const out_;
  char* const begin_;
  char* to_;
  size_t at_ = 0;
  bool inner_ = false;  // a reply code came after an enhanced code: its own is the better one
};

}  // namespace

bool IsSuccessReply(absl::string_view reply) {
  reply = absl::StripLeadingAsciiWhitespace(reply.substr(0, kMaxReplyText));
  if (reply.size() < 3 || (reply[0] != '2' && reply[0] != '3')) return false;
  if (reply[0] == '2' && reply[1] == '.') {
    // An enhanced code: told from others by its first digit alone.
    std::string as_failure(reply.substr(0, 16));
    as_failure[0] = '5';
    return EnhancedCodeAt(as_failure) != 0;
  }
  return reply[1] >= '0' && reply[1] <= '5' && IsDigit(reply[2]) &&
         (reply.size() == 3 || reply[3] == ' ' || reply[3] == '-' || reply[3] == '\r');
}

void NormalizeReply(absl::string_view reply, ReplyText* out) {
  out->code = 0;
  out->enhanced.clear();
  out->enhanced_leads = false;
  out->logged.reset();
  reply = absl::StripAsciiWhitespace(reply.substr(0, kMaxReplyText));
  reply = WithoutLogPrefix(reply, out);
  absl::string_view stage;
  reply = WithoutWrapping(reply, &stage);

  // The head's parts are known only after the text is read: it is written backwards in front of
  // the text, into room that is kept for it.
  constexpr size_t kHead = 32;
  out->buffer.resize(kHead + reply.size());
  char* const text = out->buffer.data() + kHead;
  char* const end = Writer(reply, text, out).Run();
  out->buffer.resize(static_cast<size_t>(end - out->buffer.data()));

  char* head = text;
  const auto before = [&head](absl::string_view part) {
    head -= part.size();
    std::copy(part.begin(), part.end(), head);
  };
  before(": ");
  before(stage);
  before(" ");
  before(out->enhanced.empty() ? "-" : out->enhanced);
  before(" ");
  if (out->code == 0) {
    before("---");
  } else {
    const char digits[] = {static_cast<char>('0' + out->code / 100),
                           static_cast<char>('0' + out->code / 10 % 10),
                           static_cast<char>('0' + out->code % 10)};
    before({digits, 3});
  }
  out->begin = static_cast<size_t>(head - out->buffer.data());
}

}  // namespace deferd
