#include "limiter/app/freshness_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"

namespace deferd {

bool FreshnessWatch::Look(const std::vector<FollowerStatus>& sources, bool all_counted,
                          absl::Duration longest_window, absl::Time now) {
  bool all_at_end = all_counted;
  bool behind = !all_counted;
  std::vector<std::string> causes;
  for (size_t i = 0; i < sources.size(); ++i) {
    const FollowerStatus& source = sources[i];
    if (source.gaps > seen_gaps_[i].count) {
      spdlog::warn("{}: lines are lost ({} gaps so far)", source.path, source.gaps);
      seen_gaps_[i] = {source.gaps, now};
    }
    if (!source.readable) {
      causes.push_back(absl::StrCat(source.path, ": ", source.problem));
      continue;
    }
    all_at_end = all_at_end && source.at_end;
    behind = behind || source.lag > absl::ZeroDuration();
    if (source.lag > kLagLimit) {
      causes.push_back(absl::StrCat(source.path, ": read with a lag of ",
                                    absl::ToInt64Seconds(source.lag), " s"));
    }
    if (now - seen_gaps_[i].last < longest_window) {
      causes.push_back(absl::StrCat(source.path, ": lines were lost within the window"));
    }
  }
  if (sources.empty()) causes.push_back("no log is followed: [intake] names none");
  if (all_at_end) caught_up_once_ = true;
  if (!caught_up_once_ && causes.empty()) {
    causes.push_back("starting: the logs are not read to their end yet");
  }
  const std::string first = causes.empty() ? "" : causes.front();
  const bool turned = freshness_->Set(std::move(causes), now);
  TellProblems(sources);
  if (turned && first.empty()) {
    spdlog::info("all logs are read to their end: answers are checked from now on");
  } else if (turned) {
    spdlog::warn("answers are unchecked: {}", first);
  }
  return caught_up_once_ && !behind;
}

void FreshnessWatch::TellProblems(const std::vector<FollowerStatus>& sources) {
  for (size_t i = 0; i < sources.size(); ++i) {
    if (sources[i].problem == told_problems_[i]) continue;
    told_problems_[i] = sources[i].problem;
    if (sources[i].problem.empty()) {
      spdlog::info("{}: can be read now", sources[i].path);
    } else {
      spdlog::warn("{}: {}", sources[i].path, sources[i].problem);
    }
  }
}

}  // namespace deferd
