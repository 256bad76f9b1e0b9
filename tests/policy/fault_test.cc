#include "policy/fault.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::HasSubstr;
using testing::Not;

using R = ReplyClass;
using C = CulpritKind;
using T = Trouble;

struct FaultCase {
  const char* name;
  Symptoms symptoms;
  Trouble trouble;
  const char* sentence;  // a part of it
  const char* remedy;    // a part of the first
};

Symptoms Of(CulpritKind culprit, std::vector<AnsweredClass> answers) {
  return {.culprit = culprit, .answers = std::move(answers)};
}
Symptoms With(Symptoms symptoms, void (*change)(Symptoms*)) {
  change(&symptoms);
  return symptoms;
}

class FaultTest : public testing::TestWithParam<FaultCase> {};

TEST_P(FaultTest, FollowsFromCulpritAndAnswers) {
  const FaultCase& one = GetParam();
  const Fault fault = FaultOf(one.symptoms);
  EXPECT_EQ(TroubleName(fault.trouble), TroubleName(one.trouble));
  EXPECT_THAT(std::string(fault.sentence), HasSubstr(one.sentence));
  if (*one.remedy == '\0') {
    EXPECT_TRUE(fault.remedies.empty());
  } else {
    ASSERT_FALSE(fault.remedies.empty());
    EXPECT_THAT(std::string(fault.remedies.front()), HasSubstr(one.remedy));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, FaultTest,
    testing::Values(
        FaultCase{"Nothing", {}, T::kNone, "none", ""},
        FaultCase{"StolenPassword", Of(C::kLogin, {{R::kInvalidRecipient, 27}, {R::kContent, 20}}),
                  T::kStolen, "this mailbox: probably a stolen password", "change its password"},
        FaultCase{"HackedSite", Of(C::kUser, {{R::kContent, 30}, {R::kMailboxDisabled, 12}}),
                  T::kStolen, "hacked site", "find and remove the script"},
        FaultCase{"InfectedMachine", Of(C::kHost, {{R::kContent, 9}, {R::kInvalidRecipient, 9}}),
                  T::kStolen, "this machine", "disconnect"},
        FaultCase{"SpamAndDeadOfMany", Of(C::kMany, {{R::kContent, 9}, {R::kInvalidRecipient, 9}}),
                  T::kStolen, "several senders", "change their passwords"},
        FaultCase{"SpamAndDeadOfAnAddress",
                  Of(C::kSender, {{R::kContent, 9}, {R::kInvalidRecipient, 9}}), T::kStolen,
                  "whoever sends as this address", "find out who sent it"},
        FaultCase{"SpamAndDeadOfNobodyKnown",
                  Of(C::kUnknown, {{R::kContent, 9}, {R::kInvalidRecipient, 9}}), T::kStolen,
                  "whoever", "find out who sent it"},
        FaultCase{"AFewTyposBesideSpamAreSpam",
                  Of(C::kLogin, {{R::kContent, 40}, {R::kInvalidRecipient, 2}}), T::kSpam,
                  "looks like spam", "ask its owner"},
        FaultCase{"SpamRefused", Of(C::kUser, {{R::kContent, 12}}), T::kSpam, "website",
                  "look at what its script sends"},
        FaultCase{"ForwardedSpam", Of(C::kForward, {{R::kContent, 12}}), T::kSpam, "strangers",
                  "filter spam before"},
        FaultCase{"OldList",
                  With(Of(C::kLogin, {{R::kInvalidRecipient, 30}, {R::kMailboxFull, 2}}),
                       [](Symptoms* s) { s->recipients = 32; }),
                  T::kDeadAddresses, "an old address list, or a stolen password", "ask its owner"},
        FaultCase{"OldListOfAForm", Of(C::kUser, {{R::kInvalidRecipient, 30}}), T::kDeadAddresses,
                  "addresses nobody checked", "captcha"},
        FaultCase{"OldListOfMany", Of(C::kMany, {{R::kInvalidRecipient, 30}}), T::kDeadAddresses,
                  "several senders", "remove these addresses"},
        FaultCase{"OneTypo",
                  With(Of(C::kLogin, {{R::kInvalidRecipient, 5}}),
                       [](Symptoms* s) { s->recipients = 1; }),
                  T::kOneAddress, "mistyped", "correct the address"},
        FaultCase{"NoSuchDomain", Of(C::kLogin, {{R::kDnsRouting, 6}}), T::kWrongDomain,
                  "mistyped recipient domain", "after the @"},
        FaultCase{"OwnAddressListed", Of(C::kLogin, {{R::kReputation, 0, 40}}), T::kOwnAddress,
                  "our own server", "deferctl incidents"},
        FaultCase{"OwnAddressListedAndNothingElse",
                  With({}, [](Symptoms* s) { s->address_listed = true; }), T::kOwnAddress,
                  "our own server", "deferctl incidents"},
        FaultCase{"ATypoBesideOurListedAddressIsTheTypo",
                  With(Of(C::kLogin, {{R::kReputation, 0, 40}, {R::kInvalidRecipient, 3}}),
                       [](Symptoms* s) { s->recipients = 2; }),
                  T::kOneAddress, "mistyped", "correct the address"},
        FaultCase{"DomainListed", Of(C::kLogin, {{R::kReputation, 12}}), T::kDomainListed,
                  "the sender's domain", "ask the list for removal"},
        FaultCase{"OnlyGreylisting", Of(C::kLogin, {{R::kGreylisting, 0, 7}}), T::kGreylisting,
                  "nobody: greylisting", "wait"},
        FaultCase{"TooFast", Of(C::kLogin, {{R::kRateLimited, 9}, {R::kGreylisting, 0, 50}}),
                  T::kTooFast, "more at once", "smaller portions"},
        FaultCase{"TooFastScript", Of(C::kUser, {{R::kRateLimited, 0, 9}}), T::kTooFast, "website",
                  "slow its script down"},
        FaultCase{"DestinationDown",
                  With(Of(C::kMany, {{R::kNetwork, 0, 9}, {R::kServerResources, 0, 5}}),
                       [](Symptoms* s) { s->destinations = 1; }),
                  T::kDestinationDown, "the recipients' servers", "wait"},
        FaultCase{"UnclearAnswersOfAPlaceThatIsDown",
                  With(Of(C::kSender, {{R::kUnclassified, 0, 9}}),
                       [](Symptoms* s) { s->destination_down = true; }),
                  T::kDestinationDown, "the recipients' servers", "wait"},
        FaultCase{
            "NothingReachable",
            With(Of(C::kMany, {{R::kNetwork, 0, 20}}), [](Symptoms* s) { s->destinations = 8; }),
            T::kOwnNetwork, "reaches no other mail server", "firewall"},
        FaultCase{"SomeReachable",
                  With(Of(C::kMany, {{R::kNetwork, 0, 20}}),
                       [](Symptoms* s) {
                         s->destinations = 8;
                         s->delivered = 100;
                       }),
                  T::kDestinationDown, "the recipients' servers", "wait"},
        FaultCase{"MailboxFull", Of(C::kLogin, {{R::kMailboxFull, 8}}), T::kMailboxFull,
                  "mailboxes are full", "another way"},
        FaultCase{"NoSpf", Of(C::kSender, {{R::kAuthentication, 8}}), T::kAuthentication,
                  "SPF, DKIM or DMARC", "correct SPF"},
        FaultCase{"ForwardBreaksSpf", Of(C::kForward, {{R::kAuthentication, 8}}),
                  T::kAuthentication, "the forward", "SRS"},
        FaultCase{"NoReverseDns", Of(C::kLogin, {{R::kSenderIdentity, 8}}), T::kSenderIdentity,
                  "cannot be verified", "reverse DNS"},
        FaultCase{"RelayDenied", Of(C::kLogin, {{R::kRelayDenied, 8}}), T::kRelayDenied,
                  "handles no mail for them", "check MX"},
        FaultCase{"TheirRule", Of(C::kLogin, {{R::kPolicy, 8}}), T::kPolicy, "a rule of theirs",
                  "permit this sender"},
        FaultCase{"TooLarge", Of(C::kLogin, {{R::kMessageTooLarge, 0, 8}}), T::kTooLarge,
                  "larger than", "smaller attachments"},
        FaultCase{"Tls", Of(C::kLogin, {{R::kTls, 0, 8}}), T::kEncryption, "encryption",
                  "STARTTLS"},
        FaultCase{"Loop", Of(C::kUnknown, {{R::kMailLoop, 0, 8}}), T::kLoop, "in a circle",
                  "break the circle"},
        FaultCase{"BadForm", Of(C::kUser, {{R::kProtocolError, 8}}), T::kBadForm, "break the rules",
                  "correct the script"},
        FaultCase{"OwnSettings", Of(C::kLogin, {{R::kLocal, 0, 8}}), T::kOwnSettings,
                  "our own server", "read the answers"},
        FaultCase{"NoReason", Of(C::kLogin, {{R::kUnclassified, 8}}), T::kUnclear, "name no reason",
                  "read the answers"},
        FaultCase{
            "GuessesHere",
            With(Of(C::kLogin, {{R::kContent, 2}}), [](Symptoms* s) { s->refused_here = 60; }),
            T::kGuessedHere, "this server refuses", "ask its owner"},
        FaultCase{"Mixed",
                  Of(C::kMany, {{R::kPolicy, 3}, {R::kMailboxFull, 3}, {R::kAuthentication, 3}}),
                  T::kSeveral, "several causes", "see WHAT"},
        FaultCase{"WhatCountsDecides",
                  Of(C::kLogin, {{R::kMailboxFull, 6}, {R::kGreylisting, 0, 90}}), T::kMailboxFull,
                  "mailboxes are full", "another way"}),
    [](const testing::TestParamInfo<FaultCase>& one) { return one.param.name; });

// Whatever comes, somebody is named and something can be done, in one line of the page.
TEST(Fault, EveryCombinationHasASentenceAndARemedyThatFit) {
  for (int culprit = 0; culprit <= static_cast<int>(C::kMany); ++culprit) {
    for (int a = 0; a < kReplyClasses; ++a) {
      for (int b = 0; b < kReplyClasses; ++b) {
        for (int64_t counted : {0, 1, 9}) {
          for (int64_t recipients : {0, 1, 50}) {
            Symptoms symptoms;
            symptoms.culprit = static_cast<CulpritKind>(culprit);
            symptoms.answers = {{static_cast<ReplyClass>(a), counted, 3},
                                {static_cast<ReplyClass>(b), 2 * counted, 1}};
            symptoms.recipients = recipients;
            const Fault fault = FaultOf(symptoms);
            EXPECT_FALSE(fault.sentence.empty()) << a << " " << b;
            EXPECT_LE(fault.sentence.size(), 73u) << fault.sentence;
            EXPECT_FALSE(fault.remedies.empty()) << a << " " << b;
            for (absl::string_view remedy : fault.remedies) {
              EXPECT_LE(remedy.size(), 71u) << remedy;
              EXPECT_THAT(std::string(remedy), Not(testing::EndsWith(".")));
            }
          }
        }
      }
    }
  }
}

TEST(Fault, EveryTroubleHasANameOfItsOwn) {
  std::vector<std::string> names;
  for (int i = 0; i < kTroubles; ++i) names.emplace_back(TroubleName(static_cast<Trouble>(i)));
  EXPECT_EQ(names.front(), "none");
  EXPECT_EQ(names.back(), "several");
  for (size_t i = 0; i < names.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(names[i], names[j]);
  }
}

TEST(Fault, TheClassesWordsStandAtTheirClass) {
  EXPECT_EQ(WordsOf(R::kInvalidRecipient).reason, "unknown address");
  EXPECT_EQ(WordsOf(R::kGreylisting).reason, "asked to wait");
  EXPECT_EQ(WordsOf(R::kServerResources).reason, "server trouble");
  EXPECT_EQ(WordsOf(R::kUnclassified).many, "refused without a clear reason");
  for (int i = 0; i < kReplyClasses; ++i) {
    const AnswerWords& words = WordsOf(static_cast<ReplyClass>(i));
    EXPECT_FALSE(words.reason.empty());
    EXPECT_LE(words.reason.size(), 21u);
    EXPECT_EQ(words.one.substr(0, 2), "1 ");
    EXPECT_FALSE(words.many.empty());
  }
}

TEST(Culprits, OneHasTwoThirdsOrItIsMany) {
  EXPECT_EQ(CulpritOf({}), C::kUnknown);
  EXPECT_EQ(CulpritOf({{C::kLogin, 0}}), C::kUnknown) << "who sent well is no culprit";
  EXPECT_EQ(CulpritOf({{C::kLogin, 3}}), C::kLogin);
  EXPECT_EQ(CulpritOf({{C::kSender, 2}, {C::kUser, 4}}), C::kUser);
  EXPECT_EQ(CulpritOf({{C::kLogin, 5}, {C::kUser, 4}}), C::kMany);
  EXPECT_EQ(CulpritOf({{C::kLogin, 0}, {C::kUser, 4}}), C::kUser);
}

TEST(Providers, HaveTheNamesThatPeopleKnow) {
  EXPECT_EQ(ProviderName("google.com"), "Gmail");
  EXPECT_EQ(ProviderName("far.example"), "far.example");
}

}  // namespace
}  // namespace deferd
