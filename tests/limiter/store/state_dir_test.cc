#include "limiter/store/state_dir.h"

#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

std::string FreshPath(const std::string& name) {
  std::string path = absl::StrCat(testing::TempDir(), "/deferd-state-", getpid(), "-", name);
  return path;
}

TEST(StateDir, NamesTheNodeOnceAndCountsStarts) {
  const std::string path = FreshPath("node");
  std::string node;
  {
    absl::StatusOr<StateDir> first = StateDir::Open(path);
    ASSERT_THAT(first, IsOk());
    node = first->node();
    EXPECT_EQ(node.size(), 8u);
    EXPECT_EQ(first->incarnation(), 1);
  }
  {
    absl::StatusOr<StateDir> named = StateDir::Open(path, "mx1");
    ASSERT_THAT(named, IsOk());
    EXPECT_EQ(named->node(), "22c46143");
  }
  absl::StatusOr<StateDir> second = StateDir::Open(path);
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(second->node(), node);
  EXPECT_EQ(second->incarnation(), 3);
}

TEST(StateDir, ASecondOneNamesTheFirst) {
  const std::string path = FreshPath("lock");
  absl::StatusOr<StateDir> first = StateDir::Open(path);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(StateDir::Open(path), StatusIs(absl::StatusCode::kAlreadyExists,
                                             HasSubstr(absl::StrCat("pid ", getpid()))));
}

TEST(StateDir, DamagedFilesAreNamedNotGuessed) {
  const std::string path = FreshPath("damaged");
  ASSERT_THAT(StateDir::Open(path), IsOk());
  std::ofstream(path + "/incarnation") << "many\n";
  EXPECT_THAT(StateDir::Open(path),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path + "/incarnation")));
  std::ofstream(path + "/node") << "NOT A NODE\n";
  EXPECT_THAT(StateDir::Open(path),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path + "/node")));
}

TEST(StateDir, RootIsToldWhoseDirectoryItIs) {
  const std::string path = FreshPath("owner");
  EXPECT_EQ(TroubleAsRoot(path, "no-such-user"), "");
  EXPECT_THAT(TroubleAsRoot(path, "daemon"), HasSubstr("chown -R daemon: " + path))
      << "it would make the directory";
  ASSERT_THAT(StateDir::Open(path), IsOk());
  if (geteuid() == 0) {
    EXPECT_EQ(TroubleAsRoot(path, "no-such-user"), "");
    ASSERT_EQ(chown(path.c_str(), 65000, 65000), 0);
  }
  EXPECT_THAT(TroubleAsRoot(path, "no-such-user"),
              testing::AllOf(HasSubstr("deferd runs as root"), HasSubstr("chown -R "),
                             HasSubstr(geteuid() == 0 ? "runuser -u 65000" : "runuser -u ")));
}

TEST(StateDir, AMissingParentIsSaid) {
  EXPECT_THAT(StateDir::Open("/nowhere/at/all"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("/nowhere/at/all")));
}

}  // namespace
}  // namespace deferd
