// Pieces of an Exim log line that its field parsers share. Each Take... removes what it takes from
// the front of its argument, which it leaves as it was if it fails.

#ifndef DEFERD_LIMITER_INTAKE_EXIM_SCAN_H_
#define DEFERD_LIMITER_INTAKE_EXIM_SCAN_H_

#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "limiter/intake/exim_line.h"

namespace deferd {

inline bool TakePrefix(absl::string_view* in, absl::string_view prefix) {
  if (!absl::StartsWith(*in, prefix)) return false;
  in->remove_prefix(prefix.size());
  return true;
}

// Where the first blank is. Fields are short: a loop beats a call of memchr.
inline size_t BlankAt(absl::string_view in) {
  size_t n = 0;
  while (n < in.size() && in[n] != ' ') ++n;
  return n;
}

// Up to the next blank, which stays.
inline absl::string_view TakeToken(absl::string_view* in) {
  const absl::string_view token = in->substr(0, BlankAt(*in));
  in->remove_prefix(token.size());
  return token;
}

// Where the quoted string that begins at in[0] ends, behind its closing quote; 0 if it does not.
// Backslash escapes.
size_t QuotedEnd(absl::string_view in);

// Takes what stands in quotes where the writer did not escape inner quotes (certificate names): the
// closing quote is the first before a blank, a colon or the end.
bool TakeLooselyQuoted(absl::string_view* in, absl::string_view* content);

// Where the address at the front ends: at the first `stop` that is neither inside a quoted word of
// its local part nor behind a backslash. npos if a quoted word does not end.
size_t AddressEnd(absl::string_view in, char stop);

// Takes "<address>".
bool TakeBracketed(absl::string_view* in, absl::string_view* address);

// One end that an H= value may have: "... [IP]" or "... [IP]:port", before a blank or the end. The
// name before it may be a HELO text and hold such ends itself.
struct HostEnd {
  size_t size = 0;  // of the value up to here
  absl::string_view ip;
};

// The first end after `*after` of them; false if there is none.
bool NextHostEnd(absl::string_view value, size_t after, HostEnd* end);

// The two shapes of line that have several fields: what follows `<= ` and what follows the delivery
// flags. False: malformed.
bool ParseArrival(absl::string_view in, EximLine* line);
bool ParseDelivery(absl::string_view in, EximLine* line);

// A refusal, from behind the id or the stamp on. False, and `line` as it was: it is none.
bool ParseRejection(absl::string_view in, EximLine* line);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_EXIM_SCAN_H_
