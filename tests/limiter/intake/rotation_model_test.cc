// Random rotation, kills and writes against the plain list of what was written: every line once, or
// a gap. The seeds are fixed.

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/limiter/intake/log_station.h"

namespace deferd {
namespace {

class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void Run(int steps) {
    log_.RunToEnd();  // what is older than the first start is not promised
    for (int step = 0; step < steps && !testing::Test::HasFailure(); ++step) Step();
    EndLine();
    if (!running_) log_.Start();
    running_ = true;
    AwaitAll();
    log_.Kill();
    Check();
  }

 private:
  int Random(int n) { return std::uniform_int_distribution<int>(0, n - 1)(random_); }

  void Step() {
    switch (Random(12)) {
      case 0:
      case 1:
        if (running_) {
          log_.Kill();
        } else {
          log_.Start(Random(3) == 0 ? Random(4) : 1'000'000, 1 + static_cast<size_t>(Random(3)));
        }
        running_ = !running_;
        break;
      case 2:
        EndLine();
        if (running_) AwaitAll();  // logrotate waits for no reader, but is not this fast
        log_.Rotate();
        break;
      case 3:
        EndLine();
        if (running_) AwaitAll();  // what is cut unread right after creation tells nobody
        log_.CopyTruncate();
        break;
      case 4:
        CompressIfAny("mainlog.2");
        break;
      case 5:
        if (Random(2) == 0) CompressIfAny("mainlog.1");
        break;
      case 6:
        if (running_) {
          EndLine();
          AwaitAll();
        }
        break;
      case 7:
        if (!running_ && Random(3) == 0) Destroy();
        break;
      default:
        Write();
        break;
    }
  }

  // Of an empty file nothing is left to know it by: a gap is said where none is.
  void CompressIfAny(const std::string& name) {
    if (log_.Exists(name) && std::filesystem::file_size(log_.Path(name)) > 0) log_.Compress(name);
  }

  void Write() {
    EndLine();
    const int n = 1 + Random(3);
    log_.Append(LogStation::Lines(written_ + 1, written_ + n));
    written_ += n;
    if (Random(3) > 0) return;
    rest_ = LogStation::Line(++written_);
    const auto at = static_cast<size_t>(Random(static_cast<int>(rest_.size())));
    log_.Append(rest_.substr(0, at));
    rest_ = rest_.substr(at);
  }
  void EndLine() {
    if (!rest_.empty()) log_.Append(rest_);
    rest_.clear();
  }

  // Only files that the follower knows: of others nothing tells that they ever were.
  // Deletes the log, or cuts it, or puts another in its place.
  void Destroy() {
    EndLine();
    log_.RunToEnd();
    if (!log_.Exists()) return;
    const bool read = log_.position() && !log_.position()->files.empty() &&
                      log_.position()->files.back().offset > 0;
    if (!read) return;  // a file of which nothing was read is not missed
    destroyed_ = true;
    Write();
    EndLine();
    std::set<int> seen;
    for (int n : log_.numbers()) seen.insert(n);
    for (int n = 1; n <= written_; ++n) {
      if (!seen.contains(n)) may_be_lost_.insert(n);
    }
    if (Random(2) == 0) {
      log_.Cut();
    } else {
      log_.Delete();
      log_.Append("");  // of a log that is absent nothing is decided: HiddenAtStart
    }
    // With the file its place among the rotated ones is gone: what is rotated before the next start
    // belongs to the gap as well.
    log_.RunToEnd();
  }

  // All that is there is read, unless the sink has refused a batch; then another run.
  void AwaitAll() {
    for (int i = 0; i < 100; ++i) {
      const bool all_seen = log_.Becomes([this](const FollowerStatus& s) {
        return log_.refused() || (s.at_end && AllAccountedFor());
      });
      if (all_seen && !log_.refused()) return;
      if (!all_seen) {
        ADD_FAILURE() << "lines are missing: " << log_.seen() << " of " << written_;
        return;
      }
      log_.Kill();
      log_.Start();
    }
  }
  bool AllAccountedFor() {
    std::set<int> seen;
    for (int n : log_.numbers()) seen.insert(n);
    for (int n = 1; n <= written_; ++n) {
      if (!seen.contains(n) && !may_be_lost_.contains(n)) return false;
    }
    return true;
  }

  void Check() {
    const std::vector<int> sorted = log_.SortedNumbers();
    std::vector<int> want;
    std::set<int> seen(sorted.begin(), sorted.end());
    bool lost = false;
    for (int n = 1; n <= written_; ++n) {
      if (!seen.contains(n) && may_be_lost_.contains(n)) {
        lost = true;
      } else {
        want.push_back(n);
      }
    }
    EXPECT_EQ(sorted, want);
    EXPECT_EQ(log_.counts().malformed, 0);
    if (lost) {
      EXPECT_GT(log_.gaps(), 0);
    }
    if (may_be_lost_.empty() && !destroyed_) {
      EXPECT_EQ(log_.gaps(), 0);
    }
  }

  std::mt19937 random_;
  LogStation log_;
  bool running_ = false;
  bool destroyed_ = false;
  int written_ = 0;
  std::string rest_;  // of the last line
  std::set<int> may_be_lost_;
};

class RotationModel : public testing::TestWithParam<unsigned> {};

TEST_P(RotationModel, EveryLineOnceOrAGap) { Model(GetParam()).Run(60); }

INSTANTIATE_TEST_SUITE_P(Seeds, RotationModel, testing::Range(1u, 61u));

}  // namespace
}  // namespace deferd
