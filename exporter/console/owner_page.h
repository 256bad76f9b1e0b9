// The owner's page: what the owner of a blocked subject sees through a signed link (owner_link.h),
// without a log-in. It shows one case, and of the messages only those that the subject itself sent.
//
// Whoever has the link sees the page. It shows what a token for the subject's domain would see
// (Caller), never who of the administrators did what. A link whose signature is wrong, that has
// expired or was revoked, or whose case is unknown or ended more than kGrace ago opens nothing, and
// all of these are answered alike.
//
// Where the rule says `owner_release`, the owner may end the block once a day, unless what is known
// or not known forbids it (limiter/admin/owner_evidence.h); the record says that "owner" did. A GET
// changes nothing, so that programs that follow links in mail release nobody.
//
// No sockets. Not thread-safe: called on the HTTP server's thread; what reads or changes something
// is left to a worker (HttpReply::work).

#ifndef DEFERD_EXPORTER_CONSOLE_OWNER_PAGE_H_
#define DEFERD_EXPORTER_CONSOLE_OWNER_PAGE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "exporter/api/caller.h"
#include "exporter/api/owner_link.h"
#include "exporter/api/rate.h"
#include "exporter/http_server.h"
#include "limiter/cases/case.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "policy/policy.h"

namespace deferd {

// Who has done what is done through the page, in the record.
inline constexpr char kOwnerName[] = "owner";

// The cases of which a request is in work: one of each, so that no owner keeps the others waiting.
// Safe from any thread.
class BusyCases : public std::enable_shared_from_this<BusyCases> {
 public:
  // Ends when the last copy of the result does; null: one is in work.
  std::shared_ptr<void> Begin(const std::string& id);

 private:
  void End(const std::string& id);

  Mutex mutex_;
  absl::flat_hash_set<std::string> ids_ ABSL_GUARDED_BY(mutex_);
};

class OwnerPage {
 public:
  static constexpr absl::Duration kGrace = absl::Hours(24);         // after the end of the case
  static constexpr absl::Duration kReleaseEvery = absl::Hours(24);  // of a subject

  struct Parts {
    const OwnerLinks* links = nullptr;
    const Clock* clock = nullptr;
    const Caller* caller = nullptr;  // for what is shown
    std::function<std::optional<Case>(const std::string& id)> find_case;
    std::function<std::shared_ptr<const Policy>()> policy;
    // When the subject's owner last ended a block; InfinitePast: never.
    std::function<absl::Time(const Subject& subject)> last_release;
    // Why the owner may not end a block that the rule lets owners end, as a clause; empty: nothing
    // forbids it.
    std::function<std::string(const Case& record, absl::Time now)> why_not;
    // Ends the case, if it is still the one that blocks the subject.
    std::function<absl::Status(const Case& record)> release;
  };

  explicit OwnerPage(Parts parts);

  // Whether the page answers for this path.
  static bool Has(absl::string_view path);
  HttpReply Answer(const HttpRequest& request);

 private:
  HttpReply AnswerLink(const HttpRequest& request);

  const std::shared_ptr<const Parts> parts_;  // workers may outlive a request
  Bucket strangers_;
  absl::flat_hash_map<std::string, Bucket> cases_;  // by id
  const std::shared_ptr<BusyCases> busy_ = std::make_shared<BusyCases>();
};

}  // namespace deferd

#endif  // DEFERD_EXPORTER_CONSOLE_OWNER_PAGE_H_
