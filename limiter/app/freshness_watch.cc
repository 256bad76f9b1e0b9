#include "limiter/app/freshness_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/port/log.h"

namespace deferd {

bool FreshnessWatch::Look(const std::vector<FollowerStatus>& sources, bool all_counted,
                          const std::string& save_problem, absl::Duration longest_window,
                          absl::Time now, std::vector<std::string> shared_causes) {
  bool all_at_end = all_counted;
  bool behind = !all_counted;
  std::vector<std::string> causes;
  for (const FollowerStatus& source : sources) {
    if (!source.readable) {
      causes.push_back(absl::StrCat(source.path, ": ", source.problem));
      continue;
    }
    if (!source.problem.empty()) {
      causes.push_back(absl::StrCat(source.path, ": ", source.problem));
    }
    all_at_end = all_at_end && source.at_end;
    behind = behind || source.lag > absl::ZeroDuration();
    if (source.lag > kLagLimit) {
      causes.push_back(absl::StrCat(source.path, ": read with a lag of ",
                                    absl::ToInt64Seconds(source.lag), " s"));
    }
    if (now - source.last_gap < longest_window) {
      causes.push_back(absl::StrCat(source.path, ": lines were lost within the window"));
    }
  }
  if (!save_problem.empty()) {
    causes.push_back(absl::StrCat("counts cannot be saved: ", save_problem));
  }
  for (std::string& cause : shared_causes) causes.push_back(std::move(cause));
  if (sources.empty()) causes.push_back("no log is followed: no log named in [intake] exists");
  const bool caught_up = all_at_end && !caught_up_once_;
  if (caught_up) caught_up_once_ = true;
  if (!caught_up_once_ && causes.empty()) {
    causes.push_back("starting: the logs have not been read to their end yet");
  }
  const std::string first = causes.empty() ? "" : causes.front();
  const bool turned = freshness_->Set(std::move(causes), now);
  LogProblems(sources);
  if (save_problem.empty() && !reported_save_problem_.empty()) {
    spdlog::info("counts are saved again");
  } else if (!save_problem.empty() && reported_save_problem_.empty()) {
    spdlog::error("counts cannot be saved; deferd keeps counting in memory: {}", save_problem);
  }
  reported_save_problem_ = save_problem;
  if (turned && first.empty()) {
    spdlog::info("all logs have been read to their end; answers are checked from now on");
  } else if (turned || (caught_up && !first.empty())) {
    spdlog::warn("answers are unchecked: {}", first);
  }
  return caught_up_once_ && !behind;
}

void FreshnessWatch::LogProblems(const std::vector<FollowerStatus>& sources) {
  for (const FollowerStatus& source : sources) {
    Reported& reported = reported_[source.path];
    if (source.gaps > reported.gaps) {
      spdlog::warn("{}: log lines were lost ({} gaps so far)", source.path, source.gaps);
    }
    if (source.problem.empty() && !reported.problem.empty()) {
      spdlog::info("{}: can be read now", source.path);
    } else if (source.problem != reported.problem) {
      spdlog::warn("{}: {}", source.path, source.problem);
    }
    reported = {source.gaps, source.problem};
  }
}

}  // namespace deferd
