// How fast a whole main log is counted, beside its floor in the same run.
//
// The floor reads the same file and does the least that counting takes: finds lines and flags,
// keeps a table from message id to sender's domain, and adds up three numbers a domain. It neither
// checks what it reads nor counts once. Both run on one core, in turns; medians of the CPU times
// are printed, as MB/s, with their ratio; and beside `replay`, `policy diff` of two policies, which
// reads once and counts twice. `replay_bench [LINES]`, a million by default.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "limiter/ctl/policy_diff.h"
#include "limiter/ctl/replay.h"
#include "policy/policy_file.h"

namespace deferd {
namespace {

double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return t.tv_sec + t.tv_usec / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string Base62(uint64_t number, int width) {
  static constexpr char kDigits[] =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string text(width, '0');
  for (int i = width - 1; i >= 0; --i, number /= 62) text[i] = kDigits[number % 62];
  return text;
}

// A day of yesterday's mail of 10,000 domains, a few of which send most; 10 % of it goes wrong.
void WriteLog(const std::string& path, int lines) {
  std::ofstream out(path);
  std::mt19937 random(1);
  std::exponential_distribution<double> skew(0.002);
  const absl::Time begin = absl::Now() - absl::Hours(25);
  for (int i = 0, written = 0; written < lines; ++i) {
    const absl::Time time = begin + absl::Hours(24) * written / lines;
    const std::string head = absl::StrCat(
        absl::FormatTime("%Y-%m-%d %H:%M:%S ", time, absl::LocalTimeZone()),
        Base62(absl::ToUnixSeconds(time), 6), "-", Base62(i, 6), "-", Base62(i % 999, 2));
    const std::string login = absl::StrCat("user", random() % 5, "@dom",
                                           static_cast<int>(skew(random)) % 10'000, ".example");
    const std::string to = absl::StrCat("rcpt", i, "@dest", i % 5'000, ".example");
    out << head << " <= " << login << " H=pc" << i % 999
        << ".isp.example (client.example) [203.0.113." << i % 250 << "]:" << 40'000 + i % 20'000
        << " P=esmtpsa X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=no A=dovecot_login:" << login
        << " S=" << 1'000 + i % 90'000 << " id=" << i << "@pc.isp.example\n";
    const std::string host = absl::StrCat("R=dnslookup T=remote_smtp");
    const std::string mx =
        absl::StrCat("H=mx1.dest", i % 5'000, ".example [198.51.100.", i % 250, "]");
    const unsigned fate = random() % 100;
    if (fate < 90) {
      out << head << " => " << to << " " << host << " " << mx
          << " X=TLS1.3:TLS_AES_256_GCM_SHA384:256 CV=yes C=\"250 2.0.0 Ok: queued as " << i
          << "\"\n";
    } else if (fate < 96) {
      out << head << " == " << to << " " << host << " defer (-44) " << mx
          << ": SMTP error from remote mail server after RCPT TO:<" << to
          << ">: 451 4.7.1 Greylisted, please try again in 300 seconds\n";
      written += 2;
      continue;
    } else {
      out << head << " ** " << to << " " << host << " " << mx
          << ": SMTP error from remote mail server after RCPT TO:<" << to
          << ">: 550 5.1.1 User unknown\n";
    }
    out << head << " Completed\n";
    written += 3;
  }
}

// The least work that could give the same table.
int64_t Floor(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY);
  std::vector<char> buffer(256 << 10);
  absl::flat_hash_map<std::string, std::string> open_messages;
  struct Three {
    int64_t delivered = 0, deferred = 0, failed = 0;
  };
  absl::flat_hash_map<std::string, Three> domains;
  auto on_line = [&](absl::string_view line) {
    if (line.size() < 42) return;
    const absl::string_view id = line.substr(20, 16);
    const absl::string_view flag = line.substr(37, 2);
    if (flag == "<=") {
      const absl::string_view sender = line.substr(40, line.find(' ', 40) - 40);
      open_messages[id] = std::string(sender.substr(sender.rfind('@') + 1));
    } else if (flag == "=>" || flag == "->" || flag == "==" || flag == "**") {
      auto it = open_messages.find(id);
      if (it == open_messages.end()) return;
      Three& three = domains[it->second];
      ++(flag == "==" ? three.deferred : flag == "**" ? three.failed : three.delivered);
    } else if (flag == "Co") {
      open_messages.erase(id);
    }
  };
  size_t kept = 0;
  while (true) {
    const ssize_t n = read(fd, buffer.data() + kept, buffer.size() - kept);
    if (n <= 0) break;
    const char* at = buffer.data();
    const char* end = at + kept + n;
    while (const void* newline = std::memchr(at, '\n', end - at)) {
      on_line({at, static_cast<size_t>(static_cast<const char*>(newline) - at)});
      at = static_cast<const char*>(newline) + 1;
    }
    kept = end - at;
    std::memmove(buffer.data(), at, kept);
  }
  close(fd);
  int64_t total = 0;
  for (const auto& [domain, three] : domains)
    total += three.delivered + three.deferred + three.failed;
  return total;
}

int64_t Counted(const std::string& path) {
  ReplayOptions options;
  options.paths = {path};
  options.policy = std::make_shared<Policy>(BuiltInPolicy());
  absl::StatusOr<Json> result = Replay(options);
  return result.ok() ? (*result)["attempts"].get<int64_t>() : -1;
}

// The same through two policies.
int64_t CountedTwice(const std::string& path) {
  ReplayOptions options;
  options.paths = {path};
  options.policy = std::make_shared<Policy>(BuiltInPolicy());
  Policy other = BuiltInPolicy();
  for (Rule& rule : other.rules) rule.min_bad *= 2;
  absl::StatusOr<Json> result = DiffPolicies(options, std::make_shared<Policy>(std::move(other)));
  return result.ok() ? (*result)["attempts"].get<int64_t>() : -1;
}

int Main(int argc, char** argv) {
  const int lines = argc > 1 ? std::atoi(argv[1]) : 1'000'000;
  std::string folder = "/tmp/deferd-bench-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return 1;
  const std::string path = folder + "/mainlog";
  WriteLog(path, lines);
  std::ifstream in(path, std::ios::ate | std::ios::binary);
  const double megabytes = static_cast<double>(in.tellg()) / 1e6;

  std::vector<double> floor_seconds, replay_seconds, diff_seconds;
  bool agree = true;
  for (int round = 0; round < 5; ++round) {
    double begin = CpuSeconds();
    const int64_t floor_total = Floor(path);
    floor_seconds.push_back(CpuSeconds() - begin);
    begin = CpuSeconds();
    const int64_t replay_total = Counted(path);
    replay_seconds.push_back(CpuSeconds() - begin);
    begin = CpuSeconds();
    const int64_t diff_total = CountedTwice(path);
    diff_seconds.push_back(CpuSeconds() - begin);
    agree = agree && floor_total == replay_total && diff_total == replay_total;
  }
  std::remove(path.c_str());
  rmdir(folder.c_str());
  auto median = [](std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  const double floor = median(floor_seconds);
  const double replay = median(replay_seconds);
  const double diff = median(diff_seconds);
  std::printf("log: %d lines, %.0f MB; attempts agree: %s\n", lines, megabytes,
              agree ? "yes" : "NO");
  std::printf("%-28s %8s %12s\n", "", "MB/s", "ns per line");
  std::printf("%-28s %8.0f %12.0f\n", "floor: scan with id table", megabytes / floor,
              floor / lines * 1e9);
  std::printf("%-28s %8.0f %12.0f\n", "deferctl replay", megabytes / replay, replay / lines * 1e9);
  std::printf("%-28s %8.0f %12.0f\n", "deferctl policy diff", megabytes / diff, diff / lines * 1e9);
  std::printf("two policies cost %.2f times one\n", diff / replay);
  std::printf("ratio to the floor: %.2f (CPU time, median of 5 in turns)\n", floor / replay);
  return agree ? 0 : 1;
}

}  // namespace
}  // namespace deferd

int main(int argc, char** argv) { return deferd::Main(argc, argv); }
