// Attempts over time and by destination, out of the ledger: what the plots and the page of
// destinations show.
//
// Both look at a bounded number of rows, the newest first; `all` is false where there were more.
// Only what the ledger of this node holds; an attempt is a row, so a retry is another. Called like
// Track.

#ifndef DEFERD_LIMITER_ADMIN_HISTORY_H_
#define DEFERD_LIMITER_ADMIN_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "limiter/admin/row_pass.h"
#include "limiter/admin/track.h"
#include "limiter/localrpc/json.h"

namespace deferd {

// Arguments: `subject` (absent: all), `since` (default 24h), `steps` (1 to 240, default 48), `by`
// ("subject" or absent). {since, until, step_seconds, all, delivered, deferred, failed}: lists of
// one number a step, the oldest first. By subject: {since, until, step_seconds, all, subjects:
// {NAME: {deferred, failed}}}, of those with bad attempts; `domains`: only of these (Confines).
absl::StatusOr<Json> History(const LedgerSearch& search, const Json& args, absl::Time now);

// One subject's, in a pass through its rows. It must outlive the pass.
class SubjectHistory {
 public:
  static constexpr absl::Duration kUsualTime = absl::Hours(24);
  static constexpr size_t kUsualSteps = 48;

  SubjectHistory(absl::Time since, absl::Time until, size_t steps);
  // `subject` as Subject::ToString, or "" for all.
  void JoinIn(const std::string& subject, RowPass* pass);
  Json ToJson() const;  // after the pass

 private:
  const absl::Time since_, until_;
  std::vector<int64_t> delivered_, deferred_, failed_;
  const bool* all_ = nullptr;
};

// Arguments: `since` (default 1h), `limit` (default 50; 0: all). {since, until, all, rows [{name,
// provider, delivered, deferred, failed, answers [{class, count, names_us, sample}]}]}: receiving
// organisations by their MX hosts, the most bad attempts first. `names_us`: the answer is about our
// own address or server.
absl::StatusOr<Json> Destinations(const LedgerSearch& search, const Json& args, absl::Time now);

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_HISTORY_H_
