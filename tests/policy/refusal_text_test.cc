#include "policy/refusal_text.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

class RefusalTextTest : public testing::Test {
 protected:
  std::string Text(Verdict verdict) const { return RefusalText(policy_, refusal_, verdict); }

  Policy policy_;
  Refusal refusal_ = {
      Subject{SubjectKind::kDomain, "example.com"}, 7, 5, 20,
      absl::FromCivil(absl::CivilSecond(2024, 5, 1, 14, 5, 59), absl::UTCTimeZone())};
};

TEST_F(RefusalTextTest, SaysWhatHappensToTheMessage) {
  EXPECT_EQ(Text(Verdict::kHold),
            "Domain example.com has exceeded the max defers and failures per hour (7/5 (20%)) "
            "allowed. Message held until it recovers.");
  EXPECT_EQ(Text(Verdict::kReject),
            "Domain example.com has exceeded the max defers and failures per hour (7/5 (20%)) "
            "allowed. Message rejected, try again after 14:05 UTC.");
  EXPECT_EQ(Text(Verdict::kDiscard),
            "Domain example.com has exceeded the max defers and failures per hour (7/5 (20%)) "
            "allowed. Message discarded.");
  EXPECT_EQ(Text(Verdict::kPass), "");
}

TEST_F(RefusalTextTest, WhatNobodyWouldReleaseIsDeferred) {
  refusal_.deferred = true;
  EXPECT_THAT(Text(Verdict::kHold),
              EndsWith("allowed. Message deferred, try again after 14:05 UTC."));
  EXPECT_THAT(Text(Verdict::kReject), EndsWith("Message rejected, try again after 14:05 UTC."));
  refusal_.by_person = true;
  EXPECT_THAT(Text(Verdict::kHold),
              EndsWith("Message deferred, try again after 2024-05-01 14:05 UTC."));
  EXPECT_TRUE(IsRefusalText(Text(Verdict::kHold)));
  refusal_.until = absl::InfiniteFuture();
  EXPECT_THAT(Text(Verdict::kHold), EndsWith("Message deferred, try again later."));
  policy_.profile = Profile::kCpanel;
  EXPECT_THAT(Text(Verdict::kHold), EndsWith("Message will be reattempted later."));
}

TEST_F(RefusalTextTest, ProfileCpanelKeepsTheVendorsEnding) {
  policy_.profile = Profile::kCpanel;
  for (Verdict verdict : {Verdict::kHold, Verdict::kReject, Verdict::kDiscard}) {
    EXPECT_EQ(Text(verdict),
              "Domain example.com has exceeded the max defers and failures per hour (7/5 (20%)) "
              "allowed. Message discarded.");
  }
}

TEST_F(RefusalTextTest, OfRejectedRecipientsItSaysSo) {
  const Refusal refusal = {.subject = {SubjectKind::kDomain, "shop.example"},
                           .bad = 60,
                           .min_bad = 50,
                           .percent = 40,
                           .until = absl::UnixEpoch(),
                           .measure = {Measure::What::kRejected}};
  const std::string text = RefusalText(Policy(), refusal, Verdict::kHold);
  EXPECT_EQ(text,
            "Domain shop.example has exceeded the max rejected recipients per hour (60/50 (40%)) "
            "allowed. Message held until it recovers.");
  EXPECT_TRUE(IsRefusalText(text));
  EXPECT_EQ(FindRefusal(text)->bad, 60);
}

TEST_F(RefusalTextTest, NamesTheKindOfSubject) {
  auto begins = [this](absl::string_view subject) {
    refusal_.subject = Subject::Parse(subject).value();
    const std::string text = Text(Verdict::kHold);
    return text.substr(0, text.find(" has "));
  };
  EXPECT_EQ(begins("login:bob@example.com"), "Login bob@example.com");
  EXPECT_EQ(begins("account:acct1"), "Account acct1");
  EXPECT_EQ(begins("script:/srv/form.php"), "Script /srv/form.php");
  EXPECT_EQ(begins("local:www-data@web1"), "Local user www-data@web1");
  EXPECT_EQ(begins("forward:example.com"), "Forward of example.com");
  EXPECT_EQ(begins("host:192.0.2.7"), "Host 192.0.2.7");
}

TEST_F(RefusalTextTest, APersonsBlockHasNoCounts) {
  refusal_.by_person = true;
  policy_.text = "ours {bad}";
  EXPECT_EQ(
      Text(Verdict::kReject),
      "Mail of example.com was stopped by the administrator. Message rejected, try again after "
      "14:05 UTC.");
  EXPECT_EQ(
      Text(Verdict::kHold),
      "Mail of example.com was stopped by the administrator. Message held until 2024-05-01 14:05 "
      "UTC.")
      << "there is nothing to recover from";
  policy_.profile = Profile::kCpanel;
  EXPECT_THAT(Text(Verdict::kHold), EndsWith(" Message held until 2024-05-01 14:05 UTC."));
}

TEST_F(RefusalTextTest, ThePolicysTextTakesItsPlace) {
  policy_.text = "{kind} {subject}: {bad} of {min_bad}, {percent} %, {until}. {ending}";
  EXPECT_EQ(Text(Verdict::kHold),
            "Domain example.com: 7 of 5, 20 %, 14:05 UTC. Message held until it recovers.");
}

TEST_F(RefusalTextTest, TheTextMayNameTheCaseAlone) {
  refusal_.case_id = "web1-3-17";
  policy_.text = "Too many failed deliveries. Ask support about case {case}. {ending}";
  EXPECT_EQ(Text(Verdict::kHold),
            "Too many failed deliveries. Ask support about case web1-3-17. Message held until it "
            "recovers.");
}

TEST_F(RefusalTextTest, InsertedValuesAreNotExpandedAgain) {
  refusal_.subject = {SubjectKind::kLogin, "{ending}{bad}"};
  policy_.text = "{subject}";
  EXPECT_EQ(Text(Verdict::kHold), "{ending}{bad}");
}

TEST_F(RefusalTextTest, IsOneLineOfPrintableAscii) {
  refusal_.subject = {SubjectKind::kLogin, "b\xC3\xBC\r\nRCPT@example.com"};
  EXPECT_THAT(Text(Verdict::kHold), testing::StartsWith("Login b????RCPT@example.com has"));
}

TEST_F(RefusalTextTest, ALongSubjectDoesNotPushTheEndingOut) {
  refusal_.subject = {SubjectKind::kForward, std::string(1000, 'x')};
  refusal_.bad = refusal_.min_bad = 999999;
  const std::string text = Text(Verdict::kReject);
  EXPECT_LE(text.size(), kMaxRefusalText);
  EXPECT_THAT(text, EndsWith("Message rejected, try again after 14:05 UTC."));
  policy_.text = absl::StrCat(std::string(390, 'y'), "{subject}");
  EXPECT_EQ(Text(Verdict::kReject).size(), kMaxRefusalText);
}

TEST_F(RefusalTextTest, EverySentenceIsKnownAgain) {
  for (const char* text :
       {"", "{kind} {subject}: {bad} of {min_bad}, {percent} %, {until}. {ending}",
        "Stop sending, {subject}", "Refused, see case {case}. {ending}",
        "{ending} Ask support about {subject}."}) {
    policy_.text = text;
    for (Profile profile : {Profile::kFair, Profile::kCpanel}) {
      policy_.profile = profile;
      for (const char* subject : {"example.com", "login:bob@example.com", "login:bob smith",
                                  "account:acct1", "script:/srv/a/form.php", "local:www-data@web1",
                                  "forward:example.com", "host:192.0.2.9"}) {
        refusal_.subject = Subject::Parse(subject).value();
        for (bool by_person : {false, true}) {
          refusal_.by_person = by_person;
          for (Verdict verdict : {Verdict::kHold, Verdict::kReject, Verdict::kDiscard}) {
            EXPECT_TRUE(IsRefusalText(Text(verdict), policy_.text)) << Text(verdict);
          }
        }
      }
    }
  }
}

TEST(IsRefusalText, KnowsTheSentenceOfALimitOnWhatIsSent) {
  EXPECT_TRUE(
      IsRefusalText("Domain x has exceeded the max emails per hour (500/500 (100%)) allowed."));
}

TEST(IsRefusalText, NeedsTheWholeSentenceAtTheBeginning) {
  constexpr absl::string_view kSentence =
      "Domain x has exceeded the max defers and failures per hour (5/5 (14%)) allowed.";
  EXPECT_TRUE(IsRefusalText(kSentence));
  EXPECT_TRUE(
      IsRefusalText("Login has exceeded the max defers and failures per hour (1/1 (1%)) allowed."));
  for (const std::string& text :
       {std::string(), std::string("250 2.0.0 OK"), "He said: " + std::string(kSentence),
        "Sub" + std::string(kSentence), "<" + std::string(kSentence) + ">",
        std::string("You has exceeded the max defers and failures per hour (5/5 (14%)) allowed."),
        std::string(
            "Domains has exceeded the max defers and failures per hour (5/5 (1%)) allowed."),
        std::string("Domain x has exceeded the max sandwiches per hour (5/5 (100%)) allowed."),
        std::string("Domain x has exceeded the max defers and failures per hour (100%)"),
        std::string(
            "Domain x has exceeded the max defers and failures per hour (5/5 (14)) allowed"),
        std::string("Domain x has exceeded the max defers and failures per hour (5/5 (14%"),
        "Domain " + std::string(500, 'x') + std::string(kSentence.substr(8)),
        std::string("It was stopped by the administrator."),
        std::string("eMail of x was stopped by the administrator.")}) {
    EXPECT_FALSE(IsRefusalText(text)) << text;
  }
}

// "{subject}" alone would know every text as ours.
TEST(IsRefusalText, TheSubjectMayHoldTheSentencesOwnWords) {
  for (absl::string_view words : {kExceeded, kExceededRejected, kExceededClasses, kExceededSent,
                                  kPerHour, kAllowed, kStoppedMail, kWasStopped}) {
    for (int form = 0; form < 4; ++form) {
      Measure measure = {static_cast<Measure::What>(form)};
      if (form == 3) measure = ParseMeasure("bad_of_classes", {"content", "policy"});
      const Refusal refusal = {.subject = {SubjectKind::kLogin, absl::StrCat("a", words, "b@x")},
                               .bad = 7,
                               .min_bad = 5,
                               .percent = 50,
                               .measure = measure};
      EXPECT_TRUE(IsRefusalText(RefusalText(Policy(), refusal, Verdict::kReject))) << words;
    }
  }
}

TEST(IsRefusalText, ATemplateMustSaySomething) {
  EXPECT_FALSE(IsRefusalText("Unrouteable address", "{subject}"));
  EXPECT_FALSE(IsRefusalText("Unrouteable address", "No. {subject}"));
  EXPECT_FALSE(IsRefusalText("Unrouteable address", "Sending stopped for {subject}"));
}

TEST(IsRefusalText, BracesOfNoPlaceholderAreText) {
  EXPECT_TRUE(IsRefusalText("Sending {} stopped: shop {", "Sending {} stopped: {subject} {"));
  EXPECT_FALSE(IsRefusalText("Sending  stopped: shop {", "Sending {} stopped: {subject} {"));
  for (const char* own : {"{", "}", "{}", "{{", "}{", "Sending stopped {", "{{subject}"}) {
    EXPECT_FALSE(IsRefusalText("Unrouteable address", own)) << own;
  }
}

// Quadratic time would take minutes here.
TEST(IsRefusalText, LongTextsAreReadInLinearTime) {
  std::string text = "Mail of Domain ", own = "{subject}Domain of the sender";
  for (int i = 0; i < 20000; ++i) {
    text += " has exceeded the max defers and failures per hour (1/1 (Mail Domain Login";
    own += "{subject}{kind}{bad}o";
  }
  EXPECT_FALSE(IsRefusalText(text, own));
}

TEST(RefusalTemplate, KnowsItsPlaceholders) {
  EXPECT_THAT(CheckRefusalTemplate("Stop."), IsOk());
  EXPECT_THAT(CheckRefusalTemplate(
                  "{kind}{subject} {bad}/{min_bad} {percent}% {until} {ending}{ending} {case}"),
              IsOk());
}

TEST(RefusalTemplate, SaysWhatIsWrong) {
  auto message = [](absl::string_view text) {
    return std::string(CheckRefusalTemplate(text).message());
  };
  EXPECT_THAT(message(""), HasSubstr("text is empty; leave it out"));
  EXPECT_THAT(message("{domain}"), HasSubstr("text has '{domain}'; the placeholders are {kind} {"));
  EXPECT_THAT(message("{bad} {Bad}"), HasSubstr("text has '{Bad}'"));
  EXPECT_THAT(message("{{bad}}"), HasSubstr("text has '{{bad}'"));
  EXPECT_THAT(message("{}"), HasSubstr("text has '{}'"));
  EXPECT_THAT(message("{bad"), HasSubstr("text has '{'"));
  EXPECT_THAT(message("bad}"), HasSubstr("text has '}'"));
  EXPECT_THAT(message("a\nb"), HasSubstr("a line break or another byte"));
  EXPECT_THAT(message("é"), HasSubstr("a line break or another byte"));
  EXPECT_THAT(message(std::string(401, 'x')), HasSubstr("longer than 400 bytes"));
}

TEST(RefusalTextWarning, IsOfTextsThatCannotBeRecognised) {
  for (const char* text : {"", "Tell support the case {case}. {ending}"}) {
    EXPECT_EQ(RefusalTextWarning(text), "") << text;
  }
  for (const char* text : {"Case {case}.", "{subject}"}) {
    EXPECT_NE(RefusalTextWarning(text), "") << text;
  }
}

}  // namespace
}  // namespace deferd
