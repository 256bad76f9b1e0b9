// The policy as people write it: TOML, read strictly.
//
// Every mistake of meaning (unknown key, percent 0 or over 100, window that is no multiple of 60 s,
// a domain named twice ...) is reported in one go, each on a line "FILE:LINE:COLUMN: what is wrong;
// what to do". A mistake of TOML syntax is reported alone: the parser stops there. `deferctl policy
// check` and the daemon use this one path.

#ifndef DEFERD_POLICY_POLICY_FILE_H_
#define DEFERD_POLICY_POLICY_FILE_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "policy/names_reader.h"
#include "policy/policy.h"

namespace deferd {

// `name` stands in the messages and becomes Policy::path. `read_file` gives the text of a list that
// the policy names by its path; it becomes part of the hash. InvalidArgument holds all messages,
// one a line.
absl::StatusOr<Policy> ParsePolicy(absl::string_view text, absl::string_view name,
                                   ReadListFile read_file = {});

// Adds the [reply.NAME] tables of the policy's replies_file, whose content is `text`, ahead of its
// own; they become part of its hash. InvalidArgument as of ParsePolicy, and leaves `policy` as it
// was.
absl::Status AddReplies(absl::string_view text, absl::string_view name, Policy* policy);

// The policy that is in force when no file is named, as TOML and parsed.
absl::string_view BuiltInPolicyText();
const Policy& BuiltInPolicy();

}  // namespace deferd

#endif  // DEFERD_POLICY_POLICY_FILE_H_
