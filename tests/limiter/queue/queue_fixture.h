// A mail server's queue behind a root helper, and what deferd's log knows of the messages in it.

#ifndef DEFERD_TESTS_LIMITER_QUEUE_QUEUE_FIXTURE_H_
#define DEFERD_TESTS_LIMITER_QUEUE_QUEUE_FIXTURE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "limiter/localrpc/queue_list.h"
#include "limiter/port/mutex.h"
#include "limiter/queue/mail_queue.h"
#include "tests/limiter/limiter_fixture.h"

namespace deferd {

class QueueFixture : public testing::Test {
 protected:
  // A message of `login` (empty: the log does not know the message) in the mail server's queue.
  void Queue(const std::string& id, const std::string& login, bool held = false) {
    {
      MutexLock lock(&mutex_);
      queue_[id] = {.id = id,
                    .held = held,
                    .ours = held,
                    .sender = login.empty() ? "web@mx.example" : login,
                    .recipients = {"ann@far.example"}};
    }
    if (!login.empty()) Arrived(id, {.sender = login, .login = login, .host = "192.0.2.1"});
  }
  void Arrived(const std::string& id, const Identity& identity,
               absl::Duration at = absl::ZeroDuration(), const std::string& source = "mainlog") {
    StoreBatch batch;
    batch.open_messages.push_back({source, id, OpenMessage{{id, At(at)}, identity, {}}});
    Commit(batch);
  }
  // A line of the ledger about the message.
  void Logged(const std::string& id, Outcome outcome, const std::string& recipient,
              const std::string& reply = "", LeftOut left_out = LeftOut::kCounts,
              const std::string& mail_subject = "", const std::string& reply_class = "") {
    LedgerRow row;
    row.time = At(absl::Seconds(++rows_));
    row.row = LedgerRowKey(row.time, rows_);
    row.message_id = id;
    row.outcome = outcome;
    row.recipient = recipient;
    row.reply = reply;
    row.left_out = left_out;
    row.mail_subject = mail_subject;
    row.reply_class = reply_class;
    StoreBatch batch;
    batch.ledger.push_back(row);
    Commit(batch);
  }
  Case Block(const std::string& domain) {
    Case record;
    record.id = absl::StrCat("n-1-", ++cases_made_);
    record.subject = {SubjectKind::kDomain, domain};
    record.since = kMorning;
    record.until = kMorning + absl::Hours(2);
    record.min_bad = 5;
    record.percent_limit = 50;
    record.action.by_source.fill(Verdict::kHold);
    cases_.Put(CaseChange::kOpened, kMorning, record);
    return record;
  }

  // The requests that changed anything, as "VERB id id".
  std::vector<std::string> Ordered() {
    MutexLock lock(&mutex_);
    return std::exchange(ordered_, {});
  }
  // The helper cannot be reached, or does not carry out orders about one message.
  void SetAway(bool away) {
    MutexLock lock(&mutex_);
    away_ = away;
  }
  void Refuse(const std::string& id, const std::string& why) {
    MutexLock lock(&mutex_);
    refused_[id] = why;
  }
  // The senders that the helper's table has deferred.
  Json Deferred() {
    MutexLock lock(&mutex_);
    return deferred_;
  }
  // What was recorded in the ledger, as "ID outcome: words".
  std::vector<std::string> Recorded() {
    MutexLock lock(&mutex_);
    return recorded_;
  }

  MailQueue::Parts Parts() {
    return {.helpers = {"/helper"},
            .ledger = store_->NewReader(),
            .clock = &clock_,
            .settings = [this] { return settings_; },
            .receipt = [this](const Case&) { return receipt_; },
            .record = [this](std::unique_ptr<EventBatch> batch) { Keep(*batch); }};
  }

  ManualClock clock_{kMorning + absl::Minutes(1)};
  Settings settings_{LimiterFixture::ParsedPolicy(""), std::make_shared<ChargeLists>()};
  CaseTable cases_;
  HeldMail held_;
  std::optional<Receipt> receipt_;
  std::unique_ptr<LocalStore> store_ = NewMemoryStore("0badcafe", {});
  MailQueue mail_queue_{Parts(),
                        [this](const std::string&, const std::string& verb, const Json& args,
                               absl::Duration) { return Answer(verb, args); }};

 private:
  void Commit(const StoreBatch& batch) {
    const absl::Status stored = store_->Commit(batch);
    EXPECT_TRUE(stored.ok()) << stored;
  }

  void Keep(const EventBatch& batch) {
    MutexLock lock(&mutex_);
    for (size_t i = 0; i < batch.size(); ++i) {
      const Attempt& one = batch[i].attempt;
      recorded_.push_back(
          absl::StrCat(one.message.id, " ", OutcomeName(one.outcome), ": ", one.reply));
    }
  }

  // Does what it is ordered, as a mail server would.
  absl::StatusOr<Json> Answer(const std::string& verb, const Json& args) {
    MutexLock lock(&mutex_);
    if (away_) return absl::UnavailableError("the helper is away");
    if (verb == "list") {
      std::vector<QueuedMail> queue;
      for (const auto& [id, mail] : queue_) queue.push_back(mail);
      return QueueToJson(queue);
    }
    if (verb == "defer") {
      deferred_ = args;
      return Json{{"table", "/table"}};
    }
    std::string order = verb;
    Json not_done = Json::object();
    for (const Json& one : args.value("ids", Json::array())) {
      const auto id = one.get<std::string>();
      absl::StrAppend(&order, " ", id);
      const auto refused = refused_.find(id);
      if (refused != refused_.end()) {
        not_done[id] = refused->second;
      } else if (verb == "hold") {
        queue_[id].held = queue_[id].ours = true;
      } else if (verb == "release" || verb == "give_back") {
        queue_.erase(id);
      }
    }
    if (args.contains("id")) absl::StrAppend(&order, " ", args["id"].get<std::string>());
    ordered_.push_back(order);
    return Json{{"not_done", not_done}};
  }

  Mutex mutex_;  // the keeper's thread calls the helper
  std::map<std::string, QueuedMail> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> refused_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> ordered_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> recorded_ ABSL_GUARDED_BY(mutex_);
  Json deferred_ ABSL_GUARDED_BY(mutex_);
  bool away_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t rows_ = 0;
  int cases_made_ = 0;
};

}  // namespace deferd

#endif  // DEFERD_TESTS_LIMITER_QUEUE_QUEUE_FIXTURE_H_
