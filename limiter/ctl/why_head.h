// The six lines that `deferctl why` and the console's page begin with: whether mail of the subject
// passes, who caused its trouble, what servers answered, whose fault that is, what to do, and what
// waits (or, of who is not blocked, how far the limit is and what is left out).
//
// A reader who knows no SMTP names cause, culprit and remedy from them alone. Each is one line that
// fits the page; only the things to do take a line each where one is not enough.

#ifndef DEFERD_LIMITER_CTL_WHY_HEAD_H_
#define DEFERD_LIMITER_CTL_WHY_HEAD_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "limiter/ctl/page_text.h"
#include "limiter/localrpc/json.h"

namespace deferd {

struct WhyLine {
  absl::string_view label;         // "WHO"
  std::vector<std::string> texts;  // one, but for "DO": the steps
};
struct WhyLines {
  absl::string_view mark;  // "✖"
  Look look = Look::kPlain;
  std::string subject;
  std::string state;  // "CANNOT SEND"
  std::string more;   // since when, until when
  std::vector<WhyLine> lines;
};

// As values. `commands`: with the commands of deferctl that a reader at a shell may type; without,
// for readers who have buttons.
WhyLines WhyLinesOf(const Json& why, bool commands);
std::string WhyHead(const Json& why);

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_WHY_HEAD_H_
