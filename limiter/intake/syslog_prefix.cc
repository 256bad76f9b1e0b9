#include "limiter/intake/syslog_prefix.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "limiter/intake/exim_line.h"
#include "limiter/intake/postfix_line.h"
#include "policy/message_id.h"
#include "policy/text.h"

namespace deferd {
namespace {

using absl::string_view;

constexpr int kMaxHeaders = 4;  // nested headers
constexpr int kMaxWords = 8;    // between a stamp and its tag
constexpr int kMaxHosts = 2;
constexpr size_t kLongestName = 128;

bool AllDigits(string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsDigit);
}

// Blanks, tabs, and the colours of docker compose and journalctl.
void SkipBlanks(string_view* in) {
  while (!in->empty()) {
    if (IsBlank(in->front())) {
      in->remove_prefix(1);
      continue;
    }
    if (!absl::StartsWith(*in, "\x1b[")) return;
    const size_t end = in->find_first_not_of("0123456789;", 2);
    if (end == string_view::npos || !absl::ascii_isalpha(static_cast<unsigned char>((*in)[end]))) {
      return;
    }
    in->remove_prefix(end + 1);
  }
}

// Up to a blank, a tab or a colour, which stay.
string_view TakeWord(string_view* in) {
  const string_view word = in->substr(0, in->find_first_of(" \t\x1b"));
  in->remove_prefix(word.size());
  return word;
}

bool IsNameChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("._-", c);
}

bool IsOneOf(string_view word, std::initializer_list<string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](string_view one) { return absl::EqualsIgnoreCase(word, one); });
}

bool IsLevel(string_view word) {
  return IsOneOf(word, {"emerg", "panic", "alert", "crit", "critical", "err", "error", "warning",
                        "warn", "notice", "info", "information", "informational", "debug", "trace",
                        "fatal", "default"});
}

bool IsFacility(string_view word) {
  return IsOneOf(word, {"kern", "user", "mail", "daemon", "auth", "authpriv", "syslog", "lpr",
                        "news", "uucp", "cron", "ftp", "security", "console"}) ||
         (word.size() == 6 && absl::StartsWithIgnoreCase(word, "local") && IsDigit(word.back()));
}

// "info", "mail.info", "mail:info", "<mail.info>", "[info]", "(mail.info)", "INFO:", "|".
bool IsLevelColumn(string_view word) {
  if (word == "|" || word == "-" || word == "--") return true;
  if (absl::ConsumeSuffix(&word, ":")) return IsLevel(word);  // "mail:", "cron:" are programs
  absl::ConsumeSuffix(&word, ",");
  for (string_view brackets : {"<>", "[]", "()", "\"\""}) {
    if (word.size() > 2 && word.front() == brackets[0] && word.back() == brackets[1]) {
      word = word.substr(1, word.size() - 2);
      break;
    }
  }
  if (IsLevel(word) || IsFacility(word)) return true;
  const size_t middle = word.find_first_of(".:/");
  return middle != string_view::npos && IsFacility(word.substr(0, middle)) &&
         (IsLevel(word.substr(middle + 1)) || word.substr(middle + 1) == "none");
}

// Letters, digits, "._-:@/[]%" and what is beyond ASCII.
constexpr std::array<bool, 256> HostBytes() {
  std::array<bool, 256> bytes = {};
  for (int c = 0; c < 256; ++c) {
    bytes[static_cast<size_t>(c)] =
        c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  for (const char c : {'.', '_', '-', ':', '@', '/', '[', ']', '%'}) {
    bytes[static_cast<unsigned char>(c)] = true;
  }
  return bytes;
}

// A host name or address, possibly with the relay's source ("src@host", "a/b").
bool IsHost(string_view word) {
  static constexpr std::array<bool, 256> kBytes = HostBytes();
  if (word.empty() || word.size() > kLongestName || IsEximId(word)) return false;
  for (const char c : word) {
    if (!kBytes[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

// "<22>", "<mail.info>", "<2.6>"; "<22>1 " is RFC 5424's.
bool TakePriority(string_view* in) {
  if (in->empty() || in->front() != '<') return false;
  const size_t close = in->find('>');
  if (close == string_view::npos || close > 20) return false;
  const string_view inside = in->substr(1, close - 1);
  const bool number = !inside.empty() && inside.size() <= 4 && IsDigit(inside.front()) &&
                      inside.find_first_not_of("0123456789.") == string_view::npos;
  if (!number && !IsLevelColumn(inside)) return false;
  in->remove_prefix(close + 1);
  if (absl::StartsWith(*in, "1 ")) in->remove_prefix(2);
  return true;
}

// "postfix_1  | " of docker compose, "[pod/mail-0/postfix] " of kubectl.
bool TakeService(string_view* in) {
  if (absl::StartsWith(*in, "[pod/")) {
    const size_t close = in->find("] ");
    if (close == string_view::npos || close > kLongestName) return false;
    in->remove_prefix(close + 2);
    return true;
  }
  size_t n = 0;
  while (n < in->size() && n < kLongestName && (IsNameChar((*in)[n]) || (*in)[n] == '@')) ++n;
  if (n == 0) return false;
  string_view rest = in->substr(n);
  SkipBlanks(&rest);
  if (!absl::ConsumePrefix(&rest, "|")) return false;
  *in = rest;
  return true;
}

// "/var/log/mail.log:", "mail.log.1-" or "17:", as grep prints in front of a line.
bool TakeGrepName(string_view* in) {
  for (size_t n = 1; n < in->size() && n <= kLongestName; ++n) {
    const char c = (*in)[n];
    if (IsBlank(c)) return false;
    if (c != ':' && c != '-') continue;
    string_view rest = in->substr(n + 1);
    if (!TakeStampText(&rest)) continue;
    in->remove_prefix(n + 1);
    return true;
  }
  return false;
}

// "pod-7d8 container Nov 22 ..." (stern): up to two names in front of a date.
bool TakeNames(string_view* in) {
  string_view rest = *in;
  for (int i = 0; i < kMaxHosts; ++i) {
    const string_view word = TakeWord(&rest);
    // The first is a pod's, which has a dash.
    if (!IsHost(word) || (i == 0 && !absl::StrContains(word, '-'))) return false;
    SkipBlanks(&rest);
    string_view behind = rest;
    const std::optional<StampText> stamp = TakeStampText(&behind);
    if (!stamp || stamp->certainty() == 0) continue;
    *in = rest;
    return true;
  }
  return false;
}

// Reads the text before the stamp, then the stamp. False: no stamp. `outermost`: at the line's
// beginning, where grep may have added a file name.
bool TakeStamp(bool outermost, string_view* in, StampText* stamp) {
  for (int i = 0; i < kMaxWords; ++i) {
    SkipBlanks(in);
    if (const std::optional<StampText> found = TakeStampText(in)) {
      *stamp = *found;
      return true;
    }
    if (TakePriority(in) || TakeService(in)) continue;
    string_view rest = *in;
    const string_view word = TakeWord(&rest);
    // RFC 5424 without its priority begins with its version.
    if (IsLevelColumn(word) || word == "1") {
      *in = rest;
    } else if (!outermost || (!TakeGrepName(in) && !TakeNames(in))) {
      return false;
    }
  }
  return false;
}

// Splits "postfix/[::1]:587/smtpd[12]:" into program and process; false: not a tag. The tag of a
// mail server may lack its colon.
bool TakeTag(string_view word, LogPrefix* prefix, size_t* size) {
  // The process is between the last "[" that has digits alone behind it and its "]".
  for (size_t open = word.find('['); open != string_view::npos; open = word.find('[', open + 1)) {
    const size_t close = word.find(']', open);
    if (close == string_view::npos) break;
    const string_view pid = word.substr(open + 1, close - open - 1);
    if (open == 0 || !AllDigits(pid)) continue;
    const bool colon = close + 1 < word.size() && word[close + 1] == ':';
    string_view program;
    if (!colon && (close + 1 != word.size() || !IsPostfixTag(word.substr(0, open), &program))) {
      if (close + 1 != word.size() || !absl::StartsWith(word, "exim")) continue;
    }
    prefix->program = word.substr(0, open);
    prefix->pid = pid;
    *size = close + (colon ? 2 : 1);
    return true;
  }
  if (word.size() < 2 || word.back() != ':') return false;
  prefix->program = word.substr(0, word.size() - 1);
  prefix->pid = {};
  *size = word.size();
  // "dovecot[lmtp]:", whose brackets do not hold a process.
  if (absl::EndsWith(prefix->program, "]")) {
    prefix->program = prefix->program.substr(0, prefix->program.rfind('['));
  }
  return !prefix->program.empty();
}

// One element of RFC 5424's structured data: [id name="value" ...].
bool TakeElement(string_view* in) {
  if (in->empty() || in->front() != '[') return false;
  bool quoted = false;
  for (size_t i = 1; i < in->size(); ++i) {
    const char c = (*in)[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ']' && !quoted) {
      in->remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

// RFC 5424 after the stamp: host, program, process, message id, structured data, separated by one
// blank, each "-" if missing.
bool TakeRfc5424(string_view* in, LogPrefix* prefix) {
  string_view rest = *in;
  string_view words[4];
  for (string_view& word : words) {
    word = TakeWord(&rest);
    if (word.empty() || !absl::ConsumePrefix(&rest, " ")) return false;
  }
  const auto& [host, program, process, id] = words;
  if (!IsHost(host)) return false;
  for (string_view word : {host, program, process, id}) {
    if (word.size() > kLongestName || word.back() == ':' ||
        word.find_first_of("<>=\"|") != string_view::npos) {
      return false;
    }
  }
  if (!absl::ConsumePrefix(&rest, "-")) {
    if (!TakeElement(&rest)) return false;
    while (TakeElement(&rest)) {
    }
  }
  if (!rest.empty() && !absl::ConsumePrefix(&rest, " ")) return false;
  absl::ConsumePrefix(&rest, "\xEF\xBB\xBF");
  prefix->host = host == "-" ? string_view() : host;
  prefix->program = program == "-" ? string_view() : program;
  prefix->pid = AllDigits(process) ? process : string_view();
  *in = rest;
  return true;
}

// Text between a tag and the message: "[ID 197553 mail.info] ", "<Info>: ", blanks.
void SkipBehindTag(string_view* in) {
  SkipBlanks(in);
  string_view rest = *in;
  if (absl::ConsumePrefix(&rest, "[ID ")) {
    const size_t close = rest.find("] ");
    if (close != string_view::npos && close < 64) in->remove_prefix(4 + close + 2);
    return;
  }
  string_view word = TakeWord(&rest);
  if (absl::StartsWith(word, "<") && absl::ConsumeSuffix(&word, ":") && IsLevelColumn(word)) {
    SkipBlanks(&rest);
    *in = rest;
  }
}

// `{host="mx", job="mail"} `, the labels of a stream that Loki prints.
bool TakeLabels(string_view* in) {
  constexpr size_t kLongestPrefix = 1024;
  if (!absl::StartsWith(*in, "{")) return false;
  bool quoted = false;
  for (size_t i = 1; i < in->size() && i < kLongestPrefix; ++i) {
    const char c = (*in)[i];
    if (quoted && c == '\\') {
      ++i;
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == '}' && !quoted) {
      if (i + 1 >= in->size() || !IsBlank((*in)[i + 1])) return false;
      in->remove_prefix(i + 2);
      return true;
    }
  }
  return false;
}

// Whether it is a program of a mail server that deferd reads: its text needs no inner header.
bool IsMailProgram(string_view program) {
  string_view ignored;
  if (absl::StartsWith(program, "exim") || program == "MailScanner") return true;
  return absl::StartsWith(program, "postfix") ? absl::StrContains(program, '/')
                                              : IsPostfixTag(program, &ignored);
}

bool BeginsWithStamp(string_view in) {
  SkipBlanks(&in);
  return TakeStampText(&in).has_value();
}

// Reads the words between stamp and text, up to a tag or another header. False: neither found, and
// nothing was removed.
bool TakeWords(string_view* in, LogPrefix* prefix) {
  if (BeginsWithStamp(*in)) return false;
  if (TakeRfc5424(in, prefix)) return true;
  string_view rest = *in;
  LogPrefix found;
  bool done = false;
  int hosts = 0;
  for (int i = 0; i < kMaxWords && !done; ++i) {
    SkipBlanks(&rest);
    if (TakePriority(&rest)) continue;
    if (hosts == 0 && TakeLabels(&rest)) {
      done = BeginsWithStamp(rest);
      continue;
    }
    // "Message forwarded from mx: postfix/smtp[1]: ..." (AIX).
    if (absl::ConsumePrefix(&rest, "Message forwarded from ")) {
      found.host = absl::StripSuffix(TakeWord(&rest), ":");
      continue;
    }
    string_view behind = rest;
    const string_view word = TakeWord(&behind);
    if (word.empty()) return false;
    // Docker names the stream that a line came from, and Kubernetes whether it is whole.
    const bool column =
        IsLevelColumn(word) || (i < 2 && IsOneOf(word, {"stdout", "stderr", "F", "P"}));
    size_t tag = 0;
    // metalog has no host, and the program in brackets.
    if (hosts == 0 && word.size() > 2 && word.front() == '[' && word.back() == ']' &&
        IsMailProgram(word.substr(1, word.size() - 2))) {
      found.program = word.substr(1, word.size() - 2);
      rest = behind;
      SkipBlanks(&rest);
      done = true;
    } else if (!column && TakeTag(word, &found, &tag)) {
      rest.remove_prefix(tag);
      SkipBehindTag(&rest);
      done = true;
    } else {
      if (!column && (!IsHost(word) || ++hosts > kMaxHosts)) return false;
      if (!column) found.host = word;
      rest = behind;
      done = BeginsWithStamp(rest);
    }
  }
  if (!done) return false;
  prefix->host = found.host;
  prefix->program = found.program;
  prefix->pid = found.pid;
  *in = rest;
  return true;
}

}  // namespace

bool IsLogRelay(string_view program) {
  if (program.empty()) return true;
  if (program.size() > kLongestName) return false;
  char small[kLongestName];
  bool hex = program.size() >= 12;
  for (size_t i = 0; i < program.size(); ++i) {
    small[i] = absl::ascii_tolower(static_cast<unsigned char>(program[i]));
    hex = hex && absl::ascii_isxdigit(static_cast<unsigned char>(small[i]));
  }
  if (hex) return true;  // a container's id
  const string_view name(small, program.size());
  for (string_view part : {"docker", "contain", "podman", "conmon", "kube", "lxc", "syslog",
                           "journal", "postfix", "exim", "smtp", "mta"}) {
    if (absl::StrContains(name, part)) return true;
  }
  // "mail", "mailserver-1", "my-mail": names of containers; "webmail" is somebody's program.
  const size_t mail = name.find("mail");
  return mail != string_view::npos &&
         (mail == 0 || absl::StrContains("-_/.", name.substr(mail - 1, 1)));
}

std::optional<LogPrefix> ParseLogPrefix(string_view line) {
  absl::ConsumePrefix(&line, "\xEF\xBB\xBF");
  if (line.empty() || IsBlank(line.front())) return std::nullopt;  // the rest of another entry
  string_view in = line;
  LogPrefix prefix;
  if (!TakeStamp(/*outermost=*/true, &in, &prefix.stamp)) return std::nullopt;
  TakeWords(&in, &prefix);
  for (int headers = 1; headers < kMaxHeaders; ++headers) {
    if (IsMailProgram(prefix.program) || !IsLogRelay(prefix.program)) break;
    string_view rest = in;
    LogPrefix inner;
    if (TakeStamp(/*outermost=*/false, &rest, &inner.stamp)) {
      // Exim's own stamp, behind which its text is, ends the headers.
      TakeWords(&rest, &inner);
    } else {
      rest = in;
      inner.stamp = {};
      if (!TakeWords(&rest, &inner) || !IsMailProgram(inner.program)) break;
    }
    if (inner.stamp.certainty() >= prefix.stamp.certainty()) prefix.stamp = inner.stamp;
    if (!inner.host.empty()) prefix.host = inner.host;
    prefix.program = inner.program;
    prefix.pid = inner.pid;
    in = rest;
  }
  prefix.text = in;
  return prefix;
}

namespace {

// "CET", and whatever looks like it.
bool MayBeZone(string_view token) {
  return token.size() <= 5 && std::none_of(token.begin(), token.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c));
         });
}

// "host postfix/smtp[12]: " with single blanks, or without the host. False: it may be more than
// that.
bool TakePlainTag(string_view* in, SyslogPrefix* prefix) {
  string_view rest = *in;
  for (int word = 0; word < 2; ++word) {
    size_t n = 0;
    while (n < rest.size() && rest[n] != ' ' && rest[n] != '\t' && rest[n] != '\x1b') ++n;
    if (n < 2 || n + 1 >= rest.size() || rest[n] != ' ') return false;
    const string_view token = rest.substr(0, n);
    rest.remove_prefix(n + 1);
    // A year, an offset, another stamp.
    if (!absl::ascii_isalpha(static_cast<unsigned char>(token.front()))) return false;
    if (token.back() != ':') {
      if (MayBeZone(token) || absl::EqualsIgnoreCase(token, "am") ||
          absl::EqualsIgnoreCase(token, "pm")) {
        return false;
      }
      if (word > 0 || !IsHost(token) || absl::StrContains(token, ']')) return false;
      continue;
    }
    // A bracket in the middle may end the tag there.
    if (const size_t close = token.find(']'); close < n - 2) return false;
    prefix->tag = token.substr(0, n - 1);
    if (token[n - 2] == ']') {
      const size_t open = token.rfind('[');
      if (open == 0 || open == string_view::npos) return false;
      const string_view pid = token.substr(open + 1, n - 2 - open - 1);
      if (!AllDigits(pid)) return false;
      prefix->tag = token.substr(0, open);
      prefix->pid = pid;
    }
    *in = rest;
    return true;
  }
  return false;
}

}  // namespace

std::optional<SyslogPrefix> TakeSyslogPrefix(StampReader* stamps, string_view* text) {
  const absl::Time before = stamps->previous();
  string_view rest = *text;
  SyslogPrefix plain;
  if (const std::optional<absl::Time> time = stamps->TakeSyslog(&rest);
      time && TakePlainTag(&rest, &plain) && !rest.empty() && !IsBlank(rest.front()) &&
      rest.front() != '<' && rest.front() != '[' && rest.front() != '\x1b' &&
      absl::ascii_isalnum(static_cast<unsigned char>(plain.tag.front())) &&  // "<mail.info>postfix"
      (IsMailProgram(plain.tag) || (!IsLogRelay(plain.tag) && !IsLevel(plain.tag)))) {
    plain.time = *time;
    *text = rest;
    return plain;
  }
  stamps->set_previous(before);
  const std::optional<LogPrefix> prefix = ParseLogPrefix(*text);
  if (!prefix) return std::nullopt;
  const std::optional<absl::Time> time = stamps->Resolve(prefix->stamp);
  if (!time) return std::nullopt;
  *text = prefix->text;
  return SyslogPrefix{.time = *time, .tag = prefix->program, .pid = prefix->pid};
}

int64_t TakeRepeated(string_view* text) {
  constexpr int64_t kMost = 1000;
  string_view rest = *text;
  if (!absl::ConsumePrefix(&rest, "message repeated ")) return 1;
  const size_t blank = rest.find(' ');
  int64_t times = 0;
  if (blank == string_view::npos || !absl::SimpleAtoi(rest.substr(0, blank), &times)) return 1;
  rest.remove_prefix(blank);
  if (!absl::ConsumePrefix(&rest, " times: [")) return 1;
  absl::ConsumePrefix(&rest, " ");
  if (!absl::ConsumeSuffix(&rest, "]")) return 1;
  *text = rest;
  return std::clamp<int64_t>(times, 1, kMost);
}

bool IsNoEntry(string_view line) {
  if (line.empty() || IsBlank(line.front())) return true;
  return absl::StartsWith(line, "-- ") && absl::EndsWith(line, " --");
}

}  // namespace deferd
