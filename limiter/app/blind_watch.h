// Detects that deferd runs but cannot do its job: it reads a log that it does not understand, that
// has time stamps of another clock, or that stays silent while its mail server sends questions; it
// cannot charge attempts to anybody; the mail server accepts mail without querying it; or failures
// happen behind a smart host and never reach the log.
//
// Look compares running totals with those of an hour ago. An alarm therefore ends an hour after its
// cause, and no alarm begins before there is enough data. Pure except for the stored totals: time
// is an argument. Not thread-safe.

#ifndef DEFERD_LIMITER_APP_BLIND_WATCH_H_
#define DEFERD_LIMITER_APP_BLIND_WATCH_H_

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "limiter/app/charge_tally.h"
#include "limiter/intake/read_tally.h"
#include "limiter/localrpc/json.h"
#include "policy/policy.h"

namespace deferd {

enum class Mta : uint8_t { kExim, kPostfix };
inline constexpr int kMtas = 2;

struct BlindAlarm {
  enum class Kind : uint8_t { kLog, kCharge, kHook, kSmartHost };
  Kind kind;
  std::string what;
  std::string remedy;

  friend bool operator==(const BlindAlarm&, const BlindAlarm&) = default;
};
inline constexpr int kBlindKinds = 4;
absl::string_view BlindKindName(BlindAlarm::Kind kind);  // "log", "charge", "hook", "smart_host"

// Totals since the start.
struct BlindFacts {
  struct Log {
    std::string path;
    Mta mta;
    ReadCounts read;
    // How far the stamp of its last line is from when that was written, by this machine's clock;
    // negative: behind. None: it is not known, or the log is not read to its end yet.
    std::optional<absl::Duration> off;
  };
  std::vector<Log> logs;
  ChargeTally::Numbers charge;
  std::array<std::array<int64_t, kSources>, kMtas> asked = {};  // questions, by MTA and Source
  std::array<bool, kMtas> hook = {};                            // [hook] has a socket for the MTA
};

// Per MTA and source, in the last hour and since the start.
struct HookEvidence {
  int64_t accepted = 0;
  int64_t asked = 0;
  int64_t accepted_total = 0;
  int64_t asked_total = 0;
};

class BlindWatch {
 public:
  static constexpr absl::Duration kWindow = absl::Hours(1);

  // The current alarms, in a fixed order.
  std::vector<BlindAlarm> Look(const BlindFacts& facts, absl::Time now);

  // The facts' charge counts start at 0 again.
  void ForgetCharge();

  // By MTA and Source, as of the last Look. Postfix sends no questions about local mail, so its
  // kLocal stays 0.
  const std::array<std::array<HookEvidence, kSources>, kMtas>& evidence() const {
    return evidence_;
  }

 private:
  using Totals = std::map<std::string, int64_t>;

  void LookAtLog(const BlindFacts::Log& log, const Totals& hour, std::vector<BlindAlarm>* alarms);
  static void LookAtCharge(const BlindFacts& facts, const Totals& hour,
                           std::vector<BlindAlarm>* alarms);
  static void LookAtSilence(const BlindFacts& facts, const Totals& hour,
                            std::vector<BlindAlarm>* alarms);
  void LookAtHook(const BlindFacts& facts, const Totals& hour, std::vector<BlindAlarm>* alarms);
  static void LookAtSmartHost(const BlindFacts& facts, std::vector<BlindAlarm>* alarms);

  std::deque<std::pair<absl::Time, Totals>> past_;  // one every few minutes, oldest first
  std::array<std::array<HookEvidence, kSources>, kMtas> evidence_ = {};
  // Lines that each log had before it was read to its end; they may belong to a copy.
  std::map<std::string, int64_t> old_lines_;
};

Json BlindJson(const std::vector<BlindAlarm>& alarms);  // [{kind, what, remedy}]

// {"exim_submission": {accepted, asked}, ...} of the last hour.
Json EvidenceJson(const BlindWatch& watch);

// "exim_submission", "postfix_relay" ...
std::string EvidenceName(Mta mta, Source source);

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_BLIND_WATCH_H_
