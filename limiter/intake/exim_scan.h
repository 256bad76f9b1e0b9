// Scanner functions shared by the parsers of Exim log lines. Each Take... function removes what it
// reads from the front of its argument, and leaves the argument unchanged if it fails.

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

// Position of the first blank. Fields are short, so a loop is faster than memchr.
inline size_t BlankAt(absl::string_view in) {
  size_t n = 0;
  while (n < in.size() && in[n] != ' ') ++n;
  return n;
}

// Takes up to the next blank, which stays.
inline absl::string_view TakeToken(absl::string_view* in) {
  const absl::string_view token = in->substr(0, BlankAt(*in));
  in->remove_prefix(token.size());
  return token;
}

// Position after the closing quote of the string that begins at in[0]; 0 if it is not closed.
// Backslash escapes.
size_t QuotedEnd(absl::string_view in);

// Takes a quoted string whose inner quotes the writer did not escape (certificate names): the
// closing quote is the first one before a blank, a colon or the end.
bool TakeLooselyQuoted(absl::string_view* in, absl::string_view* content);

// End of the address at the front: the first `stop` that is neither inside a quoted word of the
// local part nor behind a backslash. npos if a quoted word is not closed.
size_t AddressEnd(absl::string_view in, char stop);

// Takes "<address>".
bool TakeBracketed(absl::string_view* in, absl::string_view* address);

// A possible end of an H= value: "... [IP]" or "... [IP]:port", before a blank or the end. The name
// before it may be a HELO text that contains such ends.
struct HostEnd {
  size_t size = 0;  // of the value up to this end
  absl::string_view ip;
};

// The first end after `*after`; false if there is none.
bool NextHostEnd(absl::string_view value, size_t after, HostEnd* end);

// Parse the text after `<= ` and the text after the delivery flags. False: malformed.
bool ParseArrival(absl::string_view in, EximLine* line);
bool ParseDelivery(absl::string_view in, EximLine* line);

// Parses a rejection, starting after the id or the stamp. Returns false, and leaves `line`
// unchanged, if the text is not a rejection.
bool ParseRejection(absl::string_view in, EximLine* line);

}  // namespace deferd

#endif  // DEFERD_LIMITER_INTAKE_EXIM_SCAN_H_
