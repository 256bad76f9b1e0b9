#include "limiter/localrpc/admin_session.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::HasSubstr;

// Answers `{"verb": NAME, ...}` with NAME and the peer; the verb "fail" with an error.
absl::StatusOr<Json> Echo(const std::string& verb, const Json& args, const Peer& peer) {
  if (verb == "fail") return absl::NotFoundError("nothing \"here\"");
  return Json{{"verb", verb}, {"args", args}, {"uid", peer.uid}};
}

TEST(AdminSession, AnswersLineByLine) {
  AdminSession session({.uid = 7}, Echo);
  std::string out;
  EXPECT_TRUE(session.OnBytes("{\"verb\":\"a\"}\n{\"verb\":\"b\",\"args\":{\"x\":1}}\n", &out));
  EXPECT_EQ(out,
            "{\"ok\":true,\"result\":{\"verb\":\"a\",\"args\":{},\"uid\":7}}\n"
            "{\"ok\":true,\"result\":{\"verb\":\"b\",\"args\":{\"x\":1},\"uid\":7}}\n");
}

TEST(AdminSession, ByteByByteIsTheSame) {
  const std::string request = "{\"verb\":\"a\"}\n{\"verb\":\"fail\"}\n{]\n{\"verb\":\"c\"}";
  AdminSession whole({}, Echo);
  std::string expected;
  whole.OnBytes(request, &expected);
  whole.OnEnd(&expected);
  AdminSession session({}, Echo);
  std::string out;
  for (char c : request) EXPECT_TRUE(session.OnBytes(absl::string_view(&c, 1), &out));
  session.OnEnd(&out);
  EXPECT_EQ(out, expected);
  EXPECT_THAT(out, HasSubstr("{\"ok\":false,\"error\":\"nothing \\\"here\\\"\"}\n"));
}

TEST(AdminSession, MalformedRequestsAreAnsweredWithAnError) {
  for (const char* line : {"", "7", "[]", "{}", "{\"verb\":7}", "{\"verb\":\"a\"", "\xff\xfe"}) {
    AdminSession session({}, Echo);
    std::string out;
    EXPECT_TRUE(session.OnBytes(std::string(line) + "\n", &out));
    EXPECT_THAT(out, HasSubstr("\"ok\":false")) << line;
  }
}

TEST(AdminSession, AnEndlessLineEndsTheConnection) {
  AdminSession session({}, Echo);
  std::string out;
  const std::string piece(10'000, 'x');
  bool open = true;
  for (int i = 0; i < 10 && open; ++i) open = session.OnBytes(piece, &out);
  EXPECT_FALSE(open);
  EXPECT_THAT(out, HasSubstr("longer than"));
}

std::string Nested(size_t depth, char open) {
  std::string text = "{\"verb\":\"a\",\"args\":";
  for (size_t i = 0; i < depth; ++i) text += open == '[' ? "[" : "{\"a\":";
  return text;
}

// A parser would recurse, or look through all earlier keys for each new one.
TEST(AdminSession, DeepAndWideRequestsAreRefusedBeforeTheyAreParsed) {
  std::string keys = "{\"verb\":\"a\",\"args\":{";
  for (int i = 0; i < 200'000; ++i) absl::StrAppend(&keys, "\"", i, "\":0,");
  keys += "\"x\":0}}";
  for (const std::string& line :
       {Nested(60, '['), Nested(100'000, '['), Nested(100'000, '{'), keys}) {
    AdminSession session({}, Echo, {.limits = {.max_bytes = 4 << 20, .max_depth = 8}});
    std::string out;
    session.OnBytes(line + "\n", &out);
    EXPECT_EQ(
        out,
        "{\"ok\":false,\"error\":\"invalid request: nested too deeply, or too many values\"}\n");
  }
}

TEST(AdminSession, AFloodOfRequestsEndsTheConnectionAtABoundedOutput) {
  for (const char* request : {"\n", "{\"verb\":\"a\"}\n", "{\"verb\":\"fail\"}\n"}) {
    AdminSession session({}, Echo);
    std::string out, flood;
    while (flood.size() < (4 << 20)) flood += request;
    EXPECT_FALSE(session.OnBytes(flood, &out)) << request;
    EXPECT_LT(out.size(), AdminSession::kMaxUnread + 1000);
    EXPECT_THAT(out, HasSubstr("read the answers"));
  }
}

TEST(AdminSession, WhoReadsTheAnswersMayAskForEver) {
  AdminSession session({}, Echo);
  for (int i = 0; i < 50'000; ++i) {
    std::string out;
    ASSERT_TRUE(session.OnBytes("{\"verb\":\"a\"}\n", &out));
  }
}

TEST(AdminSession, OneRequestAConnection) {
  AdminSession session({}, Echo, {.one_request = true});
  std::string out;
  EXPECT_FALSE(session.OnBytes("{\"verb\":\"a\"}\n{\"verb\":\"b\"}\n", &out));
  EXPECT_EQ(out, "{\"ok\":true,\"result\":{\"verb\":\"a\",\"args\":{},\"uid\":-1}}\n");
}

TEST(AdminSession, RandomBytesAreAnsweredOrRefused) {
  std::mt19937 random(3);
  for (int round = 0; round < 300; ++round) {
    AdminSession session({}, Echo);
    std::string out;
    for (int i = 0; i < 20; ++i) {
      std::string bytes(random() % 200, '\0');
      for (char& c : bytes)
        c = static_cast<char>(random() % 4 == 0 ? "{}[]\",:\n\\"[random() % 9] : random());
      if (!session.OnBytes(bytes, &out)) break;
    }
    session.OnEnd(&out);
    EXPECT_TRUE(out.empty() || out.back() == '\n');
  }
}

}  // namespace
}  // namespace deferd
