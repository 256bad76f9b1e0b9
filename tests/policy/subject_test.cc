#include "policy/subject.h"

#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

struct SubjectCase {
  std::string name;
  std::string text;
  Subject subject;
  std::string written;  // its command-line form
  std::string domain;   // its domain part
};
void PrintTo(const SubjectCase& c, std::ostream* out) { *out << c.name; }

class SubjectTest : public testing::TestWithParam<SubjectCase> {};

TEST_P(SubjectTest, ParsesAndComesBack) {
  const SubjectCase& c = GetParam();
  absl::StatusOr<Subject> parsed = Subject::Parse(c.text);
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(*parsed, c.subject);
  EXPECT_EQ(parsed->ToString(), c.written);
  EXPECT_EQ(parsed->DomainPart(), c.domain);
  EXPECT_EQ(Subject::Parse(parsed->ToString()).value(), *parsed);
}

INSTANTIATE_TEST_SUITE_P(
    Forms, SubjectTest,
    testing::Values(
        SubjectCase{"Bare",
                    "Example.COM.",
                    {SubjectKind::kDomain, "example.com"},
                    "example.com",
                    "example.com"},
        SubjectCase{"Domain",
                    "domain:example.com",
                    {SubjectKind::kDomain, "example.com"},
                    "example.com",
                    "example.com"},
        SubjectCase{"Idn",
                    "bücher.example",
                    {SubjectKind::kDomain, "xn--bcher-kva.example"},
                    "xn--bcher-kva.example",
                    "xn--bcher-kva.example"},
        SubjectCase{"Literal",
                    "[IPv6:2001:db8::1]",
                    {SubjectKind::kDomain, "[ipv6:2001:db8::1]"},
                    "[ipv6:2001:db8::1]",
                    "[ipv6:2001:db8::1]"},
        SubjectCase{"BareAddress",
                    "Bob@Example.COM",
                    {SubjectKind::kLogin, "Bob@example.com"},
                    "login:Bob@example.com",
                    "example.com"},
        SubjectCase{"Login",
                    "login:Bob@Example.COM",
                    {SubjectKind::kLogin, "Bob@example.com"},
                    "login:Bob@example.com",
                    "example.com"},
        SubjectCase{"BareLogin", "login:Bob", {SubjectKind::kLogin, "Bob"}, "login:Bob", ""},
        SubjectCase{"LoginOfNoDomain",
                    "login:bob@A..B",
                    {SubjectKind::kLogin, "bob@A..B"},
                    "login:bob@A..B",
                    "A..B"},
        SubjectCase{"LoginWithBlank",
                    "login:bob smith",
                    {SubjectKind::kLogin, "bob smith"},
                    "login:bob smith",
                    ""},
        SubjectCase{
            "Account", "account:acct1", {SubjectKind::kAccount, "acct1"}, "account:acct1", ""},
        SubjectCase{"Script",
                    "script:/srv/A/form.php",
                    {SubjectKind::kScript, "/srv/A/form.php"},
                    "script:/srv/A/form.php",
                    ""},
        SubjectCase{
            "ScriptWithColon", "script:a:b", {SubjectKind::kScript, "a:b"}, "script:a:b", ""},
        SubjectCase{"Local",
                    "local:www-data@Web1",
                    {SubjectKind::kLocal, "www-data@web1"},
                    "local:www-data@web1",
                    "web1"},
        SubjectCase{"Forward",
                    "forward:Example.com",
                    {SubjectKind::kForward, "example.com"},
                    "forward:example.com",
                    "example.com"},
        SubjectCase{
            "Host", "host:192.0.2.7", {SubjectKind::kHost, "192.0.2.7"}, "host:192.0.2.7", ""},
        SubjectCase{"HostIPv6",
                    "host:2001:DB8:0:0::7",
                    {SubjectKind::kHost, "2001:db8::7"},
                    "host:2001:db8::7",
                    ""},
        SubjectCase{
            "HostLoopback", "host:::1", {SubjectKind::kHost, "127.0.0.1"}, "host:127.0.0.1", ""}),
    [](const auto& test) { return test.param.name; });

TEST(Subject, SaysWhichFormWasExpected) {
  for (const char* text : {"", "login:", "mailbox:bob", "Login:bob", ":x"}) {
    EXPECT_THAT(
        Subject::Parse(text),
        StatusIs(absl::StatusCode::kInvalidArgument,
                 HasSubstr("is not a subject; write a domain such as example.com, or KIND:ID")))
        << text;
  }
  for (const char* text : {"a..b", "domain:a b", "forward:-", "[x"}) {
    EXPECT_THAT(Subject::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a domain")))
        << text;
  }
}

TEST(Subject, AHostIsAnAddress) {
  for (const char* text :
       {"host:mx.example", "host:192.0.2", "host:[192.0.2.7]", "host:1.2.3.4/8"}) {
    EXPECT_THAT(Subject::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a host")))
        << text;
  }
  EXPECT_EQ(HostSubject("::ffff:192.0.2.7"), HostSubject("192.0.2.7"));
  EXPECT_TRUE(IsLoopbackHost(*HostSubject("127.9.9.9")));
  EXPECT_FALSE(IsLoopbackHost(*HostSubject("128.0.0.1")));
  EXPECT_FALSE(IsLoopbackHost({SubjectKind::kLogin, "127.0.0.1"}));
}

TEST(SubjectKind, ComesBackFromItsName) {
  for (int i = 0; i < kSubjectKinds; ++i) {
    const auto kind = static_cast<SubjectKind>(i);
    EXPECT_EQ(ParseSubjectKind(SubjectKindName(kind)).value(), kind);
  }
  EXPECT_THAT(ParseSubjectKind("mailbox"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'mailbox' is not a kind")));
}

}  // namespace
}  // namespace deferd
