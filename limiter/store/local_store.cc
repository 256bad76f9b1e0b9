#include "limiter/store/local_store.h"

namespace deferd {

bool StoreBatch::empty() const {
  return positions.empty() && open_messages.empty() && windows.empty() && contributions.empty() &&
         clearings.empty() && places.empty() && cases.empty() && receipts.empty() &&
         events.empty() && facts.empty() && ledger.empty();
}

}  // namespace deferd
