#include "policy/domain_name.h"

#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/status_matchers.h"

namespace deferd {
namespace {

using testing::HasSubstr;

std::string Label(size_t size) { return std::string(size, 'a'); }

// A name of `size` bytes, of labels that are not too long.
std::string NameOf(size_t size) {
  std::string name;
  while (size - name.size() > 64) name += Label(63) + ".";
  return name + Label(size - name.size());
}

struct DomainCase {
  std::string name;
  std::string text;
  std::string domain;  // empty: an error
};
void PrintTo(const DomainCase& c, std::ostream* out) { *out << c.name; }

class DomainNameTest : public testing::TestWithParam<DomainCase> {};

TEST_P(DomainNameTest, HasOneForm) {
  const auto& [name, text, domain] = GetParam();
  absl::StatusOr<DomainName> parsed = DomainName::Parse(text);
  if (domain.empty()) {
    EXPECT_THAT(parsed, StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a domain")));
    return;
  }
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed->text(), domain);
  EXPECT_EQ(*DomainName::Parse(domain), *parsed);
}

INSTANTIATE_TEST_SUITE_P(
    Names, DomainNameTest,
    testing::Values(
        DomainCase{"Plain", "example.com", "example.com"},
        DomainCase{"UpperCase", "EXAMPLE.Com", "example.com"},
        DomainCase{"TrailingDot", "example.com.", "example.com"},
        DomainCase{"TwoTrailingDots", "example.com..", ""},
        DomainCase{"OneLabel", "localhost", "localhost"},
        DomainCase{"Digits", "123.456", "123.456"},
        DomainCase{"Underscore", "_dmarc.Example.com", "_dmarc.example.com"},
        DomainCase{"HyphenInside", "a--b.example", "a--b.example"}, DomainCase{"Empty", "", ""},
        DomainCase{"Dot", ".", ""}, DomainCase{"LeadingDot", ".example.com", ""},
        DomainCase{"EmptyLabel", "example..com", ""}, DomainCase{"LeadingHyphen", "-a.example", ""},
        DomainCase{"LeadingHyphenLater", "a.-b.example", ""},
        DomainCase{"TrailingHyphen", "a-.example", ""},
        DomainCase{"TrailingHyphenLast", "a.example-", ""},
        DomainCase{"TrailingHyphenBeforeDot", "a.example-.", ""},
        DomainCase{"Blank", "exa mple.com", ""}, DomainCase{"Slash", "example.com/", ""},
        DomainCase{"At", "bob@example.com", ""}, DomainCase{"Colon", "example.com:25", ""},
        DomainCase{"Star", "*.example.com", ""},
        DomainCase{"Zero", std::string("exa\0mple.com", 12), ""},
        DomainCase{"LineBreak", "example.com\n", ""},
        DomainCase{"Label63", Label(63) + ".example", Label(63) + ".example"},
        DomainCase{"Label64", Label(64) + ".example", ""},
        DomainCase{"Name253", NameOf(253), NameOf(253)},
        DomainCase{"Name253AndDot", NameOf(253) + ".", NameOf(253)},
        DomainCase{"Name254", NameOf(254), ""}, DomainCase{"Huge", std::string(1 << 20, 'a'), ""}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Idn, DomainNameTest,
    testing::Values(DomainCase{"Utf8", "bücher.example", "xn--bcher-kva.example"},
                    DomainCase{"Utf8UpperCase", "BÜCHER.Example", "xn--bcher-kva.example"},
                    DomainCase{"Decomposed", "bu\u0308cher.example", "xn--bcher-kva.example"},
                    DomainCase{"ALabel", "XN--Bcher-KVA.example", "xn--bcher-kva.example"},
                    DomainCase{"TrailingDot", "bücher.example.", "xn--bcher-kva.example"},
                    DomainCase{"IdeographicDots", "bücher\u3002example\u3002",
                               "xn--bcher-kva.example"},
                    DomainCase{"FullWidth", "ｅｘａｍｐｌｅ.com", "example.com"},
                    DomainCase{"SharpSIsItself", "straße.example", "xn--strae-oqa.example"},
                    DomainCase{"InvalidUtf8",
                               "b\xFC"
                               "cher.example",
                               ""},
                    DomainCase{"CutOffUtf8", "b\xC3", ""},
                    DomainCase{"EmptyLabel", "bücher..example", ""},
                    DomainCase{"Blank", "bü cher.example", ""},
                    DomainCase{"ZeroByte", std::string("b\xC3\xBC\0.example", 12), ""},
                    DomainCase{"LongLabel", std::string(70, 'a') + "ü.example", ""},
                    DomainCase{"Huge", std::string(1 << 20, 'a') + "ü", ""}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Literals, DomainNameTest,
    testing::Values(DomainCase{"Ipv4", "[192.0.2.1]", "[192.0.2.1]"},
                    DomainCase{"Ipv6", "[IPv6:2001:DB8::1]", "[ipv6:2001:db8::1]"},
                    DomainCase{"Empty", "[]", ""}, DomainCase{"Open", "[192.0.2.1", ""},
                    DomainCase{"OnlyOpen", "[", ""}, DomainCase{"After", "[192.0.2.1].example", ""},
                    DomainCase{"Blank", "[192.0.2.1 ]", ""},
                    DomainCase{"Nested", "[[192.0.2.1]]", ""}, DomainCase{"NotAscii", "[ü]", ""},
                    DomainCase{"Huge", "[" + std::string(300, '1') + "]", ""}),
    [](const auto& test) { return test.param.name; });

TEST(DomainName, SaysWhatIsWrong) {
  auto message = [](absl::string_view text) {
    return std::string(DomainName::Parse(text).status().message());
  };
  EXPECT_EQ(message("a..b"), "'a..b' is not a domain: a label is empty; example: example.com");
  EXPECT_EQ(message(""), "'' is not a domain: it is empty; example: example.com");
  EXPECT_EQ(message("a\x1b[2J"),
            "'a\uFFFD[2J' is not a domain: only letters, digits, '-', '_' and '.' can be in it; "
            "example: example.com");
}

TEST(DomainName, OfAddressTakesWhatStandsAfterTheLastAt) {
  EXPECT_EQ(DomainName::OfAddress("bob@Example.com")->text(), "example.com");
  EXPECT_EQ(DomainName::OfAddress("\"ok.a b F=<x@victim.example>\"@delta.example")->text(),
            "delta.example");
  EXPECT_EQ(DomainName::OfAddress("bob@[192.0.2.1]")->text(), "[192.0.2.1]");
  EXPECT_THAT(DomainName::OfAddress("bob"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the '@' is missing")));
  EXPECT_THAT(DomainName::OfAddress("bob@"),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_THAT(DomainName::OfAddress(""), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
}

TEST(DomainPattern, NamesOneDomain) {
  const DomainPattern pattern = DomainPattern::Parse("Example.COM.").value();
  EXPECT_EQ(pattern.ToString(), "example.com");
  EXPECT_TRUE(pattern.Matches("example.com"));
  EXPECT_FALSE(pattern.Matches("a.example.com"));
  EXPECT_FALSE(pattern.Matches("example.co"));
  EXPECT_FALSE(pattern.Matches(""));
}

TEST(DomainPattern, NamesAllBelow) {
  const DomainPattern pattern = DomainPattern::Parse("*.BÜCHER.example").value();
  EXPECT_EQ(pattern.ToString(), "*.xn--bcher-kva.example");
  EXPECT_TRUE(pattern.Matches("a.xn--bcher-kva.example"));
  EXPECT_TRUE(pattern.Matches("a.b.xn--bcher-kva.example"));
  EXPECT_FALSE(pattern.Matches("xn--bcher-kva.example"));
  EXPECT_FALSE(pattern.Matches(".xn--bcher-kva.example"));
  EXPECT_FALSE(pattern.Matches("axn--bcher-kva.example"));
}

TEST(DomainPattern, RefusesOtherStars) {
  for (const char* text :
       {"*", "*.", "a.*.example", "*example.com", "*.[192.0.2.1]", "*.*.example"}) {
    EXPECT_THAT(DomainPattern::Parse(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a pattern")))
        << text;
  }
  EXPECT_THAT(DomainPattern::Parse("a..b"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a domain")));
}

TEST(DomainSet, MatchesAsItsPatternsDo) {
  DomainSet set;
  EXPECT_TRUE(set.empty());
  for (const char* text : {"example.com", "*.example.net", "*.both.example", "both.example"}) {
    set.push_back(DomainPattern::Parse(text).value());
  }
  EXPECT_FALSE(set.empty());
  EXPECT_TRUE(set.Matches("example.com"));
  EXPECT_FALSE(set.Matches("a.example.com"));
  EXPECT_FALSE(set.Matches("com"));
  EXPECT_FALSE(set.Matches("example.net"));
  EXPECT_TRUE(set.Matches("a.example.net"));
  EXPECT_TRUE(set.Matches("a.b.example.net"));
  EXPECT_FALSE(set.Matches("aexample.net"));
  EXPECT_TRUE(set.Matches("both.example"));
  EXPECT_TRUE(set.Matches("a.both.example"));
  EXPECT_FALSE(set.Matches(""));
}

}  // namespace
}  // namespace deferd
