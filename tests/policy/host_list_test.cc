#include <ostream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "policy/charge.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

HostList ListOf(std::initializer_list<absl::string_view> entries) {
  HostList list;
  for (absl::string_view entry : entries) EXPECT_THAT(list.Add(entry), IsOk()) << entry;
  return list;
}

struct AddressCase {
  std::string name;
  std::string entry;
  std::string ip;
  bool contained;
};
void PrintTo(const AddressCase& c, std::ostream* out) { *out << c.name; }

class AddressTest : public testing::TestWithParam<AddressCase> {};

TEST_P(AddressTest, ComparesThePrefix) {
  const AddressCase& c = GetParam();
  EXPECT_EQ(ListOf({c.entry}).ContainsAddress(c.ip), c.contained);
}

INSTANTIATE_TEST_SUITE_P(
    Addresses, AddressTest,
    testing::Values(AddressCase{"Same", "192.0.2.1", "192.0.2.1", true},
                    AddressCase{"Other", "192.0.2.1", "192.0.2.2", false},
                    AddressCase{"FirstOfNetwork", "192.0.2.0/24", "192.0.2.0", true},
                    AddressCase{"LastOfNetwork", "192.0.2.0/24", "192.0.2.255", true},
                    AddressCase{"AfterNetwork", "192.0.2.0/24", "192.0.3.0", false},
                    AddressCase{"HostBitsAreIgnored", "127.0.0.1/8", "127.9.9.9", true},
                    AddressCase{"OddPrefixInside", "192.0.2.128/25", "192.0.2.200", true},
                    AddressCase{"OddPrefixOutside", "192.0.2.128/25", "192.0.2.100", false},
                    AddressCase{"Everything", "0.0.0.0/0", "203.0.113.9", true},
                    AddressCase{"EverythingOfTheOtherFamily", "0.0.0.0/0", "2001:db8::1", false},
                    AddressCase{"Ipv6", "2001:db8::/32", "2001:DB8:ffff::1", true},
                    AddressCase{"Ipv6Outside", "2001:db8::/32", "2001:db9::1", false},
                    AddressCase{"Ipv6Spelling", "2001:db8::1", "2001:0db8:0:0:0:0:0:1", true},
                    AddressCase{"MappedAddress", "192.0.2.1", "::ffff:192.0.2.1", true},
                    AddressCase{"MappedEntry", "::ffff:192.0.2.0/120", "192.0.2.77", true},
                    AddressCase{"MappedEntryOutside", "::ffff:192.0.2.0/120", "192.0.3.77", false},
                    AddressCase{"Empty", "0.0.0.0/0", "", false},
                    AddressCase{"Name", "0.0.0.0/0", "localhost", false},
                    AddressCase{"WithPort", "192.0.2.1", "192.0.2.1:25", false},
                    AddressCase{"Overlong", "192.0.2.1", std::string(1000, '1'), false}),
    [](const auto& test) { return test.param.name; });

TEST(HostList, NamesAreComparedWithoutCase) {
  const HostList list = ListOf({"MX1.example", "192.0.2.1"});
  EXPECT_TRUE(list.ContainsName("mx1.EXAMPLE"));
  EXPECT_TRUE(list.ContainsName("mx1.example."));
  EXPECT_FALSE(list.ContainsName("a.mx1.example"));
  EXPECT_FALSE(list.ContainsName("192.0.2.1"));
  EXPECT_FALSE(list.ContainsName(""));
}

TEST(HostList, IsEmptyAtFirst) {
  HostList list;
  EXPECT_TRUE(list.empty());
  EXPECT_FALSE(list.ContainsAddress("192.0.2.1"));
  EXPECT_FALSE(list.ContainsName("mx1.example"));
  EXPECT_THAT(list.Add("mx1.example"), IsOk());
  EXPECT_FALSE(list.empty());
}

TEST(HostList, RefusesWhatIsNoHost) {
  HostList list;
  for (const char* entry :
       {"", "192.0.2.300", "192.0.2", "192.0.2.1/33", "192.0.2.1/-1", "192.0.2.1/", "192.0.2.1/+8",
        "192.0.2.1/8x", "2001:db8::/129", "::ffff:192.0.2.1/95", "2001:db8::g", "mx1.example/24",
        "[192.0.2.1]", "*.example.com", "a b", "192.0.2.1:25"}) {
    EXPECT_THAT(list.Add(entry), StatusIs(absl::StatusCode::kInvalidArgument,
                                          HasSubstr("is not a host; write an address")))
        << entry;
  }
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace deferd
