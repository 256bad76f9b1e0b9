// Mail that a filter of our own hands back: whose it is, in both mail servers' logs.

#include "limiter/intake/hand_overs.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "limiter/intake/exim_reader.h"
#include "limiter/intake/postfix_reader.h"
#include "policy/charge.h"
#include "policy/on_this_host.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kStranger[] = "203.0.113.9";

// What the tests speak of, as each mail server logs it.
class Log {
 public:
  virtual ~Log() = default;
  struct Message {
    std::string id;
    std::string host = kStranger;
    std::string login;
    std::string sender = "ann@shop.example";
    std::string message_id = "m1@far.example";  // empty: it has none
    int recipients = 1;
  };
  virtual std::vector<std::string> Arrives(const Message& message) const = 0;
  // The filter at 127.0.0.1 answered; new_id empty: without an id.
  virtual std::string Filtered(const std::string& id, const std::string& new_id = "") const = 0;
  virtual std::string Bounces(const std::string& id, const std::string& recipient,
                              const std::string& alias = "") const = 0;
  virtual std::string Defers(const std::string& id, const std::string& recipient) const = 0;
  virtual std::string Leaves(const std::string& id) const = 0;
  virtual std::string Id(int number) const = 0;
  virtual std::unique_ptr<LogReader> NewReader() const = 0;

  static HostList Loopback() {
    HostList hosts;
    EXPECT_THAT(hosts.Add("127.0.0.1"), IsOk());
    EXPECT_THAT(hosts.Add("192.0.2.77"), IsOk());
    return hosts;
  }
};

class PostfixLog : public Log {
 public:
  std::vector<std::string> Arrives(const Message& m) const override {
    return {Line("smtpd", absl::StrCat(m.id, ": client=host[", m.host, "]",
                                       m.login.empty() ? "" : ", sasl_username=", m.login)),
            Line("cleanup", absl::StrCat(m.id, ": message-id=", m.message_id.empty() ? "" : "<",
                                         m.message_id, m.message_id.empty() ? "" : ">")),
            Line("qmgr", absl::StrCat(m.id, ": from=<", m.sender,
                                      ">, size=700, nrcpt=", m.recipients, " (queue active)"))};
  }
  std::string Filtered(const std::string& id, const std::string& new_id) const override {
    return To(
        id, "in@here.example", "", "127.0.0.1[127.0.0.1]:10024",
        absl::StrCat("sent (250 2.0.0 Ok", new_id.empty() ? "" : ": queued as ", new_id, ")"));
  }
  std::string Bounces(const std::string& id, const std::string& recipient,
                      const std::string& alias) const override {
    return To(id, recipient, alias, "mx.far.example[198.51.100.9]:25",
              "bounced (host mx.far.example[198.51.100.9] said: 550 5.1.1 User unknown)");
  }
  std::string Defers(const std::string& id, const std::string& recipient) const override {
    return To(id, recipient, "", "mx.far.example[198.51.100.9]:25",
              "deferred (host mx.far.example[198.51.100.9] said: 451 later)");
  }
  std::string Leaves(const std::string& id) const override {
    return Line("qmgr", absl::StrCat(id, ": removed"));
  }
  std::string Id(int number) const override { return absl::StrCat("4F01A", number); }
  std::unique_ptr<LogReader> NewReader() const override {
    return NewPostfixReader(
        {.zone = absl::UTCTimeZone(), .open_messages = true, .relay_hosts = Loopback()});
  }
  static std::string Line(const std::string& program, const std::string& text, int pid = 1) {
    return absl::StrCat("2026-11-22T08:00:00+00:00 mx postfix/", program, "[", pid, "]: ", text);
  }

 private:
  static std::string To(const std::string& id, const std::string& recipient,
                        const std::string& alias, const std::string& relay,
                        const std::string& status) {
    return Line("smtp",
                absl::StrCat(id, ": to=<", recipient, ">, ", alias.empty() ? "" : "orig_to=<",
                             alias, alias.empty() ? "" : ">, ", "relay=", relay,
                             ", delay=1, delays=0/0/0/1, dsn=2.0.0, status=", status));
  }
};

class EximLog : public Log {
 public:
  std::vector<std::string> Arrives(const Message& m) const override {
    return {Line(absl::StrCat(m.id, " <= ", m.sender.empty() ? "<>" : m.sender, " H=(host) [",
                              m.host, "] P=esmtp", m.login.empty() ? "" : "a A=plain:", m.login,
                              " S=700", m.message_id.empty() ? "" : " id=", m.message_id))};
  }
  std::string Filtered(const std::string& id, const std::string& new_id) const override {
    return Line(absl::StrCat(id,
                             " => in@here.example R=filter T=filter H=127.0.0.1 [127.0.0.1]:10024 "
                             "C=\"250 2.0.0 Ok",
                             new_id.empty() ? "" : " id=", new_id, "\""));
  }
  std::string Bounces(const std::string& id, const std::string& recipient,
                      const std::string& alias) const override {
    return Line(absl::StrCat(id, " ** ", recipient, alias.empty() ? "" : " <", alias,
                             alias.empty() ? "" : ">",
                             " R=out T=smtp H=mx.far.example [198.51.100.9]: SMTP error from "
                             "remote mail server after RCPT TO: 550 5.1.1 User unknown"));
  }
  std::string Defers(const std::string& id, const std::string& recipient) const override {
    return Line(absl::StrCat(id, " == ", recipient,
                             " R=out T=smtp defer (-44) H=mx.far.example [198.51.100.9]: SMTP "
                             "error from remote mail server after RCPT TO: 451 later"));
  }
  std::string Leaves(const std::string& id) const override {
    return Line(absl::StrCat(id, " Completed"));
  }
  std::string Id(int number) const override {
    return absl::StrCat("1hIAif-00H7", number + 10, "-Lb");
  }
  std::unique_ptr<LogReader> NewReader() const override {
    return NewEximReader(
        {.zone = absl::UTCTimeZone(), .open_messages = true, .relay_hosts = Loopback()});
  }
  static std::string Line(const std::string& text) { return "2026-11-22 08:00:00 " + text; }
};

const PostfixLog kPostfix;
const EximLog kExim;

// Reads a log, also with a restart at each line, and says of each attempt at another host who pays.
class Topology : public testing::TestWithParam<const Log*> {
 protected:
  Topology() { lists_.relay_hosts = Log::Loopback(); }

  const Log& log() const { return *GetParam(); }
  std::string Id(int n) const { return log().Id(n); }
  void Arrives(const Log::Message& m) {
    for (const std::string& line : log().Arrives(m)) lines_.push_back(line);
  }
  void Add(const std::string& line) { lines_.push_back(line); }
  void Clear() { lines_.clear(); }
  // Mail went through a filter at 127.0.0.1 before.
  void AFilterIsKnown() {
    Arrives({.id = Id(60), .sender = "early@far.example", .message_id = "early@far.example"});
    Add(log().Filtered(Id(60)));
    Add(log().Leaves(Id(60)));
  }

  std::vector<std::string> Paid(bool restarts = false) const {
    std::unique_ptr<LogReader> reader = log().NewReader();
    std::map<std::string, OpenMessage> open;
    std::vector<std::string> paid;
    for (const std::string& line : lines_) {
      EventBatch batch;
      reader->ReadLine(line, &batch);
      EXPECT_EQ(batch.counts.malformed, 0) << line;
      for (size_t i = 0; i < batch.size(); ++i) {
        const Attempt& attempt = batch[i].attempt;
        switch (batch[i].kind) {
          case LogEvent::Kind::kAttempt:
            if (!IsLoopbackHost(attempt.host_ip)) paid.push_back(Who(attempt));
            break;
          case LogEvent::Kind::kArrived:
          case LogEvent::Kind::kIdentified:
            open[attempt.message.id] = {attempt.message, attempt.identity, batch[i].deferred};
            open[attempt.message.id].identity.unclear = false;  // the store has no field for it
            break;
          default:
            open.erase(attempt.message.id);
        }
      }
      if (!restarts) continue;
      const std::string state = reader->SaveState();
      reader = log().NewReader();
      std::vector<OpenMessage> messages;
      for (const auto& [id, message] : open) messages.push_back(message);
      EXPECT_THAT(reader->Restore(messages, state), IsOk());
      EXPECT_EQ(reader->SaveState(), state);
    }
    if (!restarts) {
      EXPECT_EQ(Paid(true), paid) << "with restarts";
    }
    return paid;
  }

 private:
  std::string Who(const Attempt& attempt) const {
    if (attempt.identity.unclear) {
      EXPECT_THAT(Charge(lists_, attempt.identity, attempt.original), IsEmpty());
      return "unclear";
    }
    std::vector<std::string> names;
    for (const Charged& one : Charge(lists_, attempt.identity, attempt.original)) {
      names.push_back(one.subject.ToString());
    }
    return names.empty() ? "nobody" : absl::StrJoin(names, " ");
  }

  ChargeLists lists_;
  std::vector<std::string> lines_;
};

constexpr char kHost[] = "host:127.0.0.1 shop.example";

TEST_P(Topology, AFilterThatKeepsTheMessageIdAndNamesNoId) {
  Arrives({.id = Id(1)});
  Arrives({.id = Id(2), .host = "127.0.0.1"});
  Add(log().Filtered(Id(1)));
  Add(log().Leaves(Id(1)));
  Add(log().Bounces(Id(2), "x@far.example"));
  Add(log().Bounces(Id(2), "y@far.example", "all@here.example"));
  Add(log().Leaves(Id(2)));
  EXPECT_THAT(Paid(), ElementsAre("nobody", "forward:here.example"));
}

TEST_P(Topology, ALoginThroughIt) {
  Arrives({.id = Id(1), .login = "bob@shop.example"});
  Arrives({.id = Id(2), .host = "127.0.0.1"});
  Add(log().Filtered(Id(1)));
  Add(log().Leaves(Id(1)));
  for (int i = 0; i < 50; ++i) Add(log().Bounces(Id(2), absl::StrCat("x", i, "@far.example")));
  EXPECT_THAT(Paid(), testing::AllOf(testing::SizeIs(50),
                                     testing::Each("login:bob@shop.example shop.example")));
}

TEST_P(Topology, AFilterThatNamesItsId) {
  for (const char* message_id : {"m1@far.example", "rewritten@here.example", ""}) {
    Clear();
    Arrives({.id = Id(1), .login = "bob@shop.example"});
    Arrives({.id = Id(2), .host = "127.0.0.1", .message_id = message_id});
    Add(log().Filtered(Id(1), Id(2)));
    Add(log().Bounces(Id(2), "x@far.example"));
    EXPECT_THAT(Paid(), ElementsAre("login:bob@shop.example shop.example")) << message_id;
  }
}

TEST_P(Topology, AFilterThatRewritesTheMessageIdIsUnclear) {
  for (const char* message_id : {"rewritten@here.example", ""}) {
    Clear();
    AFilterIsKnown();
    Arrives({.id = Id(1), .sender = "Ann@shop.example"});
    Arrives({.id = Id(2), .host = "127.0.0.1", .message_id = message_id});
    Add(log().Bounces(Id(2), "x@far.example"));  // faster than the filter's answer
    Add(log().Filtered(Id(1)));
    Add(log().Leaves(Id(1)));
    Add(log().Bounces(Id(2), "y@far.example"));
    Add(log().Bounces(Id(2), "z@far.example", "all@here.example"));
    Add(log().Leaves(Id(2)));
    EXPECT_THAT(Paid(), ElementsAre("unclear", "unclear", "unclear")) << message_id;
  }
}

// A login's message that waits for a remote server is no first side: nothing was given to a filter.
TEST_P(Topology, WithoutAFilterNothingIsUnclear) {
  Arrives({.id = Id(1), .login = "ann@shop.example"});
  Arrives({.id = Id(2), .host = "127.0.0.1", .message_id = "form@here.example"});
  Add(log().Bounces(Id(2), "x@far.example"));
  Add(log().Defers(Id(1), "a@far.example"));
  Arrives({.id = Id(3), .host = "127.0.0.1", .message_id = "form2@here.example"});
  Add(log().Bounces(Id(3), "y@far.example"));
  EXPECT_THAT(Paid(), ElementsAre(kHost, "login:ann@shop.example shop.example", kHost));
}

TEST_P(Topology, AWebFormBesideAFilterPays) {
  Arrives({.id = Id(1), .sender = "stranger@far.example"});
  Arrives({.id = Id(2), .host = "127.0.0.1", .message_id = "form@here.example"});
  Arrives({.id = Id(3), .host = "127.0.0.1", .sender = "stranger@far.example"});
  Add(log().Filtered(Id(1)));
  Add(log().Bounces(Id(2), "x@far.example"));
  Add(log().Bounces(Id(3), "y@far.example"));
  EXPECT_THAT(Paid(), ElementsAre(kHost, "nobody"));
}

TEST_P(Topology, AWebFormsMailThroughTheFilterPays) {
  for (const char* message_id : {"m1@far.example", "rewritten@here.example"}) {
    Clear();
    Arrives({.id = Id(1), .host = "127.0.0.1"});
    Arrives({.id = Id(2), .host = "127.0.0.1", .message_id = message_id});
    Add(log().Filtered(Id(1)));
    Add(log().Bounces(Id(2), "x@far.example"));
    EXPECT_THAT(Paid(), ElementsAre(kHost));
  }
}

TEST_P(Topology, AListThatExpandsThroughLoopbackPays) {
  Arrives({.id = Id(1), .sender = "ann@far.example"});
  Arrives({.id = Id(2), .host = "127.0.0.1", .sender = "list-bounces@shop.example"});
  Add(log().Leaves(Id(1)));
  Add(log().Bounces(Id(2), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre(kHost));
}

TEST_P(Topology, TwoFiltersInARow) {
  Arrives({.id = Id(1)});
  Arrives({.id = Id(2), .host = "127.0.0.1"});
  Add(log().Filtered(Id(1)));
  Add(log().Leaves(Id(1)));
  Arrives({.id = Id(3), .host = "127.0.0.1"});
  Add(log().Filtered(Id(2)));
  Add(log().Leaves(Id(2)));
  Add(log().Bounces(Id(3), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre("nobody"));
}

TEST_P(Topology, AFilterThatAcceptsFirstAndHandsBackLater) {
  Arrives({.id = Id(1)});
  Add(log().Filtered(Id(1)));
  Add(log().Leaves(Id(1)));
  Arrives({.id = Id(2), .host = "127.0.0.1"});
  Add(log().Bounces(Id(2), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre("nobody"));
}

TEST_P(Topology, ARelayHostThatForwardsWhatItWasGiven) {
  Arrives({.id = Id(1)});
  Arrives({.id = Id(2), .host = "192.0.2.77"});
  Add(log().Bounces(Id(2), "x@far.example"));
  // What it writes itself.
  Arrives({.id = Id(3), .host = "192.0.2.77", .message_id = "own@shop.example"});
  Add(log().Bounces(Id(3), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre("nobody", "host:192.0.2.77 shop.example"));
}

// The message that was on its way went elsewhere, so this one was never its copy.
TEST_P(Topology, WhatWasUnclearIsClearOnceTheOtherWentElsewhere) {
  for (const bool deferred : {false, true}) {
    Clear();
    AFilterIsKnown();
    Arrives({.id = Id(1), .login = "ann@shop.example"});
    Arrives({.id = Id(2), .host = "127.0.0.1", .message_id = "form@here.example"});
    Add(log().Defers(Id(2), "x@far.example"));
    Add(deferred ? log().Defers(Id(1), "a@far.example") : log().Bounces(Id(1), "a@far.example"));
    if (!deferred) Add(log().Leaves(Id(1)));
    Add(log().Bounces(Id(2), "x@far.example"));
    EXPECT_THAT(Paid(), ElementsAre("unclear", "login:ann@shop.example shop.example", kHost));
  }
}

TEST_P(Topology, WhatWasUnclearIsClearOnceTheOthersCopyIsKnown) {
  AFilterIsKnown();
  Arrives({.id = Id(1)});
  Arrives({.id = Id(2), .host = "127.0.0.1", .message_id = "form@here.example"});
  Add(log().Defers(Id(2), "x@far.example"));
  Arrives({.id = Id(3), .host = "127.0.0.1"});
  Add(log().Bounces(Id(3), "x@far.example"));
  Add(log().Bounces(Id(2), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre("unclear", "nobody", kHost));
}

// However many recipients a message claims, what is remembered of its copy is bounded.
TEST(HandOversTest, RecipientsOfACopyAreBounded) {
  for (const int64_t claimed : {int64_t{200'000}, INT64_MAX}) {
    HandOvers hand_overs;
    const absl::Time now = absl::FromUnixSeconds(1'795'334'400);
    Identity stranger = {.sender = "ann@shop.example", .host = kStranger};
    hand_overs.Arrive("first", "m1@far.example", claimed, /*own=*/false, now, &stranger);
    Identity copy = {.sender = "ann@shop.example", .host = "127.0.0.1"};
    EXPECT_TRUE(hand_overs.Arrive("copy", "m1@far.example", claimed, /*own=*/true, now, &copy));
    int64_t believed = 0;
    for (int i = 0; i < 10'000; ++i) {
      Identity who = copy;
      hand_overs.Apply("copy", absl::StrCat("r", i, "@far.example"), "", &who);
      if (who.host == kStranger) ++believed;
    }
    EXPECT_EQ(believed, HandOvers::kMostRecipients) << claimed;
    EXPECT_LT(hand_overs.SaveState().size(), 100'000u) << claimed;
  }
}

// An accomplice's message frees a handful of recipients of a few messages, and no more.
TEST_P(Topology, AnAccompliceOutsideFreesNobody) {
  for (const char* message_id : {"m1@far.example", "unknown@here.example"}) {
    Clear();
    AFilterIsKnown();
    Arrives({.id = Id(1)});
    const int copies = HandOvers::kLeastCopies;
    const int recipients = HandOvers::kLeastRecipients;
    for (int m = 2; m < 20; ++m) {
      Arrives({.id = Id(m), .host = "127.0.0.1", .message_id = message_id});
      for (int i = 0; i < 2 * recipients; ++i) {
        Add(log().Bounces(Id(m), absl::StrCat("x", i, "@far.example")));
      }
      for (int i = 0; i < recipients; ++i) {
        Add(log().Defers(Id(m), absl::StrCat("X", i, "@far.example")));  // again
      }
    }
    int free = 0;
    int paid = 0;
    for (const std::string& who : Paid()) ++(who == kHost ? paid : free);
    EXPECT_LE(free, copies * 2 * recipients) << message_id;
    EXPECT_GT(free, 0) << message_id;
    EXPECT_EQ(free + paid, 18 * 3 * recipients);
  }
}

TEST_P(Topology, AnEndedHandOverCannotBeNamedAgain) {
  Arrives({.id = Id(1)});
  Arrives({.id = Id(2), .host = "127.0.0.1"});
  Add(log().Filtered(Id(1)));
  Add(log().Leaves(Id(1)));
  Add(log().Leaves(Id(2)));
  Arrives({.id = Id(3), .host = "127.0.0.1"});
  Add(log().Bounces(Id(3), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre(kHost));
}

// What only Postfix logs.
class PostfixTopology : public Topology {
 protected:
  static std::string Line(const std::string& text, int pid = 1) {
    return PostfixLog::Line("smtpd", text, pid);
  }
};

TEST_P(PostfixTopology, XforwardNamesTheClient) {
  const Log::Message back = {.id = Id(2), .message_id = "rewritten@here.example"};
  for (const char* more : {", orig_queue_id=4F01A1, orig_client=far[203.0.113.9]",
                           ", orig_client=far[203.0.113.9]", ", orig_queue_id=4F01A1"}) {
    Clear();
    Arrives({.id = Id(1)});
    const std::vector<std::string> lines = log().Arrives(back);
    Add(Line(absl::StrCat(Id(2), ": client=localhost[127.0.0.1]", more)));
    Add(lines[1]);
    Add(lines[2]);
    Add(log().Bounces(Id(2), "x@far.example"));
    EXPECT_THAT(Paid(), ElementsAre("nobody")) << more;
  }
}

TEST_P(PostfixTopology, AStrangerCannotNameAnotherClient) {
  const std::vector<std::string> lines = log().Arrives({.id = Id(1)});
  Add(Line(absl::StrCat(Id(1), ": client=far[203.0.113.9], orig_client=localhost[127.0.0.1]")));
  Add(lines[1]);
  Add(lines[2]);
  Add(log().Bounces(Id(1), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre("nobody"));
}

TEST_P(PostfixTopology, AFilterBeforeTheQueueIsUnclearUntilItsAnswer) {
  const auto accepted = [](const std::string& id) {
    return absl::StrCat("proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as ", id,
                        "; from=<a@b> to=<x@y>");
  };
  const struct {
    std::string answer;
    std::string after;
  } kCases[] = {{accepted(Id(2)), "nobody"},
                {accepted(Id(3)), kHost},
                {"proxy-reject: END-OF-MESSAGE: 550 spam; from=<a@b> to=<x@y>", kHost},
                {"disconnect from far[203.0.113.9]", kHost}};
  for (const auto& one : kCases) {
    Clear();
    Add(Line("NOQUEUE: client=far[203.0.113.9]", 9));
    Arrives({.id = Id(2), .host = "127.0.0.1"});
    Add(log().Bounces(Id(2), "x@far.example"));
    Add(Line(one.answer, 9));
    Add(log().Bounces(Id(2), "y@far.example"));
    // It has had its answer, so what comes now is the host's own.
    Arrives({.id = Id(4), .host = "127.0.0.1", .sender = "form@shop.example"});
    Add(log().Bounces(Id(4), "y@far.example"));
    EXPECT_THAT(Paid(), ElementsAre("unclear", one.after, kHost)) << one.answer;
  }
}

TEST_P(PostfixTopology, ASessionThatStaysOpenHidesOneMessage) {
  Add(Line("NOQUEUE: client=far[203.0.113.9]", 9));
  for (int m = 2; m < 5; ++m) {
    Arrives({.id = Id(m), .host = "127.0.0.1", .message_id = absl::StrCat(m, "@here.example")});
    Add(log().Bounces(Id(m), "x@far.example"));
  }
  EXPECT_THAT(Paid(), ElementsAre("unclear", kHost, kHost));
}

TEST_P(PostfixTopology, ALoginThroughAFilterBeforeTheQueue) {
  Add(Line("NOQUEUE: client=pc[192.0.2.1], sasl_method=PLAIN, sasl_username=bob@shop.example", 9));
  Arrives({.id = Id(2), .host = "127.0.0.1"});
  Add(Line(absl::StrCat("proxy-accept: END-OF-MESSAGE: 250 2.0.0 Ok: queued as ", Id(2),
                        "; from=<a@b> to=<x@y>"),
           9));
  Add(log().Bounces(Id(2), "x@far.example"));
  EXPECT_THAT(Paid(), ElementsAre("login:bob@shop.example shop.example"));
}

INSTANTIATE_TEST_SUITE_P(Logs, PostfixTopology, testing::Values(&kPostfix));

// A trusted user's program hands it back, as SpamAssassin's transport of Exim does.
TEST(EximTopology, AProgramThatNamesItsProtocol) {
  const auto reader = kExim.NewReader();
  EventBatch batch;
  for (const std::string& line :
       {kExim.Arrives({.id = kExim.Id(1), .login = "bob@shop.example"})[0],
        EximLog::Line(kExim.Id(2) +
                      " <= ann@shop.example U=Debian-exim P=spam-scanned S=9 id=m1@far.example"),
        kExim.Bounces(kExim.Id(2), "x@far.example", "")}) {
    reader->ReadLine(line, &batch);
  }
  EXPECT_EQ(batch[batch.size() - 1].attempt.identity.login, "bob@shop.example");
}

TEST(HandOversTest, ForgetsTheOldestAndCountsIt) {
  HandOvers hand_overs(100);
  Identity who = {.sender = "a@b.example", .host = kStranger};
  for (int i = 0; i < 250; ++i) {
    hand_overs.Name(absl::StrCat("n", i), "x");
    hand_overs.Arrive(absl::StrCat("m", i), absl::StrCat(i), 1, false, absl::UnixEpoch(), &who);
  }
  EXPECT_EQ(hand_overs.size(), 200u);
  EXPECT_EQ(hand_overs.evicted(), 300);
  Identity back = {.sender = "a@b.example", .host = "127.0.0.1"};
  EXPECT_TRUE(hand_overs.Arrive("c", "249", 1, true, absl::UnixEpoch(), &back));
  EXPECT_EQ(back.host, kStranger);
}

TEST(HandOversTest, AnAddressOfTheLoopbackIsTheFilterAtAnother) {
  const struct {
    const char* given_to;
    const char* brought_by;
    bool unclear;
  } kCases[] = {{"127.0.0.1", "::1", true},        {"::1", "127.0.0.1", true},
                {"127.0.0.2", "127.0.0.1", true},  {"127.0.0.1", "::ffff:127.0.0.1", true},
                {"127.0.1.2", "127.0.0.1", false}, {"192.0.2.7", "127.0.0.1", false},
                {"192.0.2.7", "192.0.2.7", true},  {"192.0.2.7", "192.0.2.8", false}};
  for (const auto& one : kCases) {
    HandOvers hand_overs;
    hand_overs.GivenTo("early", one.given_to, false);
    Identity first = {.sender = "a@b.example", .login = "bob@b.example", .host = kStranger};
    hand_overs.Arrive("first", "id", 1, false, absl::UnixEpoch(), &first);
    Identity second = {.sender = "a@b.example", .host = one.brought_by};
    hand_overs.Arrive("second", "other", 1, true, absl::UnixEpoch(), &second);
    hand_overs.Apply("second", "x@far.example", "", &second);
    EXPECT_EQ(second.unclear, one.unclear) << one.given_to << " " << one.brought_by;
  }
}

TEST(HandOversTest, MalformedStateIsDataLoss) {
  HandOvers hand_overs;
  Identity who = {.sender = "a@b.example", .login = "bo b\\x", .host = kStranger};
  hand_overs.Arrive("m", "id", 1, false, absl::UnixEpoch(), &who);
  hand_overs.SetUnclear("m", "127.0.0.1");
  const std::string good = hand_overs.SaveState();
  HandOvers other;
  EXPECT_THAT(other.Restore(""), IsOk());
  EXPECT_THAT(other.Restore(good), IsOk());
  EXPECT_EQ(other.SaveState(), good);
  for (size_t n = 1; n + 1 < good.size(); ++n) {
    HandOvers cut;
    EXPECT_FALSE(cut.Restore(good.substr(0, n)).ok()) << good.substr(0, n);
    EXPECT_EQ(cut.size(), 0u);
  }
  for (const char* bad : {"x", "2 0 0 0 0", "1 -1", "1 99999999999999999999 a"}) {
    EXPECT_THAT(HandOvers().Restore(bad), StatusIs(absl::StatusCode::kDataLoss, testing::_)) << bad;
  }
}

INSTANTIATE_TEST_SUITE_P(Logs, Topology, testing::Values(&kPostfix, &kExim),
                         [](const testing::TestParamInfo<const Log*>& log) {
                           return log.param == &kPostfix ? "Postfix" : "Exim";
                         });

}  // namespace
}  // namespace deferd
