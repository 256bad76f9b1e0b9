#include "limiter/queue_helper/mta_queue.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/command.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// As Exim 4.96 printed it.
constexpr char kEximListing[] =
    " 0m   195 1xWd7F-0001Yi-2J <bob@bad.example>\n"
    "          a@far.example\n"
    "        D a2@far.example\n"
    "\n"
    "28m  1.5K 1xWd7F-0001Yi-2K <\"a > b\"@good.example> *** frozen ***\n"
    "          q@defer.example\n"
    "\n"
    " 3d   12M 1xWd7F-0001Yi-2L <>\n"
    "          one@x.example\n"
    "\n"
    " 1h   300 1xWd7F-0001Yi-2M <web@mx.example> (www-data)\n"
    "          two@x.example\n\n";

TEST(QueueListTest, ReadsExims) {
  std::vector<QueuedMail> queue;
  AddEximQueue(kEximListing, true, &queue);
  ASSERT_THAT(queue, SizeIs(4));
  EXPECT_EQ(queue[0].id, "1xWd7F-0001Yi-2J");
  EXPECT_EQ(queue[0].sender, "bob@bad.example");
  EXPECT_EQ(queue[0].size, 195);
  EXPECT_TRUE(queue[0].held);
  EXPECT_TRUE(queue[0].ours);
  EXPECT_THAT(queue[0].recipients, ElementsAre("a@far.example"));
  EXPECT_EQ(queue[1].sender, "\"a > b\"@good.example");
  EXPECT_TRUE(queue[1].frozen);
  EXPECT_EQ(queue[1].size, 1536);
  EXPECT_EQ(queue[2].sender, "");
  EXPECT_EQ(queue[3].sender, "web@mx.example");
  EXPECT_THAT(queue[3].recipients, ElementsAre("two@x.example"));
}

// As Postfix 3.7 printed it.
TEST(QueueListTest, ReadsPostfixs) {
  std::vector<QueuedMail> queue;
  AddPostfixQueue(
      R"({"queue_name": "deferred", "queue_id": "A37C8A722D8", "arrival_time": 1795713542, "message_size": 198, "forced_expire": false, "sender": "eve@good.example", "recipients": [{"address": "busy@far.example", "delay_reason": "host 127.0.0.1[127.0.0.1] said: 451 4.7.1 try again later"}]}
{"queue_name": "hold", "queue_id": "A2924A722D7", "arrival_time": 1795713542, "message_size": 175, "forced_expire": false, "sender": "MAILER-DAEMON", "recipients": [{"address": "a@far.example"}, {"address": "b@far.example"}]}
no JSON
{"queue_name": "hold"}
)",
      &queue);
  ASSERT_THAT(queue, SizeIs(2));
  EXPECT_EQ(queue[0].id, "A37C8A722D8");
  EXPECT_FALSE(queue[0].held);
  EXPECT_EQ(queue[0].problem, "host 127.0.0.1[127.0.0.1] said: 451 4.7.1 try again later");
  EXPECT_TRUE(queue[1].held);
  EXPECT_FALSE(queue[1].ours);
  EXPECT_EQ(queue[1].sender, "");
  EXPECT_THAT(queue[1].recipients, ElementsAre("a@far.example", "b@far.example"));
}

TEST(QueueListTest, JsonGivesTheSameBack) {
  std::vector<QueuedMail> queue, again;
  AddEximQueue(kEximListing, false, &queue);
  again = QueueFromJson(Json::parse(Dump(QueueToJson(queue))));
  EXPECT_EQ(QueueToJson(again), QueueToJson(queue));
  EXPECT_THAT(QueueFromJson(Json::parse(R"({"a": 1})")), IsEmpty());
  EXPECT_THAT(QueueFromJson(Json::parse(R"([1, {"id": 7, "recipients": [3]}])")), SizeIs(1));
}

// Pieces of listings in any order: nothing of it may crash, and ids are ids.
TEST(QueueListTest, TakesAnyBytes) {
  std::mt19937 random(7);
  const std::string text =
      absl::StrCat(kEximListing, R"({"queue_id": "A37C8A722D8", "sender": [)", "\n",
                   R"({"queue_id":"ABCDEF","recipients":{"a":1}})", "\n");
  for (int round = 0; round < 5000; ++round) {
    std::string mixed = text;
    for (int i = 0; i < 20; ++i) {
      mixed[random() % mixed.size()] = static_cast<char>(random() % 2 ? random() % 256 : '\n');
    }
    std::vector<QueuedMail> queue;
    AddEximQueue(mixed, false, &queue);
    AddPostfixQueue(mixed, &queue);
    for (const QueuedMail& mail : queue) EXPECT_GE(mail.id.size(), 6);
    QueueFromJson(Json::parse(mixed, nullptr, false));
  }
}

TEST(MtaQueueTest, TakesPlainAddressesAlone) {
  for (const char* good : {"ann@example.com", "a.b+c@mail.example.com", "x_1@example.co.uk"}) {
    EXPECT_TRUE(IsPlainAddress(good)) << good;
  }
  for (const char* bad :
       {"", "ann", "@example.com", "-f@example.com", "a b@example.com", "a@b@example.com",
        "\"a\"@example.com", "a'b@example.com", "a@", "a@-x", "a\n@example.com", "a@exa mple.com",
        "a,b@example.com", "<a@example.com>", "a@example.com\n"}) {
    EXPECT_FALSE(IsPlainAddress(bad)) << bad;
  }
}

TEST(MtaQueueTest, RefusesWhatIsNoIdBeforeAnythingRuns) {
  MtaQueue queue({.exim = "/nonexistent"});
  for (const char* bad : {"", "-Mrm", "ALL", "1xU000-000001-1", "1xU000-000001-11 ", "../x"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(queue.Hold({"1xU000-000001-11", bad}).status())) << bad;
  }
  EXPECT_THAT(std::string(queue.Hold({"A37C8A722D8"}).status().message()),
              HasSubstr("an id of Postfix, but deferd-queue found no such mail server"));
  EXPECT_TRUE(absl::IsInvalidArgument(queue.Hold({}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      queue.Hold(std::vector<std::string>(MtaQueue::kMaxIds + 1, "1xU000-000001-11")).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(queue.Redirect("1xU000-000001-11", "-x@example.com")));
}

TEST(CommandTest, GivesInputAndTakesOutput) {
  Commands commands;
  EXPECT_EQ(commands.Run({"/bin/cat"}, "some\ninput", absl::Seconds(20)).value(), "some\ninput");
  const std::string large(3 << 20, 'x');
  EXPECT_EQ(commands.Run({"/bin/cat"}, large, absl::Seconds(20)).value(), large);
}

TEST(CommandTest, WordsAreNoShell) {
  Commands commands;
  EXPECT_EQ(commands.Run({"/bin/echo", "$(id)", "; rm", "a b"}, "", absl::Seconds(20)).value(),
            "$(id) ; rm a b\n");
  EXPECT_EQ(commands.Run({"/usr/bin/env"}, "", absl::Seconds(20)).value(),
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin\nLC_ALL=C\nTZ=UTC\n");
}

TEST(CommandTest, InheritsNoDescriptor) {
  const int inherited = dup(STDERR_FILENO);  // not close-on-exec
  Commands commands;
  const std::string open_files =
      commands.Run({"/bin/sh", "-c", "exec ls /proc/self/fd"}, "", absl::Seconds(20)).value();
  close(inherited);
  EXPECT_EQ(open_files, "0\n1\n2\n3\n") << "3 is the directory that ls reads";
}

TEST(CommandTest, EndsWhatWritesTooMuch) {
  Commands commands;
  EXPECT_THAT(commands.Run({"/bin/cat", "/dev/zero"}, "", absl::Hours(1)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("more than 64 MiB")));
}

TEST(CommandTest, ReportsWhatWentWrong) {
  Commands commands;
  absl::Status status =
      commands.Run({"/bin/sh", "-c", "echo no such queue >&2; exit 3"}, "", absl::Seconds(20))
          .status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(status.message(), "/bin/sh: ended with status 3: no such queue");
  status = commands.Run({"/nonexistent"}, "", absl::Seconds(20)).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nonexistent: No such file"));
}

TEST(CommandTest, EndsWhatTakesTooLongWithItsChildren) {
  Commands commands;
  absl::Status status =
      commands.Run({"/bin/sh", "-c", "sleep 1000 & wait"}, "", absl::Milliseconds(50)).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
}

TEST(CommandTest, StartsSoManyAtOnce) {
  // Each waits for somebody to write.
  const std::string fifo = absl::StrCat(testing::TempDir(), "/command_test.", getpid());
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  Commands commands;
  int started = 0;
  absl::Status status;
  while (started < 100 && (status = commands.Start({"/bin/cat", fifo})).ok()) ++started;
  EXPECT_EQ(started, 8);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  const int writer = open(fifo.c_str(), O_RDWR);
  unlink(fifo.c_str());
  close(writer);
  while (!commands.Start({"/bin/true"}).ok()) std::this_thread::yield();  // there is room again
}

TEST(CommandTest, WhatWasStartedNeverStaysAZombie) {
  Commands commands;
  ASSERT_THAT(commands.Start({"/bin/true"}), IsOk());
  // Without taking its end away from whoever waits for it; until the program has no child.
  siginfo_t info = {};
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) std::this_thread::yield();
  EXPECT_EQ(errno, ECHILD);
}

}  // namespace
}  // namespace deferd
