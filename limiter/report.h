// What pages show of the limiter's state. Reads the limiter's parts: the caller must hold the
// limiter's lock. The results are plain values.

#ifndef DEFERD_LIMITER_REPORT_H_
#define DEFERD_LIMITER_REPORT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "limiter/cases/case.h"
#include "limiter/parts.h"
#include "policy/counts.h"
#include "policy/policy.h"
#include "policy/reply/reply_class.h"
#include "policy/subject.h"

namespace deferd {

// A subject's live window, by the first rule's length.
struct SubjectCounts {
  Subject subject;
  Counts counts;
};

// Everything about one subject, for the page `why`.
struct SubjectReport {
  Counts counts;                                               // of the first rule's window
  absl::Duration window;                                       // its length
  std::vector<std::pair<std::string, Counts>> counts_by_node;  // where nodes share
  std::vector<std::pair<ReplyClass, int64_t>> left_out;  // by class of the answers, the most first
  struct RuleReport {
    Rule rule;
    Counts counts;
    Counts recent;  // of the window's last quarter
    int percent = 0;
    bool tripped = false;
    bool shadow = false;  // the rule's own, or the policy's mode
  };
  std::vector<RuleReport> rules;  // those that judge this subject
  bool exempt = false;            // it, or a domain that it is part of, by the policy or a person
  std::optional<Case> exemption;  // the person's
  bool hosted = true;             // false: a domain that is not hosted here
  bool may_be_blocked = true;     // by a rule: neither of the two keeps it from that
  bool policy_shadow = false;     // the policy's mode
  std::vector<Subject> within;    // the domains that a narrower subject is part of
  std::vector<Case> parts;        // open cases of subjects that are part of it
  absl::Time cleared_at = absl::InfinitePast();
};

// Live subjects, worst first (most bad, then highest share); limit 0: all.
std::vector<SubjectCounts> TopOf(const LimiterParts& parts, size_t limit);
SubjectReport ReportOf(const LimiterParts& parts, const Subject& subject);

}  // namespace deferd

#endif  // DEFERD_LIMITER_REPORT_H_
