// Counts of one subject in one window, and the percentage that rules compare.

#ifndef DEFERD_POLICY_COUNTS_H_
#define DEFERD_POLICY_COUNTS_H_

#include <cstdint>

namespace deferd {

// How a contribution is counted; the order is that of the stored rows. kSurplus is delivered too,
// but beyond what one message may dilute (dilution.h). kRejected: a recipient refused at RCPT time.
// kSent: a message that was accepted, and kSentRecipient: one of its recipients.
enum class CountedOutcome : uint8_t {
  kDelivered,
  kDeferred,
  kFailed,
  kSurplus,
  kRejected,
  kSent,
  kSentRecipient
};
inline constexpr int kCountedOutcomes = 7;

struct Counts {
  int64_t delivered = 0;
  int64_t deferred = 0;
  int64_t failed = 0;
  int64_t surplus = 0;   // part of delivered that does not lower the percentage (dilution.h)
  int64_t rejected = 0;  // recipients refused at RCPT time: not deliveries, in no total
  // Messages accepted from the subject, and their recipients; in no total. Counted only where a
  // rule asks.
  int64_t sent = 0;
  int64_t sent_recipients = 0;
  int64_t classed = 0;     // part of the bad: with answers of the classes that a rule asks for
  int64_t recipients = 0;  // distinct recipients of the bad, where a rule asks for them; no sum

  int64_t bad() const { return deferred + failed; }
  int64_t total() const { return delivered + bad(); }
  bool nothing() const {
    return total() == 0 && rejected == 0 && sent == 0 && sent_recipients == 0;
  }

  // The counts for a rule on rejected recipients: rejected ones are bad, accepted ones are good,
  // whatever happened to them later.
  Counts OfRejected() const {
    return {.delivered = total(), .failed = rejected, .surplus = surplus};
  }

  // bad / total, rounded half up to a whole percent; 0 if total is 0.
  int percent() const { return Percent(bad(), total()); }
  // The same without the surplus: the value that rules compare.
  int judged_percent() const { return Percent(bad(), total() - surplus); }

  // `n` more contributions; fewer if it is negative.
  void Add(CountedOutcome outcome, int64_t n = 1) {
    switch (outcome) {
      case CountedOutcome::kDelivered:
        delivered += n;
        break;
      case CountedOutcome::kDeferred:
        deferred += n;
        break;
      case CountedOutcome::kFailed:
        failed += n;
        break;
      case CountedOutcome::kSurplus:
        delivered += n;
        surplus += n;
        break;
      case CountedOutcome::kRejected:
        rejected += n;
        break;
      case CountedOutcome::kSent:
        sent += n;
        break;
      case CountedOutcome::kSentRecipient:
        sent_recipients += n;
        break;
    }
  }

  Counts& operator+=(const Counts& other) {
    delivered += other.delivered;
    deferred += other.deferred;
    failed += other.failed;
    surplus += other.surplus;
    rejected += other.rejected;
    sent += other.sent;
    sent_recipients += other.sent_recipients;
    classed += other.classed;
    return *this;
  }
  Counts& operator-=(const Counts& other) {
    delivered -= other.delivered;
    deferred -= other.deferred;
    failed -= other.failed;
    surplus -= other.surplus;
    rejected -= other.rejected;
    sent -= other.sent;
    sent_recipients -= other.sent_recipients;
    classed -= other.classed;
    return *this;
  }

  friend bool operator==(const Counts&, const Counts&) = default;

 private:
  static int Percent(int64_t bad, int64_t total) {
    return total <= 0 ? 0 : static_cast<int>((200 * bad + total) / (2 * total));
  }
};

}  // namespace deferd

#endif  // DEFERD_POLICY_COUNTS_H_
