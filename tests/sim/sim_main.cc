// deferd-sim: runs stories, each of one seed, and shows the shortest form of one that fails.
//
//   deferd_sim [--first N] [--seeds N] [--minutes M] [--jobs J] [--nodes N] [--found DIR]
//   deferd_sim --replay FILE_OR_FOLDER...
//
// Exit 0: every promise was kept; 1: a story failed; it is printed and, with --found, stored there.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "spdlog/spdlog.h"
#include "tests/sim/shrink.h"
#include "tests/sim/story.h"
#include "tests/sim/world.h"

namespace deferd::sim {
namespace {

struct Flags {
  uint64_t first = 1;
  uint64_t seeds = 1'000;
  double minutes = 60;
  int jobs = 1;
  int nodes = 0;
  std::string found;
  bool whole = false;  // print the failing story as it was drawn
};

// Files in memory, where the system has a place for them.
std::string Folder(int job) {
  const char* tmp = std::getenv("TMPDIR");
  const std::string base = access("/dev/shm", W_OK) == 0 ? "/dev/shm"
                           : tmp != nullptr              ? tmp
                                                         : "/tmp";
  return absl::StrCat(base, "/deferd-sim-", getpid(), "-", job);
}

void Report(const Story& story, const Outcome& outcome) {
  std::cout << "# " << outcome.wrong << "\n# after step " << outcome.step << " of "
            << story.steps.size() << "\n"
            << StoryText(story) << std::flush;
}

// What is wrong without its numbers: a shorter story is to fail in the same way.
std::string KindOf(const std::string& wrong) {
  std::string kind;
  for (const char c : wrong) {
    if (c < '0' || c > '9') kind.push_back(c);
  }
  return kind;
}

int RunSeed(uint64_t seed, const Flags& flags, const std::string& folder) {
  const Story story = MakeStory(seed, {.nodes = flags.nodes});
  const Outcome outcome = Run(story, folder);
  if (outcome.ok()) return 0;
  std::cout << "seed " << seed << " failed: " << outcome.wrong << "\n";
  Story shortest = story;
  if (!flags.whole) {
    shortest = Shrunk(story, [&](const Story& one) {
      return KindOf(Run(one, folder).wrong) == KindOf(outcome.wrong);
    });
  }
  const Outcome again = Run(shortest, folder);
  Report(shortest, again);
  if (!flags.found.empty()) {
    std::filesystem::create_directories(flags.found);
    std::ofstream(absl::StrCat(flags.found, "/seed_", seed, ".story"))
        << "# " << again.wrong << "\n"
        << StoryText(shortest);
  }
  return 1;
}

// Every `jobs`-th seed, until one fails or the time is over.
int RunJob(int job, const Flags& flags) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(flags.minutes * 60);
  uint64_t done = 0;
  for (uint64_t i = static_cast<uint64_t>(job); i < flags.seeds;
       i += static_cast<uint64_t>(flags.jobs)) {
    if (std::chrono::steady_clock::now() > end) break;
    if (RunSeed(flags.first + i, flags, Folder(job)) != 0) return 1;
    ++done;
  }
  std::cout << absl::StrCat(done, " stories kept every promise\n") << std::flush;
  return 0;
}

int RunAll(const Flags& flags) {
  if (flags.jobs == 1) return RunJob(0, flags);
  for (int job = 0; job < flags.jobs; ++job) {
    if (fork() == 0) {
      const int result = RunJob(job, flags);
      std::cout.flush();
      _exit(result);
    }
  }
  int failed = 0;
  int status = 0;
  while (wait(&status) > 0) failed = failed != 0 || status != 0 ? 1 : 0;
  return failed;
}

// Files, or folders of them.
int Replay(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path))
      files.push_back(path);
    else
      for (const auto& entry : std::filesystem::directory_iterator(path))
        files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  int failed = 0;
  for (const std::string& file : files) {
    std::ifstream in(file);
    const std::string text(std::istreambuf_iterator<char>(in), {});
    absl::StatusOr<Story> story = ParseStory(text);
    if (!in || !story.ok()) {
      std::cerr << file << ": " << (in ? story.status().message() : "cannot be read") << "\n";
      return 2;
    }
    const Outcome outcome = Run(*story, Folder(0));
    std::cout << file << ": " << (outcome.ok() ? "ok" : outcome.wrong) << "\n";
    if (!outcome.ok()) failed = 1;
  }
  return failed;
}

int Main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::off);
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--replay") return Replay({argv + i + 1, argv + argc});
    if (flag == "--whole") {
      flags.whole = true;
      continue;
    }
    const std::string value = ++i < argc ? argv[i] : "";
    bool known = true;
    if (flag == "--first")
      known = absl::SimpleAtoi(value, &flags.first);
    else if (flag == "--seeds")
      known = absl::SimpleAtoi(value, &flags.seeds);
    else if (flag == "--minutes")
      known = absl::SimpleAtod(value, &flags.minutes);
    else if (flag == "--jobs")
      known = absl::SimpleAtoi(value, &flags.jobs) && flags.jobs > 0;
    else if (flag == "--nodes")
      known = absl::SimpleAtoi(value, &flags.nodes);
    else if (flag == "--found")
      flags.found = value;
    else
      known = false;
    if (!known) {
      std::cerr << "usage: deferd_sim [--first N] [--seeds N] [--minutes M] [--jobs J] [--nodes N] "
                   "[--found DIR] [--whole] | --replay FILE...\n";
      return 2;
    }
  }
  return RunAll(flags);
}

}  // namespace
}  // namespace deferd::sim

int main(int argc, char** argv) { return deferd::sim::Main(argc, argv); }
