#include "policy/reply/classify.h"

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/reply/reply_text.h"
#include "tests/policy/reply/reply_data.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

class ClassifyTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { classifier_ = ReplyClassifier::Create().value().release(); }
  static void TearDownTestSuite() { delete classifier_; }
  static Classification Classify(absl::string_view reply, const ReplyHints& hints = {}) {
    return classifier_->Classify(reply, hints);
  }
  static const ReplyClassifier* classifier_;
};
const ReplyClassifier* ClassifyTest::classifier_ = nullptr;

TEST_F(ClassifyTest, SaysAllItKnows) {
  const Classification got = Classify(
      "550-5.1.1 The email account that you tried to reach does not exist.\\n550 5.1.1 - gsmtp");
  EXPECT_EQ(got.reply_class, ReplyClass::kInvalidRecipient);
  EXPECT_EQ(got.scope, ReplyScope::kRecipient);
  EXPECT_EQ(got.permanence, Permanence::kPermanent);
  EXPECT_EQ(got.code, 550);
  EXPECT_EQ(got.enhanced, "5.1.1");
  EXPECT_EQ(got.provider, "gmail");
  EXPECT_THAT(std::string(got.rule), testing::StartsWith("invalid_recipient."));
}

TEST_F(ClassifyTest, NothingIsUnclassified) {
  for (const char* text : {"", " ", "550", "xyzzy", "250 2.0.0 OK"}) {
    const Classification got = Classify(text);
    EXPECT_EQ(got.reply_class, ReplyClass::kUnclassified) << text;
    EXPECT_EQ(got.rule, "");
  }
}

// A router of our own refused, and no server was asked: nothing that a server would say of a
// sender.
TEST_F(ClassifyTest, WhatOurOwnConfigurationRefusesIsLocal) {
  const ReplyHints own = {.logged = Permanence::kPermanent, .nobody_asked = true};
  for (const char* text :
       {"relay not permitted", "relaying to far.example prohibited by administrator",
        "you are not allowed to send mail to remote domains", "sending rate limit exceeded",
        "Mailing to remote domains not supported"}) {
    const Classification got = Classify(text, own);
    EXPECT_EQ(got.reply_class, ReplyClass::kLocal) << text;
    EXPECT_EQ(got.scope, ReplyScope::kServer) << text;
    EXPECT_EQ(got.permanence, Permanence::kPermanent) << text;
    EXPECT_LT(CountsProbability(got, [](ReplyClass reply_class,
                                        ReplyScope) { return reply_class != ReplyClass::kLocal; }),
              0.5)
        << text;
    EXPECT_EQ(Classify(text, {.logged = Permanence::kTransient, .nobody_asked = true}).permanence,
              Permanence::kTransient);
  }
  // What is told of the recipient, and of the message, stays.
  EXPECT_EQ(Classify("No Such User Here", own).reply_class, ReplyClass::kInvalidRecipient);
  EXPECT_EQ(Classify("Unrouteable address", own).reply_class, ReplyClass::kDnsRouting);
  EXPECT_EQ(Classify("Too many \"Received\" headers - suspected mail loop", own).reply_class,
            ReplyClass::kMailLoop);
  // So does a server's answer.
  EXPECT_EQ(Classify("550 relay not permitted", own).reply_class, ReplyClass::kRelayDenied);
  EXPECT_EQ(Classify("relay not permitted").reply_class, ReplyClass::kRelayDenied);
  EXPECT_EQ(Classify("550 Mailing to remote domains not supported").rule, "protocol_error.command");
}

TEST_F(ClassifyTest, TheFirstDigitDecidesPermanence) {
  EXPECT_EQ(Classify("554 4.4.7 Message expired").permanence, Permanence::kPermanent);
  EXPECT_EQ(Classify("452 5.2.2 Mailbox full").permanence, Permanence::kTransient);
  EXPECT_EQ(Classify("4.2.2 Mailbox full").permanence, Permanence::kTransient);
  EXPECT_EQ(Classify("450 4.2.2 x", {.logged = Permanence::kPermanent}).permanence,
            Permanence::kTransient);
}

TEST_F(ClassifyTest, WithoutACodeTheLogSaysWhetherItIsFinal) {
  EXPECT_EQ(Classify("Connection timed out").permanence, Permanence::kTransient);
  EXPECT_EQ(Classify("Connection timed out", {.logged = Permanence::kPermanent}).permanence,
            Permanence::kPermanent);
  EXPECT_EQ(Classify("** a@b.example R=r T=t: Connection timed out").permanence,
            Permanence::kPermanent);
  EXPECT_EQ(Classify("mailbox is full: retry timeout exceeded").permanence, Permanence::kPermanent);
}

TEST_F(ClassifyTest, AnAddressIsNoEvidence) {
  EXPECT_EQ(Classify("550 5.1.1 <spam.mailbox-full@quota-exceeded.example>: user unknown").rule,
            Classify("550 5.1.1 <jane@dest.example>: user unknown").rule);
  EXPECT_EQ(Classify("550 user.unknown@mailbox.full.example Rejected").reply_class,
            ReplyClass::kUnclassified);
}

TEST_F(ClassifyTest, TheListedAddressDecidesTheScope) {
  EXPECT_EQ(Classify("554 Client host [192.0.2.1] blocked using zen.spamhaus.org").scope,
            ReplyScope::kIp);
  EXPECT_EQ(Classify("550 5.7.1 MailFrom domain is listed in Spamhaus").scope,
            ReplyScope::kSenderDomain);
}

TEST_F(ClassifyTest, TheHostNamesTheProvider) {
  EXPECT_EQ(Classify("550 no", {.host = "MX01.T-Online.de"}).provider, "t-online");
  EXPECT_EQ(Classify("550 no", {.host = "mx.dest.example"}).provider, "");
}

TEST(CountsProbability, SumsOverClassesAndTheirScopes) {
  const auto by_default = [](const Classification& answer) {
    return CountsProbability(answer, [](ReplyClass reply_class, ReplyScope scope) {
      return CountsByDefault(reply_class, scope, /*failure=*/true);
    });
  };
  const auto at = [](ReplyClass reply_class) { return static_cast<size_t>(reply_class); };
  Classification answer;
  for (const ReplyClassInfo& info : ReplyClassTable()) answer.scopes[at(info.id)] = info.scope;
  // Both count: doubt between them changes nothing.
  answer.probability[at(ReplyClass::kContent)] = 0.5F;
  answer.probability[at(ReplyClass::kPolicy)] = 0.5F;
  EXPECT_NEAR(by_default(answer), 1, 1e-6);
  // A listed IP of ours is never a sender's: more likely than the bad address, it spares them.
  answer.probability = {};
  answer.probability[at(ReplyClass::kInvalidRecipient)] = 0.45F;
  answer.probability[at(ReplyClass::kReputation)] = 0.55F;
  EXPECT_NEAR(by_default(answer), 0.45, 1e-6);
  answer.scopes[at(ReplyClass::kReputation)] = ReplyScope::kSenderDomain;
  EXPECT_NEAR(by_default(answer), 1, 1e-6);
  // Without probabilities the class is certain.
  answer = {.reply_class = ReplyClass::kMailLoop};
  EXPECT_EQ(by_default(answer), 0);
  answer = {.reply_class = ReplyClass::kContent, .scope = ReplyScope::kSenderDomain};
  EXPECT_EQ(by_default(answer), 1);
}

TEST_F(ClassifyTest, ConfidenceFitsTheClass) {
  for (const KnownReply& reply : RealReplies()) {
    const Classification got = Classify(reply.text);
    if (got.probability == ReplyProbabilities{}) continue;  // the model had no say
    float sum = 0;
    float most = 0;
    for (float one : got.probability) {
      sum += one;
      most = std::max(most, one);
    }
    EXPECT_NEAR(sum, 1, 1e-4) << reply.text;
    EXPECT_EQ(got.confidence, most) << reply.text;
    EXPECT_EQ(got.probability[static_cast<size_t>(got.reply_class)], most) << reply.text;
    EXPECT_EQ(got.scopes[static_cast<size_t>(got.reply_class)], got.scope) << reply.text;
  }
}

// What was classified before, in whatever order, changes no answer.
TEST_F(ClassifyTest, AnswersDependOnTheReplyAlone) {
  const auto fresh = ReplyClassifier::Create().value();
  std::vector<KnownReply> replies = RealReplies();
  for (int turn = 0; turn < 2; ++turn) {
    for (auto reply = replies.rbegin(); reply != replies.rend(); ++reply) {
      for (const ReplyHints& hints :
           {ReplyHints{}, ReplyHints{.logged = Permanence::kTransient, .host = "mx.yahoo.com"},
            ReplyHints{.logged = Permanence::kPermanent}}) {
        const Classification a = Classify(reply->text, hints);
        const Classification b = fresh->Classify(reply->text, hints);
        EXPECT_EQ(std::tie(a.reply_class, a.scope, a.permanence, a.code, a.enhanced, a.provider,
                           a.rule, a.confidence),
                  std::tie(b.reply_class, b.scope, b.permanence, b.code, b.enhanced, b.provider,
                           b.rule, b.confidence))
            << reply->text;
      }
    }
  }
}

TEST_F(ClassifyTest, ThreadsMayShareAClassifier) {
  const std::vector<KnownReply> replies = RealReplies();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (const KnownReply& reply : replies) {
        const Classification first = Classify(reply.text);
        if (first.reply_class != Classify(reply.text).reply_class) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ReplyClassifier, OwnRulesComeFirst) {
  const ReplyRule mine = {.id = "policy.mine",
                          .reply_class = ReplyClass::kPolicy,
                          .scope = ReplyScope::kSenderDomain,
                          .patterns = {"^550 \\S+ \\S+: .*user unknown"}};
  const auto classifier = ReplyClassifier::Create({mine});
  ASSERT_TRUE(classifier.ok());
  EXPECT_EQ((*classifier)->Classify("550 5.1.1 User unknown").rule, "policy.mine");
  EXPECT_EQ((*classifier)->Classify("551 5.1.1 User unknown").reply_class,
            ReplyClass::kInvalidRecipient);
}

TEST(ReplyClassifier, BadPatternsAreNamed) {
  const auto classifier = ReplyClassifier::Create(
      {{.id = "policy.mine", .patterns = {"a(b"}}, {.id = "policy.second", .patterns = {"(?=x)"}}});
  ASSERT_FALSE(classifier.ok());
  EXPECT_THAT(std::string(classifier.status().message()),
              AllOf(HasSubstr("policy.mine: bad pattern"), HasSubstr("policy.second")));
}

TEST(ReplyClassifier, AnEmptyTableKnowsNothing) {
  const auto classifier = ReplyClassifier::CreateFrom({});
  ASSERT_TRUE(classifier.ok());
  EXPECT_EQ((*classifier)->Classify("550 User unknown").rule, "");
}

void ExpectSame(const Classification& a, const Classification& b) {
  EXPECT_EQ(a.rule, b.rule);
  EXPECT_EQ(a.code, b.code);
  EXPECT_EQ(a.enhanced, b.enhanced);
  EXPECT_EQ(a.permanence, b.permanence);
}

TEST_F(ClassifyTest, RandomBytesAreSafe) {
  std::mt19937 random(1);
  const std::string pieces[] = {"550 ", "5.1.1 ",   "<",
                                ">",    "@",        "\\n",
                                "[",    "status=",  " (",
                                "** ",  ": ",       "user unknown",
                                "\xC3", "\xE2\x80", std::string(1, '\0')};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    const size_t size = random() % 200;
    while (text.size() < size) {
      if (random() % 3 == 0) {
        text += pieces[random() % std::size(pieces)];
      } else {
        text.push_back(static_cast<char>(random()));
      }
    }
    ExpectSame(Classify(text), Classify(text));
  }
}

TEST_F(ClassifyTest, RepliesMayEndAtAnyByte) {
  int taken = 0;
  for (const KnownReply& reply : OwnReplies()) {
    if (++taken % 4 != 0) continue;
    for (size_t size = 0; size <= reply.text.size(); ++size) {
      const std::string cut = reply.text.substr(0, size);  // its own allocation, for ASan
      ExpectSame(Classify(cut), Classify(cut));
    }
  }
}

// What would take a backtracking matcher, or a quadratic scan, minutes.
TEST_F(ClassifyTest, HostileTextTakesBoundedTime) {
  const absl::Time begin = absl::Now();
  for (const char* piece : {"<", "[", "a@", "user ", "550 ", "5.1.1 ", "\\n550-", "mailbox is not ",
                            ": ", "status=x (", "\xC3", "from sender domain "}) {
    std::string text = "550 ";
    while (text.size() < (1 << 20)) text += piece;
    Classify(text);
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
}

}  // namespace
}  // namespace deferd
