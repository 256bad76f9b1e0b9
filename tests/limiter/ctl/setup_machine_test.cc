// How setup changes files: all or none, wherever it fails or is killed.

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/ctl/setup_journal.h"
#include "limiter/ctl/setup_machine.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SetupFiles : public testing::Test {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(testing::TempDir(), "/setup_files.", getpid());
    std::filesystem::create_directories(root_);
    Put("main", "old main\n");
    Put("acl", "old acl \xff\n");
    Put("gone", "goes\n");
    // A file whose folder is the server's, behind a link.
    std::filesystem::create_directory(root_ + "/real");
    Put("real/linked", "old linked\n");
    std::filesystem::create_symlink("real/linked", root_ + "/linked");
    ASSERT_EQ(chmod((root_ + "/acl").c_str(), 0640), 0);
    plan_.Edit(root_ + "/main")->after = "new main\n";
    plan_.Edit(root_ + "/acl")->after = "new acl\n";
    plan_.Edit(root_ + "/gone")->after = std::nullopt;
    plan_.Edit(root_ + "/made")->after = "made\n";
    plan_.Edit(root_ + "/linked")->after = "new linked\n";
    plan_.Edit(root_ + "/untouched");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Put(const std::string& name, const std::string& text) {
    std::ofstream(root_ + "/" + name, std::ios::binary) << text;
  }
  // Whether all files are as before, and none lies beside them.
  void ExpectOld() {
    EXPECT_EQ(FileText(root_ + "/main"), "old main\n");
    EXPECT_EQ(FileText(root_ + "/acl"), "old acl \xff\n");
    EXPECT_EQ(FileText(root_ + "/gone"), "goes\n");
    EXPECT_EQ(FileText(root_ + "/made"), std::nullopt);
    EXPECT_EQ(FileText(root_ + "/real/linked"), "old linked\n");
    EXPECT_THAT(FilesLike(root_ + "/*.deferd-new"), IsEmpty());
    EXPECT_THAT(FilesLike(root_ + "/real/*.deferd-new"), IsEmpty());
  }

  std::string root_;
  SetupPlan plan_;
  SetupMachine machine_;
};

TEST_F(SetupFiles, AreWrittenWithTheirModeAndThroughLinks) {
  ASSERT_THAT(machine_.Write(plan_), IsOk());
  EXPECT_EQ(FileText(root_ + "/main"), "new main\n");
  EXPECT_EQ(FileText(root_ + "/gone"), std::nullopt);
  EXPECT_EQ(FileText(root_ + "/made"), "made\n");
  EXPECT_EQ(FileText(root_ + "/real/linked"), "new linked\n");
  EXPECT_TRUE(std::filesystem::is_symlink(root_ + "/linked"));
  EXPECT_EQ(static_cast<int>(std::filesystem::status(root_ + "/acl").permissions()), 0640);
  std::vector<std::string> edited;
  ASSERT_THAT(machine_.WriteBack(plan_, &edited), IsOk());
  EXPECT_THAT(edited, IsEmpty());
  ExpectOld();
}

// As on a full disk: a file cannot be written whole.
TEST_F(SetupFiles, NoneIsChangedWhereOneCannotBeWritten) {
  plan_.Edit(root_ + "/linked")->after = std::string(100'000, 'x');
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit little = {.rlim_cur = 50'000, .rlim_max = before.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &little), 0);
  const absl::Status written = machine_.Write(plan_);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_THAT(written, StatusIs(absl::StatusCode::kFailedPrecondition,
                                HasSubstr("real/linked: cannot be written: ")));
  ExpectOld();
}

TEST_F(SetupFiles, ThoseOfAFolderThatIsNotThereAreNamed) {
  plan_.Edit(root_ + "/none/file")->after = "x\n";
  EXPECT_THAT(machine_.Write(plan_), StatusIs(absl::StatusCode::kFailedPrecondition,
                                              HasSubstr("none/file: cannot be written: ")));
  ExpectOld();
}

TEST_F(SetupFiles, WhatSomebodyChangedMeanwhileIsNotOverwritten) {
  Put("acl", "somebody's\n");
  EXPECT_THAT(machine_.Write(plan_), StatusIs(absl::StatusCode::kAborted, HasSubstr("/acl: ")));
  EXPECT_EQ(FileText(root_ + "/acl"), "somebody's\n");
  Put("acl", "old acl \xff\n");
  ExpectOld();
}

// A link where the new text is staged would lead a write by root elsewhere.
TEST_F(SetupFiles, AreNotStagedThroughALink) {
  Put("victim", "precious\n");
  std::filesystem::create_symlink(root_ + "/victim", root_ + "/main.deferd-new");
  ASSERT_THAT(machine_.Write(plan_), IsOk());
  EXPECT_EQ(FileText(root_ + "/victim"), "precious\n");
  EXPECT_EQ(FileText(root_ + "/main"), "new main\n");
  EXPECT_FALSE(std::filesystem::is_symlink(root_ + "/main"));
}

// Whatever had been written when a run was killed, the next one has all files as they were.
TEST_F(SetupFiles, ARunThatWasKilledIsTakenBackFromEveryState) {
  SetupPlan changed;
  for (const FileEdit& edit : plan_.edits) {
    if (edit.changes()) changed.edits.push_back(edit);
  }
  for (size_t written = 0; written <= changed.edits.size(); ++written) {
    SCOPED_TRACE(written);
    {
      SetupJournal killed(root_ + "/journal");
      ASSERT_THAT(killed.Lock(), IsOk());
      ASSERT_THAT(killed.Begin({"exim", "/etc/exim.conf", plan_}), IsOk());
      SetupPlan some;
      some.edits.assign(changed.edits.begin(),
                        changed.edits.begin() + static_cast<int64_t>(written));
      ASSERT_THAT(machine_.Write(some), IsOk());
      Put("main.deferd-new", "half wri");
    }
    SetupJournal next(root_ + "/journal");
    ASSERT_THAT(next.Lock(), IsOk());
    const auto begun = next.Interrupted();
    ASSERT_THAT(begun, IsOk());
    ASSERT_TRUE(begun->has_value());
    EXPECT_EQ((*begun)->mta, "exim");
    EXPECT_EQ((*begun)->mta_config, "/etc/exim.conf");
    std::vector<std::string> edited;
    ASSERT_THAT(machine_.WriteBack((*begun)->plan, &edited), IsOk());
    EXPECT_THAT(edited, IsEmpty());
    ExpectOld();
    ASSERT_THAT(next.End(), IsOk());
    EXPECT_FALSE(next.Interrupted()->has_value());
  }
}

TEST_F(SetupFiles, WhatAPersonEditedSinceAKilledRunStays) {
  ASSERT_THAT(machine_.Write(plan_), IsOk());
  Put("main", "mended by hand\n");
  std::vector<std::string> edited;
  ASSERT_THAT(machine_.WriteBack(plan_, &edited), IsOk());
  EXPECT_THAT(edited, ElementsAre(root_ + "/main"));
  EXPECT_EQ(FileText(root_ + "/main"), "mended by hand\n");
  Put("main", "old main\n");
  ExpectOld();
}

TEST_F(SetupFiles, AJournalThatIsDamagedIsNotGuessedAt) {
  SetupJournal journal(root_ + "/journal");
  ASSERT_THAT(journal.Lock(), IsOk());
  ASSERT_THAT(journal.Begin({"exim", "", plan_}), IsOk());
  const std::string text = *FileText(root_ + "/journal/journal");
  for (size_t size = 0; size < text.size(); ++size) {
    Put("journal/journal", text.substr(0, size));
    EXPECT_THAT(journal.Interrupted(),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("cannot be read")))
        << size;
  }
}

TEST_F(SetupFiles, OneRunAtATimeAndNobodyElsesFolder) {
  SetupJournal one(root_ + "/journal");
  ASSERT_THAT(one.Lock(), IsOk());
  SetupJournal other(root_ + "/journal");
  EXPECT_THAT(other.Lock(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("another")));
  ASSERT_EQ(chmod((root_ + "/journal").c_str(), 0755), 0);
  SetupJournal third(root_ + "/journal");
  EXPECT_THAT(third.Lock(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("mode 0700")));
}

}  // namespace
}  // namespace deferd
