// A day of a mail server from the log's lines to the answer: a real Exim's log, whose senders have
// logins here, then a mailbox whose password was stolen, and a newsletter with limits of its own.

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "limiter/cases/freshness.h"
#include "limiter/cases/gate.h"
#include "limiter/intake/exim_reader.h"
#include "policy/policy_file.h"
#include "tests/limiter/limiter_fixture.h"
#include "tests/testdata.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kNewsletters[] = R"(
[tag.newsletter]
domains = ["news.example"]

[rule.newsletter]
tags = ["newsletter"]
instead_of = ["ratio", "runaway"]
min_bad = 200
percent = 80

[rule.newsletter_login]
kind = "login"
tags = ["newsletter"]
instead_of = "login"
min_bad = 200
percent = 80
)";

class ADay : public testing::TestWithParam<bool> {
 protected:
  static constexpr char kBob[] = "bob@shop.example";
  static constexpr char kList[] = "list@news.example";

  // What people are told of the day, in its order.
  class Diary : public Observer {
   public:
    void OnWarning(const Warning& warning) override {
      Note("warned", warning.subject, warning.rule);
    }
    void OnCase(CaseChange change, const Case& record) override {
      if (!record.shadow && change == CaseChange::kOpened) {
        Note("blocked", record.subject, record.rule);
      }
    }
    std::vector<std::string> Of(const std::string& domain) const {
      std::vector<std::string> lines;
      for (const auto& [whose, line] : lines_) {
        if (whose == domain) lines.push_back(line);
      }
      return lines;
    }

   private:
    void Note(const char* what, const Subject& subject, const std::string& rule) {
      lines_.emplace_back(std::string(subject.DomainPart()),
                          absl::StrCat(what, " ", subject.ToString(), " by ", rule));
    }
    std::vector<std::pair<std::string, std::string>> lines_;
  };

  ADay()
      : f_(absl::StrCat(BuiltInPolicyText(), GetParam() ? kNewsletters : ""),
           kMorning - absl::Hours(8)) {
    f_.committer_ =
        std::make_unique<Committer>(CommitterOptions{.ledger = true, .observers = {&diary_}},
                                    f_.limiter_.get(), f_.store_.get(), &f_.clock_);
  }

  void Raw(const std::string& line) {
    reader_->ReadLine(line, &batch_);
    f_.committer_->Record(batch_);
    batch_.Clear();
  }
  void Line(absl::Duration at, const std::string& text) {
    f_.clock_.Set(std::max(f_.clock_.Now(), At(at)));
    f_.committer_->Tick();
    Raw(absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", At(at), absl::UTCTimeZone()), " ",
                     text));
  }
  // The real log, with the login of each sender.
  void Night() {
    std::ifstream log(TestData("exim/exim-default.log"));
    ASSERT_TRUE(log.good());
    f_.clock_.Set(kMorning - absl::Hours(7));
    for (std::string line; std::getline(log, line);) {
      const size_t from = line.find(" <= "), protocol = line.find(" P=esmtp S=");
      if (from != std::string::npos && protocol != std::string::npos) {
        const size_t begin = from + 4;
        const std::string sender = line.substr(begin, line.find(' ', begin) - begin);
        if (sender.find('@') != std::string::npos) {
          line.replace(protocol, 8, absl::StrCat(" P=esmtpsa A=plain:", sender));
        }
      }
      Raw(line);
    }
  }
  void Message(absl::Duration at, const std::string& login, const std::string& outcome) {
    const std::string id = absl::StrFormat("1aB000-0%05d-Zz", ++messages_);
    Line(at, absl::StrCat(id, " <= ", login, " H=(pc) [192.0.2.7] P=esmtpsa A=plain:", login,
                          " S=1200"));
    const std::string to = absl::StrCat("r", messages_, "@to", messages_ % 40, ".test");
    const std::string by = absl::StrCat(" R=dnslookup T=remote_smtp H=mx.to", messages_ % 40,
                                        ".test [203.0.113.", messages_ % 40, "]");
    Line(at, outcome.empty() ? absl::StrCat(id, " => ", to, by, " C=\"250 2.0.0 ok\"")
                             : absl::StrCat(id, " ** ", to, by, ": ", outcome));
  }
  Verdict Told(const std::string& login) {
    Freshness fresh(f_.clock_.Now());
    fresh.Set({}, f_.clock_.Now());
    const Gate gate(f_.cases_.get(), &fresh, &f_.clock_, f_.settings_);
    return gate.Check({.sender = login, .login = login}, Source::kSubmission).verdict;
  }

  Diary diary_;
  LimiterFixture f_;
  std::unique_ptr<LogReader> reader_ =
      NewEximReader({.zone = absl::UTCTimeZone(), .open_messages = true});
  EventBatch batch_;
  int messages_ = 0;
};

TEST_P(ADay, OnlyTheMailboxIsBlockedAndTheNewsletterHasItsOwnLimits) {
  const bool own_limits = GetParam();
  Night();
  ASSERT_GT(f_.limiter_->Top(0).size(), 20u) << "the real log counts";
  // The office: four mailboxes, a message each ten minutes, one in twenty to a wrong address.
  const auto office = [&](int from, int to) {
    for (int minute = from; minute < to; minute += 10) {
      const std::string login = absl::StrCat("m", minute / 10 % 4, "@shop.example");
      Message(absl::Minutes(minute), login, minute % 200 == 0 ? "550 5.1.1 No such user here" : "");
    }
  };
  office(0, 120);
  // The newsletter goes to an old list.
  for (int i = 0; i < 100; ++i) {
    Message(absl::Minutes(120) + absl::Seconds(2 * i), kList,
            i % 5 < 3 ? "550 5.1.1 No such user here" : "");
  }
  EXPECT_EQ(Told(kList), own_limits ? Verdict::kPass : Verdict::kReject);
  EXPECT_EQ(diary_.Of("news.example").empty(), own_limits);

  office(130, 360);
  EXPECT_THAT(diary_.Of("shop.example"), IsEmpty()) << "an ordinary day";
  // A stolen password: spam, of which most is refused.
  int sent = 0;
  while (Told(kBob) == Verdict::kPass && sent < 100) {
    Message(absl::Minutes(365) + absl::Seconds(10 * sent), kBob,
            sent % 10 < 7 ? "554 5.7.1 Message rejected as spam by content filtering" : "");
    ++sent;
  }
  EXPECT_EQ(sent, 13) << "ten refusals among them";
  EXPECT_EQ(Told(kBob), Verdict::kReject);
  // The mailbox goes on trying; the others go on working.
  for (int i = 0; i < 50; ++i) {
    Message(absl::Minutes(370) + absl::Seconds(i), kBob,
            "554 5.7.1 Message rejected as spam by content filtering");
  }
  office(380, 420);
  for (int n = 0; n < 4; ++n) {
    EXPECT_EQ(Told(absl::StrCat("m", n, "@shop.example")), Verdict::kPass) << n;
  }
  EXPECT_THAT(diary_.Of("shop.example"),
              ElementsAre("warned login:bob@shop.example by login", "warned shop.example by ratio",
                          "blocked login:bob@shop.example by login"))
      << "until the mailbox is blocked, what it does counts for its domain too";
  // Quiet for long enough, it is free by itself.
  Message(absl::Minutes(500), "m0@shop.example", "");
  EXPECT_EQ(Told(kBob), Verdict::kPass);
}

INSTANTIATE_TEST_SUITE_P(Newsletters, ADay, testing::Bool());

}  // namespace
}  // namespace deferd
