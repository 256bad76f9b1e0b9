// What all nodes share: each node's rows, the cases, and the list of nodes.
//
// A state, not a change: a node writes its whole window of a subject as one row with a version, a
// case as one record with a revision, and the newer one wins. So anything may be sent again, late
// or twice, and a reader adds the newest row of every node. The store knows no rule and no policy;
// rows are window_row.h's bytes, the text of a case is its sender's.
//
// One blocking interface over one connection; confined to one thread. Each call takes at most about
// the deadline (FollowCases: its wait besides). Every error carries its trouble
// (shared_trouble.h). After kGone and kSlow there is no connection until Connect makes a new one: a
// lost answer says nothing about whether the command was run. Before Connect every call fails.

#ifndef DEFERD_LIMITER_STORE_SHARED_STORE_H_
#define DEFERD_LIMITER_STORE_SHARED_STORE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "limiter/cases/case.h"
#include "limiter/store/shared_trouble.h"
#include "policy/subject.h"

namespace deferd {

struct SharedStoreOptions {
  std::string node;  // whose rows are put
  absl::Duration deadline = absl::Milliseconds(250);
};

// Which window, and which of its counters: none, the counts of all outcomes; a class of answers, by
// its name; or the distinct recipients of what was bad, as a whole or with the class of the answer
// in the number of each.
struct RowKey {
  static constexpr char kRecipients[] = "recipients";
  static constexpr char kRecipientsByClass[] = "recipients_by_class";
  bool IsOfRecipients() const { return counter == kRecipients || counter == kRecipientsByClass; }

  Subject subject;
  absl::Duration window;
  std::string counter;

  friend bool operator==(const RowKey&, const RowKey&) = default;
};

struct RowPut {
  RowKey key;
  double version = 0;  // that of `row`
  std::string row;
};

// The row of one node.
struct SharedRow {
  std::string node;
  std::string row;

  friend bool operator==(const SharedRow&, const SharedRow&) = default;
};

// All nodes' rows of one key, in no order, or why they are not known.
struct RowAnswer {
  absl::Status status;
  std::vector<SharedRow> rows;
  bool crowded = false;  // more than kMostRows: of PutRows, `rows` is then this node's own alone
};

// Beyond these, and kMostRev of a case, a value was made by no deferd: it counts as none, and the
// next put replaces it.
inline constexpr double kMostVersion = 2251799813685248.0;  // 2^51, of a row
inline constexpr size_t kMostRows = 1'000;                  // nodes that can have one of a key

// The newest case of a subject.
struct SharedCase {
  Subject subject;
  bool shadow = false;
  int64_t rev = 0;      // kDamaged: what is stored can be nobody's
  bool manual = false;  // a person's decision
  std::string text;
  // Of one to put: the rev of the stored one that it was made in knowledge of. A greater one is
  // there: not written. kNotSeen, as older versions put: the greater rev is written, and at the
  // same rev a person's decision.
  int64_t seen = kNotSeen;

  static constexpr int64_t kDamaged = -1;
  static constexpr int64_t kNotSeen = -1;

  // As stored.
  friend bool operator==(const SharedCase& a, const SharedCase& b) {
    return a.subject == b.subject && a.shadow == b.shadow && a.rev == b.rev &&
           a.manual == b.manual && a.text == b.text;
  }
};

struct CasePutAnswer {
  bool written = false;
  SharedCase now;  // the one that is there now: the one put, or the one that was better
};

struct CasesFollowed {
  std::string last;  // where to go on
  std::vector<SharedCase> cases;
};

// Who says that it is there: one of the list of nodes.
struct NodeClaim {
  std::string session;  // of this daemon's run
  // What cannot be had twice, such as the state directory's identity: a claim of the same holder is
  // of a run before, which is over.
  std::string holder;
  std::vector<std::string> logs;  // what it reads; no two nodes may read the same
  std::string record;             // a JSON object for people, shown on every node
};

struct NodeRecord {
  std::string node;
  absl::Time seen;  // by the store's clock
  std::string record;
};

struct Beat {
  absl::Time server_time;
  std::string generation;  // another one: the store was emptied, or is another one
  std::vector<NodeRecord> nodes;
  absl::Status missing;  // of a store that is several: the trouble of one that was not heard
};

class SharedStore {
 public:
  // A node that was seen within this time is there.
  static constexpr absl::Duration kLive = absl::Seconds(10);

  virtual ~SharedStore() = default;

  // Ends the connection that there was, and makes a new one to whoever may be written to.
  virtual absl::Status Connect() = 0;
  virtual bool connected() const = 0;

  // Puts this node's rows and gives all nodes' rows back, in the order of `puts`. An older version
  // than the one that is there changes nothing. The status is that of the connection; each answer
  // has its own.
  virtual absl::StatusOr<std::vector<RowAnswer>> PutRows(absl::Span<const RowPut> puts) = 0;
  virtual absl::StatusOr<std::vector<RowAnswer>> ReadRows(absl::Span<const RowKey> keys) = 0;
  // Every key of windows of this length. May tell some twice.
  virtual absl::Status ForEachKey(absl::Duration window,
                                  absl::FunctionRef<void(std::vector<RowKey>)> tell) = 0;

  // Takes out the rows of all nodes but these.
  virtual absl::Status DropOtherRows(const RowKey& key, const std::vector<std::string>& nodes) = 0;

  virtual absl::StatusOr<CasePutAnswer> PutCase(const SharedCase& record) = 0;
  virtual absl::StatusOr<std::vector<SharedCase>> ReadCases() = 0;
  // Those that ReadCases and FollowCases left out since the last call, since they can be nobody's:
  // of rev kDamaged, without text; the subject is as the store names it.
  virtual std::vector<SharedCase> TakeDamagedCases() { return {}; }
  // Takes it out unless there is a greater rev.
  virtual absl::Status DropCase(const Subject& subject, bool shadow, int64_t rev) = 0;

  // By the clock of the heartbeats. Works also where nothing may be written.
  virtual absl::StatusOr<absl::Time> ReadTime() = 0;

  // Where the stream of cases ends now.
  virtual absl::StatusOr<std::string> LastCase() = 0;
  // The cases that were put after `last`; waits for the first up to `wait`.
  virtual absl::StatusOr<CasesFollowed> FollowCases(absl::string_view last,
                                                    absl::Duration wait) = 0;

  // This node's part of a case's receipt, and all nodes' parts (node, text).
  virtual absl::Status PutReceipt(const Subject& subject, absl::string_view case_id,
                                  absl::string_view text, absl::Duration keep) = 0;
  virtual absl::StatusOr<std::vector<SharedRow>> ReadReceipt(const Subject& subject,
                                                             absl::string_view case_id) = 0;

  // Says that this node is there, and learns who else is. kClaimed, and nothing said, if another
  // live daemon has this node's name or one of its logs; the text names it.
  virtual absl::StatusOr<Beat> SayBeat(const NodeClaim& claim) = 0;
  // Takes this node's name out of the list, if it is this session's.
  virtual absl::Status SayEnd(absl::string_view session) = 0;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_SHARED_STORE_H_
