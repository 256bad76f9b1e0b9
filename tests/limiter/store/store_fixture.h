// What the tests of stores share: everything a store holds as one value, random batches, and a
// folder that is removed.

#ifndef DEFERD_TESTS_LIMITER_STORE_STORE_FIXTURE_H_
#define DEFERD_TESTS_LIMITER_STORE_STORE_FIXTURE_H_

#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "limiter/store/local_store.h"

namespace deferd {

inline constexpr char kNode[] = "0a1b2c3d";

// 2026-11-22 12:00:00 UTC.
absl::Time Noon();

// A folder in the test's temporary folder, for one test.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What Load gives.
class StoreContents : public StateVisitor {
 public:
  absl::Status OnPosition(SourcePosition position) override;
  absl::Status OnOpenMessage(std::string source, OpenMessage message) override;
  absl::Status OnWindow(StoredWindow window) override;
  absl::Status OnContribution(StoredText contribution) override;
  absl::Status OnClearing(StoredText clearing) override;
  absl::Status OnPlace(StoredText place) override;
  absl::Status OnCase(StoredText record) override;
  absl::Status OnEvent(StoredCaseEvent event) override;
  absl::Status OnNotice(StoredText notice) override;
  absl::Status OnFact(StoredText fact) override;

  std::map<std::string, LogPosition> positions;
  std::vector<std::pair<std::string, OpenMessage>> open_messages;
  std::map<std::tuple<SubjectKind, std::string, int64_t>, std::string> windows, left_out;
  std::map<std::string, std::string> contributions, clearings, places, cases, notices, facts;
  std::vector<std::pair<absl::Time, std::string>> events;
  std::vector<std::string> order;  // "fact", "position", ... as they came

  // All that is stored, without the order.
  friend bool operator==(const StoreContents& a, const StoreContents& b) {
    return a.positions == b.positions && a.open_messages == b.open_messages &&
           a.windows == b.windows && a.left_out == b.left_out && a.places == b.places &&
           a.contributions == b.contributions && a.clearings == b.clearings && a.cases == b.cases &&
           a.notices == b.notices && a.facts == b.facts && a.events == b.events;
  }
};

StoreContents ContentsOf(LocalStore* store);

// All rows that `query` finds, page by page.
std::vector<LedgerRow> FindAll(LocalStore* store, LedgerQuery query = {});

// Whether both hold the same, rows and receipts of `cases` too; says where they differ.
void ExpectSame(LocalStore* a, LocalStore* b);

// Batches as a daemon might commit them, and worse: odd bytes, times out of order. The same seed
// gives the same batches. Few names, so that later batches change what earlier ones stored.
class RandomBatches {
 public:
  explicit RandomBatches(unsigned seed) : random_(seed) {}

  StoreBatch Next(int max_rows = 20);
  LedgerRow Row();
  LedgerQuery Query();
  absl::Time now() const { return now_; }

  int Below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

 private:
  std::string Name(const char* prefix, int among);
  std::string OddText();
  absl::Time Time();

  std::mt19937 random_;
  absl::Time now_ = Noon();
  int64_t rows_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_STORE_STORE_FIXTURE_H_
