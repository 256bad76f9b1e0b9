#include "limiter/store/forget_filter.h"

#include "gtest/gtest.h"

namespace deferd {
namespace {

TEST(NamesWhole, AnAddressIsNoPartOfAnother) {
  const struct {
    const char* text;
    bool named;
  } kTexts[] = {
      {"bob@example.com", true},
      {"BOB@Example.COM", true},
      {"<bob@example.com>", true},
      {"550 5.1.1 <bob@example.com>: no such user", true},
      {"user bob@example.com.", true},
      {"to=bob@example.com, x", true},
      {"'bob@example.com'", true},
      {"login:bob@example.com", true},
      {"bob@example.com bob@example.com.au", true},
      {"jbob@example.com", false},
      {"j.bob@example.com", false},
      {"j+bob@example.com", false},
      {"bob@example.com.au", false},
      {"bob@example.comx", false},
      {"bob@example.com-x", false},
      {"bob@example.org", false},
      {"", false},
  };
  for (const auto& one : kTexts) {
    EXPECT_EQ(NamesWhole(one.text, "bob@example.com"), one.named) << one.text;
  }
  EXPECT_FALSE(NamesWhole("text", ""));
}

TEST(ForgetFilter, TellsAddressesFromSubjects) {
  EXPECT_TRUE(IsBareAddress("bob@example.com"));
  EXPECT_TRUE(IsBareAddress("b:c@[IPv6:::1]") == false);
  for (const char* subject : {"example.com", "login:bob@example.com", "local:web@mx1", "@x"}) {
    EXPECT_FALSE(IsBareAddress(subject)) << subject;
  }
}

LedgerRow Row() {
  LedgerRow row;
  row.subject = "example.com";
  row.narrower = "login:bob@example.com";
  row.sender = "Info@Example.com";
  row.login = "bob@example.com";
  row.recipient = "ann@far.example";
  row.original = "list@example.org";
  row.reply = "550 <carl@far.example> unknown";
  row.mail_subject = "for dora@far.example";
  return row;
}

TEST(ForgetFilter, AnAddressIsFoundWhereverItStands) {
  for (const char* address : {"info@example.com", "bob@example.com", "ann@far.example",
                              "LIST@example.org", "carl@far.example", "dora@far.example"}) {
    EXPECT_TRUE(ForgetFilter(address, "").Matches(Row())) << address;
  }
  for (const char* address : {"nfo@example.com", "ann@far.exampl", "far@example"}) {
    EXPECT_FALSE(ForgetFilter(address, "").Matches(Row())) << address;
  }
}

TEST(ForgetFilter, AHiddenAddressIsFoundByItsHash) {
  LedgerRow row = Row();
  row.recipient = "h:0123456789abcdef@far.example";
  EXPECT_TRUE(ForgetFilter("ann@far.example", "h:0123456789abcdef@far.example").Matches(row));
  EXPECT_FALSE(ForgetFilter("eve@far.example", "h:fedcba9876543210@far.example").Matches(row));
}

TEST(ForgetFilter, ASubjectIsWhoIsChargedOrSends) {
  for (const char* subject : {"example.com", "EXAMPLE.com", "login:bob@example.com"}) {
    EXPECT_TRUE(ForgetFilter(subject, "").Matches(Row())) << subject;
  }
  // Whom the mail is for is another.
  for (const char* subject :
       {"far.example", "ample.com", "login:ann@example.com", "local:bob@example.com"}) {
    EXPECT_FALSE(ForgetFilter(subject, "").Matches(Row())) << subject;
  }
  LedgerRow row = Row();
  row.subject = row.narrower = "";
  EXPECT_TRUE(ForgetFilter("example.com", "").Matches(row)) << "sent as it, charged to nobody";
  EXPECT_TRUE(ForgetFilter("login:bob@example.com", "").Matches(row));
  row.subject = "other.example";
  EXPECT_TRUE(ForgetFilter("example.com", "").Matches(row)) << "sent as it, charged to another";
}

}  // namespace
}  // namespace deferd
