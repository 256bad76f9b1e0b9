// Several searches for rows about one subject, made in one way through them: a busy domain's rows
// are far apart on the disk, and each is fetched once.
//
// Add what is to be looked at, then Run. Each search finds what it would find alone. Confined to
// one thread.

#ifndef DEFERD_LIMITER_ADMIN_ROW_PASS_H_
#define DEFERD_LIMITER_ADMIN_ROW_PASS_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "limiter/admin/track.h"
#include "limiter/store/ledger_filter.h"

namespace deferd {

class RowPass {
 public:
  // `subject` as Subject::ToString.
  explicit RowPass(std::string subject) : subject_(std::move(subject)) {}

  // Calls `look` with each row that matches `query`, the newest first, and `most` of them at most.
  // The query's `subject` or `domain` is the pass's subject, and it names its outcomes. The result
  // becomes false if there are more rows than `most`; it lives as long as the pass.
  const bool* Add(const LedgerQuery& query, size_t most,
                  std::function<void(const LedgerRow&)> look);

  // An error of the search; what was looked at before is then not the whole.
  absl::Status Run(const LedgerSearch& search);

 private:
  struct Look {
    LedgerQuery query;
    LedgerFilter filter;
    size_t most;
    std::function<void(const LedgerRow&)> look;
    size_t looked = 0;
    bool all = true;
  };

  // Narrows `query` to the next time that somebody looks at, before `query->until`; false: none.
  bool NextSpan(LedgerQuery* query) const;
  void Show(const LedgerRow& row);

  const std::string subject_;
  std::deque<Look> looks_;
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_ADMIN_ROW_PASS_H_
