#include "policy/reply/reply_features.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace deferd {
namespace {

using testing::HasSubstr;

constexpr char kConcepts[] =
    "# who\n"
    "user  user recipient* benutzer\n"
    "not   not ~n't\n"
    "known known unknown* ~\\xe7\\x9f\\xa5\n";

class ReplyFeaturesTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(features_.Compile(kConcepts).ok()); }

  std::vector<std::string> ConceptsIn(absl::string_view text) {
    features_.Extract({.text = text}, &hashes_, &seen_);
    std::vector<std::string> names;
    for (const char* name : {"user", "not", "known"}) {
      if (seen_.test(features_.ConceptOf(name))) names.push_back(name);
    }
    return names;
  }

  size_t Size(const std::string& text) {
    features_.Extract({.text = text}, &hashes_, &seen_);
    return hashes_.size();
  }

  ReplyFeatures features_;
  ReplyFeatures::Hashes hashes_;
  ReplyFeatures::Concepts seen_;
};

TEST_F(ReplyFeaturesTest, WordsBeginningsAndPiecesAreConcepts) {
  EXPECT_THAT(ConceptsIn("550 - -: recipients unknown."), testing::ElementsAre("user", "known"));
  EXPECT_THAT(ConceptsIn("550 - -: we don't"), testing::ElementsAre("not"));
  EXPECT_THAT(ConceptsIn("550 - -: \xe6\x9c\xaa\xe7\x9f\xa5"), testing::ElementsAre("known"));
  EXPECT_THAT(ConceptsIn("550 - -: local-user"), testing::ElementsAre("user"));
  // Neither inside another word nor in the head.
  EXPECT_THAT(ConceptsIn("550 - -: usermod abuser"), testing::IsEmpty());
  EXPECT_THAT(ConceptsIn("not known user: "), testing::IsEmpty());
}

TEST_F(ReplyFeaturesTest, NumbersAndIdsAreNoFeatures) {
  features_.Extract({.text = "550 - -: user 12345 d2e1a72fcca58abc"}, &hashes_, &seen_);
  const ReplyFeatures::Hashes first = hashes_;
  features_.Extract({.text = "550 - -: user 7 00aa11bb22cc"}, &hashes_, &seen_);
  EXPECT_EQ(hashes_, first);
  features_.Extract({.text = "550 - -: user seven id"}, &hashes_, &seen_);
  EXPECT_NE(hashes_, first);
}

TEST_F(ReplyFeaturesTest, OrderMatters) {
  features_.Extract({.text = "550 - -: user not known"}, &hashes_, &seen_);
  const ReplyFeatures::Hashes first = hashes_;
  features_.Extract({.text = "550 - -: known not user"}, &hashes_, &seen_);
  EXPECT_NE(hashes_, first);
}

// However the bytes are chosen, a byte more costs so many features at most.
TEST_F(ReplyFeaturesTest, HostileTextHasLinearlyManyFeatures) {
  for (const char* piece : {"user ", "user-", "user-user-user-user-user-user ", "not user known ",
                            "\xe7\x9f\xa5", "\xe7\x9f\xa5 ", "\xff", "a ", "n't", "@", "'-./ "}) {
    std::string text = "550 5.1.1 rcpt: ";
    while (text.size() < 4096) text += piece;
    EXPECT_LT(Size(text), 40 * text.size()) << piece;
    for (size_t end : {0, 1, 3, 4, 9, 15, 16, 17, 40}) Size(text.substr(0, end));
  }
}

TEST(ReplyFeatures, BadConceptsAreNamedByLine) {
  for (const char* bad : {"\nuser\n", "\nuser *\n", "\nuser ~\n"}) {
    ReplyFeatures features;
    EXPECT_THAT(std::string(features.Compile(bad).message()), HasSubstr("2: ")) << bad;
  }
}

TEST(ReplyFeatures, TheBuiltInConceptsAreGood) {
  ReplyFeatures features;
  EXPECT_TRUE(features.Compile(BuiltInReplyConcepts()).ok());
  EXPECT_GE(features.ConceptOf("quota"), 0);
  EXPECT_EQ(features.ConceptOf("no such concept"), -1);
}

}  // namespace
}  // namespace deferd
