#include "limiter/queue_helper/sender_table.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/queue_helper/queue_helper.h"
#include "tests/limiter/port/socket_client.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

constexpr absl::Time kNow = absl::FromUnixSeconds(1'900'000'000);
constexpr char kHead[] = "# Written by deferd-queue; see deploy/postfix/held.cf.\n";

// postmap(1) in small: hash:PATH, whose .db is a copy. Each making adds a line to `runs`; -s shows
// what is in it.
class SenderTableTest : public testing::Test {
 protected:
  SenderTableTest() {
    std::ofstream(Path("postmap")) << "#!/bin/sh\nif [ \"$1\" = -s ]; then [ -e " << Path("lossy")
                                   << " ] || grep -v '^#' \"${2#hash:}.db\"; exit 0; fi\necho >> "
                                   << Path("runs") << "\nfile=\"${1#hash:}\"\n[ ! -e "
                                   << Path("broken") << " ] && cat \"$file\" > \"$file.db\"\n";
  }
  std::string Path(const std::string& name) const { return folder_.File(name); }
  std::string Read(const std::string& name) const {
    std::stringstream text;
    text << std::ifstream(Path(name)).rdbuf();
    return text.str();
  }

  TempFolder folder_;
  ManualClock clock_{kNow};
  SenderTable table_{{"/bin/sh", Path("postmap")}, Path("senders"), &clock_};
};

TEST_F(SenderTableTest, MakesOneWherePostfixWouldMissIt) {
  ASSERT_THAT(table_.Open(), IsOk());
  EXPECT_EQ(Read("senders.db"), kHead);
  ASSERT_THAT(table_.Set({{"@bad.example", "because"}}), IsOk());
  for (const char* how : {"gone", "empty"}) {
    std::filesystem::remove(Path("senders.db"));
    if (how == std::string("empty")) std::ofstream(Path("senders.db"));
    ASSERT_THAT(table_.Set({{"@bad.example", "because"}}), IsOk());
    EXPECT_THAT(Read("senders.db"), HasSubstr("@bad.example")) << how;
  }
  std::filesystem::remove(Path("senders.db"));
  clock_.Advance(absl::Seconds(10));
  ASSERT_THAT(table_.Tick(), IsOk());
  EXPECT_THAT(Read("senders.db"), HasSubstr("@bad.example")) << "deferd need not be there";
}

TEST_F(SenderTableTest, ACrashKeepsItUntilDeferdHasBeenSilentForLong) {
  ASSERT_THAT(table_.Set({{"@bad.example", "because"}}), IsOk());
  for (absl::Duration later : {absl::Seconds(1), absl::Minutes(9)}) {
    clock_.Set(kNow + later);
    SenderTable next({"/bin/sh", Path("postmap")}, Path("senders"), &clock_);
    ASSERT_THAT(next.Open(), IsOk());
    ASSERT_THAT(next.Tick(), IsOk());
    EXPECT_THAT(Read("senders.db"), HasSubstr("@bad.example")) << later;
  }
  // Crash after crash: nobody but deferd itself makes it trusted for longer.
  SenderTable last({"/bin/sh", Path("postmap")}, Path("senders"), &clock_);
  ASSERT_THAT(last.Open(), IsOk());
  clock_.Set(kNow + SenderTable::kTrusted);
  ASSERT_THAT(last.Tick(), IsOk());
  EXPECT_EQ(Read("senders.db"), kHead);
}

TEST_F(SenderTableTest, OneThatCannotBeReadBackTakesNobodysPlace) {
  ASSERT_THAT(table_.Set({{"@a.example", "because"}}), IsOk());
  std::ofstream(Path("lossy")) << "yes";
  EXPECT_THAT(table_.Set({{"@b.example", "why not"}}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("0 of 1 entries")));
  EXPECT_THAT(Read("senders.db"), EndsWith("@a.example deferd-held:because\n"));
}

TEST_F(SenderTableTest, HoldsALineForEachSenderAndIsWrittenWhenItChanges) {
  ASSERT_THAT(table_.Set({{"@b.example", "why not"}, {"web", "because"}}), IsOk());
  EXPECT_EQ(Read("senders.db"),
            absl::StrCat(kHead, "@b.example deferd-held:why not\n", "web deferd-held:because\n"));
  EXPECT_EQ(Read("senders"), Read("senders.db"));
  ASSERT_THAT(table_.Set({{"@b.example", "why not"}, {"web", "because"}}), IsOk());
  EXPECT_EQ(Read("runs"), "\n");
  ASSERT_THAT(table_.Set({}), IsOk());
  EXPECT_EQ(Read("senders.db"), kHead);
}

TEST_F(SenderTableTest, RefusesWhatIsNoKeyOrNoLine) {
  ASSERT_THAT(table_.Set({{"@a.example", "because"}}), IsOk());
  for (const char* key :
       {"", "*", "@", "@a.example b", "@a.example\n@b", "@A.example", "@@a.example", "Web", "we b",
        "web\n", "web@", "web@A.example", "w#b@a.example"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(table_.Set({{key, "because"}}))) << key;
  }
  for (const char* text : {"", "one\n@x.example discard:", "\xC3\xA4", "a\tb"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(table_.Set({{"@b.example", text}}))) << text;
  }
  EXPECT_THAT(Read("senders.db"), EndsWith("@a.example deferd-held:because\n"));
}

TEST_F(SenderTableTest, KeepsTheOldOneWherePostmapFailsAndTriesAgain) {
  ASSERT_THAT(table_.Set({{"@a.example", "because"}}), IsOk());
  std::ofstream(Path("broken")) << "yes";
  EXPECT_TRUE(absl::IsUnavailable(table_.Set({})));
  EXPECT_THAT(Read("senders.db"), EndsWith("@a.example deferd-held:because\n"));
  std::filesystem::remove(Path("broken"));
  clock_.Set(kNow + absl::Seconds(2));
  EXPECT_TRUE(absl::IsUnavailable(table_.Set({}))) << "not at every look";
  clock_.Set(kNow + SenderTable::kAgain);
  ASSERT_THAT(table_.Set({}), IsOk());
  EXPECT_EQ(Read("senders.db"), kHead);
}

// Whoever could write to the directory could have root write elsewhere, or Postfix read elsewhere.
TEST_F(SenderTableTest, ADirectoryOfOthersHoldsNoTable) {
  namespace fs = std::filesystem;
  const std::string shared = Path("shared");
  fs::create_directory(shared);
  for (const fs::perms open : {fs::perms::group_write, fs::perms::others_write}) {
    fs::permissions(shared, fs::perms::owner_all | open);
    SenderTable table({"/bin/sh", Path("postmap")}, shared + "/senders", &clock_);
    EXPECT_THAT(table.Set({{"@a.example", "because"}}),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("others can write")));
    EXPECT_FALSE(fs::exists(shared + "/senders.db"));
  }
  fs::permissions(shared, fs::perms::owner_all);
  fs::create_directory_symlink(shared, Path("link"));
  SenderTable linked({"/bin/sh", Path("postmap")}, Path("link/senders"), &clock_);
  EXPECT_FALSE(linked.Set({}).ok());
  EXPECT_FALSE(fs::exists(shared + "/senders.db"));
}

TEST_F(SenderTableTest, ALinkInTheDirectoryIsReplacedAndNeverFollowed) {
  namespace fs = std::filesystem;
  std::ofstream(Path("victim")) << "mine";
  for (const char* name :
       {"senders", "senders.db", "senders.new", "senders.new.db", "senders.said"}) {
    fs::remove(Path(name));
    fs::create_symlink(Path("victim"), Path(name));
    SenderTable table({"/bin/sh", Path("postmap")}, Path("senders"), &clock_);
    ASSERT_THAT(table.Open(), IsOk()) << name;
    ASSERT_THAT(table.Set({{"@a.example", name}}), IsOk()) << name;
    EXPECT_EQ(Read("victim"), "mine") << name;
    EXPECT_THAT(Read("senders.db"), EndsWith(absl::StrCat("@a.example deferd-held:", name, "\n")));
    EXPECT_FALSE(fs::is_symlink(Path("senders.db"))) << name;
    EXPECT_FALSE(fs::is_symlink(Path("senders"))) << name;
  }
}

TEST_F(SenderTableTest, IsEmptiedWhenNobodySpeaksAnyMore) {
  ASSERT_THAT(table_.Set({{"@a.example", "because"}}), IsOk());
  const absl::Time said = kNow + absl::Minutes(5);
  clock_.Set(said);
  ASSERT_THAT(table_.Set({{"@a.example", "because"}}), IsOk());
  clock_.Set(said + SenderTable::kTrusted - absl::Seconds(1));
  ASSERT_THAT(table_.Tick(), IsOk());
  EXPECT_THAT(Read("senders.db"), HasSubstr("a.example"));
  clock_.Set(said + SenderTable::kTrusted);
  ASSERT_THAT(table_.Tick(), IsOk());
  EXPECT_EQ(Read("senders.db"), kHead);
  clock_.Set(said + absl::Hours(1));
  ASSERT_THAT(table_.Set({{"@a.example", "because"}}), IsOk());
  EXPECT_THAT(Read("senders.db"), HasSubstr("a.example"));
}

TEST_F(SenderTableTest, SettingTheClockIsNoSilenceAndHidesNone) {
  ASSERT_THAT(table_.Set({{"@a.example", "because"}}), IsOk());
  clock_.Step(absl::Hours(5));
  ASSERT_THAT(table_.Tick(), IsOk());
  EXPECT_THAT(Read("senders.db"), HasSubstr("a.example"));
  clock_.Step(-absl::Hours(10));
  clock_.Advance(SenderTable::kTrusted);
  ASSERT_THAT(table_.Tick(), IsOk());
  EXPECT_EQ(Read("senders.db"), kHead);
}

TEST_F(SenderTableTest, TheHelperTakesItFromDeferd) {
  QueueHelper helper({.programs = {.exim = "/bin/true"}, .uid = 1234, .sender_table = &table_});
  const Json args = {{"domains", {{"a.example", "because"}}},
                     {"users", {{"web", "so"}, {"w eb", "so"}}}};
  EXPECT_TRUE(absl::IsPermissionDenied(helper.Handle("defer", args, {.uid = 7}).status()));
  EXPECT_EQ(helper.Handle("defer", args, {.uid = 1234}).value()["table"], Path("senders"));
  EXPECT_THAT(Read("senders.db"), EndsWith("@a.example deferd-held:because\nweb deferd-held:so\n"))
      << "the domain of a bare sender is not known";
  for (const char* bad :
       {"{}", R"({"domains": []})", R"({"domains": {"a.example": 7}})", R"({"domains": null})",
        R"({"domains": {"": ""}})", R"({"domains": {}, "users": []})",
        R"({"domains": {}, "users": {"a": 7}})"}) {
    EXPECT_FALSE(helper.Handle("defer", Json::parse(bad), {.uid = 0}).ok()) << bad;
  }
  EXPECT_THAT(helper.Handle("put_off", args, {.uid = 1234}), IsOk()) << "the former name";
  QueueHelper none({.programs = {.exim = "/bin/true"}, .uid = 1234});
  EXPECT_EQ(none.Handle("defer", args, {.uid = 1234}).value()["table"], Json(nullptr));
}

}  // namespace
}  // namespace deferd
