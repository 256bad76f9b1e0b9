// A reader of the ledger whose calls do not wait for each other: each takes a reader of its own.
//
// Keeps as many readers as there were calls at once, which are few: one thread of the admin
// sockets, and the HTTP API's workers. Safe from any thread.

#ifndef DEFERD_LIMITER_APP_READER_POOL_H_
#define DEFERD_LIMITER_APP_READER_POOL_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "limiter/port/mutex.h"
#include "limiter/store/local_store.h"

namespace deferd {

class ReaderPool : public LedgerReader {
 public:
  using NewReader = std::function<std::unique_ptr<LedgerReader>()>;

  explicit ReaderPool(NewReader new_reader) : new_reader_(std::move(new_reader)) {}

  absl::StatusOr<LedgerPage> Search(const LedgerQuery& query) override {
    return Lent(this)->Search(query);
  }
  absl::StatusOr<absl::Time> OldestTime() override { return Lent(this)->OldestTime(); }
  absl::StatusOr<absl::Time> ForgottenUntil() override { return Lent(this)->ForgottenUntil(); }
  absl::StatusOr<std::string> Receipt(absl::string_view case_id) override {
    return Lent(this)->Receipt(case_id);
  }
  absl::StatusOr<std::vector<OpenMessage>> OpenMessages(
      const absl::flat_hash_set<std::string>& ids) override {
    return Lent(this)->OpenMessages(ids);
  }

 private:
  // One of the readers, until its end.
  class Lent {
   public:
    explicit Lent(ReaderPool* pool) : pool_(pool), reader_(pool->Take()) {}
    ~Lent() { pool_->GiveBack(std::move(reader_)); }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    LedgerReader* operator->() const { return reader_.get(); }

   private:
    ReaderPool* const pool_;
    std::unique_ptr<LedgerReader> reader_;
  };

  std::unique_ptr<LedgerReader> Take() {
    {
      MutexLock lock(&mutex_);
      if (!free_.empty()) {
        std::unique_ptr<LedgerReader> reader = std::move(free_.back());
        free_.pop_back();
        return reader;
      }
    }
    return new_reader_();
  }
  void GiveBack(std::unique_ptr<LedgerReader> reader) {
    MutexLock lock(&mutex_);
    free_.push_back(std::move(reader));
  }

  const NewReader new_reader_;
  Mutex mutex_;
  std::vector<std::unique_ptr<LedgerReader>> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace deferd

#endif  // DEFERD_LIMITER_APP_READER_POOL_H_
