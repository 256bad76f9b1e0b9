// kill -9 at named points of a notice's way: whoever must hear of a stored block hears of it, and
// of one that was heard twice the Message-ID is the same, so that a reader's program shows it once.
//
// A child process is what stores and sends: committer, outbox, dispatcher, SQLite. It blocks one
// subject after the other and tells a sink, which writes down what it hears before it answers. The
// child kills itself at the point that its round is about.

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "exporter/notice/dispatcher.h"
#include "exporter/notice/mail_text.h"
#include "exporter/notice/message.h"
#include "gtest/gtest.h"
#include "limiter/committer.h"
#include "limiter/notice_maker.h"
#include "limiter/store/sqlite_store.h"
#include "policy/policy_file.h"
#include "tests/limiter/store/faulty_disk.h"
#include "tests/limiter/store/forwarding_store.h"

namespace deferd {
namespace {

constexpr int kSubjects = 6;
const absl::Time kNoon = absl::FromUnixSeconds(1'790'000'000);

enum Point {
  kBeforeEnqueue,
  kInEnqueue,
  kAfterEnqueue,
  kBeforeSend,
  kAfterSend,  // heard, and deferd does not know it
  kBeforeAcknowledge,
  kInAcknowledge,
  kAfterAcknowledge,
  kNone
};
constexpr const char* kPointNames[] = {"before the commit of block and notice",
                                       "in the commit of block and notice",
                                       "after the commit of block and notice",
                                       "before it is sent",
                                       "after it was sent",
                                       "before the commit of the delivery",
                                       "in the commit of the delivery",
                                       "after the commit of the delivery"};
// Where the sink has it and the disk does not know it.
bool MayDouble(Point point) {
  return point == kAfterSend || point == kBeforeAcknowledge || point == kInAcknowledge;
}

[[noreturn]] void Die() {
  kill(getpid(), SIGKILL);
  while (true) pause();
}

class DyingStore : public ForwardingStore {
 public:
  DyingStore(std::unique_ptr<LocalStore> store, FaultyDisk* disk, Point point, int nth)
      : ForwardingStore(std::move(store)), disk_(disk), point_(point), left_(nth) {}

  absl::Status Commit(const StoreBatch& batch) override {
    const bool enqueue = !batch.cases.empty();
    bool delivered = false;
    for (const StoredText& one : batch.notices) {
      const absl::StatusOr<Notice> notice = ParseNotice(one.name, one.text);
      delivered = delivered || (notice.ok() && notice->deliveries.contains("s") &&
                                notice->deliveries.at("s").state == DeliveryState::kDelivered);
    }
    const bool here = (enqueue && point_ <= kAfterEnqueue) ||
                      (!enqueue && delivered && point_ >= kBeforeAcknowledge && point_ != kNone);
    if (!here || --left_ >= 0) return ForwardingStore::Commit(batch);
    if (point_ == kBeforeEnqueue || point_ == kBeforeAcknowledge) Die();
    if (point_ == kInEnqueue || point_ == kInAcknowledge) {
      disk_->FailAt(1, FaultyDisk::Fault::kKilled);
    }
    absl::Status committed = ForwardingStore::Commit(batch);
    if (point_ == kAfterEnqueue || point_ == kAfterAcknowledge) Die();
    return committed;
  }

 private:
  FaultyDisk* const disk_;
  const Point point_;
  int left_;
};

class FileSink : public Sink {
 public:
  FileSink(std::string path, Point point, int nth)
      : path_(std::move(path)), point_(point), left_(nth) {}

  std::string KeyOf(const Notice&) const override { return "admins"; }
  size_t MostTogether() const override { return 1000; }
  absl::Status Send(const std::string&, const std::vector<Notice>& notices, absl::Time,
                    std::string*) override {
    const bool here = (point_ == kBeforeSend || point_ == kAfterSend) && --left_ < 0;
    if (here && point_ == kBeforeSend) Die();
    const MailFrame frame = {.from = "", .to = "a@mx", .host = "mx", .language = "en", .title = ""};
    const std::string line =
        absl::StrCat(notices.back().subject, " ",
                     MessageIdOf(MessageOf(notices.back(), Json(), 0, "en"), frame), "\n");
    const int file = open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const bool written =
        file >= 0 && write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    close(file);
    if (here && point_ == kAfterSend) Die();
    return written ? absl::OkStatus() : absl::UnavailableError("no file");
  }

 private:
  const std::string path_;
  const Point point_;
  int left_;
};

class NoticeCrashTest : public testing::TestWithParam<int> {
 protected:
  NoticeCrashTest()
      : folder_(std::filesystem::path(testing::TempDir()) /
                absl::StrCat("notice-crash-", getpid(), "-", GetParam())) {
    std::filesystem::create_directories(folder_);
  }
  ~NoticeCrashTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  // Goes on where the disk says; dies at the point, or ends with 0 when all is done.
  void Child(Point point, int nth) const {
    FaultyDisk disk;
    auto sqlite = OpenSqliteStore(Path("state.db"), "0badcafe", {});
    if (!sqlite.ok()) _exit(3);
    DyingStore store(*std::move(sqlite), &disk, point, nth);
    ManualClock clock(kNoon);
    CaseTable cases;
    auto policy = ParsePolicy("[rule.r]\nmin_bad = 4\npercent = 30\n", "p");
    if (!policy.ok()) _exit(4);
    Limiter limiter({.node = "0badcafe", .keep = true},
                    {std::make_shared<Policy>(*std::move(policy)), std::make_shared<ChargeLists>()},
                    &clock, &cases);
    Outbox outbox;
    NoticeMaker maker("0badcafe", &clock, &outbox);
    Committer committer({.ledger = false, .notices = &maker}, &limiter, &store, &clock);
    if (!committer.Load().ok()) _exit(5);
    NoticeSink config;
    config.name = "s";
    config.on = {NoticeKind::kBlocked};
    config.batch = absl::ZeroDuration();
    NoticeDispatcher::Parts parts;
    parts.outbox = &outbox;
    parts.clock = &clock;
    parts.save = [&] { committer.Commit().IgnoreError(); };
    NoticeDispatcher dispatcher({config}, std::move(parts), [&](const NoticeSink&, SinkParts) {
      return std::make_unique<FileSink>(Path("heard"), point, nth);
    });
    const auto turn = [&] {
      clock.Advance(absl::Seconds(1));
      dispatcher.Turn("s", clock.Now());
    };
    turn();
    for (int i = 0; i < kSubjects; ++i) {
      const Subject subject = {SubjectKind::kDomain, absl::StrCat("d", i, ".example")};
      if (cases.FindOpen(subject, /*shadow=*/false).has_value()) continue;
      committer.Block(subject, absl::Hours(200), "ann", "test");
      if (!committer.Commit(/*durable=*/true).ok()) _exit(6);
      turn();
    }
    turn();
    _exit(outbox.stats().pending == 0 ? 0 : 7);
  }

  // Whether the child was killed; otherwise it must have ended well.
  bool Run(Point point, int nth) const {
    const pid_t pid = fork();
    if (pid == 0) Child(point, nth);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    EXPECT_TRUE(killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) << status;
    return killed;
  }

  // What the sink has heard: subject to Message-IDs.
  std::map<std::string, std::vector<std::string>> Heard() const {
    std::map<std::string, std::vector<std::string>> heard;
    std::ifstream file(Path("heard"));
    std::string subject, id;
    while (file >> subject >> id) heard[subject].push_back(id);
    return heard;
  }

  const std::filesystem::path folder_;
};

TEST_P(NoticeCrashTest, IsHeardAndIsKnownAgain) {
  const auto point = static_cast<Point>(GetParam());
  int kills = 0;
  for (int nth = 0; nth < kSubjects; ++nth) kills += Run(point, nth % 3) ? 1 : 0;
  EXPECT_GE(kills, 3) << "the point was hardly met";
  EXPECT_FALSE(Run(kNone, 0));
  const auto heard = Heard();
  EXPECT_EQ(heard.size(), static_cast<size_t>(kSubjects));
  size_t doubled = 0;
  for (const auto& [subject, ids] : heard) {
    doubled += ids.size() - 1;
    EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 1u)
        << subject << " was heard under several Message-IDs";
  }
  if (MayDouble(point)) {
    EXPECT_LE(doubled, static_cast<size_t>(kills));
  } else {
    EXPECT_EQ(doubled, 0u);
  }
}

std::string NameOfPoint(const testing::TestParamInfo<int>& info) {
  std::string name = kPointNames[info.param];
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Points, NoticeCrashTest, testing::Range(0, static_cast<int>(kNone)),
                         NameOfPoint);

}  // namespace
}  // namespace deferd
