#include "limiter/port/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "limiter/port/clock.h"
#include "policy/text.h"

namespace deferd {

namespace {

constexpr off_t kMaxOutput = 64 << 20;
constexpr size_t kMaxError = 300;
constexpr size_t kMaxRunning = 8;

// A memory file that holds `text`, positioned at its beginning; -1 if out of memory.
int MemoryFile(absl::string_view text) {
  const int fd = memfd_create("deferd", MFD_CLOEXEC);
  if (fd < 0) return -1;
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      close(fd);
      return -1;
    }
    text.remove_prefix(static_cast<size_t>(n));
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

std::string ReadAll(int fd, size_t most) {
  std::string text;
  char buffer[64 << 10];
  off_t at = 0;
  while (text.size() < most) {
    const ssize_t n = pread(fd, buffer, std::min(sizeof(buffer), most - text.size()), at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
    at += n;
  }
  return text;
}

// In a process group of its own, so that its children can be killed too.
absl::StatusOr<pid_t> Spawn(const std::vector<std::string>& argv, int in, int out, int error) {
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
  char locale[] = "LC_ALL=C";
  char zone[] = "TZ=UTC";
  char* environment[] = {path, locale, zone, nullptr};
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, error, STDERR_FILENO);
  // Also those that this process inherited itself.
  posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, usual;
  sigemptyset(&none);
  sigfillset(&usual);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &usual);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int failed =
      posix_spawn(&pid, argv[0].c_str(), &files, &attributes, words.data(), environment);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (failed == 0) return pid;
  return absl::UnavailableError(absl::StrCat(argv[0], ": ", std::strerror(failed)));
}

constexpr int kLookMilliseconds = 100;  // at the size of the output

off_t SizeOf(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 ? info.st_size : 0;
}

// Whether the program has ended within `limit`, and before its output was too large; does not reap
// it. `out`: -1 if the output is discarded.
bool EndsWithin(pid_t pid, absl::Duration limit, int out) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return false;
  absl::Cleanup close_fd = [fd] { close(fd); };
  const absl::Duration end = SystemClock().Elapsed() + limit;
  while (true) {
    const int64_t left = absl::ToInt64Milliseconds(end - SystemClock().Elapsed());
    pollfd ended = {fd, POLLIN, 0};
    const int64_t longest = out >= 0 ? kLookMilliseconds : 60'000;
    const int found = poll(&ended, 1, static_cast<int>(std::clamp<int64_t>(left, 0, longest)));
    if (found > 0) return true;
    if (found == 0 && left <= longest) return false;
    if (found < 0 && errno != EINTR) return false;
    if (out >= 0 && SizeOf(out) > kMaxOutput) return false;
  }
}

int WaitFor(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

absl::StatusOr<Commands::Ended> Commands::RunAnyhow(const std::vector<std::string>& argv,
                                                    absl::string_view input, absl::Duration limit) {
  const int in = MemoryFile(input), out = MemoryFile(""), error = MemoryFile("");
  absl::Cleanup close_all = [&] {
    for (int fd : {in, out, error}) {
      if (fd >= 0) close(fd);
    }
  };
  if (in < 0 || out < 0 || error < 0) return absl::UnavailableError("out of memory for a command");
  absl::StatusOr<pid_t> pid = Spawn(argv, in, out, error);
  if (!pid.ok()) return pid.status();
  const bool ended = EndsWithin(*pid, limit, out);
  if (!ended) kill(-*pid, SIGKILL);
  const int status = WaitFor(*pid);
  if (SizeOf(out) > kMaxOutput) {
    return absl::ResourceExhaustedError(absl::StrCat(argv[0], ": wrote more than 64 MiB"));
  }
  if (!ended) {
    return absl::DeadlineExceededError(
        absl::StrCat(argv[0], ": did not finish within ", absl::FormatDuration(limit)));
  }
  return Ended{.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
               .output = ReadAll(out, kMaxOutput),
               .error = ReadAll(error, kMaxError)};
}

absl::StatusOr<std::string> Commands::Run(const std::vector<std::string>& argv,
                                          absl::string_view input, absl::Duration limit) {
  absl::StatusOr<Ended> ended = RunAnyhow(argv, input, limit);
  if (!ended.ok()) return ended.status();
  if (ended->ok()) return std::move(ended->output);
  const std::string& text = ended->error.empty() ? ended->output : ended->error;
  const std::string said = PrintableUtf8(text.substr(0, std::min(kMaxError, text.find('\n'))));
  return absl::UnavailableError(
      absl::StrCat(argv[0], ": ",
                   ended->status < 128 ? absl::StrCat("ended with status ", ended->status)
                                       : absl::StrCat("ended by signal ", ended->status - 128),
                   said.empty() ? "" : ": ", said));
}

absl::Status Commands::Start(const std::vector<std::string>& argv) {
  if (running_->load() >= kMaxRunning) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMaxRunning, " commands are already running; try again in a moment"));
  }
  const int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nothing < 0) return absl::UnavailableError(absl::StrCat("/dev/null: ", strerror(errno)));
  absl::StatusOr<pid_t> pid = Spawn(argv, nothing, nothing, nothing);
  close(nothing);
  if (!pid.ok()) return pid.status();
  running_->fetch_add(1);
  const auto wait = [pid = *pid, running = running_] {
    if (!EndsWithin(pid, kLongest, /*out=*/-1)) kill(-pid, SIGTERM);
    WaitFor(pid);
    running->fetch_sub(1);
  };
  try {
    std::thread(wait).detach();
  } catch (const std::system_error&) {
    wait();  // no thread available
  }
  return absl::OkStatus();
}

}  // namespace deferd
