// What `deferctl explain --wrong` and `deferctl replies export` do: corrections of replies that
// were understood wrongly, and the replies of the ledger that were not understood surely.

#ifndef DEFERD_LIMITER_CTL_REPLY_VERBS_H_
#define DEFERD_LIMITER_CTL_REPLY_VERBS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/localrpc/json.h"
#include "policy/policy.h"
#include "policy/reply/classify.h"

namespace deferd {

struct Correction {
  std::string path;   // of the policy's file of corrections
  std::string table;  // TOML that goes to its end
};

// InvalidArgument if the reply has too few words, FailedPrecondition if the policy names no file,
// AlreadyExists if the same wording was corrected before.
absl::StatusOr<Correction> CorrectionOf(const Policy& policy, absl::string_view reply_class,
                                        absl::string_view reply);

// Adds it to the file, whole or not at all; the file is made if it is missing. What is in the file
// has to be right before and after.
absl::Status AddCorrection(const Correction& correction);

// Collects replies that the classifier is unsure of or has no class for, each wording once, without
// what tells about people.
class ReplyExport {
 public:
  explicit ReplyExport(const ReplyClassifier* classifier) : classifier_(classifier) {}

  // A row of `deferctl track --json`.
  void Add(const Json& row);

  // "count TAB class TAB confidence TAB reply" a line, the most frequent first.
  std::string Text() const;
  Json ToJson() const;

 private:
  struct Wording {
    int64_t count = 0;
    std::string reply_class;
    double confidence = 0;
  };

  std::vector<std::pair<std::string, Wording>> Ranked() const;

  const ReplyClassifier* const classifier_;
  std::map<std::string, Wording> wordings_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_CTL_REPLY_VERBS_H_
