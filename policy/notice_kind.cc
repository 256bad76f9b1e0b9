#include "policy/notice_kind.h"

#include <iterator>

namespace deferd {

namespace {

constexpr NoticeKindInfo kInfos[] = {
    {NoticeKind::kWarned, "warned", Severity::kWarning, true,
     "A sender is near the limits of a rule."},
    {NoticeKind::kBlocked, "blocked", Severity::kCritical, true,
     "A rule or a person has stopped a sender's mail."},
    {NoticeKind::kExtended, "extended", Severity::kWarning, true,
     "A block was prolonged: the sender is still over the limits."},
    {NoticeKind::kUnblocked, "unblocked", Severity::kInfo, true, "A block has ended."},
    {NoticeKind::kWaiting, "waiting", Severity::kWarning, true,
     "Held mail waits for a person's decision."},
    {NoticeKind::kIncidentOpened, "incident_opened", Severity::kWarning, false,
     "A remote server fails for many senders; these failures do not count."},
    {NoticeKind::kIncidentClosed, "incident_closed", Severity::kInfo, false,
     "That server accepts mail again."},
    {NoticeKind::kOwnAddressRefused, "own_address_refused", Severity::kCritical, false,
     "A remote server refuses this server's IP address or name."},
    {NoticeKind::kLogProblem, "log_problem", Severity::kCritical, false,
     "A log is silent, unreadable or not understood, or its senders are not known."},
    {NoticeKind::kHookNotAsked, "hook_not_asked", Severity::kCritical, false,
     "The mail server accepts mail without querying deferd."},
    {NoticeKind::kStoreTrouble, "store_trouble", Severity::kCritical, false,
     "Counts and blocks cannot be saved."},
    {NoticeKind::kSharedTrouble, "shared_trouble", Severity::kWarning, false,
     "Redis or another node is unreachable, or their answers cannot be used."},
    {NoticeKind::kPolicyRefused, "policy_refused", Severity::kWarning, false,
     "A reload failed; the previous policy stays in force."},
    {NoticeKind::kRecovered, "recovered", Severity::kInfo, false, "One of these problems is over."},
    {NoticeKind::kDigest, "digest", Severity::kInfo, false, "The daily summary."},
    {NoticeKind::kTest, "test", Severity::kInfo, false, "Sent by deferctl notice test."},
};
static_assert(std::size(kInfos) == kNoticeKinds);

}  // namespace

const NoticeKindInfo& InfoOf(NoticeKind kind) { return kInfos[static_cast<int>(kind)]; }

std::optional<NoticeKind> ParseNoticeKind(absl::string_view name) {
  for (const NoticeKindInfo& info : kInfos) {
    if (info.name == name) return info.kind;
  }
  return std::nullopt;
}

absl::string_view SeverityName(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kCritical:
      break;
  }
  return "critical";
}

}  // namespace deferd
