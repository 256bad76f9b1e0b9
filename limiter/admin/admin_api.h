// The verbs that a running daemon answers.
//
// Arguments and results are the JSON that `deferctl --json` shows; deferctl prints its pages from
// the same values (admin_pages.h). Where a verb takes a subject it takes the id of one of its
// cases, too: a refusal can name the case to its reader. Thread-safe, if its parts are: the admin
// door and the HTTP API's workers call it at once. Everything it works on must outlive it.

#ifndef DEFERD_LIMITER_ADMIN_ADMIN_API_H_
#define DEFERD_LIMITER_ADMIN_ADMIN_API_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "limiter/admin/shadow.h"
#include "limiter/admin/track.h"
#include "limiter/admin/why.h"
#include "limiter/cases/case_table.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/committer.h"
#include "limiter/limiter.h"
#include "limiter/localrpc/json.h"
#include "limiter/port/clock.h"
#include "limiter/port/mutex.h"
#include "limiter/port/socket_server.h"

namespace deferd {

// What a call does to deferd and the mail: it changes something, or it reads only. The readers'
// socket answers calls that read. 0 is the careful one.
enum class VerbRole { kChanges, kReads };

// Which calls a socket answers.
enum class AdminAccess { kReaders, kEverything };

class AdminApi {
 public:
  // The mail that is held for a subject's case. All empty: there is no helper.
  struct HeldParts {
    // {"messages", "sample"} or {"problem"}.
    std::function<Json(const Subject&)> of;
    // Why so many messages of the case, which has ended, stay until a person decides; empty: they
    // leave by themselves.
    std::function<std::string(const Case& ended, int64_t messages)> stays_for;
    // All that the last look at the queue found, as in `status`.
    std::function<Json()> seen;
    // StopParts::postfix_defers.
    std::function<bool()> postfix_defers;
  };

  struct Parts {
    const Limiter* limiter = nullptr;
    Committer* committer = nullptr;  // takes a person's decisions
    const CaseTable* cases = nullptr;
    const Gate* gate = nullptr;
    const Freshness* freshness = nullptr;
    const Clock* clock = nullptr;
    std::function<Json()> status;  // the daemon's own account of itself
    std::function<Json()> policy;  // {path, hash, loaded, toml}
    // What the policy of this text would have done with the last day; empty: unknown here.
    std::function<absl::StatusOr<Json>(const std::string& toml)> try_policy;
    // `force`: without the guard (reload_guard).
    std::function<absl::Status(bool force)> reload;
    LedgerSearch search;
    // Stores a person's decision for good. An error is no failure of the verb: the decision holds
    // in memory, and the answer says so.
    std::function<absl::Status()> save;
    std::function<std::optional<Receipt>(const Case&)> receipt;  // a case's evidence
    LedgerReader* ledger = nullptr;                              // for counting it again
    // Counts attempts that somebody else saw, and stores them for good.
    std::function<absl::Status(const EventBatch&)> record;
    // The verb `queue`, asked by that person; empty: there is no helper.
    std::function<absl::StatusOr<Json>(const Json& args, const std::string& person)> queue;
    // The verb `token`: who may use the HTTP API. Empty: there are no tokens.
    std::function<absl::StatusOr<Json>(const Json& args, const std::string& person)> token;
    // The verb `link`, of the owner's page.
    std::function<absl::StatusOr<Json>(const Json& args, const std::string& person)> link;
    // The verb `notice`; empty: the daemon has none.
    std::function<absl::StatusOr<Json>(const Json& args)> notice;
    // What changed after the event of that number, oldest first; empty: nothing keeps that.
    std::function<Json(int64_t after)> events;
    HeldParts held;
    // Where nodes share; all three may be empty. Waits a moment until other nodes can know of the
    // subject's case; an error is no failure of the verb, the answer says so.
    std::function<absl::Status(const Subject&)> share;
    // Whether the other nodes' cases have been read, and heard of lately.
    std::function<bool()> cases_known;
    // Reads all nodes' counts of the subject, of all subjects where it is null.
    std::function<void(const Subject*)> refresh;
  };

  explicit AdminApi(Parts parts) : parts_(std::move(parts)) {}

  // The marks that were stored (Committer::remembered). Before the first verb.
  void RestoreMarks(const std::map<std::string, int64_t>& remembered);

  // PermissionDenied if the call changes something and `access` is kReaders.
  absl::StatusOr<Json> Handle(const std::string& verb, const Json& args, const Peer& peer,
                              AdminAccess access = AdminAccess::kEverything) const;

  // The table of verbs. A verb whose calls differ in their role has a row for each value of "do"
  // that is named, and one without for all others.
  struct VerbInfo {
    absl::string_view name;
    absl::string_view action;
    VerbRole role;
  };
  static std::vector<VerbInfo> Verbs();

 private:
  struct Verb;
  static const Verb kVerbs[];

  absl::StatusOr<Json> Status(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Check(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Why(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> WhoseCase(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Blocks(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Block(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Unblock(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Exempt(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Shadow(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Incidents(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Top(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> ShowPolicy(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> TryPolicy(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Reload(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Notices(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Queue(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Token(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> OwnerLink(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> RecordAttempts(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Forget(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> SentStats(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> TrackDelivery(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> OverTime(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> ByDestination(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> ExplainAnswer(const Json& args, const Peer& peer) const;
  absl::StatusOr<Json> Changes(const Json& args, const Peer& peer) const;

  // InvalidArgument for a name that nobody can send as, unless it was seen.
  absl::Status CheckBlockable(const Subject& subject, const Peer& peer) const;
  WhyParts PartsOfWhy() const;
  // The arguments with the subject of a case in place of the case's id, which becomes `named_case`.
  // NotFound: what has the form of such an id is none.
  absl::StatusOr<Json> WithSubjectOfCase(const std::string& verb, const Json& args) const;
  Json AsCharged(const Json& args) const;
  bool CasesKnown() const { return !parts_.cases_known || parts_.cases_known(); }
  // `cases_known`: before it was looked for.
  absl::Status NothingToEnd(const Subject& subject, absl::Status nothing, bool cases_known) const;
  // Adds not_saved and not_shared to what is told of the case.
  Json Saved(const Case& record, Json json) const;
  // The case as JSON, once it is stored, or with `not_saved` saying why it is not.
  Json Saved(const Case& record) const;

  const Parts parts_;
  mutable Mutex marks_mutex_;
  mutable ShadowMarks marks_ ABSL_GUARDED_BY(marks_mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_ADMIN_API_H_
