#include "limiter/admin/admin_session.h"

#include <random>

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

TEST(AdminSession, WhatIsNoRequestIsAnsweredSo) {
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
