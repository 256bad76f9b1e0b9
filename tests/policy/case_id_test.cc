#include "policy/case_id.h"

#include "gtest/gtest.h"

namespace deferd {
namespace {

TEST(CaseId, IsReadAsPeopleCopyIt) {
  for (const char* text : {"be9fa491-1-4", "BE9FA491-1-4", " be9fa491-1-4\n", "be9fa491-1-4."}) {
    EXPECT_EQ(ParseCaseId(text), "be9fa491-1-4") << text;
  }
  EXPECT_EQ(ParseCaseId("00000000-12-345678"), "00000000-12-345678");
}

TEST(CaseId, WhatMayBeASubjectIsNone) {
  for (const char* text :
       {"", ".", "be9fa491", "be9fa491-1", "be9fa491-1-", "be9fa491-1-4-5", "be9fa49-1-4",
        "be9fa4911-1-4", "xe9fa491-1-4", "be9fa491-x-4", "be9fa491-1-4x", "be9fa491-1-4.example",
        "login:be9fa491-1-4", "a@be9fa491-1-4", "be9fa491--4", "be9fa491-1-12345678901234567890"}) {
    EXPECT_FALSE(ParseCaseId(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace deferd
