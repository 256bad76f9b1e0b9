#include "limiter/port/replace_file.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"

namespace deferd {
namespace {

class ReplaceFileTest : public testing::Test {
 protected:
  ReplaceFileTest() {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
  }
  ~ReplaceFileTest() override { std::filesystem::remove_all(folder_); }

  static std::string TextOf(const std::string& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  const std::string folder_ = testing::TempDir() + "/replace_file_test";
  const std::string path_ = folder_ + "/file";
};

TEST_F(ReplaceFileTest, ReplacesTheWholeFileAndLeavesNothingBeside) {
  const std::string large(300'000, 'x');
  for (const std::string& text : {std::string("first"), large, std::string()}) {
    EXPECT_FALSE(ReplaceFile(path_, text, 0600).has_value());
    EXPECT_EQ(TextOf(path_), text);
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(ReplaceFileTest, NamesWhatFailedAndWhy) {
  const auto absent = ReplaceFile(folder_ + "/absent/file", "x", 0600);
  ASSERT_TRUE(absent.has_value());
  EXPECT_EQ(errno, ENOENT);
  EXPECT_EQ(absent->path, folder_ + "/absent/file.new");
  EXPECT_STREQ(absent->what, "write");

  std::filesystem::create_directory(path_);
  const auto folder = ReplaceFile(path_, "x", 0600);
  ASSERT_TRUE(folder.has_value());
  EXPECT_EQ(errno, EISDIR);
  EXPECT_EQ(folder->path, path_);
  EXPECT_STREQ(folder->what, "rename");
}

// A limit cuts a write short, as a full disk does.
TEST_F(ReplaceFileTest, KeepsTheOldFileWhereTheNewOneHasNoRoom) {
  ASSERT_FALSE(ReplaceFile(path_, "old", 0600).has_value());
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit narrow = {1'000, before.rlim_max};
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &narrow), 0);
  const auto failure = ReplaceFile(path_, std::string(5'000, 'n'), 0600);
  const int error = errno;
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(error, EFBIG);
  EXPECT_STREQ(failure->what, "write");
  EXPECT_EQ(TextOf(path_), "old");
}

}  // namespace
}  // namespace deferd
