// How often each rule decided what an MTA was answered, or would have if it were not in shadow.
//
// A policy may have a rule for each of many thousand domains, and a case of another node names a
// rule of that node: the first kMostRules that decide something are named, all later ones are
// "other" together. Safe from any thread.

#ifndef DEFERD_EXPORTER_RULE_TALLY_H_
#define DEFERD_EXPORTER_RULE_TALLY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "limiter/port/mutex.h"

namespace deferd {

class RuleTally {
 public:
  static constexpr size_t kMostRules = 50;
  static constexpr char kOther[] = "other";
  static constexpr char kPerson[] = "(person)";  // no rule has this name

  struct Verdicts {
    int64_t enforced = 0;
    int64_t shadow = 0;
  };

  // `rule` empty: a person's decision.
  void Count(absl::string_view rule, bool shadow);

  std::map<std::string, Verdicts> all() const;

 private:
  mutable Mutex mutex_;
  std::map<std::string, Verdicts> by_rule_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_RULE_TALLY_H_
