#include "limiter/hook/postfix_session.h"

#include <random>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::SizeIs;

// As Postfix 3.7 asks at RCPT.
constexpr char kRequest[] =
    "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
    "client_address=192.0.2.1\nclient_name=pc.example\nclient_port=50124\n"
    "reverse_client_name=pc.example\nserver_address=127.0.0.1\nserver_port=587\n"
    "helo_name=pc\nsender=bob@a.example\nrecipient=ann@far.example\nrecipient_count=0\n"
    "queue_id=\ninstance=6f21.673f.0\nsize=0\netrn_domain=\nstress=\nsasl_method=PLAIN\n"
    "sasl_username=bob@a.example\nsasl_sender=\nccert_subject=\nccert_issuer=\n"
    "ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\n"
    "encryption_keysize=0\npolicy_context=\n\n";

class PostfixSessionTest : public testing::Test {
 protected:
  std::unique_ptr<PostfixSession> New() {
    return std::make_unique<PostfixSession>(
        [this](const Question& question) {
          questions_.push_back(question);
          return answer_;
        },
        [this](const Answer&, absl::Duration) { ++answered_; }, [this] { ++malformed_; });
  }
  std::string Ask(const std::string& text) {
    std::string out;
    open_ = session_->OnBytes(text, &out);
    return out;
  }
  static std::string With(const std::string& from, const std::string& to) {
    return absl::StrReplaceAll(kRequest, {{from, to}});
  }

  std::vector<Question> questions_;
  Answer answer_;
  int answered_ = 0;
  int malformed_ = 0;
  bool open_ = true;
  std::unique_ptr<PostfixSession> session_ = New();
};

TEST_F(PostfixSessionTest, AsksForWhoIsCharged) {
  EXPECT_EQ(Ask(kRequest), "action=DUNNO\n\n");
  ASSERT_THAT(questions_, SizeIs(1));
  EXPECT_EQ(questions_[0].identity.login, "bob@a.example");
  EXPECT_EQ(questions_[0].identity.sender, "bob@a.example");
  EXPECT_EQ(questions_[0].identity.host, "192.0.2.1");
  EXPECT_FALSE(questions_[0].identity.sender_vouched);
  EXPECT_EQ(questions_[0].source, Source::kSubmission);
}

TEST_F(PostfixSessionTest, NamesThePortOfTheClient) {
  Ask(kRequest);
  ASSERT_THAT(questions_, SizeIs(1));
  EXPECT_EQ(questions_[0].port, 50124);
  for (const char* none : {"unknown", "", "0", "65536", "5012x", "-1"}) {
    questions_.clear();
    Ask(absl::StrReplaceAll(With("client_port=50124", absl::StrCat("client_port=", none)),
                            {{"instance=6f21", absl::StrCat("instance=x", none)}}));
    ASSERT_THAT(questions_, SizeIs(1)) << none;
    EXPECT_EQ(questions_[0].port, 0) << none;
  }
}

TEST_F(PostfixSessionTest, MailFromOutsideProvesNothing) {
  Ask(With("sasl_username=bob@a.example", "sasl_username="));
  EXPECT_EQ(questions_[0].identity.login, "");
  EXPECT_FALSE(questions_[0].identity.sender_vouched);
  EXPECT_EQ(questions_[0].source, Source::kRelay);
}

TEST_F(PostfixSessionTest, EachVerdictHasItsAction) {
  answer_.text = "Domain a.example has exceeded";
  const std::pair<Verdict, const char*> kActions[] = {
      {Verdict::kPass, "action=DUNNO\n\n"},
      {Verdict::kHold, "action=HOLD Domain a.example has exceeded\n\n"},
      {Verdict::kReject, "action=550 5.7.1 Domain a.example has exceeded\n\n"},
      {Verdict::kDiscard, "action=DISCARD Domain a.example has exceeded\n\n"}};
  for (const auto& [verdict, action] : kActions) {
    answer_.verdict = verdict;
    session_ = New();
    EXPECT_EQ(Ask(kRequest), action);
  }
}

TEST_F(PostfixSessionTest, WhatNobodyWouldReleaseIsDeferred) {
  answer_ = {.verdict = Verdict::kHold, .deferred = true, .text = "Domain a.example"};
  EXPECT_EQ(Ask(kRequest), "action=DEFER_IF_PERMIT 4.7.1 Domain a.example\n\n");
}

TEST_F(PostfixSessionTest, OneMessageIsQueriedOnce) {
  answer_.verdict = Verdict::kReject;
  answer_.text = "no";
  const std::string first = Ask(kRequest);
  answer_.verdict = Verdict::kPass;
  EXPECT_EQ(Ask(kRequest), first) << "its next recipient";
  EXPECT_EQ(answered_, 1);
  EXPECT_EQ(Ask(With("instance=6f21.673f.0", "instance=6f21.673f.1")), "action=DUNNO\n\n");
  EXPECT_EQ(answered_, 2);
  for (size_t i = 0; i < PostfixSession::kInstances; ++i) {
    Ask(With("instance=6f21", absl::StrCat("instance=", i)));
  }
  EXPECT_EQ(Ask(kRequest), "action=DUNNO\n\n") << "it is remembered for a while";
  Ask(With("instance=6f21.673f.0\n", ""));
  Ask(With("instance=6f21.673f.0\n", ""));
  EXPECT_EQ(answered_, 5 + static_cast<int>(PostfixSession::kInstances)) << "without: each";
}

TEST_F(PostfixSessionTest, ManyQuestionsOfOneConnectionInOrder) {
  std::string many;
  for (int i = 0; i < 50; ++i) many += With("6f21.673f.0", absl::StrCat("x.", i));
  std::string expected;
  for (int i = 0; i < 50; ++i) expected += "action=DUNNO\n\n";
  EXPECT_EQ(Ask(many), expected);
  EXPECT_TRUE(open_);
}

TEST_F(PostfixSessionTest, AnySplitIsTheSame) {
  std::string second = With("bob@a.example", "eve@b.example");
  second = absl::StrReplaceAll(second, {{"6f21.673f.0", "6f21.673f.1"}});
  const std::string text = kRequest + second;
  const auto expect_both = [&](size_t cut) {
    ASSERT_THAT(questions_, SizeIs(2)) << cut;
    EXPECT_EQ(questions_[0].identity.login, "bob@a.example") << cut;
    EXPECT_EQ(questions_[0].identity.host, "192.0.2.1") << cut;
    EXPECT_EQ(questions_[1].identity.login, "eve@b.example") << cut;
    EXPECT_EQ(questions_[1].identity.sender, "eve@b.example") << cut;
  };
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    session_ = New();
    questions_.clear();
    const std::string first = Ask(text.substr(0, cut));
    EXPECT_EQ(first + Ask(text.substr(cut)), "action=DUNNO\n\naction=DUNNO\n\n");
    expect_both(cut);
  }
  session_ = New();
  questions_.clear();
  std::string out;
  for (const char c : text) session_->OnBytes(absl::string_view(&c, 1), &out);
  EXPECT_EQ(out, "action=DUNNO\n\naction=DUNNO\n\n");
  expect_both(0);
}

TEST_F(PostfixSessionTest, MalformedQuestionsPassAndAreCounted) {
  EXPECT_EQ(Ask("hello\n\n"), "action=DUNNO\n\n");
  EXPECT_EQ(Ask("request=other\nsender=a@b\n\n"), "action=DUNNO\n\n");
  EXPECT_EQ(Ask(absl::StrCat("request=smtpd_access_policy\nsender=",
                             std::string(PostfixSession::kMaxLine, 'x'), "\n\n")),
            "action=DUNNO\n\n");
  std::string lines = "request=smtpd_access_policy\n";
  for (int i = 0; i < PostfixSession::kMaxLines; ++i) absl::StrAppend(&lines, "a", i, "=1\n");
  EXPECT_EQ(Ask(lines + "\n"), "action=DUNNO\n\n");
  EXPECT_EQ(Ask(std::string("request=smtpd_access_policy\nsender=a\0b\n\n", 40)),
            "action=DUNNO\n\n");
  EXPECT_EQ(malformed_, 5);
  EXPECT_THAT(questions_, SizeIs(0));
  EXPECT_EQ(Ask("\n\n\n"), "") << "nothing was asked";
  EXPECT_EQ(Ask(kRequest), "action=DUNNO\n\n");
  EXPECT_THAT(questions_, SizeIs(1));
}

TEST_F(PostfixSessionTest, AMalformedFloodIsClosed) {
  for (int i = 0; i < PostfixSession::kMaxMalformed; ++i) Ask("x\n\n");
  EXPECT_FALSE(open_);
  EXPECT_EQ(malformed_, PostfixSession::kMaxMalformed);
}

TEST_F(PostfixSessionTest, AQuestionThatDoesNotEndIsClosed) {
  Ask("request=smtpd_access_policy\n");
  for (int i = 0; i < 10 * PostfixSession::kMaxLines && open_; ++i) Ask("a=1\n");
  EXPECT_FALSE(open_);
}

// DATA and END-OF-MESSAGE ask once a message, without a recipient and with the queue's id.
TEST_F(PostfixSessionTest, AtTheEndOfAMessageItsIdIsKnown) {
  Ask(absl::StrReplaceAll(kRequest, {{"protocol_state=RCPT", "protocol_state=END-OF-MESSAGE"},
                                     {"recipient=ann@far.example", "recipient="},
                                     {"recipient_count=0", "recipient_count=3"},
                                     {"queue_id=\n", "queue_id=4jX8s03hTFz1brnv\n"},
                                     {"size=0", "size=431"}}));
  ASSERT_THAT(questions_, SizeIs(1));
  EXPECT_EQ(questions_[0].id, "4jX8s03hTFz1brnv");
  EXPECT_EQ(questions_[0].identity.login, "bob@a.example");
}

TEST_F(PostfixSessionTest, OfAnAttributeThatComesTwiceTheFirstCounts) {
  Ask(With("sasl_username=bob@a.example\n", "sasl_username=\nsasl_username=eve@b.example\n"));
  EXPECT_EQ(questions_[0].identity.login, "") << "also an empty one";
  questions_.clear();
  session_ = New();
  Ask(With("sasl_username=bob@a.example\n",
           "sasl_username=bob@a.example\nsasl_username=eve@b.example\n"));
  EXPECT_EQ(questions_[0].identity.login, "bob@a.example");
}

TEST_F(PostfixSessionTest, OfTwoReadingsTheStricterAnswerIsGiven) {
  const std::pair<std::string, std::string> kTwice[] = {
      {"sasl_username=bob@a.example\n",
       "sasl_username=eve@b.example\nsasl_username=bob@a.example\n"},
      {"sasl_username=bob@a.example\n", "sasl_username=bob@a.example\nsasl_username=\n"},
      {"sender=bob@a.example\n", "sender=x@b.example\nsender=bob@a.example\n"}};
  for (const auto& [once, twice] : kTwice) {
    auto session = PostfixSession(
        [](const Question& question) -> Answer {
          const bool bad = question.identity.login == "bob@a.example" &&
                           question.identity.sender == "bob@a.example";
          return {.verdict = bad ? Verdict::kHold : Verdict::kPass, .text = "held"};
        },
        nullptr, nullptr);
    std::string out;
    session.OnBytes(With(once, twice), &out);
    EXPECT_EQ(out, "action=HOLD held\n\n") << twice;
  }
}

TEST_F(PostfixSessionTest, ASenderKeepsItsBytes) {
  for (const std::string sender :
       {"a.\"x\tdomain=o.example\ty\"@evil.example", "a\rb=c\r@evil.example",
        "\"sasl_username=x@o.example\"@evil.example", "\"sender=x@o.example\"@evil.example"}) {
    session_ = New();
    questions_.clear();
    Ask(With("sender=bob@a.example", "sender=" + sender));
    ASSERT_THAT(questions_, SizeIs(1));
    EXPECT_EQ(questions_[0].identity.sender, sender);
    EXPECT_EQ(questions_[0].identity.login, "bob@a.example");
  }
}

TEST_F(PostfixSessionTest, AnyBytes) {
  std::mt19937 random(9);
  const std::string words[] = {"request=smtpd_access_policy\n",
                               "sender=",
                               "\n",
                               "\n\n",
                               "=",
                               "sasl_username=",
                               "instance=1\n",
                               std::string(300, 'z')};
  for (int i = 0; i < 3'000; ++i) {
    session_ = New();
    for (int n = 0; n < 20 && open_; ++n) {
      Ask(random() % 4 ? words[random() % std::size(words)]
                       : std::string(1, static_cast<char>(random())));
    }
    open_ = true;
  }
}

}  // namespace
}  // namespace deferd
