#include "policy/organisation.h"

#include "gtest/gtest.h"

namespace deferd {
namespace {

TEST(Organisation, IsTheRegisteredDomain) {
  struct Row {
    const char* host;
    const char* organisation;
  };
  for (const Row& row : {Row{"gmail-smtp-in.l.google.com", "google.com"},
                         {"MX2.Mail.Example.CO.UK", "example.co.uk"},
                         {"far-example.mail.protection.outlook.com", "outlook.com"},
                         {"mx1.far.example.", "far.example"},
                         {"far.example", "far.example"},
                         {"192.0.2.1", "192.0.2.1"},
                         {"2001:db8::1", "2001:db8::1"},
                         {"localhost", "localhost"},
                         {"co.uk", "co.uk"},
                         {"", ""}}) {
    EXPECT_EQ(OrganisationOf(row.host), row.organisation) << row.host;
  }
}

}  // namespace
}  // namespace deferd
