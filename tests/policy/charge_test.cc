#include "policy/charge.h"

#include <ostream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

// A host of a panel with one mapped user, two mapped logins and a relay network.
ChargeLists Lists(absl::string_view order = "login,user,relay") {
  ChargeLists lists;
  lists.order = ParseChargeOrder(order).value();
  lists.users = {{"acct1", "Site.example"}, {"broken", "a..b"}};
  lists.logins = {{"scanner", "Office.example"},
                  {"printer", "print@office.example"},
                  {"odd@panel.example", "office.example"},
                  {"broken", "a..b"}};
  EXPECT_THAT(lists.relay_hosts.Add("192.0.2.0/24"), IsOk());
  lists.host = "Web1";
  return lists;
}

// "SUBJECT" or "SUBJECT (not hosted)", the narrowest first.
std::vector<std::string> Written(const ChargedSubjects& charged) {
  std::vector<std::string> written;
  for (const Charged& one : charged) {
    written.push_back(one.subject.ToString() + (one.hosted ? "" : " (not hosted)"));
  }
  return written;
}

struct ChargeCase {
  std::string name;
  Identity identity;
  std::vector<std::string> charged;
  std::string order = "login,user,relay";
  std::string original = "";
};
void PrintTo(const ChargeCase& c, std::ostream* out) { *out << c.name; }

class ChargeTest : public testing::TestWithParam<ChargeCase> {};

TEST_P(ChargeTest, ChargesWhoIsProven) {
  const ChargeCase& c = GetParam();
  const ChargedSubjects charged = Charge(Lists(c.order), c.identity, c.original);
  EXPECT_EQ(Written(charged), c.charged);
  // A person can name every subject that is charged.
  for (const Charged& one : charged) {
    EXPECT_EQ(Subject::Parse(one.subject.ToString()).value(), one.subject);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Login, ChargeTest,
    testing::Values(
        ChargeCase{
            "Address",
            {.sender = "ceo@victim.example", .login = "Bob@Example.COM", .host = "203.0.113.9"},
            {"login:Bob@example.com", "example.com"}},
        ChargeCase{"BeatsIdentifiedDomain",
                   {.login = "bob@example.com", .identified_domain = "other.example"},
                   {"login:bob@example.com", "example.com"}},
        ChargeCase{"Idn",
                   {.login = "bob@bücher.example"},
                   {"login:bob@xn--bcher-kva.example", "xn--bcher-kva.example"}},
        ChargeCase{"DomainThatIsNone", {.login = "bob@A..B"}, {"login:bob@A..B"}},
        ChargeCase{"MappedToDomain", {.login = "scanner"}, {"login:scanner", "office.example"}},
        ChargeCase{"MappedToAddress", {.login = "printer"}, {"login:printer", "office.example"}},
        ChargeCase{"MappedAddress",
                   {.login = "odd@Panel.example"},
                   {"login:odd@panel.example", "panel.example"}},
        ChargeCase{"MappedAddressExactly",
                   {.login = "odd@panel.example"},
                   {"login:odd@panel.example", "office.example"}},
        ChargeCase{"MapBeatsIdentifiedDomain",
                   {.login = "scanner", .identified_domain = "other.example"},
                   {"login:scanner", "office.example"}},
        ChargeCase{"Identified",
                   {.login = "acct9", .identified_domain = "Other.example"},
                   {"login:acct9", "other.example"}},
        ChargeCase{"IdentifiedAsNobody",
                   {.login = "acct9", .identified_domain = "-system-"},
                   {"login:acct9@web1"}},
        ChargeCase{"Unmapped",
                   {.sender = "a@b.example", .login = "acct9", .host = "192.0.2.7"},
                   {"login:acct9@web1"}},
        ChargeCase{"OfASystemUser", {.login = "acct1"}, {"login:acct1", "site.example"}},
        ChargeCase{"IdentifiedBeatsTheUsersMap",
                   {.login = "acct1", .identified_domain = "other.example"},
                   {"login:acct1", "other.example"}},
        ChargeCase{"OfAWindowsDomain", {.login = "OFFICE\\bob"}, {"login:OFFICE\\bob@web1"}},
        ChargeCase{"MappedToNonsense", {.login = "broken"}, {"login:broken@web1"}},
        ChargeCase{"NotInTheOrder",
                   {.sender = "a@b.example", .login = "bob@example.com", .host = "203.0.113.9"},
                   {},
                   "user,relay"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    User, ChargeTest,
    testing::Values(
        ChargeCase{"Mapped",
                   {.sender = "a@b.example", .user = "acct1"},
                   {"account:acct1", "site.example"}},
        ChargeCase{"Identified",
                   {.user = "acct1", .identified_domain = "shop.example"},
                   {"account:acct1", "shop.example"}},
        ChargeCase{"IdentifiedAsNobody",
                   {.user = "acct1", .identified_domain = "-system-"},
                   {"account:acct1", "site.example"}},
        ChargeCase{"IdentifiedAsNonsense",
                   {.user = "acct1", .identified_domain = "a..b"},
                   {"account:acct1", "site.example"}},
        ChargeCase{
            "Unmapped", {.sender = "a@b.example", .user = "www-data"}, {"local:www-data@web1"}},
        ChargeCase{"MappedToNonsense", {.user = "broken"}, {"local:broken@web1"}},
        ChargeCase{"PopBeforeSmtp",
                   {.host = "203.0.113.9", .identified_domain = "shop.example"},
                   {"shop.example"}},
        ChargeCase{"Remote", {.host = "203.0.113.9", .identified_domain = "-remote-"}, {}},
        ChargeCase{"IdentifiedWithoutHost", {.identified_domain = "shop.example"}, {}},
        ChargeCase{"IdentifiedAndNotInTheOrder",
                   {.host = "203.0.113.9", .identified_domain = "shop.example"},
                   {},
                   "login,relay"},
        ChargeCase{"LoginIsNoPopBeforeSmtp",
                   {.login = "bob", .host = "203.0.113.9", .identified_domain = "shop.example"},
                   {},
                   "user"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Relay, ChargeTest,
    testing::Values(
        ChargeCase{"TrustedHost",
                   {.sender = "a@B.example", .host = "192.0.2.7"},
                   {"host:192.0.2.7", "b.example"}},
        ChargeCase{"TrustedHostAsDualStackSocketsShowIt",
                   {.sender = "a@b.example", .host = "::ffff:192.0.2.7"},
                   {"host:192.0.2.7", "b.example"}},
        ChargeCase{"OtherHost", {.sender = "a@b.example", .host = "198.51.100.7"}, {}},
        ChargeCase{"NullSender", {.host = "192.0.2.7"}, {"host:192.0.2.7"}},
        ChargeCase{"SenderOfNoDomain", {.sender = "bob", .host = "192.0.2.7"}, {"host:192.0.2.7"}},
        ChargeCase{"Loopback", {.sender = "a@b.example", .host = "127.0.0.1"}, {"host:127.0.0.1"}},
        ChargeCase{"AnotherOfItsAddresses",
                   {.sender = "a@b.example", .host = "127.44.0.9"},
                   {"host:127.0.0.1"}},
        ChargeCase{"LoopbackIPv6", {.sender = "a@b.example", .host = "::1"}, {"host:127.0.0.1"}},
        ChargeCase{"LoopbackForward",
                   {.sender = "a@b.example", .host = "127.0.0.1"},
                   {"forward:site.example"},
                   "login,user,relay",
                   "info@site.example"},
        ChargeCase{"LoopbackNullSender", {.host = "127.0.0.1"}, {"host:127.0.0.1"}},
        ChargeCase{"LoopbackAndNotInTheOrder",
                   {.sender = "a@b.example", .host = "127.0.0.1"},
                   {},
                   "login,user"},
        ChargeCase{"Unclear", {.sender = "a@b.example", .host = "192.0.2.7", .unclear = true}, {}},
        ChargeCase{"UnclearForward",
                   {.sender = "a@b.example", .host = "127.0.0.1", .unclear = true},
                   {},
                   "login,user,relay",
                   "info@site.example"},
        ChargeCase{"UnclearButProven",
                   {.login = "bob@example.com", .host = "127.0.0.1", .unclear = true},
                   {"login:bob@example.com", "example.com"}},
        ChargeCase{"LoopbackWithALogin",
                   {.login = "bob@example.com", .host = "127.0.0.1"},
                   {"login:bob@example.com", "example.com"}},
        ChargeCase{"QuotedSender",
                   {.sender = "\"x@victim.example\"@b.example", .host = "192.0.2.7"},
                   {"host:192.0.2.7", "b.example"}},
        ChargeCase{"Vouched", {.sender = "a@b.example", .sender_vouched = true}, {"b.example"}},
        ChargeCase{"VouchedNullSender", {.sender_vouched = true}, {}},
        ChargeCase{"VouchedAndNotInTheOrder",
                   {.sender = "a@b.example", .sender_vouched = true},
                   {},
                   "login,user"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Order, ChargeTest,
    testing::Values(
        ChargeCase{"LoginFirst",
                   {.sender = "a@b.example", .login = "bob@example.com", .host = "192.0.2.7"},
                   {"login:bob@example.com", "example.com"}},
        ChargeCase{"RelayFirst",
                   {.sender = "a@b.example", .login = "bob@example.com", .host = "192.0.2.7"},
                   {"host:192.0.2.7", "b.example"},
                   "relay,login,user"},
        ChargeCase{"RelayFirstThatFails",
                   {.sender = "a@b.example", .login = "bob@example.com", .host = "203.0.113.9"},
                   {"login:bob@example.com", "example.com"},
                   "relay,login"},
        ChargeCase{"UserFirst",
                   {.login = "bob@example.com", .user = "acct1"},
                   {"account:acct1", "site.example"},
                   "user,login"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Nobody, ChargeTest,
    testing::Values(ChargeCase{"MadeByMta", {.user = "mailnull", .made_by_mta = true}, {}},
                    ChargeCase{"MadeByMtaForForward",
                               {.made_by_mta = true},
                               {},
                               "login,user,relay",
                               "info@site.example"},
                    ChargeCase{"Outside", {.sender = "a@b.example", .host = "203.0.113.9"}, {}},
                    ChargeCase{"Empty", {}, {}}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Forward, ChargeTest,
    testing::Values(ChargeCase{"FromOutside",
                               {.sender = "a@b.example", .host = "203.0.113.9"},
                               {"forward:site.example"},
                               "login,user,relay",
                               "info@Site.example"},
                    ChargeCase{"NullSenderFromOutside",
                               {.host = "203.0.113.9"},
                               {"forward:site.example"},
                               "login,user,relay",
                               "info@site.example"},
                    ChargeCase{"ProvenSenderPays",
                               {.login = "bob@example.com"},
                               {"login:bob@example.com", "example.com"},
                               "login,user,relay",
                               "info@site.example"},
                    ChargeCase{"OriginalOfNoDomain", {.host = "203.0.113.9"}, {}, "login", "info"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Sender, ChargeTest,
    testing::Values(
        ChargeCase{
            "Anybody", {.sender = "a@B.example", .host = "203.0.113.9"}, {"b.example"}, "sender"},
        ChargeCase{"TheLoginIsNotUsed",
                   {.sender = "a@b.example", .login = "bob@example.com"},
                   {"b.example"},
                   "sender"},
        ChargeCase{"NullSender", {.login = "bob@example.com"}, {}, "sender"},
        ChargeCase{
            "NullSenderIsNoForward", {.made_by_mta = true}, {}, "sender", "info@site.example"},
        ChargeCase{"SenderOfNoDomain", {.sender = "a@b..example"}, {}, "sender"}),
    [](const auto& test) { return test.param.name; });

TEST(Hosted, MarksDomainsFromElsewhereAndTheirParts) {
  ChargeLists lists = Lists();
  lists.hosted.push_back(DomainPattern::Parse("site.example").value());
  auto charge = [&](const Identity& identity, absl::string_view original = "") {
    return Written(Charge(lists, identity, original));
  };
  EXPECT_THAT(charge({.user = "acct1"}), ElementsAre("account:acct1", "site.example"));
  EXPECT_THAT(charge({.login = "bob@example.com"}),
              ElementsAre("login:bob@example.com", "example.com (not hosted)"));
  EXPECT_THAT(charge({.sender = "a@b.example", .host = "192.0.2.7"}),
              ElementsAre("host:192.0.2.7", "b.example (not hosted)"));
  EXPECT_THAT(charge({.user = "www-data"}), ElementsAre("local:www-data@web1"));
  EXPECT_THAT(charge({.login = "acct9"}), ElementsAre("login:acct9@web1"));
  EXPECT_THAT(charge({}, "info@site.example"), ElementsAre("forward:site.example"));
  EXPECT_THAT(charge({}, "info@b.example"), ElementsAre("forward:b.example (not hosted)"));
}

// A person names a subject as Charge does, whatever form is typed.
TEST(AsCharged, NamesThisHostsLoginsAndUsers) {
  const ChargeLists lists = Lists();
  for (const auto& [typed, charged] : std::vector<std::pair<std::string, std::string>>{
           {"login:acct9", "login:acct9@web1"},
           {"login:acct9@web1", "login:acct9@web1"},
           {"login:scanner", "login:scanner"},
           {"login:acct1", "login:acct1"},
           {"login:bob@example.com", "login:bob@example.com"},
           {"local:www-data", "local:www-data@web1"},
           {"local:www-data@other", "local:www-data@other"},
           {"account:acct1", "account:acct1"},
           {"example.com", "example.com"}}) {
    EXPECT_EQ(AsCharged(lists, Subject::Parse(typed).value()).ToString(), charged) << typed;
  }
}

// What the lists say without a message agrees with what Charge says of one.
TEST(DomainByLists, IsTheDomainThatIsCharged) {
  const ChargeLists lists = Lists();
  for (const Identity& identity : std::vector<Identity>{{.login = "bob@example.com"},
                                                        {.login = "scanner"},
                                                        {.login = "printer"},
                                                        {.login = "odd@panel.example"},
                                                        {.login = "acct1"},
                                                        {.user = "acct1"}}) {
    const ChargedSubjects charged = Charge(lists, identity, "");
    ASSERT_EQ(charged.size(), 2u);
    EXPECT_EQ(DomainByLists(lists, charged.front().subject), charged.back().subject.id);
    EXPECT_FALSE(StandsAlone(lists, charged.front().subject, charged.back().subject.id));
    EXPECT_EQ(DomainByLists(lists, charged.back().subject), "");
  }
  EXPECT_EQ(DomainByLists(lists, {SubjectKind::kLocal, "www-data@web1"}), "");
}

TEST(StandsAlone, WhomNoHostedDomainAnswersFor) {
  ChargeLists lists = Lists();
  lists.hosted.push_back(DomainPattern::Parse("site.example").value());
  auto alone = [&](const std::string& text) {
    const Subject subject = Subject::Parse(text).value();
    return StandsAlone(lists, subject, DomainByLists(lists, subject));
  };
  EXPECT_TRUE(alone("login:acct9@Web1"));
  EXPECT_TRUE(alone("login:bob@example.com")) << "lives elsewhere";
  EXPECT_TRUE(alone("login:bob@a..b"));
  EXPECT_FALSE(alone("login:bob@site.example"));
  EXPECT_FALSE(alone("account:acct1"));
  EXPECT_FALSE(alone("example.com"));
  EXPECT_FALSE(alone("local:www-data@web1"));
}

TEST(ChargeOrder, IsAListOfSteps) {
  EXPECT_THAT(ParseChargeOrder("login,user,relay").value(),
              ElementsAre(ChargeStep::kLogin, ChargeStep::kUser, ChargeStep::kRelay));
  EXPECT_THAT(ParseChargeOrder(" relay , login").value(),
              ElementsAre(ChargeStep::kRelay, ChargeStep::kLogin));
  EXPECT_THAT(ParseChargeOrder("sender").value(), ElementsAre(ChargeStep::kSender));
}

TEST(ChargeOrder, SaysWhatIsWrong) {
  auto message = [](absl::string_view text) {
    return std::string(ParseChargeOrder(text).status().message());
  };
  EXPECT_THAT(message(""), HasSubstr("'' is not a way to charge"));
  EXPECT_THAT(message("login,"), HasSubstr("'' is not a way to charge"));
  EXPECT_THAT(message("login,script"), HasSubstr("'script' is not a way to charge"));
  EXPECT_THAT(message("login,user,login"), HasSubstr("'login' is listed twice"));
  EXPECT_THAT(message("login,sender"), HasSubstr("stand alone"));
}

class ReadMapTest : public testing::Test {
 protected:
  absl::Status Read(absl::string_view text, bool swap = false) {
    return ReadMap(text, "users", swap, &map_);
  }
  absl::flat_hash_map<std::string, std::string> map_;
};

TEST_F(ReadMapTest, TakesColonsAndBlanks) {
  EXPECT_THAT(Read("# who owns what\n\nacct1: site.example\nacct2 shop.example # new\n"
                   "acct3 : a.example\r\n\tacct4\tb@c.example"),
              IsOk());
  EXPECT_THAT(map_,
              UnorderedElementsAre(Pair("acct1", "site.example"), Pair("acct2", "shop.example"),
                                   Pair("acct3", "a.example"), Pair("acct4", "b@c.example")));
}

TEST_F(ReadMapTest, SwapsUserdomains) {
  EXPECT_THAT(Read("*: nobody\nb.example: acct1\na.example: acct1\nc.example: acct2\n",
                   /*swap=*/true),
              IsOk());
  EXPECT_THAT(map_, UnorderedElementsAre(Pair("acct1", "b.example"), Pair("acct2", "c.example")));
}

TEST_F(ReadMapTest, KeepsTheFirstOfTwo) {
  EXPECT_THAT(Read("acct1: a.example\nacct1: b.example\n"), IsOk());
  EXPECT_THAT(map_, UnorderedElementsAre(Pair("acct1", "a.example")));
}

TEST_F(ReadMapTest, ReportsAllMistakesWithTheirLines) {
  EXPECT_THAT(
      Read("acct1\n: a.example\nok: a.example\nacct2: a..b\nacct3: a.example b.example\n"),
      StatusIs(
          absl::StatusCode::kInvalidArgument,
          "users:1: 'acct1' is not a valid entry; write two words such as 'bob: example.com'\n"
          "users:2: ': a.example' is not a valid entry; write two words such as 'bob: "
          "example.com'\n"
          "users:4: 'a..b' is not a domain: a label is empty; example: example.com\n"
          "users:5: 'acct3: a.example b.example' is not a valid entry; write two words such as "
          "'bob: example.com'"));
}

}  // namespace
}  // namespace deferd
