#include "limiter/intake/syslog_prefix.h"

#include "absl/strings/ascii.h"

namespace deferd {
namespace {

void SkipPriority(absl::string_view* text) {
  if (text->empty() || text->front() != '<') return;
  size_t n = 1;
  while (n < text->size() && n <= 3 && absl::ascii_isdigit((*text)[n])) ++n;
  if (n > 1 && n < text->size() && (*text)[n] == '>') text->remove_prefix(n + 1);
}

}  // namespace

std::optional<SyslogPrefix> TakeSyslogPrefix(StampReader* stamps, absl::string_view* text) {
  absl::string_view rest = *text;
  SkipPriority(&rest);
  const std::optional<absl::Time> time = stamps->TakeSyslog(&rest);
  if (!time) return std::nullopt;
  SyslogPrefix prefix{.time = *time};
  *text = rest;
  // The tag is the first or, behind the host's name, the second word, and ends in a colon.
  for (int word = 0; word < 2; ++word) {
    const size_t blank = rest.find(' ');
    const absl::string_view token = rest.substr(0, blank);
    rest.remove_prefix(blank == absl::string_view::npos ? rest.size() : blank + 1);
    if (token.empty() || token.back() != ':') continue;
    prefix.tag = token.substr(0, token.find_first_of("[:"));
    *text = rest;
    break;
  }
  return prefix;
}

}  // namespace deferd
