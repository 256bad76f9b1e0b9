// The line protocol without a socket: splitting, order, limits.

#include "limiter/hook/exim_session.h"

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

class EximSessionTest : public testing::Test {
 protected:
  EximSessionTest() { Begin(); }

  // A session that answers by `answer_`.
  void Begin() {
    session_ = std::make_unique<EximSession>(
        [this](const Question& question) { return answer_(question); },
        [this](const Answer& answer, absl::Duration took) {
          answered_.push_back(answer.verdict);
          EXPECT_GE(took, absl::ZeroDuration());
          EXPECT_LT(took, absl::Minutes(1));
        },
        [this] { ++malformed_; });
    out_.clear();
    open_ = true;
  }
  // The answers to `bytes`.
  std::string Say(absl::string_view bytes) {
    const size_t begin = out_.size();
    open_ = session_->OnBytes(bytes, &out_);
    return out_.substr(begin);
  }
  // The whole conversation, `bytes` split into pieces of `sizes`, with the half-close.
  std::string Talk(absl::string_view bytes, const std::function<size_t()>& size) {
    Begin();
    while (!bytes.empty() && open_) {
      const absl::string_view piece = bytes.substr(0, size());
      Say(piece);
      bytes.remove_prefix(piece.size());
    }
    if (open_) session_->OnEnd(&out_);
    return out_;
  }

  std::function<Answer(const Question&)> answer_ = [](const Question& question) -> Answer {
    if (absl::StrContains(question.identity.login, "bad")) {
      return {.verdict = Verdict::kReject, .text = "Login bad has exceeded."};
    }
    return {};
  };
  std::unique_ptr<EximSession> session_;
  std::string out_;
  bool open_ = true;
  std::vector<Verdict> answered_;
  int malformed_ = 0;
};

TEST_F(EximSessionTest, AnswersAreOneLineEach) {
  EXPECT_EQ(Say("check\tlogin=good\n"), "pass\n");
  EXPECT_EQ(Say("check\tlogin=bad\r\n"), "reject Login bad has exceeded.\n");
  EXPECT_THAT(answered_, ElementsAre(Verdict::kPass, Verdict::kReject));
  EXPECT_EQ(malformed_, 0);
}

TEST_F(EximSessionTest, WordsOfAllVerdicts) {
  const struct {
    Answer answer;
    const char* line;
  } kCases[] = {{{.verdict = Verdict::kPass}, "pass\n"},
                {{.verdict = Verdict::kPass, .unchecked = true}, "pass\n"},
                {{.verdict = Verdict::kHold, .text = "a b"}, "hold a b\n"},
                {{.verdict = Verdict::kReject, .text = "a b"}, "reject a b\n"},
                {{.verdict = Verdict::kDiscard, .text = "a b"}, "discard a b\n"}};
  for (const auto& c : kCases) {
    answer_ = [&c](const Question&) { return c.answer; };
    EXPECT_EQ(Say("check example.com\n"), c.line);
  }
}

TEST_F(EximSessionTest, TextIsOnePrintableLineOfAtMost400Bytes) {
  answer_ = [](const Question&) -> Answer {
    return {.verdict = Verdict::kHold, .text = "a\npass\r\t\x01\x7f" + std::string(1000, 'x')};
  };
  const std::string line = Say("check example.com\n");
  EXPECT_EQ(line.size(), sizeof("hold \n") - 1 + 400);
  EXPECT_THAT(line, StartsWith("hold a?pass????xxx"));
}

TEST_F(EximSessionTest, LinesAreAnsweredInOrder) {
  EXPECT_EQ(
      Say("check\tlogin=bad\ncheck\tlogin=good\nnonsense\ncheck\tlogin=good\ncheck\tlog"),
      "reject Login bad has exceeded.\npass\nerror expected \"check\" as the first word\npass\n");
  EXPECT_EQ(Say("in=bad\n"), "reject Login bad has exceeded.\n");
}

TEST_F(EximSessionTest, LastLineNeedsNoEnd) {
  EXPECT_EQ(Say("check\tlogin=bad"), "");
  session_->OnEnd(&out_);
  EXPECT_EQ(out_, "reject Login bad has exceeded.\n");
  Begin();
  session_->OnEnd(&out_);
  EXPECT_EQ(out_, "");
  Say("check\tlogin=good\n");
  session_->OnEnd(&out_);
  EXPECT_EQ(out_, "pass\n");
}

TEST_F(EximSessionTest, EmptyLinesAreErrors) {
  EXPECT_EQ(
      Say("\n\r\n"),
      "error expected \"check\" as the first word\nerror expected \"check\" as the first word\n");
  EXPECT_EQ(malformed_, 2);
  EXPECT_THAT(answered_, ElementsAre());
}

TEST_F(EximSessionTest, ErrorTextIsPrintable) {
  EXPECT_EQ(Say("check\tlogin=x\tsource=\x1b[2J\xff\n"),
            "error source=?[2J? is not one of submission, local, queued, relay\n");
}

TEST_F(EximSessionTest, LongestLineIsReadOneByteMoreIsNot) {
  const std::string start = "check\tlogin=good\tx=";
  const std::string longest = start + std::string(EximSession::kMaxLine - start.size(), 'x');
  EXPECT_EQ(Say(longest + "\n"), "pass\n");
  EXPECT_EQ(Say(longest + "x\n"), "error line longer than 4096 bytes\n");
  EXPECT_EQ(Say(longest + "x" + longest), "error line longer than 4096 bytes\n");
  EXPECT_EQ(Say("check\tlogin=bad"), "");  // still the same line
  EXPECT_EQ(Say("\ncheck\tlogin=bad\n"), "reject Login bad has exceeded.\n");
  EXPECT_EQ(malformed_, 2);
}

TEST_F(EximSessionTest, EndlessLineIsOneErrorAndNothingAtItsEnd) {
  for (int i = 0; i < 1000; ++i) Say(std::string(10'000, 'x'));
  session_->OnEnd(&out_);
  EXPECT_EQ(out_, "error line longer than 4096 bytes\n");
  EXPECT_EQ(malformed_, 1);
}

TEST_F(EximSessionTest, TooManyMalformedLinesEndTheSession) {
  for (int i = 1; i < EximSession::kMaxMalformed; ++i) {
    Say("nonsense\n");
    ASSERT_TRUE(open_) << i;
  }
  EXPECT_EQ(Say("check\tlogin=good\n"), "pass\n");
  ASSERT_TRUE(open_);
  EXPECT_EQ(Say("nonsense\ncheck\tlogin=good\n"), "error expected \"check\" as the first word\n");
  EXPECT_FALSE(open_);
  EXPECT_EQ(malformed_, EximSession::kMaxMalformed);
}

TEST_F(EximSessionTest, ObserversMayBeAbsent) {
  EximSession session([](const Question&) { return Answer{}; }, nullptr, nullptr);
  EXPECT_TRUE(session.OnBytes("check example.com\nx\n", &out_));
  EXPECT_EQ(out_, "pass\nerror expected \"check\" as the first word\n");
}

TEST_F(EximSessionTest, EverySplitGivesTheSameAnswers) {
  const std::string start = "check\tlogin=good\tx=";
  const std::string conversations[] = {
      "check\tsender=a@example.com\tlogin=bad\r\ncheck example.com\nnonsense\n\ncheck\tlogin=good",
      std::string(5000, 'x') + "\ncheck\tlogin=bad\n",
      start + std::string(EximSession::kMaxLine - start.size(), 'x') + "\n" +
          std::string(EximSession::kMaxLine + 1, 'x'),
      [] {
        std::string lines;
        for (int i = 0; i < 30; ++i) lines += "x\n";
        return lines;
      }(),
  };
  for (const std::string& bytes : conversations) {
    const std::string whole = Talk(bytes, [&] { return bytes.size(); });
    EXPECT_EQ(Talk(bytes, [] { return 1; }), whole);
    for (size_t size : {2, 3, 7, 4095, 4096, 4097}) {
      EXPECT_EQ(Talk(bytes, [size] { return size; }), whole) << size;
    }
  }
}

TEST_F(EximSessionTest, RandomBytesGetOneAnswerALine) {
  std::mt19937 random(20240607);
  const std::vector<std::string> words = {"check",
                                          "\t",
                                          "\n",
                                          "\n",
                                          " ",
                                          "sender=",
                                          "login=",
                                          "bad",
                                          "\r",
                                          "<a@example.com>",
                                          "source=queued",
                                          "example.com",
                                          std::string(1, '\0'),
                                          "\xff"};
  const auto make = [&](int pieces) {
    std::string bytes;
    for (int i = 0; i < pieces; ++i) {
      if (random() % 8 != 0) {
        bytes += words[random() % words.size()];
      } else {
        for (int k = random() % 6; k > 0; --k) bytes += static_cast<char>(random());
      }
    }
    return bytes;
  };
  for (int i = 0; i < 5'000; ++i) {
    const std::string bytes = make(20);
    const std::string whole = Talk(bytes, [&] { return bytes.size(); });
    ASSERT_EQ(Talk(bytes, [&] { return random() % 5 + 1; }), whole);
    std::vector<std::string> lines = absl::StrSplit(whole, '\n');
    ASSERT_EQ(lines.back(), "");
    lines.pop_back();
    for (const std::string& line : lines) {
      ASSERT_TRUE(line == "pass" || absl::StartsWith(line, "reject ") ||
                  absl::StartsWith(line, "error "))
          << line;
    }
    if (open_) {
      const size_t asked = std::count(bytes.begin(), bytes.end(), '\n') +
                           (bytes.empty() || bytes.back() == '\n' ? 0 : 1);
      ASSERT_EQ(lines.size(), asked) << bytes;
    }
  }
}

}  // namespace
}  // namespace deferd
