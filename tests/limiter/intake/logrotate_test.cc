// The real logrotate, with a configuration and a state file of its own.

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/limiter/intake/log_station.h"

namespace deferd {
namespace {

struct Way {
  const char* name;
  const char* config;
};

class LogrotateTest : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    // Not in the log's folder: the folder's own files are nobody's business.
    folder_ = testing::TempDir() + "/logrotate_XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
    std::ofstream(folder_ + "/config") << log_.Path() << " {\n  rotate 9\n  missingok\n  su "
                                       << getuid() << " " << getgid() << "\n"
                                       << GetParam().config << "}\n";
    std::filesystem::permissions(folder_ + "/config", std::filesystem::perms(0600));
    std::filesystem::permissions(log_.Path(""), std::filesystem::perms(0700));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Logrotate() {
    const std::string state = folder_ + "/state";
    const std::string config = folder_ + "/config";
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      execl("/usr/sbin/logrotate", "logrotate", "--force", "--state", state.c_str(), config.c_str(),
            nullptr);
      _exit(127);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "logrotate: " << status;
  }

  LogStation log_;
  std::string folder_;
};

TEST_P(LogrotateTest, WhileFollowing) {
  log_.Append(LogStation::Line(1));
  log_.Start();
  for (int n = 1; n <= 4; ++n) {
    ASSERT_TRUE(log_.BecomesSeen(static_cast<size_t>(n)));
    Logrotate();
    log_.Append(LogStation::Line(n + 1));
  }
  ASSERT_TRUE(log_.BecomesSeen(5));
  log_.Kill();
  EXPECT_EQ(log_.SortedNumbers(), LogStation::Range(1, 5));
  EXPECT_EQ(log_.gaps(), 0);
  log_.RunToEnd();
  EXPECT_EQ(log_.SortedNumbers(), LogStation::Range(1, 5));
}

TEST_P(LogrotateTest, WhileStopped) {
  log_.Append(LogStation::Line(1));
  log_.RunToEnd();
  log_.Append(LogStation::Line(2));
  for (int n = 3; n <= 12; n += 3) {
    Logrotate();
    log_.Append(LogStation::Line(n));
    Logrotate();
    log_.Append(LogStation::Line(n + 1));
    log_.RunToEnd();
    log_.Append(LogStation::Line(n + 2));
  }
  log_.RunToEnd();
  EXPECT_EQ(log_.numbers(), LogStation::Range(1, 14));
  EXPECT_EQ(log_.gaps(), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Ways, LogrotateTest,
    testing::Values(Way{"Create", "  create\n"}, Way{"CreateCompress", "  create\n  compress\n"},
                    Way{"CreateDelayCompress", "  create\n  compress\n  delaycompress\n"},
                    Way{"Nocreate", "  nocreate\n"}, Way{"Copytruncate", "  copytruncate\n"},
                    Way{"CopytruncateCompress", "  copytruncate\n  compress\n"}),
    [](const auto& way) { return std::string(way.param.name); });

}  // namespace
}  // namespace deferd
