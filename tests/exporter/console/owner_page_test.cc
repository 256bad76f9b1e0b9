// The owner's page over a limiter that holds two customers.

#include "exporter/console/owner_page.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "exporter/console/html.h"
#include "gmock/gmock.h"
#include "limiter/admin/admin_api.h"
#include "limiter/admin/owner_evidence.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using absl::Minutes;
using testing::HasSubstr;
using testing::Not;

constexpr char kOwnerPolicy[] =
    "[rule.r]\nmin_bad = 3\npercent = 50\nblock_for = \"30d\"\nowner_release = true\n";
constexpr char kFull[] = "452 4.2.2 mailbox full";
constexpr char kSpam[] = "550 5.7.1 Message rejected as spam";
constexpr char kUnknown[] = "550 5.1.1 User unknown";

// A ledger that has lost something.
class LossyLedger : public LedgerReader {
 public:
  explicit LossyLedger(LedgerReader* reader) : reader_(reader) {}

  absl::StatusOr<LedgerPage> Search(const LedgerQuery& query) override {
    absl::StatusOr<LedgerPage> page = reader_->Search(query);
    if (page.ok() && without_class_ && !page->rows.empty()) page->rows[0].reply_class.clear();
    return page;
  }
  absl::StatusOr<absl::Time> OldestTime() override { return oldest_; }
  absl::StatusOr<absl::Time> ForgottenUntil() override { return forgotten_; }
  absl::StatusOr<std::string> Receipt(absl::string_view case_id) override {
    return reader_->Receipt(case_id);
  }
  absl::StatusOr<std::vector<OpenMessage>> OpenMessages(
      const absl::flat_hash_set<std::string>& ids) override {
    return reader_->OpenMessages(ids);
  }

  bool without_class_ = false;
  absl::Time oldest_ = absl::InfinitePast();
  absl::Time forgotten_ = absl::InfinitePast();

 private:
  LedgerReader* const reader_;
};

class OwnerPageTest : public testing::Test, protected LimiterFixture {
 protected:
  explicit OwnerPageTest(const std::string& policy = kOwnerPolicy)
      : LimiterFixture(policy, At(Minutes(2))),
        gate_(cases_.get(), &freshness_, &clock_, limiter_->settings()),
        daemon_({.limiter = limiter_.get(),
                 .committer = committer_.get(),
                 .cases = cases_.get(),
                 .gate = &gate_,
                 .freshness = &freshness_,
                 .clock = &clock_,
                 .search = [this](const LedgerQuery& query) { return reader_->Search(query); },
                 .save = [this] { return committer_->Commit(/*durable=*/true); },
                 .receipt = [this](const Case& record) { return committer_->ReceiptOf(record); },
                 .ledger = reader_.get()}),
        caller_([this](const std::string& verb, const Json& args, const std::string& person) {
          EXPECT_EQ(person, "token:owner");
          return daemon_.Handle(verb, args, {.name = person});
        }) {
    const std::string key = testing::TempDir() + "/owner-page.key";
    std::filesystem::remove(key);
    links_ = OwnerLinks::Open("https://mail.example.net", "", key).value();
    OwnerPage::Parts parts;
    parts.links = links_.get();
    parts.clock = &clock_;
    parts.caller = &caller_;
    parts.find_case = [this](const std::string& id) { return cases_->FindById(id); };
    parts.policy = [this] { return limiter_->settings().policy; };
    parts.last_release = [this](const Subject& subject) {
      absl::Time last = absl::InfinitePast();
      for (const CaseEvent& event : cases_->EventsOf(subject, CaseTable::kMaxHistory)) {
        if (event.record.closed_by == kOwnerName) last = std::max(last, event.record.closed_at);
      }
      return last;
    };
    parts.why_not = [this](const Case& record, absl::Time now) {
      return WhyOwnerMayNotEnd(
          {.limiter = limiter_.get(),
           .ledger = &ledger_reader_,
           .receipt = [this](const Case& one) { return committer_->ReceiptOf(one); },
           .freshness = &freshness_,
           .node = "n"},
          record, now);
    };
    why_not_ = parts.why_not;
    parts.release = [this](const Case& record) {
      return daemon_
          .Handle("unblock",
                  {{"subject", record.subject.ToString()}, {"case", record.id}, {"reason", "page"}},
                  {.name = kOwnerName})
          .status();
    };
    page_ = std::make_unique<OwnerPage>(std::move(parts));
    freshness_.Set({}, clock_.Now());
  }

  // With the receipts: a durable commit would leave them to the next one.
  void Commit() { EXPECT_THAT(committer_->Commit(), IsOk()); }
  void Fail(const std::string& domain, const std::string& reply, int count,
            const std::string& tag = "") {
    for (int i = 0; i < count; ++i) {
      Attempt attempt = MakeAttempt(domain, clock_.Now() - Minutes(1), Outcome::kFailed,
                                    absl::StrCat(domain, tag, "-", i),
                                    absl::StrCat("to-", domain, "-", i, "@far.example"));
      attempt.host = "mx.far.example";
      attempt.reply = reply;
      Feed(attempt);
    }
    Commit();
  }
  // One attempt of a message to one recipient.
  void Try(const std::string& domain, const std::string& reply, const std::string& message) {
    clock_.Advance(absl::Seconds(1));
    Attempt attempt = MakeAttempt(domain, clock_.Now(), Outcome::kDeferred, message,
                                  absl::StrCat("to-", message, "@far.example"));
    attempt.host = "mx.far.example";
    attempt.reply = reply;
    Feed(attempt);
    Commit();
  }
  std::string WhyNot(const Case& record) const { return why_not_(record, clock_.Now()); }
  // The link to the open case, as a path.
  std::string Path(const std::string& domain) const {
    const std::optional<Case> open = OpenCase(domain);
    EXPECT_TRUE(open.has_value()) << domain;
    if (!open.has_value()) return "";
    return std::string(absl::StripPrefix(links_->LinkTo(open->id, open->subject, clock_.Now()),
                                         "https://mail.example.net"));
  }
  HttpReply Send(HttpRequest request) {
    clock_.Advance(absl::Seconds(2));  // no test but that of the rate is about the rate
    HttpReply reply = page_->Answer(request);
    return reply.work ? reply.work() : reply;
  }
  HttpReply Get(const std::string& path) { return Send({.path = path}); }
  // As the page's own form does.
  HttpReply Release(const std::string& path) {
    return Send({.method = "POST",
                 .path = path,
                 .content_type = "application/x-www-form-urlencoded",
                 .body = absl::StrCat("secret=", EscapeUrl(SecretOf(path)))});
  }
  std::string SecretOf(const std::string& path) const {
    return links_->FormSecret(absl::StripPrefix(path, OwnerLinks::kPath));
  }

  const std::unique_ptr<LedgerReader> reader_ = store_->NewReader();
  LossyLedger ledger_reader_{reader_.get()};
  Freshness freshness_{kMorning};
  Gate gate_;
  AdminApi daemon_;
  Caller caller_;
  std::unique_ptr<OwnerLinks> links_;
  std::function<std::string(const Case& record, absl::Time now)> why_not_;
  std::unique_ptr<OwnerPage> page_;
};

TEST_F(OwnerPageTest, ShowsTheReasonFirstAndNothingOfOthers) {
  Fail("alpha.example", kUnknown, 4);
  Fail("bravo.example", kFull, 4);
  const HttpReply reply = Get(Path("alpha.example"));
  EXPECT_EQ(reply.code, 200);
  const size_t cause = reply.body.find("do not exist"), todo = reply.body.find("What to do"),
               messages = reply.body.find("to-alpha.example-3@far.example");
  ASSERT_NE(messages, std::string::npos) << reply.body;
  EXPECT_LT(cause, todo);
  EXPECT_LT(todo, messages);
  EXPECT_THAT(reply.body, HasSubstr(OpenCase("alpha.example")->id));
  EXPECT_THAT(reply.body, Not(HasSubstr("bravo")));
  EXPECT_THAT(reply.body, Not(HasSubstr("<script")));
  EXPECT_THAT(reply.body, Not(HasSubstr("/message")))
      << "a link to a page that asks for a log-in helps nobody";
  bool strict = false, secret = false;
  for (const auto& [name, value] : reply.headers) {
    strict |= name == "Content-Security-Policy" && absl::StartsWith(value, "default-src 'none'") &&
              !absl::StrContains(value, "script-src");
    secret |= name == "Referrer-Policy" && value == "strict-origin";
  }
  EXPECT_TRUE(strict);
  EXPECT_TRUE(secret) << "the stylesheet's request would have the link in its Referer";
}

TEST_F(OwnerPageTest, WhatIsNoLinkOpensNothingAndSaysNothing) {
  Fail("alpha.example", kFull, 4);
  const std::string path = Path("alpha.example");
  const std::string refusal = Get("/case/").body;
  const Case other = *OpenCase("alpha.example");
  const auto link = [&](const std::string& id, const char* subject) {
    return std::string(absl::StripPrefix(links_->LinkTo(id, *Subject::Parse(subject), clock_.Now()),
                                         "https://mail.example.net"));
  };
  for (const std::string& bad :
       {path.substr(0, path.size() - 1), path + "A", path + "/", std::string("/case/a.b"),
        link("n-9-9", "alpha.example"), link(other.id, "bravo.example"),
        link(other.id, "login:bob@alpha.example")}) {
    const HttpReply reply = Get(bad);
    EXPECT_EQ(reply.code, 404) << bad;
    EXPECT_EQ(reply.body, refusal) << bad;
  }
  EXPECT_EQ(Get(path).code, 200);
  clock_.Advance(OwnerLinks::kLife);
  EXPECT_EQ(Get(path).body, refusal) << "expired";
}

TEST_F(OwnerPageTest, ALinkDiesWithItsCaseAndWithTheKey) {
  Fail("alpha.example", kFull, 4);
  Fail("bravo.example", kFull, 4);
  const std::string path = Path("alpha.example"), other = Path("bravo.example");
  ASSERT_THAT(daemon_.Handle("unblock", {{"subject", "alpha.example"}}, {.name = "anna"}), IsOk());
  EXPECT_THAT(Get(path).body, HasSubstr("the block has ended"));
  EXPECT_THAT(Get(path).body, Not(HasSubstr("anna")));
  EXPECT_THAT(Get(path).body, Not(HasSubstr("far.example"))) << "no messages any more";
  clock_.Advance(OwnerPage::kGrace);
  EXPECT_EQ(Get(path).code, 404);
  EXPECT_EQ(Get(other).code, 200);
  ASSERT_THAT(links_->Revoke(), IsOk());
  EXPECT_EQ(Get(other).code, 404);
}

TEST_F(OwnerPageTest, TheOwnerReleasesOnceADay) {
  Fail("alpha.example", kFull, 4);
  const std::string path = Path("alpha.example");
  EXPECT_THAT(Get(path).body, HasSubstr("<button>Release</button>"));
  EXPECT_TRUE(OpenCase("alpha.example").has_value()) << "a GET changes nothing";
  EXPECT_EQ(Release(path).code, 303);
  EXPECT_FALSE(OpenCase("alpha.example").has_value());
  const CaseEvent event = cases_->EventsOf(*Subject::Parse("alpha.example"), 1)[0];
  EXPECT_EQ(event.change, CaseChange::kUnblocked);
  EXPECT_EQ(event.record.closed_by, "owner");
  EXPECT_THAT(Get(path).body, HasSubstr("the block has ended"));

  clock_.Advance(Minutes(10));
  Fail("alpha.example", kFull, 4, "-again");
  const std::string again = Path("alpha.example");
  EXPECT_THAT(Get(again).body, HasSubstr("within the last 24 hours"));
  EXPECT_THAT(Get(again).body, Not(HasSubstr("<button>")));
  EXPECT_EQ(Release(again).code, 409);
  EXPECT_EQ(Release(path).code, 303) << "the case before has ended";
  EXPECT_TRUE(OpenCase("alpha.example").has_value());
  clock_.Advance(OwnerPage::kReleaseEvery);
  EXPECT_EQ(Release(again).code, 303);
  EXPECT_FALSE(OpenCase("alpha.example").has_value());
}

TEST_F(OwnerPageTest, NeverForSpamUnknownRecipientsAndPersonsBlocks) {
  Fail("spam.example", kFull, 20);
  Fail("unknown.example", kUnknown, 4);
  EXPECT_TRUE(OpenCase("spam.example").has_value());
  ASSERT_THAT(daemon_.Handle("unblock", {{"subject", "spam.example"}}, {.name = "anna"}), IsOk());
  clock_.Advance(Minutes(10));
  Fail("spam.example", kSpam, 4, "-spam");
  ASSERT_THAT(
      daemon_.Handle("block", {{"subject", "manual.example"}, {"for", "2h"}, {"reason", "unpaid"}},
                     {.name = "anna"}),
      IsOk());
  for (const char* domain : {"spam.example", "unknown.example", "manual.example"}) {
    const std::string path = Path(domain);
    EXPECT_THAT(Get(path).body, Not(HasSubstr("<button>"))) << domain;
    EXPECT_EQ(Release(path).code, 409) << domain;
    EXPECT_TRUE(OpenCase(domain).has_value());
  }
  EXPECT_THAT(Get(Path("spam.example")).body, HasSubstr("refused the mail as spam"));
  EXPECT_THAT(Get(Path("unknown.example")).body, HasSubstr("addresses do not exist"));
  const std::string manual = Get(Path("manual.example")).body;
  EXPECT_THAT(manual, HasSubstr("the administrator of this server stopped it by hand"));
  EXPECT_THAT(manual, HasSubstr("unpaid"));
  EXPECT_THAT(manual, Not(HasSubstr("anna"))) << "who of the administrators it was";
}

TEST_F(OwnerPageTest, WhatIsNotKnownForbidsIt) {
  Fail("alpha.example", kFull, 4);
  const std::string path = Path("alpha.example");
  const Case open = *OpenCase("alpha.example");
  EXPECT_EQ(WhyNot(open), "");
  const absl::Time begin = open.since - open.window;

  ledger_reader_.oldest_ = begin + absl::Seconds(1);
  EXPECT_THAT(Get(path).body, HasSubstr("not all answers of the receiving servers are known here"));
  EXPECT_THAT(Get(path).body, HasSubstr("The administrator of this server can."));
  EXPECT_THAT(Get(path).body, Not(HasSubstr("<button>")));
  EXPECT_EQ(Release(path).code, 409);
  ledger_reader_.oldest_ = begin;
  EXPECT_EQ(WhyNot(open), "");

  ledger_reader_.forgotten_ = begin + absl::Seconds(1);
  EXPECT_THAT(WhyNot(open), HasSubstr("not all answers"));
  ledger_reader_.forgotten_ = absl::InfinitePast();

  ledger_reader_.without_class_ = true;
  EXPECT_THAT(WhyNot(open), HasSubstr("not all answers"));
  ledger_reader_.without_class_ = false;

  freshness_.Set({"mainlog: cannot be read"}, clock_.Now());
  EXPECT_THAT(WhyNot(open), HasSubstr("does not know all of its mail"));
  freshness_.Set({}, clock_.Now());

  Case counted_elsewhere = open;
  ++counted_elsewhere.counts.failed;
  EXPECT_THAT(WhyNot(counted_elsewhere), HasSubstr("not all answers"));
  Case shared = open;
  shared.rev = 1;
  EXPECT_EQ(WhyNot(shared), "");
  clock_.Advance(absl::Hours(2));
  EXPECT_THAT(WhyNot(shared), HasSubstr("not all answers")) << "what others got since";
  EXPECT_EQ(WhyNot(open), "");
  EXPECT_TRUE(OpenCase("alpha.example").has_value());
}

TEST_F(OwnerPageTest, WhatCameAfterTheBlockForbidsItToo) {
  Fail("spam.example", kFull, 4);
  Fail("unknown.example", kFull, 4);
  const std::string spam = Path("spam.example"), unknown = Path("unknown.example");
  EXPECT_THAT(Get(spam).body, HasSubstr("<button>"));
  clock_.Advance(Minutes(10));
  Fail("spam.example", kSpam, 1, "-later");
  Fail("unknown.example", kUnknown, 1, "-later");
  EXPECT_THAT(Get(spam).body, HasSubstr("refused the mail as spam"));
  EXPECT_EQ(Release(spam).code, 409);
  EXPECT_THAT(Get(unknown).body, HasSubstr("addresses do not exist"));
  EXPECT_EQ(Release(unknown).code, 409);

  Fail("many.example", kUnknown, 4);
  clock_.Advance(Minutes(10));
  Fail("many.example", kFull, 100, "-later");
  EXPECT_EQ(Release(Path("many.example")).code, 409) << "no later answer hides the earlier ones";

  Fail("alpha.example", kFull, 4);
  Case extended = *OpenCase("alpha.example");
  EXPECT_EQ(WhyNot(extended), "");
  extended.extended = 1;
  EXPECT_THAT(WhyNot(extended), HasSubstr("extended"));
}

TEST_F(OwnerPageTest, ALaterAnswerHidesNoSpam) {
  Try("alpha.example", "451 4.7.1 Message rejected as spam", "again");
  Try("alpha.example", "452 4.2.2 mailbox full", "again");
  Fail("alpha.example", kFull, 4);
  EXPECT_THAT(Get(Path("alpha.example")).body, HasSubstr("refused the mail as spam"));
  EXPECT_EQ(Release(Path("alpha.example")).code, 409);
}

class OwnerPageTwoRulesTest : public OwnerPageTest {
 protected:
  explicit OwnerPageTwoRulesTest(
      const std::string& other = "[rule.other]\nmin_bad = 6\npercent = 50\n")
      : OwnerPageTest(absl::StrCat(kOwnerPolicy, other)) {}
};

TEST_F(OwnerPageTwoRulesTest, EachRuleThatIsExceededHasASay) {
  Fail("alpha.example", kFull, 4);
  const std::string path = Path("alpha.example");
  EXPECT_THAT(Get(path).body, HasSubstr("<button>"));
  Fail("alpha.example", kFull, 4, "-more");
  EXPECT_THAT(Get(path).body, HasSubstr("another limit is exceeded"));
  EXPECT_EQ(Release(path).code, 409);
}

class OwnerPageVolumeTest : public OwnerPageTwoRulesTest {
 protected:
  OwnerPageVolumeTest() : OwnerPageTwoRulesTest("[rule.volume]\nmax_sent = 6\n") {}
};

TEST_F(OwnerPageVolumeTest, AReleaseStartsNoVolumeAnew) {
  Fail("alpha.example", kFull, 4);
  const std::string path = Path("alpha.example");
  EXPECT_THAT(Get(path).body, HasSubstr("<button>"));
  for (int i = 0; i < 8; ++i) {
    EventBatch batch;
    LogEvent* event = batch.Add();
    event->kind = LogEvent::Kind::kArrived;
    event->attempt =
        MakeAttempt("alpha.example", clock_.Now(), Outcome::kQueued, absl::StrCat("sent-", i), "");
    event->attempt.recipients = 1;
    committer_->Record(batch);
  }
  Commit();
  EXPECT_THAT(Get(path).body, HasSubstr("another limit is exceeded"));
  EXPECT_EQ(Release(path).code, 409);
}

TEST_F(OwnerPageTest, AFormIsOfItsPage) {
  Fail("alpha.example", kFull, 4);
  Fail("bravo.example", kFull, 4);
  const std::string path = Path("alpha.example"), other = Path("bravo.example");
  const HttpRequest good = {.method = "POST",
                            .path = path,
                            .content_type = "application/x-www-form-urlencoded",
                            .body = absl::StrCat("secret=", EscapeUrl(SecretOf(path))),
                            .host = "mail.example.net"};
  HttpRequest none = good, others = good, site = good, origin = good, type = good;
  none.body = "";
  others.body = absl::StrCat("secret=", EscapeUrl(SecretOf(other)));
  site.fetch_site = "cross-site";
  origin.origin = "https://evil.example";
  type.content_type = "text/plain";
  for (const HttpRequest& bad : {none, others, site, origin, type}) {
    EXPECT_EQ(Send(bad).code, 403) << bad.body;
  }
  HttpRequest put = good;
  put.method = "PUT";
  EXPECT_EQ(Send(put).code, 405);
  EXPECT_TRUE(OpenCase("alpha.example").has_value());
  HttpRequest ours = good;
  ours.origin = "https://mail.example.net";
  EXPECT_EQ(Send(ours).code, 303);
  EXPECT_FALSE(OpenCase("alpha.example").has_value());
}

TEST_F(OwnerPageTest, RequestsHaveARate) {
  Fail("alpha.example", kFull, 4);
  Fail("bravo.example", kFull, 4);
  const std::string path = Path("alpha.example"), other = Path("bravo.example");
  int slow = 0;
  for (int i = 0; i < 100; ++i) slow += page_->Answer({.path = "/case/x.y"}).code == 429;
  EXPECT_GE(slow, 75);
  EXPECT_NE(page_->Answer({.path = path}).code, 429) << "guesses stop no owner";
  slow = 0;
  for (int i = 0; i < 100; ++i) slow += page_->Answer({.path = path}).code == 429;
  EXPECT_GE(slow, 75);
  EXPECT_NE(page_->Answer({.path = other}).code, 429);
}

TEST_F(OwnerPageTest, OneRequestOfACaseIsInWork) {
  Fail("alpha.example", kFull, 4);
  Fail("bravo.example", kFull, 4);
  const std::string path = Path("alpha.example"), other = Path("bravo.example");
  HttpReply first = page_->Answer({.path = path});
  ASSERT_TRUE(first.work);
  EXPECT_TRUE(absl::StrContains(first.owner, '(')) << "no token can have that name";
  const HttpReply second = page_->Answer({.path = path});
  EXPECT_EQ(second.code, 429);
  EXPECT_FALSE(second.work);
  EXPECT_EQ(Get(other).code, 200);
  EXPECT_EQ(first.work().code, 200);
  EXPECT_EQ(Get(path).code, 200) << "the first one has ended";
  first = page_->Answer({.path = path});
  first = HttpReply();
  EXPECT_EQ(Get(path).code, 200) << "so has one that never began";
}

class OwnerPageOffTest : public OwnerPageTest {
 protected:
  OwnerPageOffTest() : OwnerPageTest("[rule.r]\nmin_bad = 3\npercent = 50\n") {}
};

TEST_F(OwnerPageOffTest, WithoutThePolicysWordNobodyReleases) {
  Fail("alpha.example", kFull, 4);
  const std::string path = Path("alpha.example");
  EXPECT_THAT(Get(path).body, Not(HasSubstr("elease")));
  EXPECT_EQ(Release(path).code, 409);
  EXPECT_TRUE(OpenCase("alpha.example").has_value());
}

}  // namespace
}  // namespace deferd
