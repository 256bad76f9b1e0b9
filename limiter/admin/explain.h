// What a server's answer means, in plain words or as JSON: the verb `explain`, of deferctl, which
// needs no daemon for it, and of the daemon.

#ifndef DEFERD_LIMITER_ADMIN_EXPLAIN_H_
#define DEFERD_LIMITER_ADMIN_EXPLAIN_H_

#include <functional>
#include <istream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"
#include "policy/reply/classify.h"

namespace deferd {

// "class", "scope", "permanence", "code", "enhanced", "provider", "rule" (null where not known),
// "confidence" (0 to 1), "meaning", "side", "advice".
Json ExplainJson(absl::string_view reply, const Classification& classification);

// The block for people, at most 80 columns, with an empty line at its end.
std::string ExplainPage(absl::string_view reply, const Classification& classification);

// `text`, or each line of `in` if it is "-": `print` gets an answer a line, in order; with `json`
// one object in one line each. Lines longer than a reply can be are read to their end and cut.
absl::Status Explain(const ReplyClassifier& classifier, const std::string& text, bool json,
                     std::istream& in,
                     const std::function<absl::Status(const std::string&)>& print);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_EXPLAIN_H_
