// What a rule counts, and what of a subject's counts it therefore compares.
//
// Bad deliveries, as a rule; of them only those with answers of some classes; recipients refused at
// RCPT time; or what was sent, whatever became of it. Plain values and pure functions.

#ifndef DEFERD_POLICY_MEASURE_H_
#define DEFERD_POLICY_MEASURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "policy/counts.h"
#include "policy/reply/reply_class.h"

namespace deferd {

// A set of classes of answers.
class ClassSet {
 public:
  bool empty() const { return bits_ == 0; }
  bool Has(ReplyClass one) const { return (bits_ >> static_cast<int>(one) & 1) != 0; }
  void Add(ReplyClass one) { bits_ |= uint32_t{1} << static_cast<int>(one); }
  void Add(ClassSet others) { bits_ |= others.bits_; }
  // In the order of the classes.
  std::vector<ReplyClass> All() const;
  std::vector<std::string> Names() const;

  friend bool operator==(ClassSet, ClassSet) = default;

 private:
  uint32_t bits_ = 0;
};

struct Measure {
  enum class What : uint8_t { kBad, kRejected, kSentMessages, kSentRecipients };
  What what = What::kBad;
  ClassSet classes;  // of kBad: only answers of these; empty: all

  bool rejected() const { return what == What::kRejected; }
  bool sent() const { return what == What::kSentMessages || what == What::kSentRecipients; }

  // As JSON names it: "bad", "bad_of_classes", "rejected_recipients", "sent_messages",
  // "sent_recipients".
  absl::string_view Name() const;
  // For people: "bad", "answers of class content or policy", "rejected recipients", ...
  std::string Words() const;

  // What of `counts` it compares: bad() with the least count; and where a rule has a share, the
  // share of bad() in total(), without the surplus.
  Counts Of(const Counts& counts) const;

  friend bool operator==(const Measure&, const Measure&) = default;
};

// From what JSON says: Name, and the names of classes. What is unknown counts as bad deliveries.
Measure ParseMeasure(absl::string_view name, const std::vector<std::string>& classes);

}  // namespace deferd

#endif  // DEFERD_POLICY_MEASURE_H_
