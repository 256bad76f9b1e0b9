// The events that deferd notifies people of: stable names, severity and meaning.
//
// Names are a promise: webhooks, commands and filters of other people use them. Pure.

#ifndef DEFERD_POLICY_NOTICE_KIND_H_
#define DEFERD_POLICY_NOTICE_KIND_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace deferd {

enum class NoticeKind : uint8_t {
  kWarned,
  kBlocked,
  kExtended,
  kUnblocked,
  kWaiting,
  kIncidentOpened,
  kIncidentClosed,
  kOwnAddressRefused,
  kLogProblem,
  kHookNotAsked,
  kStoreTrouble,
  kSharedTrouble,
  kPolicyRefused,
  kRecovered,
  kDigest,
  kTest,
};
inline constexpr int kNoticeKinds = 16;

enum class Severity : uint8_t { kInfo, kWarning, kCritical };

struct NoticeKindInfo {
  NoticeKind kind;
  absl::string_view name;  // "blocked"
  Severity severity;
  // About one sender, whose owner may hear of it; otherwise about this mail server.
  bool of_subject;
  absl::string_view meaning;
};

const NoticeKindInfo& InfoOf(NoticeKind kind);
std::optional<NoticeKind> ParseNoticeKind(absl::string_view name);
absl::string_view SeverityName(Severity severity);  // "info", "warning", "critical"

}  // namespace deferd

#endif  // DEFERD_POLICY_NOTICE_KIND_H_
