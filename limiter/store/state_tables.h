// Everything that is stored but for the ledger: into its tables, and out of them again.

#ifndef DEFERD_LIMITER_STORE_STATE_TABLES_H_
#define DEFERD_LIMITER_STORE_STATE_TABLES_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/store/local_store.h"
#include "limiter/store/sqlite.h"

namespace deferd {

// Every open message with its source, by source and arrival. Stops at the first error.
absl::Status ForEachOpenMessage(
    Database* db, absl::FunctionRef<absl::Status(std::string source, OpenMessage message)> use);

// Prepared statements are kept, as a commit comes many times a second. Must not outlive `db`.
class StateTables {
 public:
  static absl::StatusOr<StateTables> Open(Database* db);

  // Within a transaction.
  absl::Status Write(const StoreBatch& batch);
  absl::Status Load(StateVisitor* visitor);

 private:
  // The table of a kind of StoredText.
  struct TextTable {
    Statement put;
    Statement forget;
  };

  explicit StateTables(Database* db) : db_(db) {}
  absl::Status Prepare();
  absl::Status Write(const std::vector<StoredText>& texts, TextTable* table);
  absl::Status WritePosition(const SourcePosition& source);
  absl::Status WriteOpenMessage(const StoredOpenMessage& open);
  absl::Status WriteWindow(const StoredWindow& window);
  absl::Status WriteEvents(const std::vector<StoredCaseEvent>& events);

  absl::Status LoadPositions(StateVisitor* visitor);
  absl::Status LoadOpenMessages(StateVisitor* visitor);
  absl::Status LoadWindows(StateVisitor* visitor, bool left_out);
  absl::Status LoadEvents(StateVisitor* visitor);

  Database* db_;
  TextTable contributions_, clearings_, places_, cases_, receipts_, notices_, facts_;
  Statement put_log_, forget_files_, put_file_;
  Statement put_open_, forget_open_;
  struct WindowTable {
    Statement put;
    Statement forget;
  };
  WindowTable windows_, left_out_;
  Statement put_event_, forget_events_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_STORE_STATE_TABLES_H_
