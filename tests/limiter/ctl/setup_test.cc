// What setup writes, and takes back: the texts, without a machine.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/ctl/completion.h"
#include "limiter/ctl/setup_blocks.h"
#include "limiter/ctl/setup_config.h"
#include "limiter/ctl/setup_exim.h"
#include "limiter/ctl/setup_rehearsal.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr char kMain[] = "a = 1\nb = old,\n    # somebody's own\n    more\nc = 3\n";

std::string WithBlock() {
  BlockText text(kMain);
  text.Insert(1, "ask", "b =\n    new,\n    old,\n", 1);
  return text.Text();
}

TEST(SetupBlocks, ABlockIsTakenBackByteForByte) {
  const std::string text = WithBlock();
  EXPECT_THAT(
      text, HasSubstr("# was: b = old,\nb =\n    new,\n    old,\n# deferd end\n    # somebody's"));
  EXPECT_TRUE(HasSetupBlock(text));
  EXPECT_TRUE(HasSetupBlock(text, {"ask"}));
  EXPECT_FALSE(HasSetupBlock(text, {"held"}));
  EXPECT_EQ(WithoutSetupBlocks("main.cf", text).value_or("failed"), kMain);
  EXPECT_EQ(WithoutSetupBlocks("main.cf", text, {"held"}).value_or("failed"), text);
}

TEST(SetupBlocks, WhatSomebodyEditedIsLeftAlone) {
  const std::string edited = absl::StrReplaceAll(WithBlock(), {{"    new,", "    newer,"}});
  EXPECT_THAT(WithoutSetupBlocks("main.cf", edited),
              StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith("main.cf:2: ")));
  const std::string cut = absl::StrReplaceAll(WithBlock(), {{"# deferd end\n", ""}});
  EXPECT_THAT(WithoutSetupBlocks("main.cf", cut),
              StatusIs(absl::StatusCode::kFailedPrecondition, StartsWith("main.cf:2: ")));
  // What somebody pasted bears no checksum, and is not setup's.
  const std::string pasted = "# deferd begin\nx\n# deferd end\n";
  EXPECT_FALSE(HasSetupBlock(pasted));
  EXPECT_EQ(WithoutSetupBlocks("f", pasted).value_or(""), pasted);
}

// Whatever a file's line ends, a block in it is taken back byte for byte.
TEST(SetupBlocks, LineEndsAndAMissingOneAreRestored) {
  for (const std::string& line_end : {std::string("\n"), std::string("\r\n")}) {
    for (const std::string& last : {line_end, std::string()}) {
      const std::string before = absl::StrCat("a = 1", line_end, "b = 2", last);
      for (const int at : {0, 1, 2}) {
        BlockText text(before);
        text.Insert(at, "ask", "c = 3\nd = 4\n", at < 2 ? 1 : 0);
        text.Insert(text.size(), "held", "e = 5\n");
        const std::string with = text.Text();
        SCOPED_TRACE(absl::StrCat(at, ":", with));
        EXPECT_EQ(with.find('\r') == std::string::npos, line_end == "\n");
        EXPECT_EQ(absl::StrReplaceAll(with, {{"\r\n", ""}}).find('\n') == std::string::npos,
                  line_end == "\r\n")
            << "one kind of line end";
        EXPECT_EQ(WithoutSetupBlocks("main.cf", with).value_or("failed"), before);
        // An editor converts all of them, which is no edit of the block.
        const std::string converted = absl::StrReplaceAll(with, {{"\r\n", "\n"}});
        EXPECT_EQ(WithoutSetupBlocks("main.cf", converted).value_or("failed"),
                  absl::StrReplaceAll(before, {{"\r\n", "\n"}}));
      }
    }
  }
  BlockText empty("");
  empty.Insert(0, "panel", "x\n");
  EXPECT_EQ(WithoutSetupBlocks("map", empty.Text()).value_or("failed"), "");
}

TEST(SetupBlocks, AreFoundFromWithin) {
  BlockText text("a\nb\n");
  text.Insert(1, "acl", "begin acl\nx:\n");
  const int inside = text.Find([](absl::string_view line) { return line == "begin acl"; });
  EXPECT_EQ(text.BlockBegin(inside), 1);
  EXPECT_EQ(text.line(text.BlockEnd(inside)), "b");
  EXPECT_EQ(text.BlockBegin(0), 0);
  EXPECT_EQ(text.BlockEnd(0), 1);
  EXPECT_EQ(text.BlockEnd(text.size() - 1), text.size());
}

TEST(SetupConfig, KeysThatAnOperatorSetStay) {
  const std::string before =
      "[intake]\npostfix = [\"/var/log/mail.log\"]  # gone\n[charge]\nlocal_domains = [\"mine\"]\n";
  const std::string after = WithKeys(before, "postfix",
                                     {{"intake", "journal", "[\"postfix\"]", "postfix"},
                                      {"charge", "local_domains", "[\"theirs\"]"},
                                      {"charge", "users", "[\"/etc/users\"]"},
                                      {"queue", "helper", "\"/x\""}});
  EXPECT_THAT(after, AllOf(HasSubstr("# was: postfix = [\"/var/log/mail.log\"]  # gone\n"
                                     "journal = [\"postfix\"]\n"),
                           HasSubstr("local_domains = [\"mine\"]"), Not(HasSubstr("theirs")),
                           HasSubstr("[charge]\n# deferd begin setup postfix-charge "),
                           HasSubstr("[queue]\nhelper = \"/x\"\n")));
  EXPECT_EQ(WithoutSetupBlocks("deferd.toml", after).value_or(""), before);
}

TEST(SetupConfig, APanelsAccounts) {
  const std::string root = absl::StrCat(testing::TempDir(), "/panel.", getpid());
  const auto file = [&](const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root + path).substr(0, (root + path).rfind('/')));
    std::ofstream(root + path) << text;
  };
  EXPECT_EQ(FindPanel(root).name, "");
  file("/usr/local/hestia/data/users/bob/mail.conf",
       "DOMAIN='shop.example' ANTIVIRUS='no'\nDOMAIN='blog.example' DKIM='yes'\n");
  const PanelFound hestia = FindPanel(root);
  EXPECT_EQ(hestia.name, "HestiaCP");
  EXPECT_EQ(hestia.map_text, "shop.example: bob\nblog.example: bob\n");
  file("/etc/virtual/domainowners", "shop.example: bob\n");
  EXPECT_EQ(FindPanel(root).users, root + "/etc/virtual/domainowners");
  file("/usr/local/cpanel/version", "1\n");
  file("/etc/trueuserdomains", "shop.example: bob\n");
  EXPECT_EQ(FindPanel(root).users, root + "/etc/trueuserdomains");
  EXPECT_EQ(FindPanel(root).hosted, "") << "that file is not there";
  std::filesystem::remove_all(root);
}

TEST(SetupExim, WithoutDeferdQueueMailIsDeferredAndNotSetAside) {
  const std::string hold = EximAskLines(/*helper=*/true), defer = EximAskLines(/*helper=*/false);
  EXPECT_THAT(hold,
              HasSubstr("\n    queue = ${if match{$acl_m_deferd}{\\N^hold \\N}{deferd-held}{}}\n"));
  EXPECT_THAT(hold, HasSubstr("\n# defer\n"));
  EXPECT_THAT(defer, Not(HasSubstr("deferd-held")));
  EXPECT_THAT(defer, Not(HasSubstr("\n#")));
  EXPECT_THAT(defer, EndsWith("\n\n"
                              "  defer\n"
                              "    condition = ${if match{$acl_m_deferd}{\\N^hold \\N}}\n"
                              "    message = ${sg{$acl_m_deferd}{\\N^[a-z]+ |\\n\\N}{}}\n"));
  // The question and the other answers are the same.
  const size_t end = hold.rfind("\n  warn\n");
  EXPECT_EQ(defer.substr(0, end), hold.substr(0, end));
  EXPECT_THAT(hold.substr(0, end), HasSubstr("  discard\n"));
}

TEST(SetupExim, ADaemonThatEndedIsStartedAsItWas) {
  const std::string cmdline(
      "exim4\0-bd\0-q30m\0-oX\0"
      "587:25\0",
      27);
  const absl::string_view cgroup = "0::/system.slice/exim4.service\n";
  EXPECT_THAT(StartOfDaemon("/usr/sbin/exim4", cmdline, cgroup, /*systemd=*/true),
              ElementsAre("/usr/bin/systemctl", "restart", "exim4.service"));
  EXPECT_THAT(StartOfDaemon("/usr/sbin/exim4", cmdline, cgroup, /*systemd=*/false),
              ElementsAre("/usr/sbin/exim4", "-bd", "-q30m", "-oX", "587:25"));
  // Somebody started it in a session, or in the foreground.
  const std::string foreground("/usr/sbin/exim4\0-bdf\0-C\0/etc/x\0", 31);
  EXPECT_THAT(
      StartOfDaemon("/usr/sbin/exim4", foreground, "0::/user.slice/session-2.scope\n", true),
      ElementsAre("/usr/sbin/exim4", "-bd", "-C", "/etc/x"));
  EXPECT_THAT(StartOfDaemon("/usr/sbin/exim4", "", "", false), IsEmpty());
}

TEST(SetupRehearsal, TheCopyHasTheChangesAndTheFolderDoesNot) {
  const std::string root = absl::StrCat(testing::TempDir(), "/rehearsal.", getpid());
  std::filesystem::create_directories(root + "/conf/part");
  const auto write = [](const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  };
  write(root + "/conf/main", "old\n");
  write(root + "/conf/part/gone", "x\n");
  write(root + "/elsewhere", "far\n");
  std::filesystem::create_symlink(root + "/elsewhere", root + "/conf/linked");
  // A folder that is linked, relatively; and a link that leads in a circle.
  std::filesystem::create_directory(root + "/parts");
  write(root + "/parts/acl", "theirs\n");
  std::filesystem::create_symlink("../parts", root + "/conf/parts");
  std::filesystem::create_symlink("..", root + "/conf/part/circle");
  write(root + "/conf/map", std::string(2 << 20, 'x'));
  ASSERT_EQ(mkfifo((root + "/conf/pipe").c_str(), 0600), 0);
  SetupPlan plan;
  plan.Edit(root + "/conf/parts/acl")->after = "ours\n";
  plan.Edit(root + "/conf/main")->after = "new\n";
  plan.Edit(root + "/conf/part/gone")->after = std::nullopt;
  plan.Edit(root + "/conf/made/here")->after = "made\n";
  plan.Edit(root + "/conf/linked")->after = "through a link\n";
  plan.Edit(root + "/elsewhere")->after = "near\n";
  std::string copied;
  {
    absl::StatusOr<SetupRehearsal> copy = SetupRehearsal::Make(root + "/conf", plan);
    ASSERT_THAT(copy, IsOk());
    copied = copy->folder();
    EXPECT_EQ(std::filesystem::status(copied + "/..").permissions(),
              std::filesystem::perms::owner_all);
    EXPECT_EQ(FileText(copied + "/main"), "new\n");
    EXPECT_EQ(FileText(copied + "/part/gone"), std::nullopt);
    EXPECT_EQ(FileText(copied + "/made/here"), "made\n");
    EXPECT_EQ(FileText(copied + "/linked"), "through a link\n");
    EXPECT_EQ(FileText(copied + "/parts/acl"), "ours\n");
    EXPECT_TRUE(std::filesystem::is_symlink(copied + "/map")) << "large files are not copied";
    EXPECT_EQ(FileText(copied + "/map")->size(), 2u << 20);
    EXPECT_EQ(FileText(copy->Path(root + "/elsewhere")), "near\n");
  }
  EXPECT_FALSE(std::filesystem::exists(copied));
  EXPECT_EQ(FileText(root + "/conf/main"), "old\n");
  EXPECT_EQ(FileText(root + "/conf/part/gone"), "x\n");
  EXPECT_EQ(FileText(root + "/elsewhere"), "far\n");
  EXPECT_EQ(FileText(root + "/parts/acl"), "theirs\n");
  EXPECT_FALSE(std::filesystem::exists(root + "/conf/made"));
  EXPECT_FALSE(SetupRehearsal::Make(root + "/none", plan).ok());
  std::filesystem::remove_all(root);
}

TEST(Completion, EveryVerbAndOptionOfTheCommandLine) {
  CLI::App app;
  bool json = false;
  app.add_flag("--json", json, "print JSON");
  CLI::App* queue = app.add_subcommand("queue", "what waits");
  CLI::App* release = queue->add_subcommand("release", "it's let go");
  std::string text;
  release->add_option("SUBJECT", text, "a domain or a message id");
  release->add_option("--since", text, "when");
  app.add_subcommand("hidden", "")->group("");
  const std::vector<CompletionPlace> places = CompletionPlaces(app);
  ASSERT_EQ(places.size(), 3u);
  EXPECT_EQ(places[2].path, "queue release");
  EXPECT_EQ(places[2].positional, WordKind::kSubjectOrId);
  for (const char* shell : {"bash", "zsh", "fish"}) {
    EXPECT_THAT(CompletionScript(app, shell).value_or(""),
                AllOf(HasSubstr("release"), HasSubstr("since"), HasSubstr("deferctl complete"),
                      Not(HasSubstr("hidden"))))
        << shell;
  }
  EXPECT_FALSE(CompletionScript(app, "csh").ok());
}

}  // namespace
}  // namespace deferd
