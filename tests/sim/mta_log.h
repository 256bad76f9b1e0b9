// A mail server's log in a folder of its own: messages and what becomes of them, as real Exim or
// Postfix lines, with every kind of rotation; and beside it the truth, which the oracle reads.
//
// Line number n of the log is entry n of `truth`. Lines are complete unless a half line is said.
// Not thread-safe.

#ifndef DEFERD_TESTS_SIM_MTA_LOG_H_
#define DEFERD_TESTS_SIM_MTA_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "limiter/port/clock.h"
#include "tests/sim/story.h"

namespace deferd::sim {

// What one line says.
struct Truth {
  enum class Kind : uint8_t { kOther, kAttempt, kCompleted };
  Kind kind = Kind::kOther;
  int domain = 0;
  int message = 0;
  int recipient = 0;
  int outcome = 0;  // 0 delivered, 1 deferred, 2 failed
  absl::Time time;
};

std::string DomainName(int domain);

class MtaLog {
 public:
  // `number` makes the ids of its messages unlike those of other logs.
  MtaLog(std::string folder, int number, bool postfix, const Clock* clock);

  std::string path() const { return folder_ + "/mainlog"; }
  const std::vector<Truth>& truth() const { return truth_; }
  absl::Duration rotated_at() const { return rotated_at_; }
  // The number of the first line of the file at the path.
  size_t file_begins() const { return file_begins_; }

  // Writes a message's arrival and the first outcome of each recipient. Returns the message's
  // number; deferred recipients wait.
  int Send(int domain, const std::vector<int>& outcomes, absl::Time stamp);
  // Only the arrival: the message is held.
  int Arrive(int domain, absl::Time stamp);
  // The next outcome of the deferred recipient number `which`, counted around; false: none waits.
  bool Retry(int which, int outcome, absl::Time stamp);
  // A held message is sent now.
  void SendHeld(int message, int outcome, absl::Time stamp);

  void Rotate(RotateWay way);
  void Reopen();
  void Compress();
  // The first part of the next line goes to the file at once.
  void SplitNextLine() { split_next_ = true; }
  // The rest of a line that was written in part.
  void FinishLine();

  std::string IdOf(int message) const;
  int DomainOf(int message) const { return messages_[static_cast<size_t>(message)].domain; }

 private:
  struct Message {
    int domain;
    int waiting = 0;  // recipients without a final outcome
  };
  struct Deferred {
    int message;
    int recipient;
  };

  int NewMessage(int domain, int recipients, absl::Time stamp);
  void Attempt(int message, int recipient, int outcome, absl::Time stamp);
  void Line(const std::string& text, const Truth& truth);
  void Write(const std::string& text);
  void SetModified(const std::string& name);
  std::string Stamp(absl::Time stamp) const;

  const std::string folder_;
  const int number_;
  const bool postfix_;
  const Clock* const clock_;
  std::string open_name_ = "mainlog";  // where the MTA writes
  std::string rest_;                   // of a line that was written in part
  Truth rest_truth_;
  bool split_next_ = false;
  int writes_ = 0;
  std::vector<Message> messages_;
  std::vector<Deferred> deferred_;
  std::vector<Truth> truth_;
  size_t file_begins_ = 0;
  absl::Duration rotated_at_ = -absl::InfiniteDuration();  // Clock::Elapsed()
};

}  // namespace deferd::sim

#endif  // DEFERD_TESTS_SIM_MTA_LOG_H_
