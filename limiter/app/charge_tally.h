// Who could not be charged for mail that left this server, and which setting would charge it; and
// whether all of it leaves by one host.
//
// Counts since the start, or since [charge] changed last; what is remembered by name is bounded.
// Safe from any thread.

#ifndef DEFERD_LIMITER_APP_CHARGE_TALLY_H_
#define DEFERD_LIMITER_APP_CHARGE_TALLY_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "limiter/events.h"
#include "limiter/port/mutex.h"

namespace deferd {

class ChargeTally : public Observer {
 public:
  enum class Why : uint8_t {
    kJudged,         // charged, and a rule may block it
    kUnseenArrival,  // the line that tells who sent it was never read
    kHost,           // handed over without a login by a host that [charge] does not trust
    kOrder,          // a login or local user, and [charge] order leaves it out
    kNotHosted,      // charged to a domain that [charge] hosted does not list
    kUnknown,        // nothing is known of the sender
  };
  static constexpr int kWhys = 6;

  struct Numbers {
    std::array<int64_t, kWhys> attempts = {};  // to other hosts, by Why
    // The most frequent names (host, login, domain) of each Why, most frequent first.
    std::array<std::vector<std::pair<std::string, int64_t>>, kWhys> names;
    std::string first_host;  // that most attempts went to; and how many did, of all
    int64_t by_first_host = 0;
    int64_t to_hosts = 0;
    size_t recipient_domains = 0;  // of those that went there; counted up to kManyDomains
  };
  static constexpr size_t kManyDomains = 10;

  void OnAttempt(const Attempt& attempt, const ChargedSubjects& charged, LeftOut left_out,
                 const Classification* answer) override;

  Numbers numbers() const;
  void Begin();  // [charge] has changed

 private:
  static constexpr size_t kNames = 1000;
  using Names = std::map<std::string, int64_t, std::less<>>;

  static void Count(absl::string_view name, Names* names);
  static std::vector<std::pair<std::string, int64_t>> Most(const Names& names);

  mutable Mutex mutex_;
  std::array<int64_t, kWhys> attempts_ ABSL_GUARDED_BY(mutex_) = {};
  std::array<Names, kWhys> names_ ABSL_GUARDED_BY(mutex_);
  Names hosts_ ABSL_GUARDED_BY(mutex_);
  int64_t to_hosts_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int64_t> domains_ ABSL_GUARDED_BY(mutex_);  // of recipients
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_CHARGE_TALLY_H_
