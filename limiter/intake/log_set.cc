#include "limiter/intake/log_set.h"

#include <fnmatch.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/string_view.h"
#include "limiter/intake/rotated_name.h"
#include "limiter/port/log.h"
#include "limiter/port/mutex.h"

namespace deferd {
namespace {

bool IsPattern(const std::string& text) { return text.find_first_of("*?[") != std::string::npos; }

bool IsFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::vector<std::string> Matches(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found;
  if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
  return paths;
}

// The logs of which `path` may be a rotated file: "a-1.2" of "a" and of "a-1".
std::vector<std::string> Bases(const std::string& path) {
  const size_t name_at = path.rfind('/') + 1;  // 0 without a slash
  const absl::string_view name = absl::string_view(path).substr(name_at);
  std::vector<std::string> bases;
  for (size_t n = 1; n < name.size(); ++n) {
    if (ParseRotatedName(name.substr(0, n), name)) bases.push_back(path.substr(0, name_at + n));
  }
  return bases;
}

class GlobSet : public LogSet {
 public:
  GlobSet(LogSetOptions options, std::map<std::string, SourceState> known, NewReader new_reader,
          const Clock* clock, Follower::Sink sink)
      : options_(std::move(options)),
        new_reader_(std::move(new_reader)),
        clock_(clock),
        sink_(std::move(sink)),
        known_(std::move(known)) {
    Look();
    if (options_.look_every != absl::InfiniteDuration()) {
      thread_ = std::thread([this] { LookAgainAndAgain(); });
    }
  }

  ~GlobSet() override {
    {
      MutexLock lock(&mutex_);
      stop_ = true;
    }
    stopped_.NotifyAll();
    if (thread_.joinable()) thread_.join();
  }

  int Look() override {
    const std::set<std::string> wanted = Wanted();
    MutexLock lock(&mutex_);
    int added = 0;
    for (const std::string& path : wanted) {
      if (followers_.contains(path) || IsFollowed(path)) continue;
      followers_.emplace(path, Follow(path));
      ++added;
    }
    return added;
  }

  std::vector<FollowerStatus> status() const override {
    MutexLock lock(&mutex_);
    std::vector<FollowerStatus> all;
    for (const auto& [path, follower] : followers_) all.push_back(follower->status());
    return all;
  }

 private:
  // A second name for the same file: a link would be counted twice.
  bool IsFollowed(const std::string& path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    struct stat info, other;
    if (stat(path.c_str(), &info) != 0) return false;
    for (const auto& [followed, follower] : followers_) {
      if (stat(followed.c_str(), &other) == 0 && other.st_dev == info.st_dev &&
          other.st_ino == info.st_ino) {
        return true;
      }
    }
    return false;
  }

  std::set<std::string> Wanted() const {
    std::set<std::string> plain;
    std::set<std::string> matched;
    for (const std::string& pattern : options_.patterns) {
      if (!IsPattern(pattern)) {
        plain.insert(pattern);
        continue;
      }
      for (const std::string& path : Matches(pattern)) {
        if (IsFile(path)) matched.insert(path);
      }
    }
    std::set<std::string> wanted = plain;
    for (const std::string& path : matched) {
      if (!IsRotatedOfAnother(path, plain)) wanted.insert(path);
    }
    return wanted;
  }

  // Also while rotation has left no file at the log's own path.
  bool IsRotatedOfAnother(const std::string& path, const std::set<std::string>& plain) const {
    for (const std::string& base : Bases(path)) {
      if (plain.contains(base)) return true;
      for (const std::string& pattern : options_.patterns) {
        if (fnmatch(pattern.c_str(), base.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) return true;
      }
    }
    return false;
  }

  std::unique_ptr<Follower> Follow(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    FollowerOptions options = options_.follower;
    options.path = path;
    std::unique_ptr<LogReader> reader;
    if (const auto it = known_.find(path); it != known_.end()) {
      reader = RestoredReader(path, &it->second, new_reader_);
      options.resume = std::move(it->second.position);
      known_.erase(it);
    } else {
      reader = new_reader_();
    }
    return Follower::Start(options, std::move(reader), clock_, sink_);
  }

  void LookAgainAndAgain() {
    while (true) {
      {
        MutexLock lock(&mutex_);
        if (!stop_) stopped_.WaitFor(&mutex_, options_.look_every);
        if (stop_) return;
      }
      Look();
    }
  }

  const LogSetOptions options_;
  const NewReader new_reader_;
  const Clock* const clock_;
  const Follower::Sink sink_;

  mutable Mutex mutex_;
  CondVar stopped_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, SourceState> known_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::unique_ptr<Follower>> followers_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace

std::unique_ptr<LogReader> RestoredReader(
    const std::string& source, SourceState* state,
    const std::function<std::unique_ptr<LogReader>()>& new_reader) {
  std::unique_ptr<LogReader> reader = new_reader();
  absl::Status restored = reader->Restore(state->open, state->position.reader);
  if (restored.ok()) return reader;
  spdlog::warn("{}: {}; continuing with the open messages only", source, restored);
  reader = new_reader();
  reader->Restore(std::move(state->open), "").IgnoreError();  // nothing that can be unreadable
  return reader;
}

std::unique_ptr<LogSet> LogSet::Start(LogSetOptions options,
                                      std::map<std::string, SourceState> known,
                                      NewReader new_reader, const Clock* clock,
                                      Follower::Sink sink) {
  return std::make_unique<GlobSet>(std::move(options), std::move(known), std::move(new_reader),
                                   clock, std::move(sink));
}

}  // namespace deferd
