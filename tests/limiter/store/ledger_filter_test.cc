#include "limiter/store/ledger_filter.h"

#include <algorithm>

#include "gtest/gtest.h"

namespace deferd {
namespace {

LedgerRow FilterRow() {
  LedgerRow row;
  row.row = 1;
  row.sender = "Shop@a.example";
  row.recipient = "ann.miller@far.example";
  row.original = "sales@a.example";
  row.reply = "550-5.7.1 [203.0.113.55] refused, see 15.7 of 5503";
  row.reply_class = "spam";
  row.mail_subject = "Your Invoice";
  return row;
}

bool Finds(const LedgerQuery& query) { return LedgerFilter(query, "").Matches(FilterRow()); }

TEST(LedgerFilter, ARecipientIsFoundByEitherOfItsAddresses) {
  EXPECT_TRUE(Finds({.recipient = "Ann.Miller@far.example"}));
  EXPECT_TRUE(Finds({.recipient = "sales@A.example"}));
  EXPECT_FALSE(Finds({.recipient = "miller@far.example"}));
  LedgerKeys keys;
  KeysOf(FilterRow(), &keys);
  const LedgerFilter filter({.recipient = "SALES@a.example"}, "");
  ASSERT_EQ(filter.keys().size(), 1u);
  EXPECT_NE(std::find(keys.begin(), keys.end(), filter.keys()[0][0]), keys.end());
}

TEST(LedgerFilter, PartsOfAddressesAndSubjectLines) {
  EXPECT_TRUE(Finds({.recipient_domain = "far.example"}));
  EXPECT_TRUE(Finds({.recipient_domain = "a.example"})) << "the alias's";
  EXPECT_FALSE(Finds({.recipient_domain = "example"}));
  for (const char* part : {"MILLER", "shop", "sales@", "@far"}) {
    EXPECT_TRUE(Finds({.address_part = part})) << part;
  }
  EXPECT_FALSE(Finds({.address_part = "bob"}));
  EXPECT_TRUE(Finds({.mail_subject = "invoice"}));
  EXPECT_FALSE(Finds({.mail_subject = "spam"}));
  EXPECT_TRUE(Finds({.reply_class = "Spam"}));
  EXPECT_FALSE(Finds({.reply_class = "greylisting"}));
}

TEST(LedgerFilter, ACodeIsAWordOfTheReplyOrHowAnEnhancedOneBegins) {
  for (const char* code : {"550", "5.7.1", "5.7"}) EXPECT_TRUE(Finds({.code = code})) << code;
  for (const char* code : {"551", "503", "203", "113", "5.70", "7.1"}) {
    EXPECT_FALSE(Finds({.code = code})) << code;
  }
}

}  // namespace
}  // namespace deferd
