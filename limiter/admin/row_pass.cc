#include "limiter/admin/row_pass.h"

#include <algorithm>
#include <utility>

namespace deferd {

namespace {

constexpr size_t kPassPage = 5'000;

}  // namespace

const bool* RowPass::Add(const LedgerQuery& query, size_t most,
                         std::function<void(const LedgerRow&)> look) {
  looks_.push_back({query, LedgerFilter(query, ""), most, std::move(look)});
  return &looks_.back().all;
}

// Searches lie apart where one is of a block that began days ago; nobody looks at what is between.
bool RowPass::NextSpan(LedgerQuery* query) const {
  const absl::Time before = query->until;
  query->until = query->since = absl::InfinitePast();
  query->outcomes.clear();
  for (const Look& one : looks_) {
    if (!one.all || one.query.since >= before) continue;
    query->until = std::max(query->until, std::min(one.query.until, before));
  }
  if (query->until == absl::InfinitePast()) return false;
  query->since = query->until;
  for (bool wider = true; wider;) {
    wider = false;
    for (const Look& one : looks_) {
      const bool reaches = one.query.until >= query->since && one.query.since < query->since;
      if (!one.all || !reaches) continue;
      query->since = one.query.since;
      wider = true;
    }
  }
  for (const Look& one : looks_) {
    if (!one.all || one.query.until <= query->since) continue;
    query->outcomes.insert(query->outcomes.end(), one.query.outcomes.begin(),
                           one.query.outcomes.end());
  }
  return true;
}

void RowPass::Show(const LedgerRow& row) {
  for (Look& one : looks_) {
    if (!one.all || !one.filter.Matches(row)) continue;
    if (one.looked == one.most) {
      one.all = false;
      continue;
    }
    ++one.looked;
    one.look(row);
  }
}

absl::Status RowPass::Run(const LedgerSearch& search) {
  LedgerQuery query;
  query.about = subject_;
  query.limit = kPassPage;
  while (NextSpan(&query)) {
    absl::StatusOr<LedgerPage> page = search(query);
    if (!page.ok()) return page.status();
    for (const LedgerRow& row : page->rows) Show(row);
    if (page->next != 0) {
      query.before = page->next;
    } else {
      query.until = query.since;
    }
  }
  return absl::OkStatus();
}

}  // namespace deferd
