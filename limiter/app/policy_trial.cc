#include "limiter/app/policy_trial.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "limiter/config/config.h"
#include "policy/policy_file.h"

namespace deferd {
namespace {

constexpr char kName[] = "policy";  // the text has no file

absl::StatusOr<Policy> Parsed(const Policy& before, const std::string& text) {
  absl::StatusOr<Policy> policy =
      ParsePolicy(text, kName, [&](const std::string& path) -> absl::StatusOr<std::string> {
        if (absl::c_linear_search(before.list_files, path)) return ReadTextFile(path);
        return absl::PermissionDeniedError(
            absl::StrCat(path, ": only lists that the policy in force names are read here"));
      });
  if (!policy.ok() || policy->replies_file.empty()) return policy;
  if (policy->replies_file != before.replies_file) {
    return absl::InvalidArgumentError(absl::StrCat(
        policy->replies_file, ": only the file that the policy in force names is read here"));
  }
  const absl::StatusOr<std::string> replies = ReadTextFile(policy->replies_file);
  if (absl::IsNotFound(replies.status())) return policy;
  if (!replies.ok()) return replies.status();
  const absl::Status added = AddReplies(*replies, policy->replies_file, &*policy);
  if (!added.ok()) return added;
  return policy;
}

}  // namespace

absl::StatusOr<Json> PolicyTrial::Diff(const std::shared_ptr<const Policy>& before,
                                       const std::string& text) const {
  absl::StatusOr<Policy> after = Parsed(*before, text);
  if (!after.ok()) return after.status();
  absl::StatusOr<LastDay::Counted> counted =
      day.Count(before, std::make_shared<Policy>(*std::move(after)), PolicyModes::kEnforce);
  if (!counted.ok()) return counted.status();
  counted->diff["whole"] = counted->whole;
  return std::move(counted->diff);
}

}  // namespace deferd
