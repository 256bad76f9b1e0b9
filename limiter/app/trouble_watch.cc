#include "limiter/app/trouble_watch.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/localrpc/json.h"
#include "policy/subject.h"

namespace deferd {

std::vector<Notice> TroubleWatch::Look(const std::vector<StandingTrouble>& troubles,
                                       absl::Time now) {
  std::vector<Notice> notices;
  const auto tell = [&](const Known& known, NoticeKind kind, absl::string_view what) {
    const std::string thread = absl::StrCat("trouble-", node_, "-", known.trouble.key, "-",
                                            absl::ToUnixSeconds(known.since));
    const absl::StatusOr<Subject> subject = Subject::Parse(known.trouble.subject);
    const Json facts = {{"what", std::string(what)},
                        {"remedy", kind == NoticeKind::kRecovered ? "" : known.trouble.remedy},
                        {"since", FormatUtc(known.since)}};
    notices.push_back(
        {.id = absl::StrCat(thread, kind == NoticeKind::kRecovered ? ":over" : ""),
         .kind = kind,
         .time = now,
         .subject = kind == NoticeKind::kRecovered ? "" : known.trouble.subject,
         .domain = subject.ok() && subject->kind == SubjectKind::kDomain ? subject->id : "",
         .thread = thread,
         .facts = Dump(facts)});
  };
  std::set<std::string> standing;
  for (const StandingTrouble& one : troubles) {
    if (!standing.insert(one.key).second) continue;
    const auto [it, is_new] = known_.try_emplace(one.key);
    Known& known = it->second;
    if (is_new) known.since = now;
    known.trouble = one;
    if (known.told || now - known.since < kLasts) continue;
    known.told = true;
    tell(known, one.kind, one.what);
  }
  for (auto it = known_.begin(); it != known_.end();) {
    if (standing.contains(it->first)) {
      ++it;
      continue;
    }
    // Held mail that waits no more was decided on by a person, who knows.
    if (it->second.told && it->second.trouble.kind != NoticeKind::kWaiting) {
      tell(it->second, NoticeKind::kRecovered, it->second.trouble.what);
    }
    it = known_.erase(it);
  }
  return notices;
}

}  // namespace deferd
