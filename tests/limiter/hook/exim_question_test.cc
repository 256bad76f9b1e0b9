// One question's text: what it asks about, and what is no question.

#include <string>
#include <vector>

#include "limiter/hook/exim_session.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

Question Parsed(absl::string_view line) {
  absl::StatusOr<Question> question = ParseEximQuestion(line);
  EXPECT_THAT(question, IsOk()) << line;
  return question.ok() ? *question : Question{};
}

TEST(EximQuestion, AllFields) {
  const Question question = Parsed(
      "check\tsender=bob@example.com\tlogin=bob\tuser=www\thost=192.0.2.7\tid=1a2b3c-000001-Xy"
      "\tsource=queued");
  EXPECT_EQ(question.identity.sender, "bob@example.com");
  EXPECT_EQ(question.identity.login, "bob");
  EXPECT_EQ(question.identity.host, "192.0.2.7");
  EXPECT_EQ(question.id, "1a2b3c-000001-Xy");
  EXPECT_EQ(question.source, Source::kQueued);
  EXPECT_FALSE(question.subject.has_value());
  EXPECT_FALSE(question.identity.sender_vouched);
}

TEST(EximQuestion, SubjectByName) {
  for (const char* line : {"check example.com", "check example.com\r", "  check   example.com  "}) {
    EXPECT_EQ(Parsed(line).subject, (Subject{SubjectKind::kDomain, "example.com"}));
    EXPECT_EQ(Parsed(line).identity, Identity{});
  }
  EXPECT_EQ(Parsed("check login:bob@example.com").subject,
            (Subject{SubjectKind::kLogin, "bob@example.com"}));
}

TEST(EximQuestion, SourceIsSubmissionUnlessSaid) {
  const struct {
    const char* text;
    Source source;
  } kCases[] = {{"", Source::kSubmission},
                {"\tsource=submission", Source::kSubmission},
                {"\tsource=local", Source::kLocal},
                {"\tsource=queued", Source::kQueued},
                {"\tsource=relay", Source::kRelay}};
  for (const auto& c : kCases) {
    EXPECT_EQ(Parsed(std::string("check\tlogin=bob") + c.text).source, c.source) << c.text;
  }
}

TEST(EximQuestion, SenderFormsAreOne) {
  const struct {
    const char* value;
    const char* sender;
  } kCases[] = {{"bob@example.com", "bob@example.com"},
                {"<bob@example.com>", "bob@example.com"},
                {"", ""},
                {"<>", ""},
                {"<", "<"},
                {"a=b@example.com", "a=b@example.com"},
                {"\"a b\"@example.com", "\"a b\"@example.com"}};
  for (const auto& c : kCases) {
    EXPECT_EQ(Parsed(std::string("check\tlogin=bob\tsender=") + c.value).identity.sender, c.sender);
  }
}

TEST(EximQuestion, SenderAloneIsVouchedFor) {
  const struct {
    const char* line;
    bool vouched;
  } kCases[] = {
      {"check\tsender=a@example.com", true},
      {"check\tsender=a@example.com\tid=x\tsource=relay\tother=1", true},
      {"check\tsender=a@example.com\tlogin=\tuser=\thost=", false},
      {"check\tsender=", true},
      {"check\tsender=a@example.com\tlogin=bob", false},
      {"check\tsender=a@example.com\tuser=www", false},
      {"check\tsender=a@example.com\thost=192.0.2.7", false},
      {"check\tsender=a@example.com\tuser=ident\thost=192.0.2.7", false},
      {"check\tlogin=bob", false},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(Parsed(c.line).identity.sender_vouched, c.vouched) << c.line;
  }
}

TEST(EximQuestion, IdentAnswerIsNoUser) {
  EXPECT_EQ(Parsed("check\tuser=root\thost=192.0.2.7").identity.user, "");
  EXPECT_EQ(Parsed("check\tuser=root\thost=192.0.2.7\tsource=relay").identity.user, "");
  EXPECT_EQ(Parsed("check\tuser=www\thost=").identity.user, "www");
  EXPECT_EQ(Parsed("check\tsource=local\tuser=www\thost=127.0.0.1").identity.user, "www");
}

TEST(EximQuestion, FirstOfTwoEqualFieldsCounts) {
  // A TAB in a quoted local part must not name a login, wherever sender= stands.
  for (const char* line :
       {"check\tlogin=\thost=192.0.2.7\tsender=\"x\tlogin=victim\ty\"@example.com",
        "check\tsender=\"x\tlogin=victim\ty\"@example.com\tlogin=\thost=192.0.2.7"}) {
    EXPECT_EQ(Parsed(line).identity.login, "") << line;
    EXPECT_EQ(Parsed(line).identity.sender, "\"x\tlogin=victim\ty\"@example.com") << line;
  }
}

// By its port deferd knows its own mail: a client must not name one.
TEST(EximQuestion, ThePortIsTheSnippetsAlone) {
  EXPECT_EQ(Parsed("check\thost=127.0.0.1\tport=40001\tid=\tdomain=\tsender=").port, 40001);
  EXPECT_EQ(Parsed("check\thost=127.0.0.1\tport=40001\tport=2\tsender=").port, 40001);
  for (const char* line :
       {"check\thost=127.0.0.1\tport=\tsender=", "check\thost=127.0.0.1\tport=x\tsender=",
        "check\thost=127.0.0.1\tsender=<>\tport=40001",
        "check\tsender=<>\thost=127.0.0.1\tport=40001",
        "check\thost=127.0.0.1\tport=\tsender=<>\tport=40001"}) {
    EXPECT_EQ(Parsed(line).port, 0) << line;
  }
}

// Whatever a client writes, of all shipped snippets, of this version and those before: it is its
// own sender, and names nothing.
TEST(EximQuestion, NoSenderNamesAField) {
  const char* const kSnippets[] = {
      "check\tsource=relay\tlogin=\tuser=\thost=192.0.2.7\tport=4000\tid=\tdomain=",
      "check\tsource=relay\tlogin=\tuser=\thost=192.0.2.7\tid=\tdomain=",
      "check\tsource=relay\tlogin=\tuser=\thost=192.0.2.7",
      "check\tsource=local\tuser=www\tid=1a2b3c-000001-Xy",
      "check\tsource=queued\tlogin=\tuser=\thost=192.0.2.7\tid=1a2b3c-000001-Xy",
  };
  const char* const kSenders[] = {
      "a.\"x\tdomain=other.example\ty\"@evil.example",
      "\"x\"\tdomain=other.example\t\"y\"@evil.example",
      "\"\\\"\tdomain=other.example\tlogin=bob@other.example\"@evil.example",
      "a\\\tdomain=other.example@evil.example",
      "a\\\"\tdomain=other.example\t\\\"@evil.example",
      "a\tdomain=other.example\ty@evil.example",
      "\tdomain=other.example\ty@evil.example",
      "ok@other.example\tdomain=other.example@evil.example",
      "ok@other.example\tdomain=other.example\tx@evil.example",
      "\"ok@other.example\tlogin=bob@other.example\tid=\"@evil.example",
      "\"open\tdomain=other.example\tuser=root@evil.example",
      "a\rb.\"\r\tdomain=other.example\r\"@evil.example",
      "<a@other.example>\tdomain=other.example\t<x@evil.example",
  };
  for (const std::string snippet : kSnippets) {
    const Identity plain = Parsed(snippet + "\tsender=").identity;
    for (const std::string sender : kSenders) {
      for (const char* end : {"", "\r"}) {
        const Question question = Parsed(snippet + "\tsender=" + sender + end);
        SCOPED_TRACE(snippet + "\tsender=" + sender);
        EXPECT_EQ(question.identity.sender, sender);
        Identity nobody = question.identity;
        nobody.sender.clear();
        EXPECT_EQ(nobody, plain);
      }
    }
  }
  // Also where sender= stands alone, and the MTA vouches for it.
  for (const std::string sender : kSenders) {
    EXPECT_EQ(Parsed("check\tsender=" + sender).identity.identified_domain, "") << sender;
    EXPECT_TRUE(Parsed("check\tsender=" + sender).identity.sender_vouched) << sender;
  }
}

TEST(EximQuestion, BehindTheDomainNothingHidesIt) {
  for (const char* tail : {"\t", " ", "\tdomain=other.example", "\r", "\tx"}) {
    EXPECT_EQ(Parsed(std::string("check\tlogin=\tdomain=\tsender=\"a\tb\"@evil.example") + tail)
                  .identity.sender,
              "\"a\tb\"@evil.example");
  }
}

TEST(EximQuestion, OlderOrdersOfTheFieldsAreUnderstood) {
  const Question middle =
      Parsed("check\tsource=queued\tsender=\"a\tb\"@x.example\tlogin=bob@x.example\tid=7");
  EXPECT_EQ(middle.identity.sender, "\"a\tb\"@x.example");
  EXPECT_EQ(middle.identity.login, "bob@x.example");
  EXPECT_EQ(middle.id, "7");
  const Question bounce = Parsed("check\tsender=\tlogin=\thost=192.0.2.7");
  EXPECT_EQ(bounce.identity.sender, "");
  EXPECT_EQ(bounce.identity.host, "192.0.2.7");
  const Question bare = Parsed("check\tsender=root\tlogin=bob@x.example");
  EXPECT_EQ(bare.identity.sender, "root");
  EXPECT_EQ(bare.identity.login, "bob@x.example");
}

TEST(EximQuestion, ALoginEndsWhereTheLogShowsIt) {
  EXPECT_EQ(Parsed("check\tlogin=bob smith").identity.login, "bob");
  EXPECT_EQ(Parsed("check\tlogin=bob:x@victim.example").identity.login, "bob");
}

TEST(EximQuestion, TheDomainThatTheServerIdentified) {
  EXPECT_EQ(Parsed("check\tuser=acct1\tdomain=site.example").identity.identified_domain,
            "site.example");
}

TEST(EximQuestion, BlanksUnknownFieldsAndEmptyOnesDoNotMatter) {
  const Question plain = Parsed("check\tsender=a@example.com\tlogin=bob");
  for (const char* line :
       {"check\t sender=a@example.com \tlogin=bob \r",
        "check \tsender=a@example.com\t\tlogin=bob\t",
        " check\tcolour=red\tsender=a@example.com\tSENDER=b\tword\t=\tlogin=bob"}) {
    EXPECT_EQ(Parsed(line).identity, plain.identity) << line;
  }
}

TEST(EximQuestion, NoQuestionSaysWhatWasExpected) {
  const struct {
    std::string line;
    const char* says;
  } kCases[] = {
      {"", "as the first word"},
      {"\r", "as the first word"},
      {"\t", "as the first word"},
      {"CHECK example.com", "as the first word"},
      {"checks example.com", "as the first word"},
      {"GET / HTTP/1.1", "as the first word"},
      {"check", "no sender given"},
      {"check ", "no sender given"},
      {"check\t", "no sender given"},
      {"check\texample.com", "no sender given"},
      {"check\tid=1\tsource=queued", "no sender given"},
      {"check example.com example.net", "one subject"},
      {"check example.com\tlogin=bob", "one subject"},
      {"check\tlogin=bob\tsource=moon",
       "source=moon is not one of submission, local, queued, relay"},
      {"check\tlogin=bob\tsource=", "not one of submission, local, queued, relay"},
      {std::string("check\tlogin=b\0b", 15), "zero byte"},
      {std::string("\0", 1), "zero byte"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ParseEximQuestion(c.line),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.says)))
        << c.line;
  }
  EXPECT_THAT(ParseEximQuestion("check ..").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace deferd
