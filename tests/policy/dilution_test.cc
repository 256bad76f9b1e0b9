#include "policy/dilution.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

// Of `n` deliveries to recipients that `to` names, how many stand in the denominator.
template <typename To>
int Admitted(Dilution* dilution, int n, To to) {
  int admitted = 0;
  for (int i = 0; i < n; ++i) {
    const auto [recipient, host, ip] = to(i);
    if (dilution->Admit("s.example", recipient, host, ip)) ++admitted;
  }
  return admitted;
}

struct To {
  std::string recipient, host, ip;
};

TEST(Dilution, OneDomainIsCapped) {
  Dilution dilution;
  EXPECT_EQ(Admitted(&dilution, 20'000,
                     [](int i) {
                       return To{absl::StrCat("r", i, "@Accomplice.example"), "",
                                 absl::StrCat("10.", i / 250, ".", i % 250, ".1")};
                     }),
            Dilution::kMost);
  EXPECT_FALSE(dilution.Admit("s.example", "x@accomplice.EXAMPLE", "", "10.99.99.9"));
  EXPECT_TRUE(dilution.Admit("s.example", "x@other.example", "", "10.99.99.9"));
}

TEST(Dilution, OneServerIsCappedUnderAllItsNamesAndAddresses) {
  for (const char* net : {"192.0.2.", "2001:db8:1:"}) {
    Dilution dilution;
    EXPECT_EQ(Admitted(&dilution, 5'000,
                       [&](int i) {
                         const bool v6 = net[1] == '0';
                         return To{absl::StrCat("r@d", i, ".example"),
                                   absl::StrCat("mx.d", i, ".example"),
                                   v6 ? absl::StrCat(net, i, "::1") : absl::StrCat(net, i % 250)};
                       }),
              Dilution::kMost)
        << net;
  }
}

TEST(Dilution, WithoutAddressesTheServersNameTells) {
  Dilution dilution;
  EXPECT_EQ(Admitted(&dilution, 100,
                     [](int i) {
                       return To{absl::StrCat("r@d", i, ".example"), "smart", ""};
                     }),
            Dilution::kMost);
  EXPECT_TRUE(dilution.Admit("s.example", "r@e.example", "other", ""));
}

TEST(Dilution, AListToManyPlacesIsNot) {
  Dilution dilution;
  EXPECT_EQ(Admitted(&dilution, 2'000,
                     [](int i) {
                       return To{absl::StrCat("r", i, "@d", i % 100, ".example"), "",
                                 absl::StrCat("10.0.", i % 100, ".1")};
                     }),
            2'000);
}

// In whatever order its parts come back, also after the one delivery that needs no map.
TEST(Dilution, IsPutBackInParts) {
  for (const size_t deliveries : {1, 2, 3, 200}) {
    Dilution dilution;
    const auto deliver = [](size_t i, Dilution* to) {
      std::vector<size_t> numbers;
      to->Admit("s.example", absl::StrCat("r@d", i, ".example"), i % 3 == 0 ? "" : "mx",
                i % 3 == 1 ? absl::StrCat("10.0.", i % 250, ".1") : "",
                [&](size_t number) { numbers.push_back(number); });
      return numbers;
    };
    for (size_t i = 0; i < deliveries; ++i) deliver(i, &dilution);
    Dilution copy;
    constexpr size_t kGroup = 16;
    for (size_t begin = 1'000 / kGroup * kGroup; begin <= 1'000; begin -= kGroup) {
      size_t number = begin;
      dilution.ForEach(begin, begin + kGroup,
                       [&](uint64_t name, int32_t count) { copy.Restore(number++, name, count); });
    }
    for (size_t i = 0; i < 500; ++i) {
      ASSERT_EQ(deliver(i * 7, &dilution), deliver(i * 7, &copy)) << deliveries << " " << i;
    }
  }
}

TEST(Dilution, IsPutBack) {
  Dilution dilution;
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(dilution.Admit("s.example", "r@d.example", "h", ""));
  Dilution copy;
  size_t number = 0;
  dilution.ForEach(0, 100,
                   [&](uint64_t name, int32_t count) { copy.Restore(number++, name, count); });
  EXPECT_EQ(number, 2u);
  EXPECT_FALSE(copy.Admit("s.example", "r@d.example", "i", ""));
  EXPECT_FALSE(copy.Admit("s.example", "r@e.example", "h", ""));
  EXPECT_TRUE(copy.Admit("s.example", "r@e.example", "i", ""));
}

}  // namespace
}  // namespace deferd
