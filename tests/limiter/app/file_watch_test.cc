#include "limiter/app/file_watch.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

class FileWatchTest : public testing::Test {
 protected:
  FileWatchTest() {
    folder_ = absl::StrCat(testing::TempDir(), "/file_watch.", getpid());
    std::filesystem::create_directories(folder_);
    Write("a", "one\n");
    Write("b", "two\n");
    watch_.Watch({Path("a"), Path("b"), Path("c")});
  }
  ~FileWatchTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name)) << text;
  }

  std::string folder_;
  FileWatch watch_;
};

TEST_F(FileWatchTest, QuietFilesHaveNotChanged) {
  EXPECT_FALSE(watch_.Changed());
  EXPECT_FALSE(watch_.Changed());
}

TEST_F(FileWatchTest, AChangeIsReportedOnceItHasSettled) {
  Write("a", "one more\n");
  EXPECT_FALSE(watch_.Changed()) << "somebody may be writing still";
  Write("a", "one more, and more\n");
  EXPECT_FALSE(watch_.Changed());
  EXPECT_TRUE(watch_.Changed());
  EXPECT_FALSE(watch_.Changed()) << "it is known now";
}

TEST_F(FileWatchTest, ReplacedMissingAndNewFilesAreChanges) {
  Write("new", "two\n");
  std::filesystem::rename(Path("new"), Path("b"));
  EXPECT_FALSE(watch_.Changed());
  EXPECT_TRUE(watch_.Changed());
  std::filesystem::remove(Path("a"));
  EXPECT_FALSE(watch_.Changed());
  EXPECT_TRUE(watch_.Changed());
  Write("c", "");
  EXPECT_FALSE(watch_.Changed());
  EXPECT_TRUE(watch_.Changed());
}

}  // namespace
}  // namespace deferd
